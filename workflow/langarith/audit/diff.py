"""What differs between two runs that gave different numbers, most upstream first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langarith.audit import lineage
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError

Pair = tuple[Job, Job]


def lines(a: Path, b: Path) -> list[str]:
    """Differences of two runs, or of the jobs behind two files, as lines; empty if all is equal.

    Jobs of both sides are matched by their files' paths within the study, others by their rule and
    order. Only differences that originate in a job are listed: its parameters, code, versions,
    seed and source files. Differences of its inputs follow from upstream jobs.

    Args:
        a, b: results folders, or files that jobs of a study have made.
    """
    one, other = lineage.of(a), lineage.of(b)
    pairs, alone = match(one, _ends(one, a), other, _ends(other, b))
    jobs_by_difference: dict[tuple[str, str], list[str]] = {}
    changed = 0
    for mine, yours in pairs:
        own = list(differences(one, mine, other, yours))
        results = _changed_outputs(one, mine, other, yours)
        changed += bool(results)
        if results and not own and not _inputs_differ(one, mine, other, yours):
            own = [
                ("result", f"other bytes from the same inputs, parameters and code: {results[0]}")
            ]
        for kind, what in own:
            jobs_by_difference.setdefault((kind, what), []).append(mine.name)
    report = []
    # versions, commits and machines differ for all jobs at once: they are listed at the first
    for (kind, what), names in jobs_by_difference.items():
        report.append(f"{kind:<9} {what}")
        report.append(f"          {_named(names)}")
    for side, jobs in alone.items():
        for rule, names in _by_rule(jobs).items():
            report.append(f"only in {side}: {len(names)} {rule}")
            report.append(f"          {_named(names)}")
    if report:
        report.append(f"{changed} of {len(pairs)} jobs on both sides gave other bytes")
    return report


def _ends(graph: Lineage, path: Path) -> list[Job]:
    if path.is_dir():
        inside = [
            job
            for job in graph.jobs
            if path.resolve() in graph.locate(job.record).resolve().parents
        ]
        if not inside:
            raise InputError(f"{path}: no job has written a record there; name another folder")
        return inside
    return [graph.of_file(path)]


def match(
    one: Lineage, mine: Sequence[Job], other: Lineage, yours: Sequence[Job]
) -> tuple[list[Pair], dict[str, list[Job]]]:
    """Jobs of both sides in pairs, upstream first, and those that have no partner, by side.

    The given jobs are paired first, then those with the same path on both sides; the rest by rule
    and order among the parents of a pair.
    """
    left, right = one.upstream(mine), other.upstream(yours)
    partner: dict[Job, Job] = {}
    taken: set[Job] = set()

    def pair(some: Sequence[Job], others: Sequence[Job], *, by_path: bool) -> list[Pair]:
        free = [job for job in some if job not in partner]
        waiting = [job for job in others if job not in taken]
        new = list((_same_path if by_path else _align)(one, free, other, waiting))
        partner.update(new)
        taken.update(b for _, b in new)
        return new

    pair(mine, yours, by_path=True)
    pair(mine, yours, by_path=False)
    pair(left, right, by_path=True)
    queue = list(partner.items())
    while queue:
        a, b = queue.pop()
        queue += pair(one.parents(a), other.parents(b), by_path=False)
    return [(job, partner[job]) for job in left if job in partner], {
        "a": [job for job in left if job not in partner],
        "b": [job for job in right if job not in taken],
    }


def _same_path(
    one: Lineage, left: Sequence[Job], other: Lineage, right: Sequence[Job]
) -> Iterator[Pair]:
    by_path = {(other.short(job.record), job.rule): job for job in right}
    for job in left:
        if partner := by_path.get((one.short(job.record), job.rule)):
            yield job, partner


def _align(_: Lineage, left: Sequence[Job], __: Lineage, right: Sequence[Job]) -> Iterator[Pair]:
    """The first of a rule with the first of it, the second with the second."""
    waiting: dict[str, list[Job]] = defaultdict(list)
    for job in right:
        waiting[job.rule].append(job)
    for job in left:
        if waiting[job.rule]:
            yield job, waiting[job.rule].pop(0)


def differences(one: Lineage, a: Job, other: Lineage, b: Job) -> Iterator[tuple[str, str]]:
    """Differences that originate in two jobs of one kind: (kind, what)."""
    of_a, of_b = _own_sources(one, a), _own_sources(other, b)
    read_a, read_b = _hashes(one, a.inputs), _hashes(other, b.inputs)
    for name in sorted(of_a | of_b):
        if name in read_a and name in read_b and (name in of_a) != (name in of_b):
            # a job made it on both sides, and has left its record on one of them
            yield "record", f"no record in {'a' if name in of_a else 'b'} describes {name}"
        if read_a.get(name) != read_b.get(name):
            yield "data", f"{name}: {_sha(read_a.get(name))} | {_sha(read_b.get(name))}"
    for key in dict.fromkeys([*a.wildcards, *b.wildcards]):
        if a.wildcards.get(key) != b.wildcards.get(key):
            kind = "seed" if key == "seed" else "config"
            yield kind, f"{key}: {a.wildcards.get(key)} | {b.wildcards.get(key)}"
    for key, mine, yours in _unequal(_config(a), _config(b)):
        kind = "seed" if key.rpartition(".")[2] in ("seed", "init_seed") else "config"
        yield kind, f"{key}: {mine} | {yours}"
    if a.parameters.get("code") != b.parameters.get("code"):
        yield "code", f"of {a.script}: {a.parameters.get('code')} | {b.parameters.get('code')}"
    for what, kind in (("versions", "versions"), ("revisions", "data")):
        for key, mine, yours in _unequal(
            a.record_data.get(what) or {}, b.record_data.get(what) or {}
        ):
            yield kind, f"{key}: {mine} | {yours}"
    for key in ("device", "name", "precision", "threads"):
        if a.record_data.get(key) != b.record_data.get(key):
            yield "machine", f"{key}: {a.record_data.get(key)} | {b.record_data.get(key)}"


def _config(job: Job) -> dict[str, Any]:
    """Parameters that affect results: neither the code's fingerprint nor the checkpoint folder."""
    return {k: v for k, v in job.parameters.items() if k not in ("code", "checkpoints")}


def _own_sources(graph: Lineage, job: Job) -> set[str]:
    return {graph.short(name) for name in graph.sources([job])}


def _unequal(a: Any, b: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Leaves of nested values that differ, with a dotted key."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys([*a, *b]):
            yield from _unequal(a.get(name), b.get(name), f"{key}.{name}" if key else str(name))
    elif a != b:
        yield key, a, b


def _hashes(graph: Lineage, files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {graph.short(name): file["sha256"] for name, file in files.items()}


def _inputs_differ(one: Lineage, a: Job, other: Lineage, b: Job) -> bool:
    return sorted(_hashes(one, a.inputs).values()) != sorted(_hashes(other, b.inputs).values())


def _changed_outputs(one: Lineage, a: Job, other: Lineage, b: Job) -> list[str]:
    mine, yours = _hashes(one, a.outputs), _hashes(other, b.outputs)
    if set(mine) & set(yours):
        return [name for name, sha in mine.items() if name in yours and yours[name] != sha]
    pairs = zip(mine.items(), yours.values(), strict=False)
    return [name for (name, sha), other_sha in pairs if sha != other_sha]


def _sha(sha: str | None) -> str:
    return sha[:12] if sha else "missing"


def _by_rule(jobs: Sequence[Job]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        names[job.rule].append(job.name)
    return names


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
