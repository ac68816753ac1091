"""The lambda sweep: load once, tokenise once, merge in place, evaluate, choose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from langarith import tasks
from langarith.evaluation import selection
from langarith.evaluation.scoring import LANGUAGE, Scored, Split, load_stack, use_language_adapter
from langarith.files import whole, write_json
from langarith.merging import tensors
from langarith.models import encoders
from langarith.models.adapters import named_parameters
from langarith.progress import Progress


@dataclass(frozen=True)
class Sweep:
    """Validation curve by lambda, the chosen lambda, and test scores by lambda.

    `coarser` gives, by step, what a coarser grid would have chosen, and its test scores.
    """

    validation: dict[float, dict[str, float]]
    selected: float
    test: dict[float, Scored]
    coarser: dict[float, tuple[float, dict[str, float]]]


def scores(
    model: PreTrainedModel,
    merge: Callable[[float], tensors.Tensors],
    lambdas: Iterable[float],
    split: Split,
) -> Iterator[tuple[float, Scored]]:
    """(lambda, scores) of every merge on a split, in order.

    A merge is decoded and scored while a GPU computes the next one.
    """
    parameters = named_parameters(model, LANGUAGE)
    waiting: tuple[float, Callable[[], Scored]] | None = None
    for weight in lambdas:
        tensors.write_in_place(parameters, merge(weight))
        started = split.start(model)
        if waiting:
            yield waiting[0], waiting[1]()
        waiting = weight, started
    if waiting:
        yield waiting[0], waiting[1]()


def sweep(
    model: PreTrainedModel,
    merge: Callable[[float], tensors.Tensors],
    lambdas: Sequence[float],
    validation: Split,
    test: Split,
    *,
    always: Iterable[float],
    centre: float,
    what: str,
    coarse_steps: Iterable[float] = (),
) -> Sweep:
    """Evaluate every merge on validation, choose one there, evaluate it and `always` on test.

    Args:
        merge: gives the merged language adapter at a lambda, named as in `read_adapter`.
        always: lambdas that are evaluated on test whichever is chosen.
        coarse_steps: steps of coarser grids, whose choices are evaluated on test, too.
    """
    metric = validation.task.metrics[0]
    progress = Progress(what, len(lambdas), "lambda")
    curve: dict[float, dict[str, float]] = {}
    for done, (weight, found) in enumerate(scores(model, merge, lambdas, validation), 1):
        curve[weight] = found.metrics
        progress.update(done, f"{metric} {curve[weight][metric]:.1f}")
    values = {w: metrics[metric] for w, metrics in curve.items()}
    selected = selection.select(values, centre)
    coarse = {
        step: selection.select({w: values[w] for w in points}, centre)
        for step in coarse_steps
        if (points := selection.coarser(lambdas, step))
    }
    always = {selected, *always}
    scored = dict(scores(model, merge, sorted({*always, *coarse.values()}), test))
    return Sweep(
        curve,
        selected,
        test={w: s for w, s in scored.items() if w in always},
        coarser={step: (w, scored[w].metrics) for step, w in coarse.items()},
    )


def sweep_cell(
    cell: Mapping[str, str],
    merge: Callable[[float], tensors.Tensors],
    lambdas: Sequence[float],
    outputs: Any,
    *,
    encoder: Path,
    tokenizer: Path,
    language_adapter: Path,
    task_adapter: Path,
    files: Mapping[str, Path],
    reading: Mapping[str, Any],
    batches: Mapping[str, Any],
    always: Iterable[float],
    coarse_steps: Iterable[float] = (),
) -> None:
    """Run one cell of the grid from files to files: the job of a sweep, whatever the method.

    Args:
        cell: the cell's wildcards.
        merge: see :func:`sweep`.
        outputs: see :func:`write`.
        encoder, tokenizer, task_adapter: folders.
        language_adapter: folder of any adapter of the merge's shape, to be written over.
        files: `validation` and `test`.
        reading: what :func:`langarith.study.task_reading` gives.
        batches: `tokens_per_batch` and `precision`.
        always: lambdas that are evaluated on test whichever is chosen.
        coarse_steps: see :func:`sweep`.
    """
    task = tasks.get(reading["type"])
    loaded = encoders.load_tokenizer(tokenizer)
    trained = json.loads((task_adapter / "task.json").read_text(encoding="utf-8"))
    validation, test = (
        Split(
            task,
            task.read(files[split], cut=reading["cuts"][split], split=split),
            loaded,
            labels=trained["labels"],
            max_length=reading["max_length"],
            stride=reading["stride"],
            **batches,
        )
        for split in ("validation", "test")
    )
    model = load_stack(encoder, language_adapter, task_adapter)
    swept = sweep(
        model,
        merge,
        lambdas,
        validation,
        test,
        always=always,
        centre=selection.centre(cell["method"]),
        what="sweep {method} {task} {target} {left}+{right}, seed {seed}".format(**cell),
        coarse_steps=coarse_steps,
    )
    use_language_adapter(model, False)
    references = {
        "none": test.score(model).metrics,
        "majority": task.score(task.constant(trained["majority"], test.examples), test.examples),
    }
    write(outputs, cell, swept, validation, test, references)


def write(
    outputs: Any,
    cell: Mapping[str, str],
    swept: Sweep,
    validation: Split,
    test: Split,
    references: Mapping[str, Mapping[str, float]],
) -> None:
    """Write a sweep: `lambda=*.json` per lambda, `selected.json`, `predictions.parquet`.

    Args:
        outputs: paths by name: `curve` (in the order of the lambdas), `selected`, `predictions`.
        cell: the cell's wildcards.
        references: test scores of what needs no merge, by method name.
    """
    for old in set(Path(outputs.selected).parent.glob("lambda=*.json")) - set(
        map(Path, outputs.curve)
    ):
        old.unlink()  # a point of a finer grid that the study has no longer
    counts = {"validation": len(validation.examples), "test": len(test.examples)}
    for path, (weight, metrics) in zip(outputs.curve, swept.validation.items(), strict=True):
        write_json(
            path,
            {**cell, "lambda": weight, "split": "validation", "metrics": metrics}
            | {"examples": counts["validation"]},
        )
    write_json(
        outputs.selected,
        {
            **cell,
            "metric": validation.task.metrics[0],
            "selected": swept.selected,
            "examples": counts,
            "validation": [{"lambda": w, "metrics": m} for w, m in swept.validation.items()],
            "test": [{"lambda": w, "metrics": s.metrics} for w, s in swept.test.items()],
            "coarser": [
                {"step": step, "lambda": w, "metrics": m} for step, (w, m) in swept.coarser.items()
            ],
            "references": {name: dict(metrics) for name, metrics in references.items()},
            "dropped_words": test.features.dropped_words,
            "padding": {"validation": validation.batches.padding, "test": test.batches.padding},
        },
    )
    _write_predictions(Path(outputs.predictions), swept, test)


def _write_predictions(path: Path, swept: Sweep, test: Split) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"lambda": [], "id": [], "prediction": [], "gold": []}
    gold = [json.dumps(test.task.gold(example), ensure_ascii=False) for example in test.examples]
    for weight, scored in swept.test.items():
        columns["lambda"] += [weight] * len(gold)
        columns["id"] += [example.id for example in test.examples]
        columns["prediction"] += [json.dumps(p, ensure_ascii=False) for p in scored.predictions]
        columns["gold"] += gold
    with whole(path) as partial:
        pq.write_table(pa.table(columns), partial, compression="zstd")
