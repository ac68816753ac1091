"""A merge of adapters as a file: method, weights, operands.

Nothing heavy is imported here: huggingface_hub reads its settings when it is imported, so files of
the hub are fetched before `adapters`, which imports it, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from langarith import layout, merging
from langarith.data import hub, hub_download
from langarith.errors import InputError
from langarith.operands import Point, parse_point
from langarith.study import loading, mistakes
from langarith.study.blocks import License, LocalPath, Seed, Strict, adapter_place, hub_adapter

NAME = "recipe.yml"
"""The file that a merged adapter has beside it."""

Place = Annotated[str, AfterValidator(adapter_place)]
"""A folder, or `owner/name@revision` on the hub."""


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return parse_point(value)
    except ValueError as error:
        raise ValueError(f"'{value}' is neither a number nor a list of numbers") from error


class Parameters(Strict):
    """Where the method is evaluated: λ, or the numbers of a point; `seed` of a random one."""

    point: Annotated[Point, BeforeValidator(_numbers)] | None = Field(None, alias="lambda")
    seed: Seed | None = None


class MergeOperand(Strict):
    """One adapter of a merge.

    `name` is what the merge calls it: its language, or what its adapter_config.json says, where
    none is given. `sha256` is that of `adapter.safetensors`, and other weights are refused.
    `fisher` is the file of its Fisher information, which a study has estimated.
    """

    adapter: Place
    weight: float | None = None
    name: str | None = None
    language: str | None = Field(None, pattern=f"^{layout.LANGUAGE}$")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    fisher: LocalPath | None = None


class MergeRecipe(Strict):
    """Which adapters are merged, by which method, and at which point of it.

    `origin` is the initialisation θ_pre from which all operands were trained; `base_model` the
    model that they belong to, `owner/name`, `owner/name@revision` or a folder.
    """

    method: str
    parameters: Parameters = Parameters()
    operands: tuple[MergeOperand, ...] = Field(min_length=1)
    origin: Place | None = None
    base_model: str | None = None
    license: License | None = None

    @model_validator(mode="after")
    def _fits_the_method(self) -> MergeRecipe:
        method, count = merging.get(self.method), len(self.operands)
        method.refuse_unwritable()
        if count < method.fewest_operands:
            more = "" if method.fewest_operands == method.most_operands else " or more"
            raise ValueError(
                f"{self.method} merges {method.fewest_operands}{more} adapters and not {count}; "
                "add operands, or take another method"
            )
        if not method.takes(count):
            raise ValueError(
                f"{self.method} merges {method.most_operands} adapter"
                f"{'s' if method.most_operands != 1 else ''} and not {count}; remove operands, or "
                "take another method"
            )
        if method.needs_origin and self.origin is None:
            raise ValueError(
                f"{self.method} subtracts the initialisation from which the operands were trained; "
                "name its folder as 'origin'"
            )
        if self.origin is not None and not method.needs_origin:
            raise ValueError(f"'origin' has no effect with {self.method}; remove it")
        for number, operand in enumerate(self.operands, 1):
            if method.needs_fisher and operand.fisher is None:
                raise ValueError(
                    f"{self.method} needs the Fisher information of every operand; name the file "
                    f"that a study has estimated as 'fisher' of operand {number}"
                )
            if operand.fisher is not None and not method.needs_fisher:
                raise ValueError(f"'fisher' has no effect with {self.method}; remove it")
        if method.draws and self.parameters.seed is None:
            raise ValueError(f"{self.method} draws at random; give parameters.seed")
        if self.parameters.seed is not None and not method.draws:
            raise ValueError(f"parameters.seed has no effect with {self.method}; remove it")
        self._refuse_other_numbers(method)
        return self

    def _refuse_other_numbers(self, method: merging.Method) -> None:
        given, weights = self.parameters.point, [operand.weight for operand in self.operands]
        if method.only_point(len(weights)) is not None:
            if given is not None or any(weight is not None for weight in weights):
                raise ValueError(
                    f"{self.method} has no parameters; remove parameters.lambda and the weights of "
                    "operands"
                )
            return
        wanted = numbers(method, len(weights))
        if all(weight is None for weight in weights):
            if given is None:
                raise ValueError("give parameters.lambda, or the weight of every operand")
            if len(given) != wanted:
                raise ValueError(
                    f"parameters.lambda: {self.method} of {len(weights)} operands needs {wanted} "
                    f"number{'s' if wanted > 1 else ''} and not {len(given)}"
                )
            return
        if given is not None:
            raise ValueError(
                "parameters.lambda and the weights of operands say the same; give one of them"
            )
        # where λ runs from one operand to the other, it is the weight of the first
        if method.ends != (0.0, 1.0) or wanted != len(weights) - 1:
            raise ValueError(
                f"operands have no weights with {self.method}; give parameters.lambda "
                f"({wanted} number{'s' if wanted > 1 else ''}) instead"
            )
        if None in weights:
            raise ValueError(f"operand {weights.index(None) + 1} has no weight; give all or none")
        total = sum(weight for weight in weights if weight is not None)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the weights sum to {total:g} and not to 1; correct them")

    @property
    def point(self) -> Point:
        """The point at which the method is evaluated; weights of all operands but the last."""
        if self.parameters.point is not None:
            return self.parameters.point
        if only := merging.get(self.method).only_point(len(self.operands)):
            return only
        return tuple(operand.weight or 0.0 for operand in self.operands[:-1])


def numbers(method: merging.Method, operands: int) -> int:
    """How many numbers a point of a method has, by its number of operands."""
    return len(method.points([0.0], operands)[0])


def read(path: Path) -> MergeRecipe:
    """A recipe from its YAML file.

    Raises:
        InputError: one line for each thing that is wrong.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such recipe; name a YAML file")
    data = loading.parsed_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: a recipe is a YAML mapping of keys; this file holds none")
    try:
        return MergeRecipe.model_validate(data)
    except ValidationError as error:
        found = mistakes.sentences(data, error.errors())
        raise InputError("\n".join(f"{path}: {sentence}" for sentence in found)) from error


