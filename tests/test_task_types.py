"""A study of task types that have no synthetic data: loaded, checked, planned, run."""

from __future__ import annotations

import json
import random
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score

from langarith.commands import check
from langarith.planning import costs
from langarith.study import loading
from workspace import copy_project, options, planned_jobs, run

WORDS = {"NOUN": ["casa", "mar", "sol"], "VERB": ["come", "va"], "ADJ": ["alto", "rojo"]}
SENTIMENT = {"positive": ["bueno", "lindo", "feliz"], "negative": ["malo", "feo", "triste"]}
STUDY: dict[str, Any] = {
    "extends": "nano.yaml",
    "name": "types",
    "results_dir": "results/types",
    "tasks": {
        "pos": {
            "source": "files",
            "targets": ["es"],
            "train": "data/pos/{language}/{split}.conllu",
            "validation": "data/pos/{language}/{split}.conllu",
            "test": "data/pos/{language}/{split}.conllu",
            "max_length": 64,
        },
        "sentiment": {
            "type": "classification",
            "labels": ["negative", "positive"],
            "source": "files",
            "targets": ["es"],
            "train": "data/sentiment/{language}/{split}.jsonl",
            "validation": "data/sentiment/{language}/{split}.jsonl",
            "test": "data/sentiment/{language}/{split}.jsonl",
            "max_length": 64,
        },
    },
    "related": {"es": "fr"},
    "budgets": {},
    "experiments": {"zero_shot": {}},
}


def conllu(rng: random.Random) -> str:
    tags = rng.choices(list(WORDS), k=rng.randint(2, 6))
    rows = [f"{i}\t{rng.choice(WORDS[tag])}\t_\t{tag}" + "\t_" * 6 for i, tag in enumerate(tags, 1)]
    return "\n".join(["# text", "1-2" + "\t_" * 9, *rows, "", ""])


def review(rng: random.Random) -> str:
    """One object; its label is a word or its position in the study's list."""
    number = rng.randrange(2)
    label = ("negative", "positive")[number]
    words = [*rng.choices(WORDS["NOUN"], k=4), rng.choice(SENTIMENT[label])]
    return json.dumps({"text": " ".join(words), "label": rng.choice([label, number])})


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow with files of both tasks and a study of them."""
    folder = copy_project(root, tmp_path_factory.mktemp("types") / "project")
    rng = random.Random(0)
    for language in ("en", "es"):
        for split, count in (("train", 200), ("validation", 40), ("test", 40)):
            for task, suffix, make, end in (
                ("pos", "conllu", conllu, ""),
                ("sentiment", "jsonl", review, "\n"),
            ):
                path = folder / f"data/{task}/{language}/{split}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(make(rng) + end for _ in range(count)))
    (folder / "studies/types.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def test_a_study_of_files_is_checked_and_planned(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    study = loading.load(Path("studies/types.yaml"))
    assert check.look(study).problems == []
    assert costs.Needs(study).task_adapter("tiny", "sentiment").minutes(1) > 0
    plan = planned_jobs(project, *options("studies/types.yaml"))
    assert (plan["check_task_data"], plan["train_task_adapter"], plan["sweep_la"]) == (4, 2, 2)

    broken = Path("data/sentiment/es/test.jsonl")
    text = broken.read_text()
    broken.write_text(text + '{"text": "x", "label": "neutral"}\n')
    (problem,) = check.look(study).problems
    assert f"{broken}, line 41: label 'neutral' is unknown; use negative, positive" in problem
    broken.write_text(text)


@pytest.mark.slow
def test_a_study_of_files_runs(project: Path) -> None:
    run(project, *options("studies/types.yaml"), "zero_shot")
    results = project / "results/types"
    for task, metrics in (("pos", ["accuracy"]), ("sentiment", ["accuracy", "macro_f1"])):
        trained = json.loads((results / f"adapters/tiny/task/{task}/seed1/task.json").read_text())
        assert list(trained["test"]) == metrics
        (cell,) = results.glob(f"evaluation/tiny/{task}/es/la/*/seed1")
        selected = json.loads((cell / "selected.json").read_text())
        predictions = pd.read_parquet(cell / "predictions.parquet")
        kept = set(predictions["lambda"])
        assert kept == {0.0, 0.5, 1.0, selected["selected"]}
        for point in (point for point in selected["test"] if point["lambda"] in kept):
            rows = predictions[predictions["lambda"] == point["lambda"]]
            predicted, gold = (
                [json.loads(text) for text in rows[column]] for column in ("prediction", "gold")
            )
            if task == "pos":
                predicted, gold = (list(chain(*sentences)) for sentences in (predicted, gold))
            assert point["metrics"] == pytest.approx(by_sklearn(predicted, gold, metrics))
    trained = json.loads((results / "adapters/tiny/task/pos/seed1/task.json").read_text())
    assert trained["test"]["accuracy"] > 60  # words tell the tag; the most frequent has 34
    assert (results / "figures/zero_shot.pdf").is_file()


def by_sklearn(predicted: list[str], gold: list[str], metrics: list[str]) -> dict[str, float]:
    """The metrics as sklearn computes them, in percent."""
    scores = {
        "accuracy": 100 * accuracy_score(gold, predicted),
        "macro_f1": 100 * f1_score(gold, predicted, average="macro", zero_division=0),
    }
    return {name: scores[name] for name in metrics}
