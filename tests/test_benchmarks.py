"""Benchmarks: the harness, and both sides of each script do the same. Nothing is timed."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
TOY = """
import harness

def ours(given):
    return {"seconds": 1.0 + given["repeat"], "operations": 10, "answer": given["ours"]}

def theirs(given):
    return {"seconds": 4.0 + given["repeat"], "answer": 7}

def cases(asked):
    yield harness.Case("toy", {"ours": OURS}, bars={"seconds": 2.0, "peak_mb": None})

if __name__ == "__main__":
    harness.main(__doc__, "NAME", {"ours": ours, "the peer": theirs}, cases)
"""


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark by name, with what runs in processes of its own run in this one."""
    monkeypatch.syspath_prepend(str(FOLDER))
    harness = importlib.import_module("harness")
    monkeypatch.setattr(
        harness,
        "in_process",
        lambda script, function, given: (
            1.0,
            getattr(importlib.import_module(Path(script).stem), function)(given),
        ),
    )
    return importlib.import_module


def run(folder: Path, *toys: tuple[str, int]) -> subprocess.CompletedProcess[str]:
    """`python benchmarks` on toys: (name, our answer). The peer's answer is 7."""
    for name in ("harness.py", "__main__.py"):
        shutil.copy(FOLDER / name, folder)
    for name, answer in toys:
        text = TOY.replace("OURS", str(answer)).replace("NAME", name)
        (folder / f"{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, str(folder), "--tiny", "--repeats", "3"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_rows_of_two_sides(tmp_path: Path) -> None:
    done = run(tmp_path, ("agreeing", 7))
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "agreeing: toy" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # 4/1, 5/2 and 6/3: the median of the ratios, not the ratio of the medians
    assert cells[1:4] == ["2 s", "5 s (the peer)", "2.50x (2.00–4.00)"]
    assert cells[5] == "2x ✓"


def test_sides_that_disagree_fail_and_the_others_still_run(tmp_path: Path) -> None:
    done = run(tmp_path, ("agreeing", 7), ("differing", 8))
    assert done.returncode == 1
    assert "differing, toy: the two sides disagree: 8 and 7" in done.stderr
    assert "failed: differing" in done.stderr
    assert "agreeing: toy" in done.stdout
    assert "differing: toy" not in done.stdout


def test_a_line_has_the_measurements_of_a_row(scripts: Any) -> None:
    harness = scripts("harness")
    case = harness.Case("toy", {}, bars={"seconds": 2.0})
    runs = {
        "ours": [{"seconds": 2.0, "operations": 30.0}],
        "peer": [{"seconds": 3.0}],
    }
    line = json.loads(json.dumps(harness.line("b", case, "seconds", runs, {"operations": 60.0})))
    assert (line["ratio"], line["bar"], line["fraction"]) == (1.5, 2.0, 0.25)
    assert line["runs"] == runs
    assert {"cpu", "cores", "memory_gb", "versions", "commit", "time"} <= line.keys()
    assert "2x missed" in "\n".join(harness.table([line]))


@pytest.mark.parametrize(
    "name",
    [
        "train_step",
        "sweep_lambda",
        "train_epoch",
        "train_memory",
        "tokenize_corpus",
        "plan_study",
        "bootstrap_gain",
        "analyse_study",
    ],
)
def test_both_sides_of_a_benchmark_agree(scripts: Any, name: str) -> None:
    module = scripts(name)
    asked = argparse.Namespace(
        tiny=True, steps=4, length=32, count=12, documents=200, sentences=None, whole=False, size=""
    )
    for case in module.cases(asked):
        given = json.loads(json.dumps(case.given | {"repeat": 0}))
        ours, theirs = module.ours(given), module.theirs(given)
        agree = getattr(module, "agree", scripts("harness").equal)
        assert agree([ours["answer"]], [theirs["answer"]]) is None
        assert ours["seconds"] > 0
        assert theirs["seconds"] > 0
