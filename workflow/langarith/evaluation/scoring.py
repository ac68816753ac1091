"""One split of a task, encoded once and scored under any weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import Stack
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.evaluation.batches import Batches, run
from langarith.models import devices, encoders
from langarith.models.adapters import load_adapter
from langarith.tasks.shared.base import Encoding, Example, Task

LANGUAGE, TASK = "language", "task"


@dataclass(frozen=True)
class Scored:
    """Metrics in percent of one setting on one split, with its predictions by example."""

    metrics: dict[str, float]
    predictions: list[Any]


class Split:
    """One split of one language, read, encoded and batched once."""

    def __init__(
        self,
        task: Task,
        examples: Sequence[Example],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
        *,
        tokens_per_batch: int,
        precision: str,
    ) -> None:
        self.task, self.examples = task, examples
        self.precision = devices.precision(precision, devices.device())
        self.features = task.encode(examples, tokenizer, encoding)
        self.batches = Batches(
            self.features.columns, int(tokenizer.pad_token_id), tokens_per_batch, devices.device()
        )

    def score(self, model: PreTrainedModel) -> Scored:
        """Scores and predictions of a model under its present weights."""
        outputs = run(model, self.batches, self.task.head, self.precision)
        predictions = self.task.decode(self.features, outputs, self.examples)
        return Scored(self.task.score(predictions, self.examples), predictions)

    def report(self, scored: Scored) -> Scored:
        """The same with its metrics by the task's `evaluate` module: what is written as a result.

        `start` computes the same numbers without that, for the loops of training and of a sweep.
        """
        return Scored(self.task.report(scored.predictions, self.examples), scored.predictions)


def load_stack(encoder: Path, language: Path, task: Path) -> PreTrainedModel:
    """The base model with Stack(language, task) and the task's head, on the device."""
    model = encoders.load_encoder(encoder)
    load_adapter(model, language, LANGUAGE, with_head=False)
    load_adapter(model, task, TASK, with_head=True)
    use_language_adapter(model, True)
    return model.to(devices.device())


def use_language_adapter(model: PreTrainedModel, wanted: bool) -> None:
    """Route through the language adapter and the task adapter, or through the latter alone."""
    model.set_active_adapters(Stack(LANGUAGE, TASK) if wanted else TASK)
