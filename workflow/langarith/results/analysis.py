"""The numbers that tables print and figures draw, from tidy tables: one definition for both.

All scores are in percent of a task's selection metric, all gains and regrets in points. Missing
cells (a partial grid) are rows without scores, NaN here, and are NaN in all results. Only the
place of such a row is used: its metric and split may be empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from langarith import merging
from langarith.evaluation import selection
from langarith.operands import Point, budget_tokens
from langarith.results import searches
from langarith.results.names import AVERAGE

PLACE = ["model", "task", "target", "method", "left", "right", "operands", "budget", "seed"]
"""Columns that identify a cell of an experiment."""

RUN = ["model", "task", "target", "seed"]


def selection_metric(task_rows: pd.DataFrame) -> str:
    """The metric a task is selected on: the first of its rows that have a score."""
    scored = task_rows[task_rows["value"].notna()]
    return str((task_rows if scored.empty else scored)["metric"].iloc[0])


def metrics(table: pd.DataFrame) -> dict[str, str]:
    """The selection metric of each task of a table, in the order of the table."""
    return {str(task): selection_metric(rows) for task, rows in table.groupby("task", sort=False)}


def examples(table: pd.DataFrame) -> dict[tuple[str, str, str], int]:
    """The number of test examples behind the scores of each model, task and target."""
    rows = table[(table["split"] == "test") & table["value"].notna()]
    counts = rows.groupby(["model", "task", "target"], sort=False)["examples"].max()
    places = (tuple(map(str, place)) for place in counts.index.to_flat_index())
    return {
        (model, task, target): int(count)
        for (model, task, target), count in zip(places, counts, strict=True)
    }


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per cell (sweep) of an experiment, in the order of the table.

    Columns: `PLACE`; `lambda`, the chosen one, NaN where a point has several numbers, and `point`,
    its text; `validation`, its validation score; on test `at_left` (λ = 1), `at_right` (λ = 0),
    `half` (λ = 0.5) and `merged` (the chosen λ); `better_end`, which of λ = 1 and λ = 0 has the
    higher validation score, 1 if both are equal, and `at_better_end`, its test score. All are NaN
    for a missing cell; ends are NaN if the method does not evaluate them.
    """
    rows = table[(table["left"] != "") & (table["right"] != "")]
    rows = rows[(rows["metric"] == rows["task"].map(metrics(table))) | rows["value"].isna()]
    chosen, test = rows["selected"].astype(str) == "True", rows["split"] == "test"

    def scores(which: pd.Series, column: str = "value") -> pd.Series:
        return rows[which].drop_duplicates(PLACE).set_index(PLACE)[column]

    found = pd.DataFrame(index=pd.MultiIndex.from_frame(rows[PLACE].drop_duplicates()))
    found["lambda"] = scores(test & chosen, "lambda")
    found["point"] = scores(test & chosen, "point")
    found["validation"] = scores(~test & chosen)
    found["at_left"] = scores(test & (rows["lambda"] == 1.0))
    found["at_right"] = scores(test & (rows["lambda"] == 0.0))
    found["half"] = scores(test & (rows["lambda"] == 0.5))
    found["merged"] = scores(test & chosen)
    left, right = (scores(~test & (rows["lambda"] == end)) for end in (1.0, 0.0))
    ends = pd.DataFrame({"left": left, "right": right}).reindex(found.index)
    both = ends.notna().all(axis=1) & found[["at_left", "at_right"]].notna().all(axis=1)
    found["better_end"] = (ends["left"] >= ends["right"]).astype(float).where(both)
    better = found["at_left"].where(found["better_end"] == 1, found["at_right"])
    found["at_better_end"] = better.where(both)
    return found.reset_index()


