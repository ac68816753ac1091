"""Times of the jobs that a study has recorded, for its plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from langarith.jobs.records import records
from langarith.planning import work
from langarith.study import limits, schema

ALIKE = frozenset({"check_task_data", "initialise_adapters"})
"""Rules without operations whose jobs take as long in a limited run: they read whole files."""

LOAD = 0.5
"""Seconds of a job that do not grow with its work: a model is loaded, files are written."""


@dataclass
class Rate:
    """Seconds and operations of recorded jobs that compute alike."""

    seconds: float = 0.0
    operations: float = 0.0
    jobs: int = 0
    limited: bool = False
    """Whether they are those of a limited run."""

    def add(self, seconds: float, operations: float) -> None:
        self.seconds += max(seconds - LOAD, seconds / 2)
        self.operations += operations
        self.jobs += 1


@dataclass
class RecordedTimes:
    """Times of recorded jobs.

    rates: by kind of rule, model, device and precision. means: seconds by rule, of the others.
    """

    rates: dict[tuple[str, str, str, str], Rate] = field(default_factory=lambda: defaultdict(Rate))
    means: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def like(self, rule: str, of: work.Work, device: str) -> Rate | None:
        """The recorded jobs that compute as a planned one does."""
        automatic = ("fp32",) if device == "cpu" else ("bf16", "fp16")
        for precision in automatic if of.case.precision == "auto" else (of.case.precision,):
            key = (work.kind(rule), of.model, device, precision)
            if key in self.rates:
                return self.rates[key]
        return None


def of_study(study: schema.Study, counter: work.Counter, rules: set[str]) -> RecordedTimes:
    """Times of the jobs of these rules, and of rules of the same kind, that a study has recorded.

    Jobs that compute like none in its results folder have the times of its limited run. That is so
    on CPUs alone: on GPUs a few steps take less time than the start of a job.
    """
    found = _read(Path(study.results_dir), counter, rules)
    limited = _read(Path(limits.limited_folder(study.results_dir)), counter, rules)
    for key, rate in limited.rates.items():
        if key[2] == "cpu":
            found.rates.setdefault(key, replace(rate, limited=True))
    for rule in ALIKE & set(limited.means):
        found.means.setdefault(rule, limited.means[rule])
    return found


def _read(results: Path, counter: work.Counter, rules: set[str]) -> RecordedTimes:
    found = RecordedTimes()
    kinds = {work.kind(rule) for rule in rules}
    for record, path in records(results):
        rule, seconds = record["rule"], _seconds(record)
        if work.kind(rule) not in kinds or seconds is None:
            continue
        if work.kind(rule) not in work.KINDS:
            found.means[rule].append(seconds)
            continue
        done = counter.recorded(record, path)
        if done and done.operations:
            key = (work.kind(rule), done.model, str(record["device"]), str(record["precision"]))
            found.rates[key].add(seconds, done.operations)
    return found


def _seconds(record: Mapping[str, Any]) -> float | None:
    """Seconds of a recorded job; of a model on one CPU thread those of its computing.

    To its wall time a busy machine, or one that sleeps, adds what no later run will take.
    """
    seconds, computed = record.get("seconds"), record.get("cpu_seconds")
    if not isinstance(seconds, int | float):
        return None
    alone = work.kind(record["rule"]) in work.KINDS and record.get("threads") == 1
    if alone and record.get("device") == "cpu" and isinstance(computed, int | float):
        return min(seconds, computed)
    return seconds
