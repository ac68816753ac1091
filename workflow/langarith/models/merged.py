"""Merged adapters: from a recipe, written as folders that plain `adapters` loads."""

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
from langarith.adapter_format import ADAPTER_FILES, PICKLES
from langarith.errors import InputError
from langarith.files import refuse_existing, sha256, whole_folder, write_json, write_text
from langarith.models import merge_recipe
from langarith.models.adapters import adapter_description, current_name, plain_name, read_adapter
from langarith.models.merge_recipe import MergeRecipe
from langarith.models.ready_made import adapter_shape, warn_of_unrelated
from langarith.models.weights import read_tensors, refuse_other_numbers
from langarith.operands import point_text
from langarith.study.blocks import hub_adapter

CONFIG, WEIGHTS = ADAPTER_FILES
PICKLE = PICKLES[WEIGHTS]

_DOWNLOADED = re.compile(r"(?:^|/)models/([\w.-]+/[\w.-]+)/([0-9a-f]{40})$")
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class MergedAdapter:
    """A merged adapter, and its recipe, completed with hashes and the base model."""

    recipe: MergeRecipe
    names: tuple[str, ...]
    """Names of the operands in the merge."""
    tensors: dict[str, torch.Tensor]
    like: Path
    """The folder of the first operand, whose configuration is used."""
    model_type: str

    @property
    def name(self) -> str:
        """The adapter's name, a part of parameter names: letters, digits and `_`."""
        parts = (self.recipe.method, *self.names, point_text(self.recipe.point))
        return re.sub(r"\W", "_", "_".join(parts))

    @property
    def formula(self) -> str:
        """The merge in words, such as `0.65 · en + 0.35 · fr`."""
        return merging.get(self.recipe.method).describe(self.names, self.recipe.point)

    @property
    def base_model(self) -> tuple[str, str | None]:
        """Name of the base model, or its folder; and its revision if it is known."""
        return split_revision(str(self.recipe.base_model))


