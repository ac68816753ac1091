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
    model: str,
    task: str,
    target: str,
    over: str,
    budget: str = "full",
    rule: str = "validation",
    method: str = "la",
) -> tuple[str, ...]:
    """The place of a gain in `Intervals`; `method` is that of the side that gains."""
    return (model, task, target, over, budget, rule, method)


def intervals(tables: Iterable[pd.DataFrame]) -> Intervals:
    """The ends of the intervals of the tables of gains of an experiment: of one, or of none."""
    names = ["model", "task", "target", "over", "budget", "rule", "method"]
    return {
        key(*map(str, place)): (float(low), float(high))
        for table in tables
        for *place, low, high in table[[*names, "low", "high"]].itertuples(index=False)
    }


def beyond_zero(found: Intervals, model: str, task: str, over: str) -> frozenset[str]:
    """The targets of a model and task where language arithmetic's gain excludes 0."""
    return frozenset(
        target
        for (*place, target, of, _, _, method), (low, high) in found.items()
        if (*place, of, method) == (model, task, over, "la") and not low <= 0 <= high
    )
