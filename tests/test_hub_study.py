"""A small study whose model, corpora and task data all come from the hub, end to end.

The hub is the one of hub_server.py; it holds text and tasks of the miniature in the layouts that
the sources of the paper have.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from hub_server import Fault, HubServer
from langarith import tasks
from langarith.data import hub, miniature
from langarith.study import loading, schema, sources
from workspace import copy_project, edit, planned_jobs

pytestmark = pytest.mark.slow

LANGUAGES = ("en", "es", "fr")
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
TOKEN = "hf_good"
STUDY = {
    "extends": "nano.yaml",
    "results_dir": "results/hub",
    "models": {"tiny": {"source": "hub", "path": "sample/tiny", "revision": "main"}},
    "corpora": {
        "source": "hub",
        "path": "sample/wikipedia",
        "config": "20231101.{language}",
        "revision": "main",
        "validation_documents": 20,
    },
    "tasks": {
        "ner": {
            "source": "hub",
            "repository": "sample/wikiann",
            "revision": "main",
            "train": "{language}/train-00000-of-00001.parquet",
            "validation": "{language}/{split}-00000-of-00001.parquet",
            "test": "{language}/{split}-00000-of-00001.parquet",
            "languages": {
                "fr": {"repository": "sample/other", "revision": "refs/convert/parquet",
                       "test": "{language}/{split}/0000.parquet"}
            },
            "targets": ["es", "fr"],
            "max_length": 64,
            "training": {"epochs": 1, "batch_size": 16, "learning_rate": 1.0e-2},
        }
    },
}  # fmt: skip


def parquet(rows: list[dict[str, Any]], features: datasets.Features) -> bytes:
    data = BytesIO()
    datasets.Dataset.from_list(rows, features=features).to_parquet(data)
    return data.getvalue()


def wikiann(path: Path) -> bytes:
    """A CoNLL file in the schema that WikiANN has on the hub."""
    text = datasets.Sequence(datasets.Value("string"))
    tags = datasets.Sequence(datasets.ClassLabel(names=TAGS))
    features = datasets.Features({"tokens": text, "ner_tags": tags, "langs": text})
    rows = [
        {"tokens": e.words, "ner_tags": list(e.tags), "langs": ["xx"] * len(e.words)}
        for e in tasks.get("ner").read(path)
    ]
    return parquet(rows, features)


def fill(server: HubServer, folder: Path) -> None:
    """Put the repositories of the study onto the hub."""
    from langarith.data import tokenizer
    from langarith.models import encoders

    shards = [f"train-0000{i}-of-00002.parquet" for i in range(2)]
    corpus: dict[str, bytes] = {}
    ner: dict[str, bytes] = {}
    for language in LANGUAGES:
        paths = [folder / language / name for name in shards]
        miniature.write_corpus(language, paths, documents=200)
        corpus |= {f"20231101.{language}/{path.name}": path.read_bytes() for path in paths}
        for split, examples in {"train": 100, "validation": 30, "test": 40}.items():
            path = folder / language / f"{split}.conll"
            miniature.write_task("ner", language, path, split=split, examples=examples)
            ner[f"{language}/{split}-00000-of-00001.parquet"] = wikiann(path)
    server.add("datasets", "sample/wikipedia", corpus, private=True)
    other = {"fr/test/0000.parquet": ner.pop("fr/test-00000-of-00001.parquet")}
    other["fr/validation-00000-of-00001.parquet"] = ner.pop("fr/validation-00000-of-00001.parquet")
    server.add("datasets", "sample/wikiann", ner)
    server.add("datasets", "sample/other", other, branch="refs/convert/parquet")
    everything = [folder / language / name for language in LANGUAGES for name in shards]
    tokenizer.train(everything, folder / "model", vocabulary=1000, max_length=128,
                    text_column="text")  # fmt: skip
    spec = {"hidden_size": 32, "layers": 1, "attention_heads": 2, "intermediate_size": 64,
            "max_length": 128, "dropout": 0.0, "initializer_range": 0.1}  # fmt: skip
    model = encoders.new_masked_lm(spec, encoders.load_tokenizer(folder / "model"))
    encoders.save_base(model, folder / "model")
    files = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    server.add("models", "sample/tiny", files | {"pytorch_model.bin": b"pickled"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    server = HubServer()
    fill(server, tmp_path_factory.mktemp("hub"))
    yield server
    server.close()


def environment(server: HubServer, home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(home / "hf"), "HF_TOKEN": TOKEN,
                   "NO_PROXY": "127.0.0.1", "PYTHONPATH": ""}  # fmt: skip


def run(project: Path, server: HubServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the environment, in a project, with the server as the hub."""
    program, *rest = arguments
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *rest],
        cwd=project,
        env=environment(server, project.parent)
        | ({"PYTHONPATH": str(project / "workflow")} if program != "snakemake" else {}),
        capture_output=True,
        text=True,
        check=False,
    )


