"""Downloads from the Hugging Face hub.

Only this module imports huggingface_hub. Every failure is an InputError of one sentence. The client
reads the access token itself (HF_TOKEN, or the file below HF_HOME); this module never handles it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from langarith.data import hub
from langarith.data.hub import FOLDER, Kind, is_commit
from langarith.errors import InputError, did_you_mean
from langarith.files import write_text

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds before each further attempt; restarted after an attempt that received bytes."""


_TOO_MANY_REQUESTS, _RANGE_NOT_SATISFIABLE = 429, 416


_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def download(
    kind: Kind,
    repository: str,
    revision: str,
    file: str,
    destination: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Download one file of a repository, checked against the size and hash that the hub reports.

    It appears at `destination` whole or not at all. A partial download is kept in a hidden folder
    next to it and continued by the next attempt or the next run. A file in the cache below HF_HOME
    is copied from there.

    Args:
        revision: a full commit hash.
        say: called with a line about each such failure.

    Raises:
        InputError: one sentence each: a branch as revision; a repository, revision or file that is
            missing, gated or forbidden; weights only in pickles; a wrong table of shards; a token
            that is not accepted; no network; a full disk; bytes that differ from those that the hub
            reports.
    """
    if not is_commit(revision):
        raise InputError(
            f"{repository}: '{revision}' is not a commit but a branch or tag, which can change; "
            "run `snakemake lock_revisions` where there is a network, once"
        )
    client = _client()
    # not `files.whole_folder`: this folder is kept, so that a later attempt can continue
    staging = destination.with_name(f".{destination.name}.partial")
    staging.mkdir(parents=True, exist_ok=True)
    what = f"{file} of {repository}"
    remaining = list(PAUSES)
    reached, cache = False, None
    while True:
        before = _bytes_below(staging)
        try:
            expected = _expected(client, kind, repository, revision, file)
            reached = True
            _refuse_full_disk(what, destination.parent, expected.size - before)
            received = Path(
                client.hf_hub_download(
                    repository,
                    file,
                    repo_type=kind.removesuffix("s"),
                    revision=revision,
                    local_dir=staging,
                    cache_dir=cache,
                )
            )
            _check_bytes(received, expected, what)
            break
        except Exception as error:
            pause = _pause(error)
            if _bytes_below(staging) > before:
                remaining = list(PAUSES)
            if isinstance(error, _WrongBytesError) or _status(error) == _RANGE_NOT_SATISFIABLE:
                shutil.rmtree(staging)
                staging.mkdir()
                cache = staging  # the wrong file may have come from the cache
            # without an answer, the client has already retried for half a minute
            if pause is None or not remaining or not (reached or _status(error)):
                raise _sentence(error, client, kind, repository, revision, file) from error
            wait = max(pause, remaining.pop(0))
            say(f"{what}: {_reason(error)}; next attempt in {wait:.0f} s")
            time.sleep(wait)
    os.replace(received, destination)
    shutil.rmtree(staging)


def resolve(kind: Kind, repository: str, revision: str) -> str:
    """The commit that a branch or tag points to now.

    Raises:
        InputError: as for :func:`download`.
    """
    client = _client()
    try:
        info = client.HfApi().repo_info(
            repository, repo_type=kind.removesuffix("s"), revision=revision
        )
    except Exception as error:
        raise _sentence(error, client, kind, repository, revision, None) from error
    return str(info.sha)


def list_files(kind: Kind, repository: str, revision: str) -> list[str]:
    """The names of all files of a repository at a revision.

    Raises:
        InputError: as for :func:`download`.
    """
    client = _client()
    try:
        return _files(client, kind, repository, revision)
    except Exception as error:
        raise _sentence(error, client, kind, repository, revision, None) from error


def count_shards(repository: str, configs: Sequence[str], revision: str) -> dict[str, int]:
    """The number of shards of each configuration's training split on the hub at a revision.

    Raises:
        InputError: also for a configuration without shards of the usual names.
    """
    files = list_files("datasets", repository, revision)
    counts = {config: _shards_on_hub(files, config) for config in configs}
    for config, count in counts.items():
        if count is None:
            raise InputError(
                f"{repository} has no complete {config}/train-?????-of-?????.parquet at "
                f"{revision}; correct the configuration"
            )
    return {config: count for config, count in counts.items() if count is not None}


def write_shard_table(repository: str, revision: str, counts: Mapping[str, int]) -> None:
    """Update the committed table with counted shards; its comments and other rows are kept."""
    table = hub.shard_table()
    entry = table.get(repository, {})
    rows = {str(k): int(v) for k, v in entry.get("shards", {}).items()} | dict(counts)
    inferred = [config for config in entry.get("inferred", []) if config not in counts]
    table = table | {
        repository: {"revision": revision}
        | ({"inferred": inferred} if inferred else {})
        | {"shards": dict(sorted(rows.items()))}
    }
    text = hub.SHARD_TABLE.read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    write_text(hub.SHARD_TABLE, head + yaml.safe_dump(table, sort_keys=False))
    hub.shard_table.cache_clear()


def _client() -> Any:
    """huggingface_hub, with network access; it reads its settings when it is imported."""
    os.environ["HF_HUB_OFFLINE"] = "0"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_VERBOSITY"] = "error"  # its warnings contain addresses with signatures
    # a download with the plain protocol can be resumed, on mirrors too
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    import huggingface_hub.constants
    import huggingface_hub.errors

    # the size of one write, which is lost when the connection is cut
    huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1 << 20
    return huggingface_hub


@dataclass(frozen=True)
class _Expected:
    """Size of a file in bytes, and its SHA-256 or, for small files, its git hash, from the hub."""

    size: int
    hash: str


def _expected(client: Any, kind: Kind, repository: str, revision: str, file: str) -> _Expected:
    metadata = client.get_hf_file_metadata(
        client.hf_hub_url(repository, file, repo_type=kind.removesuffix("s"), revision=revision),
        token=None if client.get_token() is None else True,
    )
    if metadata.commit_hash != revision:
        raise InputError(
            f"{client.constants.ENDPOINT} answers with revision {metadata.commit_hash} of "
            f"{repository} instead of {revision}; correct the revision, or HF_ENDPOINT"
        )
    if metadata.size is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(metadata.etag)):
        raise InputError(
            f"{client.constants.ENDPOINT} reports no size and hash of {file} of {repository}, so "
            "that it could not be checked; use another mirror (HF_ENDPOINT)"
        )
    return _Expected(metadata.size, metadata.etag)


class _WrongBytesError(Exception):
    """A received file does not have the size and hash that the hub reports."""


def _check_bytes(path: Path, expected: _Expected, what: str) -> None:
    size = path.stat().st_size
    if len(expected.hash) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {expected.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if size != expected.size or digest.hexdigest() != expected.hash:
        path.unlink()
        raise _WrongBytesError(
            f"{what} has {size} bytes and hash {digest.hexdigest()[:12]}, but the hub reports "
            f"{expected.size} and {expected.hash[:12]}"
        )


def _bytes_below(folder: Path) -> int:
    """Bytes of unfinished downloads; wrong files have been deleted."""
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete"))


def _refuse_full_disk(what: str, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{what} needs {size / 1e6:.0f} MB more, and the disk of {folder} has {free / 1e6:.0f} "
            "MB left; free some, or make 'resources' a link to a larger disk"
        )


def _cause(error: BaseException) -> BaseException:
    """The client wraps the error of a request for a file's metadata."""
    wrapped = type(error).__name__ == "LocalEntryNotFoundError"
    return error.__cause__ if wrapped and error.__cause__ else error


def _status(error: BaseException) -> int | None:
    return getattr(getattr(_cause(error), "response", None), "status_code", None)


def _pause(error: BaseException) -> float | None:
    """Seconds to wait before the next attempt (Retry-After, or 0); None for a permanent failure."""
    import requests

    cause = _cause(error)
    status = _status(error)
    if status is not None:
        if status < 500 and status not in (_TOO_MANY_REQUESTS, _RANGE_NOT_SATISFIABLE):
            return None
        after = str(cause.response.headers.get("Retry-After", ""))  # type: ignore[attr-defined]
        return float(after) if after.isdigit() else 0.0
    temporary = isinstance(cause, _WrongBytesError | requests.RequestException)
    return 0.0 if temporary or _is_short(cause) else None


def _is_short(error: BaseException) -> bool:
    """Whether the client received too few bytes, which it reports with a bare OSError."""
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def _reason(error: BaseException) -> str:
    """What happened, in a few words without addresses, which may contain a secret."""
    import requests

    status = _status(error)
    if status is not None:
        return f"the hub answers {status}"
    cause = _cause(error)
    if isinstance(cause, requests.exceptions.Timeout):
        return "the hub does not answer in time"
    if isinstance(cause, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(cause, requests.RequestException):
        return "the hub cannot be reached"
    if _is_short(cause):
        return "the connection was cut"
    return str(cause).split("\n")[0]


def _files(client: Any, kind: Kind, repository: str, revision: str) -> list[str]:
    names = client.HfApi().list_repo_files(
        repository, repo_type=kind.removesuffix("s"), revision=revision
    )
    return sorted(names)


def _shards_on_hub(files: Sequence[str], config: str) -> int | None:
    pattern = re.compile(rf"{re.escape(config)}/train-(\d{{5}})-of-(\d{{5}})\.parquet")
    shards = {match[1]: int(match[2]) for file in files if (match := pattern.fullmatch(file))}
    counts = set(shards.values())
    return counts.pop() if counts == {len(shards)} else None


def _sentence(  # noqa: PLR0911  one sentence for each kind of failure
    error: BaseException,
    client: Any,
    kind: Kind,
    repository: str,
    revision: str,
    file: str | None,
) -> InputError:
    """One sentence for whatever a request to the hub raised."""
    if isinstance(error, InputError):
        return error
    errors, cause, status = client.errors, _cause(error), _status(error)
    what = f"{file} of {repository}" if file else repository
    path = repository if kind == "models" else f"datasets/{repository}"
    token = "HF_TOKEN" if client.get_token() else "HF_TOKEN, which is not set"
    if isinstance(cause, errors.GatedRepoError):
        return InputError(
            f"{repository} is gated: ask for access at https://huggingface.co/{path} with the "
            f"account of your token ({token})"
        )
    if isinstance(cause, errors.RepositoryNotFoundError):
        return InputError(
            f"the hub shows no repository {path} to you; correct its name or, if it is private, "
            f"give a token that may read it ({token})"
        )
    if isinstance(cause, errors.RevisionNotFoundError):
        return InputError(f"{repository} has no revision '{revision}'; correct it")
    if isinstance(cause, errors.EntryNotFoundError) and file:
        return _missing(client, kind, repository, revision, file)
    if status in (401, 403):
        return InputError(
            f"the hub refuses {what}: the token is not accepted or may not read it; renew it "
            f"({token})"
        )
    if status is not None:
        return InputError(f"{what}: {_reason(error)}, after several attempts; try again later")
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return InputError(
            f"{what} did not fit onto the disk of {FOLDER} ({cause.strerror}); free some, or make "
            "'resources' a link to a larger disk"
        )
    if isinstance(cause, PermissionError):
        return InputError(f"{what} cannot be written ({cause.strerror}); allow it")
    if isinstance(cause, _WrongBytesError):
        return InputError(f"{cause}, after several attempts; try again later, or another mirror")
    if _pause(error) is not None:
        return InputError(
            f"{what}: {_reason(error)}; run `snakemake fetch` on a machine with a network, or name "
            "a mirror (HF_ENDPOINT)"
        )
    raise error


def _missing(client: Any, kind: Kind, repository: str, revision: str, file: str) -> InputError:
    """Why a file is missing: weights in pickles, another number of shards, or a wrong name."""
    files = _files(client, kind, repository, revision)
    pickles = [name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if file.endswith(".safetensors") and pickles:
        how = "docs/data.md" if file == "model.safetensors" else "docs/no_training.md"
        return InputError(
            f"{repository} has no {file} at {revision}, only pickles ({', '.join(pickles)}), which "
            "can run code when they are loaded; name a repository or revision with safetensors, or "
            f"convert it ({how})"
        )
    shard = re.fullmatch(r"(.+)/train-\d{5}-of-(\d{5})\.parquet", file)
    count = _shards_on_hub(files, shard[1]) if shard else None
    if shard and count:
        return InputError(
            f"{repository} has {count} shards of {shard[1]} at {revision}, and the table of shards "
            f"says {int(shard[2])}; refresh it with `langarith shards {repository} {shard[1]} "
            f"--revision {revision}`"
        )
    return InputError(f"{repository} has no file {file} at {revision}{did_you_mean(file, files)}")