def seed_averages(scores: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """The average of each seed over its targets: a row per seed, indexed by it.

    A seed that lacks one of `kinds` for a target has no row: averages over different targets
    cannot be compared.
    """
    return scores.groupby("seed")[list(kinds)].mean(skipna=False).dropna()


def gain(scores: pd.DataFrame, merged: str, others: Sequence[str]) -> float:
    """Points between means over rows (seeds): `merged` minus the best of `others`.

    Only rows that have all of these scores are used; NaN if there is none.
    """
    means = scores[[merged, *others]].dropna().mean()
    return float(means[merged] - means[list(others)].max())


def zero_shot(table: pd.DataFrame) -> pd.DataFrame:
    """LA_t(en, rel) and both proxies (4.2): a row per model, task, target and seed.

    Columns: model, task, target, left, right, operands, seed, lambda, and the test scores `none`
    (no language adapter), `task_language` (λ = 1), `related` (λ = 0), `chosen` (the proxy with the
    higher validation score) and `merged`.
    """
    found = cells(table)
    found = found[found["method"] == "la"]
    names = {"at_left": "task_language", "at_right": "related", "at_better_end": "chosen"}
    none = reference(table, "none").rename(columns={"score": "none"})
    found = found.rename(columns=names).merge(none, how="left", on=RUN)
    keep = ["model", "task", "target", "left", "right", "operands", "seed", "lambda"]
    return found[[*keep, "none", *names.values(), "merged"]]


def reference(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Test scores without a merge, `score`: a row per model, task, target and seed (`RUN`).

    Args:
        method: `none` (no language adapter), `majority` or `madx`.
    """
    rows = table[(table["method"] == method) & (table["split"] == "test")]
    rows = rows[rows["metric"] == rows["task"].map(metrics(table))].drop_duplicates(RUN)
    return rows[[*RUN, "value"]].rename(columns={"value": "score"})


def enhancement(table: pd.DataFrame, task_language: str) -> pd.DataFrame:
    """MAD-X and the target's adapter enhanced (4.3): a row per model, task, target and seed.

    Columns: model, task, target, seed; `related` (the other language of LA(rel, t), '' where it is
    the task language); test scores `madx` (only the target's adapter), `la_task_language` LA_t(en,
    t), `la_related` LA_t(rel, t), `la_better` LA_t(en/rel, t), with its `lambda`; `better`, the
    language that the latter pairs: per model, task and target the pairing with the higher mean,
    over seeds that have both, of the validation score at the chosen λ; the task language where both
    are equal; '' if no seed has both.
    """
    found = cells(table)
    found = found[(found["method"] == "la") & (found["right"] == found["target"])]
    parts = []
    for (model, task, target), group in found.groupby(["model", "task", "target"], sort=False):
        by_left = {str(left): rows.set_index("seed") for left, rows in group.groupby("left")}
        scores = ["validation", "at_right", "merged", "lambda"]
        empty = group.drop_duplicates("seed").set_index("seed")[scores] * math.nan
        english = by_left.pop(task_language, empty)
        related, relative = next(iter(by_left.items()), ("", english))
        # only seeds with both pairings count; without such a seed neither is the better one
        both = pd.DataFrame(
            {"task_language": english["validation"], "related": relative["validation"]}
        ).dropna()
        comparable = len(both) > 0
        related_wins = both["related"].mean() > both["task_language"].mean()
        better = (related if related_wins else task_language) if comparable else ""
        pairing = relative if related_wins else english
        part = pd.DataFrame(
            {
                "related": related,
                "madx": english["at_right"].combine_first(relative["at_right"]),
                "la_task_language": english["merged"],
                "la_related": relative["merged"],
                "la_better": pairing["merged"] if comparable else math.nan,
                "lambda": pairing["lambda"] if comparable else math.nan,
                "better": better,
            }
        ).reset_index()
        part.insert(0, "target", str(target))
        part.insert(0, "task", str(task))
        part.insert(0, "model", str(model))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def low_resource(table: pd.DataFrame) -> pd.DataFrame:
    """LA_t(t@budget, en) against only t@budget (4.4): a row per model, task, target, budget, seed.

    Columns: model, task, target, budget, `tokens` (inf for `full`), seed, lambda (of the task
    language, the left operand), and the test scores `direct` (λ = 0) and `merged`.
    """
    found = cells(table)
    found = found[found["method"] == "la"].rename(columns={"at_right": "direct"})
    found["tokens"] = found["budget"].map(tokens)
    keep = ["model", "task", "target", "budget", "tokens", "seed", "lambda", "direct", "merged"]
    return found[keep].reset_index(drop=True)


def tokens(budget: str) -> float:
    """A budget in tokens, inf for `full`."""
    return float(budget_tokens(budget) or math.inf)


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Validation score over λ (5.1): a row per model, task, target, left, right, seed and λ.

    Columns: those, and `value`. The ends of a curve are the single adapters. A missing cell has no
    curve.
    """
    return _sweeps(table, "validation").reset_index(drop=True)


CELL = ["model", "task", "target", "left", "right", "seed"]


def _sweeps(table: pd.DataFrame, split: str) -> pd.DataFrame:
    rows = table[(table["split"] == split) & (table["method"] == "la") & table["value"].notna()]
    rows = rows[rows["metric"] == rows["task"].map(metrics(table))]
    return rows.drop_duplicates([*CELL, "lambda"])[[*CELL, "lambda", "value"]]


FIXED = "λ = 0.5"


def regret(table: pd.DataFrame) -> pd.DataFrame:
    """Test points that a coarser λ grid, or a fixed λ = 0.5, would have lost (5.1).

    A row per model, task, target, seed and `grid` (`0.1`, `0.2`, `0.25`, `0.5`, `refine`, `λ =
    0.5`). Columns: those; `lambda`, its choice, and `full_lambda`, the study's; `regret`, the test
    score of the study's choice minus that of this one, in points; `evaluations`, the number of
    points of this grid; `full_evaluations`, those that the study evaluated; `grid_size`, the points
    of the full grid, more than the latter if the study itself searched by `refine`. A grid has rows
    only if it is a proper part of the points that the study evaluated.
    """
    score = _sweeps(table, "test").set_index([*CELL, "lambda"])["value"]
    rows = []
    for key, curve in curves(table).groupby(CELL, sort=False):
        cell: tuple[Any, ...] = tuple(key)
        values = dict(zip(curve["lambda"], curve["value"], strict=True))
        fine = _choice(values)
        grids = {
            f"{step:g}": selection.coarse_grid(list(values), step)
            for step in selection.COARSE_STEPS
        } | {searches.REFINE: searches.refined(values)}
        coarse = {name: points for name, points in grids.items() if 0 < len(points) < len(values)}
        chosen = {
            name: _choice({w: values[w] for w in points}) for name, points in coarse.items()
        } | {FIXED: 0.5}
        for name, weight in chosen.items():
            cost = score.loc[(*cell, fine)] - score.loc[(*cell, weight)]
            row = dict(zip(CELL, cell, strict=True)) | {"grid": name, "lambda": weight}
            row |= {"full_lambda": fine, "regret": cost}
            row |= {"evaluations": len(coarse.get(name, ()))}
            row |= {"full_evaluations": len(values), "grid_size": searches.grid_size(list(values))}
            rows.append(row)
    choices = ["grid", "lambda", "full_lambda", "regret"]
    columns = [*CELL, *choices, "evaluations", "full_evaluations", "grid_size"]
    frame = pd.DataFrame(rows, columns=columns)
    # a missing cell has rows, too
    places = cells(table).query("method == 'la'")[CELL]
    return places.merge(frame[["grid"]].drop_duplicates(), how="cross").merge(frame, how="left")


def _choice(curve: Mapping[float, float]) -> float:
    """The λ that language arithmetic chooses on a validation curve."""
    points: dict[Point, float] = {(weight,): score for weight, score in curve.items()}
    return selection.select(points, selection.neutral(merging.get("la"), (0.5,)))[0]


def relatedness(table: pd.DataFrame) -> pd.DataFrame:
    """LA_t(t, l2) for a pool of languages l2 (5.2): a row per model, task, target, other, seed.

    Columns: model, task, target, `other` (the operand that is not the target's own), seed,
    `merged`.
    """
    found = cells(table)
    found = found[found["method"] == "la"].rename(columns={"left": "other"})
    keep = ["model", "task", "target", "other", "seed", "merged"]
    return found[keep].reset_index(drop=True)


def methods(table: pd.DataFrame) -> pd.DataFrame:
    """Merge methods on the zero-shot pairs: a row per model, task, target, method and seed.

    Columns: those, lambda and `point`, as in :func:`cells`, and `merged`.
    """
    keep = ["model", "task", "target", "method", "seed", "lambda", "point", "merged"]
    return cells(table)[keep].reset_index(drop=True)


PROXIES = ["task_language", "related"]
"""The single adapters of a zero-shot pair, the ends of its language arithmetic."""


def methods_and_proxies(table: pd.DataFrame) -> pd.DataFrame:
    """Merge methods and both proxies: a row per model, task, target and seed.

    Columns: those, the test scores `PROXIES` and `chosen`, as in :func:`zero_shot`, and a column
    for each method, under its name.
    """
    place = ["model", "task", "target", "seed"]
    wide = methods(table).set_index([*place, "method"])["merged"].unstack("method")
    proxies = zero_shot(table).set_index(place)[[*PROXIES, "chosen"]]
    return wide.join(proxies).reset_index()


def pool_range(means: Iterable[float]) -> float:
    """Points between the best and the worst seed mean of a pool of related languages (5.2)."""
    series = pd.Series(list(means), dtype=float)
    return float(series.max() - series.min())


def cosines(table: pd.DataFrame) -> pd.DataFrame:
    """Cosine of each pair of different vectors (appendix E): a row per model, kind, pair and seed.

    Columns: model, kind (`language` or `task`), left, right, seed, cosine. A pair has one row.
    """
    rows = table[table["left"] != table["right"]].copy()
    pairs = zip(rows["left"], rows["right"], strict=True)
    rows["pair"] = [" ".join(sorted(pair)) for pair in pairs]
    rows = rows.drop_duplicates(["model", "kind", "pair", "seed"])
    return rows[["model", "kind", "left", "right", "seed", "cosine"]].reset_index(drop=True)


MEAN_GAIN = "mean gain"
"""The value of `target` in rows of the mean of the gains over targets."""


def with_average(scores: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    """Scores with one more target, `AVERAGE`: per model, task and seed the mean over targets.

    All kinds are averaged over the same runs: a seed that lacks one of them for a target has no
    average (NaN), because means over different targets cannot be compared.
    """
    parts = [scores]
    for (model, task), part in scores.groupby(["model", "task"], sort=False):
        means = seed_averages(part, kinds).reindex(part["seed"].unique()).rename_axis("seed")
        parts.append(means.reset_index().assign(target=AVERAGE, model=str(model), task=str(task)))
    return pd.concat(parts, ignore_index=True)


def gains(
    scores: pd.DataFrame, merged: str, others: Sequence[str], of: Sequence[str] = ()
) -> pd.DataFrame:
    """The gains that are printed or drawn: a row per model, task and target, and two more.

    Columns: model, task, target, `gain` in points (see :func:`gain`). The target `AVERAGE` is the
    gain of the averages over targets, `MEAN_GAIN` the mean of the gains over targets: they differ
    if the best of `others` is not the same for every target. Both are NaN if a target is NaN.

    Their intervals are in the tables of gains, see :mod:`langarith.results.intervals`.

    Args:
        of: the kinds of score that a seed must have of each target to count for the average, if
            more than those compared.
    """
    kinds = list(of or [merged, *others])
    rows = []
    for (model, task), part in scores.groupby(["model", "task"], sort=False):
        each = {
            str(target): gain(runs, merged, others)
            for target, runs in part.groupby("target", sort=False)
        }
        average = gain(seed_averages(part, kinds), merged, others)
        complete = not any(map(math.isnan, [*each.values(), average]))
        mean = sum(each.values()) / len(each) if complete else math.nan
        values = each | {AVERAGE: average, MEAN_GAIN: mean}
        rows += [
            {"model": model, "task": task, "target": target, "gain": value}
            for target, value in values.items()
        ]
    return pd.DataFrame(rows, columns=["model", "task", "target", "gain"])


def headline(scores: pd.DataFrame, merged: str, others: Sequence[str]) -> pd.DataFrame:
    """A summary of a study: a row per model and task.

    Columns: model, task; `better`, the number of targets whose printed gain is above zero; `of`,
    the number of targets with a gain; `merged` and `other`, the averages over targets of `merged`
    and of the best of `others`; `average_gain` and `mean_gain`, see :func:`gains`.
    """
    rows = []
    by_task = gains(scores, merged, others).groupby(["model", "task"], sort=False)
    for (model, task), found in by_task:
        points = found.set_index("target")["gain"]
        each = points.drop([AVERAGE, MEAN_GAIN]).dropna().round(2)
        part = scores[(scores["model"] == model) & (scores["task"] == task)]
        means = seed_averages(part, [merged, *others]).mean()
        rows.append(
            {
                "model": model,
                "task": task,
                "better": int((each > 0).sum()),
                "of": len(each),
                "merged": float(means[merged]),
                "other": float(means[list(others)].max()),
                "average_gain": float(points[AVERAGE]),
                "mean_gain": float(points[MEAN_GAIN]),
            }
        )
    return pd.DataFrame(rows)


def over_seeds(scores: pd.DataFrame, by: list[str], kinds: list[str]) -> pd.DataFrame:
    """Seed means and their spread: a row per place `by` and kind, in the order of the scores.

    Columns: `by`; `kind`; `mean`; `spread`, one standard deviation over seeds (ddof 1), NaN where
    there is one seed; `seeds`, the number in the mean; `of`, the number that the study has.
    """
    long = scores.melt(id_vars=by, value_vars=kinds, var_name="kind", value_name="score")
    found = long.groupby([*by, "kind"], sort=False)["score"].agg(
        mean="mean", spread="std", seeds="count", of="size"
    )
    return found.reset_index()


def missing(table: pd.DataFrame) -> tuple[int, int]:
    """The number of missing cells of an experiment, and the number of all its cells."""
    found = cells(table)
    return int(found["merged"].isna().sum()), len(found)
