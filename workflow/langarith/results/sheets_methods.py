"""The table of merge methods and both proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from langarith import merging
from langarith.results import analysis
from langarith.results.intervals import BETTER_PROXY, CHOSEN_PROXY
from langarith.results.sheet import (
    Row,
    Sheet,
    by,
    examples,
    gain,
    missing_cells,
    panels,
    point,
    scores,
    sheet,
    task_title,
)


def methods(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Both proxies and every merge method of the study, averaged over targets."""
    source = caption["task_language"]
    chosen = analysis.methods(table)
    sheets = []
    for model, task, runs in panels(analysis.methods_and_proxies(table), caption):
        of_task = chosen[(chosen["model"] == model) & (chosen["task"] == task)]
        by_method = dict(by(of_task, "method"))
        kinds = [*analysis.PROXIES, *by_method]
        compared = [*kinds, "chosen"]
        left, right, *numbers = scores(runs, kinds, caption, together=True)
        rows: list[Row] = [
            (f"{source} adapter", left, "", "", "", ""),
            ("related adapter", right, "", "", "", ""),
        ]
        for (method, part), number in zip(by_method.items(), numbers, strict=True):
            over = (caption, analysis.AVERAGE)
            rows.append(
                (
                    merging.get(method).title,
                    number,
                    point(part, caption),
                    gain(runs, method, analysis.PROXIES, *over, BETTER_PROXY, kinds, method),
                    gain(runs, method, ["chosen"], *over, CHOSEN_PROXY, compared, method),
                    "" if method == "la" else gain(runs, "la", [method], *over, method, kinds),
                )
            )
        count = runs["target"].nunique()
        sheets.append(
            sheet(
                f"Merge methods, {model}, {task_title(task, table)}",
                "Test scores in percent, mean ± standard deviation over seeds; the best in bold. "
                f"Zero-shot, averaged over {count} target{'s' if count != 1 else ''}. "
                f"Test examples of all targets: {examples(runs, table).written()}. The gain is "
                "over the proxy that is better on average on test data; that over the chosen one "
                "is over the proxy with the higher validation score. The last column is LA minus "
                "the method. All gains are in points.",
                ("method", "average", "λ", "gain", "over the chosen", "LA minus it"),
                [rows],
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]
