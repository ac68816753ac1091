"""Intervals of gains, as tables and figures look them up: what the tables of gains hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

BETTER_PROXY, MADX, DIRECT = "better proxy", "madx", "direct"
BEST_OTHER, LABELS = "best other method", "validation"
"""What a gain is over: the column `over`, which may also name another method."""

Intervals = Mapping[tuple[str, ...], tuple[float, float]]
"""Ends of the intervals in points, by `key`."""


def key(
    model: str, task: str, target: str, over: str, budget: str = "full", rule: str = ""
) -> tuple[str, ...]:
    """The place of a gain in `Intervals`.

    Args:
        rule: of a gain over `LABELS`; all other gains of a table are of one rule, the study's.
    """
    return (model, task, target, over, budget, rule)


def intervals(tables: Iterable[pd.DataFrame]) -> Intervals:
    """The ends of the intervals of the tables of gains of an experiment: of one, or of none."""
    names = ["model", "task", "target", "over", "budget", "rule"]
    return {
        key(*map(str, [*place, rule if place[3] == LABELS else ""])): (float(low), float(high))
        for table in tables
        for *place, rule, low, high in table[[*names, "low", "high"]].itertuples(index=False)
    }


def beyond_zero(found: Intervals, model: str, task: str, over: str) -> frozenset[str]:
    """The targets of a model and task whose gain has an interval that excludes 0."""
    return frozenset(
        target
        for (*place, target, of, _, _), (low, high) in found.items()
        if (*place, of) == (model, task, over) and not low <= 0 <= high
    )
