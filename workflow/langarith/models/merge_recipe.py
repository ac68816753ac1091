"""A merge of adapters as a file: method, weights, operands.

This module must not import `adapters`, which imports huggingface_hub: that reads its settings when
it is imported, so files of the hub are downloaded before.
"""

from __future__ import annotations

import math
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
from langarith.adapter_format import ADAPTER_FILES
from langarith.data import hub, hub_download
from langarith.errors import InputError
from langarith.operands import Point, parse_point, point_text
from langarith.study import loading, mistakes
from langarith.study.blocks import License, LocalPath, Seed, Strict, adapter_place, hub_adapter

NAME = "recipe.yml"
"""The recipe file in the folder of a merged adapter."""

AdapterPath = Annotated[str, AfterValidator(adapter_place)]
"""A folder, or `owner/name@revision` on the hub."""


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    shown = mistakes.short_text(value)
    try:
        point = parse_point(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{shown} is neither a number nor a list of numbers; write 0.65 or [0.5, 0.3]"
        ) from error
    if not all(map(math.isfinite, point)):
        raise ValueError(f"{shown} is no finite number; write one")
    return point


class Parameters(Strict):
    """The point: λ or several numbers; `seed` for methods that draw random numbers."""

    point: Annotated[Point, BeforeValidator(_numbers)] | None = Field(None, alias="lambda")
    seed: Seed | None = None


class MergeOperand(Strict):
    """One adapter of a merge.

    `name` is its name in the merge; by default its language, or the name in its
    adapter_config.json. `sha256` is that of `adapter.safetensors`; other weights are refused.
    `fisher` is the file of its Fisher information, estimated by a study.
    """

    adapter: AdapterPath
    weight: float | None = None
    name: str | None = None
    language: str | None = Field(None, pattern=f"^{layout.LANGUAGE}$")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    fisher: LocalPath | None = None


class MergeRecipe(Strict):
    """The adapters to merge, the method and its point.

    `origin` is the initialisation θ_pre from which all operands were trained; `base_model` is their
    base model, `owner/name`, `owner/name@revision` or a folder.
    """

    method: str
    parameters: Parameters = Parameters()
    operands: tuple[MergeOperand, ...] = Field(min_length=1)
    origin: AdapterPath | None = None
    base_model: str | None = None
    license: License | None = None

    @model_validator(mode="after")
    def _fits_the_method(self) -> MergeRecipe:
        method, count = merging.get(self.method), len(self.operands)
        method.refuse_unwritable()
        if count < method.fewest_operands:
            more = "" if method.fewest_operands == method.most_operands else " or more"
            raise ValueError(
                f"{self.method} merges {method.fewest_operands}{more} adapters, not {count}; "
                "add operands, or use another method"
            )
        if not method.takes(count):
            raise ValueError(
                f"{self.method} merges {method.most_operands} adapter"
                f"{'s' if method.most_operands != 1 else ''}, not {count}; remove operands, or "
                "use another method"
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
                    f"of a study as 'fisher' of operand {number}"
                )
            if operand.fisher is not None and not method.needs_fisher:
                raise ValueError(f"'fisher' has no effect with {self.method}; remove it")
        if method.draws and self.parameters.seed is None:
            raise ValueError(f"{self.method} draws random numbers; give parameters.seed")
        if self.parameters.seed is not None and not method.draws:
            raise ValueError(f"parameters.seed has no effect with {self.method}; remove it")
        self._refuse_other_numbers(method)
        return self

    def _refuse_other_numbers(self, method: merging.Method) -> None:
        point, weights = self.parameters.point, [operand.weight for operand in self.operands]
        if method.only_point(len(weights)) is not None:
            if point is not None or any(weight is not None for weight in weights):
                raise ValueError(
                    f"{self.method} has no parameters; remove parameters.lambda and the weights of "
                    "operands"
                )
            return
        if all(weight is None for weight in weights):
            if point is None:
                raise ValueError("give parameters.lambda, or the weight of every operand")
            if problem := point_problem(method, len(weights), point):
                raise ValueError(f"parameters.lambda: {problem}")
            return
        if point is not None:
            raise ValueError(
                "parameters.lambda and the weights of operands mean the same; give only one of them"
            )
        wanted = numbers(method, len(weights))
        # if λ ranges from one operand to the other, it is the weight of the first
        if method.ends != (0.0, 1.0) or wanted != len(weights) - 1:
            raise ValueError(
                f"operands have no weights with {self.method}; give parameters.lambda "
                f"({wanted} number{'s' if wanted > 1 else ''}) instead"
            )
        if None in weights:
            raise ValueError(f"operand {weights.index(None) + 1} has no weight; give all or none")
        for number, weight in enumerate(weights, 1):
            if problem := method.misfit(weight or 0.0):
                raise ValueError(f"the weight of operand {number}: {problem}")
        total = sum(weight for weight in weights if weight is not None)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the weights sum to {total:g} instead of 1; correct them")

    @property
    def point(self) -> Point:
        """The point of the method; by default the weights of all operands except the last."""
        if self.parameters.point is not None:
            return self.parameters.point
        if only := merging.get(self.method).only_point(len(self.operands)):
            return only
        return tuple(operand.weight or 0.0 for operand in self.operands[:-1])


