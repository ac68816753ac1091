"""A table of mistakes that users make, each answered by one sentence, exit code 1, and no training.

A small study of own files is written for each case, then one thing in it is broken. What the study
alone shows is refused when the Snakefile is read; what only the data shows is refused by
`snakemake check`, and by the job that reads the file, which runs before anything trains on it.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from langarith.data import miniature

SUFFIX = {"ner": "conll", "nli": "tsv", "qa": "json"}


def own_study() -> dict[str, Any]:
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3}
    return {
        "name": "own",
        "results_dir": "results",
        "languages": ["en", "es", "fr"],
        "task_language": "en",
        "seeds": [1],
        "models": {
            "tiny": {
                "source": "pretrain",
                "languages": ["en", "es", "fr"],
                "vocabulary": 400,
                "hidden_size": 16,
                "layers": 1,
                "attention_heads": 2,
                "intermediate_size": 32,
                "training": {
                    "steps": 2,
                    "batch_size": 2,
                    "learning_rate": 1e-3,
                    "chunk_length": 32,
                },
            }
        },
        "corpora": {
            "source": "files",
            "path": "data/raw/{language}.txt.gz",
            "validation_documents": 2,
        },
        "tasks": {
            task: {
                "source": "files",
                "targets": ["es"],
                **{split: f"data/{task}/{{language}}/{split}.{suffix}" for split in splits},
                **({"stride": 32} if task == "qa" else {}),
            }
            for task, suffix in SUFFIX.items()
            for splits in [("train", "validation", "test")]
        },
        "related": {"es": "fr"},
        "lambdas": {"la": {"start": 0, "stop": 1, "step": 0.5}},
        "training": {
            "language_adapter": {
                "steps": 2,
                "batch_size": 2,
                "learning_rate": 1e-3,
                "chunk_length": 32,
            },
            "task_adapter": recipe,
        },
        "experiments": {"zero_shot": {}},
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The data of the study, written by the miniature and then treated as a user's own files."""
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("data")
    for language in ("en", "es", "fr"):
        shard = folder / "shard.parquet"
        miniature.write_corpus(language, [shard], documents=30)
        text = "\n".join(pq.read_table(shard)["text"].to_pylist())
        shard.unlink()
        (folder / "raw").mkdir(exist_ok=True)
        (folder / f"raw/{language}.txt.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        for task, suffix in SUFFIX.items():
            for split in ("train", "validation", "test"):
                path = folder / task / language / f"{split}.{suffix}"
                miniature.write_task(task, language, path, split=split, examples=8)
    return folder


@pytest.fixture
def place(data, tmp_path) -> Path:
    subprocess.run(["cp", "-r", str(data), str(tmp_path / "data")], check=True)
    return tmp_path


def snakemake(root: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("snakemake")),
            *("--snakefile", str(root / "Snakefile"), "--directory", str(place)),
            *("--configfile", str(place / "own.yaml"), "--cores", "1", *arguments),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
        cwd=place,
    )


def change(study: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        study = study[key]
    study[last] = value


# (what is wrong, key, value, what the sentence says)
MISTAKES_IN_THE_STUDY = [
    ("unknown key", "modles", {}, ["own.yaml", "unknown key 'modles'", "did you mean 'models'"]),
    ("misspelt language", "related", {"ess": "fr"}, ["related", "'ess'", "did you mean 'es'"]),
    (
        "experiment names a task with no data",
        "experiments",
        {"zero_shot": {"tasks": ["pos"]}},
        ["experiments.zero_shot.tasks", "'pos'", "'tasks'"],
    ),
    (
        "missing file",
        "tasks.ner.test",
        "data/ner/{language}/tset.conll",
        ["tasks.ner", "data/ner/es/tset.conll", "does not exist", "correct the path"],
    ),
    (
        "a lambda step that does not divide 1",
        "lambdas.la.step",
        0.3,
        ["lambdas.la", "0.3", "does not divide"],
    ),
    (
        "Norwegian read as false",
        "languages",
        ["en", "es", "fr", False],
        ["languages", "put it into quotes"],
    ),
]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [pytest.param(*case[1:], id=case[0]) for case in MISTAKES_IN_THE_STUDY],
)
def test_a_mistake_in_the_study_is_refused_when_it_is_read(root, place, key, value, says):
    study = own_study()
    change(study, key, value)
    (place / "own.yaml").write_text(yaml.safe_dump(study))
    done = snakemake(root, place, "-n")
    assert done.returncode == 1
    assert all(part in done.stderr for part in says), done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "results").exists()


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewrite(old: str, new: str, count: int = 1) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, count))

    return apply


