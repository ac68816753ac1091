"""The bootstrap against scipy, against a plain loop, and by its coverage on made data."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, false_discovery_control

from langarith import tasks
from langarith.results import statistics

NER, NLI = tasks.get("ner"), tasks.get("nli")


def tagged(count: int, right: float, seed: int) -> dict[str, np.ndarray]:
    """Counts of made sentences, of whose entities a share is found."""
    rng = random.Random(seed)
    gold = [["B-LOC", "O", rng.choice(["B-PER", "O"])] for _ in range(count)]
    said = [[tag if rng.random() < right else "O" for tag in tags] for tags in gold]
    return NER.counts(said, gold)


def test_a_resample_draws_as_many_examples_as_there_are_and_is_the_same_again() -> None:
    weights = statistics.example_weights(30, "ner es", 700)
    assert weights.shape == (700, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert np.array_equal(weights, statistics.example_weights(30, "ner es", 700))
    assert not np.array_equal(weights, statistics.example_weights(30, "ner fr", 700))
    assert abs(weights.mean(axis=0) - 1).max() < 0.15
    shares = statistics.seed_weights(3, 700)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert set(np.round(shares * 3).ravel()) == {0, 1, 2, 3}


def test_corpus_f1_of_a_resample_comes_from_summed_counts() -> None:
    """A plain loop over resamples and examples gives the same, seed by seed."""
    counts = [tagged(25, share, seed) for seed, share in enumerate((0.5, 0.8))]
    examples = statistics.example_weights(25, "ner es", 40)
    seeds = statistics.seed_weights(2, 40)
    found = statistics.resampled(NER.scores, "f1", counts, examples, seeds)
    for row in range(40):
        by_seed = []
        for one in counts:
            correct, predicted, gold = (
                sum(examples[row, i] * one[f"f1 {kind}"][i] for i in range(25))
                for kind in ("correct", "predicted", "gold")
            )
            by_seed.append(200 * correct / (predicted + gold))
        assert found[row] == pytest.approx(np.dot(by_seed, seeds[row]), rel=1e-5)


def test_interval_agrees_with_scipy() -> None:
    """Accuracy of two systems on the same examples: scipy resamples the pairs."""
    rng = np.random.default_rng(3)
    easy = rng.random(400)
    left, right = (easy < 0.7).astype(int), ((easy + rng.normal(0, 0.2, 400)) < 0.6).astype(int)
    weights, one = statistics.example_weights(400, "nli de"), np.ones((2000, 1))
    difference = [
        statistics.resampled(NLI.scores, "accuracy", [{"correct": side}], weights, one)
        for side in (left, right)
    ]
    found = statistics.interval(difference[0] - difference[1])
    scipy = bootstrap(
        (left, right),
        lambda a, b, axis: 100 * (a.mean(axis) - b.mean(axis)),
        paired=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((scipy.low, scipy.high), abs=0.5)
    assert found.low < 100 * (left.mean() - right.mean()) < found.high


def two_systems(rng: np.random.Generator, count: int) -> list[dict[str, np.ndarray]]:
    """Counts of two systems that find about 70 % and 60 % of the entities.

    What is hard for one is hard for the other, so that only a paired resampling is right.
    """
    gold = rng.integers(1, 4, size=count)
    difficulty = rng.normal(size=count)
    sides = []
    for logit in (0.85, 0.4):
        found = rng.binomial(gold, 1 / (1 + np.exp(difficulty - logit)))
        sides.append({"f1 correct": found, "f1 predicted": found, "f1 gold": gold})
    return sides


def test_coverage_is_nominal_on_made_data_with_a_known_gain() -> None:
    """600 test sets of 200 sentences each."""
    rng = np.random.default_rng(5)
    population = [{n: c.sum() for n, c in side.items()} for side in two_systems(rng, 10**6)]
    known = np.subtract(*(entity_f1(side) for side in population))
    weights, one = statistics.example_weights(200, "ner xx", 1000), np.ones((1000, 1))
    hits = 0
    for _ in range(600):
        merged, proxy = (
            statistics.resampled(lambda sums: {"f1": entity_f1(sums)}, "f1", [side], weights, one)
            for side in two_systems(rng, 200)
        )
        found = statistics.interval(merged - proxy)
        hits += found.low <= known <= found.high
    assert 0.93 <= hits / 600 <= 0.97


@pytest.mark.parametrize(
    ("seeds", "ratio", "coverage"),
    [
        (2, 1, 92),
        (2, 2, 84),
        (2, 4, 72),
        (3, 1, 93),
        (3, 2, 90),
        (3, 4, 83),
        (5, 1, 94),
        (5, 2, 93),
        (5, 4, 89),
    ],
)
def test_intervals_are_too_narrow_if_few_seeds_differ_much(
    seeds: int, ratio: float, coverage: float
) -> None:
    """The table of docs/uncertainty.md.

    Args:
        ratio: standard deviation of the gain over seeds, by that over test sets.
        coverage: percent of the intervals that contain the gain, 0.
    """
    rng = np.random.default_rng(11)
    resamples, studies = statistics.RESAMPLES, 8000
    shares = statistics.seed_weights(seeds, resamples)
    hits = 0
    for _ in range(studies):
        of_seeds = rng.normal() + rng.normal(0, ratio, seeds)
        found = statistics.interval(shares @ of_seeds + rng.normal(0, 1, resamples))
        hits += found.low <= 0 <= found.high
    assert 100 * hits / studies == pytest.approx(coverage, abs=1)


@pytest.mark.parametrize("others", [1, 2, 4])
def test_a_gain_over_the_best_of_equals_is_rarely_found(others: int) -> None:
    """Of scores that are equal in truth, the percentile interval calls 8 to 20 % losses."""
    rng = np.random.default_rng(7)
    spread, tests, resamples = 1.0, 1500, 400
    losses = plain_losses = 0
    for _ in range(tests):
        scores = rng.normal(60, spread, 1 + others)
        drawn = scores + rng.normal(0, spread, (resamples, 1 + others))
        gain = scores[0] - scores[1:].max()
        gains = drawn[:, 0] - drawn[:, 1:].max(axis=1)
        losses += statistics.interval(gains, around=gain if others > 1 else None).high < 0
        plain_losses += statistics.interval(gains).high < 0
    assert losses / tests < {1: 0.04, 2: 0.06, 4: 0.09}[others]
    assert others == 1 or plain_losses > 1.5 * losses


def entity_f1(sums: Mapping[str, Any]) -> Any:
    return 200 * sums["f1 correct"] / (sums["f1 predicted"] + sums["f1 gold"])


def test_a_rounding_error_is_no_gain() -> None:
    """60.6 - 60.05 and its mirror image differ from 0.55 and 0 in the last bits."""
    gain = (60.0 + 61.2) / 2 - (60.1 + 60.0) / 2
    values = np.full(1000, 2 * gain - 1e-14)
    values[:100] = gain
    found = statistics.interval(values, around=gain)
    assert (found.low, found.high) == (0.0, pytest.approx(gain))
    assert found.p == 1.0  # 900 of 1000 are 0, on both sides


def test_p_is_small_for_a_gain_and_large_for_none() -> None:
    rng = np.random.default_rng(0)
    assert statistics.interval(rng.normal(5, 1, 2000)).p == pytest.approx(2 / 2001)
    assert statistics.interval(rng.normal(0, 1, 2000)).p > 0.8
    assert statistics.interval(np.zeros(2000)).p == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_plain_values_and_bonferroni(values: list[float]) -> None:
    adjusted = statistics.holm(values)
    for plain, found in zip(values, adjusted, strict=True):
        assert plain <= found <= min(1, len(values) * plain) + 1e-12
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)
    # stricter than the control of the false discovery rate
    assert all(
        a >= b - 1e-12 for a, b in zip(adjusted, false_discovery_control(values), strict=True)
    )
