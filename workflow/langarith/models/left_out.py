"""Adapters without some layers: MAD-X 2.0 (Pfeiffer et al. 2021, arXiv 2012.15562)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from langarith.adapter_format import ADAPTER_FILES, layer_of
from langarith.errors import InputError
from langarith.files import whole_folder, write_json
from langarith.models.adapters import adapter_description
from langarith.models.weights import read_tensors


def write(folder: Path, to: Path, layers: Sequence[int], count: int) -> None:
    """Write a copy of an adapter without its modules in some layers.

    The other modules have the same values: the layers of an initial adapter are initialised
    independently.

    Args:
        folder: of the adapter, as this project saves it.
        to: the folder to write, whole or not at all.
        layers: counted from 0.
        count: number of layers of the base model.

    Raises:
        InputError: a layer that the base model does not have.
    """
    beyond = [layer for layer in layers if layer >= count]
    if beyond:  # of a hub model that was downloaded after the study was read
        raise InputError(
            f"adapters.language.leave_out: layer {beyond[0]} is beyond the {count} layers of the "
            "base model, which are counted from 0; correct it"
        )
    kept = {
        name: tensor
        for name, tensor in read_tensors(folder / ADAPTER_FILES[1]).items()
        if layer_of(name) not in layers
    }
    description = adapter_description(folder)
    description["config"] = {**description["config"], "leave_out": list(layers)}
    with whole_folder(to) as staging:
        write_json(staging / ADAPTER_FILES[0], description)
        save_file(kept, staging / ADAPTER_FILES[1])
