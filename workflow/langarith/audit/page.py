"""The provenance page: data for its template, and the files written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langarith.audit.explain import selection
from langarith.audit.lineage import Job, Lineage
from langarith.audit.picture import draw, stages
from langarith.audit.prov import label, prov

TEMPLATES = Path(__file__).parents[2] / "report"


SIDES = {"task_language": "left", "related": "right"}
"""The operand that a bar of a single adapter shows in zero_shot."""


def page(graph: Lineage, jobs: Sequence[Job]) -> str:
    """One HTML file without a network: from a bar of zero_shot to raw shards, and down again."""
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
        if job.rule.startswith("sweep_") and (sweep := selection(graph, job)):
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
        "jobs": entries,
        "files": about,
        "bars": bars(graph, jobs, number),
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


def bars(graph: Lineage, jobs: Sequence[Job], number: Mapping[Job, int]) -> list[dict[str, Any]]:
    """The bars of zero_shot: seed means, each with the sweeps that its seeds' numbers are from."""
    names = [name for job in jobs for name in job.outputs if name.endswith("tables/zero_shot.csv")]
    if not names or not graph.locate(names[0]).is_file():
        return []
    from langarith.results import analysis, tables

    table = tables.read(graph.locate(names[0]))
    keys = ("model", "task", "target", "operands", "seed")
    sweeps = {
        tuple(job.wildcards[key] for key in keys): job for job in jobs if job.rule == "sweep_la"
    }
    metrics = analysis.metrics(table)
    by_bar: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in analysis.zero_shot(table).to_dict("records"):
        job = sweeps.get(tuple(str(row[key]) for key in keys))
        if job is None:
            continue
        chosen = {"task_language": 1.0, "related": 0.0, "merged": row["lambda"]}
        names_of = {kind: f"{row[side]} adapter" for kind, side in SIDES.items()}
        panel = f"{row['model']}, {row['task'].upper()} ({metrics[row['task']]}, %)"
        for kind, weight in chosen.items():
            bar = by_bar.setdefault(
                (panel, row["target"], kind),
                {
                    "panel": panel,
                    "target": row["target"],
                    "kind": kind,
                    "name": names_of.get(kind, "language arithmetic"),
                    "seeds": [],
                },
            )
            value = {"seed": row["seed"], "value": row[kind], "lambda": weight, "job": number[job]}
            bar["seeds"].append(value)
    for bar in by_bar.values():
        bar["mean"] = sum(seed["value"] for seed in bar["seeds"]) / len(bar["seeds"])
    return list(by_bar.values())


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
