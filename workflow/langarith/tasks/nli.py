"""Natural-language inference on XNLI-style files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langarith.tasks.shared.classification import ClassificationTask
from langarith.tasks.shared.scores import accuracy, right

if TYPE_CHECKING:
    import numpy as np

LABELS = ("entailment", "neutral", "contradiction")


class Nli(ClassificationTask):
    """Classification of a pair; a prediction is one of `LABELS`, 0, 1 and 2 in XNLI's files.

    Columns may have the names of SNLI, MultiNLI and XNLI (`sentence1`, `sentence2`, `gold_label`)
    and of XNLI's machine translations (`hypo`; the label `contradictory`). The former write `-`
    for a pair whose annotators disagree, and -1 on the hub.
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
        """Of right labels."""
        return right(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of right labels."""
        return accuracy(sums)
