"""The sweep of a cell: load once, tokenise once, merge in place at each point, evaluate, choose."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from langarith import tasks
from langarith.errors import gathered_warnings
from langarith.evaluation import outcomes, selection
from langarith.evaluation.merge_files import MergeFiles
from langarith.evaluation.scoring import (
    EncodedSplit,
    SplitScores,
    checked_split,
    load_stack,
    use_language_adapter,
)
from langarith.files import whole, write_json
from langarith.merging import Merge, Method
from langarith.merging.search import Search
from langarith.merging.tensors import write_in_place
from langarith.models import encoders
from langarith.models.adapters import LANGUAGE, named_parameters
from langarith.models.resize import resize
from langarith.operands import Point, parse_operands, point_text, point_value
from langarith.progress import Progress
from langarith.tasks.shared.base import Encoding


@dataclass(frozen=True)
class Sweep:
    """The scores of a sweep, by split and point, in the order of the points.

    The scores on test include the method's tested points that its grid lacks.

    `selected`: the point that validation chooses. `refined`: the points that were evaluated because
    they are near the best of the first ones; none if the search is not refined. `kept`: the scores
    on test, with predictions, of the chosen point and the method's tested points; all other scores
    have no predictions.
    """

    scores: dict[str, dict[Point, SplitScores]]
    selected: Point
    kept: dict[Point, SplitScores]
    refined: tuple[Point, ...] = ()


def sweep(
    model: PreTrainedModel,
    merge: Merge,
    search: Search,
    validation: EncodedSplit,
    test: EncodedSplit,
    method: Method,
    title: str,
) -> Sweep:
    """Evaluate the merges of a search on validation and on test, and choose one on validation.

    Args:
        model: with Stack(language, task) active; the language adapter is overwritten.
        merge: gives the merged language adapter at a point, named as in `read_adapter`.
        search: the points to evaluate.
        method: decides between equal scores, and of which tested points predictions are kept.
        title: of the progress lines.
    """
    parameters = named_parameters(model, LANGUAGE)
    metric = validation.task.metrics[0]
    neutral = selection.neutral(method, search.grid[0])
    progress = Progress(title, search.most_points, "point")
    scores: dict[str, dict[Point, SplitScores]] = {"validation": {}, "test": {}}
    values: dict[Point, float] = {}
    kept: dict[Point, SplitScores] = {}
    one_number = len(search.grid[0]) == 1
    tested: set[Point] = {(number,) for number in method.tested} if one_number else set()

    def evaluate(points: Iterable[Point]) -> Point:
        """Score more points; returns the best so far."""
        for point in points:
            write_in_place(parameters, merge(point))
            on_validation = validation.score(model)
            values[point] = on_validation.metrics[metric]
            scores["validation"][point] = replace(on_validation, predictions=[])
            kept[point] = test.score(model)
            scores["test"][point] = replace(kept[point], predictions=[])
            best = selection.select(values, neutral)
            for other in kept.keys() - {best, *tested}:
                del kept[other]
            progress.update(len(values), f"{metric} {values[point]:.1f}")
        return selection.select(values, neutral)

    refined = search.near(evaluate(search.first))
    progress.total = len(search.first) + len(refined)
    selected = evaluate(refined)
    scores = {
        split: {point: by_point[point] for point in search.grid if point in by_point}
        for split, by_point in scores.items()
    }
    for point in sorted(tested - set(search.grid)):
        write_in_place(parameters, merge(point))
        kept[point] = test.score(model)
    for point, scored in sorted(kept.items()):
        kept[point] = test.report(scored)
        scores["test"][point] = replace(kept[point], predictions=[])
    return Sweep(scores, selected, kept, tuple(refined))


def run_cell(
    cell: Mapping[str, str],
    method: Method,
    values: Sequence[float],
    search: str,
    folder: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    merge_files: MergeFiles,
    task_adapter: Path,
    files: Mapping[str, Path],
    reading: Mapping[str, Any],
    batches: Mapping[str, Any],
) -> None:
    """Run one cell of the grid from files to files: the job of a sweep of any method.

    Args:
        cell: the cell's wildcards, `method` included.
        values: the numbers of `lambdas.{method}`, which give the points of the method.
        search: `lambdas.{method}.search`.
        folder: where :func:`write` writes.
        encoder, tokenizer, task_adapter: folders.
        files: `validation` and `test`.
        reading: what :func:`langarith.study.sources.task_reading` gives.
        batches: `tokens_per_batch` and `precision`.
    """
    merge, norms = merge_files.read(method, int(cell["seed"]))
    task = tasks.reader(reading)
    loaded = encoders.load_tokenizer(tokenizer, masked_lm=False)
    trained = json.loads((task_adapter / "task.json").read_text(encoding="utf-8"))
    encoding = Encoding(reading["max_length"], tuple(trained["labels"]), reading["stride"])
    splits = []
    with gathered_warnings() as warnings:
        for split in ("validation", "test"):
            examples = task.read_split(files[split], split, reading)
            where = f"{cell['task']}, {cell['target']}, {split} ({files[split]})"
            where += f", model {cell['model']}"
            splits.append(checked_split(task, examples, loaded, encoding, where, batches))
    validation, test = splits
    search_ = method.search(values, len(merge_files.operands), search)
    # any adapter of the operands' shape: its weights are overwritten
    model = load_stack(encoder, merge_files.operands[0], task_adapter)
    if not method.writable:
        resize(model, LANGUAGE, merge(search_.grid[0]))
    swept = sweep(
        model,
        merge,
        search_,
        validation,
        test,
        method,
        "sweep {method} {task} {target} {operands}, seed {seed}".format(**cell),
    )
    use_language_adapter(model, False)
    references = {
        "none": test.report(test.score(model)).metrics,
        "majority": task.report(task.constant(trained["majority"], test.examples), test.examples),
    }
    write(folder, cell, swept, validation, test, references, norms, [str(w) for w in warnings])


def write(
    folder: Path,
    cell: Mapping[str, str],
    swept: Sweep,
    validation: EncodedSplit,
    test: EncodedSplit,
    references: Mapping[str, Mapping[str, float]],
    norms: Sequence[float] = (),
    warnings: Sequence[str] = (),
) -> None:
    """Write a sweep into a folder.

    `lambda=*.json`, `selected.json`, `outcomes.parquet`, `predictions.parquet`.

    Args:
        cell: the cell's wildcards.
        references: test scores of methods without a merge, by method name.
        norms: ‖τ‖ of the operands; none if θ_pre is not known.
        warnings: about the data.
    """
    operands = parse_operands(cell["operands"])
    cell = {**cell, "left": str(operands[0]), "right": str(operands[-1])}
    counts = {"validation": len(validation.examples), "test": len(test.examples)}
    curve = swept.scores["validation"]
    files = {folder / f"lambda={point_text(point)}.json": point for point in curve}
    for path in set(folder.glob("lambda=*.json")) - set(files):
        path.unlink()  # of an earlier sweep, at a point that this one lacks
    for path, point in files.items():
        write_json(
            path,
            {**cell, "lambda": point_value(point), "examples": counts}
            | {split: scored[point].metrics for split, scored in swept.scores.items()}
            | {"entropy": curve[point].entropy},
        )
    write_json(
        folder / "selected.json",
        {
            **cell,
            "metric": validation.task.metrics[0],
            "selected": point_value(swept.selected),
            "refined": [point_value(point) for point in swept.refined],
            "examples": counts,
            "validation": [
                entry | {"entropy": scored.entropy}
                for entry, scored in zip(_entries(curve), curve.values(), strict=True)
            ],
            "test": _entries(swept.scores["test"]),
            "references": {name: dict(metrics) for name, metrics in references.items()},
            "norms": list(norms),
            "dropped_words": test.features.dropped_words,
            "padding": {"validation": validation.batches.padding, "test": test.batches.padding},
            "warnings": list(warnings),
        },
    )
    outcomes.write(
        folder / "outcomes.parquet",
        {
            split: {point: scored.counts for point, scored in points.items()}
            for split, points in swept.scores.items()
        },
    )
    _write_predictions(folder / "predictions.parquet", swept.kept, test)


def _entries(scores: Mapping[Point, SplitScores]) -> list[dict[str, Any]]:
    return [{"lambda": point_value(point), "metrics": s.metrics} for point, s in scores.items()]


def _write_predictions(path: Path, kept: Mapping[Point, SplitScores], test: EncodedSplit) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"lambda": [], "id": [], "prediction": [], "gold": []}
    gold = [json.dumps(annotation, ensure_ascii=False) for annotation in test.gold]
    for point, scored in kept.items():
        columns["lambda"] += [point_value(point)] * len(gold)
        columns["id"] += [example.id for example in test.examples]
        columns["prediction"] += [json.dumps(p, ensure_ascii=False) for p in scored.predictions]
        columns["gold"] += gold
    with whole(path) as partial:
        pq.write_table(pa.table(columns), partial, compression="zstd")
