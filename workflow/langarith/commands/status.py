"""`langarith status`: what a run has done, what it does, when it ends, how its trainings go.

A job is complete when its last output is there, newer than the plan of the run (`logs/run.json`);
it runs when its log is newer than the plan. So the same files answer on a laptop and, beside
squeue, on a cluster.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith.audit.prov import label
from langarith.cluster import runs
from langarith.cluster.slurm import last_lines
from langarith.errors import InputError
from langarith.jobs import gpus
from langarith.jobs.records import records
from langarith.layout import is_sweep
from langarith.planning import plan, speed
from langarith.progress import aligned, duration
from langarith.study import loading
from langarith.study.resolved import study_of
from langarith.training import logs, signals

DONE, RUNS, WAITS, FAILED = "done", "running", "waiting", "failed"
STATES = (DONE, RUNS, WAITS, FAILED)

SHOWN = 12
"""Trainings that fit on a screen beside the jobs; failed jobs a third of it."""

PROGRESS = re.compile(r": \w+ \d+ of \d+(.*, (?P<left>[\d.]+) (?P<unit>s|min|h) to go)?")
SAVED = re.compile(r"\s*" + signals.SAVED.format(what=r"(?P<what>\S.*)", step=r"(?P<step>\d+)"))
UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Job:
    """A planned job with its state. Where its log says how far it is: that line, seconds left.

    written: when a running job's log was last written, seconds since 1970.
    """

    planned: runs.Planned
    state: str
    said: str = ""
    left: float | None = None
    written: float = 0.0


@dataclass(frozen=True)
class Training:
    """The newest values of a training's metrics log, as text; when it was written."""

    name: str
    step: int
    loss: str
    validation: str
    changed: float


def find(where: Path | None, overrides: Mapping[str, Any] | None = None) -> Path:
    """The results folder that is meant: itself, a study's, or that of the newest run.

    Raises:
        InputError: there is none.
    """
    if where is not None and where.suffix in (".yaml", ".yml"):
        return Path(loading.load(where, overrides).results_dir)
    if where is not None and overrides:
        raise InputError(
            f"--limit: {where} is a results folder; name a study, or leave --limit out"
        )
    if where is not None:
        return where
    newest = max(
        (path for deep in ("results*", "results*/*") for path in Path().glob(f"{deep}/study.json")),
        key=lambda path: path.stat().st_mtime,
        default=None,
    )
    if newest is None:
        raise InputError("no results here; name a results folder or a study")
    return newest.parent


def report(results: Path, every: bool = False) -> Iterator[str]:
    """The status of the newest run in a results folder, as lines.

    Args:
        every: all trainings, not only as many as fit on a screen.

    Raises:
        InputError: no study has run there.
    """
    study_of(results)
    going_on = runs.goes_on(results)
    try:
        run = runs.read(results)
    except InputError as error:
        run = None
        yield str(error)
    if run is None:
        done = Counter(record["rule"] for record, _ in records(results))
        yield f"{results}: jobs recorded: {done.total()}; no plan of a run ({runs.PLAN})"
    else:
        jobs = states(results, run, going_on)
        yield from _run_lines(results, run, jobs, going_on)
    trainings = find_trainings(results)
    if trainings:
        yield ""
        yield from _training_lines(trainings if every else trainings[:SHOWN])
        if len(trainings) > SHOWN and not every:
            yield f"and {len(trainings) - SHOWN} more (--all)"


# --- jobs -----------------------------------------------------------------------------------------


def states(results: Path, run: runs.PlannedRun, going_on: bool = True) -> list[Job]:
    """The state of each job of a run, in the order of the plan.

    Args:
        going_on: whether the run has not ended; a job that it was running when it ended waits.
    """
    begun = (results / runs.PLAN).stat().st_mtime
    failed = runs.read_failed(results)
    found = [_state(results, job, begun, failed.get(job.log, 0.0)) for job in run.jobs]
    if going_on:
        return found
    return [Job(job.planned, WAITS) if job.state == RUNS else job for job in found]


