"""Classification of one text or a pair (SIB-200, AfriSenti, PAWS-X)."""

from __future__ import annotations

from collections.abc import Sequence

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, macro_f1


class Classification(ClassificationTask):
    """Columns `text`, `label` and, for pairs, `text_pair`.

    The study's key `labels` names the label set, in the order of its integers; without it, the
    labels of the training data are it.
    """

    metrics = ("accuracy", "macro_f1")
    own_keys = frozenset({"labels"})

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Share of right labels, and the mean of the labels' F1."""
        return accuracy(predictions, references) | macro_f1(predictions, references)