def merge(recipe: MergeRecipe) -> MergedAdapter:
    """Merge the adapters of a recipe, whose files are local (:func:`merge_recipe.download`).

    Raises:
        InputError: an adapter that cannot be read, has another hash than in the recipe, or does
            not fit the first one: the first difference is named.
    """
    paths = [operand.adapter for operand in recipe.operands]
    folders = [merge_recipe.folder(path) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        _refuse_pickles(path, folder)
    shapes = [adapter_shape(folder) for folder in folders]
    for path, shape in zip(paths[1:], shapes[1:], strict=True):
        _refuse_other_shape(path, shape, paths[0], shapes[0])
    descriptions = [adapter_description(folder) for folder in folders]
    hashes = [sha256(folder / WEIGHTS) for folder in folders]
    for operand, sha in zip(recipe.operands, hashes, strict=True):
        if operand.sha256 not in (None, sha):
            raise InputError(
                f"{operand.adapter}: {WEIGHTS} has the SHA-256 {sha[:12]} instead of "
                f"{str(operand.sha256)[:12]} in the recipe; get the adapter with this hash, "
                "or remove 'sha256'"
            )
    origin = None
    if recipe.origin is not None:
        start = merge_recipe.folder(recipe.origin)
        _refuse_pickles(recipe.origin, start)
        _refuse_other_shape(recipe.origin, adapter_shape(start), paths[0], shapes[0])
        origin = read_adapter(start)
    adapters = [read_adapter(folder) for folder in folders]
    names = tuple(
        operand.name or operand.language or description["name"]
        for operand, description in zip(recipe.operands, descriptions, strict=True)
    )
    model_names = {p: str(d.get("model_name")) for p, d in zip(paths, descriptions, strict=True)}
    base = _base_model(recipe, model_names)
    operands = tuple(
        operand.model_copy(update={"sha256": sha})
        for operand, sha in zip(recipe.operands, hashes, strict=True)
    )
    fishers = [
        _fisher(Path(operand.fisher), adapter)
        for operand, adapter in zip(recipe.operands, adapters, strict=True)
        if operand.fisher
    ]
    method = merging.get(recipe.method)
    merge_at = method.merger(adapters, origin, seed=recipe.parameters.seed, fishers=fishers)
    tensors = merge_at(recipe.point)
    refuse_other_numbers(tensors, "the merged adapter", "take a smaller λ")
    warn_of_unrelated(dict(zip(paths, adapters, strict=True)))
    return MergedAdapter(
        recipe.model_copy(update={"base_model": base, "operands": operands}),
        names,
        tensors,
        folders[0],
        str(descriptions[0].get("model_type")),
    )


def _fisher(file: Path, adapter: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The Fisher information of an adapter, from its file."""
    if not file.is_file():
        raise InputError(f"{file}: no such file; name the Fisher information of the adapter")
    fisher = read_tensors(file)
    if {name: t.shape for name, t in fisher.items()} != {n: t.shape for n, t in adapter.items()}:
        raise InputError(
            f"{file}: its tensors are not those of the adapter; name the file of this adapter"
        )
    return fisher


def _refuse_pickles(path: str, folder: Path) -> None:
    if (folder / PICKLE).is_file() and not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{path} has its weights only as a pickle ({PICKLE}), which can run code when it is "
            f"loaded; convert it: langarith convert {folder} --to NEW_FOLDER"
        )


def _refuse_other_shape(
    path: str, shape: Mapping[str, Any], first: str, reference: Mapping[str, Any]
) -> None:
    for key in {**reference, **shape}:
        if reference.get(key) != shape.get(key):
            raise InputError(
                f"{path} does not fit {first}: {key} is {shape.get(key)} instead of "
                f"{reference.get(key)}; only adapters of one base model and one configuration "
                "can be merged"
            )


def split_revision(base_model: str) -> tuple[str, str | None]:
    """`owner/name@revision` as a pair; any other name has no revision."""
    on_hub = hub_adapter(base_model)
    return (base_model, None) if on_hub is None or Path(base_model).exists() else on_hub


def _base_model(recipe: MergeRecipe, model_names: Mapping[str, str]) -> str:
    """The base model of all operands.

    If the recipe names it, operands that name a folder are not compared, because it may be of
    another machine. Names are compared without the owner, which older adapters omit.

    Args:
        model_names: the base model in the adapter_config.json of each operand, by its path.
    """
    names = {path: _name_on_hub(name) for path, name in model_names.items()}
    (first, name), *others = names.items()
    if recipe.base_model is None:
        for path, other in others:
            if other != name:
                raise InputError(
                    f"{path} was trained on {other}, but {first} on {name}; if both are the same "
                    "model, name it in the recipe as 'base_model'"
                )
        return name
    wanted = _last_part(recipe.base_model)
    for path, other in names.items():
        is_name = _NAME.fullmatch(split_revision(other)[0]) and not Path(other).exists()
        if is_name and _last_part(other) != wanted:
            raise InputError(
                f"{path} was trained on {other} instead of {recipe.base_model}, the base_model of "
                "the recipe; correct it, or use another adapter"
            )
    return recipe.base_model


def _name_on_hub(name: str) -> str:
    """The name `owner/name@revision` of a base model that was downloaded from the hub."""
    downloaded = _DOWNLOADED.search(name)
    return f"{downloaded[1]}@{downloaded[2]}" if downloaded else name


def _last_part(name: str) -> str:
    return split_revision(name)[0].rpartition("/")[2].lower()


def write(merged: MergedAdapter, folder: Path, documents: Mapping[str, str]) -> None:
    """Write a merged adapter with its recipe and other texts by file name, whole or not at all.

    Raises:
        InputError: the folder contains files.
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
    """Write an adapter for `model.load_adapter(folder)` of plain `adapters`, whole or not at all.

    The weights are written twice: as safetensors, and as the `pytorch_adapter.bin` that
    `load_adapter` reads unless `use_safetensors=True` is passed.

    Args:
        folder: a new folder, or an empty one.
        tensors: named as by :func:`langarith.models.adapters.read_adapter`.
        like: folder of an adapter of the same shape, whose configuration is copied.
        name: of the adapter when it is loaded; letters, digits and `_`.
        base_model: name of the base model in its configuration; by default that of `like`.

    Raises:
        InputError: the folder contains files; `like` is not an adapter; its tensors have other
            names.
    """
    folder = Path(folder)
    refuse_existing(folder)
    with whole_folder(folder) as staging:
        _write_adapter(staging, tensors, Path(like), name, base_model)


def _write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], like: Path, name: str, base_model: str | None
) -> None:
    if not re.fullmatch(r"\w+", name):
        raise InputError(f"'{name}' is not a name of an adapter; use letters, digits and _")
    config = adapter_description(like)
    old, named = config["name"], {}
    with safe_open(like / WEIGHTS, "pt") as file:
        raw_names = [current_name(raw) for raw in file.keys()]  # noqa: SIM118  not a dict
    for raw in raw_names:
        key = str(plain_name(raw, old))
        if key not in tensors:
            raise InputError(f"there is no tensor for {raw} of {like / WEIGHTS}; merge all of them")
        named[raw.replace(f"adapters.{old}.", f"adapters.{name}.")] = tensors[key].contiguous()
    if len(named) != len(tensors):
        raise InputError(f"{like} has {len(named)} tensors instead of {len(tensors)}; name another")
    config |= {"name": name} | ({"model_name": base_model} if base_model else {})
    save_file(named, folder / WEIGHTS)
    torch.save(named, folder / PICKLE)
    write_json(folder / CONFIG, config)
