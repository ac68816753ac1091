"""Gains with their intervals: a row per target and on average.

The interval is that of a paired bootstrap (`statistics`), which resamples examples and seeds from
`outcomes.parquet` of the cells: a percentile interval, and a basic interval for a gain over the
best of several scores, none of which is that of the merge itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from langarith import tasks
from langarith.evaluation import outcomes
from langarith.operands import Point
from langarith.results import analysis, statistics
from langarith.results.gains import Gain, Score, points_by_seed

COLUMNS = (
    "experiment,model,task,target,method,budget,rule,over,gain,low,high,p,p_holm,metric,examples,seeds"
).split(",")

CELLS = 8
"""Cells whose counts are in memory at once: the gains of a target share them."""


def estimate(
    experiment: str,
    gains: Sequence[Gain],
    cells: Mapping[tuple[str, ...], Path],
    types: Mapping[str, str],
    resamples: int = statistics.RESAMPLES,
) -> pd.DataFrame:
    """Gains with intervals: a row per gain, and one more for the average over all targets.

    The average's gain is between averages over targets, over the better proxy on average. Its
    targets are resampled independently, but with the same seeds. There is no average if a target
    lacks the gain or has other seeds: means over different targets cannot be compared.

    Args:
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.

    Returns:
        Columns: `COLUMNS`. `gain`, `low` and `high` in points. `p_holm` is adjusted over the
        targets of a model and task, NaN for averages. `examples` and `seeds` are the
        numbers of them that the gain is computed from.
    """
    # gains of one target after another: they share the drawn examples
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    estimates = {
        gain: _resample(gain, cells, read, tasks.get(types[gain.task]), resamples)
        for gain in sorted(gains, key=lambda gain: (gain.task, gain.target))
    }
    rows, averages = [], []
    for group in dict.fromkeys(gain.group for gain in gains):
        members = [gain for gain in gains if gain.group == group]
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
    gain = float(estimated.values[0] - estimated.values[1:].max())
    merged, others = estimated.resampled[0], estimated.resampled[1:]
    # where λ is an end of the grid, the merge is one of the others, and no gain can exceed 0
    itself = bool((others == merged).all(axis=1).any())
    mirrored = len(others) > 1 and not itself
    interval = statistics.interval(merged - others.max(axis=0), around=gain if mirrored else None)
    return {
        "gain": gain,
        "low": interval.low,
        "high": interval.high,
        "p": interval.p,
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

    A bootstrap over test examples and seeds, as for gains. Targets are resampled independently,
    but with the same seeds.

    Args:
        chosen: rows of `analysis.cells` of one model, task and method: one per target and seed.
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.
    """
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    resampled = []
    for place, rows in chosen.groupby(["model", "task", "target", "method", "operands"]):
        model, task, target, method, operands = map(str, place)
        score = Score(method, operands, points_by_seed(rows))
        unpaired = Gain(model, task, target, method, "full", "", score, ())
        resampled.append(
            _resample(
                unpaired, cells, read, tasks.get(types[task]), statistics.RESAMPLES
            ).resampled[0]
        )
    ends = statistics.interval(np.mean(resampled, axis=0))
    return ends.low, ends.high
