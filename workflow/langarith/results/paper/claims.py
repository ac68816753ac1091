"""The paper's claims, and the verdict of a study of any models and data on each.

A claim is that a quantity lies above a bound. The study's value has an interval, and the verdict
says whether the whole interval lies above the bound, below it, or on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from langarith import merging
from langarith.results import analysis
from langarith.results.caption import Caption
from langarith.results.names import BETTER_PROXY, DIRECT, LABELS, MADX
from langarith.results.sheet import Number, Row, Sheet, sheet

VERDICTS = ["agrees", "disagrees", "cannot tell", "not run"]
"""The possible verdicts of a study on a claim; see `verdict`."""

COLUMNS = "id claim source quantity model task of value low high bound verdict".split()

NEAR, LITTLE = 1.0, 0.5
"""Our reading of the paper's words `near` and `little`, in points."""

STEP = "0.2"
"""The coarser of the two steps of λ that the paper finds sufficient."""


@dataclass(frozen=True)
class Finding:
    """The study's value of a quantity and its interval.

    `of`: the target, or the method that language arithmetic is compared with; "" where the value is
    an average over targets, or the claim is about one method.
    """

    model: str
    task: str
    of: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: `quantity` lies above `bound`, in points or as a cosine."""

    id: str
    claim: str
    source: str
    quantity: str
    bound: float
    find: Callable[[Mapping[str, pd.DataFrame], Mapping[str, pd.DataFrame]], list[Finding]]
    """The study's values, given its tables of gains and its tidy tables by experiment."""


