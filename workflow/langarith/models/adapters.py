"""Adapters: configuration, initialisation, parameter names, reading and writing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from adapters import SeqBnConfig, SeqBnInvConfig
from adapters.loading import AdapterLoader
from adapters.methods.modeling import Activation_Function_Class
from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation, get_activation

from langarith.adapter_format import ADAPTER_FILES, HEAD_FILES
from langarith.data import code_keys
from langarith.errors import InputError
from langarith.files import read_json, whole_folder
from langarith.models.masked_lm import lm_head
from langarith.models.weights import read_tensors

LANGUAGE, TASK = "language", "task"
"""Names in a model of the language adapter that is merged or estimated, and of the task adapter."""


def language_config(shape: Mapping[str, Any]) -> SeqBnInvConfig:
    """MAD-X: bottleneck after the output block, NICE invertible adapter at the embeddings."""
    return SeqBnInvConfig(
        reduction_factor=shape["reduction_factor"],
        non_linearity=shape["non_linearity"],
        inv_adapter="nice" if shape["invertible_reduction_factor"] else None,
        inv_adapter_reduction_factor=shape["invertible_reduction_factor"] or 2,
    )


def task_config(shape: Mapping[str, Any]) -> SeqBnConfig:
    """Pfeiffer: bottleneck after the output block, no invertible adapter."""
    return SeqBnConfig(
        reduction_factor=shape["reduction_factor"], non_linearity=shape["non_linearity"]
    )


def add_initialised(model: PreTrainedModel, name: str, config: Any, seed: int) -> None:
    """Add an adapter; each linear layer is initialised by a new generator: N(0, 0.02), bias 0.

    The same seed for each layer is the authors' choice: all languages and runs start from one
    point, so that adapters differ only by training.
    """
    model.add_adapter(name, config=config)
    _fuse_activations(model)
    with torch.no_grad():
        for parameter in named_parameters(model, name).values():
            if parameter.dim() > 1:
                generator = torch.Generator().manual_seed(seed)
                parameter.copy_(torch.empty_like(parameter).normal_(0, 0.02, generator=generator))
            else:
                parameter.zero_()


def named_parameters(model: PreTrainedModel, adapter: str) -> dict[str, nn.Parameter]:
    """An adapter's parameters, with invertible subnets, by names without model and adapter.

    `roberta.encoder.layer.0.output.adapters.es.adapter_up.weight` becomes
    `encoder.layer.0.output.adapters.adapter_up.weight`, so that adapters of two languages, or one
    adapter in two model classes, have equal names.
    """
    parameters = {}
    for name, parameter in model.named_parameters():
        plain = plain_name(name, adapter)
        if plain:
            parameters[plain] = parameter
    return dict(sorted(parameters.items()))


def current_name(name: str) -> str:
    """The name in this version of `adapters` of a tensor that an older version wrote."""
    for old, new in AdapterLoader.legacy_weights_mapping.items():
        name = name.replace(old, new)
    return name


def plain_name(name: str, adapter: str) -> str | None:
    """A tensor's name without model and adapter; None if it is not a part of the adapter."""
    name = current_name(name)
    match = re.search(rf"\b(adapters|invertible_adapters)\.{re.escape(adapter)}\.", name)
    if not match:
        return None
    name = name.replace(match[0], f"{match[1]}.")
    return re.sub(r"^\w+\.(?=encoder\.|invertible_adapters\.)", "", name)


def train_only(model: PreTrainedModel, adapter: str, *, head: bool = False) -> None:
    """Activate an adapter and make only it trainable.

    `adapters` itself leaves a static masked-LM head trainable. MAD-X freezes the whole model
    (section 3.2.1).

    Args:
        head: also train the masked-LM head, as in the authors' scripts, except the decoder, which
            is tied to the word embeddings. It is not saved with the adapter.
    """
    model.train_adapter(adapter)
    trained = {id(parameter) for parameter in named_parameters(model, adapter).values()}
    if head:
        decoder = model.get_output_embeddings().weight
        trained |= {id(p) for p in lm_head(model).parameters() if p is not decoder}
    for parameter in model.parameters():
        parameter.requires_grad = id(parameter) in trained


