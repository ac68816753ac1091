"""Classification of one text or a pair (SIB-200, AfriSenti, PAWS-X)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, correct_counts, label_counts, macro_f1

if TYPE_CHECKING:
    import numpy as np


class Classification(ClassificationTask):
    """Columns `text`, `label` and, for pairs, `text_pair`.

    The study's key `labels` names the label set, in the order of its integers; without it, the
    label set is taken from the training data.
    """

    metrics = ("accuracy", "macro_f1")
    own_keys = frozenset({"labels", "columns"})

    def counts(
        self, predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Correct labels, and counts of each label."""
        return correct_counts(predictions, references) | label_counts(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of correct labels, and the mean F1 of the labels."""
        return accuracy(sums) | macro_f1(sums)
