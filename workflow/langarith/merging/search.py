"""The points of a grid that a sweep evaluates: all, or some and then those near the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from langarith.operands import Point

COARSE = 0.2
"""The step that a refined search starts with, if the step of the grid divides it."""


@dataclass(frozen=True)
class Search:
    """The points of a sweep.

    grid: every point of the method's grid, in order. first: the points that are always evaluated,
    in order; the whole grid if the search is not refined. values: the numbers that occur in the
    first points, ascending.
    """

    grid: tuple[Point, ...]
    first: tuple[Point, ...]
    values: tuple[float, ...]

    def near(self, best: Point) -> list[Point]:
        """The points of the grid that are evaluated after the first ones, given the best of these.

        Each of their numbers is strictly between the two `values` next to that of the best point.
        """
        if len(self.first) == len(self.grid):
            return []
        spans = [self._neighbours(number) for number in best]
        first = set(self.first)
        return [
            point
            for point in self.grid
            if point not in first
            and all(low < number < high for number, (low, high) in zip(point, spans, strict=True))
        ]

    def _neighbours(self, number: float) -> tuple[float, float]:
        """The values next to one of them; infinite if there is none."""
        below = [value for value in self.values if value < number]
        above = [value for value in self.values if value > number]
        return max(below, default=-math.inf), min(above, default=math.inf)

    @cached_property
    def most_points(self) -> int:
        """The largest number of points that may be evaluated."""
        return len(self.first) + max(len(self.near(point)) for point in self.first)


def coarse(values: Sequence[float], always: Sequence[float] = ()) -> tuple[float, ...]:
    """The values that a refined search starts with.

    Every k-th value from the first, the last value, and those of `always` that are among the
    values. k is the integer, at least 1, for which k steps are nearest to `COARSE`, the smaller one
    in a tie.

    Args:
        values: an evenly spaced grid, ascending.
    """
    if len(values) < 2:
        return tuple(values)
    step = values[1] - values[0]
    every = max(1, math.ceil(COARSE / step - 0.5 - 1e-6))
    kept = {*values[::every], values[-1], *always}
    return tuple(value for value in values if value in kept)
