"""`langarith status`, from a made-up plan of a run, its files and its logs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from pathlib import Path

import pytest

from langarith import cli, progress
from langarith.cluster import runs
from langarith.commands import status
from langarith.errors import InputError
from langarith.files import write_json
from langarith.study import loading
from langarith.training import signals

LANGUAGE = "adapters/tiny/language/{}@full/seed1"
LOG = "logs/train_language_adapter/tiny-{}@full-seed1.log"


@pytest.fixture
def results(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of nano with the plan of a run that began ten minutes ago."""
    monkeypatch.chdir(root)
    folder = tmp_path / "results/nano"
    write_json(folder / "study.json", {"name": "nano", "results_dir": str(folder)})
    begin(folder)
    return folder


def begin(folder: Path, cluster: str = "") -> None:
    adapters = [
        ("train_language_adapter", [f"{folder}/{LOG.format(code)}"], adapter(folder, code))
        for code in ("en", "es", "fr", "de")
    ]
    figure = f"{folder}/figures/zero_shot.pdf"
    runs.begin(
        folder,
        [*adapters, ("draw_figure", [f"{folder}/logs/x.log"], [figure]), ("all", [], [])],
        at_once=2,
        cluster=cluster,
        study="studies/nano.yaml",
        overrides={"results_dir": str(folder)},
    )
    begun = time.time() - 600
    os.utime(folder / runs.PLAN, (begun, begun))


def adapter(folder: Path, code: str) -> list[str]:
    names = ("adapter.safetensors", "provenance.json")
    return [f"{folder}/{LANGUAGE.format(code)}/{name}" for name in names]


def put(path: Path, text: str = "", age: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))


def finish(folder: Path, code: str, seconds: float = 30.0) -> None:
    """What a complete training of a language adapter leaves."""
    recipe = loading.load("studies/nano.yaml").training.language_adapter.model_dump()
    record = {"rule": "train_language_adapter", "inputs": {}, "device": "cpu"}
    record |= {"precision": "fp32", "seconds": seconds}
    record |= {"parameters": {"recipe": recipe, "budget": None}}
    put(folder / LANGUAGE.format(code) / "provenance.json", json.dumps(record))


def states(folder: Path) -> list[str]:
    run = runs.read(folder)
    assert run is not None
    return [job.state for job in status.states(folder, run)]


def report(folder: Path) -> str:
    return "\n".join(status.report(folder))


def hold(folder: Path):
    file = (folder / runs.LOCK).open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def test_a_job_is_done_by_its_last_output_and_runs_by_its_log(results):
    assert states(results) == ["waiting"] * 5
    put(results / LANGUAGE.format("en") / "adapter.safetensors")
    put(results / LOG.format("en"))
    assert states(results)[0] == "running"
    finish(results, "en")
    assert states(results)[0] == "done"
    # what an earlier run left does not count
    put(results / LANGUAGE.format("es") / "provenance.json", age=1000)
    put(results / LOG.format("es"), age=1000)
    assert states(results)[1] == "waiting"


def test_a_failed_job_is_failed_until_its_next_attempt(results):
    put(results / LOG.format("fr"), age=20)
    runs.note_failed(results, [f"{results}/{LOG.format('fr')}"])
    assert states(results)[2] == "failed"
    assert f"failed: {results / LOG.format('fr')}" in report(results)
    later = time.time() + 5
    os.utime(results / LOG.format("fr"), (later, later))
    assert states(results)[2] == "running"
    runs.note_failed(results, [f"{results}/{LOG.format('de')}"])  # it ended before it had a log
    assert states(results)[3] == "failed"
    begin(results)
    assert states(results)[3] == "waiting"


def test_the_end_follows_from_recorded_jobs(results):
    finish(results, "en", 30.5)
    put(results / LOG.format("es"), "    language adapter es@full: step 40 of 80, 15 s to go\n")
    with hold(results):
        text = report(results)
    # two waiting trainings of 30 s on two cores, beside the one that runs
    assert "At least 4" in text and "1 job is of a kind that has not run yet" in text
    assert "language adapter es@full: step 40 of 80, 15 s to go" in text
    put(results / "figures/zero_shot.pdf")
    with hold(results):
        text = report(results)
    assert "About 4" in text and " s left, until " in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("language adapters")]
    assert row[2:] == ["1", "1", "2", "-", "4"]


