"""Checks of adapters trained elsewhere: whether they fit the base model and each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from adapters import AdapterConfig, AutoAdapterModel
from adapters.utils import ACTIVATION_RENAME
from transformers import AutoConfig

from langarith.adapter_format import ADAPTER_FILES
from langarith.data import code_keys
from langarith.errors import InputError, warn
from langarith.models.adapters import adapter_description, named_parameters, read_adapter

UNRELATED = 0.02
"""The cosine of the weights of two adapters below which they hardly had the same initial weights.

Two language adapters of 300 steps from one initialisation have 0.8, an adapter and itself with its
units in another order 0.005. Long trainings, which were not measured, make it smaller; in adapters
of few weights chance alone makes it larger.
"""


def adapter_shape(folder: str | Path) -> dict[str, Any]:
    """The properties that two adapters must share to be merged, by key.

    The part of the configuration that decides how they compute, with defaults for missing keys; the
    type and width of the base model; the size of every tensor by its name.

    Raises:
        InputError: the folder has no adapter in safetensors.
    """
    folder = Path(folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in read_adapter(folder).items()}
    description = adapter_description(folder)
    config = configuration(folder, shapes).to_dict()
    if config.get("leave_out"):
        config["leave_out"] = sorted(config["leave_out"])
    base = {key: description.get(key) for key in ("model_type", "hidden_size")}
    # initialisation and regularisation of training
    training_only = {"init_weights", "init_weights_seed", "dropout", "stochastic_depth"}
    sizes = {f"size of {name}": shape for name, shape in shapes.items()}
    return base | {key: value for key, value in config.items() if key not in training_only} | sizes


def configuration(folder: Path, tensors: Iterable[str]) -> AdapterConfig:
    """The configuration of an adapter as `adapters` loads it, also from old files.

    Args:
        tensors: names of its tensors. Old task adapters describe an invertible adapter that they
            do not have.

    Raises:
        InputError: `adapters` does not support the configuration.
    """
    description = adapter_description(folder)
    values = description["config"]
    if "version" not in description and isinstance(values, Mapping):
        # the first versions wrote no version, and had other names for two activations
        activation = values.get("non_linearity")
        values = {**values, "non_linearity": ACTIVATION_RENAME.get(str(activation), activation)}
    try:
        if not values:
            raise ValueError("it is empty")
        config = AdapterConfig.load(values)
        if description.get("type") == "text_task" and not any("invertible" in n for n in tensors):
            config = config.replace(inv_adapter=None, inv_adapter_reduction_factor=None)
        return config
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: `adapters` does not support the configuration "
            f"({error}); name another adapter"
        ) from error


def config_mismatch(folder: str | Path, encoder: str | Path) -> str | None:
    """How the tensors of an adapter differ from those of its configuration on a base model.

    `adapters` initialises tensors that a file lacks at random. The base model's weights are not
    read; only sizes are compared.

    Args:
        encoder: folder of the base model.
    """
    folder = Path(folder)
    code_keys.refuse(encoder)
    shape = AutoConfig.from_pretrained(str(encoder), trust_remote_code=False)
    saved = {name: tuple(tensor.shape) for name, tensor in read_adapter(folder).items()}
    with torch.device("meta"):
        model = AutoAdapterModel.from_config(shape)
        model.add_adapter("x", config=configuration(folder, saved))
    expected = {name: tuple(p.shape) for name, p in named_parameters(model, "x").items()}
    for names, verb in (
        (expected.keys() - saved.keys(), "lacks"),
        (saved.keys() - expected.keys(), "also has"),
        (
            {n for n in expected.keys() & saved.keys() if expected[n] != saved[n]},
            "has other sizes of",
        ),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return f"it {verb} {', '.join(sorted(names)[:3])}{more}"
    return None if expected else "it has no bottleneck layers"


def refuse_mismatched(
    folders: Mapping[str, Path], initial: Path, encoder: Path, *, trained: bool
) -> None:
    """Ready-made adapters must fit the base model, each other, and the trained adapters.

    Args:
        folders: of the ready-made adapters, by their names in the study.
        initial: the initialisation of training, which fits the base model.
        encoder: folder of the base model.
        trained: whether trained adapters are merged with them; otherwise they only need to fit each
            other.

    Raises:
        InputError: one line for each adapter that does not fit.
    """
    shapes = {name: adapter_shape(path) for name, path in folders.items()}
    own = adapter_shape(initial)
    first = "adapters.language of this study" if trained else next(iter(shapes))
    reference = own if trained else shapes[first]
    lines = []
    for name, shape in shapes.items():
        keys = [k for k in ("model_type", "hidden_size") if own[k] != shape[k]]
        if not trained and own["leave_out"] and own["leave_out"] != shape["leave_out"]:
            lines.append(
                f"{name}: the adapter in {folders[name]} leaves out the layers "
                f"{shape['leave_out']}, but adapters.language.leave_out is {own['leave_out']}; "
                "correct the key, or remove it"
            )
            continue
        other, wanted = ("the base model", own) if keys else (first, reference)
        keys = keys or [k for k in {**reference, **shape} if reference.get(k) != shape.get(k)]
        if keys:
            reasons = ", ".join(f"{k} {shape.get(k)} instead of {wanted.get(k)}" for k in keys[:3])
            lines.append(
                f"{name}: the adapter in {folders[name]} does not fit {other} ({reasons}); only "
                "adapters of one base model and one configuration can be merged"
            )
        elif mismatch := config_mismatch(folders[name], encoder):
            lines.append(
                f"{name}: {folders[name]} does not match its adapter_config.json on the base model "
                f"({mismatch}); copy the whole adapter, or name another"
            )
    if lines:
        raise InputError("\n".join(lines))
    compared = ({first: initial} if trained else {}) | dict(folders)
    warn_of_unrelated({name: read_adapter(folder) for name, folder in compared.items()})


def warn_of_unrelated(adapters: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Warn of adapters that probably did not start from the initial weights of the first one.

    Language arithmetic needs one θ_pre for all operands, which public adapters seldom state.

    Args:
        adapters: tensors by parameter, of adapters of one shape, by their names in messages.
    """
    (other, reference), *others = adapters.items()
    weights = _flat(reference)
    limit = max(UNRELATED, 3 / math.sqrt(len(weights)))  # three standard deviations of chance
    for name, adapter in others:
        alike = float(torch.nn.functional.cosine_similarity(_flat(adapter), weights, dim=0))
        if abs(alike) < limit:
            warn(
                name,
                f"the cosine of its weights and those of {other} is {alike:.3f}, as of adapters "
                "with different initial weights; θ_pre may not cancel out in their sum: check that "
                "both were trained from one initialisation",
            )


def _flat(adapter: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([adapter[name].flatten() for name in sorted(adapter)]).double()
