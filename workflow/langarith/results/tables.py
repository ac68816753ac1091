"""Tidy tables, the source of all figures: one row per cell, lambda, split and metric."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from langarith.files import whole
from langarith.operands import Point, parse_operands, parse_point, point_text
from langarith.results.names import CELL, MASKED_LM_LOSS

COLUMNS = (
    "experiment,model,task,target,method,left,right,operands,budget,seed,lambda,split,selected,"
    "metric,value,examples"
).split(",")


OWN_COLUMNS = {
    "similarity": "experiment,model,kind,left,right,seed,cosine".split(","),
    "sparsity": "experiment,model,language,layer,seed,quantity,x,value".split(","),
}
"""Columns of the experiments that are not made of cells."""


def rows(
    experiment: str,
    selections: Iterable[Path],
    task_scores: Iterable[Path],
    missing: Iterable[Mapping[str, str]] = (),
    choices: Mapping[tuple[str, ...], Point] | None = None,
    losses: Iterable[Path] = (),
) -> list[dict[str, Any]]:
    """Rows of an experiment's tidy table.

    Methods at each of their points on validation and test. Three references on test: `majority`
    (most frequent class of the training data), `none` (no language adapter), and `madx` with the
    task language as target (the task adapter in its own language).

    Args:
        selections: `selected.json` of the cells.
        task_scores: `task.json` of the task adapters below them.
        missing: cells of a partial grid, with the first `metric` of their task: each has a row
            without a value.
        choices: the chosen point by model, task, target, method, operands and seed; None for
            the sweep's own choice, on validation.
        losses: `losses.json` of merges: a row without a task for each point, on held-out raw text.
    """
    found = []
    references: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in selections:
        cell = json.loads(path.read_text(encoding="utf-8"))
        base = {
            "experiment": experiment,
            **{key: cell[key] for key in ("model", "task", "target", "method", "left", "right")},
            "operands": cell["operands"],
            "budget": budget(cell["operands"]),
            "seed": int(cell["seed"]),
        }
        selected = parse_point(cell["selected"])
        if choices is not None:
            selected = choices[tuple(str(cell[name]) for name in CELL)]
        for split in ("validation", "test"):
            for point in cell[split]:
                chosen = parse_point(point["lambda"]) == selected
                where = {"lambda": point["lambda"], "split": split, "selected": chosen}
                found += _scores(base | where, point["metrics"], cell["examples"][split])
        for method, metrics in cell["references"].items():
            plain = base | {"method": method, "left": "", "right": "", "operands": "", "budget": ""}
            plain |= {"lambda": None, "split": "test", "selected": False}
            for row in _scores(plain, metrics, cell["examples"]["test"]):
                # cells of one target share its references
                references[
                    (method, *(row[k] for k in ("model", "task", "target", "seed", "metric")))
                ] = row
    for path in task_scores:
        run = json.loads(path.read_text(encoding="utf-8"))
        base = {
            "experiment": experiment,
            **{key: run[key] for key in ("model", "task", "seed")},
            "target": run["language"],
            "method": "madx",
            "left": run["language"],
            "right": "",
            "operands": run["language"],
            "budget": "full",
            "lambda": None,
            "split": "test",
            "selected": False,
        }
        found += _scores(base, run["test"], run["examples"]["test"])
    found += references.values()
    for path in losses:
        found += _losses(experiment, json.loads(path.read_text(encoding="utf-8")))
    for cell in missing:
        operands = parse_operands(cell["operands"])
        names = {key: cell[key] for key in ("model", "task", "target", "method", "operands")}
        names |= {"left": str(operands[0]), "right": str(operands[-1])}
        found.append(
            {"experiment": experiment, **names, "budget": budget(cell["operands"])}
            | {"seed": int(cell["seed"]), "lambda": None, "split": "test", "selected": False}
            | {"metric": cell["metric"], "value": None, "examples": 0}
        )
    return found


def _losses(experiment: str, scored: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = {key: scored[key] for key in ("model", "target", "method", "left", "right", "operands")}
    return [
        {"experiment": experiment, "task": "", **names, "budget": budget(scored["operands"])}
        | {"seed": int(scored["seed"]), "lambda": point["lambda"], "split": "validation"}
        | {"selected": False, "metric": MASKED_LM_LOSS, "value": point["loss"]}
        | {"examples": scored["tokens"]}
        for point in scored["losses"]
    ]


def _scores(base: dict[str, Any], metrics: dict[str, float], examples: int) -> list[dict[str, Any]]:
    return [
        base | {"metric": name, "value": value, "examples": examples}
        for name, value in metrics.items()
    ]


def budget(operands: str) -> str:
    """The token budget of a cell: that of its limited operand, or `full`."""
    limited = {operand.budget for operand in parse_operands(operands)} - {"full"}
    return limited.pop() if limited else "full"


def write(table_rows: list[dict[str, Any]], path: Path, columns: Sequence[str] = COLUMNS) -> None:
    """Write a tidy table with unrounded values, completely or not at all."""
    frame = pd.DataFrame(table_rows, columns=list(columns))
    with whole(path) as partial:
        frame.to_csv(partial, index=False)


NAMES = ("model,task,target,method,operands,left,right,language,budget,rule,over,grid").split(",")
"""Columns of text, also where all of it looks like numbers: a budget `2000`, a model `1e5`."""


def read(path: Path) -> pd.DataFrame:
    """A tidy table: empty numbers are NaN, empty names are empty text.

    A table of cells has one more column, `point`, the text of the value of `lambda`; `lambda` is
    NaN if a point has several numbers.
    """
    numbers = (
        "lambda,value,cosine,x,ours,sd,regret,rank,gain,low,high,p,p_holm,share,examples"
    ).split(",")
    frame = pd.read_csv(
        path,
        keep_default_na=False,
        na_values={name: [""] for name in numbers},
        dtype=dict.fromkeys(NAMES, str),
    )
    return with_points(frame) if "lambda" in frame else frame


def chosen(path: Path) -> dict[tuple[str, ...], Point]:
    """The chosen point of each cell, by the columns `CELL` as text: a table of `choose_lambda`."""
    return {
        tuple(map(str, names)): parse_point(point)
        for *names, point in read(path)[[*CELL, "point"]].itertuples(index=False)
    }


def with_points(frame: pd.DataFrame) -> pd.DataFrame:
    """A tidy table with the column `point` after `lambda`, see :func:`read`."""
    texts = ["" if pd.isna(value) else point_text(parse_point(value)) for value in frame["lambda"]]
    frame = frame.assign(**{"lambda": pd.to_numeric(frame["lambda"], errors="coerce")})
    frame.insert(list(frame).index("lambda") + 1, "point", texts)
    return frame
