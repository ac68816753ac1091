"""Adapters of older versions, in pickles, as `adapters` saves them today: `langarith convert`.

The only code of this project that reads pickles of others, and only when this command asks for it,
by torch's restricted unpickler, which builds tensors and plain values.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import adapters
import torch
from adapters.head_utils import STATIC_TO_FLEX_HEAD_MAP, get_head_config_and_rename_list
from adapters.models.auto.adapter_model import ADAPTER_MODEL_MAPPING_NAMES
from safetensors.torch import save_file

from langarith.data import base_models, code_keys, heads
from langarith.data.readers import POINTER
from langarith.errors import InputError
from langarith.files import refuse_existing, sha256, whole_folder, write_json
from langarith.layout import ADAPTER_FILES, HEAD_FILES
from langarith.models.adapters import adapter_description, current_name
from langarith.models.ready_made import configuration
from langarith.models.weights import read_tensors, refuse_non_finite

PICKLES = ("pytorch_adapter.bin", "pytorch_model_head.bin")

Tensors = dict[str, torch.Tensor]


def convert(folder: Path, to: Path, labels: Sequence[str] = ()) -> list[str]:
    """Write an adapter, and its head if it has one, as safetensors into a new folder.

    Names of tensors, configuration and model class become those that `adapters` writes today, so
    that `load_adapter` gives the same model from both folders.

    Args:
        folder: `adapter_config.json` with `pytorch_adapter.bin` or `adapter.safetensors`; for a
            task adapter also `head_config.json` with the weights of the head.
        to: a folder that does not exist, or is empty.
        labels: what the outputs of the head mean, in their order, where its configuration does not
            say it.

    Returns:
        Lines about what was written.

    Raises:
        InputError: the folder holds no adapter, or one that is of no use here; a pickle holds more
            than tensors; `to` holds files.
    """
    refuse_existing(to)
    code_keys.refuse(folder)
    if not (folder / ADAPTER_FILES[0]).is_file():
        raise InputError(f"{folder}: no {ADAPTER_FILES[0]} there; name an adapter's folder")
    described = adapter_description(folder)
    if described.get("model_type") not in base_models.SUPPORTED:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: model_type '{described.get('model_type')}' is not "
            f"supported; name an adapter of {', '.join(base_models.SUPPORTED.values())}"
        )
    weights, source = _read(folder, ADAPTER_FILES[1], PICKLES[0])
    named = _adapter_weights(weights, str(described["name"]), source)
    config = configuration(folder, named)
    if config.architecture is not None:
        raise InputError(
            f"{folder}: its architecture is {config.architecture}, and only bottleneck adapters "
            "are merged here; name another adapter"
        )
    head = _head(folder, described, labels) if (folder / HEAD_FILES[0]).is_file() else None
    if labels and head is None:
        raise InputError(f"--labels: {folder} has no head that a task here takes; leave them out")
    with whole_folder(to) as staging:
        save_file(named, staging / ADAPTER_FILES[1])
        write_json(staging / ADAPTER_FILES[0], _today(described, config.to_dict()))
        if head is not None:
            save_file(head[1], staging / HEAD_FILES[1])
            write_json(staging / HEAD_FILES[0], head[0])
            outputs = heads.read(staging)
    lines = [_about(to, described, config, source, named)]
    if head is not None:
        lines.append(
            f"{to}: head of type {outputs.type} with {outputs.outputs} outputs: "
            f"{', '.join(outputs.labels or ()) or 'without labels, which --labels gives'}"
        )
    return lines


def _read(folder: Path, safe: str, pickled: str) -> tuple[Tensors, Path]:
    """The tensors of a file, and the file: safetensors where there is one, else a pickle."""
    if (folder / safe).is_file():
        return read_tensors(folder / safe), folder / safe
    path = folder / pickled
    if not path.is_file():
        raise InputError(f"{folder}: no {pickled} and no {safe} there; copy the whole adapter")
    return read_pickle(path), path


def read_pickle(path: Path) -> Tensors:
    """The tensors of a file of `torch.save`, by torch's restricted unpickler.

    Raises:
        InputError: the file is damaged, or holds anything but a mapping of names to tensors.
    """
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InputError(f"{path} is a git-lfs pointer; run `git lfs pull` where it is from")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named:
            raise InputError(
                f"{path} names {named[1]}, which is no tensor and no plain value and could run "
                "code; it is not read: name an adapter from another source"
            ) from error
        raise InputError(
            f"{path} is damaged, or holds more than tensors and plain values; it is not read: copy "
            "it again, or name an adapter from another source"
        ) from error
    except Exception as error:  # torch and its formats raise a dozen kinds
        raise InputError(
            f"{path} cannot be read as a file of torch.save ({' '.join(str(error).split())[:200]})"
            "; copy it again"
        ) from error
    if not isinstance(loaded, Mapping) or not all(
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        for name, tensor in loaded.items()
    ):
        raise InputError(f"{path} holds no names with tensors; name an adapter's file")
    refuse_non_finite(loaded, path)
    # a copy each: safetensors refuses tensors that share memory
    return {name: tensor.detach().clone().contiguous() for name, tensor in loaded.items()}


def _adapter_weights(weights: Tensors, name: str, source: Path) -> Tensors:
    """The same by the names of today.

    Raises:
        InputError: a tensor is no part of the adapter.
    """
    named = {current_name(old): tensor for old, tensor in weights.items()}
    other = [n for n in named if f"adapters.{name}." not in n]
    if other or len(named) != len(weights) or not named:
        found = f"{other[0]} is" if other else f"{len(weights)} tensors are"
        raise InputError(
            f"{source}: {found} no part of a bottleneck adapter '{name}', as {ADAPTER_FILES[0]} "
            "calls it; name a folder with one such adapter"
        )
    return named


def _today(described: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """A description with the keys that `adapters` writes today."""
    return {
        "config": config,
        "hidden_size": described["hidden_size"],
        "model_class": ADAPTER_MODEL_MAPPING_NAMES[described["model_type"]],
        "model_name": described.get("model_name"),
        "model_type": described["model_type"],
        "name": described["name"],
        "version": f"adapters.{adapters.__version__}",
    }


def _head(
    folder: Path, adapter: Mapping[str, Any], labels: Sequence[str]
) -> tuple[dict[str, Any], Tensors] | None:
    """Description and tensors of the head; None for one that no task here takes."""
    path = folder / HEAD_FILES[0]
    described = base_models.read_object(path)
    weights, source = _read(folder, HEAD_FILES[1], PICKLES[1])
    model_class, name = str(described.get("model_class")), str(adapter["name"])
    if model_class.endswith(heads.FLEXIBLE):
        config = dict(described.get("config") or {})
        start = f"heads.{described.get('name')}."
        named = {k.replace(start, f"heads.{name}."): t for k, t in weights.items() if start in k}
    elif model_class in STATIC_TO_FLEX_HEAD_MAP:
        ids = described.get("label2id")
        config, renamed = get_head_config_and_rename_list(
            model_class, name, ids, described.get("num_labels")
        )
        named = {renamed(old): tensor for old, tensor in weights.items()}
        named = {new: tensor for new, tensor in named.items() if new.startswith(f"heads.{name}.")}
    else:
        raise InputError(f"{path}: `adapters` knows no head of {model_class}; name another adapter")
    if config.get("head_type") not in heads.TYPES.values():
        return None
    if labels:
        outputs = config.get("num_labels")
        if len(set(labels)) != outputs or len(labels) != outputs:
            raise InputError(
                f"--labels: the head in {folder} has {outputs} outputs; give so many labels, each "
                "once"
            )
        config.pop("id2label", None)
        config["label2id"] = {label: number for number, label in enumerate(labels)}
    if not named:
        raise InputError(f"{source}: no tensor of the head that {path.name} describes; copy both")
    return _today({**adapter, "name": name}, config), named


def _about(
    to: Path, described: Mapping[str, Any], config: Any, source: Path, named: Tensors
) -> str:
    """What was converted, in a line."""
    invertible = f", invertible adapter {config.inv_adapter}" if config.inv_adapter else ""
    return (
        f"{to}: adapter '{described['name']}' of {described.get('model_name')} "
        f"({len(named)} tensors, reduction factor {config.reduction_factor}, "
        f"{config.non_linearity}{invertible}), from {source.name} with SHA-256 "
        f"{sha256(source)[:12]}"
    )
