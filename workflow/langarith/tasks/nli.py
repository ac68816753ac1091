"""Natural-language inference on XNLI-style files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, correct_counts

if TYPE_CHECKING:
    import numpy as np

LABELS = ("entailment", "neutral", "contradiction")


class Nli(ClassificationTask):
    """Classification of a pair; a prediction is one of `LABELS`, 0, 1 and 2 in XNLI's files.

    Columns may also have the names of SNLI, MultiNLI and XNLI (`sentence1`, `sentence2`,
    `gold_label`) or of XNLI's machine translations (`hypo`; the label `contradictory`). SNLI and
    MultiNLI have `-`, or -1 on the hub, for a pair whose annotators disagree.
    """

    metrics = ("accuracy",)
    own_keys = frozenset({"columns"})
    column_names = ("premise", "hypothesis", "label", "language")
    other_names: ClassVar = {
        "premise": ("sentence1",),
        "hypothesis": ("sentence2", "hypo"),
        "label": ("gold_label",),
    }
    other_labels: ClassVar = {"contradictory": "contradiction"}
    unlabelled = frozenset({"-", "-1"})
    optional_pair = False
    row_name = "pair"
    suffix = "tsv"
    typical_examples = (392_702, 2_490, 5_010)  # XNLI

    def __init__(self, labels: Sequence[str] = (), **layout: Any) -> None:
        super().__init__(LABELS, **layout)

    def counts(
        self, predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Correct labels."""
        return correct_counts(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of correct labels."""
        return accuracy(sums)
