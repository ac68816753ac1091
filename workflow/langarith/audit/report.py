"""The report of a study: one static page with every figure and table, run times, missing cells."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from langarith.audit.explain import choice, selection
from langarith.audit.lineage import Job, Lineage
from langarith.audit.page import TEMPLATES
from langarith.audit.prov import label
from langarith.progress import duration, size_of


@dataclass(frozen=True)
class Part:
    """An experiment on the page.

    `caption` is the caption of its figures, see `caption` in rules/common.smk; `missing` are the
    cells that a partial grid lacks, each with the log of the job that did not succeed.
    """

    name: str
    caption: Mapping[str, Any]
    missing: Sequence[Mapping[str, str]] = ()

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize().replace("Ties", "TIES")


@dataclass(frozen=True)
class Time:
    """Run time and memory of the jobs of a rule. `gpu_hours` is wall time of jobs on a GPU."""

    stage: str
    rule: str
    jobs: int
    each: str
    seconds: float
    cpu_hours: float
    gpu_hours: float
    peak: str


def write(graph: Lineage, parts: Sequence[Part], path: Path) -> None:
    """Write the page, whole or not at all."""
    from langarith.files import write_text

    write_text(path, page(graph, parts))


def page(graph: Lineage, parts: Sequence[Part]) -> str:
    """The page as one HTML text that needs no network: figures are inside."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    times = run_times(graph.jobs)
    return environment.get_template("report.html").render(
        study=graph.study,
        jobs=len(graph.jobs),
        code=sorted({_commit(job) for job in graph.jobs} - {""}),
        machines=sorted({_machine(job) for job in graph.jobs}),
        ended=max(
            (str(job.record_data.get("end") or job.record_data["start"]) for job in graph.jobs),
            default="",
        ),
        versions=graph.jobs[-1].record_data["versions"] if graph.jobs else {},
        parts=[_shown(graph, part) for part in parts],
        learning=_picture(graph, "learning_curves"),
        curves=lambda_curves(graph),
        warnings=data_warnings(graph),
        times=times,
        total={
            "jobs": sum(time.jobs for time in times),
            "hours": sum(time.seconds for time in times) / 3600,
            "cpu": sum(time.cpu_hours for time in times),
            "gpu": sum(time.gpu_hours for time in times),
        },
        duration=duration,
    )


def _shown(graph: Lineage, part: Part) -> dict[str, Any]:
    sheet = graph.results / f"tables/{part.name}.md"
    return {
        "name": part.name,
        "title": part.title,
        "caption": part.caption,
        "missing": part.missing,
        "picture": _picture(graph, part.name),
        "table": html_of(sheet.read_text(encoding="utf-8")) if sheet.is_file() else "",
        "files": [
            f"{folder}/{part.name}{suffix}"
            for folder, suffix in (
                ("figures", ".pdf"),
                ("tables", ".csv"),
                ("tables", ".md"),
                ("tables", ".tex"),
            )
            if (graph.results / f"{folder}/{part.name}{suffix}").is_file()
        ],
    }


def html_of(markdown: str) -> Any:
    """Markdown tables as HTML, their headings below those of the page's parts."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    html = html.replace("<h2>", "<h3>").replace("</h2>", "</h3>")
    html = html.replace("<table>", '<div class="wide"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  HTML in it is escaped


def _picture(graph: Lineage, name: str) -> str:
    """A figure as a data URL, '' if the file is missing."""
    path = graph.results / f"figures/{name}.png"
    if not path.is_file():
        return ""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def data_warnings(graph: Lineage) -> list[str]:
    """Warnings about the data in the JSON files of the jobs that read them, each once."""
    names = (
        name
        for job in graph.jobs
        if job.script in ("check_task_data", "train_task_adapter", "sweep")
        for name in job.outputs
        if name.endswith(".json") and not PurePosixPath(name).name.startswith("lambda=")
    )
    found = (
        json.loads(path.read_text(encoding="utf-8")).get("warnings", ())
        for path in map(graph.locate, names)
        if path.is_file()
    )
    return list(dict.fromkeys(warning for warnings in found for warning in warnings))


def _commit(job: Job) -> str:
    git = job.record_data.get("git") or {}
    return f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}" if git else ""


def _machine(job: Job) -> str:
    return f"{job.record_data['host']} ({job.record_data['device']}: {job.record_data['name']})"


# --- run times ----------------------------------------------------------------------------------


def run_times(jobs: Iterable[Job]) -> list[Time]:
    """Run times of the jobs of each rule, upstream first."""
    by_rule: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job.record_data)
    return [
        Time(
            label(rule),
            rule,
            len(records),
            duration(sum(record["seconds"] for record in records) / len(records)),
            sum(record["seconds"] for record in records),
            sum(record["cpu_seconds"] for record in records) / 3600,
            sum(record["seconds"] for record in records if record["device"] == "cuda") / 3600,
            size_of(max(record["peak_memory_mb"] for record in records) * 2**20),
        )
        for rule, records in by_rule.items()
    ]


# --- lambda curves ------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, FOOT, TOP = 190, 110, 32, 16, 6


def lambda_curves(graph: Lineage) -> list[dict[str, Any]]:
    """A panel per pair of operands and target: the validation curve of each seed, as SVG paths."""
    panels: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for job in graph.jobs:
        if job.rule.startswith("sweep_") and (selected := selection(graph, job)):
            if isinstance(selected["selected"], str):
                continue  # several numbers make no curve
            keys = ("model", "task", "target", "method", "operands")
            panels[tuple(selected[key] for key in keys)].append(selected)
    return [_panel(cell, sweeps) for cell, sweeps in panels.items()]


def _panel(cell: tuple[str, ...], sweeps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    model, task, target, method, operands = cell
    metric = sweeps[0]["metric"]
    curves = [
        [(p["lambda"], p["metrics"][metric]) for p in sweep["validation"]] for sweep in sweeps
    ]
    weights = [weight for curve in curves for weight, _ in curve]
    scores = [score for curve in curves for _, score in curve]
    low, high = min(scores), max(scores)
    if high - low < 1:  # a flat curve is drawn flat
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    first, last = min(weights), max(weights)

    def x(weight: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 14) * (weight - first) / ((last - first) or 1), 1)

    def y(score: float) -> float:
        return round(TOP + (HEIGHT - FOOT - TOP) * (high - score) / (high - low), 1)

    chosen = [
        (sweep["selected"], next(s for w, s in curve if w == sweep["selected"]))
        for sweep, curve in zip(sweeps, curves, strict=True)
    ]
    return {
        "title": f"{task.upper()} {target}: {operands.replace('+', ' + ')}",
        "note": f"{model}, {method}, {metric}",
        "choices": [f"seed {sweep['seed']}: {choice(sweep)}" for sweep in sweeps],
        "paths": [
            "M" + " L".join(f"{x(weight)} {y(score)}" for weight, score in curve)
            for curve in curves
        ],
        "dots": [(x(weight), y(score)) for weight, score in chosen],
        "low": (f"{low:.1f}", y(low)),
        "high": (f"{high:.1f}", y(high)),
        "first": (f"{first:.2f}", x(first)),
        "last": (f"{last:.2f}", x(last)),
        "size": (WIDTH, HEIGHT),
    }


def parts_of(parameters: Iterable[Mapping[str, Any]]) -> list[Part]:
    """The parts as a rule gives them in its parameters."""
    return [Part(part["name"], part["caption"], part["missing"]) for part in parameters]
