"""An edit reruns what the table in docs/reruns.md says, and nothing else.

Most tests compare fingerprints, which takes milliseconds; the last one asks Snakemake about a
finished study.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

import test_workflow as workflow
from langarith import merging, tasks
from langarith.evaluation import selection
from langarith.jobs import fingerprint
from workspace import copy_project, options, overlay, planned_jobs, run

ROOT = Path(__file__).parents[1]
HEAD = ("you change", "file", "edit", "rules that run again")

# Scripts whose rules name parts, and the kinds of parts, for each of which a job stands here.
TYPES = tasks.names()
METHODS = merging.families()
RULES = selection.names()
PARTS = {
    "check_task_data": ["tasks"],
    "train_task_adapter": ["tasks"],
    "score_task_adapter": ["tasks"],
    "sweep": ["merging", "tasks"],
    "estimate_gains": ["tasks"],
    "estimate_choices": ["tasks"],
    "estimate_label_price": ["tasks"],
    "score_masked_lm": ["merging"],
    "choose_lambda": ["evaluation.selection"],
}
TOGETHER = {
    "compare_rules": [f"evaluation.selection.{rule}" for rule in RULES],
    "compare_with_paper": [tasks.part(name) for name in TYPES],
}
"""Scripts whose one job names all parts of a kind."""


class Row(NamedTuple):
    """A row of the table: what is edited, and patterns of the jobs whose fingerprints change."""

    what: str
    file: Path
    edit: list[str]
    jobs: list[str]

    def apply(self, root: Path) -> Path:
        """Edit the file below a repository root; returns its path."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if len(self.edit) == 1:
            text = f"{text}\n{self.edit[0]}\n"
        else:
            old, new = self.edit
            assert old in text, f"docs/reruns.md: '{old}' is not in {self.file}"
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
        return path


def rows() -> list[Row]:
    """The rows of the table of edits in docs/reruns.md."""
    lines = (ROOT / "docs/reruns.md").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]
    start = cells.index(list(HEAD)) + 2
    table = []
    for what, file, edit, again in cells[start : cells.index([""], start)]:
        assert quoted(edit), f"docs/reruns.md: the edit of '{what}' is not in backticks"
        assert quoted(again) or again == "none", f"docs/reruns.md: {again}"
        path = Path("workflow/langarith", *quoted(file))
        table.append(Row(what, path, quoted(edit), quoted(again)))
    return table


def quoted(cell: str) -> list[str]:
    """The parts of a cell in backticks."""
    return re.findall(r"`([^`]+)`", cell)


ROWS = rows()


def jobs() -> dict[str, tuple[str, ...]]:
    """What the rules give to `fingerprint`, by name: `tabulate`, `train_task_adapter(ner)`."""
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("rules/*.smk"))
    scripts = sorted(set(re.findall(r'fingerprint\(\s*"(\w+)"', text)))
    found: dict[str, tuple[str, ...]] = {}
    for script in scripts:
        chosen: list[tuple[str, ...]] = [()]
        for kind in PARTS.get(script, ()):
            names = {"tasks": TYPES, "merging": METHODS, "evaluation.selection": RULES}[kind]
            chosen = [(*parts, f"{kind}.{name}") for parts in chosen for name in names]
        if script in TOGETHER:
            found[script] = (script, *TOGETHER[script])
            continue
        for parts in chosen:
            names_of_parts = ",".join(part.rpartition(".")[2] for part in parts)
            found[f"{script}({names_of_parts})" if parts else script] = (script, *parts)
    return found


JOBS = jobs()


