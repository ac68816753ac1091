"""The jobs a run would execute, why and for how long, before anything is submitted.

The jobs come from a Snakemake summary. Their time is the mean of the same rule's recorded jobs in
the results folder or, without such records, an estimate from the count of operations
(:mod:`langarith.cluster.costs`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith import layout
from langarith.cluster import costs
from langarith.errors import InputError
from langarith.operands import parse_operands
from langarith.progress import duration
from langarith.study import loading, schema

FLOW = (
    "download",
    "write_miniature",
    "check_task_data",
    "train_tokenizer",
    "tokenize",
    "pretrain",
    "initialise",
    "train_language",
    "train_task",
    "sweep",
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
    """All pending jobs of a rule. `seconds` is of one job, None if unknown."""

    rule: str
    jobs: int
    why: str
    seconds: float | None
    source: str
    gpu: bool


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
        for rule in sorted(outputs, key=_flow_order)
        for path, status in outputs[rule]
        if path.endswith("provenance.json")
    ]


def _flow_order(rule: str) -> tuple[int, str]:
    """Sort key of a rule: its stage in the data flow (unknown rules last), then its name."""
    stages = (i for i, stage in enumerate(FLOW) if rule.startswith(stage))
    return next(stages, len(FLOW)), rule


def _output_of(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise InputError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def of_study(
    path: Path, targets: Sequence[str], at_once: int, overrides: Mapping[str, Any] | None = None
) -> list[str]:
    """The plan of a run of a study as lines; see :func:`plan_lines`.

    Args:
        targets: rules or files, as snakemake takes them.
        at_once: jobs that run in parallel.
        overrides: top-level keys given on the command line.
    """
    read = loading.load(path, overrides)
    command = [str(Path(sys.executable).with_name("snakemake")), *targets, "--cores", "1"]
    command += ["--configfile", str(path)]
    if overrides:
        command += ["--config", *(f"{key}={value}" for key, value in overrides.items())]
    return list(plan_lines(stages(read, pending(command)), at_once))


def stages(study: schema.Study, jobs: Iterable[Pending]) -> list[Stage]:
    """The jobs by rule, with the time of one."""
    by_rule: dict[str, list[Pending]] = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job)
    recorded = _recorded(Path(study.results_dir), set(by_rule))
    planned = []
    for rule, members in by_rule.items():
        reasons = Counter(job.why for job in members)
        reason = (
            next(iter(reasons))
            if len(reasons) == 1
            else ", ".join(f"{why} ({n})" for why, n in reasons.items())
        )
        gpu = rule.startswith(("train_language", "train_task", "sweep_", "pretrain_"))
        seconds, source = None, ""
        if rule in recorded:
            times = recorded[rule]
            seconds, source = sum(times) / len(times), f"mean of {len(times)} recorded"
        elif gpu:
            modelled = [_modelled(study, job) for job in members]
            estimates = [s for s in modelled if s is not None]
            if len(estimates) == len(modelled):
                seconds, source = costs.START + sum(estimates) / len(estimates), "operations"
        planned.append(Stage(rule, len(members), reason, seconds, source, gpu))
    return planned


def _recorded(results: Path, rules: set[str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for path in results.rglob("*provenance.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("rule") in rules:
            times[record["rule"]].append(record["seconds"])
    return times


def _modelled(study: schema.Study, job: Pending) -> float | None:
    """Seconds of one job by its count of operations; None if a size is unknown."""
    patterns = (layout.ENCODER, layout.LANGUAGE_ADAPTER, layout.TASK_ADAPTER, layout.CELL)
    names = next(filter(None, (layout.parse(pattern, job.record) for pattern in patterns)))
    shape = costs.shape(study, names["model"])
    if shape is None:
        return None
    if job.rule == "pretrain_model":
        recipe = study.models[names["model"]].training  # type: ignore[union-attr]
        return costs.language_modelling(recipe, shape, passes=3) / costs.RATE
    if job.rule == "train_language_adapter":
        recipe = study.training.language_adapter
        return costs.language_modelling(recipe, shape, passes=2) / costs.RATE
    counts = costs.examples(study, names["task"])
    if counts is None:
        return None
    if job.rule == "train_task_adapter":
        return costs.task_training(study, names["task"], shape, counts) / costs.RATE
    operands = len(parse_operands(names["operands"]))
    work = costs.sweep(study, names["task"], names["method"], operands, shape, counts)
    return work / costs.RATE


def plan_lines(planned: Sequence[Stage], at_once: int) -> Iterator[str]:
    """The plan as lines: a row per stage, then the sums.

    Args:
        at_once: jobs that run in parallel; the stages are taken one after the other.
    """
    if not planned:
        yield "Nothing to be done: all files exist and are up to date."
        return
    rows = [("stage", "jobs", "each", "together", "time from", "why")]
    total = gpu = wall = 0.0
    for stage in planned:
        each = "?" if stage.seconds is None else duration(stage.seconds)
        together = "?" if stage.seconds is None else duration(stage.seconds * stage.jobs)
        rows.append((stage.rule, f"{stage.jobs}", each, together, stage.source or "-", stage.why))
        if stage.seconds is not None:
            total += stage.seconds * stage.jobs
            gpu += stage.seconds * stage.jobs if stage.gpu else 0.0
            wall += stage.seconds * -(-stage.jobs // at_once)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if i in (1, 2, 3) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
    unknown = sum(stage.jobs for stage in planned if stage.seconds is None)
    yield ""
    yield (
        f"{sum(stage.jobs for stage in planned)} jobs, {duration(total)} of computing, of which "
        f"{gpu / 3600:.1f} GPU-hours for the stages that use a GPU; {duration(wall)} with "
        f"{at_once} jobs at once, stage after stage"
    )
    if unknown:
        yield f"without the {unknown} jobs marked ?, which no run has recorded yet"
    if any(stage.source == "operations" for stage in planned):
        yield (
            f"'operations': counted, at {costs.RATE / 1e12:.0f} TFLOP/s; see "
            "langarith/cluster/costs.py. A run of the same stage replaces it with measured times"
        )
