"""Adapters trained elsewhere: whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import AdapterConfig

from langarith.errors import InputError
from langarith.models.adapters import ADAPTER_FILES, adapter_description, read_adapter


def adapter_shape(folder: str | Path) -> dict[str, Any]:
    """What two adapters must agree in to be merged, by key.

    Everything of the configuration that decides how they compute, with the defaults of what it
    leaves out; the base model's type and width; the size of every tensor by its name.

    Raises:
        InputError: the folder holds no adapter in safetensors.
    """
    folder = Path(folder)
    tensors = {f"size of {name}": tuple(t.shape) for name, t in read_adapter(folder).items()}
    described = adapter_description(folder)
    try:
        config = AdapterConfig.load(described["config"]).to_dict()
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: `adapters` does not know the configuration ({error}); "
            "name another adapter"
        ) from error
    base = {key: described.get(key) for key in ("model_type", "hidden_size")}
    # where training started, and how it was regularised
    past = {"init_weights", "init_weights_seed", "dropout", "stochastic_depth"}
    return base | {key: value for key, value in config.items() if key not in past} | tensors


def refuse_unequal(folders: Mapping[str, Path], initial: Path, *, trained: bool) -> None:
    """Ready-made adapters must fit the base model, each other, and those that are trained.

    Args:
        folders: what each ready-made adapter is called in the study -> its folder.
        initial: the initialisation that training starts from, which fits the base model.
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
        other, wanted = ("the base model", here) if keys else (first, reference)
        keys = keys or [k for k in {**reference, **shape} if reference.get(k) != shape.get(k)]
        if keys:
            told = ", ".join(f"{k} {shape.get(k)} and not {wanted.get(k)}" for k in keys[:3])
            lines.append(
                f"{name}: the adapter in {folders[name]} does not fit {other} ({told}); only "
                "adapters of one base model and one configuration can be merged"
            )
    if lines:
        raise InputError("\n".join(lines))
