"""Tidy tables made by hand, for tests of what is computed and printed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from langarith.results import tables

METRICS = {"ner": ("f1", "f1_strict"), "nli": ("accuracy",), "qa": ("f1", "exact_match")}
CAPTION: dict[str, Any] = {
    "study": "little",
    "note": "Made up.",
    "models": ["tiny"],
    "seeds": [1, 2],
    "task_language": "en",
    "languages": ["en", "es", "fr", "de", "sw"],
    "missing": [],
}


def cell(
    target: str,
    operands: str,
    seed: int,
    test: Mapping[float, float],
    *,
    chosen: float,
    validation: Mapping[float, float] | None = None,
    task: str = "ner",
    method: str = "la",
    model: str = "tiny",
) -> list[dict[str, Any]]:
    """Rows of a sweep of `left+right`; validation is one point above test where it is not given.

    The second metric of a task, which chooses nothing, scores 1 everywhere: it must not leak.
    """
    left, right = operands.split("+")
    base = {
        "experiment": "made_up",
        "model": model,
        "task": task,
        "target": target,
        "method": method,
        "left": left,
        "right": right,
        "budget": tables.budget(left, right),
        "seed": seed,
        "examples": 10,
    }
    first, *others = METRICS[task]
    curves = {"validation": validation or {w: s + 1 for w, s in test.items()}, "test": test}
    return [
        base
        | {"split": split, "lambda": weight, "selected": weight == chosen}
        | {"metric": metric, "value": score if metric == first else 1.0}
        for split, curve in curves.items()
        for weight, score in curve.items()
        for metric in (first, *others)
    ]


def gone(target: str, operands: str, seed: int, **names: str) -> list[dict[str, Any]]:
    """The row of a cell that has no result: its place, and no score."""
    row = cell(target, operands, seed, {0.0: 0.0}, chosen=0.0, **names)[-1]
    empty = {"lambda": float("nan"), "split": "", "selected": False, "metric": ""}
    return [row | empty | {"value": float("nan"), "examples": float("nan")}]


def table(cells: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    """A tidy table of cells."""
    rows = [row for rows in cells for row in rows]
    return pd.DataFrame(rows, columns=list(tables.COLUMNS))
