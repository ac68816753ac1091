"""Names in tables and figures: the columns of a cell, the metrics."""

from __future__ import annotations

CELL = ("model", "task", "target", "method", "operands", "seed")
"""Columns that identify a cell."""

AVERAGE = "avg."
"""The name of the average over targets where a target is expected."""

MASKED_LM_LOSS = "masked_lm_loss"
"""Mean cross-entropy in nats over masked tokens of held-out raw text; a row of it has no task."""

METRIC_TITLES = {
    MASKED_LM_LOSS: "masked-LM loss",
    "f1": "F1",
    "f1_strict": "F1 (strict)",
    "exact_match": "exact match",
    "macro_f1": "macro F1",
}
"""Titles of those metrics whose name alone would not do."""


def metric_title(metric: str) -> str:
    """The title of a metric; its own name where there is no other, so that new ones need none."""
    return METRIC_TITLES.get(metric, metric)
