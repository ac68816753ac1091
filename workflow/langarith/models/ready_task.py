"""Checks of task adapters trained elsewhere: whether they fit the base model and the task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from adapters import AutoAdapterModel
from transformers import AutoConfig, PretrainedConfig

from langarith.adapter_format import HEAD_FILES
from langarith.data import code_keys, heads
from langarith.errors import InputError
from langarith.models.adapters import adapter_description
from langarith.models.ready_made import config_mismatch
from langarith.models.weights import read_tensors
from langarith.tasks.shared.base import Task


def fitting_labels(
    key: str, folder: Path, encoder: Path, task: Task[Any, Any], labels: Sequence[str]
) -> tuple[str, ...]:
    """The labels of a head in the order of its outputs, after all checks.

    Args:
        key: of the adapter in the study, for messages.
        folder: of the adapter and its head.
        encoder: folder of the base model.
        labels: the label set of the task; () for QA.

    Raises:
        InputError: the adapter does not fit the base model, or the head does not fit the task: the
            first difference is named.
    """
    code_keys.refuse(folder)
    code_keys.refuse(encoder)
    base = AutoConfig.from_pretrained(str(encoder), trust_remote_code=False)
    try:
        head = heads.read(folder)
        problem = (
            _other_base_model(folder, base)
            or _config_mismatch(folder, encoder)
            or heads.problem(head, task.head, labels, folder)
            or _head_mismatch(folder, base)
        )
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    if problem:
        raise InputError(f"{key}: {problem}")
    return head.labels if labels and head.labels else ()


def _other_base_model(folder: Path, base: PretrainedConfig) -> str | None:
    description = adapter_description(folder)
    for name in ("model_type", "hidden_size"):
        expected, actual = getattr(base, name), description.get(name)
        if actual != expected:
            return (
                f"the adapter in {folder} does not fit the base model ({name} {actual} instead of "
                f"{expected}); name one that was trained on it"
            )
    return None


def _config_mismatch(folder: Path, encoder: Path) -> str | None:
    mismatch = config_mismatch(folder, encoder)
    return mismatch and (
        f"{folder} does not match its adapter_config.json on the base model ({mismatch}); "
        "copy the whole adapter, or name another"
    )


def _head_mismatch(folder: Path, base: PretrainedConfig) -> str | None:
    """How the tensors of a head differ from those of its configuration on a base model.

    `adapters` initialises tensors that a file lacks at random.
    """
    weights = folder / HEAD_FILES[1]
    description = json.loads((folder / HEAD_FILES[0]).read_bytes())
    try:
        with torch.device("meta"):
            model = AutoAdapterModel.from_config(base)
            model.add_prediction_head_from_config("x", dict(description["config"]))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return f"`adapters` does not support the head of {folder} ({error}); name another adapter"
    prefix = f"heads.{description.get('name')}."
    expected = {name: tuple(p.shape) for name, p in model.heads["x"].named_parameters()}
    saved = {
        name.partition(prefix)[2]: tuple(tensor.shape)
        for name, tensor in read_tensors(weights).items()
        if prefix in name
    }
    for name in sorted({*expected, *saved}):
        if expected.get(name) != saved.get(name):
            return (
                f"{weights} does not match {HEAD_FILES[0]}: {prefix}{name} has the size "
                f"{saved.get(name)} instead of {expected.get(name)}; copy the whole adapter, "
                "or name another"
            )
    return None