def numbers(method: merging.Method, operands: int) -> int:
    """The number of numbers in a point of a method, for a number of operands."""
    return len(method.points([0.0], operands)[0])


def point_problem(method: merging.Method, operands: int, point: Point) -> str | None:
    """Why a point is none of a method for a number of operands, and the fix; None if it is one."""
    if not method.takes(operands):
        return f"{method.name} does not merge {operands} operand{'s' if operands > 1 else ''}"
    if method.only_point(operands) is not None:
        return None
    wanted = numbers(method, operands)
    if len(point) != wanted:
        example = point_text((round(1 / (wanted + 1), 2),) * wanted)
        return (
            f"{method.name} of {operands} operands needs {wanted} "
            f"number{'s' if wanted > 1 else ''}, not {len(point)}; write for example {example}"
        )
    if problem := next(filter(None, map(method.misfit, point)), None):
        return problem
    if method.ends and wanted == operands - 1 and sum(point) > 1.0 + 1e-9:
        return (
            f"the weights sum to {sum(point):g}, which leaves less than 0 for the last operand; "
            "take smaller ones"
        )
    return None


def read(path: Path) -> MergeRecipe:
    """A recipe from its YAML file.

    Raises:
        InputError: one line for each mistake.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such recipe; name a YAML file")
    data = loading.parsed_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: a recipe is a YAML mapping of keys; write one")
    try:
        return MergeRecipe.model_validate(data)
    except ValidationError as error:
        sentences = mistakes.sentences(data, error.errors())
        raise InputError("\n".join(f"{path}: {sentence}" for sentence in sentences)) from error


def text(recipe: MergeRecipe) -> str:
    """The YAML of a recipe for :func:`read`, without keys that have no value."""
    fields = recipe.model_dump(exclude_none=True, by_alias=True)
    if recipe.parameters.point is not None:
        fields["parameters"]["lambda"] = _number_or_list(recipe.parameters.point)
    if not fields["parameters"]:
        del fields["parameters"]
    fields["operands"] = list(fields["operands"])
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1000))


def _number_or_list(point: Point) -> float | list[float]:
    return point[0] if len(point) == 1 else list(point)


def download(recipe: MergeRecipe, say: Callable[[str], None]) -> MergeRecipe:
    """Download all files of a recipe; returns it with the commit of each branch on the hub.

    Args:
        say: called with a line about each branch and each temporary failure.

    Raises:
        InputError: see :func:`langarith.data.hub_download.download`; a name that is both a
            folder and a repository.
    """
    return recipe.model_copy(
        update={
            "operands": tuple(
                operand.model_copy(update={"adapter": _downloaded(operand.adapter, say)})
                for operand in recipe.operands
            ),
            "origin": recipe.origin and _downloaded(recipe.origin, say),
        }
    )


def _downloaded(adapter: str, say: Callable[[str], None]) -> str:
    on_hub = hub_adapter(adapter)
    if on_hub is None:
        return adapter
    if Path(adapter).exists():
        raise InputError(
            f"{adapter} is a folder and also a possible repository on the hub; write "
            f"./{adapter} for the folder"
        )
    repository, revision = on_hub
    commit = revision
    if not hub.is_commit(revision):
        commit = hub_download.resolve("models", repository, revision)
        say(f"{adapter} is commit {commit}, which is written into {NAME} of the merged adapter")
    for name in ADAPTER_FILES:
        path = Path(hub.local_file("models", repository, commit, name))
        if not path.is_file():
            hub_download.download("models", repository, commit, name, path, say=say)
    return f"{repository}@{commit}"


def folder(adapter: str) -> Path:
    """The folder of an adapter that is given as a folder, or as a commit on the hub."""
    on_hub = hub_adapter(adapter)
    if on_hub is None:
        return Path(adapter)
    repository, commit = on_hub
    return Path(hub.local_file("models", repository, commit, ADAPTER_FILES[0])).parent
