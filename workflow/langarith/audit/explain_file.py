"""The chain of one number or file as a tree: jobs, revisions, seeds, code, choice of lambda."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from langarith.audit import lineage
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError, did_you_mean
from langarith.evaluation.selection import get as get_rule
from langarith.files import read_json
from langarith.layout import is_sweep
from langarith.operands import parse_point, point_text
from langarith.results.names import CELL, MASKED_LM_LOSS

CHOOSING = "choose_lambda"
"""The rule that chooses points by the study's `selection`, where that is not validation."""

HIDDEN = ("code", "checkpoints")
"""Parameters that the tree shows elsewhere, or that do not affect results."""


def lines(file: Path, row: Sequence[str] | None = None) -> list[str]:
    """The tree behind a file, or behind one row of a table.

    Args:
        row: `column=value` pairs that one row alone agrees with, or that row's line in the file.

    Raises:
        InputError: no record describes the file; no row, or several, agree.
    """
    graph = lineage.of(file)
    job = graph.of_file(file)
    if row is None:
        return [graph.name_of(file), *_tree(graph, job, graph.parents(job), graph.name_of(file))]
    line, cells = find_row(file, row)
    behind = parents_of_row(graph, job, cells)
    cell_text = ", ".join(
        f"{key} {value}" for key, value in cells.items() if value and key != "value"
    )
    head = [
        f"{cells.get('value') or 'no value'}: {cell_text}",
        f"{graph.name_of(file)}, line {line}",
    ]
    problem = [] if _agrees(graph, behind, cells) else ["! the files below hold a different value"]
    return [*head, *problem, *_tree(graph, job, behind, graph.name_of(file), cells)]


def find_row(table: Path, row: Sequence[str]) -> tuple[int, dict[str, str]]:
    """The line number (the header is 1) and the cells of the one row that matches."""
    if table.suffix != ".csv":
        raise InputError(f"{table}: only tables (.csv) have rows; name the file alone")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(enumerate(csv.DictReader(file), 2))
    columns = list(rows[0][1]) if rows else []
    if len(row) == 1 and row[0].isdigit():
        matches = [(line, cells) for line, cells in rows if line == int(row[0])]
        if not matches:
            raise InputError(f"{table}: no line {row[0]}; the rows are 2 to {len(rows) + 1}")
        return matches[0]
    wanted = {}
    for part in row:
        for pair in part.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise InputError(
                    f"{table}: {part} names no row, write column=value; a number is looked up in "
                    f"a results folder: langarith audit explain RESULTS {shlex.quote(part)}"
                )
            if key not in columns:
                raise InputError(
                    f"--row {pair}: no such column in {table}{did_you_mean(key, columns)}"
                )
            wanted[key] = value
    matches = [
        (n, cells) for n, cells in rows if all(_same(cells[k], v) for k, v in wanted.items())
    ]
    if not matches:
        raise InputError(f"{table}: no row has {', '.join(row)}; loosen --row")
    if len(matches) > 1:
        differing = {
            key: sorted({cells[key] for _, cells in matches})
            for key in columns
            if key not in (*wanted, "value", "examples") and len({c[key] for _, c in matches}) > 1
        }
        options = "; ".join(f"{key}={'|'.join(values[:8])}" for key, values in differing.items())
        raise InputError(
            f"{table}: {len(matches)} rows have {', '.join(row)}; add one of {options}"
        )
    return matches[0]


def _same(cell: str, wanted: str) -> bool:
    """Equal as text, or as numbers: 0.5 is 0.50."""
    try:
        return cell == wanted or float(cell) == float(wanted)
    except ValueError:
        return False


def parents_of_row(graph: Lineage, table: Job, cells: Mapping[str, str]) -> list[Job]:
    """The jobs whose outputs a row was made of: those that its names agree with.

    A row of a merge comes from one sweep; of `madx`, from a task adapter; of the other references,
    from any sweep of the same target. Rows of tables with other columns come from the jobs that no
    column contradicts.
    """
    method = cells.get("method", "")
    kept = []
    for job in graph.parents(table):
        names = job.wildcards
        sweep = is_sweep(job.rule)
        if job.rule == CHOOSING:
            agrees = cells.get("selected") == "True"
        elif method == "madx":
            agrees = job.rule in ("train_task_adapter", "score_task_adapter")
        elif cells.get("metric") == MASKED_LM_LOSS:
            agrees = job.rule == "score_masked_lm"
        elif method and not cells.get("operands"):
            agrees = sweep
        elif method:
            agrees = sweep and job.parameters.get("method") == method
        else:
            agrees = True
        shared = [key for key in names if cells.get(key)]
        if method == "madx":
            shared = [key for key in shared if key in ("model", "task", "seed")]
        if agrees and all(names[key] == cells[key] for key in shared):
            kept.append(job)
    if method and not cells.get("operands"):
        kept = kept[:1]
    return kept or graph.parents(table)


def _agrees(graph: Lineage, jobs: Sequence[Job], cells: Mapping[str, str]) -> bool:
    """Whether the sweep behind a row holds the row's value; True if there is no sweep."""
    sweeps = [job for job in jobs if is_sweep(job.rule)]
    if len(sweeps) != 1 or not cells.get("lambda"):
        return True
    selected = selection(graph, sweeps[0])
    points = selected.get(cells["split"], ()) if selected else ()
    return any(
        parse_point(_number(cells["lambda"])) == parse_point(point["lambda"])
        and point["metrics"].get(cells["metric"]) == float(cells["value"] or "nan")
        for point in points
    )


def _number(cell: str) -> float | str:
    """A cell of the column `lambda`: a number, or the text of a point of several numbers."""
    return cell if "," in cell else float(cell)


