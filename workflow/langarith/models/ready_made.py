"""Adapters trained elsewhere: whether they fit the base model, and each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from adapters import AdapterConfig, AutoAdapterModel
from adapters.utils import ACTIVATION_RENAME
from transformers import AutoConfig

from langarith.data import code_keys
from langarith.errors import InputError
from langarith.models.adapters import (
    ADAPTER_FILES,
    adapter_description,
    named_parameters,
    read_adapter,
)


def adapter_shape(folder: str | Path) -> dict[str, Any]:
    """What two adapters must agree in to be merged, by key.

    Everything of the configuration that decides how they compute, with the defaults of what it
    leaves out; the base model's type and width; the size of every tensor by its name.

    Raises:
        InputError: the folder holds no adapter in safetensors.
    """
    folder = Path(folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in read_adapter(folder).items()}
    described = adapter_description(folder)
    config = configuration(folder, shapes).to_dict()
    if config.get("leave_out"):
        config["leave_out"] = sorted(config["leave_out"])
    base = {key: described.get(key) for key in ("model_type", "hidden_size")}
    # where training started, and how it was regularised
    past = {"init_weights", "init_weights_seed", "dropout", "stochastic_depth"}
    sizes = {f"size of {name}": shape for name, shape in shapes.items()}
    return base | {key: value for key, value in config.items() if key not in past} | sizes


def configuration(folder: Path, tensors: Iterable[str]) -> AdapterConfig:
    """The configuration of an adapter as `adapters` loads it, older files included.

    Args:
        tensors: names of its tensors. Old task adapters describe an invertible adapter that they
            do not have.

    Raises:
        InputError: `adapters` does not know the configuration.
    """
    described = adapter_description(folder)
    given = described["config"]
    if "version" not in described and isinstance(given, Mapping):
        # the first versions wrote none, and called two activations otherwise
        activation = given.get("non_linearity")
        given = {**given, "non_linearity": ACTIVATION_RENAME.get(str(activation), activation)}
    try:
        config = AdapterConfig.load(given)
        if described.get("type") == "text_task" and not any("invertible" in n for n in tensors):
            config = config.replace(inv_adapter=None, inv_adapter_reduction_factor=None)
        return config
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: `adapters` does not know the configuration ({error}); "
            "name another adapter"
        ) from error


def unlike_its_config(folder: str | Path, encoder: str | Path) -> str | None:
    """How the tensors of an adapter differ from what its configuration builds on a base model.

    `adapters` draws those that a file lacks at random. The base model's weights are not read: what
    is built has sizes alone.

    Args:
        encoder: folder of the base model.
    """
    folder = Path(folder)
    code_keys.refuse(encoder)
    shape = AutoConfig.from_pretrained(str(encoder), trust_remote_code=False)
    found = {name: tuple(tensor.shape) for name, tensor in read_adapter(folder).items()}
    with torch.device("meta"):
        model = AutoAdapterModel.from_config(shape)
        model.add_adapter("x", config=configuration(folder, found))
    built = {name: tuple(p.shape) for name, p in named_parameters(model, "x").items()}
    for names, said in (
        (built.keys() - found.keys(), "lacks"),
        (found.keys() - built.keys(), "has besides"),
        ({n for n in built.keys() & found.keys() if built[n] != found[n]}, "has other sizes of"),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return f"it {said} {', '.join(sorted(names)[:3])}{more}"
    return None if built else "it has no bottleneck layers"


def refuse_unequal(
    folders: Mapping[str, Path], initial: Path, encoder: Path, *, trained: bool
) -> None:
    """Ready-made adapters must fit the base model, each other, and those that are trained.

    Args:
        folders: what each ready-made adapter is called in the study -> its folder.
        initial: the initialisation that training starts from, which fits the base model.
        encoder: folder of the base model.
        trained: whether adapters of that shape are merged with them; else they need to agree
            among themselves alone.

    Raises:
        InputError: one line for each that does not fit, naming where.
    """
    shapes = {name: adapter_shape(path) for name, path in folders.items()}
    here = adapter_shape(initial)
    first = "adapters.language of this study" if trained else next(iter(shapes))
    reference = here if trained else shapes[first]
    lines = []
    for name, shape in shapes.items():
        keys = [k for k in ("model_type", "hidden_size") if here[k] != shape[k]]
        if not trained and here["leave_out"] and here["leave_out"] != shape["leave_out"]:
            lines.append(
                f"{name}: the adapter in {folders[name]} leaves out the layers "
                f"{shape['leave_out']}, and adapters.language.leave_out says {here['leave_out']}; "
                "correct the key, or remove it"
            )
            continue
        other, wanted = ("the base model", here) if keys else (first, reference)
        keys = keys or [k for k in {**reference, **shape} if reference.get(k) != shape.get(k)]
        if keys:
            told = ", ".join(f"{k} {shape.get(k)} and not {wanted.get(k)}" for k in keys[:3])
            lines.append(
                f"{name}: the adapter in {folders[name]} does not fit {other} ({told}); only "
                "adapters of one base model and one configuration can be merged"
            )
        elif unlike := unlike_its_config(folders[name], encoder):
            lines.append(
                f"{name}: {folders[name]} does not hold what its adapter_config.json builds on the "
                f"base model ({unlike}); copy the whole adapter, or name another"
            )
    if lines:
        raise InputError("\n".join(lines))
