"""One provenance record per job."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import resource
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from langarith import progress
from langarith.errors import InputError, InputWarning, gathered_warnings
from langarith.files import LARGE, read_json, remove_partial, sha256, write_json
from langarith.jobs.fingerprint import CHECKOUT, LIBRARY

_PACKAGES = ("torch", "transformers", "adapters", "tokenizers", "safetensors", "numpy", "snakemake")


def record_path(output: str | Path) -> Path:
    """Path of the record of a job, beside its first output."""
    return Path(f"{output}.provenance.json")


def describe(paths: Iterable[str], memory: Path | None = None) -> dict[str, dict[str, Any]]:
    """Size, time and SHA-256 of files; files with a current record are not hashed again.

    Args:
        paths: files, or folders, which mean all files in them.
        memory: folder that caches the hashes of large files that no job has made, so that a base
            model of the user's is hashed only by the first job that reads it.
    """
    described = {}
    for name in dict.fromkeys(paths):
        path = Path(name)
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
        for file in files:
            described[str(file)] = _recorded(file) or _measured(file, memory)
    return described


def _recorded(path: Path) -> dict[str, Any] | None:
    """The entry of a file in the record beside it, if size and time still agree."""
    for record in (record_path(path), path.parent / "provenance.json"):
        if record.is_file():
            with suppress(InputError, KeyError, TypeError):  # no record: the file is hashed
                entry = _read_record(record, record.stat().st_mtime_ns)["outputs"].get(str(path))
                if entry and _agrees(entry, path):
                    return entry
    return None


@cache
def _read_record(path: Path, _: int) -> Any:
    """A record, cached since a job may read many of its files; the time distinguishes versions."""
    return read_json(path)


def _agrees(entry: Mapping[str, Any], path: Path) -> bool:
    stat = path.stat()
    return (entry["size"], entry["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)


def _measured(path: Path, memory: Path | None) -> dict[str, Any]:
    stat = path.stat()
    cache_file = None
    if memory is not None and stat.st_size >= LARGE:
        cache_file = memory / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
        if cache_file.is_file():
            with suppress(InputError, KeyError, TypeError):
                cached = read_json(cache_file)
                if _agrees(cached, path):
                    return {key: cached[key] for key in ("sha256", "size", "mtime_ns")}
    measured = {"sha256": sha256(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if cache_file is not None:
        write_json(cache_file, {"path": str(path), **measured})
    return measured


def _git() -> dict[str, Any] | None:
    """Commit of the code, and whether it had changes; None outside a repository.

    Changes are those of tracked files, and untracked files of the library: a merge method that was
    added is one.
    A library that was installed by itself may lie in an environment within a user's repository,
    whose commit says nothing about it.
    """
    if CHECKOUT is None:
        return None
    try:
        status = _git_lines("status", "--porcelain=v2", "--branch", "-uno")
        added = _git_lines("ls-files", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        return None
    commit = next(line.split()[-1] for line in status if line.startswith("# branch.oid"))
    changed = any(not line.startswith("#") for line in status)
    return {"commit": commit, "dirty": changed or bool(added)}


def _git_lines(*words: str) -> list[str]:
    """What git prints of the library's folder and its repository."""
    command = ["git", "-C", str(LIBRARY), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.splitlines()


def _versions() -> dict[str, str]:
    """Versions by the names of installed packages' folders: importlib.metadata takes 40 ms."""
    versions = {"python": platform.python_version()}
    for folder in filter(os.path.isdir, sys.path):
        for name in os.listdir(folder):
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                if package in _PACKAGES:
                    versions.setdefault(package, version)
    return {name: versions[name] for name in ("python", *_PACKAGES) if name in versions}


def _device() -> dict[str, str]:
    """The device that the job computed on: a GPU that it did not touch does not count."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return {"device": "cuda", "name": torch.cuda.get_device_name()}
    return {"device": "cpu", "name": platform.processor() or platform.machine()}


def _precision(parameters: Any) -> str | None:
    """The floating-point format that the job computed in, if it loaded a model."""
    devices = sys.modules.get("langarith.models.devices")
    requested = next(iter(_values(parameters, ("precision",))), None)
    return devices.precision(requested, devices.device()) if devices and requested else None


def _seed(wildcards: Mapping[str, str], parameters: Any) -> int | None:
    """The seed of a job: its wildcard, or the one that its parameters name."""
    if "seed" in wildcards:
        return int(wildcards["seed"])
    return next(iter(_values(parameters, ("seed", "init_seed"))), None)


def _values(parameters: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    """Values of some keys, anywhere in nested parameters."""
    if isinstance(parameters, Mapping):
        for key, value in parameters.items():
            if key in keys and not isinstance(value, Mapping | list):
                yield value
            yield from _values(value, keys)
    elif isinstance(parameters, list):
        for item in parameters:
            yield from _values(item, keys)


def _revisions(parameters: Any) -> dict[str, str]:
    """Revision by repository, anywhere in nested parameters or wildcards."""
    revisions: dict[str, str] = {}
    if isinstance(parameters, Mapping):
        source = parameters.get("repository") or parameters.get("path")
        if source and parameters.get("revision"):
            revisions[str(source)] = str(parameters["revision"])
        parameters = list(parameters.values())
    if isinstance(parameters, list):
        for item in parameters:
            revisions |= _revisions(item)
    return revisions


def _study(record: Path) -> tuple[str | None, Path | None]:
    """Name of the study that a record belongs to, and its results folder."""
    for folder in record.absolute().parents:
        if (folder / "study.json").is_file():
            return read_json(folder / "study.json").get("name"), folder
    return None, None


def _full_disk(error: BaseException) -> str | None:
    """A sentence for an error that says that the disk is full or a quota used up; else None."""
    # libraries written in Rust or C++ give the system's words, and no number of the error
    for reason in map(os.strerror, (errno.ENOSPC, errno.EDQUOT)):
        if reason.lower() in str(error).lower():
            where = getattr(error, "filename", None) or "results_dir or checkpoint_dir"
            return f"{where}: {reason.lower()}; free some space and run again"
    return None


@contextmanager
def job(snakemake: Any, also: str = "") -> Iterator[list[InputWarning]]:
    """Run a script's work: log its output, record its inputs and outputs, and report its errors.

    Yields the warnings about its data, which grow while it runs and are in the log.

    The console gets progress and, for a user's mistake, one sentence; everything goes to the log.
    The record is written last, to the output named `record`: it exists only for a complete job.

    Args:
        also: a glob pattern of outputs next to the record that the rule cannot declare, since the
            job decides which it writes.
    """
    progress.redirect_to(snakemake.log[0])
    remove_partial(map(str, snakemake.output))
    started, clock = datetime.now(UTC), time.perf_counter()
    try:
        with gathered_warnings(lambda w: print(f"Warning: {w}", file=sys.stderr)) as warnings:
            yield warnings
    except InputError as error:
        progress.say(f"Error in {snakemake.rule}: {error}")
        sys.exit(1)
    except Exception as error:
        if not (full := _full_disk(error)):
            raise
        traceback.print_exc()  # to the log
        progress.say(f"Error in {snakemake.rule}: {full}")
        sys.exit(1)
    seconds, ended = time.perf_counter() - clock, datetime.now(UTC)
    outputs = [str(path) for path in snakemake.output if str(path) != str(snakemake.output.record)]
    if also:
        beside = map(str, sorted(Path(snakemake.output.record).parent.glob(also)))
        outputs = list(dict.fromkeys([*outputs, *beside]))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    wildcards = dict(snakemake.wildcards.items())
    parameters = plain(dict(snakemake.params.items()))
    study, results = _study(Path(snakemake.output.record))
    memory = results / "hashes" if results else None
    record = {
        "rule": snakemake.rule,
        # Snakemake runs a copy of the script and leaves the name of the original here
        "script": Path(sys.modules["__main__"].__dict__.get("__file__") or snakemake.rule).stem,
        "study": study,
        "wildcards": wildcards,
        "inputs": describe((str(path) for path in snakemake.input), memory),
        "outputs": describe(outputs),
        "parameters": parameters,
        "seed": _seed(wildcards, parameters),
        "revisions": _revisions([wildcards, parameters]),
        "log": str(snakemake.log[0]),
        "git": _git(),
        "versions": _versions(),
        "host": socket.gethostname(),
        **_device(),
        "precision": _precision(parameters),
        "threads": snakemake.threads,
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "requested": {
            name: amount
            for name in ("runtime", "mem_mb", "gpu")
            if isinstance(amount := getattr(snakemake.resources, name, None), int)
        },
        "attempt": getattr(snakemake.resources, "attempt", 1),
        "start": started.isoformat(timespec="seconds"),
        "end": ended.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_memory_mb": round(usage.ru_maxrss / 1024, 1),
    }
    write_json(snakemake.output.record, record)


def plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
