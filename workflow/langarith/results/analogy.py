"""Test scores of analogies of language vectors and of both proxies, from the tidy table."""

from __future__ import annotations

import pandas as pd

from langarith.operands import Operand, parse_operands
from langarith.results import analysis

PROXIES = ["task_language", "c_alone"]
"""The adapter of the task language and the adapter of c, both without a merge."""


def scores(table: pd.DataFrame, task_language: str) -> pd.DataFrame:
    """A row per model, task, target and seed.

    Columns: those, `operands`, lambda and `point` as in :func:`analysis.cells`, and the test scores
    `PROXIES` and `merged`. If c is the task language, both proxies are the same adapter.
    """
    place = ["model", "task", "target", "seed"]
    cells = analysis.cells(table)
    merged = cells[cells["method"] == "analogy"].rename(columns={"at_right": "c_alone"})
    proxy = cells[cells["method"] == "la"].set_index(place)["at_left"].rename("task_language")
    merged = merged.join(proxy, on=place)
    same = merged["right"] == task_language
    merged.loc[same, "task_language"] = merged.loc[same, "c_alone"]
    columns = [*place, "operands", "lambda", "point", *PROXIES, "merged"]
    return merged[columns].reset_index(drop=True)


def formula(operands: str) -> str:
    """`it + es − fr` of the operands `fr+es+it`."""
    a, b, c = parse_operands(operands)
    return f"{c} + {b} − {a}"


def is_source(operands: str, task_language: str) -> bool:
    """True if c is the task language: then its adapter is the only proxy."""
    return parse_operands(operands)[-1] == Operand(task_language)
