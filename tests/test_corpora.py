"""Readers of raw text, token streams and chunks of a budget."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.arrow_writer import ArrowWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from langarith.data.compression import ENDS
from langarith.data.readers import read_documents, read_lines
from langarith.data.streams import open_stream, read_chunks, read_held_out, tokenize_documents
from langarith.errors import InputError

TEXTS = ["Where is a pen?", "Öl\u2028ist\x85 teuer", "  spaced ", "ที่นี่"]


def write_stream(path: Path, documents: Iterable[list[int]], batch: int = 2) -> Path:
    """A token stream as `datasets` writes it."""
    features = datasets.Features({"input_ids": datasets.List(datasets.Value("int32"))})
    with ArrowWriter(path=str(path), features=features, writer_batch_size=batch) as writer:
        for document in documents:
            writer.write({"input_ids": document})
        writer.finalize()
    return path


@pytest.fixture
def tokenizer() -> Tokenizer:
    words = ["<s>", "</s>", "<unk>", "a", "b", "c"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


# ---------------------------------------------------------------- documents


def text_file(path: Path) -> Path:
    path.write_bytes("\ufeff".encode() + "\r\n\n \n".join([*TEXTS, ""]).encode())
    return path


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


def compressed_file(path: Path) -> Path:
    """Two streams after each other, as `cat a.gz b.gz` makes them."""
    compress = COMPRESS[path.suffix]
    data = "\n".join(TEXTS).encode()
    path.write_bytes(compress(data[:9]) + compress(data[9:]))
    return path


def json_lines(path: Path) -> Path:
    data = "\n".join(json.dumps({"id": 1, "text": text}) for text in TEXTS).encode()
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(data))
    return path


def parquet_file(path: Path) -> Path:
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", text_file),
        *((f"a.txt{end}", compressed_file) for end in COMPRESS),
        *((f"a.jsonl{end}", json_lines) for end in ("", *COMPRESS)),
        ("a.parquet", parquet_file),
    ],
)
def test_every_format_gives_the_same_documents(
    tmp_path: Path, name: str, write: Callable[[Path], Path]
) -> None:
    assert list(read_documents(write(tmp_path / name))) == TEXTS


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.uint32(), pa.string())],
    ids=str,
)
def test_text_as_polars_writes_it(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"text": pa.array(TEXTS).cast(kind)}), tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("text").type == kind
    assert list(read_documents(tmp_path / "a.parquet")) == TEXTS


def test_text_column_can_be_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    assert list(read_documents(tmp_path / "a.parquet", text_column="body")) == ["x"]


def parquet_bytes(**columns: list[object]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


NOISE = np.random.default_rng(0).bytes(4000).hex().encode()
HALF_GZIP = gzip.compress(NOISE)[:1500]
ERRORS = {
    "unknown suffix": ("a.csv", b"text\nx\n", "none of the known suffixes"),
    "empty text": ("a.txt", b"\n \n", "contains no document"),
    "empty json lines": ("a.jsonl", b"", "contains no document"),
    "empty parquet": ("a.parquet", parquet_bytes(text=pa.array([], pa.string())), "no document"),
    "half gzip": ("a.txt.gz", HALF_GZIP, "cut short"),
    "damaged gzip": ("a.txt.gz", HALF_GZIP[:200] + b"\xff" * 200, "cut short or not gzip"),
    "no gzip": ("a.txt.gz", b"plain text", "not gzip"),
    **{
        f"{what} {end}": (f"a.txt{end}", data, f"cut short or not {ENDS[end]}")
        for end, compress in COMPRESS.items()
        for what, data in (("half", compress(NOISE)[:1500]), ("no", b"plain text" * 9))
    },
    "not utf-8": ("a.txt", "gut\nÖl\n".encode("latin-1"), "line 2: byte 1 of the line"),
    "utf-16": ("a.txt", "text".encode("utf-16"), "line 1: byte 1"),
    "no parquet": ("a.parquet", b"PAR1", "not a complete"),
    "git-lfs": ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
    "no column": ("a.parquet", parquet_bytes(title=["x"], body=["y"]), "(title, body)"),
    "number column": ("a.parquet", parquet_bytes(text=[1]), "contains int64, not text"),
    "null text": ("a.parquet", parquet_bytes(text=["x", None]), "row 2"),
    "no key": ("a.jsonl", b'{"text": "x"}\n{"body": "y"}\n', "line 2: no key 'text' (body)"),
    "no object": ("a.jsonl", b'["x"]\n', "not an object"),
    "no string": ("a.jsonl", b'{"text": 3}\n', "line 1: 'text' is not a string"),
    "no json": ("a.jsonl", b'{"text": "x"}\n{"text"\n', "line 2: not valid JSON"),
    "half a character": ("a.jsonl", b'{"text": "\\ud83d"}\n', "surrogate"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_faulty_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, fragment = ERRORS[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_documents(path))
    message = str(caught.value)
    assert str(path) in message
    assert fragment in message
    assert message.endswith(".")
    assert "\n" not in message


def test_missing_file_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_documents(tmp_path / "none.txt")


def test_folder_and_missing_file_have_no_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; only regular files"):
        list(read_lines(tmp_path))
    with pytest.raises(InputError, match="does not exist"):
        list(read_lines(tmp_path / "none.conll"))


# ---------------------------------------------------------------- token streams


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_stream_holds_each_document_with_its_special_tokens(
    tmp_path: Path, tokenizer: Tokenizer, batch: int
) -> None:
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding()
    path = tmp_path / "deep" / "a.arrow"
    tokens = tokenize_documents(iter(["a b c a", "", "c d"]), tokenizer, path, batch=batch)
    rows = [[0, 3, 4, 5, 3, 1], [0, 1], [0, 5, 2, 1]]
    assert tokens == 12
    assert [file.name for file in path.parent.iterdir()] == ["a.arrow"]
    stream = open_stream(path)
    assert stream["input_ids"][:] == rows
    assert [file["filename"] for file in stream.cache_files] == [str(path)]  # memory-mapped
    # the file that `datasets` would have written, but for its own metadata
    written = write_stream(tmp_path / "b.arrow", rows, batch)
    with pa.ipc.open_stream(str(path)) as ours, pa.ipc.open_stream(str(written)) as theirs:
        assert ours.schema.equals(theirs.schema)
        assert list(ours) == list(theirs)
    assert stream.features == open_stream(written).features


def test_failed_stream_leaves_what_was_there(tmp_path: Path, tokenizer: Tokenizer) -> None:
    def broken() -> Iterable[str]:
        yield "a"
        raise InputError("half a file")

    path = tmp_path / "a.arrow"
    path.write_text("old")
    with pytest.raises(InputError, match="half a file"):
        tokenize_documents(broken(), tokenizer, path, batch=1)
    assert [file.name for file in tmp_path.iterdir()] == ["a.arrow"]
    assert path.read_text() == "old"


# ---------------------------------------------------------------- chunks

corpora = st.lists(  # shards of documents of tokens
    st.lists(st.lists(st.integers(0, 250_000), max_size=9), max_size=7), min_size=1, max_size=4
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shards=corpora,
    held_out=st.integers(0, 8),
    length=st.integers(1, 6),
    budget=st.one_of(st.none(), st.integers(1, 60)),
)
def test_chunks_equal_naive_reference(
    tmp_path: Path,
    shards: list[list[list[int]]],
    held_out: int,
    length: int,
    budget: int | None,
) -> None:
    documents = [document for shard in shards for document in shard]

    def cut(part: list[list[int]]) -> list[list[int]]:
        flat = [token for document in part for token in document]
        return [flat[i : i + length] for i in range(0, len(flat) - length + 1, length)]

    validation, train = cut(documents[:held_out]), cut(documents[held_out:])
    asked = None if budget is None else -(-budget // length)
    paths = [write_stream(tmp_path / f"{i}.arrow", shard) for i, shard in enumerate(shards)]

    def read() -> object:
        return read_chunks(paths, validation_documents=held_out, chunk_length=length, budget=budget)

    if not validation or len(train) < (asked or 1):
        with pytest.raises(InputError, match=r"0\.arrow.*tokens.*\.$"):
            read()
        return
    chunks = read()
    assert chunks.train.dtype == chunks.validation.dtype == np.int32
    assert chunks.train.tolist() == train[:asked]
    assert chunks.validation.tolist() == validation


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(budgets=st.tuples(st.integers(1, 300), st.integers(1, 300)), length=st.integers(1, 12))
def test_smaller_budget_is_a_prefix(tmp_path: Path, budgets: tuple[int, int], length: int) -> None:
    path = write_stream(tmp_path / "a.arrow", [list(range(i, i + 16)) for i in range(25)])
    small, large = (
        read_chunks([path], validation_documents=3, chunk_length=length, budget=budget)
        for budget in sorted(budgets)
    )
    assert np.array_equal(large.train[: len(small.train)], small.train)
    assert np.array_equal(large.validation, small.validation)
    assert len(small.train) == -(-min(budgets) // length)


def test_held_out_chunks_need_no_text_after_them(tmp_path: Path) -> None:
    first = write_stream(tmp_path / "a.arrow", [[1] * 4, [2] * 5])
    held_out = read_held_out([first], validation_documents=2, chunk_length=4)
    assert held_out.dtype == np.int32
    assert held_out.tolist() == [[1] * 4, [2] * 4]
    # the documents end where a file ends: the next one is not opened
    paths = [first, tmp_path / "not there.arrow"]
    assert (
        read_held_out(paths, validation_documents=2, chunk_length=4).tolist() == held_out.tolist()
    )
    with pytest.raises(InputError, match="the first 2 documents have 9 tokens, less than one"):
        read_held_out([first], validation_documents=2, chunk_length=10)


def test_files_beyond_the_budget_are_not_opened(tmp_path: Path) -> None:
    first = write_stream(tmp_path / "a.arrow", [[1] * 4, [2] * 8])
    paths = [first, tmp_path / "not there.arrow"]
    chunks = read_chunks(paths, validation_documents=1, chunk_length=4, budget=7)
    assert chunks.train.tolist() == [[2] * 4, [2] * 4]


def test_chunks_own_their_memory(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.arrow", [[1] * 4, [2] * 8])
    chunks = read_chunks([path], validation_documents=1, chunk_length=4, budget=None)
    chunks.train[:] = 7
    path.unlink()
    assert chunks.validation.tolist() == [[1] * 4]


@pytest.mark.parametrize(
    ("held_out", "budget", "fragments"),
    [
        (1, 9, ["8 training tokens", "the budget of 9", "12 (3 chunks of 4)", "lower the budget"]),
        (2, None, ["0 training tokens", "2 of 2 documents", "add text", "hold out fewer"]),
        (
            5,
            None,
            ["after the first 2 of 2 documents, which are held out", "(validation_documents, 5)"],
        ),
        (0, None, ["the first 0 documents have 0 tokens", "hold out more"]),
    ],
)
def test_short_corpus_is_refused(
    tmp_path: Path, held_out: int, budget: int | None, fragments: list[str]
) -> None:
    path = write_stream(tmp_path / "a.arrow", [[1] * 5, [2] * 8])
    with pytest.raises(InputError) as caught:
        read_chunks([path], validation_documents=held_out, chunk_length=4, budget=budget)
    for fragment in [str(path), *fragments]:
        assert fragment in str(caught.value)


def file_of_the_random_access_format(path: Path) -> bytes:
    table = pa.table({"input_ids": [[1]]}, schema=pa.schema([("input_ids", pa.list_(pa.int32()))]))
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path.read_bytes()


def other_columns(path: Path) -> bytes:
    datasets.Dataset.from_dict({"a": [1]}).save_to_disk(path.with_suffix(""))
    return (path.with_suffix("") / "data-00000-of-00001.arrow").read_bytes()


def other_type(path: Path) -> bytes:
    with ArrowWriter(path=str(path)) as writer:
        writer.write({"input_ids": ["a word"]})
        writer.finalize()
    return path.read_bytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"",
        lambda _: b"ARROW1 but not for long",
        file_of_the_random_access_format,
        other_columns,
        other_type,
    ],
)
def test_damaged_stream_is_refused(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(make(path))
    with pytest.raises(InputError, match="not a complete token stream"):
        open_stream(path)


def test_missing_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a complete token stream"):
        open_stream(tmp_path / "a.arrow")


def test_stream_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    """Also between two record batches, where Arrow itself reads it without complaint."""
    path = write_stream(tmp_path / "a.arrow", [[1, 2], [3], [4, 5], [6]])
    content = path.read_bytes()
    assert len(open_stream(path)) == 4
    for length in range(0, len(content), 4):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="not a complete token stream"):
            open_stream(path)


# ---------------------------------------------------------------- files and network

STREAM_WITHOUT_A_HOME = """
import socket, sys
def refuse(*_):
    raise AssertionError("a connection")
socket.socket.connect = socket.getaddrinfo = refuse
from pathlib import Path
from tokenizers import Tokenizer
from langarith.data import readers, streams
folder = Path(sys.argv[1])
documents = readers.read_documents(folder / "a.txt")
stream = folder / "a.arrow"
streams.tokenize_documents(documents, Tokenizer.from_file(str(folder / "tokenizer.json")), stream)
assert "datasets" not in sys.modules  # its import would take longer than a small shard
chunks = streams.read_chunks([stream], validation_documents=2, chunk_length=4, budget=None)
assert len(chunks.train)
"""


def test_datasets_writes_nothing_elsewhere_and_needs_no_network(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (data / "a.txt").write_text("a b c\n" * 9)
    tokenizer.save(str(data / "tokenizer.json"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", STREAM_WITHOUT_A_HOME, str(data)],
        check=True,
        cwd=home,
        env=kept | {"HOME": str(home)},
    )
    assert list(home.iterdir()) == []
    assert {path.name for path in data.iterdir()} == {"a.txt", "a.arrow", "tokenizer.json"}
