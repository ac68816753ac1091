"""Every gain that an experiment states, with its interval: a row per target and on average.

A gain is in points between seed means on test, as in `analysis`; its interval is that of a paired
bootstrap (`statistics`), which draws examples and seeds anew from `outcomes.parquet` of the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from langarith import tasks
from langarith.evaluation import outcomes
from langarith.operands import Point, parse_point
from langarith.results import analogy, analysis, forgetting, pool, statistics
from langarith.results.intervals import BEST_OTHER, BETTER_PROXY, DIRECT, LABELS, MADX, START

COLUMNS = (
    "experiment,model,task,target,method,budget,rule,over,gain,low,high,p,p_holm,metric,examples,seeds"
).split(",")


CELLS = 8
"""Cells whose counts are in memory at once: the gains of a target share them."""


@dataclass(frozen=True)
class Score:
    """A test score to be averaged over seeds: one point of one cell for each seed."""

    method: str
    operands: str
    points: Mapping[int, Point]

    def only(self, seeds: Iterable[int]) -> Score:
        """The same of some seeds."""
        return replace(self, points={seed: self.points[seed] for seed in sorted(seeds)})


@dataclass(frozen=True, eq=False)
class Gain:
    """A difference of scores: `merged` against the best of `others`, which have the same seeds."""

    model: str
    task: str
    target: str
    method: str
    budget: str
    over: str
    merged: Score
    others: tuple[Score, ...]
    rule: str = "validation"
    """What chose the points of `merged`."""
    targets: int = 0
    """How many targets the experiment has of this model and task."""

    @property
    def group(self) -> tuple[str, ...]:
        """What targets are averaged over."""
        return (self.model, self.task, self.method, self.budget, self.rule, self.over)


def gains(
    experiment: str, table: pd.DataFrame, task_language: str, rule: str = "validation"
) -> list[Gain]:
    """The gains of an experiment, in the order of its table; none where it states none.

    Over the seeds that have every cell of a gain; a gain without any is left out.

    Args:
        rule: the study's `selection`, which chose the points of the table.
    """
    found = GAINS[experiment](table, task_language) if experiment in GAINS else []
    if experiment not in OWN_RULES:
        found = [replace(gain, rule=rule) for gain in found]
    targets = table[table["target"] != task_language].groupby(["model", "task"])["target"].nunique()
    return [replace(gain, targets=int(targets[gain.model, gain.task])) for gain in found]


def _zero_shot(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over the better proxy (section 4.2)."""
    return _over_ends(table, BETTER_PROXY, (1.0, 0.0))


