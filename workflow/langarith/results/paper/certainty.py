"""How sure our counterpart of a number of the paper is: its interval and its examples.

A gain has the interval that the table of gains has of it, a score that of a bootstrap. Counts,
ranges, cosines and choices have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd

from langarith.results import analysis
from langarith.results.intervals import BETTER_PROXY, MADX
from langarith.results.paper.reproduction import Estimate
from langarith.results.paper.stated import Stated

OVER = {"greatest_gain": BETTER_PROXY, "average_gain": MADX}
"""What the gain of a quantity is over, as the tables of gains name it."""

SCORES = ("merged", "average")
"""Quantities that are a score or an average of scores over targets."""


def estimate(
    number: Stated,
    model: str | None,
    value: float,
    *,
    tables: Mapping[str, pd.DataFrame],
    gains: Mapping[str, pd.DataFrame],
    score_interval: Callable[[pd.DataFrame], tuple[float, float]],
) -> Estimate | None:
    """The interval of our value of a number; None where there is none.

    The interval of a greatest gain is that of the target which has it: it does not cover that the
    greatest one was looked for.

    Args:
        value: ours.
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
        counted = cells.groupby("seed")["merged"].transform("size")
        cells = cells[whole & (counted == wanted)]
        counts = analysis.examples(table)
        places = cells[["model", "task", "target"]].drop_duplicates().itertuples(index=False)
        return Estimate(*score_interval(cells), sum(counts[tuple(place)] for place in places))
    return None


def _rows(table: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def _of_gain(number: Stated, found: pd.DataFrame, value: float) -> Estimate | None:
    found = found[found["over"] == OVER[number.quantity]]
    if number.quantity == "average_gain":
        found = found[found["target"] == analysis.AVERAGE]
    else:
        found = found[found["target"].isin(number.over["target"])].nlargest(1, "gain")
    for row in found.to_dict("records"):
        # the study may average over other targets, or other seeds, than the paper's number
        if math.isclose(row["gain"], value, abs_tol=1e-6):
            return Estimate(float(row["low"]), float(row["high"]), int(row["examples"]))
    return None