def fingerprints() -> dict[str, str]:
    """The fingerprint of each job, of the files as they are now."""
    fingerprint.forget()
    return {name: fingerprint.fingerprint(*given) for name, given in JOBS.items()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the code, whose fingerprints are asked for, and what they are before an edit."""
    root = tmp_path_factory.mktemp("tree")
    for part in ("workflow", "rules", "docs"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "LIBRARY", root / "workflow/langarith")
        patch.setattr(fingerprint, "SCRIPTS", root / "workflow/scripts")
        yield root, fingerprints()
    fingerprint.forget()


def test_the_table_has_each_kind_of_edit() -> None:
    assert len(ROWS) >= 14
    patterns = {pattern for row in ROWS for pattern in row.jobs}
    useless = [p for p in patterns if not any(fnmatch(job, p) for job in JOBS)]
    assert useless == [], "docs/reruns.md names rules that there are not"
    unnamed = [job for job in JOBS if not any(fnmatch(job, p) for p in patterns)]
    assert unnamed == [], "docs/reruns.md has no edit that moves these"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what.replace("`", ""))
def test_an_edit_moves_the_fingerprints_that_the_table_says(
    tree: tuple[Path, dict[str, str]], row: Row
) -> None:
    root, before = tree
    text = (root / row.file).read_bytes()
    path = row.apply(root)
    try:
        after = fingerprints()
    finally:
        path.write_bytes(text)
    moved = {job for job in JOBS if after[job] != before[job]}
    assert moved == {job for job in JOBS if any(fnmatch(job, pattern) for pattern in row.jobs)}


MERGES = "merging.[!s]* merging.slerp"
"""Every module of merging but its registry and `search`, the points that the registry gives."""

# What no job of a stage may depend on: its fingerprint would move with what it does not compute.
BOUNDARIES = {
    "train_task_adapter*": "merging* evaluation.sweep evaluation.selection results* data.streams",
    "score_task_adapter*": "merging* training* results* evaluation.sweep evaluation.selection",
    "train_language_adapter": "tasks* merging* evaluation* results* data.readers",
    "pretrain_model": "tasks* merging* evaluation* results* data.readers models.adapters",
    "leave_out_layers": "tasks* merging* evaluation* training* data.*",
    "initialise_adapters": "tasks* merging* evaluation* training* data.*",
    "train_tokenizer": "tasks* merging* evaluation* training* models* data.streams",
    "tokenize_shard": "tasks* merging* evaluation* training* models* data.tokenizer",
    "check_task_data*": "merging* evaluation* training* models* results*",
    "sweep*": "training* results* data.streams",
    "score_masked_lm*": "tasks.[!s]* evaluation.s* training* results* data.readers",
    "estimate_fisher": "tasks* merging* evaluation.[!f]* training* results* data.readers",
    "choose_lambda*": f"tasks* {MERGES} training* models* evaluation.[!s]* evaluation.sc*",
    "tabulate": "tasks* merging* training* models* data* evaluation*",
    "compare_with_paper": f"{MERGES} training* models* data.streams results.figures*",
    "format_table": f"tasks* {MERGES} training* models* data* results.figures*",
    "draw_*": f"tasks* {MERGES} training.[!m]* models* data* results.sheets results.paper*",
    "compare_vectors": "tasks* training* evaluation* data.*",
    "estimate_density": "tasks* training* evaluation* data.*",
    "write_miniature_*": "tasks* merging* evaluation* training* models* results*",
    "*": "data.hub* cluster* cli errors progress jobs* study.[!r]*",
}


@pytest.mark.parametrize("stage", BOUNDARIES)
def test_jobs_depend_on_no_stage_that_they_do_not_run(stage: str) -> None:
    fingerprint.forget()
    for job in filter(lambda job: fnmatch(job, stage), JOBS):
        names = [name.removeprefix("langarith.") for name in fingerprint.modules(*JOBS[job])]
        for pattern in BOUNDARIES[stage].split():
            assert [name for name in names if fnmatch(name, pattern)] == [], job


@pytest.mark.slow
def test_snakemake_plans_what_the_fingerprints_say(copy: Path) -> None:
    """Of a finished study: the rules of the table run again, and what follows, for that reason."""
    existing = workflow.expected(workflow.loading.load(copy / "studies/nano.yaml"))
    files = ("merging/tensors.py", "results/sheets.py", "errors.py", "data/streams.py")
    for row in (row for row in ROWS if str(row.file).endswith(files) and len(row.edit) == 1):
        text = (copy / row.file).read_bytes()
        path = row.apply(copy)
        plan = workflow.run(copy, "-n", *workflow.NANO)
        path.write_bytes(text)
        reason = re.search(r"params have changed since last execution:\n +(.*)", plan)
        changed = set(reason[1].split(", ")) if reason else set()
        patterns = [pattern.partition("(")[0] for pattern in row.jobs]
        # all rules sweep_{method} run the script sweep
        patterns = ["sweep_*" if pattern == "sweep" else pattern for pattern in patterns]
        listed = {rule for rule in existing if any(fnmatch(rule, p) for p in patterns)}
        planned = set(re.findall(r"^(\w+) +\d+$", plan, re.M)) - {"all", "total"}
        assert changed <= listed <= planned, row.what
        assert bool(planned) == bool(changed) == bool(listed), row.what


@pytest.mark.slow
def test_data_copied_again_rerun_nothing(root: Path, tmp_path: Path) -> None:
    """Files newer than their results, whose content is the same; also files of more than 1 MB."""
    project = copy_project(root, tmp_path / "project")
    text = project / "data/raw/en.txt"
    text.parent.mkdir(parents=True)
    text.write_text("".join(f"Sentence {i} of the text.\n" for i in range(50_000)))
    assert text.stat().st_size > 1_200_000
    for language in ("es", "fr", "ru"):
        shutil.copy(text, text.with_name(f"{language}.txt"))
    study = overlay(
        project,
        "copied",
        models={"tiny": {"source": "files", "path": "studies/miniature_base"}},
        corpora={"source": "files", "path": "data/raw/{language}.txt"},
    )
    tokens = ("results/nano/tokens/tiny/en/en.arrow", *options(study))
    assert planned_jobs(project, *tokens) == {"tokenize_shard": 1}
    run(project, *tokens)
    assert not planned_jobs(project, *tokens)
    os.utime(text)
    assert not planned_jobs(project, *tokens)
    workflow.edit(text, "Sentence 7 ", "Sentence 8 ")
    assert planned_jobs(project, *tokens) == {"tokenize_shard": 1}