def test_nothing_runs_once_the_run_has_ended(results):
    put(results / LOG.format("es"), "    language adapter es@full: step 40 of 80, 15 s to go\n")
    with hold(results):
        assert "15 s to go" in report(results)
    text = report(results)
    assert "has ended with jobs left" in text and "to go" not in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("language adapters")]
    assert row[2:] == ["-", "-", "4", "-", "4"]


def test_an_interrupted_run_names_its_trainings_and_what_begins_anew(results):
    assert list(status.stopped(results)) == ["To continue, run the same command"]
    finish(results, "en")
    saved = "    " + signals.SAVED.format(what="language adapter {0}@full", step=40) + "\n"
    for code in ("en", "es", "fr"):
        put(results / LOG.format(code), f"    step 39\n{saved.format(code)}")
    put(results / LOG.format("de"), "    language adapter de@full: step 1 of 80, 15 s to go\n")
    put(results / "logs/x.log")
    assert list(status.stopped(results)) == [
        "Stopped and kept in checkpoints: language adapter es@full at step 40, language adapter "
        "fr@full at step 40",
        "To continue, run the same command. From the beginning: language adapters (1), figures (1)",
    ]
    kept = "\nStopped and kept in checkpoints: language adapter es@full at step 40, language"
    assert kept in report(results)
    with hold(results):
        assert kept not in report(results)


def test_a_running_job_without_progress_has_the_rest_of_its_time_left(results):
    for code in ("en", "es"):
        finish(results, code, 100)
    put(results / LOG.format("fr"), age=60)
    put(results / "figures/zero_shot.pdf")
    with hold(results):
        text = report(results)
    assert re.search(
        "About (13|14)[0-9] s left|About 2 min left", text
    )  # 40 s and, after it, 100 s


def test_a_run_that_was_stopped_or_is_done_says_so(results):
    assert "has ended with jobs left; the same command continues" in report(results)
    with hold(results):
        assert re.search("on 2 cores .*: running for 1[01] min", report(results))
    for code in ("en", "es", "fr", "de"):
        finish(results, code)
    put(results / "figures/zero_shot.pdf")
    assert re.search("all done after 1[01] min", report(results))
    assert "left" not in report(results)


