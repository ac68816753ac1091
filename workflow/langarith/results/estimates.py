"""Gains with their intervals: a row per target and on average.

The interval is that of a paired bootstrap (`statistics`), which resamples examples and seeds from
`outcomes.parquet` of the cells: a percentile interval, and a basic interval for a gain over the
best of several scores, none of which is that of the merge itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
    parallel: Collection[str] = (),
    resamples: int = statistics.RESAMPLES,
) -> pd.DataFrame:
    """Gains with intervals: a row per gain, and one more for the average over all targets.

    The average's gain is between averages over targets, over the better proxy on average. There is
    no average if a target lacks the gain or has other seeds: means over different targets cannot be
    compared. The mean of the gains over targets has no row: over the better of two equal proxies
    each gain is too low on average, by as much for many targets, while their mean varies less.

    Args:
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.
        parallel: tasks whose test sets are translations of each other, line by line.

    Returns:
        Columns: `COLUMNS`. `gain`, `low` and `high` in points. `p_holm` is adjusted over the
        targets and budgets of a `Gain.family`, NaN for averages. `examples` and `seeds` are the
        numbers of them that the gain is computed from.
    """
    # gains of one target after another: they share the drawn examples
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    estimates = {
        gain: _resample(gain, cells, read, tasks.get(types[gain.task]), parallel, resamples)
        for gain in sorted(gains, key=lambda gain: (gain.task, gain.target))
    }
    of_target = {gain: _row(experiment, gain, estimates[gain]) for gain in gains}
    for family in dict.fromkeys(gain.family for gain in gains):
        together = [row for gain, row in of_target.items() if gain.family == family]
        for row, p in zip(together, statistics.holm([row["p"] for row in together]), strict=True):
            row["p_holm"] = p
    rows, averages = [], []
    for group in dict.fromkeys(gain.group for gain in gains):
        members = [gain for gain in gains if gain.group == group]
        rows += [of_target[gain] for gain in members]
        of_group = [estimates[gain] for gain in members]
        complete = len(members) == members[0].targets
        if complete and len({e.seeds for e in of_group}) == 1:
            average = _row(experiment, members[0], _average(of_group))
            averages.append(average | {"target": analysis.AVERAGE})
    return pd.DataFrame(rows + averages, columns=COLUMNS)


@dataclass(frozen=True)
class _Estimate:
    """Scores of merged and others of one target: shape (sides,); resampled (sides, resamples)."""

    values: np.ndarray
    resampled: np.ndarray
    examples: int
    seeds: tuple[int, ...]
    metric: str

    @property
    def gain(self) -> float:
        """Of the merged side over the best of the others."""
        return float(self.values[0] - self.values[1:].max())

    @property
    def gains(self) -> np.ndarray:
        """The same in each resample."""
        return np.asarray(self.resampled[0] - self.resampled[1:].max(axis=0))

    @property
    def shifted(self) -> bool:
        """Whether resampling shifts the gain, which is over the best of several other scores.

        Not where λ is an end of the grid: there the merge is one of the others, and no gain can
        exceed 0.
        """
        itself = (self.resampled[1:] == self.resampled[0]).all(axis=1).any()
        return len(self.values) > 2 and not itself


def _average(estimates: Sequence[_Estimate]) -> _Estimate:
    """Averages over targets, of each side."""
    return _Estimate(
        np.mean([e.values for e in estimates], axis=0),
        np.mean([e.resampled for e in estimates], axis=0),
        sum(e.examples for e in estimates),
        estimates[0].seeds,
        estimates[0].metric,
    )


def _resample(
    gain: Gain,
    cells: Mapping[tuple[str, ...], Path],
    read: Callable[[Path], Mapping[Point, statistics.Counts]],
    task: Any,
    parallel: Collection[str],
    resamples: int,
) -> _Estimate:
    seeds = tuple(sorted(gain.merged.points))
    by_side = []
    for score in (gain.merged, *gain.others):
        key = (gain.model, gain.task, gain.target, score.method, score.operands)
        by_side.append([read(cells[(*key, str(s))])[score.points[s]] for s in seeds])
    examples = len(next(iter(by_side[0][0].values())))
    # a draw by the name of the task alone is the same for all its targets with as many examples
    drawn = gain.task if gain.task in parallel else f"{gain.task} {gain.target}"
    weights = statistics.example_weights(examples, drawn, resamples)
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


def _row(experiment: str, gain: Gain, estimated: _Estimate) -> dict[str, Any]:
    value = estimated.gain
    ends = statistics.interval(estimated.gains, around=value if estimated.shifted else None)
    places = ("model", "task", "target", "method", "budget", "rule", "over")
    return {
        "experiment": experiment,
        **{key: getattr(gain, key) for key in places},
        "gain": value,
        "low": ends.low,
        "high": ends.high,
        "p": ends.p,
        "p_holm": None,
        "metric": estimated.metric,
        "examples": estimated.examples,
        "seeds": len(estimated.seeds),
    }


def score_interval(
    chosen: pd.DataFrame,
    cells: Mapping[tuple[str, ...], Path],
    types: Mapping[str, str],
    parallel: Collection[str] = (),
) -> tuple[float, float]:
    """The 95 % interval of a test score, in percent: the average over targets and seeds.

    A bootstrap over test examples and seeds, as for gains.

    Args:
        chosen: rows of `analysis.cells` of one model, task and method: one per target and seed.
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.
        parallel: tasks whose test sets are translations of each other, line by line.
    """
    read = lru_cache(maxsize=CELLS)(lambda path: outcomes.read(path)["test"])
    resampled = []
    for place, rows in chosen.groupby(["model", "task", "target", "method", "operands"]):
        model, task, target, method, operands = map(str, place)
        score = Score(method, operands, points_by_seed(rows))
        unpaired = Gain(model, task, target, method, "full", "", score, ())
        of_target = _resample(
            unpaired, cells, read, tasks.get(types[task]), parallel, statistics.RESAMPLES
        )
        resampled.append(of_target.resampled[0])
    ends = statistics.interval(np.mean(resampled, axis=0))
    return ends.low, ends.high
