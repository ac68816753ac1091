"""The choice of a point on validation data, and what a coarser grid would have chosen (5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from langarith.merging import Method
from langarith.operands import Point

COARSE_STEPS = (0.1, 0.2, 0.25, 0.5)
"""Steps that section 5.1 weighs against the full grid."""


def select(curve: Mapping[Point, float], neutral: float) -> Point:
    """The point with the highest validation score.

    Of equal scores the point nearest to `neutral` wins, by the sum of the distances of its
    numbers, then the one with the larger numbers.
    """

    def rank(point: Point) -> tuple[float, float, Point]:
        distance = sum(abs(number - neutral) for number in point)
        return -curve[point], round(distance, 6), tuple(-number for number in point)

    return min(curve, key=rank)


def neutral(method: Method, point: Point) -> float:
    """The number that is preferred where scores are equal, for points like this one.

    Several numbers are weights: equal weights are preferred.
    """
    return method.neutral if len(point) == 1 else 1 / (len(point) + 1)


def coarser(lambdas: Sequence[float], step: float) -> list[float]:
    """The points of a grid that a grid of `step` from the same start has, too.

    Empty where the coarser grid has points that the grid lacks: it could not be read off it.
    """
    first, last = min(lambdas), max(lambdas)
    wanted = [round(first + i * step, 2) for i in range(int((last - first) / step + 1e-9) + 1)]
    existing = {round(w, 2) for w in lambdas}
    return wanted if existing.issuperset(wanted) else []
