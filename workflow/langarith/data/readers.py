"""Readers of users' files: text, JSON lines, parquet.

The readers of `datasets` are not used: for text and JSON they give no line number, unpack gzip into
a cache and end lines at a carriage return; for parquet they write locks below HOME and take 280 MB
more memory and several times the processor time of `pyarrow.parquet`, which also reads in batches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from langarith.data import compression
from langarith.errors import InputError

Item = TypeVar("Item")
Value = TypeVar("Value")

TEXT_SUFFIXES = compression.with_compressed(".txt")
JSON_SUFFIXES = compression.with_compressed(".jsonl")
PARQUET_SUFFIXES = (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSON_SUFFIXES + PARQUET_SUFFIXES

POINTER = b"version https://git-lfs.github.com/spec/"
"""The first bytes of a git-lfs pointer, which replaces a file that was not fetched."""


def check_file(path: Path) -> None:
    """Check that a path is a regular file before it is opened.

    Raises:
        InputError: it is missing, a folder, a pipe or another special file, which a reader could
            wait for forever, or the pointer of git-lfs to a file that was not fetched.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; correct the path or make the file.")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or another special file"
        raise InputError(f"{path} is {kind}; only regular files are read, so name one.")
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a readable file."
        ) from error
    if start == POINTER:
        raise InputError(
            f"{path} is a git-lfs pointer to a file that was not fetched; run `git lfs pull` "
            "in its repository."
        )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, unpacked by its suffix.

    Only a line feed ends a line (text contains other separators); a carriage return before it and a
    byte-order mark at the start are dropped. One line is in memory at a time.

    Raises:
        InputError: that of `check_file`, and if a compressed file is damaged or cut short, or a
            line is not UTF-8 or contains a zero byte, as UTF-16 does.
    """
    check_file(path)
    try:
        with compression.open_binary(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}, line {number}: byte {error.start + 1} of the line is not UTF-8; "
                        "convert the file to UTF-8."
                    ) from error
                if "\0" in text:
                    raise InputError(
                        f"{path}, line {number} contains a zero byte, so the file is not UTF-8 but "
                        "perhaps UTF-16; convert it to UTF-8 (iconv -f UTF-16LE -t UTF-8)."
                    )
                yield number, text.rstrip("\r\n")
    except (*compression.DAMAGED, OSError) as error:
        if path.suffix in compression.ENDS and not getattr(error, "errno", None):
            raise InputError(
                f"{path} is cut short or not {compression.ENDS[path.suffix]} "
                f"({str(error).rstrip('.')}); fetch the file again."
            ) from error
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a readable file."
        ) from error


def read_rows(path: Path) -> Iterator[tuple[int, str]]:
    """`read_lines` of a table with one row per line, which only a line feed may end.

    Raises:
        InputError: as for `read_lines`; a carriage return within a line, which may be meant to end
            a row or a cell.
    """
    for number, line in read_lines(path):
        if "\r" in line:
            raise InputError(
                f"{path}, line {number} contains a carriage return that ends no line; remove it, "
                "or replace it by a line feed (tr '\\r' '\\n' if no line ends in \\r\\n)."
            )
        yield number, line


def read_all(items: Iterable[Item], read: Callable[[Item], Value]) -> list[Value]:
    """The results of `read` for each item; mistakes are collected until the last item.

    Raises:
        InputError: mistakes in the rows: for each kind, the first one and the number of others.
            The line of code that raises defines the kind.
    """
    values: list[Value] = []
    first: dict[object, str] = {}
    count: Counter[object] = Counter()
    for item in items:
        try:
            values.append(read(item))
        except InputError as error:
            traceback = error.__traceback__
            while traceback and traceback.tb_next:
                traceback = traceback.tb_next
            kind = traceback and (traceback.tb_frame.f_code, traceback.tb_lineno)
            first.setdefault(kind, str(error))
            count[kind] += 1
    if first:
        raise InputError(
            "\n".join(
                sentence
                if count[kind] == 1
                else f"{sentence.rstrip('.')} (and {count[kind] - 1:,} more like this)."
                for kind, sentence in first.items()
            )
        )
    return values


def parse_json(text: str, path: Path, where: str) -> Any:
    """The value of a JSON text at `where` (like "line 3") of `path`.

    Raises:
        InputError: it is not JSON, or a string contains half of a surrogate pair, which no
            tokenizer accepts.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, {where}: not valid JSON ({error.msg} at line {error.lineno}, "
            f"column {error.colno}); repair the file."
        ) from error
    except (ValueError, RecursionError) as error:  # a number with thousands of digits; deep nesting
        reason = (
            "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        )
        raise InputError(f"{path}, {where}: {reason}; repair the file.") from error
    # Only an escape can give half of a pair, so most texts cost only this search.
    if "\\ud" in text.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{path}, {where}: a string contains half of a surrogate pair (only \\ud83d, say); "
                "write the whole character."
            ) from error
    return value