def selection(graph: Lineage, sweep: Job) -> dict[str, Any]:
    """`selected.json` of a sweep; empty if it is missing."""
    names = [name for name in sweep.outputs if PurePosixPath(name).name == "selected.json"]
    path = graph.locate(names[0]) if names else None
    if path is None or not path.is_file():
        return {}
    return dict(read_json(path))


def choice(selected: Mapping[str, Any], rule: str = "validation") -> str:
    """`lambda 0.65 chosen on validation (f1 60.50); next 0.60 (60.10), 0.70 (59.90)`.

    Args:
        rule: the study's `selection`: with another one the sweep's own choice is a mere remark.
    """
    metric = selected["metric"]
    curve = sorted(
        ((point["lambda"], point["metrics"][metric]) for point in selected["validation"]),
        key=lambda point: -point[1],
    )
    best = next(score for weight, score in curve if weight == selected["selected"])
    others = [f"{_point(w)} ({s:.2f})" for w, s in curve if w != selected["selected"]][:2]
    found = f"lambda {_point(selected['selected'])} chosen on validation"
    if rule != "validation":
        found = f"validation would choose lambda {_point(selected['selected'])}"
    return f"{found} ({metric} {best:.2f}); next {', '.join(others) or 'none'}"


def _point(value: float | str) -> str:
    return point_text(parse_point(value))


def _choice_of_rule(graph: Lineage, job: Job, row: Mapping[str, str]) -> str:
    """`lambda 0.40 chosen by the rule entropy (labels: none)`, of the cell of a row."""
    table = graph.locate(next(iter(job.outputs)))
    with table.open(encoding="utf-8", newline="") as file:
        for chosen in csv.DictReader(file):
            if all(_same(chosen[key], row[key]) for key in CELL):
                return (
                    f"lambda {chosen['lambda']} chosen by the rule {chosen['rule']} "
                    f"(labels: {chosen['labels']})"
                )
    return f"no choice for this row in {graph.short(next(iter(job.outputs)))}"


def _parents_of_choice(graph: Lineage, job: Job, row: Mapping[str, str]) -> list[Job]:
    """What the choice of a row was made by: its own sweep and losses, or sweeps of other targets.

    The latter have the row's model, task, method and seed.
    """
    elsewhere = "other targets" in get_rule(str(job.parameters["rule"])).needs
    keys = [key for key in CELL if not (elsewhere and key in ("target", "operands"))]

    def agrees(parent: Job) -> bool:
        names = {"method": parent.parameters.get("method", row["method"])} | parent.wildcards
        return all(names[key] == row[key] for key in keys if key in names)

    return [parent for parent in graph.parents(job) if agrees(parent)]


def _tree(
    graph: Lineage,
    job: Job,
    parents: Sequence[Job],
    used: str,
    row: Mapping[str, str] | None = None,
) -> list[str]:
    return list(_branches(graph, job, parents, [used], "", "└── ", "    ", set(), row))


def _branches(
    graph: Lineage,
    job: Job,
    parents: Sequence[Job],
    used: Sequence[str],
    indent: str,
    joint: str,
    below: str,
    seen: set[Job],
    row: Mapping[str, str] | None,
) -> Iterator[str]:
    names = ", ".join(f"{k} {v}" for k, v in job.wildcards.items())
    title = f"{indent}{joint}{job.rule}" + (f" ({names})" if names else "")
    if job in seen:
        yield f"{title}: as above"
        return
    seen.add(job)
    yield title
    sources = graph.sources([job])
    inner = indent + below
    bar = inner + ("│   " if parents or sources else "    ")
    for name in used:
        yield f"{bar}gave {graph.short(name)} {job.outputs[name]['sha256'][:12]}"
    if row and job.rule == CHOOSING:
        yield f"{bar}{_choice_of_rule(graph, job, row)}"
    yield from (f"{bar}{fact}" for fact in facts(graph, job))
    children: list[Job | str] = [*sources, *parents]
    for position, child in enumerate(children, 1):
        last = position == len(children)
        joint, below = ("└── ", "    ") if last else ("├── ", "│   ")
        if isinstance(child, str):
            source = job.inputs[child]
            size = f"{source['size']} bytes"
            yield f"{inner}{joint}{child} {source['sha256'][:12]}, {size}, made by no job"
        else:
            given = [name for name in job.inputs if name in child.outputs]
            above = graph.parents(child)
            if row and child.rule == CHOOSING:
                above = _parents_of_choice(graph, child, row)
            yield from _branches(graph, child, above, given, inner, joint, below, seen, row)


def facts(graph: Lineage, job: Job) -> Iterator[str]:
    """What determines a job's outputs, a line each."""
    record = job.record_data
    if is_sweep(job.rule) and (selected := selection(graph, job)):
        yield choice(selected, graph.selection)
    parameters = {k: v for k, v in job.parameters.items() if k not in HIDDEN}
    if parameters:
        text = ", ".join(f"{key} {_short(value)}" for key, value in parameters.items())
        yield text if len(text) <= 160 else f"{text[:157]}..."
    for source, revision in (record.get("revisions") or {}).items():
        yield f"{source} at revision {revision}"
    git = record.get("git")
    commit = f"commit {git['commit'][:12]}{' and changes' if git['dirty'] else ''}" if git else ""
    seed = record.get("seed")
    parts = [
        f"seed {seed}" if seed is not None else "",
        f"code {job.parameters['code']}" if "code" in job.parameters else "",
        commit,
        " ".join(filter(None, [record.get("device"), record.get("precision")])),
        f"{record.get('start')}, {record.get('seconds')} s on {record.get('host')}",
    ]
    yield "; ".join(filter(None, parts))


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} {_short(v)}" for k, v in value.items() if v is not None) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
