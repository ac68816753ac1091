"""The metrics of the tasks as a local `evaluate` module, without the hub.

It calls the task's own function. Importing `evaluate` takes seconds, and a call copies the
predictions through Arrow, so the loops of training and of sweeps call `Task.counts` instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import datasets
import evaluate

if TYPE_CHECKING:
    from langarith.tasks.shared.base import Task


class TaskMetric(evaluate.Metric):
    """`Task.metrics` of predictions and references, one per example, in percent."""

    def __init__(self, task: Task[Any, Any], **options: Any) -> None:
        self.task = task
        super().__init__(config_name=task.type, **options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=f"{', '.join(self.task.metrics)} of {self.task.type}, in percent",
            citation="",
            inputs_description="predictions and references, one per example",
            features=datasets.Features(
                {
                    "predictions": _feature(self.task.prediction),
                    "references": _feature(self.task.reference),
                }
            ),
        )

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, float]:
        return self.task.compute(predictions, references)


def _feature(kind: str) -> Any:
    text = datasets.Value("string")
    return datasets.Sequence(text) if kind == "strings" else text


def report(
    task: Task[Any, Any], predictions: Sequence[Any], references: Sequence[Any]
) -> dict[str, float]:
    """The scores of a task by its `evaluate` module, in memory; no file is left."""
    # evaluate creates a folder even for data that it keeps in memory
    with tempfile.TemporaryDirectory() as folder:
        metric = task.metric(cache_dir=folder, keep_in_memory=True)
        scores: dict[str, float] = metric.compute(predictions=predictions, references=references)
    return scores
