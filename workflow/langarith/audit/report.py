"""The report of a study: one static page with its result, figures, tables, times, missing cells.

The file stands alone: figures and the files of each experiment are inside it.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from langarith.audit import headline
from langarith.audit.explain_file import choice, selection
from langarith.audit.lineage import Job, Lineage
from langarith.audit.linked import PAGE, Links
from langarith.audit.page import TEMPLATES
from langarith.audit.prov import label
from langarith.layout import is_sweep
from langarith.progress import duration, size_of
from langarith.results.caption import Caption


@dataclass(frozen=True)
class Part:
    """An experiment on the page.

    `missing` are the cells that a partial grid lacks, each with the log of the job that did not
    succeed; `further` are names of figures and tables that it has beside its own.
    """

    name: str
    caption: Caption
    missing: Sequence[Mapping[str, str]] = ()
    further: Sequence[str] = ()

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize().replace("Ties", "TIES")


@dataclass(frozen=True)
class Time:
    """Run time in seconds and memory of the jobs of a rule; `gpu`: wall time of jobs on a GPU."""

    stage: str
    rule: str
    jobs: int
    each: str
    seconds: float
    cpu: float
    gpu: float
    peak: str


def write(graph: Lineage, parts: Sequence[Part], path: Path) -> None:
    """Write the page, whole or not at all."""
    from langarith.files import write_text

    write_text(path, page(graph, parts))


def page(graph: Lineage, parts: Sequence[Part]) -> str:
    """The page as one HTML text that needs no network and no other file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    times, links = run_times(graph.jobs), Links(graph)
    shown = [_shown(graph, part, links) for part in parts]
    results = [
        found
        for part in parts
        if (found := headline.result(graph, part.name, part.caption.task_language, links))
    ]
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
        results=results,
        parts=shown,
        chains=links.chains(),
        learning=_picture(graph, "learning_curves"),
        learning_foot=_foot(graph, "learning_curves", bool(graph.study.get("caption", True))),
        provenance=PAGE,
        curves=lambda_curves(graph),
        selection=graph.selection,
        warnings=data_warnings(graph),
        times=times,
        total={
            "jobs": sum(time.jobs for time in times),
            "seconds": sum(time.seconds for time in times),
            "cpu": sum(time.cpu for time in times),
            "gpu": sum(time.gpu for time in times),
        },
        duration=duration,
    )


def _shown(graph: Lineage, part: Part, links: Links) -> dict[str, Any]:
    sheet = graph.results / f"tables/{part.name}.md"
    return {
        "name": part.name,
        "title": part.title,
        "caption": part.caption,
        "missing": part.missing,
        "pictures": [
            {"data": picture, "foot": _foot(graph, name, part.caption.foot)}
            for name in (part.name, *part.further)
            if (picture := _picture(graph, name))
        ],
        "table": html_of(
            without_repeats(sheet.read_text(encoding="utf-8"), part.caption), part.name, links
        )
        if sheet.is_file()
        else "",
        "files": [
            _file(graph, name, suffix)
            for name in (part.name, *part.further)
            for suffix in KINDS
            if _path(graph, name, suffix).is_file()
        ],
    }


KINDS = {".pdf": "application/pdf", ".csv": "text/csv", ".md": "text/markdown"}
KINDS |= {".tex": "text/x-tex"}
"""The files of an experiment that the page holds."""

LARGEST = 4_000_000
"""Bytes: of a larger file the page says the path alone."""


def _path(graph: Lineage, name: str, suffix: str) -> Path:
    return graph.results / f"{'figures' if suffix == '.pdf' else 'tables'}/{name}{suffix}"


def _file(graph: Lineage, name: str, suffix: str) -> dict[str, str]:
    """A file's name, path, size in words, and the file itself as a data URL."""
    path = _path(graph, name, suffix)
    size = path.stat().st_size
    whole = _data_url(path, KINDS[suffix]) if size <= LARGEST else ""
    return {"name": path.name, "path": str(path), "size": size_of(size), "href": whole}


def without_repeats(markdown: str, caption: Caption) -> str:
    """The tables of an experiment, each note once and without what the whole page says."""
    from langarith.results.render import escaped

    seen, kept = set(), []
    for paragraph in markdown.strip().split("\n\n"):
        said = paragraph.strip().removesuffix(escaped(caption.of_study())).strip()
        if said.startswith(("#", "|")) or said not in seen:
            kept.append(said)
            seen.add(said)
    return "\n\n".join(kept) + "\n"


def html_of(markdown: str, experiment: str = "", links: Links | None = None) -> Any:
    """Markdown tables as HTML, their headings below those of the page's parts, numbers as links."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    html = html.replace("<h2>", "<h3>").replace("</h2>", "</h3>")
    html = links.tables(html, experiment) if links else html
    html = html.replace("<table>", '<div class="wide"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  HTML in it is escaped


def _picture(graph: Lineage, name: str) -> str:
    """A figure as a data URL, '' if the file is missing."""
    path = graph.results / f"figures/{name}.png"
    return _data_url(path, "image/png") if path.is_file() else ""


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _foot(graph: Lineage, name: str, drawn: bool) -> str:
    """The note of a figure, from its file, where it is not drawn in the figure itself."""
    path = graph.results / f"figures/{name}.png"
    if drawn or not path.is_file():
        return ""
    from PIL import Image

    with Image.open(path) as picture:
        return str(picture.info.get("Description", ""))


def data_warnings(graph: Lineage) -> list[str]:
    """Warnings about the data in the JSON files of the jobs that read them, each once."""
    names = (
        name
        for job in graph.jobs
        if job.script in ("check_task_data", "train_task_adapter", "score_task_adapter", "sweep")
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
            sum(record["cpu_seconds"] for record in records),
            sum(record["seconds"] for record in records if record["device"] == "cuda"),
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
        if is_sweep(job.rule) and (selected := selection(graph, job)):
            if isinstance(selected["selected"], str):
                continue  # several numbers make no curve
            keys = ("model", "task", "target", "method", "operands")
            panels[tuple(selected[key] for key in keys)].append(selected)
    return [_panel(cell, sweeps, graph.selection) for cell, sweeps in panels.items()]


def _panel(cell: tuple[str, ...], sweeps: Sequence[dict[str, Any]], rule: str) -> dict[str, Any]:
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
        "choices": [f"seed {sweep['seed']}: {choice(sweep, rule)}" for sweep in sweeps],
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
    return [
        Part(part["name"], Caption(**part["caption"]), part["missing"], part["further"])
        for part in parameters
    ]
