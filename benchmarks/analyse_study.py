"""Everything after the sweeps of a study of the paper's size, from its files, without a model.

The cells are those of `config.yaml`, 840 of them (280 a seed), with made outcomes of 10,000
examples on each split at every point; those of a task and seed share one file, so that no gigabytes
are written. On them all that a study asks of its sweeps: gains with their intervals, the rules that
choose λ with their regrets, the price of labels, and how sure each choice is. In the workflow these
are a job for each experiment.

The peer computes one cell by plain loops over resamples, the price of labels and the interval of
one gain, as one writes them by hand, and is taken times the number of such cells and gains; it
reads no files. Both sides agree on the numbers of that cell.

To reach: ten minutes and 4 GiB on two cores. `cpu_seconds` is what a busy machine says of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import harness
from langarith import layout, merging, tasks
from langarith.evaluation import outcomes, selection
from langarith.operands import Point, point_value
from langarith.results import (
    choice_certainty,
    estimates,
    gains,
    label_free,
    label_price,
    statistics,
    tables,
)
from langarith.study import experiments, grid, loading, schema, sources

RESULTS = "results"
ENTROPY = 0.5


# ---------------------------------------------------------------- the made study


def counts(kind: str, point: Point, seed: int, examples: int, split: str) -> Mapping[str, Any]:
    """Made counts of one task type at a point: the middle of the grid is a little better."""
    shared = np.random.default_rng([seed, len(split)])  # the same examples at every point
    gold, difficulty = shared.integers(0, 4, examples), shared.normal(size=examples)
    rng = np.random.default_rng([seed, len(split), round(100 * point[0])])
    skill = 1 / (1 + np.exp(difficulty - 0.6 + (point[0] - 0.6) ** 2))
    if kind == "ner":
        correct = rng.binomial(gold, skill)
        predicted = correct + rng.binomial(1, 0.3, examples)
        kinds = {"correct": correct, "predicted": predicted, "gold": gold}
        metrics = tasks.get(kind).metrics
        return {f"{metric} {name}": values for metric in metrics for name, values in kinds.items()}
    right = rng.binomial(1, skill)
    if kind == "qa":
        return {"f1": np.maximum(right, rng.choice([0, 0, 0.4], examples)), "exact_match": right}
    return {"correct": right}


def write_study(study: schema.Study, folder: Path, examples: int) -> None:
    """`selected.json` and `outcomes.parquet` of every cell."""
    made: dict[tuple[str, str, int], tuple[Path, dict[str, Any]]] = {}
    for cell in experiments.all_cells(study):
        kind = sources.task_type(study, cell.task)
        if (kind, cell.method, cell.seed) not in made:
            points = grid.search(study, cell.method, len(cell.operands)).grid
            of_split = {
                split: {point: counts(kind, point, cell.seed, examples, split) for point in points}
                for split in ("validation", "test")
            }
            path = folder / f"{kind}-{cell.method}-{cell.seed}.parquet"
            outcomes.write(path, of_split)
            made[kind, cell.method, cell.seed] = path, swept(kind, cell.method, of_split, examples)
        path, content = made[kind, cell.method, cell.seed]
        place = folder / layout.CELL.format(**cell.wildcards)
        place.mkdir(parents=True)
        (place / "outcomes.parquet").symlink_to(path)
        sides = {"left": str(cell.left), "right": str(cell.right)}
        (place / "selected.json").write_text(json.dumps(cell.wildcards | sides | content))


def swept(
    kind: str, method: str, of_split: Mapping[str, Mapping[Point, Any]], examples: int
) -> dict[str, Any]:
    """What `selected.json` says of a sweep, without its place."""
    task = tasks.get(kind)
    scores = {
        split: {point: task.total(of, examples) for point, of in points.items()}
        for split, points in of_split.items()
    }
    curve = {point: found[task.metrics[0]] for point, found in scores["validation"].items()}
    neutral = selection.neutral(merging.get(method), next(iter(curve)))
    return {
        "metric": task.metrics[0],
        "selected": point_value(selection.select(curve, neutral)),
        "examples": dict.fromkeys(scores, examples),
        "references": {},
        "norms": [3.0, 4.0],
        **{
            split: [
                {"lambda": point_value(point), "metrics": found, "entropy": ENTROPY}
                for point, found in points.items()
            ]
            for split, points in scores.items()
        },
    }


def files(study: schema.Study, folder: Path, experiment: str, name: str) -> list[Path]:
    """The files of that name of the cells of an experiment."""
    cells = experiments.cells(study, experiment)
    return [folder / layout.CELL.format(**cell.wildcards) / name for cell in cells]


def study_of(given: harness.Given) -> schema.Study:
    return loading.load(Path(given["study"]))


# ---------------------------------------------------------------- both sides


def ours(given: harness.Given) -> dict[str, Any]:
    study, folder = study_of(given), Path(given["folder"])
    types = {name: sources.task_type(study, name) for name in study.tasks}
    seconds: dict[str, float] = {}
    start, start_cpu = time.perf_counter(), time.process_time()
    made: dict[str, Any] = {}

    def timed(stage: str, since: float) -> None:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - since

    for name in [*study.experiments, "label_free"]:
        if name not in experiments.GAINS:
            continue
        since = time.perf_counter()
        selected = files(study, folder, name, "selected.json")
        if name == "label_free":
            cells = [json.loads(path.read_text("utf-8")) for path in selected]
            path = folder / "rules.csv"
            tables.write(
                label_free.rows(cells, study.task_language, study.related), path, label_free.COLUMNS
            )
        else:
            path = folder / "table.csv"
            tables.write(tables.rows(name, selected, []), path)
        table = tables.read(path)
        timed("tables", since)
        since = time.perf_counter()
        paths = layout.cell_paths(map(str, files(study, folder, name, "outcomes.parquet")))
        found = gains.gains(name, table, study.task_language)
        made[name] = estimates.estimate(name, found, paths, types)
        timed("gains", since)
    since = time.perf_counter()
    price = label_price.rows(paths, types)
    timed("price", since)
    since = time.perf_counter()
    # every cell, although experiments show the choice of the zero-shot cells, budgets and TIES
    every = [layout.CELL.format(**cell.wildcards) for cell in experiments.all_cells(study)]
    paths = layout.cell_paths(f"{folder}/{cell}/outcomes.parquet" for cell in every)
    choice_certainty.rows("all", paths, types)
    timed("choices", since)
    place, gain = given["place"], made["zero_shot"]
    model, task, target = place[:3]
    gain = gain[(gain[["model", "task", "target"]] == [model, task, target]).all(axis=1)].iloc[0]
    cell = [row for row in price if [str(row[key]) for key in KEYS] == place]
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
        **{f"{stage}_seconds": value for stage, value in seconds.items()},
        "answer": {
            "value": [round(row["value"], 6) for row in cell],
            "near": [round(row["near"], 6) for row in cell],
            "interval": [round(gain["low"], 2), round(gain["high"], 2)],
        },
    }


KEYS = ("model", "task", "target", "method", "operands", "seed")


def theirs(given: harness.Given) -> dict[str, Any]:
    """One cell's price and one gain's interval by loops, times the cells and gains of the study."""
    study, folder = study_of(given), Path(given["folder"])
    place = given["place"]
    task = tasks.get(sources.task_type(study, place[1]))
    metric, wildcards = task.metrics[0], dict(zip(KEYS, place, strict=True))

    def read(seed: int) -> dict[str, dict[Point, dict[str, np.ndarray]]]:
        path = folder / layout.CELL.format(**(wildcards | {"seed": seed})) / "outcomes.parquet"
        return outcomes.read(path)

    def scores(points: Mapping[Point, Any], drawn: np.ndarray) -> dict[Point, float]:
        return {
            point: task.total({n: c[drawn] for n, c in of.items()}, len(drawn))[metric]
            for point, of in points.items()
        }

    cell = read(int(place[-1]))
    validation, test = cell["validation"], cell["test"]
    sizes = {split: len(next(iter(next(iter(of.values())).values()))) for split, of in cell.items()}
    orders = label_price.draws(sizes["validation"], f"{place[1]} {place[2]}")
    start, start_cpu = time.perf_counter(), time.process_time()
    tested = scores(test, np.arange(sizes["test"]))
    whole = selection.select(scores(validation, np.arange(sizes["validation"])), 0.5)
    value, near = [], []
    for size in (n for n in label_free.SIZES if n < sizes["validation"]):
        chosen = [selection.select(scores(validation, order[:size]), 0.5) for order in orders]
        value.append(round(float(np.mean([tested[point] for point in chosen])), 6))
        near.append(round(float(np.mean([abs(p[0] - whole[0]) <= 0.0501 for p in chosen])), 6))
    price = time.perf_counter() - start, time.process_time() - start_cpu

    seeds = list(study.seeds)
    cells = {seed: read(seed) for seed in seeds}
    weights = statistics.example_weights(sizes["test"], f"{place[1]} {place[2]}")
    drawn = [np.repeat(np.arange(len(row)), row.astype(int)) for row in weights]
    start, start_cpu = time.perf_counter(), time.process_time()
    sides = {}
    for seed in seeds:
        examples = np.arange(sizes["validation"])
        best = selection.select(scores(cells[seed]["validation"], examples), 0.5)
        sides[seed] = [cells[seed]["test"][point] for point in (best, (1.0,), (0.0,))]

    def difference(rows: np.ndarray, shares: np.ndarray) -> float:
        by_seed = [
            list(scores(dict(enumerate(sides[seed])), rows).values())  # type: ignore[arg-type]
            for seed in seeds
        ]
        merged, left, right = np.dot(shares, np.array(by_seed))
        return float(merged - max(left, right))

    weights_of_seeds = statistics.seed_weights(len(seeds))
    differences = [
        difference(rows, shares) for rows, shares in zip(drawn, weights_of_seeds, strict=True)
    ]
    of_data = difference(np.arange(sizes["test"]), np.full(len(seeds), 1 / len(seeds)))
    gain = time.perf_counter() - start, time.process_time() - start_cpu
    low, high = 2 * of_data - np.quantile(differences, [0.975, 0.025])
    wall, cpu = (price[i] * given["priced"] + gain[i] * given["gains"] for i in range(2))
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "answer": {
            "value": [*value, round(tested[whole], 6)],
            "near": [*near, 1.0],
            "interval": [round(float(low), 2), round(float(high), 2)],
        },
    }


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    examples = 60 if asked.tiny else 10_000
    with TemporaryDirectory() as place:
        folder = Path(place, "results")
        folder.mkdir()
        path = Path(place, "study.yaml")
        path.write_text(overlay(asked.tiny, getattr(asked, "seeds", 3)))
        study = loading.load(path)
        write_study(study, folder, examples)
        cells = experiments.cells(study, "label_free")
        first = cells[0]
        bars: dict[str, float | None] = {"seconds": 10, "cpu_seconds": None, "peak_mb": None}
        yield harness.Case(
            f"{len(experiments.all_cells(study)):,} cells, {examples:,} examples",
            {
                "study": str(path),
                "folder": str(folder),
                "place": [first.wildcards[key] for key in KEYS],
                "priced": len(cells),
                "gains": len({(c.model, c.task, c.target) for c in cells}) * GAINS,
            },
            bars=bars,
            note="to reach: 600 s and 4.3 GB",
            repeats=1,
        )


GAINS = 1 + 1 + 7
"""Of a target at least: zero-shot, enhancement, and seven rules against validation."""


def overlay(tiny: bool, seeds: int) -> str:
    """The paper's study with the experiment `label_free`, or nano's."""
    base = harness.ROOT / ("studies/nano.yaml" if tiny else "config.yaml")
    asked = loading.load(base).model_dump(mode="json", exclude_none=True)["experiments"]
    names = ("zero_shot", "enhancement", "low_resource", "relatedness", "ties")
    shown = {name: asked[name] for name in names if name in asked}
    shown["label_free"] = asked["zero_shot"]
    own = {} if tiny else {"seeds": list(range(1, seeds + 1))}
    return json.dumps({"extends": str(base), "experiments": shown} | own)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=3, help="of 280 cells each")


if __name__ == "__main__":
    harness.main(__doc__, "analyse_study", {"ours": ours, "loop": theirs}, cases, options=options)
