"""Intervals of gains and of choices of λ, which tables and figures read from tidy tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from langarith.results.names import LABELS

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
        rule: only for a gain over `LABELS`; all other gains of a table have the study's rule.
        method: of the merge whose gain it is.
    """
    return (model, task, target, over, budget, rule, method)


def intervals(tables: Iterable[pd.DataFrame]) -> Intervals:
    """The ends of the intervals in the table of gains of an experiment, if it has one."""
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


def of_regret(gains: Intervals, place: tuple[str, ...]) -> tuple[float, float] | None:
    """The interval of a regret, which is that of the gain at a place with the other sign."""
    ends = gains.get(place)
    return (-ends[1], -ends[0]) if ends else None


def of_targets(
    found: Intervals, model: str, task: str, over: str
) -> dict[str, tuple[float, float]]:
    """The intervals of language arithmetic's gains of a model and task, by target."""
    return {
        target: ends
        for (*place, target, of, _, _, method), ends in found.items()
        if (*place, of, method) == (model, task, over, "la")
    }


CELL = ["model", "task", "target", "method", "operands", "budget", "seed"]
"""Columns that a table of choices has of a cell."""

LEVEL = 0.95
"""Share of the choices of λ inside their interval."""


def of_cells(found: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of choices for some cells; no rows if one of the cells has none.

    Args:
        cells: a row per cell, with the columns of `CELL` that distinguish its cells.
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
    """The interval of λ that contains the central 95 % of the resamples' choices, of all seeds.

    For several targets: the interval of the mean of their choices, which are independent. None if
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
