"""One split of a task, encoded once and scored with any weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from adapters import Stack
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.evaluation.batches import Batches, run
from langarith.models import devices, encoders
from langarith.models.adapters import LANGUAGE, TASK, load_adapter
from langarith.tasks.shared.base import Encoding, Example, Task
from langarith.tasks.shared.checks import untruncated


@dataclass(frozen=True)
class SplitScores:
    """Metrics in percent of one setting on one split, with the predictions of its examples.

    `counts`: per example, see `Task.counts`. `entropy`: mean of the predictions, in nats; it needs
    no labels.
    """

    metrics: dict[str, float]
    predictions: list[Any]
    counts: dict[str, np.ndarray] = field(compare=False, repr=False)
    entropy: float


class EncodedSplit:
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
        self.gold = [task.gold(example) for example in examples]
        self.precision = devices.precision(precision, devices.device())
        self.features = task.encode(examples, tokenizer, encoding)
        self.batches = Batches(
            self.features.columns, int(tokenizer.pad_token_id), tokens_per_batch, devices.device()
        )

    def score(self, model: PreTrainedModel) -> SplitScores:
        """Scores and predictions of a model with its current weights."""
        outputs, entropies = run(model, self.batches, self.task.head, self.precision)
        predictions = self.task.decode(self.features, outputs, self.examples)
        counts = self.task.counts(predictions, self.gold)
        return SplitScores(
            self.task.total(counts, len(self.examples)),
            predictions,
            counts,
            self.task.entropy(self.features, outputs, entropies),
        )

    def report(self, scored: SplitScores) -> SplitScores:
        """The same with the metrics of the task's `evaluate` module, for results.

        `score` computes the same numbers without it, for the loops of training and of a sweep.
        """
        return replace(scored, metrics=self.task.report(scored.predictions, self.examples))


def checked_split(
    task: Task,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerFast,
    encoding: Encoding,
    where: str,
    batches: Mapping[str, Any],
) -> EncodedSplit:
    """A split, after a check of its texts against `max_length`.

    Args:
        where: task, language, split, file and model, for warnings and errors.
        batches: `tokens_per_batch` and `precision`.
    """
    task.check_lengths(examples, untruncated(tokenizer), encoding, where)
    return EncodedSplit(task, examples, tokenizer, encoding, **batches)


def adapter_summary(
    names: Mapping[str, str],
    language: str,
    labels: Sequence[str],
    examples: Mapping[str, Sequence[Example]],
    model: PreTrainedModel,
    validation: EncodedSplit,
    test: EncodedSplit,
    warnings: Sequence[str],
    *,
    dropped_words: int = 0,
    best_step: int | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """The content of `task.json` of a task adapter, with its scores on the task language's splits.

    Args:
        names: `model`, `task` and `seed`.
        language: the task language.
        examples: by split, `train` included.
        model: with the adapter active.
        dropped_words: of the training data. best_step, steps: None if it was trained elsewhere.
    """
    return {
        "model": names["model"],
        "task": names["task"],
        "language": language,
        "seed": int(names["seed"]),
        "labels": labels,
        "majority": test.task.majority(examples["train"]),
        "best_step": best_step,
        "steps": steps,
        "validation": validation.report(validation.score(model)).metrics,
        "test": test.report(test.score(model)).metrics,
        "examples": {split: len(rows) for split, rows in examples.items()},
        "dropped_words": {"train": dropped_words, "test": test.features.dropped_words},
        "warnings": list(warnings),
    }


def load_stack(encoder: Path, language: Path, task: Path) -> PreTrainedModel:
    """The base model with Stack(language, task) and the task's head, on the device."""
    model = encoders.load_encoder(encoder)
    load_adapter(model, language, LANGUAGE, with_head=False)
    load_adapter(model, task, TASK, with_head=True)
    use_language_adapter(model, True)
    return model.to(devices.device())


def use_language_adapter(model: PreTrainedModel, active: bool) -> None:
    """Activate the language adapter and the task adapter, or only the task adapter."""
    model.set_active_adapters(Stack(LANGUAGE, TASK) if active else TASK)
