"""Analogies of language vectors beside both proxies, from the tidy table."""

from __future__ import annotations

import pandas as pd

from langarith.operands import Operand, parse_operands
from langarith.results import analysis

PROXIES = ["task_language", "c_alone"]
"""The adapter of the task language, and that of c alone."""


def scores(table: pd.DataFrame, task_language: str) -> pd.DataFrame:
    """A row per model, task, target and seed.

    Columns: those, `operands`, lambda and `point` as in :func:`analysis.cells`, and the test scores
    `PROXIES` and `merged`. Where c is the task language both proxies are one adapter.
    """
    place = ["model", "task", "target", "seed"]
    found = analysis.cells(table)
    merged = found[found["method"] == "analogy"].rename(columns={"at_right": "c_alone"})
    source = found[found["method"] == "la"].set_index(place)["at_left"].rename("task_language")
    merged = merged.join(source, on=place)
    alone = merged["right"] == task_language
    merged.loc[alone, "task_language"] = merged.loc[alone, "c_alone"]
    columns = [*place, "operands", "lambda", "point", *PROXIES, "merged"]
    return merged[columns].reset_index(drop=True)


def formula(operands: str) -> str:
    """`it + es − fr` of the operands `fr+es+it`."""
    a, b, c = parse_operands(operands)
    return f"{c} + {b} − {a}"


def is_source(operands: str, task_language: str) -> bool:
    """Whether c is the task language, so that its adapter is the only proxy."""
    return parse_operands(operands)[-1] == Operand(task_language)
