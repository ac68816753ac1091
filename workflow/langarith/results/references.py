"""Scores without a merge that figures draw as horizontal lines."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from langarith.results import analysis


def levels(table: pd.DataFrame, method: str) -> Mapping[tuple[str, str], Mapping[str, float]]:
    """Means over seeds of a reference's test scores, of each target and of `analysis.AVERAGE`.

    The average takes the seeds that have every target; without such a seed there is none. Scores of
    0 are left out: always answering the most frequent class scores 0 in NER and QA.

    Args:
        method: `none` (no language adapter) or `majority` (always the most frequent class of the
            training data).

    Returns:
        Scores in percent, for each model and task by target.
    """
    targets = analysis.cells(table)[analysis.RUN].drop_duplicates()
    scores = targets.merge(analysis.reference(table, method), how="left", on=analysis.RUN)
    found = {}
    for (model, task), part in scores.groupby(["model", "task"], sort=False):
        means = part.groupby("target", sort=False)["score"].mean()
        means[analysis.AVERAGE] = analysis.seed_averages(part, ["score"])["score"].mean()
        above = {str(target): float(value) for target, value in means.items() if value > 0}
        found[str(model), str(task)] = above
    return found
