"""The experiment `pool`: more relatives in the sum."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import TYPE_CHECKING

from langarith import merging
from langarith.layout import Cell
from langarith.operands import Operand
from langarith.study.grid import MOST_POINTS, Merge, cells_of, lambdas, relatives, search

if TYPE_CHECKING:
    from langarith.study.schema import Study

NAME = "pool"

SOUP = "soup"
"""The method of equal weights, which has no grid. For two operands it is language arithmetic at
0.5, which every sweep evaluates, so it has no cell."""

SIZE = 2
"""The default of the largest k."""

MOST_OF_GRID = 20_000
"""The most points of a grid that a refined search may have."""


def size(study: Study) -> int:
    """The largest number of relatives that are merged; 1 without the experiment."""
    view = study.experiments.get(NAME)
    return (view.pool_size or SIZE) if view else 1


def cells(study: Study, name: str) -> list[Cell]:
    """LA_t(en, r_1, ..., r_k) for k = 1 to `pool_size`, and for k > 1 the soup of the same.

    r_1, r_2, ... are the target's relatives, the nearest first. k = 0, only the task language, is
    an end of k = 1.

    Raises:
        InputError: a target with fewer relatives.
    """
    task_language, most = Operand(study.task_language), size(study)

    def merges(target: str) -> Iterator[Merge]:
        operands = (task_language, *relatives(study, target, most))
        for count in range(2, most + 2):
            yield "la", operands[:count]
            if count > 2:
                yield SOUP, operands[:count]

    return cells_of(study, name, merges)


def problems(study: Study) -> Iterator[str]:
    """The mistakes in `relatives`, `pool_size` and the grid of several operands."""
    for target, relatives_of_target in study.relatives.items():
        key, known = f"relatives.{target}", set(study.languages)
        unknown = "is not in 'languages'; add it or remove it here"
        if target not in known:
            yield f"relatives: language '{target}' {unknown}"
        for language in dict.fromkeys(relatives_of_target):
            if language not in known:
                yield f"{key}: language '{language}' {unknown}"
            elif language in (target, study.task_language):
                what = "the target itself" if language == target else "the task language"
                yield f"{key}: '{language}' is {what} and no relative; remove it"
            if relatives_of_target.count(language) > 1:
                yield f"{key}: '{language}' is listed twice; remove one"
    if SOUP in study.lambdas:
        yield f"lambdas.{SOUP}: its weights are equal, so it has no grid; remove it"
    for method, grid in study.lambdas.items():
        if grid.several is not None and method != "la":
            yield (
                f"lambdas.{method}.several: no experiment merges more than two operands by "
                f"{method}; remove it"
            )
    if NAME in study.experiments and "la" in study.lambdas:
        yield from _size(study)


def _size(study: Study) -> Iterator[str]:
    wanted, most = size(study), len(study.languages) - 2
    if wanted > most:
        yield (
            f"experiments.{NAME}.pool_size: {wanted} relatives, but 'languages' has only {most} "
            f"besides a target and the task language; take at most {most}, or add languages"
        )
        return
    grid = study.lambdas["la"].of(3)
    key = "lambdas.la.several" if study.lambdas["la"].several else "lambdas.la"
    parts = len(grid.values()) - 1
    for operands in range(3, wanted + 2):
        points = comb(parts + operands - 1, operands - 1)
        refined = grid.search == "refine" and points <= MOST_OF_GRID
        evaluated = search(study, "la", operands).most_points if refined else points
        if evaluated > MOST_POINTS:
            yield (
                f"{key}: with step {grid.step:g} a sweep of {operands} operands, which "
                f"experiments.{NAME}.pool_size asks for, evaluates {evaluated:,} points, and "
                f"{MOST_POINTS:,} are the most; set lambdas.la.several to a larger step or to "
                "search: refine, as in {step: 0.1, search: refine}, or lower pool_size"
            )
            return
    if study.lambdas["la"].several and grid.search == "refine":
        whole = merging.get("la").search(lambdas(study, "la", 3)[0], 3)
        if search(study, "la", 3).first == whole.grid:
            yield (
                f"lambdas.la.several.search: with step {grid.step:g} refine leaves out no point; "
                "take a smaller step, or leave out search"
            )