def _state(results: Path, job: runs.Planned, begun: float, failed: float) -> Job:
    if _time(results / job.output) >= begun:
        return Job(job, DONE)
    written = _time(results / job.log) if job.log else 0.0
    if failed >= max(written, begun):
        return Job(job, FAILED)
    if written < begun:
        return Job(job, WAITS)
    for line in reversed(last_lines(results / job.log)):
        if match := PROGRESS.search(line):
            if match["left"] is None:  # the first line
                return Job(job, RUNS, line.strip(), written=written)
            left = float(match["left"]) * UNITS[match["unit"]] - (time.time() - written)
            return Job(job, RUNS, line.strip(), max(0.0, left), written)
    return Job(job, RUNS, written=written)


def _time(path: Path) -> float:
    """When a file was last written; 0 if it is missing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _run_lines(
    results: Path, run: runs.PlannedRun, jobs: Sequence[Job], going_on: bool
) -> Iterator[str]:
    counts = Counter(job.state for job in jobs)
    begun = _time(results / runs.PLAN)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(begun))
    where = (
        f"with {run.at_once} jobs at once on a cluster"
        if run.cluster
        else (f"on {run.at_once} core{'s' * (run.at_once > 1)}")
    )
    if going_on:
        state = f"running for {duration(time.time() - begun)}"
    elif counts[DONE] == len(jobs):
        last = max((_time(results / job.planned.output) for job in jobs), default=begun)
        state = f"all done after {duration(max(0.0, last - begun))}"
    else:
        state = "has ended with jobs left; the same command continues"
    yield f"{results}: run of {at}, {where} ({run.host}): {state}"
    yield ""
    yield from aligned(
        [
            ("jobs", *STATES, "of"),
            *_rows(jobs),
            ("all", *(f"{counts[s]}" for s in STATES), f"{len(jobs)}"),
        ],
        right=range(1, 6),
    )
    if run.cluster and (queue := _queue(run.cluster)):
        yield f"SLURM: {queue}"
    if going_on and counts[DONE] < len(jobs):
        yield _end(results, run, jobs)
    if not going_on and counts[DONE] < len(jobs):
        ended = [job for job in states(results, run) if job.state == RUNS]
        yield from _kept(filter(None, (_saved(results, job) for job in ended)))
    said = [job.said for job in jobs if job.said]
    yield from (f"    {line}" for line in said[: SHOWN // 2])
    if len(said) > SHOWN // 2:
        yield f"    and {len(said) - SHOWN // 2} more"
    failed = [job.planned.log for job in jobs if job.state == FAILED and job.planned.log]
    for log in failed[: SHOWN // 3]:
        yield f"failed: {results / log}"
    if len(failed) > SHOWN // 3:
        yield f"and {len(failed) - SHOWN // 3} more failed jobs"


def _rows(jobs: Iterable[Job]) -> Iterator[tuple[str, ...]]:
    """A row per kind of job, in the order of the data flow; one row for all after the sweeps."""
    kinds: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: plan.flow_order(job.planned.rule)):
        late = plan.flow_order(job.planned.rule)[0] == len(plan.FLOW)
        kinds["tables, figures, pages" if late else _kind(job)].append(job)
    for name, members in kinds.items():
        counts = Counter(job.state for job in members)
        yield name, *(f"{counts[state] or '-'}" for state in STATES), f"{len(members)}"


def _kind(job: Job) -> str:
    rule = job.planned.rule
    return "sweeps" if is_sweep(rule) else label(rule)


def stopped(results: Path) -> Iterator[str]:
    """What the newest run was doing when it was interrupted, as two lines at most."""
    run = runs.read(results)
    jobs = [job for job in states(results, run) if job.state == RUNS] if run else []
    saved = [_saved(results, job) for job in jobs]
    yield from _kept(filter(None, saved))
    lost = Counter(_kind(job) for job, step in zip(jobs, saved, strict=True) if not step)
    begins = ", ".join(f"{kind} ({count})" for kind, count in lost.items())
    yield f"To continue, run the same command{f'. From the beginning: {begins}' if begins else ''}"


def _saved(results: Path, job: Job) -> str:
    """The training of a job and the step at which a signal made it save; empty if none did."""
    said = map(SAVED.match, reversed(last_lines(results / job.planned.log)))
    last = next(filter(None, said), None)
    return f"{last['what']} at step {last['step']}" if last else ""


def _kept(saved: Iterable[str]) -> Iterator[str]:
    if named := list(saved):
        more = f" and {len(named) - SHOWN // 2} more" if len(named) > SHOWN // 2 else ""
        yield f"Stopped and kept in checkpoints: {', '.join(named[: SHOWN // 2])}{more}"


def _queue(name: str) -> str:
    """How many jobs of a run SLURM has in each state; empty where it does not answer."""
    if shutil.which("squeue") is None:
        return ""
    command = ["squeue", "--noheader", "--name", name, "--format=%T"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        return ""
    found = Counter(asked.stdout.lower().split())
    return ", ".join(f"{count} {state}" for state, count in found.most_common()) or "no job queued"


def _end(results: Path, run: runs.PlannedRun, jobs: Sequence[Job]) -> str:
    """When the run will have ended, from recorded jobs and the speeds that plans have measured."""
    place = plan.Place("cuda" if _uses_gpus(run) else "cpu", here=not run.cluster)
    here = str(results.absolute())
    try:
        with chdir(run.folder):  # the study names its files from there
            study = loading.load(run.study, run.overrides)
            study = study.model_copy(update={"results_dir": here})

            def timed(of: Iterable[runs.Planned]) -> list[plan.Stage]:
                asked = [plan.Pending(job.rule, f"{here}/{job.output}", "") for job in of]
                return plan.stages(study, asked, place, measure=False)

            running = [job for job in jobs if job.state == RUNS]
            each = {stage.rule: stage.seconds for stage in timed(job.planned for job in running)}
            planned = timed(job.planned for job in jobs if job.state in (WAITS, FAILED))
    except (InputError, OSError):
        return f"When it will end is unknown: {run.study} in {run.folder} cannot be read now"
    left = [_left(job, each[job.planned.rule]) for job in running]
    seconds = plan.wall(planned, run.at_once, place) + max(filter(None, left), default=0.0)
    unknown = sum(stage.jobs for stage in planned if stage.seconds is None) + left.count(None)
    day = "%a" if seconds < 6 * 86400 else "%a %d %b"
    end = time.strftime(f"{day} %H:%M", time.localtime(time.time() + seconds))
    assumed = any("assumed" in stage.source for stage in planned)
    by = "; where no time is recorded, at the speed of an A100" if assumed else ""
    if unknown:
        least = f"At least {duration(seconds)}" if seconds else "An unknown time"
        jobs_of = "1 job is" if unknown == 1 else f"{unknown} jobs are"
        return f"{least} left: {jobs_of} of a kind that has not run yet{by}"
    return f"About {duration(seconds)} left, until {end}{by}"


def _left(job: Job, each: float | None) -> float | None:
    """Seconds that a running job has left; None where the time of its kind is unknown.

    Args:
        each: how long a job of its kind takes.
    """
    if job.left is not None or each is None:
        return job.left
    return max(0.0, each - (time.time() - job.written))


def _uses_gpus(run: runs.PlannedRun) -> bool:
    return not gpus.allow_cpu() if run.cluster else speed.has_gpu()  # as the plan


# --- trainings ------------------------------------------------------------------------------------


def find_trainings(results: Path) -> list[Training]:
    """Every training with a metrics log, the one that wrote last first."""
    found = [
        _training(log.name, log.rows, log.path.stat().st_mtime) for log in logs.of_study(results)
    ]
    return sorted(found, key=lambda training: -training.changed)


def _training(name: str, rows: Sequence[Mapping[str, Any]], changed: float) -> Training:
    newest: dict[str, Any] = {}
    for row in rows:
        newest |= row
    validation = [
        f"{key.removeprefix('validation_')} {_value(value)}"
        for key, value in newest.items()
        if key.startswith("validation_")
    ]
    loss = _value(newest["loss"]) if "loss" in newest else "-"
    return Training(name, int(newest["step"]), loss, ", ".join(validation) or "-", changed)


def _value(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _training_lines(trainings: Sequence[Training]) -> Iterator[str]:
    rows = [("trainings, the newest first", "step", "loss", "validation", "written")]
    for training in trainings:
        ago = f"{duration(max(0.0, time.time() - training.changed))} ago"
        rows.append((training.name, f"{training.step}", training.loss, training.validation, ago))
    yield from aligned(rows, right=(1, 2))