def add_column(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], lines[3] + "\tmore", *lines[4:]]) + "\n")


# (what is wrong, file, how it is broken, what the sentence says)
MISTAKES_IN_THE_DATA = [
    ("gzip cut in half", "raw/es.txt.gz", cut_in_half, ["cut short", "fetch the file again"]),
    ("a bad tag", "ner/es/test.conll", rewrite("B-LOC", "LOC"), ["'LOC'", "line "]),
    ("a missing column", "ner/es/validation.conll", rewrite("\tO\n", "\n"), ["line ", "column"]),
    ("a fourth column", "nli/en/train.tsv", add_column, ["line 4", "column"]),
    (
        "an answer outside its context",
        "qa/es/test.json",
        rewrite('"answer_start": ', '"answer_start": 9'),
        ["answer", "context"],
    ),
]


@pytest.mark.parametrize(
    ("file", "spoil", "says"),
    [pytest.param(*case[1:], id=case[0]) for case in MISTAKES_IN_THE_DATA],
)
def test_a_mistake_in_the_data_is_refused_by_the_job_that_reads_the_file(
    root, place, file, spoil, says
):
    (place / "own.yaml").write_text(yaml.safe_dump(own_study()))
    spoil(place / "data" / file)
    task, language, *_ = Path(file).parts
    stage = (
        "results/models/tiny/tokenizer/tokenizer.json"
        if task == "raw"
        else f"results/checks/{task}/{language}.json"
    )
    done = snakemake(root, place, stage)
    assert done.returncode == 1
    assert_told(done.stderr, file, says)
    assert not (place / stage).exists()


def assert_told(text: str, file: str, says: list[str]) -> None:
    sentences = [line for line in text.splitlines() if f"data/{file}" in line]
    assert any(all(part in line for part in says) for line in sentences), text
    assert "Traceback" not in text


def test_check_says_all_that_is_wrong_at_once(root, place):
    (place / "own.yaml").write_text(yaml.safe_dump(own_study()))
    for _, file, spoil, _ in MISTAKES_IN_THE_DATA:
        spoil(place / "data" / file)
    done = snakemake(root, place, "check")
    assert done.returncode == 1
    for _, file, _, says in MISTAKES_IN_THE_DATA:
        assert_told(done.stderr, file, says)


def test_a_warning_is_in_the_log_and_the_json_of_the_job(root, place):
    (place / "own.yaml").write_text(yaml.safe_dump(own_study()))
    with (place / "data/ner/es/test.conll").open("a") as file:
        file.write("\nX\tB-MISC\n")
    done = snakemake(root, place, "results/checks/ner/es.json")
    assert done.returncode == 0, done.stderr
    (warning,) = json.loads((place / "results/checks/ner/es.json").read_text())["warnings"]
    assert "ner, es, test" in warning and "cannot be predicted" in warning
    assert warning in (place / "results/logs/check_task_data/ner-es.log").read_text()


def test_what_trains_on_files_waits_until_they_are_read(root, place):
    (place / "own.yaml").write_text(yaml.safe_dump(own_study()))
    adapter = "results/adapters/tiny/task/nli/seed1/adapter.safetensors"
    output = snakemake(root, place, adapter, "--d3dag").stdout
    graph = json.loads(output)
    rules = {node["id"]: node["value"]["rule"] for node in graph["nodes"]}
    below = {(rules[edge["u"]], rules[edge["v"]]) for edge in graph["edges"]}
    assert ("check_task_data", "train_task_adapter") in below
    assert ("train_tokenizer", "tokenize_shard") in below


def test_a_corpus_shorter_than_its_budget_is_refused(root, place):
    study = own_study()
    study["budgets"] = {"es": ["1M"]}
    (place / "own.yaml").write_text(yaml.safe_dump(study))
    done = snakemake(root, place, "check")
    assert done.returncode == 1
    assert "budgets.es" in done.stderr and "1000000" in done.stderr
    # the job knows the tokens exactly, and looks before it trains
    (place / "data/raw/en.txt.gz").write_bytes(gzip.compress(b"One short line.\n" * 4, mtime=0))
    adapter = "results/adapters/tiny/language/es@1M/seed1"
    done = snakemake(root, place, f"{adapter}/adapter.safetensors")
    assert done.returncode == 1
    assert not (place / adapter / "adapter.safetensors").exists()


def test_a_whole_study_passes_the_check(root, place):
    (place / "own.yaml").write_text(yaml.safe_dump(own_study()))
    done = snakemake(root, place, "check")
    assert done.returncode == 0, done.stderr