def _low_resource(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over the adapter of a limited budget used directly (section 4.4)."""
    return _over_ends(table, DIRECT, (0.0,))


def _over_ends(table: pd.DataFrame, over: str, ends: tuple[float, ...]) -> list[Gain]:
    found = []
    for place, rows in _cells(table, ["model", "task", "target", "method", "budget", "operands"]):
        method, operands = place["method"], place.pop("operands")
        if method == "la":
            merged = Score(method, operands, _chosen(rows))
            others = tuple(Score(method, operands, _at(rows, end)) for end in ends)
            found.append(Gain(**place, over=over, merged=merged, others=others))
    return found


def _enhancement(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """The better of both pairings, chosen on validation, over MAD-X (section 4.3)."""
    better = analysis.enhancement(table, task_language)
    found = []
    for place, rows in _cells(table, ["model", "task", "target", "method", "budget"]):
        names = [place[key] for key in ("model", "task", "target")]
        chosen = better[(better[["model", "task", "target"]] == names).all(axis=1)]["better"]
        pair = rows[rows["left"] == next(iter(chosen), "")]
        if len(pair):
            operands = str(pair["operands"].iloc[0])
            merged = Score("la", operands, _chosen(pair))
            madx = Score("la", operands, _at(pair, 0.0))
            found.append(Gain(**place, over=MADX, merged=merged, others=(madx,)))
    return found


def _methods(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over each other method, and over the best of them (appendix E)."""
    found = []
    for place, rows in _cells(table, ["model", "task", "target", "budget"]):
        scores = {
            str(method): Score(str(method), str(part["operands"].iloc[0]), _chosen(part))
            for method, part in rows.groupby("method", sort=False)
        }
        merged = scores.pop("la", Score("la", "", {}))
        compared = {method: (score,) for method, score in scores.items()}
        for over, others in (compared | {BEST_OTHER: tuple(scores.values())}).items():
            seeds = set(merged.points).intersection(*(score.points for score in others))
            if seeds and others:
                sides = [score.only(seeds) for score in (merged, *others)]
                found.append(
                    Gain(**place, method="la", over=over, merged=sides[0], others=tuple(sides[1:]))
                )
    return found


def _all_methods(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Those of :func:`_methods`, and every method over the better proxy, an end of `la`."""
    found = _methods(table, task_language)
    for place, rows in _cells(table, ["model", "task", "target", "budget"]):
        parts = {str(method): part for method, part in rows.groupby("method", sort=False)}
        for method, part in parts.items() if "la" in parts else ():
            la, chosen = parts["la"], _chosen(part)
            seeds = chosen.keys() & _chosen(la).keys()
            if seeds:
                merged, left, right = (
                    Score(of, str(operands["operands"].iloc[0]), points).only(seeds)
                    for of, operands, points in (
                        (method, part, chosen),
                        ("la", la, _at(la, 1.0)),
                        ("la", la, _at(la, 0.0)),
                    )
                )
                found.append(
                    Gain(
                        **place,
                        method=method,
                        over=BETTER_PROXY,
                        merged=merged,
                        others=(left, right),
                    )
                )
    return found


def _pool(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Merges of other numbers of relatives, and averages, over language arithmetic of two."""
    found = []
    complete = pool.scores(table).dropna(subset=["value"])
    for place, rows in complete.groupby(["model", "task", "target"], sort=False):
        model, task, target = map(str, place)
        merges = {
            str(name): Score(
                str(part["method"].iloc[0]), str(part["operands"].iloc[0]), _chosen(part)
            )
            for name, part in rows.groupby("name", sort=False)
        }
        base = merges.pop(pool.BASE, Score("la", "", {}))
        for name, merge in merges.items():
            seeds = merge.points.keys() & base.points.keys()
            if seeds:
                merged, other = merge.only(seeds), base.only(seeds)
                found.append(Gain(model, task, target, name, "full", pool.BASE, merged, (other,)))
    return found


def _label_free(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Every other rule over the paper's, which needs labels of the target: regrets with a sign."""
    found = []
    by = ["model", "task", "target", "method", "operands"]
    for place, rows in table.dropna(subset=["value"]).groupby(by, sort=False):
        model, task, target, method, operands = map(str, place)
        scores = {
            str(rule): Score(method, operands, _chosen(part))
            for rule, part in rows.groupby("rule", sort=False)
        }
        labelled = scores.pop("validation")
        for rule, score in scores.items():
            if score.points.keys() == labelled.points.keys():
                found.append(
                    Gain(
                        model=model,
                        task=task,
                        target=target,
                        method=method,
                        budget="full",
                        over=LABELS,
                        merged=score,
                        others=(labelled,),
                        rule=rule,
                    )
                )
    return found


def _forgetting(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """θ_pre − λτ at the λ furthest from 0, over θ_pre: what is lost, with a sign."""
    found = forgetting.scores(table)
    weights = forgetting.weights(found)
    last, place = forgetting.furthest(weights), ["model", "task", "target", "operands"]
    return [
        Gain(
            model=str(names[0]),
            task=str(names[1]),
            target=str(names[2]),
            method=forgetting.NEGATION,
            budget="full",
            over=START,
            merged=Score(forgetting.NEGATION, str(names[3]), _at(rows, float(last))),
            others=(Score(forgetting.NEGATION, str(names[3]), _at(rows, 0.0)),),
            rule="",
        )
        for names, rows in found.dropna(subset=weights).groupby(place, sort=False)
    ]


def _analogy(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """An analogy over the better of the task language's adapter and that of c."""
    found = analogy.scores(table, task_language).dropna(subset=["merged", *analogy.PROXIES])
    tried = table[(table["method"] == "analogy") & (table["split"] == "validation")]
    chosen = tried["point"].nunique() > 1
    gains = []
    for names, rows in found.groupby(["model", "task", "target", "operands"], sort=False):
        operands = str(names[3])
        others = [Score("analogy", operands, _at(rows, 0.0))]
        if not analogy.is_source(operands, task_language):
            pair = f"{task_language}+{operands.rpartition('+')[2]}"
            others.append(Score("la", pair, _at(rows, 1.0)))
        gains.append(
            Gain(
                model=str(names[0]),
                task=str(names[1]),
                target=str(names[2]),
                method="analogy",
                budget="full",
                over=BETTER_PROXY,
                merged=Score("analogy", operands, _chosen(rows)),
                others=tuple(others),
                rule="validation" if chosen else "",
            )
        )
    return gains


OWN_RULES = ("label_free", "forgetting", "analogy")
"""Experiments whose gains are not of what the study's `selection` chose."""

GAINS: dict[str, Callable[[pd.DataFrame, str], list[Gain]]] = {
    "zero_shot": _zero_shot,
    "enhancement": _enhancement,
    "low_resource": _low_resource,
    "ties": _methods,
    "methods": _all_methods,
    "pool": _pool,
    "label_free": _label_free,
    "forgetting": _forgetting,
    "analogy": _analogy,
}
"""The experiments that state gains."""


def _cells(table: pd.DataFrame, by: list[str]) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Complete cells by place, with the names of the place."""
    found = analysis.cells(table).dropna(subset=["merged"])
    for place, rows in found.groupby(by, sort=False):
        yield dict(zip(by, place, strict=True)), rows


def _chosen(rows: pd.DataFrame) -> dict[int, Point]:
    return {int(s): parse_point(p) for s, p in zip(rows["seed"], rows["point"], strict=True)}


def _at(rows: pd.DataFrame, weight: float) -> dict[int, Point]:
    return {int(seed): (weight,) for seed in rows["seed"]}


def estimate(
    experiment: str,
    found: Sequence[Gain],
    cells: Mapping[tuple[str, ...], Path],
    types: Mapping[str, str],
    resamples: int = statistics.RESAMPLES,
) -> pd.DataFrame:
    """Gains with intervals: a row per gain, and one more for the average over all targets.

    The average's gain is between averages over targets, over the better proxy on average. Its
    targets are resampled independently, but with the same seeds. A target without the gain, or with
    other seeds, leaves no average: means over different targets do not compare.

    Args:
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.

    Returns:
        Columns: `COLUMNS`. `gain`, `low` and `high` in points. `p_holm` is adjusted over the
        targets of a model and task, NaN for averages. `examples` and `seeds` are how many the
        gain is computed from.
    """
    # gains of one target after another: they share the drawn examples
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    estimates = {
        gain: _resample(gain, cells, read, tasks.get(types[gain.task]), resamples)
        for gain in sorted(found, key=lambda gain: (gain.task, gain.target))
    }
    rows, averages = [], []
    for group in dict.fromkeys(gain.group for gain in found):
        members = [gain for gain in found if gain.group == group]
        of_group = [estimates[gain] for gain in members]
        part = [
            _row(experiment, gain, estimate)
            for gain, estimate in zip(members, of_group, strict=True)
        ]
        for row, value in zip(part, statistics.holm([row["p"] for row in part]), strict=True):
            row["p_holm"] = value
        rows += part
        complete = len(members) == members[0].targets
        if complete and len({e.seeds for e in of_group}) == 1:
            mean = _Estimate(
                np.mean([e.values for e in of_group], axis=0),
                np.mean([e.resampled for e in of_group], axis=0),
                sum(e.examples for e in of_group),
                of_group[0].seeds,
                of_group[0].metric,
            )
            averages.append(
                {**part[0], **_numbers(mean)} | {"target": analysis.AVERAGE, "p_holm": None}
            )
    return pd.DataFrame(rows + averages, columns=COLUMNS)


@dataclass(frozen=True)
class _Estimate:
    """Scores of merged and others of one target: shape (sides,); resampled (sides, resamples)."""

    values: np.ndarray
    resampled: np.ndarray
    examples: int
    seeds: tuple[int, ...]
    metric: str


def _resample(
    gain: Gain,
    cells: Mapping[tuple[str, ...], Path],
    read: Callable[[Path], Mapping[Point, statistics.Counts]],
    task: Any,
    resamples: int,
) -> _Estimate:
    seeds = tuple(sorted(gain.merged.points))
    by_side = []
    for score in (gain.merged, *gain.others):
        key = (gain.model, gain.task, gain.target, score.method, score.operands)
        by_side.append([read(cells[(*key, str(s))])[score.points[s]] for s in seeds])
    examples = len(next(iter(by_side[0][0].values())))
    weights = statistics.example_weights(examples, f"{gain.task} {gain.target}", resamples)
    seed_weights = statistics.seed_weights(len(seeds), resamples)
    metric = task.metrics[0]
    return _Estimate(
        np.array([np.mean([task.total(c, examples)[metric] for c in side]) for side in by_side]),
        np.array(
            [
                statistics.resampled(task.scores, metric, side, weights, seed_weights)
                for side in by_side
            ]
        ),
        examples,
        seeds,
        metric,
    )


def _numbers(estimated: _Estimate) -> dict[str, Any]:
    differences = estimated.resampled[0] - estimated.resampled[1:].max(axis=0)
    found = statistics.interval(differences)
    return {
        "gain": float(estimated.values[0] - estimated.values[1:].max()),
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "examples": estimated.examples,
        "seeds": len(estimated.seeds),
        "metric": estimated.metric,
    }


def _row(experiment: str, gain: Gain, estimated: _Estimate) -> dict[str, Any]:
    places = ("model", "task", "target", "method", "budget", "rule", "over")
    return {"experiment": experiment, **{key: getattr(gain, key) for key in places}} | _numbers(
        estimated
    )


def score_interval(
    chosen: pd.DataFrame, cells: Mapping[tuple[str, ...], Path], types: Mapping[str, str]
) -> tuple[float, float]:
    """The 95 % interval of a test score, in percent: the average over targets and seeds.

    A bootstrap over test examples and seeds as that of gains. Targets are resampled independently,
    but with the same seeds.

    Args:
        chosen: rows of `analysis.cells` of one model, task and method: one per target and seed.
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.
    """
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    found = []
    for place, rows in chosen.groupby(["model", "task", "target", "method", "operands"]):
        model, task, target, method, operands = map(str, place)
        score = Score(method, operands, _chosen(rows))
        alone = Gain(model, task, target, method, "full", "", score, ())
        found.append(
            _resample(alone, cells, read, tasks.get(types[task]), statistics.RESAMPLES).resampled[0]
        )
    ends = statistics.interval(np.mean(found, axis=0))
    return ends.low, ends.high
