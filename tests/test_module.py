"""The workflow as a module of somebody's own Snakefile: by its path, and from a repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import workspace
from langarith.commands import doctor
from langarith.errors import InputError
from langarith.planning import plan
from langarith.study import loading
from test_workflow import expected

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs/module.md"
ADDRESS = "https://github.com/OWNER/language-arithmetic"


def guide(number: int) -> str:
    """A Snakefile of the guide, the first or the second."""
    text = GUIDE.read_text(encoding="utf-8")
    return text.split("```python\n")[1:][number].partition("```")[0]


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder with a study and profiles, and no code."""
    folder = tmp_path / "own"
    (folder / "studies").mkdir(parents=True)
    for name in ("nano", "miniature"):
        shutil.copy(ROOT / f"studies/{name}.yaml", folder / "studies")
    (folder / "studies/nano.yaml").rename(folder / "studies/mine.yaml")
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("from langarith", "from langarith as la_*", "use its rules without 'as'"),
        ("config: config", "config: {'seeds': [1]}", "its 'config' is not a whole study"),
        ("config: config", 'config: config\n    prefix: "x"', "leave out 'prefix'"),
    ],
)
def test_what_a_module_does_not_take_is_refused_in_a_sentence(own, old, new, sentence):
    (own / "workflow").symlink_to(ROOT)  # where the guide clones it
    snakefile = guide(0).replace('"language-arithmetic/Snakefile"', '"workflow/Snakefile"')
    assert old in snakefile and "workflow/Snakefile" in snakefile
    (own / "Snakefile").write_text(snakefile.replace(old, new))
    done = workspace.snakemake(own, "-n", "--cores", "1")
    assert done.returncode and sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_plan_asks_the_snakefile_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plan._snakemake()[1:] == ["--snakefile", str(ROOT / "Snakefile")]
    Path("Snakefile").touch()
    assert plan._snakemake()[1:] == []
    monkeypatch.setattr(plan.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r"langarith plan needs Snakemake, .*\.\[workflow\]"):
        plan._snakemake()


def test_doctor_says_that_the_library_alone_is_installed(monkeypatch):
    assert "no envs/requirements.lock" in doctor._packages(None).text
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert "the library alone" in doctor._packages(None).text
    assert doctor._warm().state == "note"


@pytest.mark.slow
def test_a_job_of_a_module_runs_and_leaves_its_record(own):
    (own / "language-arithmetic").symlink_to(ROOT)
    (own / "Snakefile").write_text(guide(0))
    shard = "results/nano/miniature/raw/en/train-00000-of-00002.parquet"
    workspace.run(own, "--cores", "1", shard)
    record = json.loads((own / shard).with_name("provenance.json").read_text())
    assert record["rule"] == record["script"] == "write_miniature_corpus"
    # what hooks do: they are called without a word in the Snakefile
    assert json.loads((own / "results/nano/study.json").read_text())["name"] == "nano"
    assert (own / "results/nano/logs/lock").exists()
    assert not (own / "resources").exists()


@pytest.mark.slow
def test_a_module_from_a_repository_plans_the_whole_study(own, tmp_path, monkeypatch):
    """git finds the address of GitHub on this disk."""
    repository = workspace.copy_project(ROOT, tmp_path / "repository")
    for command in (
        "init --quiet",
        "add --all",
        "-c user.name=a -c user.email=a@b commit --quiet --message first",
        "tag v0.1.0",
    ):
        subprocess.run(["git", *command.split()], cwd=repository, check=True)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository.as_uri()}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", ADDRESS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (own / "Snakefile").write_text(guide(1))
    planned = workspace.planned_jobs(own, "--cores", "1")
    assert planned == expected(loading.load(own / "studies/mine.yaml"))
    (clone,) = (own / ".snakemake/langarith").iterdir()
    assert (clone / "workflow/scripts/sweep.py").is_file()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    )
    assert clone.name == head.stdout.strip()
    assert os.listdir(own / ".snakemake/langarith") == [clone.name]
