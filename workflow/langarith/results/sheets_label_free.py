"""The table of rules that choose λ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from langarith.evaluation import selection
from langarith.results import analysis, intervals, label_free
from langarith.results.sheet import Number, Row, Sheet, measured, missing_cells, panels, sheet


def compare_rules(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Rules that choose λ, averaged over targets: score, regret and rank."""
    sheets = []
    for model, task, part in panels(label_free.averages(table), caption):
        count, rows = int(part["targets"].max()), list[Row]()
        of_task = table[(table["model"] == model) & (table["task"] == task)]
        examples = Number(
            float(of_task.groupby("target")["examples"].max().sum(min_count=1)), digits=0
        )
        for row in part.to_dict("records"):
            rule = selection.get(row["rule"])
            place = intervals.key(model, task, analysis.AVERAGE, intervals.LABELS, rule=rule.name)
            ends = caption.get("intervals", {}).get(place)
            rows.append(
                (
                    rule.title,
                    LABELS[rule.labels],
                    Number(row["value"]),
                    Number(row["regret"], signed=True, interval=ends and (-ends[1], -ends[0])),
                    "" if rule.labels == "test" else Number(row["rank"], digits=1),
                )
            )
        sheets.append(
            sheet(
                f"Rules that choose λ, {model}, {measured(task, table)}",
                f"Test scores of language arithmetic in percent, averaged over {count} "
                f"target{'s' if count > 1 else ''} and seeds. Test examples of all targets: "
                f"{examples.written()}. Regret: points that the choice on "
                "validation data of the target scores more. Rank: the mean over targets and seeds "
                "of the place among the rules without the oracle, which looks at test labels.",
                ("rule", "labels", "average", "regret", "rank"),
                [rows],
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


LABELS = {
    "target": "of the target",
    "other targets": "of other targets",
    "none": "none",
    "test": "of the test data",
}
