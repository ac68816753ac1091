"""Conversion of old adapters in pickles to the current format of `adapters`: `langarith convert`.

Only this command reads pickles from other sources, with torch's restricted unpickler, which builds
only tensors and plain values.
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

from langarith.adapter_format import ADAPTER_FILES, HEAD_FILES, PICKLES
from langarith.data import base_models, code_keys, heads
from langarith.data.readers import POINTER
from langarith.errors import InputError
from langarith.files import refuse_existing, sha256, whole_folder, write_json
from langarith.models.adapters import adapter_description, current_weights
from langarith.models.ready_made import configuration
from langarith.models.weights import read_tensors, refuse_other_numbers

Tensors = dict[str, torch.Tensor]


def convert(folder: Path, to: Path, labels: Sequence[str] = ()) -> list[str]:
    """Write an adapter, and its head if it has one, as safetensors into a new folder.

    Names of tensors, configuration and model class become those of the current `adapters`, so that
    `load_adapter` gives the same model from both folders.

    Args:
        folder: `adapter_config.json` with `pytorch_adapter.bin` or `adapter.safetensors`; for a
            task adapter also `head_config.json` with the weights of the head.
        to: a folder that does not exist, or is empty.
        labels: of the outputs of the head, in order, if its configuration does not have them.

    Returns:
        Lines about what was written.

    Raises:
        InputError: the folder has no adapter, or one that cannot be used; a pickle contains more
            than tensors; `to` contains files.
    """
    refuse_existing(to)
    code_keys.refuse(folder)
    if not (folder / ADAPTER_FILES[0]).is_file():
        raise InputError(f"{folder}: it has no {ADAPTER_FILES[0]}; name an adapter's folder")
    description = adapter_description(folder)
    if description.get("model_type") not in base_models.SUPPORTED:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: model_type '{description.get('model_type')}' is not "
            f"supported; name an adapter of {', '.join(base_models.SUPPORTED.values())}"
        )
    weights, source = _read(folder, ADAPTER_FILES[1])
    tensors = current_weights(weights, description["name"], source)
    config = configuration(folder, tensors)
    if config.architecture is not None:
        raise InputError(
            f"{folder}: its architecture is {config.architecture}, but only bottleneck adapters "
            "can be merged; name another adapter"
        )
    head = _head(folder, description, labels) if (folder / HEAD_FILES[0]).is_file() else None
    if labels and head is None:
        raise InputError(f"--labels: {folder} has no head that a task can use; remove the option")
    with whole_folder(to) as staging:
        save_file(tensors, staging / ADAPTER_FILES[1])
        write_json(staging / ADAPTER_FILES[0], _current_description(description, config.to_dict()))
        if head is not None:
            save_file(head[1], staging / HEAD_FILES[1])
            write_json(staging / HEAD_FILES[0], head[0])
            outputs = heads.read(staging)
    lines = [_summary(to, description, config, source, tensors)]
    if head is not None:
        lines.append(
            f"{to}: head of type {outputs.type} with {outputs.outputs} outputs: "
            f"{', '.join(outputs.labels or ()) or 'without labels; give them with --labels'}"
        )
    return lines


def _read(folder: Path, safe: str) -> tuple[Tensors, Path]:
    """The tensors of a file, and its path: safetensors if it exists, otherwise a pickle."""
    if (folder / safe).is_file():
        return read_tensors(folder / safe), folder / safe
    path = folder / PICKLES[safe]
    if not path.is_file():
        raise InputError(f"{folder}: it has no {path.name} and no {safe}; copy the whole adapter")
    return read_pickle(path), path


def read_pickle(path: Path) -> Tensors:
    """The tensors of a file of `torch.save`, by torch's restricted unpickler.

    Raises:
        InputError: the file is damaged, or contains anything but a mapping of names to tensors.
    """
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InputError(f"{path} is a git-lfs pointer; run `git lfs pull` in its repository")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL (\S+)", str(error))
        if match:
            raise InputError(
                f"{path} names {match[1]}, which is not a tensor or a plain value and could run "
                "code; it is not read: name an adapter from another source"
            ) from error
        raise InputError(
            f"{path} is damaged, or contains more than tensors and plain values; it is not read: "
            "copy it again, or name an adapter from another source"
        ) from error
    except Exception as error:  # torch and its formats raise many kinds
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
        raise InputError(f"{path} does not map names to tensors; name an adapter's file")
    refuse_other_numbers(loaded, path)
    # copies, because safetensors refuses tensors that share memory
    return {name: tensor.detach().clone().contiguous() for name, tensor in loaded.items()}


def _current_description(description: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """A description with the keys of the current `adapters`."""
    return {
        "config": config,
        "hidden_size": description["hidden_size"],
        "model_class": ADAPTER_MODEL_MAPPING_NAMES[description["model_type"]],
        "model_name": description.get("model_name"),
        "model_type": description["model_type"],
        "name": description["name"],
        "version": f"adapters.{adapters.__version__}",
    }


def _head(
    folder: Path, adapter: Mapping[str, Any], labels: Sequence[str]
) -> tuple[dict[str, Any], Tensors] | None:
    """Description and tensors of the head; None if no task can use it."""
    path = folder / HEAD_FILES[0]
    description = base_models.read_object(path)
    weights, source = _read(folder, HEAD_FILES[1])
    model_class, name = str(description.get("model_class")), str(adapter["name"])
    if model_class.endswith(heads.FLEXIBLE):
        config = dict(description.get("config") or {})
        prefix = f"heads.{description.get('name')}."
        tensors = {
            k.replace(prefix, f"heads.{name}."): t for k, t in weights.items() if prefix in k
        }
    elif model_class in STATIC_TO_FLEX_HEAD_MAP:
        ids = description.get("label2id")
        config, rename = get_head_config_and_rename_list(
            model_class, name, ids, description.get("num_labels")
        )
        tensors = {rename(old): tensor for old, tensor in weights.items()}
        tensors = {new: t for new, t in tensors.items() if new.startswith(f"heads.{name}.")}
    else:
        raise InputError(f"{path}: `adapters` has no head of {model_class}; name another adapter")
    if config.get("head_type") not in heads.TYPES.values():
        return None
    if labels:
        outputs = config.get("num_labels")
        if len(set(labels)) != outputs or len(labels) != outputs:
            raise InputError(
                f"--labels: the head in {folder} has {outputs} outputs; give {outputs} different "
                "labels"
            )
        config.pop("id2label", None)
        config["label2id"] = {label: number for number, label in enumerate(labels)}
    if not tensors:
        raise InputError(
            f"{source}: it has no tensor of the head that {path.name} describes; copy both"
        )
    return _current_description({**adapter, "name": name}, config), tensors


def _summary(
    to: Path, description: Mapping[str, Any], config: Any, source: Path, tensors: Tensors
) -> str:
    """One line about the converted adapter."""
    invertible = f", invertible adapter {config.inv_adapter}" if config.inv_adapter else ""
    return (
        f"{to}: adapter '{description['name']}' of {description.get('model_name')} "
        f"({len(tensors)} tensors, reduction factor {config.reduction_factor}, "
        f"{config.non_linearity}{invertible}), from {source.name} with SHA-256 "
        f"{sha256(source)[:12]}"
    )
