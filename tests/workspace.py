"""Copies of the project for tests that run Snakemake, and edit files, as a user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from langarith.study.experiments import EXPERIMENTS

PARTS = ("Snakefile", "rules", "workflow", "profiles", "studies", "envs")


def copy_project(root: Path, folder: Path) -> Path:
    """A copy of what the workflow is made of."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return folder


def snakemake(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the project as a user would."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("snakemake")), *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def run(project: Path, *arguments: str) -> str:
    """A run that must succeed."""
    done = snakemake(project, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned_jobs(project: Path, *arguments: str) -> Counter[str]:
    """Jobs by rule that a dry run plans, less the targets that only gather."""
    text = run(project, "-n", *arguments)
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", text, re.M | re.S)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return Counter({name: int(n) for name, n in rows if name not in {"all", *EXPERIMENTS}})


def options(study: str) -> tuple[str, ...]:
    """The options of a run of a study; Snakemake takes what follows --configfile for one, too."""
    return ("--configfile", study, "--cores", "2")


NANO = options("studies/nano.yaml")


def overlay(project: Path, file: str, **keys: object) -> str:
    """A study that extends nano, beside it, and keeps its results folder."""
    path = project / "studies" / f"{file}.yaml"
    path.write_text(yaml.safe_dump({"extends": "nano.yaml", **keys}))
    return f"studies/{file}.yaml"


def edit(file: Path, old: str, new: str) -> None:
    """Replace text in a file that must hold it."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
