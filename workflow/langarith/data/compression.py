"""Compressed files, recognised by their suffix: gzip, xz, bzip2 and Zstandard."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import IO, cast

ENDS = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "Zstandard"}

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""Errors of reading a damaged file, besides an OSError without an errno (bzip2, Zstandard)."""


def with_compressed(*suffixes: str) -> tuple[str, ...]:
    """The suffixes, each as it is and followed by each suffix of a compressed file."""
    return tuple(suffix + end for suffix in suffixes for end in ("", *ENDS))


def open_binary(path: Path) -> IO[bytes]:
    """The unpacked bytes of a file; several compressed streams in one file are concatenated."""
    match path.suffix:
        case ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        case ".xz":
            return lzma.open(path, "rb")
        case ".bz2":
            return bz2.open(path, "rb")
        case ".zst":
            import pyarrow as pa

            return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")
