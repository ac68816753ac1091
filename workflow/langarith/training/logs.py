"""The metrics logs of a study, with the names of the trainings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith import layout
from langarith.training.metrics import read_metrics

BASE_MODEL, LANGUAGE_ADAPTER, TASK_ADAPTER = "base model", "language adapter", "task adapter"

TRAININGS = {
    layout.ENCODER: (BASE_MODEL, "{model}"),
    layout.LANGUAGE_ADAPTER: (LANGUAGE_ADAPTER, "{model} {language}@{budget}, seed {seed}"),
    layout.TASK_ADAPTER: (TASK_ADAPTER, "{model} {task}, seed {seed}"),
}
"""By folder of a training: the kind of model that it trains, and a template of its name."""


@dataclass(frozen=True)
class TrainingLog:
    """The metrics log of one training.

    folder: path below the results folder. rows: see :mod:`langarith.training.metrics`.
    """

    kind: str
    name: str
    model: str
    folder: str
    path: Path
    rows: list[dict[str, Any]]


def of_study(results: Path) -> Iterator[TrainingLog]:
    """Every metrics log in a results folder that has a row, base models first.

    A log whose last line is being written is left out.
    """
    for pattern, (kind, template) in TRAININGS.items():
        for path in sorted(results.glob(f"{re.sub(r'{[a-z]+}', '*', pattern)}/metrics.jsonl")):
            wildcards = layout.parse(pattern, path)
            try:
                rows = read_metrics(path)
            except (OSError, ValueError):
                continue
            if wildcards and rows:
                folder = path.parent.relative_to(results).as_posix()
                name = f"{kind} {template.format(**wildcards)}"
                yield TrainingLog(kind, name, wildcards["model"], folder, path, rows)
