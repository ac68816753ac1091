"""Metrics of classification, as counts per example and functions of their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CORRECT = "correct"


def correct_counts(predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
    """`correct`: 1 for each example with the correct label."""
    import numpy as np

    equal = [p == r for p, r in zip(predictions, references, strict=True)]
    return {CORRECT: np.array(equal, dtype=np.int64)}


def accuracy(sums: Mapping[str, Any], total: str = "examples") -> dict[str, Any]:
    """Share of `correct` in the sum called `total`, in percent."""
    return {"accuracy": 100 * sums[CORRECT] / sums[total]}


def label_counts(predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
    """By label: 1 if it is predicted correctly, and its number in prediction and reference."""
    import numpy as np

    predicted, gold = np.array(predictions, dtype=object), np.array(references, dtype=object)
    counts = {}
    for label in sorted({*predictions, *references}):
        counts[f"right {label}"] = ((predicted == label) & (gold == label)).astype(np.int64)
        counts[f"total {label}"] = (predicted == label).astype(np.int64) + (gold == label)
    return counts


def macro_f1(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Mean of the F1 of each label, in percent, from sums of `label_counts`.

    As `sklearn.metrics.f1_score(average="macro")`, over the labels that occur in
    predictions or references; a label that is never predicted correctly counts as 0.
    """
    import numpy as np

    labels = [name.removeprefix("total ") for name in sums if name.startswith("total ")]
    correct = np.stack([np.asarray(sums[f"right {label}"], dtype=float) for label in labels])
    total = np.stack([np.asarray(sums[f"total {label}"], dtype=float) for label in labels])
    f1 = np.divide(2 * correct, total, out=np.zeros_like(total), where=total > 0)
    return {"macro_f1": 100 * f1.sum(axis=0) / np.maximum((total > 0).sum(axis=0), 1)}
