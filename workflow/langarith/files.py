"""Atomic writes of files and folders, what killed writers left, JSON, and hashes of files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from langarith.errors import InputError

_PARTIAL = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.partial(\..*)?")

_PERMISSION = "allow access to it (chmod), or name another path"
_SPACE = "free some space and run again"
_FIXES = {
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EEXIST: "name another path",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
}
"""What helps against an error of the system, by its number."""

LARGE = 1 << 24
"""Bytes from which on a file's hash is cached."""


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copies(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Each file whose bytes are those of an earlier one, after that one; links are copies, too.

    Only files of one size are read. What is no regular file is left out.
    """
    by_size: dict[int, list[Path]] = {}
    for path in filter(Path.is_file, dict.fromkeys(paths)):
        by_size.setdefault(path.stat().st_size, []).append(path)
    for equal in by_size.values():
        first: dict[str, Path] = {}
        for path in equal if len(equal) > 1 else ():
            earlier = first.setdefault(sha256(path), path)
            if earlier != path:
                yield earlier, path


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a name in the same folder, with the same suffix, for the block to create. When the block
    ends, that file replaces `path` atomically, with the mode that the umask leaves; when it raises,
    the partial file is deleted and an existing file at `path` is kept. Missing parent folders are
    created. Each call has a name of its own, so that the last of several writers wins and no file
    is a mixture.

        with whole("scores.csv") as partial:
            frame.to_csv(partial)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    try:
        yield partial
        _follow_umask(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Write the files of a folder when all of them are complete, or none.

    Yields a new empty folder in the same parent. When the block ends it replaces `folder` if that
    is missing or empty; else its files replace those of the same name, one by one, and
    others stay. When the block raises, the new folder is deleted.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = _beside(folder)
    staging.mkdir()
    try:
        yield staging
        for file in staging.rglob("*"):
            _follow_umask(file)
        with suppress(OSError):  # refused for a folder that has files, and for a link to a folder
            os.replace(staging, folder)
            return
        for file in sorted(staging.iterdir()):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def refuse_existing(folder: Path) -> None:
    """Refuse to write into a folder that holds files, or in the place of a file.

    Raises:
        InputError: names it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; name a new folder")


def _follow_umask(path: Path) -> None:
    """Give a new file the mode that the umask leaves: safetensors writes files of mode 0600."""
    if path.is_file() and not path.is_symlink():
        mask = os.umask(0o077)  # the only way to learn it is to set it
        os.umask(mask)
        path.chmod(0o666 & ~mask)


def _beside(path: Path) -> Path:
    """A unique hidden name in the same folder."""
    return path.with_name(f".{path.stem}.{os.urandom(4).hex()}.partial{path.suffix}")


def refusal(error: OSError) -> str | None:
    """One sentence for an error of the system: the file, the reason and the fix.

    None if the error has no number, or names no file although its reason is about one.
    """
    name, number = error.filename, error.errno
    if number is None or (name is None and number not in (errno.ENOSPC, errno.EDQUOT)):
        return None
    reason = f"{os.strerror(number).lower()}; {_FIXES.get(number, 'correct the path')}"
    if name is None:
        return reason
    # a file that was being written is known to the user by its final name
    parts = (_PARTIAL.sub(r"\g<stem>\2", part) for part in PurePath(os.fsdecode(name)).parts)
    return f"{PurePath(*parts)}: {reason}"


def is_partial(name: str) -> bool:
    """Whether a file or folder has the name of one that was being written."""
    return _PARTIAL.fullmatch(name) is not None


def remove_partial(paths: Iterable[str | Path]) -> None:
    """Delete what killed writers of these files, or of the folders that hold them, left behind.

    Only for the one process that writes these files.
    """
    for place in {place for path in map(Path, paths) for place in (path, path.parent)}:
        if place.parent.is_dir():
            for left in list(place.parent.iterdir()):
                match = _PARTIAL.fullmatch(left.name)
                if match and match["stem"] == place.stem:
                    if left.is_dir():
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink(missing_ok=True)


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: it is not UTF-8, has a byte order mark, is not JSON, or is nested too deeply.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if text.startswith("\ufeff"):
        raise InputError(f"{path}: starts with a byte order mark; save it as UTF-8 without one")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{path}: JSON nested too deeply; correct the file") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); correct the file") from error


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_lock(path: str | Path, comment: str, entries: Mapping[str, str | list[str]]) -> None:
    """Write a lock file beside a study: YAML, one quoted pair of words per line, sorted.

    Args:
        entries: a word or a list of words by word.
        comment: lines at the head of the file, without their `#`.
    """
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    lines = (f'"{key}": {json.dumps(value)}\n' for key, value in sorted(entries.items()))
    write_text(path, head + "".join(lines))
