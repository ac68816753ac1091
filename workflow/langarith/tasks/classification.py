"""Classification of one text or a pair (SIB-200, AfriSenti, PAWS-X)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, by_label, macro_f1, right

if TYPE_CHECKING:
    import numpy as np


class Classification(ClassificationTask):
    """Columns `text`, `label` and, for pairs, `text_pair`.

    The study's key `labels` names the label set, in the order of its integers; without it, the
    labels of the training data are it.
    """

    metrics = ("accuracy", "macro_f1")
    own_keys = frozenset({"labels", "columns"})

    def counts(
        self, predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Of right labels, and of each label."""
        return right(predictions, references) | by_label(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of right labels, and the mean of the labels' F1."""
        return accuracy(sums) | macro_f1(sums)
