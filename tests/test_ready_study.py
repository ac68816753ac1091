"""Studies with ready-made task adapters, or with layers that have no language adapter."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import struct
import textwrap
from pathlib import Path
from typing import Any

import pytest

from langarith import cli
from langarith.commands import check
from langarith.data import heads
from langarith.errors import InputError
from langarith.operands import Operand
from langarith.planning import disk, work
from langarith.study import experiments, loading, sources
from test_study import HUB_CORPORA, LITTLE, REMOVED, changed, read, refusal, write

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
COMMIT = "a" * 40
LANGUAGES = {x: f"AdapterHub/{x}-wiki@{COMMIT}" for x in ("en", "es", "fr")}


def write_adapter(folder: Path, **changes: Any) -> Path:
    """A task adapter as far as its headers: a tagger of LABELS."""
    folder.mkdir(exist_ok=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for name in ("adapter.safetensors", "model_head.safetensors"):
        (folder / name).write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    (folder / "adapter_config.json").write_text('{"name": "ner"}')
    config = {
        "head_type": "tagging",
        "num_labels": len(LABELS),
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }
    described = {"model_class": "XLMRobertaAdapterModel", "name": "ner", "config": config | changes}
    (folder / "head_config.json").write_text(json.dumps(described))
    return folder


def test_a_ready_made_task_adapter_serves_all_seeds_and_trains_nothing(tmp_path: Path) -> None:
    ready = str(write_adapter(tmp_path / "ner"))
    study = read(tmp_path, models__tiny__task_adapters={"ner": ready, "nli": f"owner/x@{COMMIT}"})
    file = sources.ready_task_adapter(study, "tiny", "nli", "head_config.json")
    assert file == f"resources/hub/models/owner/x/{COMMIT}/head_config.json"
    assert sources.ready_task_adapter(study, "tiny", "ner", "a") == f"{ready}/a"
    runs = [run for run in experiments.runs(study, "zero_shot") if run.kind == "task"]
    assert {run.seed for run in runs} == {1, 2}
    assert all(sources.is_ready(study, run) for run in runs)
    # what is not to be trained takes no room on the disk, and its scores are planned
    needed = disk.needed(study)
    assert not any("task adapters" in kinds for kinds in needed.values())
    record = "results/little/adapters/tiny/task/ner/ready/seed1/provenance.json"
    planned = work.Counter(study).planned("score_task_adapter", record)
    assert planned is not None and planned.operations > 0


def test_a_branch_of_a_task_adapter_needs_a_lock(tmp_path: Path) -> None:
    study = read(tmp_path, models__tiny__task_adapters={"ner": "owner/ner@main"})
    assert "models/owner/ner@main" in sources.hub_branches(study)


def line_of(tmp_path: Path, **changes: Any) -> str:
    (line,) = refusal(write(tmp_path / "study.yaml", changed(**changes)))
    return line


def test_a_task_adapter_that_cannot_be_used_is_refused_with_the_study(tmp_path: Path) -> None:
    folder = tmp_path / "ner"
    key = {"models__tiny__task_adapters": {"ner": str(folder)}}
    folder.mkdir()
    assert "has no adapter.safetensors; name an adapter's folder" in line_of(tmp_path, **key)
    (folder / "pytorch_adapter.bin").touch()
    assert line_of(tmp_path, **key).endswith(
        "only pytorch_adapter.bin, a pickle that can run code when it is loaded; convert it: "
        f"langarith convert {folder} --to NEW_FOLDER"
    )
    write_adapter(folder)
    (folder / "model_head.safetensors").rename(folder / "pytorch_model_head.bin")
    assert "has no model_head.safetensors, only pytorch_model_head.bin" in line_of(tmp_path, **key)
    for changes, says in (
        ({"head_type": "classification"}, "is of type classification, but the task needs one of"),
        ({"label2id": None}, "does not say what its 7 outputs mean"),
        ({"num_labels": None}, "it has no num_labels"),
    ):
        write_adapter(folder, **changes)
        line = line_of(tmp_path, **key)
        assert "models.tiny.task_adapters.ner: " in line and says in line
    line = line_of(tmp_path, models__tiny__task_adapters={"pos": f"owner/x@{COMMIT}"})
    assert "models.tiny.task_adapters.pos: 'pos' has no entry under 'tasks'" in line
    own = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
    line = line_of(
        tmp_path,
        models__tiny__task_adapters={"ner": f"owner/x@{COMMIT}"},
        tasks__ner__training=own,
    )
    assert "tasks.ner.training: it has no effect" in line


def test_what_subtracts_the_initialisation_refuses_ready_made_task_adapters(
    tmp_path: Path,
) -> None:
    line = line_of(
        tmp_path,
        models__tiny__task_adapters={"ner": f"owner/x@{COMMIT}"},
        experiments={"zero_shot": {}, "similarity": {}},
    )
    assert "models.tiny.task_adapters.ner was trained elsewhere from an unknown one" in line


def test_several_seeds_of_ready_made_adapters_alone_are_refused(tmp_path: Path) -> None:
    tasks = {"ner": f"owner/ner@{COMMIT}", "nli": f"owner/nli@{COMMIT}"}
    every = {"models__tiny__adapters": LANGUAGES, "models__tiny__task_adapters": tasks}
    assert "seeds: all adapters are ready-made, so every seed would give" in line_of(
        tmp_path, **every
    )
    assert read(tmp_path, **every, seeds=[1])
    # one adapter that is trained makes them differ
    some = every | {"models__tiny__adapters": {"es": LANGUAGES["es"]}}
    assert read(tmp_path, **some)


def test_check_compares_the_labels_of_a_head_with_the_training_data(tmp_path: Path) -> None:
    for language in ("en", "fr"):
        for split, word in (("train", "a"), ("validation", "b"), ("test", "c")):
            text = f"{word}\tB-LOC\n{language}\tI-LOC\n\n"
            (tmp_path / f"{language}.{split}").write_text(text)
    task = {
        "source": "files",
        "targets": ["fr"],
        **{s: f"{tmp_path}/{{language}}.{s}" for s in ("train", "validation", "test")},
    }
    folder = write_adapter(tmp_path / "ner")
    path = write(
        tmp_path / "study.yaml",
        changed(tasks={"ner": task}, models__tiny__task_adapters={"ner": str(folder)}),
    )
    (problem,) = check.look(loading.load(path)).problems
    assert problem == (
        f"models.tiny.task_adapters.ner: output 1 of the head in {folder} is 'B-PER', which the "
        "task does not have (O, B-LOC, I-LOC); name another adapter, or rename the labels of the "
        "data"
    )
    right = {"label2id": {"B-LOC": 0, "O": 1, "I-LOC": 2}, "num_labels": 3}
    write_adapter(folder, **right)
    found = check.look(loading.load(path))
    assert not found.problems
    assert "1 ready-made adapter" in found.looked_at
    assert heads.read(folder).labels == ("B-LOC", "O", "I-LOC")


@pytest.mark.parametrize(
    ("leave_out", "says"),
    [
        ([2], "adapters.language.leave_out: layer 2 is beyond the 2 layers of tiny, which are cou"),
        ([0, 1], "adapters.language.leave_out: it names all 2 layers of tiny"),
        ([1, 1], "adapters.language.leave_out: a layer is listed twice"),
        ([-1], "adapters.language.leave_out (entry 1) is -1; write a number of at least 0"),
        ([True], "adapters.language.leave_out: true is a truth value"),
    ],
)
def test_layers_that_cannot_be_left_out_are_refused(
    tmp_path: Path, leave_out: list[int], says: str
) -> None:
    assert says in line_of(tmp_path, adapters={"language": {"leave_out": leave_out}})


def test_layers_of_a_base_model_in_a_folder_are_counted(tmp_path: Path) -> None:
    study = read(tmp_path, adapters={"language": {"leave_out": [1]}})
    assert study.adapters.model_dump()["language"]["leave_out"] == (1,)
    assert sources.layer_count(study, "tiny") == 2
    hub = {"source": "hub", "path": "owner/x", "revision": COMMIT}
    study = read(tmp_path, models={"far": hub}, adapters={"language": {"leave_out": [11]}})
    assert sources.layer_count(study, "far") is None  # known once its config.json is here


def test_an_experiment_that_shows_a_layer_without_adapters_is_refused(tmp_path: Path) -> None:
    line = line_of(
        tmp_path,
        adapters={"language": {"leave_out": [1]}},
        experiments={"sparsity": {"layers": [0, 1]}},
    )
    assert "experiments.sparsity.layers: layer 1 has no language adapter" in line


def test_keys_of_ready_made_adapters_are_no_parameters_of_base_models(tmp_path: Path) -> None:
    ready = {"adapters": LANGUAGES, "task_adapters": {"ner": f"owner/x@{COMMIT}"}}
    plain = read(tmp_path).models["tiny"]
    given = read(tmp_path, models={"tiny": LITTLE["models"]["tiny"] | ready}, seeds=[1])
    left = {"adapters", "task_adapters"}
    assert given.models["tiny"].model_dump(exclude=left) == plain.model_dump(exclude=left)
    assert sources.ready_adapter(given, "tiny", Operand("fr"), "a")


# ---------------------------------------------------------------- raw text that no job reads


def rows_missing(tmp_path: Path, **changes: Any) -> list[str]:
    """The languages that a study with ready-made adapters is refused for: the table lacks qu."""
    languages = ["en", "es", "qu"]
    models = {
        "xlm-r": {
            "source": "hub",
            "path": "FacebookAI/xlm-roberta-base",
            "revision": COMMIT,
            "adapters": {x: f"AdapterHub/{x}-wiki@{COMMIT}" for x in languages},
            "task_adapters": {"ner": f"owner/ner@{COMMIT}"},
        }
    }
    task = {"source": "miniature", "examples": {"train": 20, "validation": 10, "test": 10}}
    data = {
        "languages": languages,
        "seeds": [1],
        "models": models,
        "corpora": HUB_CORPORA,
        "tasks": {"ner": task | {"targets": ["qu"]}},
        "related": {"qu": "es"},
        "budgets": REMOVED,
    }
    path = write(tmp_path / "study.yaml", changed(**(data | changes)))
    try:
        problems = check.look(loading.load(path)).problems
    except InputError as error:
        problems = str(error).splitlines()
    assert all("the table of shards has no row for configuration" in line for line in problems), (
        problems
    )
    return [re.findall(r"'20231101\.(\w+)' of", line)[0] for line in problems]


def test_text_that_no_job_reads_needs_no_row_in_the_table_of_shards(tmp_path: Path) -> None:
    assert rows_missing(tmp_path) == []
    # the target's own adapter, which no job merges
    of_others = {language: LANGUAGES[language] for language in ("en", "es")}
    assert rows_missing(tmp_path, **{"models__xlm-r__adapters": of_others}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"models__xlm-r__adapters": {}, "experiments": {"enhancement": {}}},
        {"models__xlm-r__adapters": {}, "models__xlm-r__task_adapters": {}, "related": {}},
        {"budgets": {"qu": ["10k"]}, "experiments": {"zero_shot": {}, "low_resource": {}}},
        {"selection": "mlm"},
        {"experiments": {"label_free": {"rules": ["validation", "mlm"]}}},
        {"models__own": LITTLE["models"]["tiny"] | {"languages": ["en", "qu"]}},
    ],
    ids=["own adapter", "related unknown", "budget", "selection", "label_free", "base model"],
)
def test_text_that_a_job_reads_needs_a_row(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert rows_missing(tmp_path, **changes) == ["qu"]


def test_the_study_of_the_guide_lacks_nothing_but_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "docs/no_training.md").read_text(encoding="utf-8")
    section = page.partition("\n## 3. The study\n\n")[2]
    block = itertools.takewhile(lambda line: line[:4].strip() == "", section.splitlines(True))
    monkeypatch.chdir(tmp_path)
    path = write(Path("ready.yaml"), textwrap.dedent("".join(block)))
    assert cli.main(["check", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    absent = re.compile(r"ready\.yaml: .*(: adapters/\w+ has no \w+\.\w+; | does not exist; )")
    assert lines and all(absent.match(line) for line in lines), lines
    # and with these files nothing is missing
    shutil.copytree(write_adapter(tmp_path / "any"), "adapters/ner")
    for language in ("en", "es", "qu"):
        shutil.copytree("any", f"adapters/{language}")
    splits = ("train", "validation", "test")
    for file in (*(f"en/{split}" for split in splits), "qu/validation", "qu/test"):
        path_of = Path(f"data/ner/{file}.conll")
        path_of.parent.mkdir(parents=True, exist_ok=True)
        path_of.write_text("".join(f"{file}{i}\t{tag}\n" for i, tag in enumerate(LABELS)))
    assert cli.main(["check", str(path)]) == 0, capsys.readouterr().err
