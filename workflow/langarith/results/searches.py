"""Searches over λ, from validation curves: what `refine` evaluates, and what a study searched.

Only for language arithmetic, whose curves `lambda_impact` shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from langarith import merging
from langarith.evaluation import selection

REFINE = "refine"
"""The value of `grid` for a refined search."""


def grid_size(lambdas: Sequence[float]) -> int:
    """The number of points of the evenly spaced grid that some λ belong to.

    Its step is the least distance between neighbours: a refined search evaluates neighbours, too.
    It equals the number of λ if every point was evaluated.
    """
    ordered = sorted(lambdas)
    if len(ordered) < 2:
        return len(ordered)
    step = min(b - a for a, b in pairwise(ordered))
    return round((ordered[-1] - ordered[0]) / step) + 1


def refined(curve: Mapping[float, float]) -> list[float]:
    """The λ that `search: refine` would evaluate, ascending: exactly, from the whole grid's curve.

    Empty if points of the grid are missing, as in the curve of a refined search.

    Args:
        curve: validation score by λ.
    """
    values = sorted(curve)
    if grid_size(values) != len(values):
        return []
    method = merging.get("la")
    search = method.search(values, 2, REFINE)
    neutral = selection.neutral(method, search.first[0])
    best = selection.select({point: curve[point[0]] for point in search.first}, neutral)
    return sorted(number for (number,) in (*search.first, *search.near(best)))


def note(regrets: pd.DataFrame) -> str:
    """A note on what regrets are compared with: the whole grid, or the study's refined search.

    Args:
        regrets: rows of :func:`langarith.results.analysis.regret`, of one model.
    """
    size, taken = regrets["grid_size"].max(), regrets["full_evaluations"]
    if taken.max() < size:
        mean = f"{taken.mean():.0f}" if taken.nunique() == 1 else f"on average {taken.mean():.1f}"
        return (
            f"The study itself searched by refine, which took {mean} of the {size:.0f} evaluations "
            "of the full grid. So its choice replaces that of the full grid, which is not known, "
            "and grids with points that it left out have no row."
        )
    if REFINE not in set(regrets["grid"]):
        return f"The full grid takes {size:.0f} evaluations."
    return (
        f"The full grid takes {size:.0f} evaluations. refine: first the points of step 0.2 and "
        "λ = 0.5, then all between the neighbours of the best; evaluations on average."
    )
