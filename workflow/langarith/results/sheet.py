"""Sheets: a sheet is one printed table with its numbers, marks and notes.

The numbers are defined in `analysis`; here they get a place, a format and a mark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from langarith.operands import parse_point
from langarith.results import analysis, intervals, names
from langarith.results.caption import Beside, Caption

MISSING = "--"

SCORES = "Test scores in percent, mean ± standard deviation over seeds; the best in bold."


@dataclass(frozen=True)
class Number:
    """A number in a sheet, with its format, interval and marks.

    `value` is NaN if it is missing; `spread` is one standard deviation over seeds (ddof 1), NaN
    with one seed, or if none is printed. `partial` marks a number from fewer runs than the study
    has, `best` the best of the numbers it is compared with. `interval`: see `INTERVALS` for each
    `measure`.
    """

    value: float
    spread: float = math.nan
    digits: int = 2
    signed: bool = False
    partial: bool = False
    best: bool = False
    interval: tuple[float, float] | None = None
    measure: Literal["gain", "score", "choice"] = "gain"

    @property
    def missing(self) -> bool:
        """Whether there is no value."""
        return math.isnan(self.value)

    def written(self) -> str:
        """Only the value, with the digits that are printed."""
        return MISSING if self.missing else self._rounded(self.value)

    def brackets(self) -> str:
        """The interval as it is printed after the value and its spread."""
        if self.missing or self.interval is None:
            return ""
        low, high = (self._rounded(end) for end in self.interval)
        return f" [{low}, {high}]"

    def _rounded(self, value: float) -> str:
        rounded = round(value, self.digits) + 0.0  # a zero has no sign
        return f"{rounded:{'+' if self.signed and rounded else ''}.{self.digits}f}"


Cell = str | Number


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """One table: rows in blocks, between which LaTeX draws a line, and a note below them.

    `aside`: for the person who runs the study, not for a paper: a comment in LaTeX. A sheet without
    a header has only its note.
    """

    title: str
    note: str
    header: tuple[str, ...]
    blocks: tuple[tuple[Row, ...], ...]
    aside: bool = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of all blocks."""
        return tuple(row for block in self.blocks for row in block)


INTERVALS = {
    "gain": "In brackets after a gain: the 95 % interval of a paired bootstrap over test examples "
    "and seeds.",
    "score": "In brackets after a score: the 95 % interval of a bootstrap over test examples and "
    "seeds.",
    "choice": "In brackets after λ: where the central 95 % of the choices on resampled validation "
    "examples lie.",
}
"""What brackets after a number contain, by its `measure`."""


def sheet(
    title: str,
    note: str,
    header: Sequence[str],
    blocks: Iterable[Iterable[Row]],
    caption: Caption,
) -> Sheet:
    """A sheet whose note also names the study and explains the marks in the sheet."""
    parts = tuple(tuple(block) for block in blocks)
    cells = [cell for block in parts for row in block for cell in row]
    numbers = [cell for cell in cells if isinstance(cell, Number) and not cell.missing]
    measures = {number.measure for number in numbers if number.interval}
    absent = MISSING in cells or any(isinstance(cell, Number) and cell.missing for cell in cells)
    notes = (
        note,
        caption.choice,
        f"{MISSING}: missing." if absent else "",
        "†: of fewer runs than the study has." if any(n.partial for n in numbers) else "",
        *(text for kind, text in INTERVALS.items() if kind in measures),
        caption.of_study(),
    )
    return Sheet(title, " ".join(filter(None, notes)), tuple(header), tuple(filter(None, parts)))


def missing_cells(cells: Iterable[Mapping[str, str]]) -> list[Sheet]:
    """A sheet that names each missing cell and its log, if there are any."""
    rows = tuple((cell["cell"], cell["log"]) for cell in cells)
    note = "These cells of the study have no result; their logs say why."
    return [Sheet("Missing cells", note, ("cell", "log"), (rows,), aside=True)] if rows else []


