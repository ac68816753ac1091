"""Intervals of a difference of scores: a paired bootstrap over examples and seeds.

A metric is a function of sums over examples (`Task.scores`), so that a resample is a matrix product
of weights and counts: a corpus-level F1 comes from summed counts, never from a mean of sentence F1.
Reference: Berg-Kirkpatrick, Burkett and Klein 2012, "An Empirical Investigation of Statistical
Significance in NLP"; Efron and Tibshirani 1993, chapter 13 (percentile interval); Davison and
Hinkley 1997, section 5.2 (basic interval).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from langarith.evaluation.outcomes import Counts, Scores

RESAMPLES = 2000
SEED = 20170
LEVEL = 0.95
DECIMALS = 9
"""Scores in percent are ratios of sums of counts: what remains of equal ones is rounding errors."""
ROWS = 250
"""Resamples whose drawn examples are in memory at once."""


@dataclass(frozen=True)
class Interval:
    """Interval of a statistic, and the two-sided p value of its being 0.

    p is twice the smaller share of resamples on one side of 0, at least 2 / (resamples + 1).
    """

    low: float
    high: float
    p: float


def interval(values: np.ndarray, *, around: float | None = None) -> Interval:
    """The 95 % percentile interval of a statistic from its values in resamples: (resamples,).

    Args:
        around: the statistic of the data. If it is given, the interval is the basic one, which
            mirrors the percentile interval at this value. It is for statistics that resampling
            shifts, such as a gain over the best of several scores: the maximum of resampled scores
            is too high on average (Davison and Hinkley 1997, section 5.2).
    """
    if around is not None:
        values = 2 * around - values
    values = np.round(values, DECIMALS) + 0.0  # no -0.0
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    smaller = min((values <= 0).sum(), (values >= 0).sum())
    return Interval(float(low), float(high), min(1.0, 2 * (1 + int(smaller)) / (len(values) + 1)))


@lru_cache(maxsize=1)
def example_weights(examples: int, name: str, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each example is drawn in each resample: shape (resamples, examples), float32.

    The same for every call with one `name` (a task and a target): both sides of a difference, all
    seeds and all methods are compared on the same examples. Do not modify the array.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), examples])
    weights = np.empty((resamples, examples), dtype=np.float32)
    for start in range(0, resamples, ROWS):
        rows = weights[start : start + ROWS]
        drawn = rng.integers(examples, size=rows.shape, dtype=np.int32)
        drawn += np.arange(len(rows), dtype=np.int32)[:, None] * np.int32(examples)
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return weights


def seed_weights(seeds: int, resamples: int = RESAMPLES) -> np.ndarray:
    """The share of each seed in each resample: shape (resamples, seeds); rows sum to 1."""
    rng = np.random.default_rng([SEED, seeds])
    drawn = rng.integers(seeds, size=(resamples, seeds))
    return (drawn[:, :, None] == np.arange(seeds)).mean(axis=1)


def resampled(
    scores: Scores,
    metric: str,
    counts: Sequence[Counts],
    examples: np.ndarray,
    seeds: np.ndarray,
) -> np.ndarray:
    """The mean over seeds of a metric in each resample: shape (resamples,).

    Args:
        scores: `Task.scores`.
        counts: of each seed, the counts of all examples.
        examples: weights of `example_weights`.
        seeds: weights of `seed_weights`, one column for each of `counts`.
    """
    found = resampled_scores(scores, metric, counts, examples)
    return np.asarray((found * seeds).sum(axis=1))


def resampled_scores(
    scores: Scores, metric: str, counts: Sequence[Counts], examples: np.ndarray
) -> np.ndarray:
    """A metric of each of `counts` in each resample: shape (resamples, len(counts)).

    Equal counts give bitwise equal scores, so that ties are ties: sums are exact, in single
    precision if it represents every sum of whole numbers, else in double precision.

    Args:
        scores: `Task.scores`.
        counts: counts of all examples, of a seed or of a point each.
        examples: weights, shape (resamples, examples): how often a resample contains an example.
    """
    names = list(dict.fromkeys(name for one in counts for name in one))
    size = examples.shape[1]
    table = np.stack(
        [one.get(name, np.zeros(size)) for one in counts for name in names], axis=1
    ).astype(np.float32)
    drawn = examples.sum(axis=1, dtype=float)[:, None]
    largest = drawn.max() * table.max(initial=0)
    if largest >= 2**24 or not np.array_equal(table, np.rint(table)):
        examples, table = examples.astype(float), table.astype(float)
    sums = (examples @ table).astype(float).reshape(len(examples), len(counts), len(names))
    found = scores({name: sums[:, :, i] for i, name in enumerate(names)} | {"examples": drawn})
    return np.asarray(found[metric])


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of several comparisons, adjusted to bound the chance of any false positive.

    Reference: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
