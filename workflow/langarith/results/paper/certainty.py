"""The interval and the number of examples of our counterpart of a number of the paper.

The interval of a gain is in the table of gains; that of a score is of a bootstrap. Counts, ranges,
cosines and choices have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd

from langarith.results import analysis
from langarith.results.names import BETTER_PROXY, MADX
from langarith.results.paper.reproduction import Estimate
from langarith.results.paper.stated import SCORES, Stated

OVER = {"greatest_gain": BETTER_PROXY, "average_gain": MADX}
"""The column `over` of the table of gains, for each quantity that is a gain."""

SAME = 2e-3
"""Points by which two computations of one gain may differ.

The table of gains is computed from F1 of single answers in half precision, our value from scores in
full precision."""


def estimate(
    number: Stated,
    model: str | None,
    value: float,
    *,
    tables: Mapping[str, pd.DataFrame],
    gains: Mapping[str, pd.DataFrame],
    score_interval: Callable[[pd.DataFrame], tuple[float, float]],
) -> Estimate | None:
    """The interval of our value of a number; None if it has none.

    The interval of a greatest gain is that of its target: it ignores that this target was selected
    as the greatest.

    Args:
        value: our value.
        tables: tidy tables by experiment.
        gains: tables of gains by experiment.
        score_interval: the ends of the interval of the average over some cells, rows of
            `analysis.cells`.
    """
    where = {**number.where, **({"model": model} if model else {})}
    if number.quantity in OVER and number.experiment in gains:
        return _of_gain(number, _rows(gains[number.experiment], where), value)
    if number.quantity in SCORES:
        table = tables[number.experiment]
        cells = analysis.cells(table)
        cells = _rows(cells.assign(other=cells["left"]), where)
        if "method" not in where:
            cells = cells[cells["method"] == "la"]
        for column, names in number.over.items():
            cells = cells[cells[column].isin(names)]
        # as for the value itself: seeds that have every cell
        whole = cells.groupby("seed")["merged"].transform(lambda scores: scores.notna().all())
        wanted = math.prod(len(names) for names in number.over.values())
        sizes = cells.groupby("seed")["merged"].transform("size")
        cells = cells[whole & (sizes == wanted)]
        counts = analysis.examples(table)
        places = cells[["model", "task", "target"]].drop_duplicates().itertuples(index=False)
        return Estimate(*score_interval(cells), sum(counts[tuple(place)] for place in places))
    return None


def _rows(table: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def _of_gain(number: Stated, gains: pd.DataFrame, value: float) -> Estimate | None:
    gains = gains[gains["over"] == OVER[number.quantity]]
    if number.quantity == "average_gain":
        gains = gains[gains["target"] == analysis.AVERAGE]
    else:
        gains = gains[gains["target"].isin(number.over["target"])].nlargest(1, "gain")
    for row in gains.to_dict("records"):
        # the study may average over other targets, or other seeds, than the paper's number
        if math.isclose(row["gain"], value, abs_tol=SAME):
            return Estimate(float(row["low"]), float(row["high"]), int(row["examples"]))
    return None
