"""The table of the certainty of the choice of λ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from langarith.results import analysis, intervals
from langarith.results.sheet import Number, Row, Sheet, by, sheet, task_title, weight


def choices(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """The certainty of the choice of λ, if the caption has the table of choices."""
    table_of_choices = caption.get("choices")
    if table_of_choices is None:
        return []
    sheets = []
    place = ["task", "target", "operands"]
    cells = analysis.cells(table).query("method == 'la'")
    for model, of_model in by(cells, "model", caption["models"]):
        blocks: list[list[Row]] = []
        for task, part in by(of_model, "task"):
            blocks.append([])
            for target, of_target in by(part, "target", caption["languages"]):
                for _, runs in of_target.groupby(place, sort=False):
                    drawn = intervals.of_cells(table_of_choices, runs.dropna(subset=["lambda"]))
                    agree = runs.merge(drawn, on=[*intervals.CELL, "lambda"])["share"].mean()
                    blocks[-1].append(
                        (
                            task_title(task, table),
                            target,
                            f"{runs['left'].iloc[0]}, {runs['right'].iloc[0]}",
                            Number(float(drawn["examples"].max()), digits=0),
                            weight(runs, caption),
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
