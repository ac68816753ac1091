"""The provenance page: data for its template, and the files written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langarith.audit.charts import bars, dots
from langarith.audit.explain_file import selection
from langarith.audit.lineage import Job, Lineage
from langarith.audit.picture import draw, stages
from langarith.audit.prov import label, prov
from langarith.layout import is_sweep

TEMPLATES = Path(__file__).parents[2] / "report"


def page(graph: Lineage, jobs: Sequence[Job]) -> str:
    """One HTML file without a network: from a bar of a figure to raw shards, and down again."""
    data = json.dumps(page_data(graph, jobs), ensure_ascii=False, separators=(",", ":"))
    template = (TEMPLATES / "provenance.html").read_text(encoding="utf-8")
    # "</script>" in a path must not end the script element that holds the data
    return template.replace("__DATA__", data.replace("</", "<\\/"))


def page_data(graph: Lineage, jobs: Sequence[Job]) -> dict[str, Any]:
    """What the page shows. Files and jobs are lists, referenced by index."""
    number = {job: i for i, job in enumerate(jobs)}
    files: dict[str, int] = {}
    about: list[dict[str, Any]] = []

    def file(path: str, recorded: Mapping[str, Any]) -> int:
        if path not in files:
            files[path] = len(files)
            maker = graph.producer.get(path)
            about.append(
                {
                    "path": path,
                    "sha256": recorded["sha256"],
                    "size": recorded["size"],
                    "maker": number.get(maker, -1) if maker else -1,
                }
            )
        return files[path]

    entries = []
    for job in jobs:
        entry: dict[str, Any] = {
            "rule": job.rule,
            "makes": label(job.rule),
            "names": job.wildcards,
            "facts": _facts(job),
            "inputs": [file(path, at) for path, at in job.inputs.items()],
            "outputs": [file(path, at) for path, at in job.outputs.items()],
        }
        sweep = selection(graph, job) if is_sweep(job.rule) else {}
        if sweep and not isinstance(sweep["selected"], str):  # several numbers make no curve
            metric = sweep["metric"]
            entry["curve"] = {
                "metric": metric,
                "chosen": sweep["selected"],
                **{
                    split: [[p["lambda"], p["metrics"][metric]] for p in sweep[split]]
                    for split in ("validation", "test")
                },
            }
        entries.append(entry)
    return {
        "study": graph.study.get("name", ""),
        "note": graph.study.get("note", ""),
        "selection": graph.selection,
        "jobs": entries,
        "files": about,
        "bars": bars(graph, jobs, number) + dots(graph, jobs, number),
    }


def _facts(job: Job) -> dict[str, Any]:
    """The facts about a job that the page shows, by name."""
    record, git = job.record_data, job.record_data.get("git") or {}
    facts = {
        "seed": record.get("seed"),
        "revisions": record.get("revisions") or None,
        "parameters": {k: v for k, v in job.parameters.items() if k not in ("code", "checkpoints")},
        "script": f"workflow/scripts/{job.script}.py",
        "code": job.parameters.get("code"),
        "commit": f"{git['commit']}{', with changes' if git['dirty'] else ''}" if git else None,
        "versions": record.get("versions"),
        "machine": " ".join(
            str(record[key]) for key in ("host", "device", "name", "precision") if record.get(key)
        ),
        "SLURM job": record.get("slurm_job"),
        "attempt": record.get("attempt"),
        "start": record.get("start"),
        "seconds": record.get("seconds"),
        "peak memory (MB)": record.get("peak_memory_mb"),
        "log": record.get("log"),
    }
    return {key: value for key, value in facts.items() if value not in (None, {}, "")}


def targets(graph: Lineage, names: Iterable[str] | None = None) -> list[Job]:
    """The jobs that made some files and all their upstream jobs; every job of the study if None."""
    if names is None:
        return graph.jobs
    makers = [graph.producer[name] for name in names if name in graph.producer]
    return graph.upstream(makers)


def write(graph: Lineage, jobs: Sequence[Job], folder: Path) -> None:
    """graph.json, stages.svg, stages.pdf and index.html of some jobs."""
    from langarith.files import write_json, write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "graph.json", prov(graph, jobs))
    title = f"Study {graph.study.get('name', '')}: {len(jobs)} jobs. Transitive edges are omitted."
    draw(stages(graph, jobs), title, [folder / "stages.svg", folder / "stages.pdf"])
    write_text(folder / "index.html", page(graph, jobs))
