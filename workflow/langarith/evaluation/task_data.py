"""The data of a task in the task language, on which its adapter is trained and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from langarith import tasks
from langarith.evaluation.scoring import EncodedSplit, checked_split
from langarith.tasks.shared.base import Encoding, Example, Task


@dataclass(frozen=True)
class TaskData:
    """The examples of a task in the task language.

    examples: by split: `train`, `validation` and `test`. reading: how they are read and encoded,
    from :func:`langarith.study.sources.task_reading`. places: by split, a name in messages.
    """

    task: Task[Any, Any]
    examples: Mapping[str, Sequence[Example]]
    reading: Mapping[str, Any]
    places: Mapping[str, str]

    def encoding(self, labels: Sequence[str]) -> Encoding:
        """How examples are scored with a head of these labels."""
        return Encoding(self.reading["max_length"], tuple(labels), self.reading["stride"])

    def held_out(
        self,
        tokenizer: PreTrainedTokenizerFast,
        labels: Sequence[str],
        batches: Mapping[str, Any],
    ) -> tuple[EncodedSplit, EncodedSplit]:
        """The validation and the test split, checked and encoded.

        Args:
            labels: of the head, in the order of its outputs.
            batches: `tokens_per_batch` and `precision`.

        Raises:
            InputError: more than half of a split does not fit into `max_length`.
        """
        validation, test = (
            checked_split(
                self.task,
                self.examples[split],
                tokenizer,
                self.encoding(labels),
                self.places[split],
                batches,
            )
            for split in ("validation", "test")
        )
        return validation, test


def read(
    names: Mapping[str, str], language: str, files: Mapping[str, Path], reading: Mapping[str, Any]
) -> TaskData:
    """Read all splits of a task in the task language.

    Args:
        names: `task` and `model`, for messages.
        files: by split.
        reading: from :func:`langarith.study.sources.task_reading`.

    Raises:
        InputError: a file is not in the format of the task.
    """
    task = tasks.reader(reading)
    return TaskData(
        task,
        {split: task.read_split(files[split], split, reading) for split in reading["cuts"]},
        reading,
        {
            split: f"{names['task']}, {language}, {split} ({file}), model {names['model']}"
            for split, file in files.items()
        },
    )
