"""The metrics as `evaluate` modules that live here and need no hub.

Each computes by the same function as `Task.score`; importing `evaluate` takes seconds, which is
why scoring does not go through them.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from langarith.tasks.ner import entity_f1
from langarith.tasks.nli import accuracy
from langarith.tasks.qa import squad

TEXT = datasets.Value("string")


class _LocalMetric(evaluate.Metric):
    description: str
    prediction: Any
    reference: Any

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.description,
            citation="",
            inputs_description="predictions and references, one per example; scores in percent",
            features=datasets.Features(
                {"predictions": self.prediction, "references": self.reference}
            ),
        )


class SeqevalMetric(_LocalMetric):
    """`f1` and `f1_strict` of tag sequences, see `entity_f1`."""

    description = "Entity F1 by seqeval, default mode and strict IOB2"
    prediction = reference = datasets.Sequence(TEXT)

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return entity_f1(predictions, references)


class AccuracyMetric(_LocalMetric):
    """`accuracy` of labels given as words."""

    description = "Share of equal labels"
    prediction = reference = TEXT

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return accuracy(predictions, references)


class SquadMetric(_LocalMetric):
    """`f1` and `exact_match` of answers; a reference is the list of gold answers."""

    description = "SQuAD v1.1 F1 and exact match"
    prediction = TEXT
    reference = datasets.Sequence(TEXT)

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return squad(predictions, references)
