"""The tables of subtracted language vectors and of analogies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from langarith.results import analogy, analysis, forgetting, intervals
from langarith.results.sheet import (
    MISSING,
    Number,
    Row,
    Sheet,
    by,
    examples,
    gain,
    mean,
    measured,
    missing_cells,
    ordered,
    panels,
    point,
    scores,
    sheet,
)


def forgotten(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Changes of masked-LM losses of each text, and test scores in the negated language."""
    return [
        *_losses(table, caption),
        *_scores(table, caption),
        *missing_cells(caption),
    ]


def _losses(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    sheets = []
    negated = ordered(forgetting.negated(table), caption["languages"])
    for model, of_model in by(forgetting.losses(table), "model", caption["models"]):
        texts = ordered(of_model["text"], caption["languages"])
        start = of_model[of_model["lambda"] == 0.0]
        blocks: list[list[Row]] = [
            [
                (
                    "0.00",
                    "none",
                    *(_mean(start[start["text"] == text], "loss", caption) for text in texts),
                )
            ]
        ]
        for weight, part in of_model[of_model["lambda"] != 0.0].groupby("lambda"):
            runs = dict(list(part.groupby(["negated", "text"])))
            blocks.append(
                [
                    (
                        f"{weight:.2f}",
                        language,
                        *(
                            _mean(runs[language, text], "change", caption)
                            if (language, text) in runs
                            else MISSING
                            for text in texts
                        ),
                    )
                    for language in negated
                ]
            )
        spread = forgetting.largest_spread(forgetting.changes(of_model))
        spreads = "" if math.isnan(spread) else f"; standard deviations at most {spread:.3f}"
        sheets.append(
            sheet(
                f"Forgetting, {model}: masked-LM loss of held-out text",
                "Nats per masked token, a column for each language of the text, means over seeds"
                f"{spreads}. First row: the common initialisation of the adapters. Below: what "
                "changes when λ times the vector of a language is subtracted from it; above zero "
                "the model predicts the text worse.",
                ("λ", "subtracted", *texts),
                blocks,
                caption,
            )
        )
    return sheets


def _mean(runs: pd.DataFrame, kind: str, caption: Mapping[str, Any]) -> Number:
    """The mean over seeds; at λ = 0 every negated language has the same loss of a text."""
    each = runs.groupby("seed")[kind].mean()
    return Number(
        float(each.mean()),
        digits=3,
        signed=kind == "change",
        partial=len(each) < len(caption["seeds"]),
    )


def _scores(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    sheets = []
    found = forgetting.scores(table)
    weights = forgetting.weights(found)
    last = forgetting.furthest(weights)
    scored = forgetting.scored(table)
    for model, task, part in panels(found, caption) if weights else ():
        rows: list[Row] = [
            (
                target,
                examples(runs, scored),
                *(mean(runs, weight, caption) for weight in weights),
                gain(
                    runs,
                    last,
                    ["0.00"],
                    caption,
                    target,
                    intervals.START,
                    method=forgetting.NEGATION,
                ),
            )
            for target, runs in by(part, "target", caption["languages"])
        ]
        sheets.append(
            sheet(
                f"Forgetting, {model}, {measured(task, scored)}",
                "Test scores in percent in the language whose vector was subtracted λ times, mean "
                "± standard deviation over seeds. λ = 0 is the common initialisation of the "
                f"adapters. The last column is λ = {last} minus λ = 0, in points.",
                ("t", "examples", *(f"λ = {weight}" for weight in weights), "change"),
                [rows],
                caption,
            )
        )
    return sheets


def analogies(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Each analogy beside the task language's adapter and that of c."""
    source = caption["task_language"]
    kinds = [*analogy.PROXIES, "merged"]
    sheets = []
    for model, task, part in panels(analogy.scores(table, source), caption):
        rows: list[Row] = [
            (
                target,
                analogy.formula(str(runs["operands"].iloc[0])),
                examples(runs, table),
                *scores(runs, kinds, caption),
                _given(point(runs, caption)),
                _gain(runs, caption, target),
            )
            for target, runs in by(part, "target", caption["languages"])
        ]
        blocks = [rows]
        if len(rows) > 1:
            numbers = scores(part, kinds, caption, together=True)
            gain_of_averages = _gain(part, caption, analysis.AVERAGE)
            blocks.append([("average", "", examples(part, table), *numbers, "", gain_of_averages)])
        sheets.append(
            sheet(
                f"Analogies, {model}, {measured(task, table)}",
                "Test scores in percent, mean ± standard deviation over seeds; the best in bold. "
                "An analogy c + b − a adds λ times the difference of the vectors of b and a to "
                "the adapter of c. Examples: of the test split. The gain, in points, is over the "
                f"better of two single adapters, that of {source} and that of c.",
                (
                    "target",
                    "analogy",
                    "examples",
                    f"{source} adapter",
                    "c alone",
                    "merged",
                    "λ",
                    "gain",
                ),
                blocks,
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def _gain(runs: pd.DataFrame, caption: Mapping[str, Any], target: str) -> Number:
    over = intervals.BETTER_PROXY
    return gain(runs, "merged", analogy.PROXIES, caption, target, over, method="analogy")


def _given(weight: Number | str) -> Number | str:
    """λ without an interval of choices, which this experiment does not estimate."""
    return replace(weight, interval=None) if isinstance(weight, Number) else weight
