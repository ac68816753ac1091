"""Names in tables and figures: the columns of a cell, the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

CELL = ("model", "task", "target", "method", "operands", "seed")
"""Columns that identify a cell."""

AVERAGE = "avg."
"""The value of `target` in rows of the average over targets."""

BETTER_PROXY, CHOSEN_PROXY, MADX, DIRECT = "better proxy", "chosen proxy", "madx", "direct"
BEST_OTHER, LABELS = "best other method", "validation"
START = "initialisation"
OVER = (BETTER_PROXY, CHOSEN_PROXY, MADX, DIRECT, BEST_OTHER, LABELS, START)
"""Values of the column `over`: what a gain is compared with; may also be another method."""

MASKED_LM_LOSS = "masked_lm_loss"
"""Mean cross-entropy in nats over masked tokens of held-out raw text; its rows have no task."""

METRIC_TITLES = {
    MASKED_LM_LOSS: "masked-LM loss",
    "f1": "F1",
    "f1_strict": "F1 (strict)",
    "exact_match": "exact match",
    "macro_f1": "macro F1",
}
"""Titles of the metrics whose own name is not fit for print."""


def ordered(values: Iterable[Any], order: Iterable[Any]) -> list[Any]:
    """Each value once: those of `order` first, in that order, then the others as they appear."""
    distinct, listed = dict.fromkeys(values), dict.fromkeys(order)
    return [v for v in listed if v in distinct] + [v for v in distinct if v not in listed]


def metric_title(metric: str) -> str:
    """The title of a metric: its entry in `METRIC_TITLES`, or else its own name."""
    return METRIC_TITLES.get(metric, metric)


def task_title(task: str, metric: str, unit: str = "") -> str:
    """A task with its metric, and the unit if there is one: `NER (F1)`, `NER (F1, %)`."""
    return f"{task.upper()} ({', '.join(filter(None, [metric_title(metric), unit]))})"
