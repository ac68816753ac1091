"""The check of one split of a task, by itself and against the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.tasks.shared.base import Encoding, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


def check_split(
    task: Task[Any, Any],
    path: Path,
    split: str,
    reading: Mapping[str, Any],
    trained: Mapping[str, int] | None,
    where: str,
    tokenizers: Iterable[tuple[Tokenizer | None, str]] = ((None, ""),),
) -> tuple[int, Mapping[str, int] | None]:
    """Read a whole split, and warn of examples that cannot be learnt or predicted.

    Args:
        reading: from :func:`langarith.study.sources.task_reading`.
        trained: `Task.classes` of the training data, None if they are not known.
        where: name of the split in messages: `ner, sw`.
        tokenizers: of the base models, each with its name for messages; None for a tokenizer that
            is not available.

    Returns:
        The number of examples, and `trained`, replaced by the classes of a training split.

    Errors: InputError if the file cannot be read, has too few classes for training, has no class in
    common with the training data, or if more than half of its examples are too long.
    """
    examples = task.read_split(path, split, reading)
    where = f"{where}, {split} ({path})"
    if split == "train":
        trained = task.classes(examples)
        task.check_trained(trained, where)
    elif trained is not None:
        task.check_classes(trained, task.classes(examples), where)
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
