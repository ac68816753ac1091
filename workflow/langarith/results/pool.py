"""More relatives in the sum: the scores of the experiment `pool`, for its gains, table and figure.

A merge of n operands, the task language and k = n − 1 relatives, is named by its method and n:
`la_1` is only the task language's adapter, `la_2` language arithmetic of two, `soup_3` the average
of three adapters.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from langarith.operands import parse_operands
from langarith.results import analysis

BASE = "la_2"
"""The merge that the others are compared with."""

PLACE = ["model", "task", "target", "seed"]


def called(method: str, relatives: int) -> str:
    """The name of a merge of the task language and `relatives` other languages."""
    return f"{method}_{relatives + 1}"


def relatives_of(name: str) -> int:
    """The number of relatives in a merge, by its name."""
    return int(name.rpartition("_")[2]) - 1


def scores(table: pd.DataFrame) -> pd.DataFrame:
    """A row per model, task, target, seed and merge, in the order of the table.

    Columns: those, the merge's `name`; `k`, its number of relatives; `languages`, its operands;
    `method`, `operands` and `point` of the cell that has its score; `value`, the test score;
    `evaluations`, the number of points evaluated on validation to choose it, 0 without a search.
    A missing cell has NaN in `value` and `evaluations`, and '' or NaN in `point`.
    """
    evaluated = _evaluations(table)
    rows = []
    for cell in analysis.cells(table).to_dict("records"):
        names = [str(operand) for operand in parse_operands(str(cell["operands"]))]
        k, method = len(names) - 1, str(cell["method"])
        searched = method == "la"
        evaluations = (
            evaluated.get(tuple(str(cell[key]) for key in analysis.PLACE)) if searched else 0
        )
        merges = [(method, k, cell["point"], cell["merged"], evaluations)]
        if searched and k == 1:
            # the ends and the middle of language arithmetic of two
            merges.insert(0, ("la", 0, "1.00", cell["at_left"], 0))
            merges.append(("soup", 1, "0.50", cell["half"], 0))
        for kind, relatives, point, value, count in merges:
            rows.append(
                {key: cell[key] for key in PLACE}
                | {"name": called(kind, relatives), "k": relatives}
                | {"languages": "+".join(names[: relatives + 1]), "method": method}
                | {"operands": cell["operands"], "point": point, "value": value}
                | {"evaluations": count if pd.notna(value) else None}
            )
    frame = pd.DataFrame(rows)
    return frame.astype({"value": float, "evaluations": float}) if len(frame) else frame


def _evaluations(table: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """How many points each cell has on validation, by `analysis.PLACE` as text."""
    rows = table[(table["split"] == "validation") & table["value"].notna()]
    rows = rows[rows["metric"] == rows["task"].map(analysis.metrics(table))]
    counts = rows.groupby(analysis.PLACE, sort=False)["point"].nunique()
    places = (tuple(map(str, place)) for place in counts.index.to_flat_index())
    return {place: int(count) for place, count in zip(places, counts, strict=True)}


def names(rows: pd.DataFrame) -> list[str]:
    """The merges in rows of :func:`scores`, by k, language arithmetic before the average."""
    merges = rows.drop_duplicates("name")
    return list(merges.sort_values(["k", "name"], kind="stable")["name"])


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`scores` as a row per model, task, target and seed, a column per merge."""
    columns = rows.set_index([*PLACE, "name"])["value"].unstack("name")
    return columns.reset_index().rename_axis(columns=None)


def gains(runs: pd.DataFrame, name: str, of: Sequence[str] = ()) -> dict[str, float]:
    """Points of a merge over language arithmetic of two, by target and for `analysis.AVERAGE`.

    Args:
        runs: rows of :func:`wide`, of one model and task.
        of: the merges that a seed must have of each target to count for the average.
    """
    if name == BASE:  # over itself: 0 if there is a score
        base = runs[[*PLACE, BASE]].assign(itself=runs[BASE])
        return gains(base, "itself")
    found = analysis.gains(runs, name, [BASE], of)
    return dict(zip(found["target"], found["gain"], strict=True))
