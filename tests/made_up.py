"""Made-up results: tidy tables, the files of cells, and a finished study with its records.

Scores are given per lambda on test, `{0.0: right, 0.5: merged, 1.0: left}`; on validation each is
one point higher. The second metric of a task, which chooses nothing, scores 1 everywhere, so that
a test sees when it leaks into what is drawn or printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from langarith.files import write_json
from langarith.jobs.fingerprint import fingerprint
from langarith.jobs.record import describe
from langarith.results import label_free, tables
from langarith.results.caption import Caption
from langarith.results.names import MASKED_LM_LOSS

METRICS = {"ner": ("f1", "f1_strict"), "nli": ("accuracy",), "qa": ("f1", "exact_match")}
CAPTION = Caption(
    study="little",
    note="Made up.",
    models=["tiny"],
    seeds=[1, 2],
    task_language="en",
    languages=["en", "es", "fr", "de", "sw"],
)


def metrics(task: str, score: float) -> dict[str, float]:
    """All metrics of a task, the first with the score."""
    first, *others = METRICS[task]
    return {first: score, **dict.fromkeys(others, 1.0)}


def above(test: Mapping[float, float]) -> dict[float, float]:
    """The validation scores of a sweep."""
    return {weight: score + 1 for weight, score in test.items()}


def cell(
    target: str,
    operands: str,
    seed: int,
    test: Mapping[float, float],
    *,
    chosen: float,
    validation: Mapping[float, float] | None = None,
    task: str = "ner",
    method: str = "la",
    model: str = "tiny",
) -> list[dict[str, Any]]:
    """Rows of a sweep of `left+right` in a tidy table."""
    names = operands.split("+")
    left, right = names[0], names[-1]
    base = {
        "experiment": "made_up",
        "model": model,
        "task": task,
        "target": target,
        "method": method,
        "left": left,
        "right": right,
        "operands": operands,
        "budget": tables.budget(operands),
        "seed": seed,
        "examples": 10,
    }
    curves = {"validation": validation or above(test), "test": test}
    return [
        base
        | {"split": split, "lambda": weight, "selected": weight == chosen}
        | {"metric": metric, "value": value}
        for split, curve in curves.items()
        for weight, score in curve.items()
        for metric, value in metrics(task, score).items()
    ]


def gone(target: str, operands: str, seed: int, **names: str) -> list[dict[str, Any]]:
    """The row of a cell that has no result: its place, and no score."""
    row = cell(target, operands, seed, {0.0: 0.0}, chosen=0.0, **names)[-1]
    empty = {"lambda": float("nan"), "split": "", "selected": False, "metric": ""}
    return [row | empty | {"value": float("nan"), "examples": float("nan")}]


def table(cells: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    """A tidy table of cells."""
    rows = [row for rows in cells for row in rows]
    return tables.with_points(pd.DataFrame(rows, columns=list(tables.COLUMNS)))


def forgotten(
    languages: Sequence[str],
    model: str,
    seeds: Sequence[int],
    missing: int = 0,
    weights: Sequence[float] = (0.0, 0.5, 1.0),
) -> pd.DataFrame:
    """A table of `forgetting` at some λ: losses of all pairs, NER scores of all but en.

    The loss of a text in nats is 3 + λ · (1.1 − 0.1 · distance), the distance in places of the list
    between its language and the one that is subtracted. The score is 40 + 2 · seed − 10 λ. Every
    `missing`-th language has no score, and no loss where it is subtracted.
    """
    rows: list[list[dict[str, Any]]] = []
    for place, negated in enumerate(languages):
        gone_too = bool(missing) and place % missing == 0
        for seed in seeds:
            if negated != "en":
                scores = {weight: 40 + 2 * seed - 10 * weight for weight in weights}
                found = cell(negated, negated, seed, scores, chosen=0.0, method="negation")
                rows.append(gone(negated, negated, seed, method="negation") if gone_too else found)
            for text, language in enumerate(languages):
                far = abs(text - place)
                base = {"model": model, "task": "", "target": language, "method": "negation"}
                base |= {"left": negated, "right": negated, "operands": negated, "budget": "full"}
                base |= {"seed": seed, "split": "validation", "selected": False, "examples": 500}
                rows += [
                    [
                        base
                        | {"metric": MASKED_LM_LOSS, "lambda": w, "value": 3 + w * (1.1 - far / 10)}
                    ]
                    for w in weights
                    if not gone_too
                ]
    return table([[row | {"model": model} for row in part] for part in rows])


def selected(
    target: str,
    operands: str,
    seed: int,
    test: Mapping[float, float],
    *,
    chosen: float,
    task: str = "ner",
    method: str = "la",
    model: str = "tiny",
) -> dict[str, Any]:
    """What `selected.json` of a cell holds."""
    names = operands.split("+")
    left, right = names[0], names[-1]
    curves = {"validation": above(test), "test": test}
    return {
        "model": model,
        "task": task,
        "target": target,
        "method": method,
        "left": left,
        "right": right,
        "operands": operands,
        "seed": str(seed),
        "metric": METRICS[task][0],
        "selected": chosen,
        "examples": {"validation": 20, "test": 30},
        **{
            split: [{"lambda": w, "metrics": metrics(task, s)} for w, s in curve.items()]
            for split, curve in curves.items()
        },
        "references": {"none": metrics(task, 20.0), "majority": metrics(task, 10.0)},
    }


ZERO_SHOT = [
    ("ner", "es", "en+fr", 1, 0.5, {0.0: 40.0, 0.5: 50.0, 1.0: 44.0}),
    ("ner", "es", "en+fr", 2, 0.5, {0.0: 42.0, 0.5: 56.0, 1.0: 48.0}),
    ("ner", "fr", "en+es", 1, 0.0, {0.0: 60.0, 0.5: 58.0, 1.0: 30.0}),
    ("ner", "fr", "en+es", 2, 0.5, {0.0: 64.0, 0.5: 66.0, 1.0: 34.0}),
    ("nli", "fr", "en+es", 1, 1.0, {0.0: 34.0, 0.5: 35.0, 1.0: 100 / 3}),
    ("nli", "fr", "en+es", 2, 1.0, {0.0: 36.0, 0.5: 33.0, 1.0: 37.0}),
]
"""A finished zero-shot experiment, small enough to compute by hand: task, target, operands, seed,
chosen lambda, test scores."""


def rules(cells: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    """The table of `label_free` of cells made by `cell`; a cell without scores is missing."""
    there, missing = [], []
    for rows in cells:
        one = {key: rows[0][key] for key in ("model", "task", "target", "method", "operands")}
        one |= {"seed": str(rows[0]["seed"]), "metric": METRICS[one["task"]][0]}
        scored = [
            row for row in rows if row["metric"] == one["metric"] and row["value"] == row["value"]
        ]
        if not scored:
            missing.append(one)
            continue
        curves = {
            split: [
                {"lambda": row["lambda"], "metrics": {row["metric"]: row["value"]}}
                | {"entropy": 1 - row["value"] / 200}
                for row in scored
                if row["split"] == split
            ]
            for split in ("validation", "test")
        }
        there.append(one | curves | {"norms": [1.0, 1.3], "examples": {"test": 10}})
    related = {one["target"]: one["operands"].split("+")[1] for one in [*there, *missing]}
    found = label_free.rows(there, "en", related, missing)
    return tables.with_points(pd.DataFrame(found, columns=label_free.COLUMNS))


def write_results(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write `selected.json` of the cells of ZERO_SHOT and `task.json` of their task adapters."""
    cells, adapters = [], {}
    for task, target, operands, seed, chosen, test in ZERO_SHOT:
        cells.append(folder / f"{task}-{target}-{seed}" / "selected.json")
        write_json(cells[-1], selected(target, operands, seed, test, chosen=chosen, task=task))
        adapters[task, seed] = folder / f"{task}-{seed}" / "task.json"
        adapter = {
            "model": "tiny",
            "task": task,
            "language": "en",
            "seed": seed,
            "test": metrics(task, 70.0 + seed),
            "examples": {"train": 99, "validation": 20, "test": 40},
        }
        write_json(adapters[task, seed], adapter)
    return cells, list(adapters.values())