def read_adapter(folder: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a saved adapter by the names of :func:`named_parameters`, in float32.

    Raises:
        InputError: the folder has no adapter in safetensors, or a value is not finite.
    """
    folder = Path(folder)
    code_keys.refuse(folder)
    config, weights = (folder / name for name in ADAPTER_FILES)
    if not config.is_file() or not weights.is_file():
        raise InputError(
            f"{folder}: it has no {' and '.join(ADAPTER_FILES)}; name an adapter's folder"
        )
    name = adapter_description(folder)["name"]
    current = current_weights(read_tensors(weights), name, weights)
    tensors = {str(plain_name(key, name)): value for key, value in current.items()}
    return {key: value.float() for key, value in sorted(tensors.items())}


def current_weights(
    weights: Mapping[str, torch.Tensor], name: str, source: Path
) -> dict[str, torch.Tensor]:
    """The tensors of a bottleneck adapter by their current names.

    Raises:
        InputError: a tensor is not a part of the adapter.
    """
    tensors = {current_name(old): tensor for old, tensor in weights.items()}
    plain = {new: plain_name(new, name) for new in tensors}
    other = [new for new, found in plain.items() if not found]
    if other or len(set(plain.values())) != len(weights) or not weights:
        subject = f"{other[0]} is" if other else f"{len(weights)} tensors are"
        raise InputError(
            f"{source}: {subject} not a part of a bottleneck adapter '{name}', its name in "
            f"{ADAPTER_FILES[0]}; name a folder with one such adapter"
        )
    return tensors


def read_adapters(
    files: Iterable[tuple[Sequence[Any], str]],
) -> dict[tuple[Any, ...], dict[str, torch.Tensor] | None]:
    """Tensors of adapters by key, from pairs (key, file of weights); None for a missing file."""
    return {
        tuple(key): read_adapter(Path(path).parent) if Path(path).is_file() else None
        for key, path in files
    }


def adapter_description(folder: Path) -> dict[str, Any]:
    """The content of adapter_config.json, in AdapterHub's format."""
    path = folder / ADAPTER_FILES[0]
    description = read_json(path)
    keys = {"name", "config", "hidden_size"}
    if not isinstance(description, dict) or not keys <= set(description):
        raise InputError(
            f"{path} does not describe an adapter (name, config, hidden_size); name a folder "
            "saved by `adapters`"
        )
    name = description["name"]
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{path}: 'name' is {json.dumps(name)}; write the name that the adapter's tensors have"
        )
    return description


def save_adapter(model: PreTrainedModel, name: str, folder: Path, *, with_head: bool) -> None:
    """Write an adapter in AdapterHub format (safetensors), whole or not at all."""
    with whole_folder(folder) as staging:
        model.save_adapter(str(staging), name, with_head=with_head, use_safetensors=True)


def load_adapter(model: PreTrainedModel, folder: str | Path, name: str, *, with_head: bool) -> None:
    """Load a saved adapter under the given name, only from safetensors."""
    read_adapter(folder)
    if with_head:
        read_tensors(Path(folder) / HEAD_FILES[1])
    model.load_adapter(
        str(folder), load_as=name, with_head=with_head, use_safetensors=True, set_active=False
    )
    _fuse_activations(model)


def _fuse_activations(model: PreTrainedModel) -> None:
    """Compute `gelu_new` of adapters with one kernel instead of transformers' eight operations.

    The same function, the tanh approximation of GELU (Hendrycks and Gimpel, 2016), up to the last
    bits; a step keeps one tensor for the gradient instead of four.
    """
    for module in model.modules():
        if isinstance(module, Activation_Function_Class) and isinstance(
            module.f, NewGELUActivation
        ):
            module.f = get_activation("gelu_pytorch_tanh")
