"""The jobs a run would execute, why and for how long, before anything is submitted.

The jobs come from a Snakemake summary. The time of a job follows from the operations that it counts
(:mod:`langarith.planning.work`) and from the seconds that an operation took in recorded jobs of the
same rule, model, device and precision or, without such records, takes on this machine, which is
measured (:mod:`langarith.planning.speed`). For a cluster an assumed speed stands for the latter.
Other jobs take the mean of the recorded jobs of their rule.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langarith import layout
from langarith.errors import InputError
from langarith.jobs import gpus
from langarith.jobs.fingerprint import CHECKOUT
from langarith.planning import costs, disk, recorded_times, speed, work
from langarith.planning.recorded_times import LOAD
from langarith.progress import aligned, duration
from langarith.study import loading, schema

FLOW = (
    "download",
    "write_miniature",
    "check_",
    "train_tokenizer",
    "tokenize",
    "pretrain",
    "initialise",
    "leave_out",
    "train_language",
    "train_task",
    "estimate_fisher",
    "sweep",
    "score",
)
"""Beginnings of the names of rules, in the order in which data flows; tables and figures last."""

STATES = {
    "ok": "an upstream job will run",
    "missing": "no output yet",
    "updated input files": "newer input",
    "set of input files has changed since last creation": "other input",
    "params have changed since last execution": "other parameters or code",
    "code has changed since last execution": "other code",
    "software environment definition has changed since last execution": "other environment",
}
"""Snakemake's status of an output → the reason shown in the plan."""


@dataclass(frozen=True)
class Pending:
    """A job that would run: its rule, the path of its record, why."""

    rule: str
    record: str
    why: str


