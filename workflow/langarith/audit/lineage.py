"""The provenance graph of a study: jobs, and the files between them, from the jobs' records.

Files are named by the paths in the records; :meth:`Lineage.locate` gives their current
paths, so a results folder may have been moved. A subfolder with its own `study.json` belongs to
another study.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from langarith.errors import InputError
from langarith.files import is_partial, read_json
from langarith.study.resolved import study_of, which_study

RECORD = "provenance.json"


@dataclass(frozen=True, eq=False)
class Job:
    """One job: the path of its record, and the parsed record."""

    record: str
    record_data: dict[str, Any]

    @property
    def rule(self) -> str:
        return str(self.record_data["rule"])

    @property
    def script(self) -> str:
        """The script that it ran, by its name without suffix."""
        return str(self.record_data.get("script", self.rule))

    @property
    def wildcards(self) -> dict[str, str]:
        return self.record_data["wildcards"]

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """path → `sha256`, `size`, `mtime_ns`, as the job read them."""
        return self.record_data["inputs"]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        return self.record_data["outputs"]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.record_data["parameters"]

    @property
    def name(self) -> str:
        """`sweep_la tiny ner es en fr 1`: unique among the jobs of a study."""
        return " ".join([self.rule, *map(str, self.wildcards.values())])


class Lineage:
    """Jobs and files of one study.

    Attributes:
        results: the current path of the results folder.
        prefix: the same folder as named in the records (`results_dir` of the study).
        jobs: one per record, every job after those it depends on.
        broken: record files that cannot be read, with the reason.
        doubled: records that describe files of another record, or are not beside their files.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self.study = study_of(results)
        self.prefix = str(self.study["results_dir"]).rstrip("/")
        self.broken: dict[str, str] = {}
        self.doubled: dict[str, str] = {}
        self.producer: dict[str, Job] = {}
        self.users: dict[str, list[Job]] = defaultdict(list)
        jobs = []
        for name in self.files():
            if name.endswith(RECORD) and (job := self._read(name)):
                jobs.append(job)
        # downloads are shared by studies: their records are stored beside them, outside the results
        outside = dict.fromkeys(file for job in jobs for file in job.inputs)
        for file in outside:
            beside = f"{file}.{RECORD}"
            unknown = file not in self.producer and not is_below(file, self.prefix)
            if unknown and self.locate(beside).is_file() and (job := self._read(beside)):
                jobs.append(job)
        for job in jobs:
            for file in job.inputs:
                self.users[file].append(job)
        self.jobs = self._in_order(jobs)

    @property
    def selection(self) -> str:
        """The rule that chooses λ; studies written before there was a choice used validation."""
        return str(self.study.get("selection", "validation"))

    # --- reading ---
    def files(self) -> Iterator[str]:
        """Every file of the study by its name, in order.

        Left out are folders of other studies, and what a killed writer left.
        """
        root = str(self.results)
        for folder, names, files in os.walk(root):
            if folder != root and "study.json" in files:
                names.clear()
                continue
            names[:] = sorted(name for name in names if not is_partial(name))
            name = self.prefix + folder[len(root) :].replace(os.sep, "/")
            yield from (f"{name}/{file}" for file in sorted(files) if not is_partial(file))

    def _read(self, name: str) -> Job | None:
        try:
            record_data = read_json(self.locate(name))
            lacks = _lacks(record_data)
        except InputError:
            lacks = "valid JSON"
        if lacks:
            self.broken[name] = (
                f"not a record of a job, since it has no {lacks}; restore it, or delete it, and "
                "the job will run again"
            )
            return None
        job = Job(name, record_data)
        if not any(is_below(file, name.rpartition("/")[0]) for file in job.outputs):
            self.doubled[name] = (
                f"describes {self.shown(next(iter(job.outputs), 'no file'))}, which lies elsewhere"
            )
        for file in job.outputs:
            other = self.producer.setdefault(file, job)
            if other is not job:
                self.doubled[name] = (
                    f"describes {self.shown(file)}, as {self.shown(other.record)} does"
                )
        return job

    def _in_order(self, jobs: list[Job]) -> list[Job]:
        """Sort by depth, the longest path from a job without parents, then by name."""
        depth: dict[Job, int] = {}
        for first in sorted(jobs, key=lambda job: job.name):
            if first in depth:
                continue
            stack = [(first, iter(self.parents(first)))]
            open_jobs = {first}  # records that were tampered with may contain a cycle
            while stack:
                job, rest = stack[-1]
                parent = next(rest, None)
                if parent is None:
                    above = [depth.get(other, 0) for other in self.parents(job)]
                    depth[job] = 1 + max(above, default=-1)
                    stack.pop()
                elif parent not in depth and parent not in open_jobs:
                    open_jobs.add(parent)
                    stack.append((parent, iter(self.parents(parent))))
        return sorted(jobs, key=lambda job: (depth[job], job.name))

    # --- names ---
    def shown(self, name: str) -> str:
        """The current path of a recorded file as text; outside the results as recorded."""
        return str(self.results / self.short(name)) if is_below(name, self.prefix) else name

    def locate(self, name: str) -> Path:
        """The current path of a recorded file."""
        inside = is_below(name, self.prefix)
        return self.results / self.short(name) if inside else self.home / name

    def name_of(self, path: Path) -> str:
        """The name of a file in the records."""
        path = Path(os.path.abspath(path))
        results = Path(os.path.abspath(self.results))
        if path.is_relative_to(results):
            return str(PurePosixPath(self.prefix, *path.relative_to(results).parts))
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)

    @cached_property
    def home(self) -> Path:
        """The folder that relative paths in records refer to: where Snakemake ran."""
        results, depth = Path(os.path.abspath(self.results)), len(PurePosixPath(self.prefix).parts)
        if results.parts[-depth:] == PurePosixPath(self.prefix).parts:
            return results.parents[depth - 1]
        return Path.cwd()

    def short(self, name: str) -> str:
        """A file's path within its study: the same in every run of it."""
        return name[len(self.prefix) + 1 :] if is_below(name, self.prefix) else name

    # --- walking ---
    def parents(self, job: Job) -> list[Job]:
        """The jobs that made a job's inputs, in the order of the inputs."""
        makers = (self.producer.get(file) for file in job.inputs)
        return list(dict.fromkeys(maker for maker in makers if maker and maker is not job))

    def sources(self, jobs: Iterable[Job]) -> list[str]:
        """Inputs that no recorded job has made."""
        return list(dict.fromkeys(f for job in jobs for f in job.inputs if f not in self.producer))

    def upstream(self, jobs: Iterable[Job]) -> list[Job]:
        """These jobs and all jobs that they depend on, in order."""
        seen: set[Job] = set()
        stack = list(jobs)
        while stack:
            job = stack.pop()
            if job not in seen:
                seen.add(job)
                stack += self.parents(job)
        return [job for job in self.jobs if job in seen]

    def downstream(self, files: Iterable[str]) -> list[Job]:
        """The jobs that depend on some files, directly or not, in order."""
        seen: set[Job] = set()
        stack = list(files)
        while stack:
            for job in self.users.get(stack.pop(), ()):
                if job not in seen:
                    seen.add(job)
                    stack += job.outputs
        return [job for job in self.jobs if job in seen]

    def of_file(self, path: Path) -> Job:
        """The job that made a file.

        Raises:
            InputError: no record describes the file.
        """
        job = self.producer.get(self.name_of(path))
        if job is None:
            raise InputError(
                f"{path}: no record describes it; name a file that a job of this study has made"
            )
        return job


def _lacks(record: Any) -> str | None:
    """The first part of a record that a parsed file does not have; None if it has all."""
    if not isinstance(record, dict):
        return "keys"
    if not isinstance(record.get("rule"), str) or not record["rule"]:
        return "'rule'"
    for key in ("wildcards", "parameters", "inputs", "outputs"):
        if not isinstance(record.get(key), dict):
            return f"'{key}'"
    for key in ("inputs", "outputs"):
        for name, file in record[key].items():
            if not (isinstance(file, dict) and isinstance(file.get("sha256"), str)):
                return f"'sha256' of {name}"
    return None


def is_below(name: str, folder: str) -> bool:
    """Whether a path is in a folder, at any depth. Compares text, which is faster than pathlib."""
    return name.startswith(f"{folder}/")


def of(path: Path) -> Lineage:
    """The lineage of the study that a file or folder belongs to: the nearest `study.json` above."""
    for folder in (path, *path.absolute().parents):
        if (folder / "study.json").is_file():
            return Lineage(folder)
    raise InputError(
        f"{path}: no study.json there or above; name a file in a study's results folder"
        if not path.is_dir()
        else f"{path}: no study.json there or above; {which_study(path)}"
    )
