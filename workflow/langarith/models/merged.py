"""Merged adapters: from a recipe, and as folders that plain `adapters` loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from langarith import merging
from langarith.errors import InputError
from langarith.files import refuse_existing, sha256, whole_folder, write_json, write_text
from langarith.models import merge_recipe
from langarith.models.adapters import (
    ADAPTER_FILES,
    adapter_description,
    current_name,
    read_adapter,
)
from langarith.models.merge_recipe import MergeRecipe
from langarith.models.ready_made import adapter_shape
from langarith.models.weights import read_tensors, refuse_non_finite
from langarith.operands import point_text
from langarith.study.blocks import hub_adapter

CONFIG, WEIGHTS = ADAPTER_FILES
PICKLE = "pytorch_adapter.bin"

_DOWNLOADED = re.compile(r"(?:^|/)models/([\w.-]+/[\w.-]+)/([0-9a-f]{40})$")
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Merged:
    """A merged adapter, and the recipe with everything that it left open: hashes, base model."""

    recipe: MergeRecipe
    names: tuple[str, ...]
    """What the merge calls its operands."""
    tensors: dict[str, torch.Tensor]
    like: Path
    """The folder of the first operand, whose configuration the merged adapter has."""
    model_type: str

    @property
    def name(self) -> str:
        """The adapter's name: a part of parameter names, so without dots and signs."""
        parts = (self.recipe.method, *self.names, point_text(self.recipe.point))
        return re.sub(r"\W", "_", "_".join(parts))

    @property
    def formula(self) -> str:
        """The merge in words, such as `0.65 · en + 0.35 · fr`."""
        return merging.get(self.recipe.method).describe(self.names, self.recipe.point)

    @property
    def base_model(self) -> tuple[str, str | None]:
        """Name of the base model, or its folder; and its revision, where it is known."""
        return split_revision(str(self.recipe.base_model))


def merge(recipe: MergeRecipe) -> Merged:
    """Merge the adapters of a recipe, whose files are all here (`merge_recipe.fetched`).

    Raises:
        InputError: an adapter that cannot be read, whose weights are not those that the recipe
            means, or that does not fit the first one: the first difference is named.
    """
    places = [operand.adapter for operand in recipe.operands]
    folders = [merge_recipe.folder(place) for place in places]
    for place, folder in zip(places, folders, strict=True):
        _refuse_pickles(place, folder)
    shapes = [adapter_shape(folder) for folder in folders]
    for place, shape in zip(places[1:], shapes[1:], strict=True):
        _refuse_other_shape(place, shape, places[0], shapes[0])
    described = [adapter_description(folder) for folder in folders]
    hashes = [sha256(folder / WEIGHTS) for folder in folders]
    for operand, found in zip(recipe.operands, hashes, strict=True):
        if operand.sha256 not in (None, found):
            raise InputError(
                f"{operand.adapter}: {WEIGHTS} has the SHA-256 {found[:12]} and not "
                f"{str(operand.sha256)[:12]}, as the recipe says; bring the adapter that is meant, "
                "or remove 'sha256'"
            )
    origin = None
    if recipe.origin is not None:
        start = merge_recipe.folder(recipe.origin)
        _refuse_pickles(recipe.origin, start)
        _refuse_other_shape(recipe.origin, adapter_shape(start), places[0], shapes[0])
        origin = read_adapter(start)
    adapters = [read_adapter(folder) for folder in folders]
    names = tuple(
        operand.name or operand.language or str(description["name"])
        for operand, description in zip(recipe.operands, described, strict=True)
    )
    told = {p: str(d.get("model_name")) for p, d in zip(places, described, strict=True)}
    base = _base_model(recipe, told)
    operands = tuple(
        operand.model_copy(update={"sha256": found})
        for operand, found in zip(recipe.operands, hashes, strict=True)
    )
    fishers = [
        _fisher(Path(operand.fisher), adapter)
        for operand, adapter in zip(recipe.operands, adapters, strict=True)
        if operand.fisher
    ]
    method = merging.get(recipe.method)
    merge_at = method.merger(adapters, origin, seed=recipe.parameters.seed, fishers=fishers)
    tensors = merge_at(recipe.point)
    refuse_non_finite(tensors, "the merged adapter")
    return Merged(
        recipe.model_copy(update={"base_model": base, "operands": operands}),
        names,
        tensors,
        folders[0],
        str(described[0].get("model_type")),
    )


