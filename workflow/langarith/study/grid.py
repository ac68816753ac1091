"""The grid: cells of an experiment from its models, tasks, targets, pairs and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from langarith.errors import InputError
from langarith.layout import Cell, Operand

if TYPE_CHECKING:
    from langarith.study.schema import Study  # its classes take pydantic 0.2 s to build

Pair = tuple[str, Operand, Operand]
"""Method, left and right operand of a cell."""


def places(study: Study, name: str) -> Iterator[tuple[str, str, str]]:
    """(model, task, target) of an experiment in the study's order, without the task language."""
    view = study.experiments[name]
    for model in view.models or study.models:
        for task in view.tasks or study.tasks:
            for target in study.tasks[task].targets:
                if target != study.task_language and target in (view.targets or study.languages):
                    yield model, task, target


def related_operand(study: Study, target: str) -> Operand:
    if target not in study.related:
        raise InputError(
            f"related.{target} is not set: name it in the study, or run `snakemake "
            "related_languages` and accept its proposal with `snakemake lock_related_languages`"
        )
    return Operand(study.related[target])


def cells_of(study: Study, name: str, pairs: Callable[[str], Iterable[Pair]]) -> list[Cell]:
    """The cells of an experiment: its places times the pairs of each target times the seeds.

    A pair of an operand with itself is a single adapter, an end of another sweep, and no cell.
    """
    return [
        Cell(model, task, target, method, left, right, seed)
        for model, task, target in places(study, name)
        for method, left, right in dict.fromkeys(pairs(target))
        if left != right
        for seed in study.seeds
    ]


def ties_methods(study: Study) -> list[str]:
    """The TIES methods that the study has a lambda grid for: `ties20` keeps the top 20 %."""
    return [method for method in study.lambdas if method.startswith("ties")]
