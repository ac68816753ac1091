"""Metrics of predictions that are classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Share of equal labels, in percent."""
    equal = [p == r for p, r in zip(predictions, references, strict=True)]
    return {"accuracy": 100 * sum(equal) / len(equal)}


def macro_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean of the F1 of each label, in percent.

    As `sklearn.metrics.f1_score(average="macro")`, over the labels that occur in either sequence;
    a label that is never predicted rightly counts as 0.
    """
    pairs = list(zip(predictions, references, strict=True))
    correct = Counter(p for p, r in pairs if p == r)
    total = Counter(predictions) + Counter(references)
    scores = [2 * correct[label] / total[label] for label in sorted(total)]
    return {"macro_f1": 100 * sum(scores) / len(scores)}
