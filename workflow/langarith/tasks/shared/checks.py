"""The check of one split of a task, by itself and against the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.tasks.shared.base import Encoding, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Trained:
    """`Task.classes` and `Task.texts` of the training data of a task."""

    classes: Mapping[str, int]
    texts: Sequence[str]


def check_split(
    task: Task[Any, Any],
    path: Path,
    split: str,
    reading: Mapping[str, Any],
    trained: Trained | None,
    where: str,
    tokenizers: Iterable[tuple[Tokenizer | None, str]] = ((None, ""),),
) -> tuple[int, Trained | None]:
    """Read a whole split, and warn of examples that cannot be learnt or predicted.

    Args:
        reading: from :func:`langarith.study.sources.task_reading`.
        trained: of the training data, None if they are not known.
        where: name of the split in messages: `ner, sw`.
        tokenizers: of the base models, each with its name for messages; None for a tokenizer that
            is not available.

    Returns:
        The number of examples, and `trained`, replaced by that of a training split.

    Raises:
        InputError: the file cannot be read, has too few classes for training, has no class or not
            the texts in common with the training data, or if more than half of its examples are too
            long.
    """
    examples = task.read_split(path, split, reading)
    where = f"{where}, {split} ({path})"
    if split == "train":
        trained = Trained(task.classes(examples), task.texts(examples))
        task.check_trained(trained.classes, where)
    elif trained is not None:
        task.check_texts(trained.texts, task.texts(examples), where)
        task.check_classes(trained.classes, task.classes(examples), where)
    encoding = Encoding(reading["max_length"], (), reading["stride"], training=split == "train")
    for tokenizer, name in tokenizers:
        task.check_lengths(examples, tokenizer, encoding, where + name)
    return len(examples), trained


def untruncated(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The `tokenizers.Tokenizer` of a loaded tokenizer, for `Task.check_lengths`.

    A loaded tokenizer sets truncation and padding again at each call.
    """
    plain: Tokenizer = tokenizer.backend_tokenizer
    plain.no_truncation()
    plain.no_padding()
    return plain
