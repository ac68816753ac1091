"""Raw text: documents, token streams on disk, chunks of a token budget.

    shard --read_documents--> documents --tokenize_documents--> token stream (Arrow IPC file)
    token streams --read_stream(budget)--> Split of chunks

A token stream belongs to one shard and one tokenizer, and every budget is a prefix of it, so a new
budget tokenises nothing anew. Memory is bounded by one batch until chunks are asked for.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from langarith.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

TEXT_SUFFIXES = (".txt", ".txt.gz")
JSON_SUFFIXES = (".jsonl", ".jsonl.gz")
PARQUET_SUFFIXES = (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSON_SUFFIXES + PARQUET_SUFFIXES
WORDS_KEPT = 1 << 17
"""Words whose pieces a tokenizer remembers: the library's own 10,000 are few for real text."""


# ---------------------------------------------------------------- files that people bring


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, gzip where it ends in .gz.

    Only a line feed ends a line (text holds other separators), a carriage return before it and a
    byte-order mark at the start are dropped. One line is held in memory at a time.

    Errors: InputError where the file is missing or unreadable, its gzip is damaged or cut short,
    or a line is not UTF-8.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}, line {number}: byte {error.start + 1} of the line is not UTF-8; "
                        "convert the file to UTF-8."
                    ) from error
                yield number, text.rstrip("\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is cut short or not gzip ({str(error).rstrip('.')}); fetch the file again."
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or make the file.") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a readable file."
        ) from error


def parse_json(text: str, path: Path, where: str) -> Any:
    """The value of a JSON text that stands at `where` (like "line 3") of `path`.

    Errors: InputError where it is not JSON, or a string holds half of a surrogate pair, which no
    tokenizer takes.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, {where}: not valid JSON ({error.msg} at line {error.lineno}, "
            f"column {error.colno}); repair the file."
        ) from error
    # Only an escape can bring in a lone surrogate, so nearly all texts pay one search.
    if "\\ud" in text.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{path}, {where}: a string holds half of a surrogate pair (like \\ud83d alone); "
                "write the whole character."
            ) from error
    return value


def open_parquet(path: Path, columns: Sequence[str]) -> Any:
    """The `pyarrow.parquet.ParquetFile` at `path`, sure to have `columns`.

    Errors: InputError where the file is missing, is not parquet, or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; correct the path or make the file.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a whole parquet file; fetch the file again.") from error
    there = file.schema_arrow.names
    for column in columns:
        if column not in there:
            raise InputError(
                f"{path} has no column '{column}'; rename one of its columns "
                f"({', '.join(there) or 'none'}) or name the right one."
            )
    return file


# ---------------------------------------------------------------- documents


def read_documents(path: Path, *, text_column: str = "text") -> Iterator[str]:
    """The documents of one shard, in order, in memory that does not grow with the file.

    `.txt`, `.txt.gz`: one document per line that is not blank. `.jsonl`, `.jsonl.gz`, `.parquet`:
    one document per row, its text under `text_column`.

    Errors: InputError, for a missing file or an unknown suffix at once, else when reading reaches
    the fault: see `read_lines`, `parse_json` and `open_parquet`; also a row without text, and a
    file without documents.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; correct the path or make the file.")
    if path.name.endswith(TEXT_SUFFIXES):
        documents = _text_documents(path)
    elif path.name.endswith(JSON_SUFFIXES):
        documents = _jsonl_documents(path, text_column)
    elif path.name.endswith(PARQUET_SUFFIXES):
        documents = _parquet_documents(path, text_column)
    else:
        raise InputError(
            f"{path} has none of the known suffixes; name it {', '.join(SUFFIXES)} by its format."
        )
    return _not_empty(documents, path)


def _not_empty(documents: Iterator[str], path: Path) -> Iterator[str]:
    first = next(documents, None)
    if first is None:
        raise InputError(f"{path} holds no document; add text or take it out of the corpus.")
    yield first
    yield from documents


def _text_documents(path: Path) -> Iterator[str]:
    return (text for _, text in read_lines(path) if text.strip())


def _jsonl_documents(path: Path, column: str) -> Iterator[str]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        row = parse_json(line, path, f"line {number}")
        if not isinstance(row, dict) or column not in row:
            there = ", ".join(row) if isinstance(row, dict) else "not an object"
            raise InputError(
                f"{path}, line {number}: no key '{column}' ({there}); name the key of the text."
            )
        if not isinstance(row[column], str):
            raise InputError(
                f"{path}, line {number}: '{column}' is not a string; give a text or drop the line."
            )
        yield row[column]


def _parquet_documents(path: Path, column: str) -> Iterator[str]:
    file = open_parquet(path, [column])
    kind = file.schema_arrow.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"{path}: column '{column}' holds {kind}, not text; name the text column.")
    row = 0
    try:
        for batch in file.iter_batches(batch_size=1000, columns=[column]):
            for text in batch.column(0).to_pylist():
                row += 1
                if text is None:
                    raise InputError(
                        f"{path}, row {row}: '{column}' is empty (null); give a text or drop the "
                        "row."
                    )
                yield text
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is damaged or not UTF-8 after row {row}; fetch the file again."
        ) from error


# ---------------------------------------------------------------- token streams


def tokenize_documents(
    documents: Iterable[str],
    tokenizer: Tokenizer | PreTrainedTokenizerFast,
    destination: Path,
    *,
    batch: int = 1000,
) -> int:
    """Write documents as a token stream and return its number of tokens.

    The file is Arrow IPC with one column `input_ids: list<int32>`, one row per document with the
    tokenizer's special tokens (`<s> ... </s>` for XLM-R), `batch` documents to a record batch. It
    appears under its name only when whole. Truncation and padding of `tokenizer` are switched
    off. A saved fast tokenizer starts fastest as `tokenizers.Tokenizer.from_file(tokenizer.json)`.
    """
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # a model without words of its own to keep, like WordPiece, has no such method
    getattr(tokenizer.model, "_resize_cache", lambda _: None)(WORDS_KEPT)
    schema = pa.schema([("input_ids", pa.list_(pa.int32()))])
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    tokens = 0
    source = iter(documents)
    try:
        with _parallel_tokenizer(), pa.ipc.new_file(str(temporary), schema) as writer:
            while texts := list(islice(source, batch)):
                column = _list_array(tokenizer.encode_batch_fast(texts))
                writer.write_batch(pa.record_batch([column], schema=schema))
                tokens += len(column.values)
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)
    return tokens


def _list_array(encodings: list[Encoding]) -> pa.ListArray:
    rows = [encoding.ids for encoding in encodings]
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


@contextmanager
def _parallel_tokenizer() -> Iterator[None]:
    """Tokenise on all cores given to the process, unless the user set TOKENIZERS_PARALLELISM.

    Set only meanwhile: left set, it would tell the library that a later fork is safe.
    """
    name = "TOKENIZERS_PARALLELISM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "true"
    try:
        yield
    finally:
        del os.environ[name]


def _batches(path: Path) -> Iterator[pa.ListArray]:
    """The `input_ids` of each record batch of a token stream, memory-mapped: nothing is copied."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        columns = (
            reader.get_batch(i).column("input_ids") for i in range(reader.num_record_batches)
        )
        yield from columns
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise InputError(
            f"{path} is not a whole token stream; delete it and run the workflow again."
        ) from error