@dataclass(frozen=True)
class Stage:
    """All pending jobs of a rule. `seconds` is of one job on average, None if unknown.

    longest: seconds of the longest job, 0 where all are taken to be alike.
    source: where the time comes from: `N recorded`, `mean of N recorded`, `measured`, `assumed`.
    gpu: whether the jobs compute on a GPU. `threads`: CPU threads of a job.
    """

    rule: str
    jobs: int
    why: str
    seconds: float | None
    source: str
    gpu: bool
    threads: int = 1
    longest: float = 0.0

    def wall(self, at_once: int, place: Place) -> float:
        """Seconds from the start of the first job to the end of the last one."""
        rounds = self.rounds(at_once, place)
        return place.start * rounds + max((self.seconds or 0.0) * rounds, self.longest)

    def rounds(self, at_once: int, place: Place) -> int:
        """How many of its jobs run one after the other; 0 where their time is unknown."""
        parallel = max(1, at_once // self.threads) if place.here else at_once
        return 0 if self.seconds is None else -(-self.jobs // parallel)


@dataclass(frozen=True)
class Place:
    """Where the planned jobs would run.

    device: `cuda` or `cpu`, of the jobs with a model. `here`: on this machine, whose speed can be
    measured; else on a cluster, whose GPUs are assumed to do `costs.RATE`.
    """

    device: str
    here: bool

    @property
    def start(self) -> float:
        """Seconds from the submission of a job to its first line, which no record counts."""
        return JOB if self.here else costs.START

    def __str__(self) -> str:
        if not self.here:
            return "on GPUs of a cluster"
        listed = gpus.listed_by_driver() if self.device == "cuda" else ()
        return f"on this GPU, {listed[0]}" if listed else "on this CPU"


SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
"""Where Snakemake looks for one."""

JOB, RUN = 0.5, 5.0
"""Seconds of Snakemake and Python around a job here, which is forked from the warm process, and of
the beginning of a run, when Snakemake reads the study: docs/performance.md."""

LONG = 30 * 86400
"""Seconds from which a run on CPUs is too long."""

STEP, SCORE = 0.005, 2e-4
"""Seconds on a CPU, beside the operations, of a step of the Trainer and its optimiser, and of an
example that is decoded and scored: what the miniature's jobs take."""


def pending(snakemake: Sequence[str]) -> list[Pending]:
    """The jobs that a Snakemake command would run, by rule, in the order of the stages.

    Every job writes one provenance record, so the records that would be written are the jobs.

    Raises:
        InputError: with Snakemake's message if it rejects the command.
    """
    outputs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    summary = _output_of([*snakemake, "--detailed-summary"])
    header, *lines = [line.split("\t") for line in summary.splitlines() if line.count("\t") >= 7]
    for line in lines:
        row = dict(zip(header, line, strict=False))
        if row["plan"] == "update pending":
            outputs[row["rule"]].append((row["output_file"], row["status"]))
    return [
        Pending(rule, path, STATES.get(status, status))
        for rule in sorted(outputs, key=flow_order)
        for path, status in outputs[rule]
        if path.endswith("provenance.json")
    ]


def flow_order(rule: str) -> tuple[int, str]:
    """Sort key of a rule: its stage in the data flow (unknown rules last), then its name."""
    stages = (i for i, stage in enumerate(FLOW) if rule.startswith(stage))
    return next(stages, len(FLOW)), rule


def _snakemake() -> list[str]:
    """The command that reads the workflow: the current folder's Snakefile, or the repository's.

    Raises:
        InputError: Snakemake is not installed, or there is no Snakefile.
    """
    program = Path(sys.executable).with_name("snakemake")
    if not program.is_file():
        raise InputError(
            f"langarith plan needs Snakemake, and {program} is not there: use the .venv of a clone "
            "(make environment), or pip install '.[workflow]' in a clone"
        )
    if any(map(os.path.isfile, SNAKEFILES)):
        return [str(program)]
    if CHECKOUT is None:
        raise InputError(
            f"langarith plan: no Snakefile in {Path.cwd()}; run it in a clone of the repository, "
            "or in a folder whose Snakefile imports the workflow: docs/module.md"
        )
    return [str(program), "--snakefile", str(CHECKOUT / "Snakefile")]


def _output_of(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise InputError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def of_study(
    path: Path,
    targets: Sequence[str],
    at_once: int,
    overrides: Mapping[str, Any] | None = None,
    *,
    cluster: bool = False,
) -> list[str]:
    """The plan of a run of a study as lines; see :func:`plan_lines`.

    Args:
        targets: rules or files, as snakemake takes them.
        at_once: cores that jobs share or, on a cluster, jobs that run in parallel.
        overrides: top-level keys given on the command line.
        cluster: jobs run elsewhere, those with a model on GPUs.
    """
    read = loading.load_for_run(path, overrides)
    command = [*_snakemake(), *targets, "--cores", "1", "--configfile", str(path)]
    if overrides:
        command += ["--config", *(f"{key}={value}" for key, value in overrides.items())]
    jobs = pending(command)
    place = Place("cuda", here=False) if cluster and not gpus.allow_cpu() else None
    place = place or Place("cuda" if speed.has_gpu() else "cpu", here=True)
    planned = stages(read, jobs, place)
    written = disk.lines(read, at_once, {str(Path(job.record)) for job in jobs}) if planned else ()
    return [
        *plan_lines(planned, at_once, place),
        *written,
        *_elsewhere(path, planned, at_once, place),
    ]


def _elsewhere(path: Path, planned: Sequence[Stage], at_once: int, place: Place) -> list[str]:
    """How to plan a run on a cluster, where jobs would compute on CPUs for long."""
    if place != Place("cpu", here=True) or wall(planned, at_once, place) < LONG:
        return []
    command = f"snakemake plan --profile slurm --configfile {path}"
    return [f"torch can use no GPU here; the plan of a run on a cluster: {command}"]


def stages(
    study: schema.Study, jobs: Iterable[Pending], place: Place, *, measure: bool = True
) -> list[Stage]:
    """The jobs by rule, with the time of one.

    Args:
        measure: measure the speed of this machine for jobs like none that is recorded, some
            seconds of computing; otherwise the speed that plans have measured here is used.
    """
    by_rule: dict[str, list[Pending]] = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job)
    counter = work.Counter(study)
    recorded = recorded_times.of_study(study, counter, set(by_rule))
    counted = {
        rule: [counter.planned(rule, job.record) for job in members]
        for rule, members in by_rule.items()
        if work.kind(rule) in work.KINDS
    }
    known = {rule: [w for w in of if w] for rule, of in counted.items() if all(of)}
    unrecorded = [
        (rule, w)
        for rule, of in known.items()
        for w in of
        if not recorded.like(rule, w, place.device)
    ]
    speeds = {}
    if place.here:
        file = Path(study.results_dir) / speed.FILE
        cases = list(dict.fromkeys(_case(w) for _, w in unrecorded))
        speeds = (
            speed.measure_all(cases, place.device, file)
            if measure
            else speed.read(place.device, file)
        )
        for rule, w in unrecorded:
            if _case(w) not in speeds:
                known.pop(rule, None)
    planned = []
    for rule, members in by_rule.items():
        seconds, source, threads, longest = None, "", 1, 0.0
        if rule in known:
            timed = [_time(recorded.like(rule, w, place.device), w, speeds) for w in known[rule]]
            times = [seconds for seconds, _ in timed]
            seconds, longest = sum(times) / len(times), max(times)
            source = ", ".join(dict.fromkeys(source for _, source in timed))
            threads = max(w.case.threads for w in known[rule])
        elif rule not in counted and rule in recorded.means:
            found = recorded.means[rule]
            seconds, source = sum(found) / len(found), f"mean of {len(found)} recorded"
        elif rule in ("tokenize_shard", "train_tokenizer"):
            times = _tokenizing(study, members)
            seconds, longest = sum(times) / len(times), max(times)
            source = "size of the text"
        gpu = rule in counted and place.device == "cuda"
        why = _reasons(members)
        planned.append(Stage(rule, len(members), why, seconds, source, gpu, threads, longest))
    return planned


def _reasons(jobs: Iterable[Pending]) -> str:
    """Why jobs would run, with the number of jobs if there are several reasons."""
    counts = Counter(job.why for job in jobs)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{why} ({count})" for why, count in counts.items())


def _case(of: work.Work) -> speed.Case:
    # lengths of languages differ little, and each case takes time
    length = -(-of.case.length // 16) * 16
    return replace(of.case, length=length, rows=of.case.rows if of.case.passes > 1 else 64)


def _time(
    recorded: recorded_times.Rate | None, of: work.Work, speeds: Mapping[speed.Case, float]
) -> tuple[float, str]:
    """Seconds of a job, and where they come from."""
    if recorded:
        each = recorded.seconds / recorded.operations
        where = ", limited run" if recorded.limited else ""
        return LOAD + each * of.operations, f"{recorded.jobs} recorded{where}"
    if _case(of) not in speeds:
        return LOAD + of.operations / costs.RATE, "assumed"
    beside = STEP * of.steps + SCORE * of.scored
    return LOAD + of.operations / speeds[_case(of)] + beside, "measured"


def _tokenizing(study: schema.Study, members: Sequence[Pending]) -> list[float]:
    """Seconds of each job that reads raw text and tokenises it."""
    needs, times = costs.Needs(study), []
    for job in members:
        path = job.record.removesuffix(".provenance.json")
        if job.rule == "tokenize_shard":
            names = layout.parse(layout.TOKENS, path)
            times.append(needs.tokens(names["language"]).seconds if names else 0.0)
        else:
            names = layout.parse(layout.TOKENIZER, path)
            times.append(needs.tokenizer(names["model"]).seconds if names else 0.0)
    return [LOAD + seconds for seconds in times]


def wall(planned: Iterable[Stage], at_once: int, place: Place) -> float:
    """Seconds of the stages whose time is known, one after the other, with the starts of jobs.

    Args:
        at_once: cores or jobs, as in :func:`of_study`.
    """
    return sum(stage.wall(at_once, place) for stage in planned)


def plan_lines(planned: Sequence[Stage], at_once: int, place: Place) -> Iterator[str]:
    """The plan as lines: a row per stage, then the sums.

    Args:
        at_once: cores or jobs, as in :func:`of_study`; the stages are taken one after the other.
    """
    if not planned:
        yield "Nothing to be done: all files exist and are up to date."
        return
    rows = [("stage", "jobs", "each", "together", "time from", "why")]
    total = gpu = cpu = 0.0
    for stage in planned:
        each = "?" if stage.seconds is None else duration(stage.seconds)
        if stage.seconds and stage.longest > 1.5 * stage.seconds:
            each = f"{each}, up to {duration(stage.longest)}"
        together = "?" if stage.seconds is None else duration(stage.seconds * stage.jobs)
        rows.append((stage.rule, f"{stage.jobs}", each, together, stage.source or "-", stage.why))
        if stage.seconds is not None:
            seconds = stage.seconds * stage.jobs
            total += seconds
            gpu += seconds if stage.gpu else 0.0
            cpu += seconds * stage.threads
    yield from aligned(rows, right=(1, 2, 3))
    unknown = sum(stage.jobs for stage in planned if stage.seconds is None)
    starts = RUN + place.start * sum(stage.rounds(at_once, place) for stage in planned)
    of_gpus = f"{gpu / 3600:,.1f} GPU-hours and " if gpu else ""
    yield ""
    yield (
        f"{sum(stage.jobs for stage in planned)} jobs, {place}: about {duration(total)} of "
        f"computing, {of_gpus}{cpu / 3600:,.1f} CPU-hours; "
        f"{duration(RUN + wall(planned, at_once, place))} with {at_once} "
        f"{'cores' if place.here else 'jobs at once'}, stage after stage, "
        f"{duration(starts)} of it for starts"
    )
    if unknown:
        yield f"without the {unknown} jobs marked ?, which no run has recorded yet"
    sources = {part for stage in planned for part in stage.source.split(", ")}
    if any(source.endswith("recorded") and "mean" not in source for source in sources):
        yield (
            "'recorded': seconds per operation of jobs of the same rule, model and device; on CPUs "
            "those of computing, so that other work on this machine adds to them"
        )
    if "measured" in sources:
        yield (
            "'measured': the operations that were counted, at the speed of this machine just now, "
            "which other work slows down. Once a stage has run, even in a limited run on a "
            "CPU, its recorded times are used"
        )
    if "assumed" in sources:
        yield (
            f"'assumed': the operations that were counted, at {costs.RATE / 1e12:.0f} TFLOP/s, a "
            "third of the peak of an A100. A run of the same stage replaces it with its times"
        )
