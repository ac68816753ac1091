"""Natural-language inference on XNLI-style files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, right

if TYPE_CHECKING:
    import numpy as np

LABELS = ("entailment", "neutral", "contradiction")


class Nli(ClassificationTask):
    """Classification of a pair; a prediction is one of `LABELS`, 0, 1 and 2 in XNLI's files."""

    metrics = ("accuracy",)
    columns = ("premise", "hypothesis", "label")
    optional_pair = False
    row_name = "pair"
    suffix = "tsv"
    typical_examples = (392_702, 2_490, 5_010)  # XNLI

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__(LABELS)

    def counts(
        self, predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Of right labels."""
        return right(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of right labels."""
        return accuracy(sums)
