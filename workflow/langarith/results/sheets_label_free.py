"""The tables of rules that choose λ, and of the price of labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from langarith.evaluation import selection
from langarith.results import analysis, intervals, label_free
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.names import LABELS
from langarith.results.sheet import Number, Row, Sheet, panels, sheet, task_title


def compare_rules(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Rules that choose λ, averaged over targets; the price of labels, if it is known."""
    sheets = []
    averages = label_free.averages(table)
    for model, task, part in panels(averages, caption):
        count, rows = int(part["targets"].max()), list[Row]()
        of_task = table[(table["model"] == model) & (table["task"] == task)]
        examples = Number(
            float(of_task.groupby("target")["examples"].max().sum(min_count=1)), digits=0
        )
        for row in part.to_dict("records"):
            rule = selection.get(row["rule"])
            place = intervals.key(model, task, analysis.AVERAGE, LABELS, rule=rule.name)
            interval = intervals.of_regret(beside.intervals, place)
            rows.append(
                (
                    rule.title,
                    WORDS[rule.labels],
                    Number(row["value"]),
                    Number(row["regret"], signed=True, interval=interval),
                    "" if rule.labels == "test" else Number(row["rank"], digits=1),
                )
            )
        sheets.append(
            sheet(
                f"Rules that choose λ, {model}, {task_title(task, table)}",
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
    if beside.price is not None:
        sheets += _price(beside.price, table, averages, caption)
    return sheets


def _price(
    price: pd.DataFrame, table: pd.DataFrame, rules: pd.DataFrame, caption: Caption
) -> list[Sheet]:
    """λ chosen on a number of labelled examples of the target, averaged over targets."""
    sheets = []
    for model, task, part in panels(label_free.price_averages(price, table), caption):
        rows = [
            (
                _size(row),
                Number(row["value"], math.nan if math.isnan(row["labelled"]) else row["sd"]),
                Number(row["lost"], signed=True),
                Number(100 * row["near"], digits=0),
            )
            for row in part.to_dict("records")
        ]
        of_cells = price[(price["model"] == model) & (price["task"] == task)]
        of_task = rules[(rules["model"] == model) & (rules["task"] == task)]
        sheets.append(
            sheet(
                f"The price of labels, {model}, {task_title(task, table)}",
                "Test scores of language arithmetic in percent with λ chosen on so many labelled "
                f"examples of the target: means over {label_free.SUBSETS} random subsets of its "
                "validation data, targets and seeds. ±: one standard deviation over the subsets of "
                "a target. Lost: points that the choice on all examples scores more. Near: share "
                f"of the choices that are at most {label_free.NEAR} from the choice on all "
                f"examples. {_too_few(of_cells)}{_as_good(part, of_task)}",
                ("labelled examples", "average", "lost", "near (%)"),
                [rows],
                caption,
            )
        )
    return sheets


def _size(row: Mapping[Any, Any]) -> str:
    """`25`, `all (200)` or `all (180 to 200)`."""
    if not math.isnan(row["labelled"]):
        return f"{row['labelled']:,.0f}"
    few, many = f"{row['least']:,.0f}", f"{row['most']:,.0f}"
    return f"all ({few})" if few == many else f"all ({few} to {many})"


def _too_few(price: pd.DataFrame) -> str:
    """Which numbers of labels are left out, and for which targets."""
    available = price.groupby("target", sort=False)["examples"].min()
    parts = []
    for size in label_free.SIZES:
        lacking = available.index[available < size]
        if len(lacking):
            of = "every target" if len(lacking) == len(available) else ", ".join(lacking)
            parts.append(f"{size} ({of})")
    return f"Left out, too few validation examples: {', '.join(parts)}. " if parts else ""


def _as_good(part: pd.DataFrame, rules: pd.DataFrame) -> str:
    """The fewest labelled examples that score at least as well as each rule without labels."""
    parts = []
    for row in rules.dropna(subset=["value"]).to_dict("records"):
        rule = selection.get(str(row["rule"]))
        enough = part[part["value"] >= row["value"]].to_dict("records")
        if rule.labels in ("other targets", "none"):
            fewest = _size(enough[0]) if enough else "not reached with all labels"
            parts.append(f"{rule.title}: {fewest}")
    return f"Fewest examples that score as well as a rule without labels: {'; '.join(parts)}."


WORDS = {
    "target": "of the target",
    "other targets": "of other targets",
    "none": "none",
    "test": "of the test data",
}
