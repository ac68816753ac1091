"""`langarith track`: event files of TensorBoard from metrics logs, read back record by record."""

from __future__ import annotations

import json
import math
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from langarith import cli
from langarith.commands import track
from langarith.files import write_json
from langarith.training.metrics import MetricsLog

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
ADAPTER = "adapters/tiny/task/ner/seed1"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    training = {"task_adapter": {"epochs": 2, "learning_rate": 0.001}}
    study = {"name": "little", "results_dir": "results", "training": training}
    write_json(folder / "study.json", study)
    log = MetricsLog(folder / ADAPTER / "metrics.jsonl")
    log.write(step=10, loss=0.5, grad_norm=math.nan, epoch=1.0)
    log.write(step=10, validation_f1=80.25, epoch=1.0)
    log.write(step=20, loss=math.inf, grad_norm=-math.inf, epoch=2.0)
    log.write(step=20, stopped_early=True, best_step=10)
    return folder


def records(path: Path) -> Iterator[bytes]:
    """The records of an event file: length (8 bytes), its checksum (4), data, its checksum (4)."""
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield content[12 : 12 + length]
        content = content[16 + length :]


def test_a_metrics_log_is_strict_json(results):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (results / ADAPTER / "metrics.jsonl").read_text()
    rows = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert [row.get("loss") for row in rows] == [0.5, None, None, None]
    assert rows[2]["grad_norm"] is None and "loss" in rows[2]


def test_every_finite_number_is_a_scalar(results, tmp_path, capsys):
    from tensorboardX.proto.event_pb2 import Event

    folder = tmp_path / "tb"
    assert cli.main(["track", str(results), "--to", "tensorboard", str(folder)]) == 0
    assert f"tensorboard --logdir {folder}" in capsys.readouterr().out
    (file,) = (folder / ADAPTER).iterdir()
    events = [Event.FromString(record) for record in records(file)]
    values = [(e.step, value) for e in events for value in e.summary.value]
    found = {(step, v.tag): v.simple_value for step, v in values if not v.tag.startswith("recipe")}
    assert found == {
        (10, "train/loss"): 0.5,
        (10, "train/epoch"): 1.0,
        (10, "validation/f1"): 80.25,
        (20, "train/epoch"): 2.0,
        (20, "train/best_step"): 10.0,
    }
    (text,) = [v.tensor.string_val[0].decode() for _, v in values if v.tag.startswith("recipe")]
    assert '"learning_rate": 0.001' in text and "task adapter tiny ner, seed 1" in text


@pytest.mark.parametrize(
    ("tool", "folder", "sentence"),
    [
        ("tensorbord", "tb", "no such tool (did you mean 'tensorboard'?)"),
        ("tensorboard", "results", "exists already; name a new folder"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(results, tmp_path, capsys, tool, folder, sentence):
    assert cli.main(["track", str(results), "--to", tool, str(tmp_path / folder)]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("tool", track.TOOLS)
def test_a_missing_package_is_one_sentence(results, tmp_path, capsys, monkeypatch, tool):
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    package, extra = track.TOOLS[tool].package, track.TOOLS[tool].extra
    assert any(line.startswith(package) for line in extras["optional-dependencies"][extra])
    monkeypatch.setitem(sys.modules, package, None)
    folder = tmp_path / "new"
    assert cli.main(["track", str(results), "--to", tool, str(folder)]) == 1
    assert f"pip install {package}, or '.[{extra}]' in a clone" in capsys.readouterr().err
    assert not folder.exists()


def test_a_study_without_trainings_is_one_sentence(results, tmp_path, capsys):
    (results / ADAPTER / "metrics.jsonl").unlink()
    assert cli.main(["track", str(results), "--to", "tensorboard", str(tmp_path / "tb")]) == 1
    assert "no training has written a metrics log" in capsys.readouterr().err
    assert cli.main(["track", str(tmp_path), "--to", "tensorboard", str(tmp_path / "tb")]) == 1
    assert "no study.json there" in capsys.readouterr().err
