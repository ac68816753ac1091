"""The sweep of a cell: load once, tokenise once, merge in place at each point, evaluate, choose."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from langarith import tasks
from langarith.errors import gathered_warnings
from langarith.evaluation import selection
from langarith.evaluation.scoring import LANGUAGE, Scored, Split, load_stack, use_language_adapter
from langarith.files import whole, write_json
from langarith.merging import Merge, Method
from langarith.merging.tensors import write_in_place
from langarith.models import encoders
from langarith.models.adapters import named_parameters, read_adapter
from langarith.models.devices import device
from langarith.operands import Point, parse_operands, point_text, point_value
from langarith.progress import Progress
from langarith.tasks.shared.base import Encoding
from langarith.tasks.shared.checks import untruncated


@dataclass(frozen=True)
class Sweep:
    """The scores of a sweep.

    `validation`: metrics in percent by point, in the order of the points. `selected`: the chosen
    point. `test`: scores of the chosen point and of the method's tested points. `coarser`: by
    step, what a coarser grid would have chosen, with its metrics on test.
    """

    validation: dict[Point, dict[str, float]]
    selected: Point
    test: dict[Point, Scored]
    coarser: dict[float, tuple[Point, dict[str, float]]]


def sweep(
    model: PreTrainedModel,
    merge: Merge,
    points: Sequence[Point],
    validation: Split,
    test: Split,
    method: Method,
    title: str,
) -> Sweep:
    """Evaluate every merge on validation, choose one there, and evaluate it on test.

    Args:
        model: a model with Stack(language, task) active; the language adapter is overwritten.
        merge: gives the merged language adapter at a point, named as in `read_adapter`.
        method: says how equal scores are settled and which points are evaluated on test, too.
        title: what the progress lines call the sweep.
    """
    parameters = named_parameters(model, LANGUAGE)

    def score(point: Point, split: Split) -> Scored:
        write_in_place(parameters, merge(point))
        return split.score(model)

    metric = validation.task.metrics[0]
    progress = Progress(title, len(points), "point")
    curve: dict[Point, dict[str, float]] = {}
    for count, point in enumerate(points, 1):
        curve[point] = score(point, validation).metrics
        progress.update(count, f"{metric} {curve[point][metric]:.1f}")
    values = {point: metrics[metric] for point, metrics in curve.items()}
    # several numbers are weights: where scores are equal, equal weights are preferred
    neutral = method.neutral if len(points[0]) == 1 else 1 / (len(points[0]) + 1)
    selected = selection.select(values, neutral)
    tested = {selected}
    coarse: dict[float, Point] = {}
    if len(points[0]) == 1:
        tested |= {(number,) for number in method.tested}
        for step in selection.COARSE_STEPS if method.tested else ():
            grid = selection.coarser([number for (number,) in points], step)
            if grid:
                coarse[step] = selection.select({(n,): values[n,] for n in grid}, neutral)
    scored = {
        point: test.report(score(point, test)) for point in sorted({*tested, *coarse.values()})
    }
    return Sweep(
        curve,
        selected,
        test={point: scored[point] for point in scored if point in tested},
        coarser={step: (point, scored[point].metrics) for step, point in coarse.items()},
    )


def run_cell(
    cell: Mapping[str, str],
    method: Method,
    values: Sequence[float],
    folder: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    operands: Sequence[Path],
    origin: Path | None,
    task_adapter: Path,
    files: Mapping[str, Path],
    reading: Mapping[str, Any],
    batches: Mapping[str, Any],
) -> None:
    """Run one cell of the grid from files to files: the job of a sweep, whatever the method.

    Args:
        cell: the cell's wildcards, `method` included.
        values: the numbers of `lambdas.{method}`, from which the method makes its points.
        folder: where :func:`write` writes.
        encoder, tokenizer, operands, origin, task_adapter: folders; `origin` is the common
            initialisation, None where the method does without.
        files: `validation` and `test`.
        reading: what :func:`langarith.study.sources.task_reading` gives.
        batches: `tokens_per_batch` and `precision`.
    """
    merge = method.merger(
        [read_adapter(operand) for operand in operands],
        read_adapter(origin) if origin else None,
        device(),
    )
    task = tasks.get(reading["type"], reading["labels"])
    loaded = encoders.load_tokenizer(tokenizer)
    trained = json.loads((task_adapter / "task.json").read_text(encoding="utf-8"))
    encoding = Encoding(reading["max_length"], tuple(trained["labels"]), reading["stride"])
    splits = []
    with gathered_warnings() as warnings:
        for split in ("validation", "test"):
            examples = task.read(files[split], cut=reading["cuts"][split], split=split)
            where = f"{cell['task']}, {cell['target']}, {split} ({files[split]})"
            where += f", model {cell['model']}"
            task.check_lengths(examples, untruncated(loaded), encoding, where)
            splits.append(Split(task, examples, loaded, encoding, **batches))
    validation, test = splits
    # any adapter of the operands' shape will do: its weights are overwritten
    model = load_stack(encoder, operands[0], task_adapter)
    swept = sweep(
        model,
        merge,
        method.points(values, len(operands)),
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
    write(folder, cell, swept, validation, test, references, [str(w) for w in warnings])


def write(
    folder: Path,
    cell: Mapping[str, str],
    swept: Sweep,
    validation: Split,
    test: Split,
    references: Mapping[str, Mapping[str, float]],
    warnings: Sequence[str] = (),
) -> None:
    """Write a sweep into a folder: `lambda=*.json`, `selected.json`, `predictions.parquet`.

    Args:
        cell: the cell's wildcards.
        references: test scores of what needs no merge, by method name.
        warnings: about the data.
    """
    operands = parse_operands(cell["operands"])
    cell = {**cell, "left": str(operands[0]), "right": str(operands[-1])}
    counts = {"validation": len(validation.examples), "test": len(test.examples)}
    files = {folder / f"lambda={point_text(point)}.json": point for point in swept.validation}
    for path in set(folder.glob("lambda=*.json")) - set(files):
        path.unlink()  # a point of a finer grid that the study has no longer
    for path, point in files.items():
        write_json(
            path,
            {**cell, "lambda": point_value(point), "split": "validation"}
            | {"metrics": swept.validation[point], "examples": counts["validation"]},
        )
    write_json(
        folder / "selected.json",
        {
            **cell,
            "metric": validation.task.metrics[0],
            "selected": point_value(swept.selected),
            "examples": counts,
            "validation": _entries(swept.validation.items()),
            "test": _entries((point, scored.metrics) for point, scored in swept.test.items()),
            "coarser": [
                {"step": step, "lambda": point_value(point), "metrics": metrics}
                for step, (point, metrics) in swept.coarser.items()
            ],
            "references": {name: dict(metrics) for name, metrics in references.items()},
            "dropped_words": test.features.dropped_words,
            "padding": {"validation": validation.batches.padding, "test": test.batches.padding},
            "warnings": list(warnings),
        },
    )
    _write_predictions(folder / "predictions.parquet", swept, test)


def _entries(scores: Iterable[tuple[Point, Mapping[str, float]]]) -> list[dict[str, Any]]:
    return [{"lambda": point_value(point), "metrics": metrics} for point, metrics in scores]


def _write_predictions(path: Path, swept: Sweep, test: Split) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"lambda": [], "id": [], "prediction": [], "gold": []}
    gold = [json.dumps(test.task.gold(example), ensure_ascii=False) for example in test.examples]
    for point, scored in swept.test.items():
        columns["lambda"] += [point_value(point)] * len(gold)
        columns["id"] += [example.id for example in test.examples]
        columns["prediction"] += [json.dumps(p, ensure_ascii=False) for p in scored.predictions]
        columns["gold"] += gold
    with whole(path) as partial:
        pq.write_table(pa.table(columns), partial, compression="zstd")
