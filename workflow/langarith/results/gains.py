"""The gains of an experiment: which merge is compared with which others, by target.

A gain is in points between seed means on test, as in `analysis`. `estimates` computes them, with
their intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from langarith.operands import Point, parse_point
from langarith.results import analogy, analysis, forgetting, pool
from langarith.results.intervals import (
    BEST_OTHER,
    BETTER_PROXY,
    CHOSEN_PROXY,
    DIRECT,
    LABELS,
    MADX,
    START,
)


@dataclass(frozen=True)
class Score:
    """A test score to be averaged over seeds: one point of one cell for each seed."""

    method: str
    operands: str
    points: Mapping[int, Point]

    def only(self, seeds: Iterable[int]) -> Score:
        """The same score, for some of its seeds."""
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
        """What the gains of an average over targets have in common."""
        return (self.model, self.task, self.method, self.budget, self.rule, self.over)

    @property
    def family(self) -> tuple[str, ...]:
        """What gains whose p values are adjusted together have in common."""
        return (self.model, self.task, self.method, self.rule, self.over)


def gains(
    experiment: str, table: pd.DataFrame, task_language: str, rule: str = "validation"
) -> list[Gain]:
    """The gains of an experiment, in the order of its table; empty for one that has none.

    A gain uses the seeds that have all of its cells; a gain without such a seed is left out.

    Args:
        rule: the study's `selection`, which chose the points of the table.
    """
    found = GAINS[experiment](table, task_language) if experiment in GAINS else []
    if experiment not in OWN_RULES:
        found = [replace(gain, rule=rule) for gain in found]
    targets = table[table["target"] != task_language].groupby(["model", "task"])["target"].nunique()
    return [replace(gain, targets=int(targets[gain.model, gain.task])) for gain in found]


def _zero_shot(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over the better proxy (section 4.2), and over the chosen one.

    The better proxy is known only after the test. The chosen one has the higher validation score,
    so that it has used the same data as the choice of λ.
    """
    better = _over_ends(table, BETTER_PROXY, (1.0, 0.0))
    return better + _over_ends(table, CHOSEN_PROXY, ("better_end",))


