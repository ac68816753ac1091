"""A finished study in miniature's miniature: files and records of a few jobs, without training.

raw/fr.txt (the user's) ─ tokens ─ adapter fr, seeds 1 and 2 ─ sweep of es, seeds 1 and 2 ─┐
raw/en.txt (the user's) ─ tokens ─ adapter en, seeds 1 and 2 ─┘                     table ─ figure
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langarith.files import write_json
from langarith.jobs import fingerprint
from langarith.jobs.record import describe

LAMBDAS = {0.0: 40.0, 0.5: 50.0, 1.0: 44.0}
"""Validation scores of both sweeps; the test scores lie a point below."""


def job(
    rule: str,
    inputs: Sequence[str],
    outputs: Mapping[str, str | None],
    record: str,
    script: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    **wildcards: str,
) -> None:
    """Write a job's outputs (path → text, None if it is there) and its record as a job does."""
    for path, text in outputs.items():
        if text is None:
            continue
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    script = script or rule
    told = {
        "rule": rule,
        "script": script,
        "study": "little",
        "wildcards": wildcards,
        "inputs": describe(inputs),
        "outputs": describe(outputs),
        "parameters": {**(parameters or {}), "code": fingerprint.fingerprint(script)},
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
    write_json(record, told)


def table_text() -> str:
    """The tidy table of both cells."""
    rows = [
        f"zero_shot,tiny,ner,es,la,en,fr,full,{seed},{weight},{split},{weight == 0.5},f1,"
        f"{score - (split == 'test')},20"
        for seed in (1, 2)
        for split in ("validation", "test")
        for weight, score in LAMBDAS.items()
    ]
    return "\n".join(
        [
            "experiment,model,task,target,method,left,right,budget,seed,lambda,split,selected,"
            "metric,value,examples",
            *rows,
            "",
        ]
    )


def write(steps: int = 20) -> Path:
    """Write the study below the current folder.

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
        cell = {"model": "tiny", "task": "ner", "target": "es", "left": "en", "right": "fr"}
        told = {
            **cell,
            "seed": seed,
            "method": "la",
            "metric": "f1",
            "selected": 0.5,
            "examples": {"validation": 20, "test": 20},
            "validation": [{"lambda": w, "metrics": {"f1": s}} for w, s in LAMBDAS.items()],
            "test": [{"lambda": w, "metrics": {"f1": s - 1}} for w, s in LAMBDAS.items()],
            "coarser": [],
        }
        outputs: dict[str, str | None] = {f"{folder}/selected.json": json.dumps(told)}
        for weight, score in LAMBDAS.items():
            outputs[f"{folder}/lambda={weight:.2f}.json"] = json.dumps({"f1": score})
        job(
            "sweep_la",
            [
                f"results/adapters/tiny/language/{language}@full/seed{seed}/adapter.safetensors"
                for language in ("en", "fr")
            ],
            outputs,
            f"{folder}/provenance.json",
            seed=seed,
            **cell,
        )
        selections.append(f"{folder}/selected.json")
    table = "results/tables/zero_shot.csv"
    job(
        "tabulate",
        selections,
        {table: table_text()},
        f"{table}.provenance.json",
        experiment="zero_shot",
    )
    figure = "results/figures/zero_shot.pdf"
    job(
        "draw_figure",
        [table],
        {figure: "a drawing"},
        f"{figure}.provenance.json",
        experiment="zero_shot",
    )
    return results
