"""Comparison with the paper: every number in its text or tables, ours, and a verdict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from langarith.results import analysis
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.paper import claims, stated
from langarith.results.paper.stated import Stated
from langarith.results.sheet import MISSING, Number, Row, Sheet, sheet

STUDY = "no-train-but-gain"
"""The study whose numbers can be compared with the paper's: config.yaml."""

VERDICTS = ["within", "above", "below", "one seed", "same", "differs", "not run", "not comparable"]
"""In the order in which they are counted; for their meaning see `compare`."""

COLUMNS = "id what source model unit paper ours sd low high seeds examples verdict note".split()


@dataclass(frozen=True)
class Ours:
    """Our value (or choice), its spread over seeds, and the number of seeds."""

    value: float | str
    sd: float = math.nan
    seeds: int = 0


@dataclass(frozen=True)
class Estimate:
    """The ends of the 95 % interval of a value, and the number of its test examples."""

    low: float
    high: float
    examples: int


def compare(
    tables: Mapping[str, pd.DataFrame],
    study: str,
    *,
    task_language: str = "en",
    estimate: Callable[[Stated, str | None, float], Estimate | None] = lambda *_: None,
) -> pd.DataFrame:
    """A row per number of the paper: `COLUMNS`, in the order of `numbers.yaml`.

    `ours` is the quantity of the means over seeds, since the paper, too, reports averages of its
    runs; `sd` is the standard deviation (ddof 1) of the same quantity computed for each seed alone.
    Only seeds that have all needed cells count; `seeds` is their number.

    The verdict, which takes the paper's value as it is printed, without regard to its rounding:

    =================  ============================================================================
    `within`           the paper's value lies inside ours ± 2 sd, ends included
    `above`, `below`   ours lies above, below the paper's by more than that
    `one seed`         there is only one seed, so the spread is not known
    `same`, `differs`  of a choice, which has no spread: ours is the paper's, or another
    `not run`          the table, or a cell that the quantity needs, is missing
    `not comparable`   the study is not the paper's (`STUDY`); our numbers are not shown
    =================  ============================================================================

    A number whose model the paper does not name has a row for each of our models.

    `low` and `high` are the ends of the 95 % interval of ours, and `examples` the number of test
    examples, where `estimate` gives them.

    Args:
        tables: tidy tables by experiment; experiments without a table have not run.
        study: the name of the study that they are of.
        estimate: the interval of our value, given a number, a model and that value; see
            `certainty`.
    """
    views = {
        name: _VIEWS[name](table, task_language) for name, table in tables.items() if name in _VIEWS
    }
    rows = []
    for number in stated.stated():
        view = views.get(number.experiment)
        if study != STUDY:
            rows.append(_row(number, number.model, None, "not comparable"))
            continue
        for model in [number.model] if number.model else _models(view):
            found = None if view is None else _ours(number, model, view)
            row = _row(number, model, found, verdict(number.value, found))
            if found and isinstance(found.value, float):
                interval = estimate(number, model, found.value)
                row |= asdict(interval) if interval else {}
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(theirs: float | str, ours: Ours | None) -> str:
    """The verdict on our number compared with the paper's: see `compare`."""
    if ours is None:
        return "not run"
    if isinstance(theirs, str) or isinstance(ours.value, str):
        return "same" if ours.value == theirs else "differs"
    if ours.seeds < 2:
        return "one seed"
    distance = ours.value - theirs
    if abs(distance) <= 2 * ours.sd + 1e-9:  # an end of the range is inside, whatever the rounding
        return "within"
    return "above" if distance > 0 else "below"


def _row(number: Stated, model: str | None, ours: Ours | None, outcome: str) -> dict[str, Any]:
    fields = {name: getattr(number, name) for name in ("id", "what", "source", "unit", "note")}
    fields |= {"model": model or "", "paper": number.value, "verdict": outcome}
    values = {"ours": ours.value, "sd": ours.sd, "seeds": ours.seeds} if ours else {"seeds": 0}
    return fields | values


def _models(view: pd.DataFrame | None) -> list[str | None]:
    named = view is not None and "model" in view and len(view) > 0
    return list(dict.fromkeys(view["model"])) if named and view is not None else [None]


