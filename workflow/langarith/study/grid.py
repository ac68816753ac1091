"""The grid: cells of an experiment from its models, tasks, targets, pairs and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from langarith import merging
from langarith.errors import InputError
from langarith.layout import Cell
from langarith.merging.search import Search
from langarith.operands import Operand

if TYPE_CHECKING:
    from langarith.study.schema import Study  # its classes take pydantic 0.2 s to build

MOST_POINTS = 1001
"""The most points of a sweep. Points of several numbers are more than the values of `lambdas`."""

Merge = tuple[str, tuple[Operand, ...]]
"""Method and operands of a cell."""


def places(study: Study, name: str) -> Iterator[tuple[str, str, str]]:
    """(model, task, target) of an experiment in the study's order, without the task language."""
    view = study.experiments[name]
    for model in view.models or study.models:
        for task in view.tasks or study.tasks:
            for target in study.tasks[task].targets:
                if target != study.task_language and target in (view.targets or study.languages):
                    yield model, task, target


def related_operand(study: Study, target: str) -> Operand:
    """The adapter of a target's related language.

    Raises:
        InputError: the study names no related language of the target.
    """
    if target not in study.related:
        raise InputError(
            f"related.{target} is not set: name it in the study, or let URIEL propose one by "
            "`snakemake related_languages --cores 1 --configfile STUDY`, and accept it by the same "
            "command with lock_related_languages"
        )
    return Operand(study.related[target])


def relatives(study: Study, target: str, count: int) -> tuple[Operand, ...]:
    """The adapters of the `count` languages nearest to a target, the nearest first.

    The first is the related language; further ones are those of `relatives`, in their order.

    Raises:
        InputError: the study names fewer languages.
    """
    first = related_operand(study, target)
    further = [Operand(language) for language in study.relatives.get(target, ())]
    nearest = tuple(dict.fromkeys([first, *further]))
    if len(nearest) < count:
        raise InputError(
            f"relatives.{target}: {count} languages are needed and {len(nearest)} "
            f"{'is' if len(nearest) == 1 else 'are'} known ({', '.join(map(str, nearest))}); name "
            "further ones in the study, the nearest first, or run `snakemake related_languages` "
            "and accept its proposal with `snakemake lock_related_languages`"
        )
    return nearest[:count]


def cells_of(study: Study, name: str, merges: Callable[[str], Iterable[Merge]]) -> list[Cell]:
    """The cells of an experiment: its places times the merges of each target times the seeds.

    A merge of an operand with itself is a single adapter, an end of another sweep, and no cell.
    """
    return [
        Cell(model, task, target, method, operands, seed)
        for model, task, target in places(study, name)
        for method, operands in dict.fromkeys(merges(target))
        if len(set(operands)) == len(operands)
        for seed in study.seeds
    ]


def other_methods(study: Study, family: str | None = None) -> list[str]:
    """The methods for pairs in the study's `lambdas`, except `la`; of one family or of all."""
    return [
        method
        for method in study.lambdas
        if method != "la"
        and merging.get(method).takes(2)
        and (family is None or merging.part(method) == f"merging.{family}")
    ]


def lambdas(study: Study, method: str, operands: int) -> tuple[tuple[float, ...], str]:
    """The numbers that the points of a method are made of, and how they are searched.

    A method without a grid in the study has no numbers: its points are fixed.
    """
    if method not in study.lambdas:
        return (), "grid"
    weights = study.lambdas[method].of(operands)
    return weights.values(), weights.search


def search(study: Study, method: str, operands: int) -> Search:
    """The points at which a method is evaluated in every cell with a number of operands."""
    values, kind = lambdas(study, method, operands)
    return _search(method, values, operands, kind)


@cache
def _search(method: str, values: tuple[float, ...], operands: int, kind: str) -> Search:
    return merging.get(method).search(values, operands, kind)