LITTLE = {0.0: 39.0, 0.5: 49.0, 1.0: 43.0}
"""Test scores of both cells of the little study."""


def job(
    rule: str,
    inputs: Sequence[str],
    outputs: Mapping[str, str | None],
    record: str,
    script: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    parts: Sequence[str] = (),
    **wildcards: str,
) -> None:
    """Write a job's outputs (path → text, None if it is there) and its record as a job does."""
    for path, text in outputs.items():
        if text is None:
            continue
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    script = script or rule
    output = {
        "rule": rule,
        "script": script,
        "study": "little",
        "wildcards": wildcards,
        "inputs": describe(inputs),
        "outputs": describe(outputs),
        "parameters": {**(parameters or {}), "code": fingerprint(script, *parts)},
        "seed": int(wildcards["seed"]) if "seed" in wildcards else None,
        "revisions": {},
        "log": f"results/logs/{rule}.log",
        "git": {"commit": "0" * 40, "dirty": False},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "host": "here",
        "device": "cpu",
        "name": "x86_64",
        "precision": None,
        "threads": 1,
        "slurm_job": None,
        "attempt": 1,
        "start": "2026-01-01T00:00:00+00:00",
        "end": "2026-01-01T00:00:02+00:00",
        "seconds": 2.0,
        "cpu_seconds": 2.0,
        "peak_memory_mb": 100.0,
    }
    write_json(record, output)