def _low_resource(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over the adapter of a limited budget used directly (section 4.4)."""
    return _over_ends(table, DIRECT, (0.0,))


def _over_ends(table: pd.DataFrame, over: str, ends: tuple[float | str, ...]) -> list[Gain]:
    """Language arithmetic over some of its ends: weights, or the name of a column of them."""
    found = []
    for place, rows in _cells(table, ["model", "task", "target", "method", "budget", "operands"]):
        method, operands = place["method"], place.pop("operands")
        if method == "la":
            merged = Score(method, operands, points_by_seed(rows))
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
            merged = Score("la", operands, points_by_seed(pair))
            madx = Score("la", operands, _at(pair, 0.0))
            found.append(Gain(**place, over=MADX, merged=merged, others=(madx,)))
    return found


def _methods(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Language arithmetic over each other method, and over the best of them (appendix E).

    The best is that of all methods of the table; a target that lacks one of them has no such gain.
    """
    found = []
    all_others = [m for m in analysis.cells(table)["method"].astype(str).unique() if m != "la"]
    for place, rows in _cells(table, ["model", "task", "target", "budget"]):
        scores = {
            str(method): Score(str(method), str(part["operands"].iloc[0]), points_by_seed(part))
            for method, part in rows.groupby("method", sort=False)
        }
        merged = scores.pop("la", Score("la", "", {}))
        compared: dict[str, tuple[Score, ...]] = {m: (score,) for m, score in scores.items()}
        if scores.keys() == set(all_others):
            compared[BEST_OTHER] = tuple(scores[method] for method in all_others)
        for over, others in compared.items():
            seeds = set(merged.points).intersection(*(score.points for score in others))
            if seeds and others:
                sides = [score.only(seeds) for score in (merged, *others)]
                found.append(
                    Gain(**place, method="la", over=over, merged=sides[0], others=tuple(sides[1:]))
                )
    return found


def _all_methods(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """The gains of :func:`_methods`, and every method over both proxies, which are ends of `la`.

    They are the gains of :func:`_zero_shot`: over the better proxy, and over the chosen one.
    """
    found = _methods(table, task_language)
    for place, rows in _cells(table, ["model", "task", "target", "budget"]):
        parts = {str(method): part for method, part in rows.groupby("method", sort=False)}
        for method, part in parts.items() if "la" in parts else ():
            la, chosen = parts["la"], points_by_seed(part)
            seeds = chosen.keys() & points_by_seed(la).keys()
            if seeds:
                merged, left, right, better = (
                    Score(of, str(operands["operands"].iloc[0]), points).only(seeds)
                    for of, operands, points in (
                        (method, part, chosen),
                        ("la", la, _at(la, 1.0)),
                        ("la", la, _at(la, 0.0)),
                        ("la", la, _at(la, "better_end")),
                    )
                )
                compared = ((BETTER_PROXY, (left, right)), (CHOSEN_PROXY, (better,)))
                found += [
                    Gain(**place, method=method, over=over, merged=merged, others=others)
                    for over, others in compared
                ]
    return found


def _pool(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Merges of other numbers of relatives, and averages, over language arithmetic of two."""
    found = []
    complete = pool.scores(table).dropna(subset=["value"])
    for place, rows in complete.groupby(["model", "task", "target"], sort=False):
        model, task, target = map(str, place)
        merges = {
            str(name): Score(
                str(part["method"].iloc[0]), str(part["operands"].iloc[0]), points_by_seed(part)
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


def _lambda_impact(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Coarser grids, and a fixed λ = 0.5, over the full grid: negated regrets (5.1)."""
    found = []
    place = ["model", "task", "target", "left", "right", "grid"]
    complete = analysis.regret(table).dropna(subset=["regret"])
    for names, rows in complete.groupby(place, sort=False):
        model, task, target, left, right, grid = map(str, names)
        coarse, full = (
            Score("la", f"{left}+{right}", dict(zip(rows["seed"], zip(rows[column]), strict=True)))
            for column in ("lambda", "full_lambda")
        )
        found.append(Gain(model, task, target, "la", "full", LABELS, coarse, (full,), rule=grid))
    return found


def _label_free(table: pd.DataFrame, task_language: str) -> list[Gain]:
    """Every other rule over the paper's, which needs labels of the target: negated regrets."""
    found = []
    by = ["model", "task", "target", "method", "operands"]
    for place, rows in table.dropna(subset=["value"]).groupby(by, sort=False):
        model, task, target, method, operands = map(str, place)
        scores = {
            str(rule): Score(method, operands, points_by_seed(part))
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
    """θ_pre − λτ at the λ furthest from 0, over θ_pre: negative for a loss."""
    found = forgetting.scores(table)
    weights = forgetting.weights(found)
    if not weights:
        return []
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
        # always two proxies, since averages over targets include both
        others = [Score("analogy", operands, _at(rows, 0.0))] * 2
        if not analogy.is_source(operands, task_language):
            pair = f"{task_language}+{operands.rpartition('+')[2]}"
            others[1] = Score("la", pair, _at(rows, 1.0))
        gains.append(
            Gain(
                model=str(names[0]),
                task=str(names[1]),
                target=str(names[2]),
                method="analogy",
                budget="full",
                over=BETTER_PROXY,
                merged=Score("analogy", operands, points_by_seed(rows)),
                others=tuple(others),
                rule="validation" if chosen else "",
            )
        )
    return gains


OWN_RULES = ("lambda_impact", "label_free", "forgetting", "analogy")
"""Experiments whose gains are not of the points that the study's `selection` chose."""

GAINS: dict[str, Callable[[pd.DataFrame, str], list[Gain]]] = {
    "zero_shot": _zero_shot,
    "enhancement": _enhancement,
    "low_resource": _low_resource,
    "lambda_impact": _lambda_impact,
    "ties": _methods,
    "methods": _all_methods,
    "pool": _pool,
    "label_free": _label_free,
    "forgetting": _forgetting,
    "analogy": _analogy,
}
"""The experiments that have gains."""


def _cells(table: pd.DataFrame, by: list[str]) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Complete cells grouped by some columns, with the values of these columns."""
    found = analysis.cells(table).dropna(subset=["merged"])
    for place, rows in found.groupby(by, sort=False):
        yield dict(zip(by, place, strict=True)), rows


def points_by_seed(rows: pd.DataFrame) -> dict[int, Point]:
    return {int(s): parse_point(p) for s, p in zip(rows["seed"], rows["point"], strict=True)}


def _at(rows: pd.DataFrame, weight: float | str) -> dict[int, Point]:
    weights = rows[weight] if isinstance(weight, str) else [weight] * len(rows)
    return {int(s): (float(w),) for s, w in zip(rows["seed"], weights, strict=True)}
