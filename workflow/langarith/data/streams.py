"""Token streams on disk, and chunks of a token budget.

    shard --read_documents--> documents --tokenize_documents--> token stream (datasets.Dataset)
    token streams --read_chunks(budget)--> Chunks
    token streams --read_held_out--> the chunks of the first documents only

A token stream belongs to one shard and one tokenizer, and every budget is a prefix of it, so a new
budget tokenises nothing again. Memory is bounded by one batch of documents until chunks are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from langarith.errors import InputError
from langarith.files import whole

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32()))])

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""Last bytes of an Arrow stream: without them it may have been cut off after a record batch."""

WORDS_CACHED = 1 << 17
"""Words whose pieces a tokenizer caches; the default of 10,000 is too few for real text."""


def tokenize_documents(
    documents: Iterable[str],
    tokenizer: Tokenizer | PreTrainedTokenizerFast,
    destination: Path,
    *,
    batch: int = 1000,
) -> int:
    """Write documents as a token stream and return its number of tokens.

    The file is an Arrow stream, which `datasets.Dataset.from_file` memory-maps, with one column
    `input_ids: list<int32>`, one row per document with the tokenizer's special tokens
    (`<s> ... </s>` for XLM-R), `batch` documents per record batch. It is written whole or not at
    all. Truncation and padding of `tokenizer` are switched off. A saved fast tokenizer
    loads fastest as `tokenizers.Tokenizer.from_file(tokenizer.json)`.
    """
    # pyarrow writes the same as `datasets.ArrowWriter`, whose import takes a second
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # models without a cache, like WordPiece, have no such method
    getattr(tokenizer.model, "_resize_cache", lambda _: None)(WORDS_CACHED)
    tokens = 0
    remaining = iter(documents)
    with (
        whole(destination) as partial,
        _parallel_tokenizer(),
        pa.ipc.new_stream(str(partial), SCHEMA) as writer,
    ):
        while texts := list(islice(remaining, batch)):
            column = _list_array(tokenizer.encode_batch_fast(texts))
            writer.write_batch(pa.record_batch([column], schema=SCHEMA))
            tokens += len(column.values)
    return tokens


def _list_array(encodings: list[Encoding]) -> pa.ListArray:
    rows = [encoding.ids for encoding in encodings]
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