def snakemake(project: Path, server: HubServer, *arguments: str) -> str:
    done = run(project, server, "snakemake", *arguments, "--cores", "2",
               "--configfile", "studies/hub.yaml")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(root: Path, server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with that study, its shards counted, its revisions locked, its files fetched."""
    project = copy_project(root, tmp_path_factory.mktemp("hub-study") / "project")
    (project / "studies/hub.yaml").write_text(yaml.safe_dump(STUDY))
    counted = run(
        project, server, "python", "-m", "langarith", "shards", "sample/wikipedia",
        "20231101.{language}", "--languages", *LANGUAGES,
    )  # fmt: skip
    assert counted.stdout.splitlines() == [f"20231101.{x}: 2 (was unknown)" for x in LANGUAGES]
    unlocked = run(project, server, "snakemake", "fetch", "--cores", "2", "--configfile",
                   "studies/hub.yaml")  # fmt: skip
    assert unlocked.returncode == 1
    assert "is not a commit but a branch or tag" in unlocked.stdout + unlocked.stderr
    snakemake(project, server, "lock_revisions")
    server.faults += [Fault(f"20231101.{x}/train-00000-of-00002.parquet", cut=5) for x in LANGUAGES]
    snakemake(project, server, "fetch")
    assert server.faults == []
    return project


@pytest.fixture(scope="module")
def finished(
    project: Path, server: HubServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any]]:
    """A copy of that project in which the study has run, and what it asked the hub meanwhile."""
    there = tmp_path_factory.mktemp("hub-finished") / "project"
    shutil.copytree(project, there, symlinks=True)
    server.requests.clear()
    snakemake(there, server, "zero_shot")
    return there, list(server.requests)


@pytest.fixture
def study(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[schema.Study]:
    """The study as the project has it, by the project's own table of shards."""
    monkeypatch.setattr(hub, "SHARD_TABLE", project / "workflow/langarith/data/hub_shards.yaml")
    hub.shard_table.cache_clear()
    yield loading.load(project / "studies/hub.yaml")
    hub.shard_table.cache_clear()


def test_the_lock_holds_the_commit_of_every_branch(project: Path, server: HubServer) -> None:
    lock = yaml.safe_load((project / "studies/hub.revisions.yaml").read_text())
    assert lock == {
        f"{kind}/{name}@{branch}": commit
        for (kind, name), repository in server.repositories.items()
        for branch, commit in repository.branches.items()
    }


def test_only_the_lock_is_used_from_then_on(project: Path, server: HubServer) -> None:
    repository = server.repositories["datasets", "sample/wikiann"]
    before = dict(repository.branches)
    server.add("datasets", "sample/wikiann", {"a": b"new"})
    try:
        snakemake(project, server, "lock_revisions")
        assert "Nothing to be done" in snakemake(project, server, "fetch")
    finally:
        repository.branches = before


def test_fetch_downloads_what_the_experiments_need_and_nothing_else(
    project: Path, study: schema.Study
) -> None:
    there = {
        str(path.relative_to(project))
        for path in (project / "resources").rglob("*")
        if path.is_file() and not path.name.endswith("provenance.json")
    }
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    model = {sources.model_file(study, "tiny", name) for name in names}
    shards = {path for language in LANGUAGES for path in sources.shards(study, language)}
    files = {
        sources.task_file(study, "ner", language, split)
        for language in LANGUAGES
        for split in sources.needed_splits(study, language)
    }
    assert there == model | shards | files
    assert not (project / "results/hub/tables").exists()


def test_the_study_runs_to_its_table_without_asking_the_hub(
    finished: tuple[Path, list[Any]], server: HubServer
) -> None:
    import pandas as pd

    there, asked = finished
    assert asked == []
    table = pd.read_csv(there / "results/hub/tables/zero_shot.csv", keep_default_na=False)
    assert set(table.target) == {"es", "fr", "en"}
    la = table[(table.method == "la") & (table.split == "test") & (table.metric == "f1")]
    assert set(la[la.target == "fr"].examples) == {40}
    assert (there / "results/hub/figures/zero_shot.png").is_file()
    again = run(there, server, "snakemake", "zero_shot", "-n", "--cores", "2", "--configfile",
                "studies/hub.yaml")  # fmt: skip
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_token_is_in_no_file(finished: tuple[Path, list[Any]]) -> None:
    found = [
        path
        for path in finished[0].rglob("*")
        if path.is_file() and path.suffix not in (".parquet", ".arrow", ".safetensors")
        and TOKEN.encode() in path.read_bytes()
    ]  # fmt: skip
    assert found == []


def test_a_job_that_asks_the_hub_is_stopped(
    project: Path, server: HubServer, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "project", symlinks=True))
    script = copy / "workflow/scripts/initialise_adapters.py"
    asks = "    import huggingface_hub\n\n    huggingface_hub.model_info('sample/tiny')\n"
    head = "    from langarith.models import encoders\n"
    edit(script, head, head + asks)
    server.requests.clear()
    initial = "results/hub/adapters/tiny/initial/task/adapter.safetensors"
    done = run(copy, server, "snakemake", initial, "--forcerun", "initialise_adapters", "--cores",
               "1", "--configfile", "studies/hub.yaml")  # fmt: skip
    assert done.returncode != 0
    assert "OfflineModeIsEnabled" in done.stdout + done.stderr
    assert server.requests == []