# --- quantities ---------------------------------------------------------------------------------


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """Cosines of language vectors, each pair also the other way round, as Figure 10 prints them."""
    pairs = pairs[pairs["kind"] == "language"]
    return pd.concat([pairs, pairs.rename(columns={"left": "right", "right": "left"})])


_VIEWS: dict[str, Callable[[pd.DataFrame, str], pd.DataFrame]] = {
    "zero_shot": lambda table, _: analysis.zero_shot(table),
    "enhancement": analysis.enhancement,
    "lambda_impact": lambda table, _: analysis.regret(table),
    "relatedness": lambda table, _: analysis.relatedness(table),
    "ties": lambda table, _: analysis.methods(table),
    "similarity": lambda table, _: _both_ways(analysis.cosines(table)),
    "related_languages": lambda table, _: table,
}
"""The view that quantities use, by experiment, from its tidy table and the task language."""


def _ours(number: Stated, model: str | None, view: pd.DataFrame) -> Ours | None:
    """Our counterpart of a number; None if a cell that it needs is missing."""
    where = {**number.where, **({"model": model} if model else {})}
    for column, value in where.items():
        view = view[view[column] == value]
    return _QUANTITIES[number.quantity](view, number.over)


Quantity = Callable[[pd.DataFrame, Mapping[str, Sequence[str]]], Ours | None]


def _over_seeds(kinds: list[str], measure: Callable[[pd.DataFrame], float]) -> Quantity:
    """A quantity that is measured on the means over seeds and on each seed.

    Args:
        kinds: columns of the view, all of which a seed needs in all cells.
        measure: a function of these columns: a row per cell, indexed by the columns of `over`.
    """

    def quantity(view: pd.DataFrame, over: Mapping[str, Sequence[str]]) -> Ours | None:
        place = list(over)
        # no language pairs with itself
        wanted = [cell for cell in itertools.product(*over.values()) if len({*cell}) == len(cell)]
        complete = []
        for _, runs in view.groupby("seed"):
            cells = (
                pd.DataFrame(wanted, columns=place).merge(runs, "left", on=place) if place else runs
            )
            scores = cells.set_index(place)[kinds] if place else cells[kinds].reset_index(drop=True)
            if scores.notna().all(axis=None):
                complete.append(scores)
        if not complete:
            return None
        each = pd.Series([measure(scores) for scores in complete])
        mean = sum(complete[1:], start=complete[0]) / len(complete)
        return Ours(measure(mean), float(each.std(ddof=1)), len(complete))

    return quantity


def _proposal(view: pd.DataFrame, _: Mapping[str, Sequence[str]]) -> Ours | None:
    chosen = view[view["chosen"].astype(str) == "True"]
    return None if chosen.empty else Ours(str(chosen["candidate"].iloc[0]))


def _greatest_gain(scores: pd.DataFrame) -> float:
    proxies = ["task_language", "related"]
    return max(analysis.gain(scores.loc[[t]], "merged", proxies) for t in scores.index)


def _greatest_range(scores: pd.DataFrame) -> float:
    return max(analysis.pool_range(pool) for _, pool in scores["merged"].groupby("target"))


_QUANTITIES: dict[str, Quantity] = {
    "greatest_gain": _over_seeds(["task_language", "related", "merged"], _greatest_gain),
    "average_gain": _over_seeds(
        ["madx", "la_better"], lambda scores: analysis.gain(scores, "la_better", ["madx"])
    ),
    "average": _over_seeds(["merged"], lambda scores: float(scores["merged"].mean())),
    "merged": _over_seeds(["merged"], lambda scores: float(scores["merged"].mean())),
    "greatest_range": _over_seeds(["merged"], _greatest_range),
    "evaluations": _over_seeds(["grid_size"], lambda counts: float(counts["grid_size"].max())),
    "times_fewer": _over_seeds(
        ["grid_size", "evaluations"],
        lambda counts: float((counts["grid_size"] / counts["evaluations"]).max()),
    ),
    "cosine": _over_seeds(["cosine"], lambda pairs: float(pairs["cosine"].mean())),
    "least_cosine": _over_seeds(["cosine"], lambda pairs: float(pairs["cosine"].min())),
    "proposal": _proposal,
}


