"""Task adapters trained elsewhere: whether they and their heads fit the base model and the task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from adapters import AutoAdapterModel
from transformers import AutoConfig, PretrainedConfig

from langarith.data import code_keys, heads
from langarith.errors import InputError
from langarith.layout import HEAD_FILES
from langarith.models.adapters import adapter_description
from langarith.models.ready_made import unlike_its_config
from langarith.models.weights import read_tensors
from langarith.tasks.shared.base import Task


def fitting_labels(
    key: str, folder: Path, encoder: Path, task: Task[Any, Any], labels: Sequence[str]
) -> tuple[str, ...]:
    """The labels of a head in the order of its outputs, once all has been compared.

    Args:
        key: what the study calls the adapter, for messages.
        folder: of the adapter and its head.
        encoder: folder of the base model.
        labels: the label set of the task; () for QA.

    Raises:
        InputError: the adapter does not fit the base model, or the head the task: the first
            difference is named.
    """
    code_keys.refuse(folder)
    code_keys.refuse(encoder)
    base = AutoConfig.from_pretrained(str(encoder), trust_remote_code=False)
    try:
        head = heads.read(folder)
        problem = (
            _other_base_model(folder, base)
            or _unlike_its_config(folder, encoder)
            or heads.problem(head, task.head, labels, folder)
            or _unlike_its_head(folder, base)
        )
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    if problem:
        raise InputError(f"{key}: {problem}")
    return head.labels if labels and head.labels else ()


def _other_base_model(folder: Path, base: PretrainedConfig) -> str | None:
    described = adapter_description(folder)
    for name in ("model_type", "hidden_size"):
        wanted, found = getattr(base, name), described.get(name)
        if found != wanted:
            return (
                f"the adapter in {folder} does not fit the base model ({name} {found} and not "
                f"{wanted}); name one that was trained on it"
            )
    return None


def _unlike_its_config(folder: Path, encoder: Path) -> str | None:
    unlike = unlike_its_config(folder, encoder)
    return unlike and (
        f"{folder} does not hold what its adapter_config.json builds on the base model ({unlike}); "
        "copy the whole adapter, or name another"
    )


def _unlike_its_head(folder: Path, base: PretrainedConfig) -> str | None:
    """How the tensors of a head differ from what its configuration builds on a base model.

    `adapters` draws those that a file lacks at random.
    """
    weights = folder / HEAD_FILES[1]
    described = json.loads((folder / HEAD_FILES[0]).read_bytes())
    try:
        with torch.device("meta"):
            model = AutoAdapterModel.from_config(base)
            model.add_prediction_head_from_config("x", dict(described["config"]))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return f"`adapters` does not know the head of {folder} ({error}); name another adapter"
    start = f"heads.{described.get('name')}."
    built = {name: tuple(p.shape) for name, p in model.heads["x"].named_parameters()}
    found = {
        name.partition(start)[2]: tuple(tensor.shape)
        for name, tensor in read_tensors(weights).items()
        if start in name
    }
    for name in sorted({*built, *found}):
        if built.get(name) != found.get(name):
            return (
                f"{weights} does not hold what {HEAD_FILES[0]} builds: {start}{name} has the size "
                f"{found.get(name)} and not {built.get(name)}; copy the whole adapter, or name "
                "another"
            )
    return None
