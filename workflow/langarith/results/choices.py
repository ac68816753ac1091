"""How sure the choice of λ is: how often resamples of the validation examples choose each point.

The paper's rule, `validation`, is applied to resampled validation examples: the point with the
highest score of the resample is chosen, of equal scores the one that a sweep would choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from langarith import merging, tasks
from langarith.evaluation import outcomes, selection
from langarith.operands import Point, point_value
from langarith.results import statistics
from langarith.results.statistics import Counts, Scores
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
    counted = np.bincount(picks, minlength=len(points)) / len(picks)
    shares = dict(zip(points, counted.tolist(), strict=True))
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
    return points, found.argmax(axis=1)  # of equal scores the first: the preferred one


def rows(
    experiment: str,
    cells: Mapping[tuple[str, ...], Path],
    types: Mapping[str, str],
    resamples: int = statistics.RESAMPLES,
) -> list[dict[str, Any]]:
    """A row per cell and point of its grid, see `COLUMNS`; `share` is 0 to 1.

    `examples` is the number of validation examples. All seeds and methods of a target are compared
    on the same resamples.

    Args:
        cells: `outcomes.parquet` by (model, task, target, method, operands, seed).
        types: the type of each task.
    """
    found = {}
    # cells of one target after another: they share the drawn examples
    for place in sorted(cells, key=lambda place: place[1:3]):
        model, name, target, method, operands, seed = place
        task = tasks.get(types[name])
        validation = outcomes.read(cells[place])["validation"]
        first = next(iter(validation))
        examples = len(next(iter(validation[first].values())))
        shares = choice_shares(
            validation,
            task.scores,
            task.metrics[0],
            selection.neutral(merging.get(method), first),
            statistics.example_weights(examples, f"{name} {target} validation", resamples),
        )
        cell = {
            "experiment": experiment,
            "model": model,
            "task": name,
            "target": target,
            "method": method,
            "operands": operands,
            "budget": budget(operands),
            "seed": int(seed),
            "metric": task.metrics[0],
            "examples": examples,
        }
        found[place] = [
            cell | {"lambda": point_value(point), "share": share} for point, share in shares.items()
        ]
    return [row for place in cells for row in found[place]]
