"""Readers of users' files: text, JSON lines, parquet.

Not those of `datasets`: for text and JSON these give no line number, unpack gzip into a cache and
end lines at a carriage return; for parquet they write locks below HOME and take 280 MB more memory
and several times the processor time of `pyarrow.parquet`, which is streamed here as well.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langarith.errors import InputError

TEXT_SUFFIXES = (".txt", ".txt.gz")


JSON_SUFFIXES = (".jsonl", ".jsonl.gz")


PARQUET_SUFFIXES = (".parquet",)


SUFFIXES = TEXT_SUFFIXES + JSON_SUFFIXES + PARQUET_SUFFIXES


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
    """The value of a JSON text at `where` (like "line 3") of `path`.

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
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; deep nesting
        reason = (
            "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        )
        raise InputError(f"{path}, {where}: {reason}; repair the file.") from error
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
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    import pyarrow as pa

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
