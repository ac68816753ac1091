"""Prediction heads as `adapters` saves them: reads head_config.json, not the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith.adapter_format import HEAD_FILES
from langarith.data import base_models
from langarith.errors import InputError

TYPES = {
    "tagging": "tagging",
    "classification": "classification",
    "qa": "question_answering",
}
"""The head type of `adapters` for each `Task.head`."""

FLEXIBLE = ("AdapterModel", "ModelWithHeads")
"""Suffixes of the model classes whose heads are separate modules, current and older."""

_UNNAMED = re.compile(r"(?i)label_?\d+")


@dataclass(frozen=True)
class Head:
    """A prediction head: its type in `adapters`, its outputs, their labels in order.

    `labels` is None if the configuration names none.
    """

    type: str
    outputs: int
    labels: tuple[str, ...] | None


def read(folder: str | Path) -> Head:
    """The head of an adapter's folder.

    Raises:
        InputError: head_config.json is missing or describes a head that cannot be used.
    """
    path = Path(folder) / HEAD_FILES[0]
    if not path.is_file():
        raise InputError(f"{folder} has no {path.name}; name a task adapter saved with its head")
    described = base_models.read_object(path)
    config = described.get("config")
    if not str(described.get("model_class")).endswith(FLEXIBLE) or not isinstance(config, dict):
        raise InputError(
            f"{path}: the head belongs to the model class {described.get('model_class')}, not "
            f"to the adapter; convert it: langarith convert {folder} --to NEW_FOLDER"
        )
    if config.get("use_pooler"):
        raise InputError(
            f"{path}: the head reads the pooler of the base model (use_pooler), but base models "
            "are loaded without it; name an adapter whose head does not"
        )
    outputs = config.get("num_labels")
    if not isinstance(outputs, int):
        raise InputError(f"{path}: it has no num_labels; name another adapter")
    return Head(str(config.get("head_type")), outputs, _labels(path, config, outputs))


def _labels(path: Path, config: dict[str, Any], outputs: int) -> tuple[str, ...] | None:
    """The labels in the order of the outputs; None if they have no proper names."""
    ids = config.get("label2id")
    if not ids and config.get("id2label"):
        ids = {str(label): number for number, label in config["id2label"].items()}
    if not ids or all(_UNNAMED.fullmatch(str(label)) for label in ids):
        return None
    try:
        by_number = {int(number): str(label) for label, number in ids.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: label2id does not map labels to numbers; correct it") from error
    if sorted(by_number) != list(range(outputs)) or len(ids) != outputs:
        raise InputError(
            f"{path}: label2id does not number its {len(ids)} labels from 0 to {outputs - 1}, the "
            "outputs of the head; correct it"
        )
    return tuple(by_number[number] for number in range(outputs))


def problem(
    head: Head, wanted: str, labels: Sequence[str] | None, folder: str | Path
) -> str | None:
    """Why a head does not fit a task, in one sentence with the first difference; None if it does.

    The order of the labels is the head's own: their names decide what an output means.

    Args:
        wanted: `Task.head`.
        labels: the task's label set; () for QA, None if it is not known yet.
        folder: of the adapter, for the message.
    """
    return next(_differences(head, wanted, labels, f"the head in {folder}", str(folder)), None)


def _differences(
    head: Head, wanted: str, labels: Sequence[str] | None, what: str, folder: str
) -> Iterator[str]:
    if head.type != TYPES[wanted]:
        yield (
            f"{what} is of type {head.type}, but the task needs one of type {TYPES[wanted]}; name "
            "another adapter"
        )
    elif wanted == "qa":
        if head.outputs != 2:
            yield f"{what} has {head.outputs} outputs instead of 2; name another adapter"
    elif head.labels is None:
        yield (
            f"{what} does not say what its {head.outputs} outputs mean (label2id in "
            f"{HEAD_FILES[0]}); write their labels in the order of training: langarith "
            f"convert {folder} --to NEW_FOLDER --labels LABEL LABEL ..."
        )
    elif labels is not None:
        for number, label in enumerate(head.labels):
            if label not in labels:
                yield (
                    f"output {number} of {what} is '{label}', which the task does not have "
                    f"({', '.join(labels)}); name another adapter, or rename the labels of the data"
                )
        for label in labels:
            if label not in head.labels:
                yield (
                    f"{what} has no output for '{label}' of the task, only "
                    f"{', '.join(head.labels)}; name another adapter, or rename the labels of the "
                    "data"
                )