def count_stream(path: Path) -> tuple[int, int]:
    """(documents, tokens) of a token stream, read from its offsets alone."""
    documents = tokens = 0
    for column in _batches(Path(path)):
        documents += len(column)
        tokens += len(column.flatten())
    return documents, tokens


# ---------------------------------------------------------------- chunks


@dataclass(frozen=True, eq=False)
class Split:
    """Chunks of one corpus: int32 arrays of shape (chunks, chunk_length), no padding."""

    train: np.ndarray
    validation: np.ndarray


def read_stream(
    paths: Sequence[Path], *, validation_documents: int, chunk_length: int, budget: int | None
) -> Split:
    """Cut the token streams of a corpus, in the order given, into chunks.

    The first `validation_documents` documents are validation, the rest training; each part is
    concatenated and cut into chunks of `chunk_length` tokens, the remainder dropped, as `run_mlm`
    does. A budget of N tokens keeps the first ceil(N / chunk_length) training chunks (paper
    section 4.2 as the authors' code does it), so that a smaller budget is a prefix of a larger
    one; None keeps all. Files are memory-mapped and none is opened beyond the last chunk. Only
    the chunks asked for are copied: 4 bytes per token.

    Errors: InputError where the corpus has no validation chunk, no training chunk, or fewer
    training chunks than the budget asks for.
    """
    chunks = None if budget is None else -(-budget // chunk_length)
    wanted = None if chunks is None else chunks * chunk_length
    validation: list[np.ndarray] = []
    train: list[np.ndarray] = []
    documents = tokens = 0
    for column in chain.from_iterable(_batches(Path(path)) for path in paths):
        held_out = column[: max(0, validation_documents - documents)]
        rest = column[len(held_out) :]
        documents += len(column)
        validation.append(held_out.flatten().to_numpy())
        train.append(rest.flatten().to_numpy())
        tokens += len(train[-1])
        if documents >= validation_documents and wanted is not None and tokens >= wanted:
            break
    split = Split(_cut(train, chunk_length, chunks), _cut(validation, chunk_length, None))

    files = ", ".join(str(path) for path in paths) or "the empty list of token streams"
    if len(split.validation) == 0:
        raise InputError(
            f"{files}: the first {validation_documents} documents hold "
            f"{sum(map(len, validation))} tokens, less than one validation chunk of {chunk_length};"
            " hold out more documents (validation_documents) or add text."
        )
    if len(split.train) < (chunks or 1):
        asked = (
            f"one training chunk of {chunk_length} asks for {chunk_length}"
            if chunks is None
            else f"the budget of {budget} asks for {wanted} ({chunks} chunks of {chunk_length})"
        )
        raise InputError(
            f"{files}: {tokens} training tokens are left after the first {validation_documents} "
            f"of {documents} documents, but {asked}; add text, lower the budget or hold out fewer "
            "documents (validation_documents)."
        )
    return split


def _cut(parts: list[np.ndarray], length: int, chunks: int | None) -> np.ndarray:
    """The first `chunks` (or all) full chunks of the concatenated parts, in memory of their own."""
    whole = sum(map(len, parts)) // length
    flat = np.empty((whole if chunks is None else min(chunks, whole)) * length, dtype=np.int32)
    filled = 0
    for part in parts:
        piece = part[: len(flat) - filled]
        flat[filled : filled + len(piece)] = piece
        filled += len(piece)
    return flat.reshape(-1, length)
