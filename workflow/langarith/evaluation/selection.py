"""The choice of lambda on validation data, and what a coarser grid would have chosen (5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COARSE_STEPS = (0.1, 0.2, 0.25, 0.5)
"""Steps that section 5.1 weighs against the full grid."""

CENTRE = {"la": 0.5, "ties": 1.0}
"""Where validation cannot tell: no language is preferred (la), the sum is not scaled (ties)."""


def centre(method: str) -> float:
    """The lambda nearest to which equal scores are settled, for `la`, `ties20`, `ties80`, ..."""
    return CENTRE[method.rstrip("0123456789")]


def select(curve: Mapping[float, float], centre: float) -> float:
    """The lambda with the highest validation score.

    Of equal scores the one nearest `centre` wins, then the larger lambda.
    """
    return min(curve, key=lambda w: (-curve[w], round(abs(w - centre), 6), -w))


def coarser(lambdas: Sequence[float], step: float) -> list[float]:
    """The points of a grid that a grid of `step` from the same start has, too.

    Empty where the coarser grid has points that the grid lacks: it could not be read off it.
    """
    first, last = min(lambdas), max(lambdas)
    wanted = [round(first + i * step, 2) for i in range(int((last - first) / step + 1e-9) + 1)]
    there = {round(w, 2) for w in lambdas}
    return wanted if there.issuperset(wanted) else []