def text(recipe: MergeRecipe) -> str:
    """The YAML of a recipe, which :func:`read` reads; keys without a value are left out."""
    told = recipe.model_dump(exclude_none=True, by_alias=True)
    if recipe.parameters.point is not None:
        told["parameters"]["lambda"] = _written(recipe.parameters.point)
    if not told["parameters"]:
        del told["parameters"]
    told["operands"] = list(told["operands"])
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=1000))


def _written(point: Point) -> float | list[float]:
    return point[0] if len(point) == 1 else list(point)


def fetched(recipe: MergeRecipe, say: Callable[[str], None]) -> MergeRecipe:
    """The same recipe with the commit of each branch on the hub, once all its files are here.

    Args:
        say: takes a line about each branch and each failure that may pass.

    Raises:
        InputError: see :func:`langarith.data.hub_download.download`; a place that may be meant as a
            folder or as a repository.
    """
    return recipe.model_copy(
        update={
            "operands": tuple(
                operand.model_copy(update={"adapter": _fetched(operand.adapter, say)})
                for operand in recipe.operands
            ),
            "origin": recipe.origin and _fetched(recipe.origin, say),
        }
    )


def _fetched(place: str, say: Callable[[str], None]) -> str:
    on_hub = hub_adapter(place)
    if on_hub is None:
        return place
    if Path(place).exists():
        raise InputError(
            f"{place} is a folder here and has the form of a repository on the hub; write "
            f"./{place} for the folder"
        )
    repository, revision = on_hub
    commit = revision
    if not hub.is_commit(revision):
        commit = hub_download.resolve("models", repository, revision)
        say(f"{place} is commit {commit}, which {NAME} beside the merged adapter names")
    for name in layout.ADAPTER_FILES:
        path = Path(hub.local_file("models", repository, commit, name))
        if not path.is_file():
            hub_download.download("models", repository, commit, name, path, say=say)
    return f"{repository}@{commit}"


def folder(place: str) -> Path:
    """The folder of an adapter whose place is a folder, or a commit on the hub."""
    on_hub = hub_adapter(place)
    if on_hub is None:
        return Path(place)
    repository, commit = on_hub
    return Path(hub.local_file("models", repository, commit, layout.ADAPTER_FILES[0])).parent
