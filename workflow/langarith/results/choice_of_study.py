"""The points that the study's rule chooses in the cells of an experiment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langarith.errors import InputError
from langarith.evaluation import selection
from langarith.evaluation.selection import CellScores
from langarith.operands import point_value
from langarith.results.names import CELL

COLUMNS = ["experiment", *CELL, "rule", "labels", "lambda"]

Key = tuple[str, ...]
"""Some columns of `CELL`, all as text."""


def by_names(losses: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    """Contents of `losses.json` by model, target, method, operands and seed."""
    return {_losses_key(each): each for each in losses}


def _losses_key(names: Mapping[str, Any]) -> Key:
    return tuple(str(names[name]) for name in CELL if name != "task")


def read_swept(
    cells: Iterable[Mapping[str, Any]], losses: Iterable[Mapping[str, Any]]
) -> list[CellScores]:
    """Cells with the losses of their merges, from contents of `selected.json` and `losses.json`."""
    by_key = by_names(losses)
    return [CellScores.read(cell, by_key.get(_losses_key(cell))) for cell in cells]


def of_other_targets(
    cells: Iterable[CellScores],
    among: Iterable[CellScores],
    task_language: str,
    related: Mapping[str, str],
) -> list[list[CellScores]]:
    """For each cell the cells of other targets in its place, see `selection.group_key`.

    Args:
        among: cells of the study; duplicates count once.
        related: the related language of each target.
    """
    groups: dict[tuple[str, ...], dict[tuple[Any, ...], CellScores]] = defaultdict(dict)
    for cell in among:
        place = selection.group_key(vars(cell), task_language, related)
        groups[place][tuple(getattr(cell, name) for name in CELL)] = cell
    return [
        [
            other
            for other in groups[selection.group_key(vars(cell), task_language, related)].values()
            if other.target != cell.target
        ]
        for cell in cells
    ]


def rows(
    experiment: str,
    rule_name: str,
    cells: Sequence[CellScores],
    others: Sequence[CellScores],
    task_language: str,
    related: Mapping[str, str],
) -> list[dict[str, Any]]:
    """A row per cell: the point that a rule chooses.

    Args:
        others: cells of other targets that the rule also reads; they get no row.
        related: the related language of each target.

    Raises:
        InputError: the rule cannot choose in a cell.
    """
    rule = selection.get(rule_name)
    elsewhere = of_other_targets(cells, [*cells, *others], task_language, related)
    table = []
    for cell, in_place in zip(cells, elsewhere, strict=True):
        point = rule.choose(cell, in_place)
        names = {name: getattr(cell, name) for name in CELL}
        if point is None:
            raise InputError(
                f"selection: {rule_name} cannot choose in {'/'.join(map(str, names.values()))}; "
                "name another rule"
            )
        table.append(
            {"experiment": experiment, **names, "rule": rule_name, "labels": rule.labels}
            | {"lambda": point_value(point)}
        )
    return table
