"""The metrics logs of a study, with names for what was trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith import layout
from langarith.training.metrics import read_metrics

NAMES = {
    layout.ENCODER: "base model {model}",
    layout.LANGUAGE_ADAPTER: "language adapter {model} {language}@{budget}, seed {seed}",
    layout.TASK_ADAPTER: "task adapter {model} {task}, seed {seed}",
}
"""Folders of trainings, and what is trained there."""


@dataclass(frozen=True)
class TrainingLog:
    """The metrics log of one training.

    folder: below the results folder. rows: see :mod:`langarith.training.metrics`.
    """

    name: str
    folder: str
    path: Path
    rows: list[dict[str, Any]]


def of_study(results: Path) -> Iterator[TrainingLog]:
    """Every metrics log in a results folder that has a row, base models first.

    A log whose last line a training is writing just now is left out.
    """
    for pattern, name in NAMES.items():
        for path in sorted(results.glob(f"{re.sub(r'{[a-z]+}', '*', pattern)}/metrics.jsonl")):
            wildcards = layout.parse(pattern, path)
            try:
                rows = read_metrics(path)
            except (OSError, ValueError):
                continue
            if wildcards and rows:
                folder = path.parent.relative_to(results).as_posix()
                yield TrainingLog(name.format(**wildcards), folder, path, rows)
