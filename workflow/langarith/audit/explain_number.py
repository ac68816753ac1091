"""Where a printed number comes from in six lines: value, seeds, λ, adapters, data, code."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from langarith.audit import explain_file, lineage
from langarith.audit.charts import method_of
from langarith.audit.lineage import Job, Lineage
from langarith.audit.number import (
    FIELDS,
    Number,
    Part,
    find,
    grid,
    numbers,
    the_one,
)
from langarith.errors import InputError
from langarith.operands import parse_point, point_text
from langarith.results.names import AVERAGE, task_title

SHOWN = 20
"""Candidates that are listed."""
WORDS = 8
"""Words of a field that are listed."""


def lines(results: Path, words: Sequence[str], tree: bool = False) -> list[str]:
    """The answer to words, in six lines; the candidates where the words are ambiguous.

    Args:
        tree: the whole chain of each seed, too.

    Raises:
        InputError: the folder is not a study's; no number fits.
    """
    graph = lineage.of(results)
    if graph.results != results:
        raise InputError(
            f"{results}: a folder within a study's results; name a file in it, or look numbers up "
            f"in the study's folder {graph.results}"
        )
    known = numbers(graph)
    if not known:
        raise InputError(f"{results}: no finished table of scores; name a file instead")
    found = find(known, words)
    one = the_one(found, words)
    if one is None:
        by_origin: dict[tuple[Any, ...], Number] = {}
        for number in found:
            by_origin.setdefault(number.origin, number)
        distinct = list(by_origin.values())
        return [
            f"{len(distinct)} numbers fit; add the words of one of them:",
            *(f"{number.written():>20}  {number.words()}" for number in distinct[:SHOWN]),
            *([f"and {len(distinct) - SHOWN} more"] if len(distinct) > SHOWN else []),
        ]
    answer = [f"{label:<9} {text}" for label, text in chain(graph, one)]
    if len(found) > 1:
        answer.append(f"{len(found) - 1} more fit; add another word: {_others(one, found)}")
    if tree:
        for part in one.parts:
            answer += ["", *explain_file.lines(graph.locate(next(iter(part.job.outputs))))]
    return answer


def _others(one: Number, found: Sequence[Number]) -> str:
    """Words of the first field by which other numbers differ from one."""
    for name in FIELDS:
        # a number of several operands is found by each of them, and by none that is one word
        single = [number for number in found if name == "what" or len(number.field(name)) == 1]
        words = dict.fromkeys(number.word(name) for number in single)
        words.pop(one.word(name), None)
        if words:
            listed = [f"{name}={shlex.quote(word)}" for word in words]
            more = f" and {len(listed) - WORDS} more" if len(listed) > WORDS else ""
            return ", ".join(listed[:WORDS]) + more
    return "that of another gain"


def chain(graph: Lineage, number: Number) -> list[tuple[str, str]]:
    """Where a number comes from: six labels, each with its text."""
    jobs = list(dict.fromkeys(part.job for part in number.parts))
    above = graph.upstream(jobs)
    return [
        (number.written(), _what(graph, number, jobs)),
        ("seeds", _few([f"{seed}: {value:.2f}" for seed, value in number.seeds().items()], 6))
        if number.interval is None
        else ("seeds", ", ".join(dict.fromkeys(part.seed for part in number.parts))),
        ("λ", _weights(graph, number)),
        ("adapters", _adapters(graph, number, jobs)),
        ("data", _data(graph, above)),
        ("code", _code(jobs, above)),
    ]


def _what(graph: Lineage, number: Number, jobs: Sequence[Job]) -> str:
    examples = {
        job.wildcards["target"]: found["examples"]["test"]
        for job in jobs
        if (found := explain_file.selection(graph, job))
    }
    kind = "points" if number.interval is not None else "test score"
    group = number.group.replace(AVERAGE, f"average over {len(examples)} targets")
    total = f"; {sum(examples.values())} test examples" if examples else ""
    task = task_title(number.task, number.metric, "%" if number.interval is None else "points")
    limited = "; limited run, whose scores mean nothing" if graph.study.get("limit") else ""
    name = number.name + (f" ({_by_target(number.proxies)})" if number.proxies else "")
    return f"{kind}, {name}: {number.experiment}, {number.model}, {task}, {group}{total}{limited}"


def _by_target(values: Iterable[tuple[str, str]]) -> str:
    """What each seed has, once where all are equal; with the target where there are several."""
    targets: dict[str, list[str]] = defaultdict(list)
    for target, value in values:
        targets[target].append(value)
    seeds = {
        target: found[0] if len({*found}) == 1 else " ".join(found)
        for target, found in targets.items()
    }
    if len(seeds) == 1:
        return next(iter(seeds.values()))
    return _few([f"{target} {found}" for target, found in seeds.items()], 12)


def _weights(graph: Lineage, number: Number) -> str:
    """The points and how they were chosen; of several targets the points of each."""
    if not number.has_adapter:
        return "none: the task adapter without a language adapter"
    points = [(part.job.wildcards["target"], part.point) for part in number.parts]
    if len({target for target, _ in points}) > 1:
        how = (
            f"chosen {_how(graph, number)} for each target and seed"
            if number.chosen
            else "nothing was chosen"
        )
        if number.chosen and all(_is_end(part) for part in number.parts):
            how += "; each is one adapter alone, so no merging"
        return f"{_by_target(points)}; {how}"
    seeds: dict[str, list[str]] = defaultdict(list)
    for part in number.parts:
        seeds[_weight(graph, number, part)].append(part.seed)
    if len(seeds) == 1:
        return next(iter(seeds))
    return _few([f"seed {', '.join(of)}: {text}" for text, of in seeds.items()])


def _rule(graph: Lineage, number: Number) -> str:
    """The rule that chose the points of a number; the grid of a coarse choice."""
    if number.rule:
        return number.rule
    if number.experiment == "label_free":
        return number.kind
    return "validation" if number.experiment == "lambda_impact" else graph.selection


def _how(graph: Lineage, number: Number) -> str:
    rule = _rule(graph, number)
    if rule == "validation":
        return "on validation"
    if number.experiment == "lambda_impact":
        return f"on validation by {grid(rule)}"
    return f"by the rule {rule}"


def _is_end(part: Part) -> bool:
    """Whether a point of language arithmetic of two is one of the adapters alone."""
    return method_of(part.job) == "la" and part.point in ("1.00", "0.00")


def _weight(graph: Lineage, number: Number, part: Part) -> str:
    selected = explain_file.selection(graph, part.job)
    point = f"λ = {part.point}"
    if _is_end(part) and selected:
        point += f", the {selected['left' if part.point == '1.00' else 'right']} adapter alone"
    if not number.chosen:
        return f"{point}; nothing was chosen"
    if _is_end(part):
        point += ", so no merging"
    rule = _rule(graph, number)
    said = explain_file.choice(selected, rule) if selected else ""
    if rule == "validation":
        return f"{point}; {said.partition(' ')[2].partition(' ')[2] or 'chosen on validation'}"
    if number.experiment == "lambda_impact" and selected:
        said = f"the full grid chose {point_text(parse_point(selected['selected']))}"
    return "; ".join(filter(None, [f"{point}; chosen {_how(graph, number)}", said]))


def _adapters(graph: Lineage, number: Number, jobs: Sequence[Job]) -> str:
    """Language and task adapters by name, with the hash of their weights where they are few."""
    found: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        for parent in graph.parents(job):
            names = parent.wildcards
            if parent.script == "train_language_adapter" and number.has_adapter:
                name = f"{names['language']}@{names['budget']}"
            elif parent.script in ("train_task_adapter", "score_task_adapter"):
                name = f"task adapter {names['task']}"
            else:
                continue
            sha = next((v["sha256"] for k, v in parent.outputs.items() if "adapter.s" in k), "")
            found[name].append(f"seed {names['seed']} {sha[:12]}")
    ready = [
        name
        for job in (jobs if number.has_adapter else ())
        for name in job.wildcards.get("operands", "").split("+")
        if name and (name if "@" in name else f"{name}@full") not in found
    ]
    named = [
        f"{name} ({', '.join(dict.fromkeys(seeds))})" if len(set(seeds)) < 3 else name
        for name, seeds in found.items()
    ]
    named += [f"{name} (ready-made)" for name in dict.fromkeys(ready)]
    return _few(named, 6)


def _data(graph: Lineage, above: Sequence[Job]) -> str:
    """Revisions of the hub, files made by no job with hashes, what was generated."""
    revisions: dict[str, str] = {}
    for job in above:
        revisions |= job.record_data.get("revisions") or {}
    sources = {
        name: entry["sha256"][:12]
        for job in above
        for name, entry in job.inputs.items()
        if name not in graph.producer
    }
    named = [f"{name} {sha}" for name, sha in sources.items()]
    if len(named) > 3:
        folders = Counter(str(PurePosixPath(name).parent) for name in sources)
        named = [f"{folder}/ ({count} files)" for folder, count in folders.items()]
    made = Counter(job.rule for job in above if job.rule.startswith("write_miniature_"))
    named += [f"generated by {count} jobs {rule}" for rule, count in made.items()]
    return _few(
        [*(f"{name} at {revision[:12]}" for name, revision in revisions.items()), *named], 5
    )


def _code(jobs: Sequence[Job], above: Sequence[Job]) -> str:
    commits = {
        f"commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}"
        for job in above
        if (git := job.record_data.get("git"))
    }
    record = jobs[0].record_data
    sweep = sorted({str(job.parameters.get("code", "")).partition(" ")[0] for job in jobs})
    versions = record.get("versions") or {}
    return "; ".join(
        [
            _few(sorted(commits)) or "outside a repository",
            f"sweep {_few(sweep)}",
            ", ".join(f"{k} {versions[k]}" for k in ("torch", "adapters") if k in versions),
            " ".join(filter(None, [record.get("device"), record.get("precision")])),
        ]
    )


def _few(texts: Sequence[str], most: int = 3) -> str:
    """Texts with commas, the first of many."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ("; " if any(", " in text for text in texts) else ", ").join(texts[:most]) + more