@contextmanager
def _parallel_tokenizer() -> Iterator[None]:
    """Tokenise on all cores of the process, unless the user has set TOKENIZERS_PARALLELISM.

    Set only temporarily: otherwise the library would treat a later fork as safe.
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


def open_stream(path: Path) -> Dataset:
    """A token stream as a memory-mapped dataset, one row of `input_ids` per document.

    Raises:
        InputError: the file is missing, damaged or cut short.
    """
    from datasets import Dataset  # not needed by jobs that write token streams

    try:
        with path.open("rb") as file:
            file.seek(-len(END_OF_STREAM), os.SEEK_END)
            if file.read() != END_OF_STREAM:
                raise pa.ArrowInvalid("no end-of-stream marker")
        stream = Dataset.from_file(str(path))
        if stream.data.schema.field("input_ids").type != SCHEMA.field("input_ids").type:
            raise pa.ArrowInvalid("not a column of token ids")
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(
            f"{path} is not a complete token stream; delete it and run the workflow again."
        ) from error
    return stream


def _record_batches(paths: Iterable[Path], documents: int | None = None) -> Iterator[pa.ListArray]:
    """The `input_ids` of each record batch of token streams; opens a file when it is reached.

    Only those of the first `documents`, if given.
    """
    remaining = documents
    for path in paths:
        for column in open_stream(Path(path)).data.column("input_ids").iterchunks():
            yield column[:remaining]
            if remaining is not None:
                remaining -= min(remaining, len(column))
                if not remaining:
                    return


@dataclass(frozen=True, eq=False)
class Chunks:
    """Chunks of one corpus: int32 arrays of shape (chunks, chunk_length), no padding."""

    train: np.ndarray
    validation: np.ndarray


def read_held_out(
    paths: Sequence[Path], *, validation_documents: int, chunk_length: int
) -> np.ndarray:
    """Chunks of the first documents of a corpus, int32 of shape (chunks, chunk_length).

    The documents are concatenated and cut as in :func:`read_chunks`, which gives the
    same validation chunks. They may be the whole corpus. No file after the last document is opened.

    Raises:
        InputError: they have less than one chunk.
    """
    columns = list(_record_batches(paths, validation_documents))
    parts = [column.flatten().to_numpy() for column in columns]
    chunks = _cut(parts, chunk_length, None)
    if len(chunks) == 0:
        raise InputError(
            f"{_names(paths)}: the first {sum(map(len, columns))} documents have "
            f"{sum(map(len, parts))} tokens, less than one validation chunk of {chunk_length};"
            " hold out more documents (validation_documents) or add text."
        )
    return chunks


def read_chunks(
    paths: Sequence[Path],
    *,
    validation_documents: int,
    chunk_length: int,
    budget: int | None,
    documents: int | None = None,
) -> Chunks:
    """Cut the token streams of a corpus, in the given order, into chunks.

    The first `validation_documents` documents are validation, the rest training; each part is
    concatenated and cut into chunks of `chunk_length` tokens, and its remainder is dropped.
    (`run_mlm`, which the authors use, drops a remainder after each 1,000 documents.) A budget of N
    tokens keeps the first ceil(N / chunk_length) training chunks (paper section 4.2 as in the
    authors' code), so that a smaller budget is a prefix of a larger one; None keeps all. With
    `documents`, only the first documents of the corpus are read, including the held-out ones, and a
    budget that they do not fill keeps all of their chunks. Files are memory-mapped, and files after
    the last chunk are not opened. Only the requested chunks are copied: 4 bytes per token.

    Raises:
        InputError: the corpus has no validation chunk, no training chunk, or fewer training chunks
            than the budget needs.
    """
    chunks = None if budget is None else -(-budget // chunk_length)
    wanted = None if chunks is None else chunks * chunk_length
    validation = read_held_out(
        paths, validation_documents=validation_documents, chunk_length=chunk_length
    )
    train: list[np.ndarray] = []
    read = tokens = 0
    for column in _record_batches(paths, documents):
        rest = column[max(0, validation_documents - read) :]
        read += len(column)
        train.append(rest.flatten().to_numpy())
        tokens += len(train[-1])
        if read >= validation_documents and wanted is not None and tokens >= wanted:
            break
    result = Chunks(_cut(train, chunk_length, chunks), validation)
    if len(result.train) < (1 if documents else chunks or 1):
        needed = (
            f"one training chunk of {chunk_length} needs {chunk_length}"
            if chunks is None or documents
            else f"the budget of {budget} needs {wanted} ({chunks} chunks of {chunk_length})"
        )
        more = "read more (documents)" if read == documents else "add text, lower the budget"
        raise InputError(
            f"{_names(paths)}: {tokens} training tokens are left after the first "
            f"{min(validation_documents, read)} of {read} documents, which are held out, but "
            f"{needed}; {more} or hold out fewer (validation_documents, {validation_documents})."
        )
    return result


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths) or "the empty list of token streams"


def _cut(parts: list[np.ndarray], length: int, chunks: int | None) -> np.ndarray:
    """A copy of the first `chunks` (or all) full chunks of the concatenated parts."""
    available = sum(map(len, parts)) // length
    rows = available if chunks is None else min(chunks, available)
    flat = np.empty(rows * length, dtype=np.int32)
    filled = 0
    for part in parts:
        piece = part[: len(flat) - filled]
        flat[filled : filled + len(piece)] = piece
        filled += len(piece)
    return flat.reshape(-1, length)
