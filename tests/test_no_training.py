"""A study that trains nothing, from adapters in the old format: convert, then sweeps alone."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from adapters import AutoAdapterModel, Stack
from seqeval.metrics import f1_score

import helpers
import old_adapters
from langarith import cli
from langarith.models import encoders
from langarith.models.adapters import language_config
from workspace import NANO, copy_project, options, overlay, planned_jobs, run

pytestmark = pytest.mark.slow

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
STUDY = {
    "name": "ready",
    "results_dir": "results/ready",
    "languages": ["en", "es", "fr"],
    "task_language": "en",
    "seeds": [1],
    "models": {
        "tiny": {
            "source": "files",
            "path": "base",
            "adapters": {"en": "adapters/en", "fr": "adapters/fr"},
            "task_adapters": {"ner": "adapters/ner"},
        }
    },
    # no job reads any of it, so nothing of it is downloaded
    "corpora": {
        "source": "hub",
        "path": "wikimedia/wikipedia",
        "config": "20231101.{language}",
        "revision": "b04c8d1ceb2f5cd4588862100d08de323dccfbaa",
    },
    "tasks": {
        "ner": {
            "source": "files",
            "targets": ["es"],
            "max_length": 32,
            **{split: f"data/{{language}}.{split}" for split in ("train", "validation", "test")},
        }
    },
    "related": {"es": "fr"},
    "lambdas": {"la": {"step": 0.25}},
    # the base model of this test has 64 positions
    "training": {
        "language_adapter": {
            "steps": 1,
            "batch_size": 1,
            "learning_rate": 1e-4,
            "chunk_length": 32,
        }
    },
    "experiments": {"zero_shot": {}},
}


def sentences(seed: int, count: int = 20) -> str:
    """Random words with entities of one or two words."""
    draw = random.Random(seed)
    lines: list[str] = []
    for _ in range(count):
        for _ in range(draw.randint(3, 6)):
            kind = draw.choice(("O", "PER", "ORG", "LOC"))
            tags = ["O"] if kind == "O" else [f"B-{kind}", f"I-{kind}"][: draw.randint(1, 2)]
            lines += [f"{draw.choice(helpers.WORDS)}\t{tag}" for tag in tags]
        lines.append("")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project where old adapters were converted and the study has run."""
    project = copy_project(root, tmp_path_factory.mktemp("no-training") / "project")
    base = helpers.make_base(project / "base")
    helpers.make_tokenizer().save_pretrained(base)
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("en", "fr")):
        config = language_config(helpers.LANGUAGE_SHAPE | {"non_linearity": "relu"})
        helpers.add_adapter(model, name, seed, config)
        old_adapters.write(model, name, project / "old" / name, "text_lang")
    old_adapters.add_tagger(model, LABELS)
    old_adapters.write(model, "ner", project / "old/ner", "text_task")
    (project / "data").mkdir()
    for seed, name in enumerate(
        ("en.train", "en.validation", "en.test", "es.validation", "es.test")
    ):
        (project / "data" / name).write_text(sentences(seed))
    (project / "studies/ready.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))

    before = Path.cwd()
    os.chdir(project)
    try:
        for name in ("en", "fr", "ner"):
            labels = ["--labels", *LABELS] if name == "ner" else []
            assert cli.main(["convert", f"old/{name}", "--to", f"adapters/{name}", *labels]) == 0
    finally:
        os.chdir(before)
    study = options("studies/ready.yaml")
    planned = planned_jobs(project, *study)
    run(project, *study)
    assert planned == Counter(
        initialise_adapters=1,  # the shape that adapters are compared with
        check_adapters=1,
        check_task_data=2,
        score_task_adapter=1,
        sweep_la=1,
        tabulate=1,
        estimate_gains=1,
        estimate_choices=1,
        format_table=1,
        draw_figure=1,
    )
    return project


@torch.no_grad()
def f1(project: Path, language: str, split: str) -> float:
    """What stock `adapters` and seqeval give, from the old files, pickles included."""
    model = AutoAdapterModel.from_pretrained(project / "base")
    stack = [model.load_adapter(str(project / "old" / name)) for name in (language, "ner")]
    model.set_active_adapters(Stack(*stack))
    model.eval()
    tokenizer = helpers.make_tokenizer()
    gold, predicted = [], []
    for block in (project / "data" / split).read_text().strip().split("\n\n"):
        words, tags = zip(*(line.split("\t") for line in block.splitlines()), strict=True)
        encoded = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        classes = model(**encoded).logits[0].argmax(-1).tolist()[1:-1]  # a piece per word
        gold.append(list(tags))
        predicted.append([LABELS[number] for number in classes])
    return 100 * f1_score(gold, predicted)


def test_its_scores_are_those_of_stock_adapters(finished: Path) -> None:
    results = finished / "results/ready"
    for name in ("zero_shot.pdf", "zero_shot.png"):
        assert (results / "figures" / name).stat().st_size > 1000
    table = pd.read_csv(results / "tables/zero_shot.csv", keep_default_na=False)
    rows = table[(table.metric == "f1") & (table.split == "test")]
    la = rows[rows.method == "la"]
    ends = dict(zip(la["lambda"].astype(str), la.value, strict=True))
    assert ends["1.0"] == pytest.approx(f1(finished, "en", "es.test"))
    assert ends["0.0"] == pytest.approx(f1(finished, "fr", "es.test"))
    (home,) = rows[rows.method == "madx"].value
    assert home == pytest.approx(f1(finished, "en", "en.test"))
    assert home > 0 and ends["0.0"] != ends["1.0"]


def test_records_lead_to_the_converted_files(finished: Path) -> None:
    folder = finished / "results/ready/adapters/tiny/task/ner/ready/seed1"
    record = json.loads((folder / "provenance.json").read_text())
    assert record["rule"] == "score_task_adapter"
    assert {"adapters/ner/adapter.safetensors", "adapters/ner/model_head.safetensors"} <= set(
        record["inputs"]
    )
    described = json.loads((folder / "task.json").read_text())
    assert tuple(described["labels"]) == LABELS
    assert not (finished / "resources").exists()
    assert not (finished / "results/ready/tokens").exists()


def test_layers_are_left_out_by_one_more_job(root: Path, tmp_path: Path) -> None:
    """MAD-X 2.0: the initialisation itself, and so a study without the key, stays as it is."""
    project = copy_project(root, tmp_path / "project")
    study = overlay(project, "without", adapters={"language": {"leave_out": [1]}})
    plain, without = (planned_jobs(project, *keys) for keys in (NANO, options(study)))
    assert without - plain == Counter(leave_out_layers=1)
    assert not plain - without
