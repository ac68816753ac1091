"""Choosing λ without labels: the choice of every rule in every zero-shot cell, and its score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from langarith.evaluation import selection
from langarith.operands import point_value
from langarith.results.choice_of_study import of_other_targets, read_swept

COLUMNS = (
    "experiment,model,task,target,method,operands,seed,rule,labels,lambda,metric,value,regret,"
    "rank,examples"
).split(",")

SIZES = (10, 25, 50, 100, 250, 500)
"""Numbers of labelled examples of the target for which the price of labels is estimated."""

SUBSETS = 200
"""Random subsets of the validation examples, of each size."""

NEAR = 0.05
"""The greatest distance at which a choice on a subset counts as near that on all examples."""


def rows(
    cells: Iterable[Mapping[str, Any]],
    task_language: str,
    related: Mapping[str, str],
    missing: Iterable[Mapping[str, str]] = (),
    compared: Sequence[str] = (),
    losses: Iterable[Mapping[str, Any]] = (),
    others: Iterable[Mapping[str, Any]] = (),
    missing_others: Iterable[Mapping[str, str]] = (),
) -> list[dict[str, Any]]:
    """A row per cell and rule.

    `value`: test score in percent at the rule's choice. `regret`: points that the paper's rule,
    `validation`, scores more. `rank`: among the rules except `oracle`, by `value`; equal values
    share the mean of their ranks. A rule that cannot choose has no row.

    Args:
        cells: contents of `selected.json`.
        task_language, related: define which cells of other targets are in the place of a cell, see
            `selection.group_key`.
        missing: cells of a partial grid: each has a row of the rule `validation` without a value.
        compared: names of rules, `validation` among them; by default those that need only
            the results of sweeps.
        losses: contents of `losses.json` of the cells' merges.
        others: contents of `selected.json` of other targets, which the experiment does not include.
        missing_others: cells of such targets without a result, in a partial grid: rules that need
            other targets do not choose where one is missing.
    """
    cells = list(cells)
    metrics = {cell["task"]: cell["metric"] for cell in cells}
    examples = {(cell["task"], cell["target"]): cell["examples"]["test"] for cell in cells}
    swept = read_swept(cells, losses)
    rules = {name: selection.get(name) for name in compared or selection.without_own_jobs()}
    missing = list(missing)
    incomplete = {
        selection.group_key(cell, task_language, related) for cell in [*missing, *missing_others]
    }
    among = [*swept, *read_swept(others, ())]
    elsewhere = of_other_targets(swept, among, task_language, related)
    found = []
    for cell, in_place in zip(swept, elsewhere, strict=True):
        # a choice on fewer targets than the study has could not be compared
        partial = selection.group_key(vars(cell), task_language, related) in incomplete
        usable = [] if partial else in_place
        chosen = {name: rule.choose(cell, usable) for name, rule in rules.items()}
        points = {name: point for name, point in chosen.items() if point is not None}
        scores = {name: cell.test[point] for name, point in points.items()}
        ranks = pd.Series(scores).drop("oracle", errors="ignore").rank(ascending=False)
        for name, score in scores.items():
            found.append(
                {
                    "experiment": "label_free",
                    "model": cell.model,
                    "task": cell.task,
                    "target": cell.target,
                    "method": cell.method,
                    "operands": cell.operands,
                    "seed": cell.seed,
                    "rule": name,
                    "labels": rules[name].labels,
                    "lambda": point_value(points[name]),
                    "metric": metrics[cell.task],
                    "value": score,
                    "regret": scores["validation"] - score,
                    "rank": ranks.get(name),
                    "examples": examples[cell.task, cell.target],
                }
            )
    names = ("model", "task", "target", "method", "operands", "seed", "metric")
    return found + [
        {"experiment": "label_free", "rule": "validation", "labels": "target"}
        | {name: cell[name] for name in names}
        for cell in missing
    ]


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Each rule over targets and seeds: a row per model, task and rule, in the rules' order.

    Columns: model, task, rule, targets (a number), and the means of `value`, `regret` and `rank`. A
    rule that does not choose in every cell has NaN.
    """
    # the paper's rule chooses in every cell
    wanted = table[table["rule"] == "validation"].groupby(["model", "task"]).size()
    found = table.groupby(["model", "task", "rule"], sort=False).agg(
        value=("value", "mean"),
        regret=("regret", "mean"),
        rank=("rank", "mean"),
        targets=("target", "nunique"),
        cells=("value", "count"),
    )
    # of a partial study, the first cells may lack a rule
    order = {rule: i for i, rule in enumerate(selection.names())}
    found = found.reset_index().sort_values("rule", key=lambda r: r.map(order), kind="stable")
    places = pd.MultiIndex.from_frame(found[["model", "task"]])
    partial = found["cells"].to_numpy() != wanted.reindex(places).to_numpy()
    found.loc[partial, ["value", "regret", "rank"]] = math.nan
    return found


def price_averages(price: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The price of labels over targets and seeds: a row per model, task and number of labels.

    Columns: model, task; `labelled`, one of `SIZES`, or NaN for all examples of each target;
    `least` and `most`, the smallest and largest number of labelled examples of a target; the means
    of `value`, of `lost`, points that the choice on all examples scores more, and of `near`; `sd`,
    the root mean square. NaN where a cell is missing. A number of labels has no row if
    some target has fewer examples.

    Args:
        price: the table of `label_price`.
        table: the table of the rules, which has every cell of the experiment.
    """
    cells = ["model", "task", "target", "operands", "seed"]
    whole = price[price["labelled"] == price["examples"]]
    of_all = whole.set_index(cells)["value"].reindex(pd.MultiIndex.from_frame(price[cells]))
    sized = price.assign(lost=of_all.to_numpy() - price["value"], size=price["labelled"])
    sized = pd.concat(
        [sized[sized["size"].isin(SIZES)], sized.loc[whole.index].assign(size=math.nan)]
    )
    found = sized.groupby(["model", "task", "size"], sort=False, dropna=False).agg(
        least=("labelled", "min"),
        most=("labelled", "max"),
        value=("value", "mean"),
        lost=("lost", "mean"),
        sd=("sd", lambda values: math.sqrt((values**2).mean())),
        near=("near", "mean"),
        cells=("value", "count"),
    )
    found = found.reset_index().rename(columns={"size": "labelled"})
    places = pd.MultiIndex.from_frame(found[["model", "task"]])
    whole_cells = whole.groupby(["model", "task"]).size().reindex(places).to_numpy()
    wanted = table[table["rule"] == "validation"].groupby(["model", "task"]).size()
    found.loc[whole_cells != wanted.reindex(places).to_numpy(), ["value", "lost", "sd", "near"]] = (
        math.nan
    )
    found = found[found["cells"] == whole_cells]
    return found.sort_values("labelled", kind="stable", na_position="last", ignore_index=True)
