"""`langarith doctor`: whether this machine can run a study, one line per question."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from langarith.cluster import slurm
from langarith.errors import InputError
from langarith.jobs import gpus, warm
from langarith.jobs.fingerprint import CHECKOUT
from langarith.planning import disk
from langarith.progress import size_of
from langarith.study import schema

LOCK = CHECKOUT / "envs/requirements.lock" if CHECKOUT else None

OLDEST = (3, 11)
"""Version of Python."""

HUB = "https://huggingface.co"
HUB_TIMEOUT = 5.0
"""Seconds."""

WARM_TIMEOUT = 120.0
"""Seconds: imports from a file server can be slow."""


@dataclass(frozen=True)
class Finding:
    """An answer. `state`: `ok`, `note` where a user may want to know, `fails` where jobs will."""

    state: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:5}  {self.what:10}  {self.text}"


def report(study: schema.Study | None = None) -> list[str]:
    """All findings as lines.

    Args:
        study: one whose disk space is looked at.

    Raises:
        InputError: the same lines, if something fails.
    """
    found = [
        _python(),
        _packages(),
        *_torch(),
        *_disk(study),
        *_slurm(),
        _hub(),
        _warm(),
    ]
    lines = [str(finding) for finding in found]
    if any(finding.state == "fails" for finding in found):
        raise InputError("\n".join(lines))
    return lines


def _python() -> Finding:
    version = platform.python_version()
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return Finding("fails", "Python", f"{version}; 3.11 or newer is needed: make PYTHON=...")
    return Finding("ok", "Python", f"{version}, {sys.executable}")


def _packages(lock: Path | None = LOCK) -> Finding:
    """The installed packages against the lock; builds of one version (+cpu, +cu126) are equal."""
    if lock is None and find_spec("snakemake") is None:
        text = "the library alone; for studies: pip install '.[workflow]' in a clone"
        return Finding("note", "packages", text)
    if lock is None or not lock.is_file():
        return Finding("note", "packages", "no envs/requirements.lock to compare versions with")
    wanted = re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.M)
    missing, other = [], []
    for name, version in wanted:
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed.partition("+")[0] != version.partition("+")[0]:
            other.append(f"{name} {installed} (lock: {version})")
    if missing:
        return Finding("fails", "packages", f"missing: {', '.join(missing)}; run make environment")
    if other:
        return Finding("note", "packages", f"not as in {lock.name}: {', '.join(other)}")
    return Finding("ok", "packages", f"all {len(wanted)} as in envs/{lock.name}")


def _torch() -> Iterator[Finding]:
    """The build of torch, and whether it can use the GPU that this machine has."""
    try:
        import torch

        from langarith.models import devices
    except (ImportError, OSError) as error:
        yield Finding("fails", "torch", f"cannot be imported: {error}")
        return
    cuda = torch.version.cuda
    built = f"for CUDA {cuda}" if cuda else "built without CUDA"
    yield Finding("ok", "torch", f"{torch.__version__}, {built}")
    given = gpus.given()
    if torch.cuda.is_available():
        yield Finding("ok", "GPU", torch.cuda.get_device_name())
    elif given and not gpus.allow_cpu():
        reason = f"{given}, and torch cannot use it: {devices.why_no_gpu()}"
        yield Finding("fails", "GPU", f"{reason}; docs/slurm.md, 'A torch for your GPUs'")
    elif given:
        yield Finding("note", "GPU", f"{given}, not used: {gpus.ALLOW_CPU} is set")
    else:
        yield Finding("ok", "GPU", "none here: jobs on this machine compute on the CPU")


def _disk(study: schema.Study | None) -> Iterator[Finding]:
    if study is None:
        yield Finding("ok", "disk", f"{size_of(shutil.disk_usage('.').free)} free here")
        return
    problems = list(disk.problems(study))
    for problem in problems:
        yield Finding("fails", "disk", problem)
    if not problems:
        for line in disk.lines(study):
            yield Finding("ok", "disk", line.removeprefix("disk: "))


def _slurm(profile: Path | None = None) -> Iterator[Finding]:
    """Partitions and account of the profile, as the cluster knows them."""
    if shutil.which("sinfo") is None:
        yield Finding("note", "SLURM", "no sinfo on the PATH: this is no login node of a cluster")
        return
    try:
        partitions = slurm.partitions()
    except InputError as error:
        if slurm.NOT_CONFIGURED in str(error):
            text = f"{error}: --profile slurm cannot be used on this machine"
            yield Finding("note", "SLURM", text)
        else:
            yield Finding("fails", "SLURM", str(error))
        return
    own = Path(slurm.PROFILE)  # of a folder whose Snakefile imports the workflow
    path = profile or (own if own.is_file() or CHECKOUT is None else CHECKOUT / own)
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    asked = sorted(set(_values(settings, "slurm_partition")))
    unknown = [name for name in asked if not set(name.split(",")) <= set(partitions)]
    known = ", ".join(partitions)
    if unknown:
        yield Finding(
            "fails",
            "SLURM",
            f"{slurm.PROFILE}: no partition {', '.join(unknown)}; this cluster has {known}",
        )
    else:
        yield Finding("ok", "SLURM", f"partitions {known}; the profile uses {', '.join(asked)}")
    for account in sorted(set(_values(settings, "slurm_account"))):
        try:
            slurm.refuse_account(account)
            yield Finding("ok", "account", account)
        except InputError as error:
            yield Finding("fails", "account", str(error))


def _values(settings: Any, key: str) -> Iterator[str]:
    """Values of a key anywhere in nested settings."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            if name == key:
                yield str(value)
            else:
                yield from _values(value, key)


def _hub() -> Finding:
    address = os.environ.get("HF_ENDPOINT", HUB)
    asked = urllib.request.Request(address, method="HEAD")  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=HUB_TIMEOUT):  # noqa: S310
            pass
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Finding(
            "note", "hub", f"{address} does not answer ({reason}): only `make fetch` needs it"
        )
    return Finding("ok", "hub", f"{address} answers")


def _warm() -> Finding:
    """Start a warm process, as a run does, and wait until it takes jobs."""
    if find_spec("datasets") is None:
        return Finding("note", "warm start", "not needed: no jobs run in this environment")
    if sys.platform != "linux":
        return Finding("note", "warm start", "needs Linux: each job imports the libraries itself")
    if os.environ.get(warm.OWNER_VARIABLE) == "off":
        return Finding("note", "warm start", f"switched off by {warm.OWNER_VARIABLE}=off")
    started = time.monotonic()
    process = warm.launch(os.getpid())
    try:
        while time.monotonic() - started < WARM_TIMEOUT:
            if _answers(warm.address(os.getpid())):
                seconds = time.monotonic() - started
                return Finding("ok", "warm start", f"libraries imported in {seconds:.1f} s")
            if process.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    return Finding(
        "note",
        "warm start",
        "the process ended: each job imports the libraries itself"
        if process.returncode not in (0, -signal.SIGKILL)
        else f"not ready after {WARM_TIMEOUT} s: the machine is slow or busy",
    )


def _answers(address: str) -> bool:
    """Whether a process listens at an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(address)
        except OSError:
            return False
    return True
