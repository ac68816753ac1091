"""How sure the choice of λ is: how often resamples of the validation examples choose each point.

The paper's rule, `validation`, is applied to resampled validation examples: the point with the
highest score of the resample is chosen; among equal scores, the one that a sweep would choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from langarith.evaluation import selection
from langarith.evaluation.outcomes import Counts, Scores
from langarith.operands import Point, point_value
from langarith.results import statistics
from langarith.results.cell_counts import Place, read_cell_counts
from langarith.results.tables import budget

COLUMNS = (
    "experiment,model,task,target,method,operands,budget,seed,lambda,share,metric,examples"
).split(",")


def choice_shares(
    validation: Mapping[Point, Counts],
    scores: Scores,
    metric: str,
    neutral: float,
    weights: np.ndarray,
) -> dict[Point, float]:
    """The share of resamples that choose each point, 0 to 1, in the order of `validation`.

    Args:
        validation: by point the counts of all validation examples, see `outcomes.read`.
        scores: `Task.scores`.
        metric: the metric that chooses.
        neutral: the number that is preferred where scores are equal, see `selection.neutral`.
        weights: how often each resample has each example, shape (resamples, examples); as
            `statistics.example_weights`, or of fewer examples.
    """
    points, picks = choices(validation, scores, metric, neutral, weights)
    frequencies = np.bincount(picks, minlength=len(points)) / len(picks)
    shares = dict(zip(points, frequencies.tolist(), strict=True))
    return {point: shares[point] for point in validation}


def choices(
    validation: Mapping[Point, Counts],
    scores: Scores,
    metric: str,
    neutral: float,
    weights: np.ndarray,
) -> tuple[list[Point], np.ndarray]:
    """The choice of each resample; arguments as in :func:`choice_shares`.

    Returns:
        The points, and for each resample the position of its choice in them, shape (resamples,).
    """
    points = selection.preferred(validation, neutral)
    found = statistics.resampled_scores(scores, metric, [validation[p] for p in points], weights)
    return points, found.argmax(axis=1)  # the first of equal scores: the preferred one


def rows(
    experiment: str,
    cells: Mapping[Place, Path],
    types: Mapping[str, str],
    resamples: int = statistics.RESAMPLES,
) -> list[dict[str, Any]]:
    """A row per cell and point of its grid, see `COLUMNS`; `share` is 0 to 1.

    `examples` is the number of validation examples. All seeds and methods of a target are compared
    on the same resamples.

    Args:
        cells: `outcomes.parquet` by place.
        types: the type of each task.
    """
    by_place = {}
    for place, cell in read_cell_counts(cells, types):
        drawn = "{task} {target} validation".format(**cell.names)
        shares = choice_shares(
            cell.validation,
            cell.task.scores,
            cell.metric,
            cell.neutral,
            statistics.example_weights(cell.examples, drawn, resamples),
        )
        of_cell = {
            "experiment": experiment,
            **cell.names,
            "budget": budget(cell.names["operands"]),
            "metric": cell.metric,
            "examples": cell.examples,
        }
        by_place[place] = [
            of_cell | {"lambda": point_value(point), "share": share}
            for point, share in shares.items()
        ]
    return [row for place in cells for row in by_place[place]]