def mean(runs: pd.DataFrame, kind: str, caption: Caption, of: Sequence[str] = ()) -> Number:
    """The mean over seeds, of the averages over targets if `runs` has several.

    `of`: the kinds of score that a run must have to count; by default only `kind`.
    """
    averages = analysis.seed_averages(runs, of or [kind])[kind]
    complete = len(runs.dropna(subset=list(of or [kind])))
    # missing runs are rows without scores; a seed that failed as a whole may have no rows at all
    wanted = runs.groupby("seed").size().max() * len(caption.seeds)
    return Number(float(averages.mean()), float(averages.std(ddof=1)), partial=complete < wanted)


def scores(
    runs: pd.DataFrame,
    kinds: Sequence[str],
    caption: Caption,
    *,
    together: bool = False,
) -> list[Number]:
    """The mean of each kind, the best marked; with `together` all use the same runs."""
    return best([mean(runs, kind, caption, kinds if together else ()) for kind in kinds])


def gain(
    runs: pd.DataFrame,
    merged: str,
    others: Sequence[str],
    caption: Caption,
    beside: Beside,
    target: str,
    over: str,
    of: Sequence[str] = (),
    method: str = "la",
) -> Number:
    """The gain of `analysis.gains` for a target, from runs of one model and task.

    An average is over the runs that have all scores it compares, or all those that `of` names.
    `over`, `method`: values of these columns in the table of gains, which has the interval.
    """
    gains = analysis.gains(runs, merged, others, of).set_index("target")["gain"]
    whole = mean(runs, merged, caption, of or [merged, *others])
    budget = str(runs["budget"].iloc[0]) if "budget" in runs else "full"
    model, task = map(str, runs[["model", "task"]].iloc[0])
    place = intervals.key(model, task, target, over, budget, method=method)
    return Number(
        float(gains[target]),
        signed=True,
        partial=whole.partial,
        interval=beside.intervals.get(place),
    )


def examples(runs: pd.DataFrame, table: pd.DataFrame) -> Number:
    """The number of test examples behind some runs, summed over their targets."""
    counts = analysis.examples(table)
    places = runs[["model", "task", "target"]].drop_duplicates().itertuples(index=False)
    return Number(sum(counts.get((m, k, t), math.nan) for m, k, t in places), digits=0)


def evaluations(counts: pd.Series) -> Number:
    """The mean over cells, with a decimal if cells differ, as with a refined search."""
    return Number(float(counts.mean()), digits=0 if counts.nunique() < 2 else 1)


def weight(runs: pd.DataFrame, caption: Caption, beside: Beside) -> Number:
    """The mean of the chosen λ over targets and seeds, with the interval of the choices."""
    of_runs, chosen = runs.dropna(subset=["lambda"]), beside.choices
    ends = None if chosen is None else intervals.central(intervals.of_cells(chosen, of_runs))
    number = mean(runs, "lambda", caption)
    return replace(number, spread=math.nan, interval=ends, measure="choice")


def best(numbers: Sequence[Number]) -> list[Number]:
    """The same numbers with the best marked: all that are equal to the greatest as printed."""
    present = [float(number.written()) for number in numbers if not number.missing]
    return [
        replace(n, best=len(present) > 1 and not n.missing and float(n.written()) == max(present))
        for n in numbers
    ]


def point(runs: pd.DataFrame, caption: Caption, beside: Beside) -> Cell:
    """Like :func:`weight`; if points have several numbers, a text with the mean of each."""
    numbers = [parse_point(text) for text in runs["point"] if isinstance(text, str) and text]
    if not numbers or len(numbers[0]) == 1:
        return weight(runs, caption, beside)
    return ", ".join(f"{sum(of_runs) / len(numbers):.2f}" for of_runs in zip(*numbers, strict=True))


def panels(scores: pd.DataFrame, caption: Caption) -> list[tuple[str, str, pd.DataFrame]]:
    return [
        (model, task, part)
        for model, of_model in by(scores, "model", caption.models)
        for task, part in by(of_model, "task")
    ]


def by(
    frame: pd.DataFrame, column: str, order: Sequence[str] = ()
) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of a column, in the order of `names.ordered`."""
    parts = {str(value): part for value, part in frame.groupby(column, sort=False)}
    return [(value, parts[value]) for value in names.ordered(parts, order)]


def task_title(task: str, table: pd.DataFrame) -> str:
    """The task with its metric: `NER (F1)`."""
    return names.task_title(task, analysis.metrics(table)[task])