# --- the sheets ---------------------------------------------------------------------------------


def sheets(compared: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """The paper's claims, a count of verdicts on its numbers, and a sheet for each of its parts.

    For a study without any of the paper's models there is one sentence instead of the numbers.
    `compared` may be read from its CSV file with plain `pandas.read_csv`.
    """
    of_claims = [] if beside.claims is None else claims.sheets(beside.claims, caption)
    models = {number.model for number in stated.stated() if number.model}
    if not models & set(caption.models) and set(compared["verdict"]) == {"not comparable"}:
        note = (
            "None of the models of this study is one of the paper's "
            f"({', '.join(sorted(models))}): the {len(compared)} numbers that the paper states are "
            "not compared with it."
        )
        return [*of_claims, sheet("Reproduction", note, (), [], caption)]
    compared = compared.fillna({"model": "", "note": ""})
    parts = compared["source"].where(compared["source"].map(_in_print), "text")
    verdicts = [name for name in VERDICTS if name in set(compared["verdict"])]
    counts: list[Row] = [
        (
            part,
            *(Number(float((rows["verdict"] == name).sum()), digits=0) for name in verdicts),
        )
        for part, rows in compared.groupby(parts, sort=False)
    ]
    rule = (
        "Within: the paper's value, as printed, lies inside ours ± 2 standard deviations over "
        "seeds (ddof 1); above, below: ours lies above, below it by more than that. Of a quantity "
        "such as a greatest gain, ours is that of the means over seeds, and the standard deviation "
        "is of the same quantity of each seed."
    )
    tables = [
        sheet(
            "Reproduction: verdicts",
            f"How many of the paper's numbers have each verdict. {rule}",
            ("in", *verdicts),
            [counts],
            caption,
        )
    ]
    for part, rows in compared.groupby(parts, sort=False):
        notes = " ".join(dict.fromkeys(note for note in rows["note"] if note))
        with_examples = bool(rows["examples"].notna().any())
        tables.append(
            sheet(
                f"Reproduction: {part}",
                "Ours ± one standard deviation over seeds. "
                f"{'Examples: of the test split. ' if with_examples else ''}{notes}",
                (
                    "number",
                    "model",
                    "paper",
                    "ours",
                    "seeds",
                    *(["examples"] * with_examples),
                    "verdict",
                ),
                [[_sheet_row(row, with_examples) for row in rows.to_dict("records")]],
                caption,
            )
        )
    return [*of_claims, *tables]


def _in_print(source: str) -> bool:
    """Whether the paper has a number in a table or figure, and not in its text."""
    return source.startswith(("Table", "Figure"))


def _sheet_row(row: Mapping[Any, Any], with_examples: bool) -> Row:
    """The row of a number, if `with_examples` with its number of examples."""
    what = row["what"] if _in_print(row["source"]) else f"{row['what']} ({row['source']})"
    start = (what, row["model"])
    if row["unit"] == "language":
        ours = row["ours"] if isinstance(row["ours"], str) else MISSING
        return (*start, row["paper"], ours, "", *([""] * with_examples), row["verdict"])
    theirs = float(row["paper"])
    # as the paper prints it: two decimals in tables and Figure 10, as many as needed in its text
    decimals = 2 if row["unit"] in {"percent", "cosine"} else len(f"{theirs:g}".partition(".")[2])
    digits = {"cosine": 3, "count": 0}.get(row["unit"], 2)
    ends = float(row["low"]), float(row["high"])
    interval = None if math.isnan(ends[0]) else ends
    examples = float(row["examples"])
    return (
        *start,
        Number(theirs, digits=decimals),
        Number(
            float(row["ours"]),
            float(row["sd"]),
            digits=digits,
            interval=interval,
            measure="gain" if row["unit"] == "points" else "score",
        ),
        Number(float(row["seeds"]) or math.nan, digits=0),
        *([MISSING if math.isnan(examples) else Number(examples, digits=0)] * with_examples),
        row["verdict"],
    )
