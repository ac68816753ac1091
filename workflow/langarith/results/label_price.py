"""The price of labels: the test score with λ chosen on n labelled examples of the target.

The paper's rule, `validation`, is applied to random subsets of the validation examples: the result
for a user who annotates n sentences. Only `outcomes.parquet` of the cells is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from langarith.evaluation import selection
from langarith.evaluation.outcomes import Counts, Scores
from langarith.operands import Point
from langarith.results.cell_counts import Place, read_cell_counts
from langarith.results.label_free import NEAR, SIZES, SUBSETS

COLUMNS = (
    "experiment,model,task,target,method,operands,seed,labelled,metric,value,sd,near,examples"
).split(",")

SEED = 20171


@lru_cache(maxsize=1)
def draws(examples: int, name: str, subsets: int = SUBSETS) -> np.ndarray:
    """Examples in the order in which each resample draws them: shape (resamples, drawn), int64.

    Without replacement. The first n are the subset of n examples, so that a larger
    subset contains the smaller ones. The same for every call with one `name` (a task and a target):
    all seeds and models are compared on the same subsets. Do not modify the array.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), examples])
    drawn = [rng.permutation(examples)[: SIZES[-1]] for _ in range(subsets)]
    return np.stack(drawn)


def choices(
    validation: Mapping[Point, Counts],
    scores: Scores,
    metric: str,
    neutral: float,
    drawn: np.ndarray,
    sizes: Sequence[int],
) -> tuple[list[Point], np.ndarray]:
    """The choices of the paper's rule on each subset of each size.

    Args:
        validation: by point the counts of all validation examples, see `outcomes.read`.
        scores: `Task.scores`.
        metric: the metric that chooses.
        neutral: the number that is preferred where scores are equal, see `selection.neutral`.
        drawn: as `draws`, shape (resamples, at least the largest size).
        sizes: ascending.

    Returns:
        The points, and the positions of the choices in them, shape (sizes, resamples).
    """
    points = selection.preferred(validation, neutral)
    names = list(dict.fromkeys(name for counts in validation.values() for name in counts))
    absent = np.zeros(len(next(iter(validation[points[0]].values()))), dtype=np.uint8)
    table = np.stack(
        [validation[point].get(name, absent) for point in points for name in names], axis=1
    )
    # sums of whole numbers and of half-precision shares are exact in double precision: equal sums
    # stay equal, so that ties are decided as in a sweep
    sums = np.zeros((len(drawn), table.shape[1]))
    picks, start = [], 0
    for size in sizes:
        sums += table[drawn[:, start:size]].sum(axis=1, dtype=float)
        start = size
        by_point = sums.reshape(len(drawn), len(points), len(names))
        totals = scores(
            {name: by_point[..., i] for i, name in enumerate(names)} | {"examples": size}
        )
        # argmax takes the first of equal scores, which is the preferred point
        picks.append(np.asarray(totals[metric]).argmax(axis=1))
    return points, np.array(picks).reshape(len(sizes), len(drawn))


def rows(
    cells: Mapping[Place, Path],
    types: Mapping[str, str],
    subsets: int = SUBSETS,
) -> list[dict[str, Any]]:
    """A row per cell and number of labelled examples, see `COLUMNS`.

    `labelled`: each of `SIZES` below the number of validation examples, `examples`, and then that
    number itself: the choice on all examples. `value`: mean test score over resamples in percent.
    `sd`: its standard deviation over resamples (ddof 1) in points. `near`: share of resamples, 0 to
    1, whose choice is at most `NEAR` from the choice on all examples in every number of the point.

    Args:
        cells: `outcomes.parquet` by place.
        types: the type of each task.
    """
    by_place = {}
    for place, cell in read_cell_counts(cells, types):
        sizes = [size for size in SIZES if size < cell.examples]
        drawn = draws(cell.examples, "{task} {target}".format(**cell.names), subsets)
        points, picks = choices(
            cell.validation, cell.task.scores, cell.metric, cell.neutral, drawn, sizes
        )
        scores = np.array(
            [cell.task.total(cell.test[point], cell.tested)[cell.metric] for point in points]
        )
        curve = {
            point: cell.task.total(cell.validation[point], cell.examples)[cell.metric]
            for point in points
        }
        whole = points.index(selection.select(curve, cell.neutral))
        grid = np.array(points)
        near = np.abs(grid - grid[whole]).max(axis=1) <= NEAR + 1e-9
        of_cell = [
            {
                "labelled": size,
                "value": float(scores[chosen].mean()),
                "sd": float(scores[chosen].std(ddof=1)),
                "near": float(near[chosen].mean()),
            }
            for size, chosen in zip(sizes, picks, strict=True)
        ]
        of_cell.append(
            {"labelled": cell.examples, "value": float(scores[whole]), "sd": 0.0, "near": 1.0}
        )
        names = {
            "experiment": "label_free",
            **cell.names,
            "metric": cell.metric,
            "examples": cell.examples,
        }
        by_place[place] = [names | row for row in of_cell]
    return [row for place in cells for row in by_place[place]]
