"""The counts of the examples of cells, read for resampling of validation examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith import merging, tasks
from langarith.evaluation import outcomes, selection
from langarith.evaluation.outcomes import Counts
from langarith.operands import Point
from langarith.results.names import CELL
from langarith.tasks.shared.base import Task

Place = tuple[str, ...]
"""A cell by the columns `CELL`, all as text."""


@dataclass(frozen=True)
class CellCounts:
    """A cell with the counts of its examples.

    names: its columns `CELL`, `seed` as a number. validation, test: by point the counts of all
    examples. examples, tested: their numbers on validation and on test. neutral: see
    `selection.neutral`.
    """

    names: Mapping[str, Any]
    task: Task
    validation: Mapping[Point, Counts]
    test: Mapping[Point, Counts]
    examples: int
    tested: int
    neutral: float

    @property
    def metric(self) -> str:
        """The metric that chooses."""
        return self.task.metrics[0]


def read_cell_counts(
    cells: Mapping[Place, Path], types: Mapping[str, str]
) -> Iterator[tuple[Place, CellCounts]]:
    """The counts of cells, grouped by target, since cells of a target share the drawn examples.

    Args:
        cells: `outcomes.parquet` by place.
        types: the type of each task.
    """
    for place in sorted(cells, key=lambda place: place[1:3]):
        names = dict(zip(CELL, place, strict=True))
        of_split = outcomes.read(cells[place])
        first = next(iter(of_split["validation"]))
        validation, test = (len(next(iter(of_split[s][first].values()))) for s in SPLITS)
        yield (
            place,
            CellCounts(
                names | {"seed": int(names["seed"])},
                tasks.get(types[names["task"]]),
                of_split["validation"],
                of_split["test"],
                validation,
                test,
                selection.neutral(merging.get(names["method"]), first),
            ),
        )


SPLITS = ("validation", "test")
