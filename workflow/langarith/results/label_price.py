"""The price of labels: the test score with λ chosen on n labelled examples of the target.

The paper's rule, `validation`, is applied to random subsets of the validation examples: the result
for a user who annotates n sentences. Only `outcomes.parquet` of the cells is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from langarith.evaluation import selection
from langarith.results import choice_certainty
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


def weights(drawn: np.ndarray, size: int, examples: int) -> np.ndarray:
    """How often each subset of a size has each example, 0 or 1, as `statistics.example_weights`.

    Args:
        drawn: as `draws`.
    """
    found = np.zeros((len(drawn), examples), dtype=np.float32)
    np.put_along_axis(found, drawn[:, :size], 1, axis=1)
    return found


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
        drawn = draws(cell.examples, "{task} {target}".format(**cell.names), subsets)
        points = selection.preferred(cell.validation, cell.neutral)
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
        of_cell = []
        for size in (size for size in SIZES if size < cell.examples):
            _, chosen = choice_certainty.choices(
                cell.validation,
                cell.task.scores,
                cell.metric,
                cell.neutral,
                weights(drawn, size, cell.examples),
            )
            of_cell.append(
                {
                    "labelled": size,
                    "value": float(scores[chosen].mean()),
                    "sd": float(scores[chosen].std(ddof=1)),
                    "near": float(near[chosen].mean()),
                }
            )
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