def test_squeue_says_what_is_queued(results, tmp_path, monkeypatch):
    begin(results, cluster="nano_1234")
    put(
        tmp_path / "bin/squeue",
        '#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\nprintf "RUNNING\\nPENDING\\nPENDING\\n"',
    )
    (tmp_path / "bin/squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    text = report(results)
    assert "SLURM: 2 pending, 1 running" in text
    assert "--name nano_1234" in (tmp_path / "bin/asked").read_text()


def test_trainings_show_their_last_values(results):
    rows = [
        {"step": 40, "loss": 2.5, "grad_norm": None},
        {"step": 40, "validation_loss": 2.25},
        {"step": 80, "loss": None},
    ]
    for age, code in enumerate(("en", "es")):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        put(results / LANGUAGE.format(code) / "metrics.jsonl", text, age)
    put(results / LANGUAGE.format("fr") / "metrics.jsonl", '{"step": 4')  # just being written
    lines = [line for line in status.report(results) if line.startswith("language adapter tiny")]
    assert [line.split()[3] for line in lines] == ["en@full,", "es@full,"]
    assert " 80  not finite  loss 2.25 " in lines[0]


def test_a_screen_of_trainings_unless_all_are_asked_for(results, capsys):
    for seed in range(20):
        path = results / f"adapters/tiny/task/ner/seed{seed}/metrics.jsonl"
        put(path, '{"step": 1, "loss": 1.0}\n')
    assert cli.main(["status", str(results)]) == 0
    short = capsys.readouterr().out
    assert "and 8 more (--all)" in short and len(short.splitlines()) < 40
    assert cli.main(["status", str(results), "--all"]) == 0
    assert capsys.readouterr().out.count("task adapter tiny ner") == 20


def test_results_are_found_by_a_study_and_by_the_newest_run(results, root, monkeypatch):
    assert status.find(results) == results
    assert status.find(root / "studies/nano.yaml") == Path("results/nano")
    assert status.find(root / "studies/nano.yaml", {"limit": "small"}) == Path(
        "results/nano-limited"
    )
    with pytest.raises(InputError, match=r"--limit: .* is a results folder; name a study"):
        status.find(results, {"limit": "small"})
    monkeypatch.chdir(results.parents[1])
    older = results.parents[1] / "results/older/study.json"
    put(older, "{}", age=100)
    assert status.find(None) == Path("results/nano")


def test_a_folder_without_a_run_is_one_sentence(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "results")
    with pytest.raises(InputError, match="no results here; name a results folder or a study"):
        status.find(None)
    with pytest.raises(InputError, match=r"no study\.json there"):
        report(tmp_path)


@pytest.mark.parametrize("command", ["status", "results", "audit verify"])
def test_what_is_no_results_folder_is_refused(results, monkeypatch, capsys, command):
    """With the results folders that are near."""
    monkeypatch.chdir(results.parents[1])
    put(Path("a/study.json"), '{"name": "a", "results_dir": "a"}')
    put(Path("b-limited/study.json"), '{"name": "b-limited", "results_dir": "b-limited"}')
    name = "name the results folder of a study"
    for given, says in (
        ("results", f"results: no study.json there; {name}: results/nano"),
        ("results/non", f"results/non: no such folder; {name}: results/nano"),
        ("results/nano/study.json", f"results/nano/study.json: a file and no folder; {name}: res"),
        ("b", f"b: no such folder; {name}: a or b-limited"),
    ):
        assert cli.main([*command.split(), given]) == 1
        assert capsys.readouterr().err.startswith(says)
    put(results / "study.json", "{")
    assert cli.main([*command.split(), str(results)]) == 1
    assert capsys.readouterr().err.startswith(f"{results}/study.json does not say which study")


def test_a_plan_that_cannot_be_read_hides_no_training(results):
    put(results / LANGUAGE.format("en") / "metrics.jsonl", '{"step": 1, "loss": 1.0}\n')
    put(results / runs.PLAN, "[]")
    assert "no plan of a run; the next run writes it anew" in report(results)
    assert "language adapter tiny en@full" in report(results)
    # one that another version has written with more in it can be read
    begin(results)
    plan = json.loads((results / runs.PLAN).read_text())
    plan["jobs"][0]["later"] = plan["later"] = 1
    put(results / runs.PLAN, json.dumps(plan))
    assert len(states(results)) == 5


def test_without_a_plan_records_are_counted(results):
    finish(results, "en")
    (results / runs.PLAN).unlink()
    assert "jobs recorded: 1; no plan of a run" in report(results)


def test_what_a_run_made_is_named_by_kind(results):
    for name in ("figures/old.pdf", "tables/old.md"):
        put(results / name, age=1000)
    for name in ("figures/ties.pdf", "figures/ties.png", "tables/ties.md", "tables/ties.csv"):
        put(results / name)
    put(results / "figures/ties.pdf.provenance.json")
    put(results / "report.html")
    assert runs.made_by_last(results) == [
        f"Figures in {results}/figures (.pdf, .png):",
        "    ties",
        f"Tables in {results}/tables (.md, .tex; .csv: 1):",
        "    ties",
        "Pages:",
        f"    {results}/report.html",
    ]
    assert "    old, ties" in cli.results(results)
    study = json.loads((results / "study.json").read_text())
    put(results / "study.json", json.dumps(study | {"limit": {"steps": 10}}))
    assert "limited run: its scores mean nothing" in runs.made_by_last(results)[-1]


def test_progress_says_the_time_to_go_from_the_second_step_on(monkeypatch, capsys):
    """A training that continues at step 40 begins with 41; step 41 took 100 s, 42 and 43 10 s."""
    clock = iter([0.0, 100.0, 110.0, 120.0, 121.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = progress.Progress("adapter", 50, "step")
    for step in (41, 42, 43, 44):  # the last one comes too soon
        shown.update(step, "loss 2")
    assert capsys.readouterr().err.splitlines() == [
        "    adapter: step 41 of 50, loss 2",
        "    adapter: step 42 of 50, loss 2, 80 s to go",
        "    adapter: step 43 of 50, loss 2, 70 s to go",
    ]