def study_table() -> pd.DataFrame:
    """The tidy table of both cells of the little study."""
    cells = (cell("es", "en+fr", seed, LITTLE, chosen=0.5) for seed in (1, 2))
    rows = table(cells).assign(experiment="zero_shot")
    return rows[rows["metric"] == "f1"]


def write_study(steps: int = 20) -> Path:
    """Write a finished study below the current folder: files and records of a few jobs.

    raw/fr.txt ─ tokens ─ adapter fr, seeds 1 and 2 ─ sweep of es, seeds 1 and 2 ─┐
    raw/en.txt ─ tokens ─ adapter en, seeds 1 and 2 ─┘                     table ─ figure

    Args:
        steps: a parameter of the language adapters, which decides their bytes.

    Returns:
        its results folder, `results`.
    """
    results = Path("results")
    results.mkdir()
    (results / "study.json").write_text(json.dumps({"name": "little", "results_dir": "results"}))
    for language in ("en", "fr"):
        raw = Path(f"raw/{language}.txt")
        raw.parent.mkdir(exist_ok=True)
        raw.write_text(f"some text in {language}\n" * 100)
        tokens = f"results/tokens/tiny/{language}/part.arrow"
        job(
            "tokenize_shard",
            [str(raw)],
            {tokens: f"tokens of {language}"},
            f"{tokens}.provenance.json",
            model="tiny",
            language=language,
            shard="part",
        )
        for seed in "12":
            folder = f"results/adapters/tiny/language/{language}@full/seed{seed}"
            job(
                "train_language_adapter",
                [tokens],
                {f"{folder}/adapter.safetensors": f"{language} {seed} {steps}"},
                f"{folder}/provenance.json",
                parameters={"recipe": {"steps": steps}, "checkpoints": "anywhere"},
                model="tiny",
                language=language,
                budget="full",
                seed=seed,
            )
    selections = []
    for seed in "12":
        folder = f"results/evaluation/tiny/ner/es/la/en+fr/seed{seed}"
        cell = {"model": "tiny", "task": "ner", "target": "es", "operands": "en+fr"}
        content = selected("es", "en+fr", int(seed), LITTLE, chosen=0.5)
        outputs: dict[str, str | None] = {f"{folder}/selected.json": json.dumps(content)}
        for weight in LITTLE:
            outputs[f"{folder}/lambda={weight:.2f}.json"] = "{}"
        job(
            "sweep_la",
            [
                f"results/adapters/tiny/language/{language}@full/seed{seed}/adapter.safetensors"
                for language in ("en", "fr")
            ],
            outputs,
            f"{folder}/provenance.json",
            script="sweep",
            parameters={"method": "la"},
            parts=("merging.la", "tasks.ner"),
            seed=seed,
            **cell,
        )
        selections.append(f"{folder}/selected.json")
    name = "results/tables/zero_shot.csv"
    job(
        "tabulate",
        selections,
        {name: study_table().drop(columns="point").to_csv(index=False)},
        f"{name}.provenance.json",
        experiment="zero_shot",
    )
    figure = "results/figures/zero_shot.pdf"
    job(
        "draw_figure",
        [name],
        {figure: "a drawing"},
        f"{figure}.provenance.json",
        experiment="zero_shot",
    )
    return results
