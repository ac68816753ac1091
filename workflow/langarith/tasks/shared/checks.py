"""The check of one split of a task, alone and against what the task was trained on."""

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
    """Read a split to its end, and warn of what of it cannot be learnt or predicted.

    Args:
        reading: what :func:`langarith.study.sources.task_reading` gives.
        trained: `Task.classes` of the training data, None where they are not known.
        where: what the split is, for messages: `ner, sw`.
        tokenizers: of the base models, each with its name for messages, or None for one that is not
            at hand.

    Returns:
        The number of examples, and `trained`, which that of a training split replaces.

    Errors: InputError where the file cannot be read, is useless for training, has no class in
    common with the training data, or loses more than half of itself to the length of inputs.
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
    """The tokenizer within a loaded one, as `Task.check_lengths` takes it.

    The loaded one sets truncation and padding anew whenever it is called.
    """
    plain: Tokenizer = tokenizer.backend_tokenizer
    plain.no_truncation()
    plain.no_padding()
    return plain
