"""How sure gains and choices of λ are, as tables and figures look it up in their tidy tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

BETTER_PROXY, MADX, DIRECT = "better proxy", "madx", "direct"
BEST_OTHER, LABELS = "best other method", "validation"
START = "initialisation"
"""What a gain is over: the column `over`, which may also name another method."""

Intervals = Mapping[tuple[str, ...], tuple[float, float]]
"""Ends of the intervals in points, by `key`."""


def key(
    model: str,
    task: str,
    target: str,
    over: str,
    budget: str = "full",
    rule: str = "",
    method: str = "la",
) -> tuple[str, ...]:
    """The place of a gain in `Intervals`.

    Args:
        rule: of a gain over `LABELS`; all other gains of a table are of one rule, the study's.
        method: of the side that gains.
    """
    return (model, task, target, over, budget, rule, method)


def intervals(tables: Iterable[pd.DataFrame]) -> Intervals:
    """The ends of the intervals of the tables of gains of an experiment: of one, or of none."""
    names = ["model", "task", "target", "over", "budget", "rule", "method"]
    found = {}
    for table in tables:
        for model, task, target, over, budget, rule, method, low, high in table[
            [*names, "low", "high"]
        ].itertuples(index=False):
            of_rule = rule if over == LABELS else ""
            place = key(model, task, target, over, budget, of_rule, method)
            found[place] = (float(low), float(high))
    return found


def beyond_zero(found: Intervals, model: str, task: str, over: str) -> frozenset[str]:
    """The targets of a model and task where language arithmetic's gain excludes 0."""
    return frozenset(
        target
        for (*place, target, of, _, _, method), (low, high) in found.items()
        if (*place, of, method) == (model, task, over, "la") and not low <= 0 <= high
    )


CELL = ["model", "task", "target", "method", "operands", "budget", "seed"]
"""Columns that a table of choices has of a cell."""

LEVEL = 0.95
"""Share of the choices of λ inside their interval."""


def choices(tables: Iterable[pd.DataFrame]) -> pd.DataFrame | None:
    """The table of choices of an experiment: of one table, or of none."""
    return next(iter(tables), None)


def of_cells(found: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of choices that are of some cells; none where a cell has none.

    Args:
        cells: a row per cell, with those columns of `CELL` that tell its cells apart.
    """
    names = [name for name in CELL if name in cells]
    wanted = cells[names].drop_duplicates()
    merged = wanted.merge(found, on=names)
    complete = len(merged[names].drop_duplicates()) == len(wanted)
    return merged if complete else merged.iloc[:0]


def choice_shares(choices: pd.DataFrame) -> pd.Series:
    """The share of resamples that choose each λ, 0 to 1, by λ: the mean over seeds.

    Args:
        choices: rows of the table of choices, of one target and pair of operands.
    """
    return choices.groupby("lambda")["share"].sum() / choices["seed"].nunique()


def central(choices: pd.DataFrame) -> tuple[float, float] | None:
    """Between which λ the central 95 % of the choices of resamples lie, of any seed.

    Of several targets: the same of the mean of their choices, which are independent. None where
    there is no choice, or points have several numbers.

    Args:
        choices: rows of the table of choices, of one method.
    """
    if choices.empty or choices["lambda"].isna().any():
        return None
    # λ has two decimals: the distribution of a sum of λ is a convolution over hundredths
    shares, least, targets = np.ones(1), 0, 0
    for _, of_target in choices.groupby("target"):
        of_one = choice_shares(of_target)
        hundredths = np.rint(of_one.index.to_numpy(dtype=float) * 100).astype(int)
        placed = np.bincount(hundredths - hundredths.min(), weights=of_one.to_numpy())
        shares, least, targets = np.convolve(shares, placed), least + hundredths.min(), targets + 1
    tail = (1 - LEVEL) / 2
    ends = np.searchsorted(shares.cumsum() / shares.sum(), [tail - 1e-9, 1 - tail - 1e-9])
    low, high = (least + ends) / (100 * targets)
    return float(low), float(high)