def test_downloads_are_bounded_and_their_number_can_be_chosen(
    project: Path, server: HubServer, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "project", symlinks=True))
    shards = [f"20231101.{x}/train-0000{i}-of-00002.parquet" for x in LANGUAGES for i in (0, 1)]
    shutil.rmtree(copy / "resources/hub/datasets/sample/wikipedia")
    server.faults += [Fault(shard, trickle=4.0) for shard in shards]
    server.most_sending = 0
    fetch = ("snakemake", "fetch", "--cores", "8", "--configfile", "studies/hub.yaml")
    done = run(copy, server, *fetch, "--resources", "downloads=2")
    assert done.returncode == 0, done.stderr
    assert server.most_sending == 2
    next((copy / "resources").rglob("config.json")).unlink()
    done = run(copy, server, *fetch)
    assert re.search(r"Provided resources: .*downloads\D+4\b", done.stdout + done.stderr)


# ---------------------------------------------------------------- ready-made adapters


def test_a_ready_made_adapter_is_merged_instead_of_a_trained_one(
    finished: tuple[Path, list[Any]], server: HubServer, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(finished[0], tmp_path / "project", symlinks=True))
    results = copy / "results/hub"
    trained = results / "adapters/tiny/language/fr@full/seed1"
    files = {name: (trained / name).read_bytes() for name in
             ("adapter_config.json", "adapter.safetensors")}  # fmt: skip
    commit = server.add("models", "sample/adapter-fr", files)
    cell = results / "evaluation/tiny/ner/es/la/en+fr/seed1/selected.json"
    before = json.loads(cell.read_text())
    shutil.rmtree(trained)
    cell.unlink()

    study = yaml.safe_load((copy / "studies/hub.yaml").read_text())
    study["models"]["tiny"]["adapters"] = {"fr": f"sample/adapter-fr@{commit}"}
    study["experiments"] = {"zero_shot": {}}  # nano's ties would need to know where it started
    (copy / "studies/hub.yaml").write_text(yaml.safe_dump(study))
    assert planned_jobs(copy, "zero_shot", "--cores", "2", "--configfile", "studies/hub.yaml") == {
        "download_hub_file": 2, "check_adapters": 1, "sweep_la": 1, "tabulate": 1,
        "estimate_gains": 1, "estimate_choices": 1, "format_table": 1, "draw_figure": 1,
    }  # fmt: skip
    snakemake(copy, server, "zero_shot")
    # the same bytes by another way: the same scores; where they started from is not known
    after = json.loads(cell.read_text())
    assert (len(before.pop("norms")), after.pop("norms")) == (2, [])
    assert after == before
    assert not trained.exists()

    # of another configuration, it is refused before the sweep
    other = files | {"adapter_config.json": files["adapter_config.json"].replace(
        b'"gelu_new"', b'"relu"')}  # fmt: skip
    commit = server.add("models", "sample/adapter-fr", other)
    study["models"]["tiny"]["adapters"] = {"fr": f"sample/adapter-fr@{commit}"}
    (copy / "studies/hub.yaml").write_text(yaml.safe_dump(study))
    done = run(copy, server, "snakemake", "zero_shot", "--cores", "2", "--configfile",
               "studies/hub.yaml")  # fmt: skip
    assert done.returncode == 1
    assert "models.tiny.adapters.fr: the adapter in" in done.stdout + done.stderr
    assert "(non_linearity relu instead of gelu_new)" in done.stdout + done.stderr
