"""What a run of Snakemake has to do, written at its start, and what it made, named at its end.

`logs/run.json` in the results folder lists the planned jobs: `langarith status` compares it with
the files that are there. `logs/failed.txt` has a line for each attempt that failed: when, and its
log.
"""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import socket
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from langarith.errors import InputError
from langarith.files import read_json, write_text
from langarith.study.resolved import study_of

PLAN, FAILED, LOCK = "logs/run.json", "logs/failed.txt", "logs/lock"
"""Below the results folder. The lock is held by a run as long as it goes on."""


Read = TypeVar("Read")


@dataclass(frozen=True)
class Planned:
    """A job of a run: its log and its last output, which is there only if the job is complete.

    Paths are relative to the results folder; downloads lie outside. `log` is empty for a job
    without one.
    """

    rule: str
    log: str
    output: str


@dataclass(frozen=True)
class PlannedRun:
    """A run as it was planned at its start, which is the time of the file.

    at_once: cores or, on a cluster, jobs that run in parallel.
    cluster: name of its jobs in the queue of SLURM; empty for a run on one machine. study: the file
    of the study, relative to `folder`, where Snakemake was started.
    """

    host: str
    at_once: int
    cluster: str
    study: str
    overrides: Mapping[str, Any]
    folder: str
    jobs: Sequence[Planned] = field(default_factory=tuple)


def begin(
    results: Path,
    jobs: Iterable[tuple[str, Sequence[str], Sequence[str]]],
    *,
    at_once: int,
    cluster: str,
    study: str,
    overrides: Mapping[str, Any],
) -> bool:
    """Write the plan of a run that starts now; False, and none, for one that makes no file.

    Args:
        jobs: rule, logs and outputs of each job; one without outputs is left out.
    """

    def below(path: str) -> str:
        return os.path.relpath(path, results)

    planned = [
        Planned(rule, below(logs[0]) if logs else "", below(outputs[-1]))
        for rule, logs, outputs in jobs
        if outputs
    ]
    if not planned:
        return False  # `check` and `plan`: that of the last run stays
    run = PlannedRun(
        socket.gethostname(),
        at_once,
        cluster,
        study,
        dict(overrides),
        os.getcwd(),
        planned,
    )
    (results / FAILED).unlink(missing_ok=True)
    write_text(results / PLAN, json.dumps(asdict(run), indent=0, default=str) + "\n")
    return True


def note_failed(results: Path, logs: Iterable[str]) -> None:
    """Add the logs of a job whose attempt has failed now."""
    with (results / FAILED).open("a", encoding="utf-8") as file:
        file.writelines(f"{time.time()} {os.path.relpath(log, results)}\n" for log in logs)


def read(results: Path) -> PlannedRun | None:
    """The newest run in a results folder; None where none has left its plan.

    Raises:
        InputError: the file is no plan of a run.
    """
    path = results / PLAN
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        jobs = [_known(Planned, job) for job in data["jobs"]]
        return _known(PlannedRun, data | {"jobs": jobs})
    except (AttributeError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{path}: no plan of a run; the next run writes it anew") from error


def _known(kind: Callable[..., Read], data: Mapping[str, Any]) -> Read:
    """A dataclass from a mapping that another version may have written with further keys."""
    fields = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in data.items() if name in fields})


def read_failed(results: Path) -> dict[str, float]:
    """When the last failed attempt of each job ended (seconds since 1970), by the job's log."""
    path = results / FAILED
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {log: float(when) for when, log in (line.split(" ", 1) for line in lines)}


def goes_on(results: Path) -> bool:
    """Whether a run holds the lock of a results folder, on this machine or on another one.

    Where the file system has no locks, the newest run is taken to have ended.
    """
    try:
        with (results / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# --- what there is to look at ---------------------------------------------------------------------

WIDTH = 92


def made(results: Path, since: float = 0.0) -> list[str]:
    """Names of the figures, tables and pages of a study, by kind; empty if there is none.

    Args:
        since: seconds since 1970; older files are left out.
    """
    lines: list[str] = []
    for kind, folder, suffixes in (
        ("Figures", "figures", (".pdf", ".png")),
        ("Tables", "tables", (".md", ".tex")),
    ):
        files = [path for path in (results / folder).glob("*.*") if path.stat().st_mtime >= since]
        names = sorted({path.stem for path in files if path.suffix in suffixes})
        data = {path.stem for path in files if path.suffix == ".csv"}
        if names or data:
            beside = f"; .csv: {len(data)}" if data else ""
            lines.append(f"{kind} in {results / folder} ({', '.join(suffixes)}{beside}):")
            listed = ", ".join(names or sorted(data))
            wrapped = textwrap.wrap(listed, WIDTH, break_on_hyphens=False)
            lines += [f"    {line}" for line in wrapped]
    pages = [results / "report.html", results / "provenance/index.html", results / "crate.zip"]
    pages = [page for page in pages if page.is_file() and page.stat().st_mtime >= since]
    if pages:
        lines += ["Pages:", *(f"    {page}" for page in pages)]
    return lines


def made_by_last(results: Path) -> list[str]:
    """The same of what the newest run made; of a limited run also that it was one."""
    lines = made(results, (results / PLAN).stat().st_mtime)
    if lines and study_of(results).get("limit"):
        lines.append("This was a limited run: its scores mean nothing.")
    return lines
