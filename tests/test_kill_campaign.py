"""The kill campaign finds processes by their environment, and counts what happened."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def campaign(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("kill_campaign")


def test_only_processes_with_its_mark_are_victims(campaign, tmp_path):
    script = tmp_path / ".snakemake/scripts/job.py"
    script.parent.mkdir(parents=True)
    script.write_text("print(flush=True)\nimport time\ntime.sleep(600)")
    environment = {**os.environ, campaign.MARK: "mine"}
    with (
        subprocess.Popen(
            [sys.executable, script], env=environment, stdout=subprocess.PIPE
        ) as marked,
        subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as other,
    ):
        for process in (marked, other):
            process.stdout.readline()
        assert campaign.victims("mine", snakemake=0) == {"job": [marked.pid]}
        assert campaign.victims("mine", snakemake=marked.pid) == {"snakemake": [marked.pid]}
        other.kill()
        campaign.end_all("mine", patience=0)
        assert marked.wait(10) == -signal.SIGKILL


def test_results_are_compared_without_records_logs_and_times(campaign, tmp_path):
    for name in ("tables/a.csv", "tables/a.csv.provenance.json", "logs/lock", "x/metrics.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(campaign.hashes(tmp_path)) == ["tables/a.csv"]


def test_the_table_counts_kills_and_runs(campaign):
    kills = [{"kind": "job", "signal": "SIGKILL"}] * 2 + [{"kind": "fork", "signal": "SIGINT"}]
    run = {"ended": True, "different": [], "audit": 0, "starts": 3}
    lines = campaign.table(kills, [run, run | {"different": ["tables/a.csv"]}])
    assert "| job | 2 | 0 | 0 | 2 |" in lines
    assert "| all | 2 | 0 | 1 | 3 |" in lines
    assert lines[-4:] == [
        "ended: 2 of 2 runs",
        "equal, byte by byte: 1 of 2 runs",
        "as recorded (audit verify): 2 of 2 runs",
        "starts of Snakemake: 6",
    ]