def _fisher(file: Path, adapter: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The Fisher information of an adapter."""
    if not file.is_file():
        raise InputError(f"{file}: no such file; name the Fisher information of the adapter")
    found = read_tensors(file)
    if {name: t.shape for name, t in found.items()} != {n: t.shape for n, t in adapter.items()}:
        raise InputError(
            f"{file}: its tensors are not those of the adapter; name the file that was estimated "
            "for this adapter"
        )
    return found


def _refuse_pickles(place: str, folder: Path) -> None:
    if (folder / PICKLE).is_file() and not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{place} has its weights only as a pickle ({PICKLE}), which can run code when it is "
            f"loaded; convert it: langarith convert {folder} --to NEW_FOLDER"
        )


def _refuse_other_shape(
    place: str, shape: Mapping[str, Any], first: str, reference: Mapping[str, Any]
) -> None:
    for key in {**reference, **shape}:
        if reference.get(key) != shape.get(key):
            raise InputError(
                f"{place} does not fit {first}: {key} is {shape.get(key)} there and "
                f"{reference.get(key)} here; only adapters of one base model and one configuration "
                "can be merged"
            )


def split_revision(base_model: str) -> tuple[str, str | None]:
    """`owner/name@revision` in its parts; any other name is whole."""
    on_hub = hub_adapter(base_model)
    return (base_model, None) if on_hub is None or Path(base_model).exists() else on_hub


def _base_model(recipe: MergeRecipe, told: Mapping[str, str]) -> str:
    """The base model of all operands.

    Where the recipe names it, operands that say a folder are taken to mean it: a folder of another
    machine says nothing. Names are compared without their owner, which older adapters leave out.

    Args:
        told: what the adapter_config.json of each operand calls its base model, by place.
    """
    names = {place: _as_on_the_hub(name) for place, name in told.items()}
    (first, name), *others = names.items()
    if recipe.base_model is None:
        for place, other in others:
            if other != name:
                raise InputError(
                    f"{place} was trained on {other}, and {first} on {name}; if both are one "
                    "model, name it in the recipe as 'base_model'"
                )
        return name
    wanted = _last_part(recipe.base_model)
    for place, other in names.items():
        is_name = _NAME.fullmatch(split_revision(other)[0]) and not Path(other).exists()
        if is_name and _last_part(other) != wanted:
            raise InputError(
                f"{place} was trained on {other} and not on {recipe.base_model}, the base_model of "
                "the recipe; correct it, or take another adapter"
            )
    return recipe.base_model


def _as_on_the_hub(name: str) -> str:
    """A base model that this project has downloaded, as `owner/name@revision`."""
    downloaded = _DOWNLOADED.search(name)
    return f"{downloaded[1]}@{downloaded[2]}" if downloaded else name


def _last_part(name: str) -> str:
    return split_revision(name)[0].rpartition("/")[2].lower()


def write(merged: Merged, folder: Path, documents: Mapping[str, str]) -> None:
    """Write a merged adapter with its recipe and further texts by name, all or nothing.

    Raises:
        InputError: the folder holds files.
    """
    refuse_existing(folder)
    with whole_folder(folder) as staging:
        _write_adapter(staging, merged.tensors, merged.like, merged.name, merged.base_model[0])
        for name, text in {
            merge_recipe.NAME: merge_recipe.text(merged.recipe),
            **documents,
        }.items():
            write_text(staging / name, text)


def write_adapter(
    folder: str | Path,
    tensors: Mapping[str, torch.Tensor],
    *,
    like: str | Path,
    name: str,
    base_model: str | None = None,
) -> None:
    """Write an adapter that `model.load_adapter(folder)` of plain `adapters` reads, or nothing.

    The weights are written twice: as safetensors, and as the `pytorch_adapter.bin` that
    `load_adapter` reads unless `use_safetensors=True` is passed.

    Args:
        folder: a new folder, or an empty one.
        tensors: named as :func:`langarith.models.adapters.read_adapter` names them.
        like: folder of an adapter of the same shape, whose configuration is taken over.
        name: what the adapter is called when it is loaded; letters, digits and `_`.
        base_model: what its configuration says that it belongs to; by default the same as `like`.

    Raises:
        InputError: the folder holds files; `like` is no adapter; its tensors have other names.
    """
    folder = Path(folder)
    refuse_existing(folder)
    with whole_folder(folder) as staging:
        _write_adapter(staging, tensors, Path(like), name, base_model)


def _write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], like: Path, name: str, base_model: str | None
) -> None:
    if not re.fullmatch(r"\w+", name):
        raise InputError(f"'{name}' is no name of an adapter; write letters, digits and _")
    config = adapter_description(like)
    old, named = config["name"], {}
    with safe_open(like / WEIGHTS, "pt") as file:
        raw_names = [current_name(raw) for raw in file.keys()]  # noqa: SIM118  it is no dict
    for raw in raw_names:
        plain = raw.replace(f"adapters.{old}.", "adapters.")
        # the library's own names lack the prefix with the model's name
        key = plain if plain in tensors else plain.partition(".")[2]
        if key not in tensors:
            raise InputError(f"there is no tensor for {raw} of {like / WEIGHTS}; merge all of them")
        named[raw.replace(f"adapters.{old}.", f"adapters.{name}.")] = tensors[key].contiguous()
    if len(named) != len(tensors):
        raise InputError(f"{like} has {len(named)} tensors and not {len(tensors)}; name another")
    config |= {"name": name} | ({"model_name": base_model} if base_model else {})
    save_file(named, folder / WEIGHTS)
    torch.save(named, folder / PICKLE)
    write_json(folder / CONFIG, config)
