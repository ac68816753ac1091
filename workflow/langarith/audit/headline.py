"""What a study found, in a sentence and a table: the top of its report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langarith.audit.lineage import Lineage
from langarith.audit.linked import Links
from langarith.results.names import BETTER_PROXY, CHOSEN_PROXY, MADX

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """What an experiment found: a sentence, and a row for each model and task.

    `remark` says in how many cells the chosen λ is an end, where nothing is merged; '' for none.
    A cell is its text and the address of the chain of its number, '' where it has none.
    """

    experiment: str
    sentence: str
    remark: str
    header: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Compared:
    """The two sides of an experiment with a result in one sentence, which `sentence` begins.

    sides: what the columns of the scores are called. merged: the first of them, as in `analysis`.
    gains: the headings of the gains, the scores that they are over, and their name in the table of
    gains.
    """

    sentence: str
    sides: tuple[str, str]
    merged: str
    gains: tuple[tuple[str, list[str], str], ...]

    @property
    def others(self) -> list[str]:
        """The scores of the other side: those of the first gain."""
        return self.gains[0][1]


COMPARED = {
    "zero_shot": Compared(
        "Zero-shot, language arithmetic beats the better of the two single adapters in",
        ("language arithmetic", "better adapter"),
        "merged",
        (
            ("gain over the better adapter", ["task_language", "related"], BETTER_PROXY),
            ("gain over the chosen adapter", ["chosen"], CHOSEN_PROXY),
        ),
    ),
    "enhancement": Compared(
        "Language arithmetic of the target's own adapter and another language's scores above the "
        "own adapter alone in",
        ("better pairing", "own adapter"),
        "la_better",
        (("gain over the own adapter", ["madx"], MADX),),
    ),
}
"""Experiments with a result in one sentence."""


def result(graph: Lineage, name: str, task_language: str, links: Links) -> Result | None:
    """The result of an experiment in words and numbers; None where it has none, or no table."""
    path = graph.results / f"tables/{name}.csv"
    if name not in COMPARED or not path.is_file():
        return None
    from langarith.results import analysis, tables

    table, compared = tables.read(path), COMPARED[name]
    if name == "zero_shot":
        scores = pairs = analysis.zero_shot(table)
    else:
        scores = analysis.enhancement(table, task_language)
        # its pairings: the cells of the better other language with the target
        named = scores[["model", "task", "target", "seed", "better"]]
        pairs = analysis.cells(table).query("method == 'la'").merge(named)
        pairs = pairs[(pairs["left"] == pairs["better"]) & (pairs["right"] == pairs["target"])]
    over_each = [analysis.headline(scores, compared.merged, of) for _, of, _ in compared.gains]
    found, rows = over_each[0], []
    for i, row in enumerate(found.to_dict("records")):
        place = (name, row["model"], row["task"])
        averages = [
            (_number(row["merged"]), [compared.merged]),
            (_number(row["other"]), compared.others),
        ]
        mean, gains = _number(row["mean_gain"], signed=True), []
        for (_, _, over), over_one in zip(compared.gains, over_each, strict=True):
            gain = float(over_one["average_gain"].iloc[i])
            text = _number(gain, signed=True)
            known = None if math.isnan(gain) else links.gain(*place, over)
            gains.append(known or (text, links.average(text, *place, [])))
        rows.append(
            (
                (row["model"], ""),
                (row["task"].upper(), ""),
                (f"{row['better']} of {row['of']}", ""),
                *((text, links.average(text, *place, kinds)) for text, kinds in averages),
                *gains,
                (mean, links.average(mean, *place, [])),
            )
        )
    headings = (heading for heading, *_ in compared.gains)
    return Result(
        name,
        f"{compared.sentence} {found['better'].sum()} of {found['of'].sum()} cells.",
        _of_ends(pairs, analysis.gains(scores, compared.merged, compared.others)),
        ("model", "task", "better in", *compared.sides, *headings, "mean of the gains"),
        tuple(rows),
    )


def _of_ends(sweeps: pd.DataFrame, gains: pd.DataFrame) -> str:
    """In how many cells, and how many of those that gain, every seed chose λ = 0 or 1."""
    place = ["model", "task", "target"]
    known = sweeps.dropna(subset="lambda")
    ends = known["lambda"].isin((0.0, 1.0)).groupby([known[key] for key in place]).all()
    if not ends.any():
        return ""
    above = gains.set_index(place)["gain"].round(2).gt(0).reindex(ends.index, fill_value=False)
    of_gains = f" Such cells among the {above.sum()} with a gain: {(ends & above).sum()}."
    return (
        f"In {ends.sum()} of the {len(ends)} cells the chosen λ is 0 or 1: nothing is merged "
        f"there, and the score is that of one adapter alone.{of_gains if above.any() else ''}"
    )


def _number(value: float, *, signed: bool = False) -> str:
    from langarith.results.sheet import Number

    return Number(value, signed=signed).written()