def open_parquet(path: Path, columns: Sequence[str]) -> Any:
    """The `pyarrow.parquet.ParquetFile` at `path`, which must have `columns`.

    Raises:
        InputError: the file is missing, is not parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path)
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a complete parquet file; fetch the file again.") from error
    present = file.schema_arrow.names
    for column in columns:
        if column not in present:
            raise InputError(
                f"{path} has no column '{column}'; rename one of its columns "
                f"({', '.join(present) or 'none'}) or name the right one."
            )
    return file


def is_text(kind: Any) -> bool:
    """Whether a column of this `pyarrow.DataType` contains text, as pandas and polars write it.

    Also as categories, and in Arrow's types large_string and string_view.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_(kind)
        for is_ in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
        )
    )


def class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names of the classes whose numbers a parquet column contains, from the file's metadata.

    `datasets` writes its features there, in forms that have changed: a `ClassLabel` with a list of
    names or names by number, by itself, as the `feature` of a `Sequence` or `List`, or in a list.
    None if the column does not contain classes, or the file has no such metadata.

    Args:
        schema: a `pyarrow.Schema`.

    Raises:
        InputError: names that cannot be read; the message has no file name.
    """
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        feature = json.loads(text)["info"]["features"][column]
    except KeyError:
        return None
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the names of the classes in '{column}' cannot be read from the file's metadata; "
            "write the classes as words."
        ) from error
    return _names_of(feature, column)


def _names_of(feature: Any, column: str) -> tuple[str, ...] | None:
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            (feature,) = feature
        elif not isinstance(feature, dict):
            return None
        elif "class_label" in feature:
            feature = {"_type": "ClassLabel", **feature["class_label"]}
        elif feature.get("_type") == "ClassLabel" or "names" in feature:
            break
        else:
            inner = ("feature", "sequence", "list", "dtype")
            feature = next((feature[key] for key in inner if feature.get(key)), None)
    names = feature.get("names")
    if isinstance(names, dict):
        keys = [str(number) for number in range(len(names))]
        names = [names.get(key) for key in keys]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError(
            f"the file's metadata says that '{column}' contains classes, but not their names; "
            "write the classes as words."
        )
    return tuple(names)


def read_documents(
    path: Path, *, text_column: str = "text", documents: int | None = None
) -> Iterator[str]:
    """The documents of one shard, in order; memory does not grow with the file.

    Only the first `documents` of them, if given; the rest of the file is not read.

    `.txt`: one document per line that is not blank. `.jsonl`, `.parquet`: one document per row, its
    text under `text_column`. `.txt` and `.jsonl` may be compressed (:mod:`compression`).

    Raises:
        InputError: a missing or special file or an unknown suffix at once, otherwise when reading
            reaches the fault: see `read_lines`, `parse_json` and `open_parquet`; also a row without
            text, a file without documents, and a text file whose lines end in carriage returns
            only.
    """
    path = Path(path)
    check_file(path)
    if path.name.endswith(TEXT_SUFFIXES):
        texts = _text_documents(path)
    elif path.name.endswith(JSON_SUFFIXES):
        texts = _jsonl_documents(path, text_column)
    elif path.name.endswith(PARQUET_SUFFIXES):
        texts = _parquet_documents(path, text_column)
    else:
        raise InputError(
            f"{path} has none of the known suffixes; name it {', '.join(SUFFIXES)} by its format."
        )
    return islice(_not_empty(texts, path), documents)


def _not_empty(documents: Iterator[str], path: Path) -> Iterator[str]:
    first = next(documents, None)
    if first is None:
        raise InputError(f"{path} contains no document; add text or take it out of the corpus.")
    yield first
    yield from documents


def _text_documents(path: Path) -> Iterator[str]:
    lines = read_lines(path)
    first = next(lines, None)
    second = next(lines, None)
    if first and not second and "\r" in first[1]:
        raise InputError(
            f"{path}: only carriage returns end its lines, so it would be one document; replace "
            "them by line feeds (tr '\\r' '\\n')."
        )
    head = (line for line in (first, second) if line)
    for _, text in chain(head, lines):
        if text.strip():
            yield text


def _jsonl_documents(path: Path, column: str) -> Iterator[str]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        row = parse_json(line, path, f"line {number}")
        if not isinstance(row, dict) or column not in row:
            keys = ", ".join(row) if isinstance(row, dict) else "not an object"
            raise InputError(
                f"{path}, line {number}: no key '{column}' ({keys}); name the key of the text."
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
    if not is_text(kind):
        raise InputError(
            f"{path}: column '{column}' contains {kind}, not text; name the text column."
        )
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