def judge(gains: Mapping[str, pd.DataFrame], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per claim and finding, `COLUMNS`; a claim without one has a row `not run`.

    Args:
        gains: tables of gains by experiment; experiments without a table have not run.
        tables: tidy tables by experiment, likewise.
    """
    nothing = Finding("", "", "", math.nan, math.nan, math.nan)
    rows = []
    for claim in CLAIMS:
        fields = {n: getattr(claim, n) for n in ("id", "claim", "source", "quantity", "bound")}
        for found in claim.find(gains, tables) or [nothing]:
            rows.append(fields | asdict(found) | {"verdict": verdict(found, claim.bound)})
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(found: Finding, bound: float) -> str:
    """The verdict of an interval on the claim that its value lies above a bound.

    `agrees`: the whole interval lies above it; `disagrees`: below it; `cannot tell`: neither.
    """
    if math.isnan(found.value):
        return "not run"
    if found.low > bound:
        return "agrees"
    return "disagrees" if found.high < bound else "cannot tell"


# --- quantities ---------------------------------------------------------------------------------


def _averages(table: pd.DataFrame | None, over: str, rule: str = "") -> list[Finding]:
    """The gains on average over targets, by model and task; only those of `rule` if it is given."""
    if table is None:
        return []
    rows = table[(table["target"] == analysis.AVERAGE) & (table["over"] == over)]
    rows = rows[(rows["method"] == "la") & (rows["rule"] == rule if rule else True)]
    return [_finding(row) for row in rows.to_dict("records")]


def _finding(row: Mapping[Any, Any]) -> Finding:
    of = "" if row["target"] == analysis.AVERAGE else str(row["target"])
    numbers = (float(row[name]) for name in ("gain", "low", "high"))
    return Finding(str(row["model"]), str(row["task"]), of, *numbers)


def _less(one: Finding, other: Finding) -> Finding:
    """The difference of two values; its interval is the widest that their intervals allow."""
    value, low, high = one.value - other.value, one.low - other.high, one.high - other.low
    return Finding(one.model, one.task, one.of, value, low, high)


def _zero_shot_less_enhancement(
    gains: Mapping[str, pd.DataFrame], _: Mapping[str, pd.DataFrame]
) -> list[Finding]:
    others = {(f.model, f.task): f for f in _averages(gains.get("enhancement"), MADX)}
    return [
        _less(found, others[found.model, found.task])
        for found in _averages(gains.get("zero_shot"), BETTER_PROXY)
        if (found.model, found.task) in others
    ]


def _smallest_less_largest_budget(
    gains: Mapping[str, pd.DataFrame], _: Mapping[str, pd.DataFrame]
) -> list[Finding]:
    if "low_resource" not in gains:
        return []
    table = gains["low_resource"]
    table = table[(table["over"] == DIRECT) & (table["target"] != analysis.AVERAGE)]
    found = []
    for _place, rows in table.groupby(["model", "task", "target"], sort=False):
        by_size = sorted(rows.to_dict("records"), key=lambda row: analysis.tokens(row["budget"]))
        if len(by_size) > 1:
            found.append(_less(_finding(by_size[0]), _finding(by_size[-1])))
    return found


def _over_ties(gains: Mapping[str, pd.DataFrame], _: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """A finding for each strength of TIES, from the experiment `ties` or, without it, `methods`."""
    table = gains.get("ties", gains.get("methods"))
    strengths = [] if table is None else [str(m) for m in table["over"].unique()]
    return [
        replace(found, of=strength)
        for strength in strengths
        if strength.startswith("ties")
        for found in _averages(table, strength)
    ]


def _language_less_task_cosines(
    _: Mapping[str, pd.DataFrame], tables: Mapping[str, pd.DataFrame]
) -> list[Finding]:
    """Means over pairs and seeds; the interval is the range over pairs."""
    found = []
    pairs = analysis.cosines(tables["similarity"]) if "similarity" in tables else pd.DataFrame()
    for model, rows in pairs.groupby("model", sort=False) if len(pairs) else ():
        means = rows.groupby(["kind", "left", "right"])["cosine"].mean()
        kinds = [means.get(kind, pd.Series(dtype=float)) for kind in ("language", "task")]
        if all(len(kind) for kind in kinds):
            sides = [
                Finding(str(model), "", "", *map(float, (kind.mean(), kind.min(), kind.max())))
                for kind in kinds
            ]
            found.append(_less(*sides))
    return found


CLAIMS: Sequence[Claim] = (
    Claim(
        "zero_shot",
        "without an adapter of the target, LA is better than the better proxy",
        "section 4.2",
        "gain over the better proxy",
        0.0,
        lambda gains, _: _averages(gains.get("zero_shot"), BETTER_PROXY),
    ),
    Claim(
        "enhancement",
        "LA improves an adapter of the target",
        "section 4.3",
        "gain over MAD-X",
        0.0,
        lambda gains, _: _averages(gains.get("enhancement"), MADX),
    ),
    Claim(
        "zero_shot_over_enhancement",
        "LA gains more without an adapter of the target than with one",
        "section 4.3",
        "difference of the two gains above",
        0.0,
        _zero_shot_less_enhancement,
    ),
    Claim(
        "smallest_budget",
        "LA gains most where the adapter was trained on least text",
        "section 4.4",
        "gain at the smallest budget less that at the largest",
        0.0,
        _smallest_less_largest_budget,
    ),
    Claim(
        "coarse_grid",
        f"a step of {STEP} in λ loses little: at most {LITTLE:g} points",
        "section 5.1",
        "gain over the full grid",
        -LITTLE,
        lambda gains, _: _averages(gains.get("lambda_impact"), LABELS, STEP),
    ),
    Claim(
        "half",
        f"λ = 0.5 is near the optimum: it loses at most {NEAR:g} point",
        "section 5.1",
        "gain over the full grid",
        -NEAR,
        lambda gains, _: _averages(gains.get("lambda_impact"), LABELS, analysis.FIXED),
    ),
    Claim(
        "ties",
        "LA is better than TIES-Merging",
        "appendix E",
        "gain over TIES-Merging",
        0.0,
        _over_ties,
    ),
    Claim(
        "cosines",
        "language vectors are more alike than task vectors",
        "appendix E",
        "mean cosine less that of task vectors",
        0.0,
        _language_less_task_cosines,
    ),
)


# --- the sheets ---------------------------------------------------------------------------------


def sheets(judged: pd.DataFrame, caption: Caption) -> list[Sheet]:
    """The rows of `judge`: a sheet per model; claims that have not run are in the first sheet."""
    judged = judged.fillna({"model": "", "task": "", "of": ""})
    tables: list[Sheet] = []
    for model in [name for name in caption.models if name in set(judged["model"])] or [""]:
        of_model = judged["model"] == model
        rows = judged[of_model if tables else of_model | (judged["verdict"] == "not run")]
        tables.append(
            sheet(
                f"Claims of the paper, {model}" if model else "Claims of the paper",
                "LA: language arithmetic. A claim says that a value lies above a bound, which is 0 "
                "if the claim states no other; averages are over targets. Agrees: the whole "
                "interval lies above the bound. Disagrees: below it. Cannot tell: on both sides. "
                "The interval of a difference of two values is the widest that their intervals "
                "allow; those of mean cosines are the ranges over pairs.",
                ("claim", "in the paper", "value of this study", "task", "of", "value", "verdict"),
                [[_row(row) for row in rows.to_dict("records")]],
                caption,
            )
        )
    return tables


def _row(row: Mapping[Any, Any]) -> Row:
    low, high = float(row["low"]), float(row["high"])
    value = Number(
        float(row["value"]),
        digits=3 if row["id"] == "cosines" else 2,
        signed=True,
        interval=None if math.isnan(low) else (low, high),
    )
    return (
        row["claim"],
        row["source"],
        row["quantity"],
        str(row["task"]).upper(),
        merging.get(row["of"]).title if row["id"] == "ties" and row["of"] else row["of"],
        value,
        row["verdict"],
    )
