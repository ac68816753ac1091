"""The table of the certainty of the choice of λ."""

from __future__ import annotations

import pandas as pd

from langarith.results import analysis, intervals
from langarith.results.caption import Beside, Caption
from langarith.results.sheet import Number, Row, Sheet, by, sheet, task_title, weight


def choices(table: pd.DataFrame, caption: Caption, beside: Beside) -> list[Sheet]:
    """The certainty of the choice of λ, if there is a table of choices."""
    if beside.choices is None:
        return []
    sheets = []
    place = ["task", "target", "operands"]
    cells = analysis.cells(table).query("method == 'la'")
    for model, of_model in by(cells, "model", caption.models):
        blocks: list[list[Row]] = []
        for task, part in by(of_model, "task"):
            blocks.append([])
            for target, of_target in by(part, "target", caption.languages):
                for _, runs in of_target.groupby(place, sort=False):
                    drawn = intervals.of_cells(beside.choices, runs.dropna(subset=["lambda"]))
                    agree = runs.merge(drawn, on=[*intervals.CELL, "lambda"])["share"].mean()
                    blocks[-1].append(
                        (
                            task_title(task, table),
                            target,
                            f"{runs['left'].iloc[0]}, {runs['right'].iloc[0]}",
                            Number(float(drawn["examples"].max()), digits=0),
                            weight(runs, caption, beside),
                            Number(100 * float(agree), digits=0),
                        )
                    )
        sheets.append(
            sheet(
                f"Choice of λ, {model}",
                "λ: the mean over seeds of the λ chosen on validation; it weighs the first "
                "language of the pair. Same: percent of resamples of the validation examples that "
                "choose the λ that the seed chose, mean over seeds. Examples: of the validation "
                "split.",
                ("task", "target", "pair", "examples", "λ", "same"),
                blocks,
                caption,
            )
        )
    return sheets
