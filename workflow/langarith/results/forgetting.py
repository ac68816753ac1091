"""Changes by a subtracted language vector: masked-LM losses and scores against θ_pre.

θ_pre, the initialisation that all language adapters start from, is λ = 0 of θ_pre − λτ. A change
against it is the effect of the vector only; a change against a model without a language adapter
would also contain the effect of the random θ_pre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import pandas as pd

from langarith.operands import parse_point
from langarith.results import analysis
from langarith.results.names import MASKED_LM_LOSS

NEGATION = "negation"

Weight = TypeVar("Weight", str, float)
"""A λ, as text or as a number."""


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Masked-LM losses in nats: a row per model, negated language, text, seed and λ.

    Columns: model, `negated`, `text` (its language), seed, lambda, `loss`, and `change`, the loss
    minus that of the same text at λ = 0.
    """
    rows = table[(table["metric"] == MASKED_LM_LOSS) & table["value"].notna()]
    found = rows.rename(columns={"left": "negated", "target": "text", "value": "loss"})
    found = found[["model", "negated", "text", "seed", "lambda", "loss"]]
    place = ["model", "negated", "text", "seed"]
    start = found[found["lambda"] == 0.0].set_index(place)["loss"].rename("start")
    found = found.join(start, on=place)
    return found.assign(change=found["loss"] - found["start"]).drop(columns="start")


def scores(table: pd.DataFrame) -> pd.DataFrame:
    """Test scores in the negated language: a row per model, task, target and seed.

    Columns: those, `operands`, and the score at each λ, by its text (`0.00`, `0.50`), ascending;
    NaN for a missing cell.
    """
    place = ["model", "task", "target", "operands", "seed"]
    rows = scored(table)
    rows = rows[rows["method"] == NEGATION]
    present = rows[(rows["split"] == "test") & rows["value"].notna()]
    present = present[present["metric"] == present["task"].map(analysis.metrics(rows))]
    wide = present.set_index([*place, "point"])["value"].unstack("point")
    return rows[place].drop_duplicates().join(wide[weights(wide)], on=place)


def negated(table: pd.DataFrame) -> list[str]:
    """The languages that are subtracted, those without a result included."""
    return list(dict.fromkeys(table.loc[table["method"] == NEGATION, "left"]))


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that have a task: its metrics are defined only for these."""
    return table[table["task"] != ""]


def weights(scores: pd.DataFrame) -> list[str]:
    """The columns of :func:`scores` that are a λ, ascending."""
    return sorted((c for c in map(str, scores) if c[-1:].isdigit()), key=parse_point)


def furthest(weights: Sequence[Weight]) -> Weight:
    """The λ that is furthest from 0; λ is preferred to −λ. At least one is needed."""
    return max(weights, key=lambda weight: (abs(float(weight)), float(weight)))


def changes(losses: pd.DataFrame) -> pd.DataFrame:
    """Means of changes over seeds where λ is not 0: see :func:`analysis.over_seeds`."""
    found = losses[losses["lambda"] != 0.0]
    return analysis.over_seeds(found, ["model", "lambda", "negated", "text"], ["change"])


def largest_spread(means: pd.DataFrame) -> float:
    """The largest standard deviation over seeds of some means; NaN with one seed."""
    return float(means["spread"].max(skipna=True)) if len(means) else math.nan
