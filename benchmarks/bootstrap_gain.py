"""The interval of a gain: resamples as a matrix product against a loop over resamples.

One target of the paper's zero-shot table: language arithmetic and both proxies, three seeds, 10,000
NER sentences, 2,000 resamples. The peer draws the same sentences resample by resample, sums their
counts with numpy and computes each score: what one writes by hand. Both give the same interval.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import harness
from langarith import tasks
from langarith.results import statistics

SIDES, SEEDS = 3, 3
NER = tasks.get("ner")


def counts(examples: int) -> list[list[dict[str, np.ndarray]]]:
    """Made counts by side and seed."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 4, examples)
    made = []
    for side in range(SIDES):
        of_side = []
        for _ in range(SEEDS):
            correct = rng.binomial(gold, 0.6 + 0.03 * side)
            predicted = correct + rng.integers(0, 2, examples)
            kinds = {"correct": correct, "predicted": predicted, "gold": gold}
            of_side.append({f"{m} {k}": v for m in NER.metrics for k, v in kinds.items()})
        made.append(of_side)
    return made


def measured(values: np.ndarray, start: float) -> dict[str, Any]:
    found = statistics.interval(values[-1] - values[:-1].max(axis=0))
    answer = [round(found.low, 3), round(found.high, 3)]
    return {"seconds": time.perf_counter() - start, "answer": answer}


def ours(given: harness.Given) -> dict[str, Any]:
    sides = counts(given["examples"])
    start = time.perf_counter()
    weights = statistics.example_weights(given["examples"], "ner xx", given["resamples"])
    seeds = statistics.seed_weights(SEEDS, given["resamples"])
    values = [statistics.resampled(NER.scores, "f1", side, weights, seeds) for side in sides]
    return measured(np.array(values), start)


def theirs(given: harness.Given) -> dict[str, Any]:
    sides = counts(given["examples"])
    weights = statistics.example_weights(given["examples"], "ner xx", given["resamples"])
    drawn = [np.repeat(np.arange(len(row)), row.astype(int)) for row in weights]
    seeds = statistics.seed_weights(SEEDS, given["resamples"])
    start = time.perf_counter()
    values = np.empty((SIDES, len(drawn)))
    for row, chosen in enumerate(drawn):
        for at, side in enumerate(sides):
            scores = [
                NER.total({name: array[chosen] for name, array in one.items()}, len(chosen))["f1"]
                for one in side
            ]
            values[at, row] = float(np.dot(scores, seeds[row]))
    return measured(values, start)


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    examples, resamples = (200, 40) if asked.tiny else (10_000, 2000)
    yield harness.Case(
        f"{examples:,} sentences, {resamples:,} resamples",
        {"examples": examples, "resamples": resamples},
        bars={"seconds": 5, "peak_mb": None},
    )


if __name__ == "__main__":
    harness.main(__doc__, "bootstrap_gain", {"ours": ours, "loop": theirs}, cases)
