"""The training of a task adapter from files to files, interrupted and run again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import helpers
from langarith.models import encoders
from langarith.models.adapters import save_adapter, task_config
from langarith.study.recipes import TaskRecipe
from langarith.training import batching, metrics, task_adapter

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable")

RECIPE = TaskRecipe(steps=6, batch_size=4, learning_rate=1e-2, evaluate_every=2).model_dump()
READING: dict[str, Any] = {
    "type": "qa",
    "max_length": 32,
    "stride": 4,
    "labels": [],
    "cuts": {"train": None, "validation": None, "test": None},
    "max_answer_length": 2,
}
BATCHES = {"tokens_per_batch": 256, "precision": "fp32"}


class Killed(BaseException):
    """Stands for SIGKILL."""


@dataclass
class Inputs:
    """What all trainings here read: folders and the files of the task."""

    folders: dict[str, Path]
    files: dict[str, Path]


def squad(path: Path, questions: int) -> Path:
    """Questions whose answer is the three words after the word that is asked for."""
    paragraphs = []
    for i in range(questions):
        words = [f"w{(7 * i + 3 * j) % 250}" for j in range(12)]
        start, context = 1 + i % 8, " ".join(words)
        answer = {
            "text": " ".join(words[start : start + 3]),
            "answer_start": len(" ".join(words[:start])) + 1,
        }
        question = {"id": str(i), "question": words[start - 1], "answers": [answer]}
        paragraphs.append({"context": context, "qas": [question]})
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    place = tmp_path_factory.mktemp("inputs")
    names = ("encoder", "tokenizer", "language_adapter", "initial")
    folders = {name: place / name for name in names}
    helpers.make_base(folders["encoder"], layers=1, dropout=0.1)
    helpers.make_tokenizer().save_pretrained(folders["tokenizer"])
    model = encoders.load_encoder(folders["encoder"])
    helpers.add_adapter(model, "en", seed=1)
    save_adapter(model, "en", folders["language_adapter"], with_head=False)
    helpers.add_adapter(model, "task", 2, task_config(helpers.TASK_SHAPE))
    save_adapter(model, "task", folders["initial"], with_head=False)
    sizes = {"train": 24, "validation": 10, "test": 6}
    files = {split: squad(place / f"{split}.json", count) for split, count in sizes.items()}
    return Inputs(folders, files)


def train(
    inputs: Inputs,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int | None = None,
    batches: dict[str, Any] = BATCHES,
    **reading: Any,
) -> int:
    """Train in a folder; returns the number of micro-batches, each of which is a step here."""
    seen = 0
    loss_of = batching.task_loss

    def loss(*given: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            raise Killed
        return loss_of(*given)

    with monkeypatch.context() as patch:
        patch.setattr(batching, "task_loss", loss)
        task_adapter.run(
            {"model": "tiny", "task": "qa", "seed": "1"},
            RECIPE,
            READING | reading,
            folder / "adapter",
            language="en",
            files=inputs.files,
            batches=batches,
            log=folder / "metrics.jsonl",
            checkpoints=folder / "checkpoints",
            save_minutes=0.0 if kill_at else 10.0,
            **inputs.folders,
        )
    return seen


def results(folder: Path) -> dict[str, Any]:
    """What a training leaves: the bytes of its files, and the rows of its log."""
    files = {path.name: path.read_bytes() for path in (folder / "adapter").iterdir()}
    return files | {"log": metrics.read_metrics(folder / "metrics.jsonl")}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"max_answer_length": 3}, id="max_answer_length"),
        pytest.param({"examples": {"validation": 5}}, id="examples"),
        pytest.param({"batches": BATCHES | {"precision": "bf16"}}, id="precision"),
    ],
)
def test_training_that_is_validated_in_another_way_starts_afresh(
    inputs: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    with pytest.raises(Killed):
        train(inputs, tmp_path / "killed", monkeypatch, kill_at=4)
    assert len(list((tmp_path / "killed/checkpoints").glob("checkpoint-3/best.safetensors"))) == 1
    assert train(inputs, tmp_path / "killed", monkeypatch, **change) == 6
    why = "because the checkpoint of step 3 has other validation data or scoring"
    assert f"    qa adapter, seed 1: starts anew, {why}\n" in capsys.readouterr().err
    train(inputs, tmp_path / "fresh", monkeypatch, **change)
    assert results(tmp_path / "killed") == results(tmp_path / "fresh")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"batches": BATCHES | {"tokens_per_batch": 64}}, id="smaller batches"),
        pytest.param({"examples": {"test": 3}}, id="test split"),
    ],
)
def test_interrupted_training_continues(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Also with smaller batches of validation, and with fewer examples of the test split."""
    with pytest.raises(Killed):
        train(inputs, tmp_path / "killed", monkeypatch, kill_at=4)
    assert train(inputs, tmp_path / "killed", monkeypatch, **change) == 3
    assert not (tmp_path / "killed/checkpoints").exists()
    train(inputs, tmp_path / "whole", monkeypatch)
    killed, whole = (results(tmp_path / name) for name in ("killed", "whole"))
    assert killed["adapter.safetensors"] == whole["adapter.safetensors"]
    assert killed["log"] == whole["log"]
    if not change:
        assert killed == whole


def test_summary_has_warnings_and_scores_of_the_splits(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(inputs, tmp_path, monkeypatch)
    summary = json.loads((tmp_path / "adapter/task.json").read_text())
    assert (summary["model"], summary["task"], summary["language"]) == ("tiny", "qa", "en")
    assert (summary["seed"], summary["labels"], summary["steps"]) == (1, [], 6)
    assert summary["examples"] == {"train": 24, "validation": 10, "test": 6}
    best = max(r["validation_f1"] for r in metrics.read_metrics(tmp_path / "metrics.jsonl")[1::2])
    assert summary["validation"]["f1"] == pytest.approx(best, abs=1e-9)
    # answers have three words, and predictions at most two
    places = [warning.partition(":")[0] for warning in summary["warnings"]]
    assert places == [
        f"qa, en, {split} ({inputs.files[split]}), model tiny" for split in ("validation", "test")
    ]
