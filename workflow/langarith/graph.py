"""The provenance graph for people and machines: W3C PROV, a picture by stage, a page to walk in."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from langarith.explain import selection
from langarith.lineage import Job, Lineage

TEMPLATES = Path(__file__).parent.parent / "report"

LABELS = {
    "download_hub_file": "files of the hub",
    "write_miniature_corpus": "raw shards",
    "write_miniature_task": "task data",
    "check_task_data": "checks of task data",
    "train_tokenizer": "tokenizers",
    "tokenize_shard": "token streams",
    "pretrain_model": "base models",
    "initialise_adapters": "initial adapters",
    "train_language_adapter": "language adapters",
    "train_task_adapter": "task adapters",
    "sweep_la": "merges, evaluated",
    "tabulate": "tidy tables",
    "format_table": "tables to read",
    "draw_figure": "figures",
    "draw_learning_curves": "learning curves",
    "compare_vectors": "similarity of vectors",
    "estimate_density": "density of weights",
    "compare_with_paper": "the paper beside",
    "rank_related_languages": "related languages",
}
"""What the jobs of a rule make, in a word or two; else the rule's own name is shown."""

SOURCES = "made by no job"
SIDES = {"task_language": "left", "related": "right"}
"""Whose adapter alone a bar of zero_shot stands for."""


def label(rule: str) -> str:
    """What a rule's jobs make."""
    if rule.startswith("sweep_ties"):
        return f"merges by {rule.removeprefix('sweep_').upper()}"
    return LABELS.get(rule, rule.replace("_", " "))


# --- W3C PROV -----------------------------------------------------------------------------------


def prov(graph: Lineage, jobs: Sequence[Job]) -> dict[str, Any]:
    """The graph of some jobs as PROV-JSON (W3C member submission, 2013).

    Files are entities `file:{path}`, jobs activities `job:{record}`; `used` and `wasGeneratedBy`
    join them, `wasInformedBy` joins a job and those it stands on. A version of a file that is not
    the one its job recorded is an entity of its own, `file:{path}#{start of its hash}`. The agent
    of a job is the code at a commit.
    """
    document: dict[str, Any] = {
        "prefix": {
            "prov": "http://www.w3.org/ns/prov#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
            "file": "urn:language-arithmetic:file:",
            "job": "urn:language-arithmetic:job:",
            "code": "urn:language-arithmetic:code:",
            "la": "urn:language-arithmetic:terms:",
        }
    }
    parts: dict[str, dict[str, Any]] = defaultdict(dict)

    def entity(path: str, told: Mapping[str, Any]) -> str:
        maker = graph.producer.get(path)
        own = not maker or maker.outputs[path]["sha256"] == told["sha256"]
        name = f"file:{path}" if own else f"file:{path}#{told['sha256'][:12]}"
        parts["entity"][name] = {
            "prov:location": path,
            "la:sha256": told["sha256"],
            "la:size": told["size"],
        }
        return name

    for job in jobs:
        told, name = job.told, f"job:{job.record}"
        parts["activity"][name] = {
            "prov:startTime": told["start"],
            "prov:endTime": told.get("end", told["start"]),
            "prov:type": f"la:{job.rule}",
            "prov:label": job.name,
            "la:parameters": json.dumps(job.parameters, ensure_ascii=False, sort_keys=True),
            **{
                f"la:{key}": told[key]
                for key in ("seed", "host", "device", "precision", "seconds", "slurm_job")
                if told.get(key) is not None
            },
        }
        for path, about in job.inputs.items():
            link = {"prov:activity": name, "prov:entity": entity(path, about)}
            parts["used"][f"_:u{len(parts['used'])}"] = link
        for path, about in job.outputs.items():
            link = {"prov:entity": entity(path, about), "prov:activity": name}
            parts["wasGeneratedBy"][f"_:g{len(parts['wasGeneratedBy'])}"] = link
        for parent in graph.parents(job):
            link = {"prov:informed": name, "prov:informant": f"job:{parent.record}"}
            parts["wasInformedBy"][f"_:i{len(parts['wasInformedBy'])}"] = link
        git = told.get("git") or {}
        agent = f"code:{git.get('commit', 'unknown')}{'-dirty' if git.get('dirty') else ''}"
        parts["agent"][agent] = {"prov:type": "prov:SoftwareAgent"}
        link = {"prov:activity": name, "prov:agent": agent}
        link["la:fingerprint"] = str(job.parameters.get("code", ""))
        parts["wasAssociatedWith"][f"_:a{len(parts['wasAssociatedWith'])}"] = link
    return document | {key: parts[key] for key in sorted(parts)}


# --- by stage -----------------------------------------------------------------------------------


@dataclass
class Stage:
    """All jobs of a rule; the files that no job has made are a stage of their own."""

    rule: str
    jobs: int = 0
    files: int = 0
    size: int = 0
    seconds: float = 0.0
    after: dict[str, int] = field(default_factory=dict)
    """Rule → how many of its files this stage reads."""


def stages(graph: Lineage, jobs: Sequence[Job]) -> list[Stage]:
    """The graph of some jobs with one node per rule, upstream first."""
    found: dict[str, Stage] = {}
    sources = {name: job.inputs[name]["size"] for job in jobs for name in graph.sources([job])}
    if sources:
        found[SOURCES] = Stage(SOURCES, files=len(sources), size=sum(sources.values()))
    read: dict[tuple[str, str], set[str]] = defaultdict(set)
    for job in jobs:
        stage = found.setdefault(job.rule, Stage(job.rule))
        stage.jobs += 1
        stage.files += len(job.outputs)
        stage.size += sum(told["size"] for told in job.outputs.values())
        stage.seconds += job.told["seconds"]
        for name in job.inputs:
            maker = graph.producer.get(name)
            read[maker.rule if maker else SOURCES, job.rule].add(name)
    for (before, after), names in read.items():
        found[after].after[before] = len(names)
    # a rule's first job may come before one of a rule that its other jobs stand on
    above = {rule: [r for r in stage.after if r != rule] for rule, stage in found.items()}
    return [found[rule] for rule in TopologicalSorter(above).static_order()]


def reduced(found: Sequence[Stage]) -> list[tuple[str, str]]:
    """The arrows between stages without those that follow from others."""
    above: dict[str, set[str]] = {}
    for stage in found:
        direct = [rule for rule in stage.after if rule != stage.rule]
        above[stage.rule] = set(direct).union(*(above.get(rule, set()) for rule in direct))
    return [
        (rule, stage.rule)
        for stage in found
        for rule in stage.after
        if rule != stage.rule
        and not any(rule in above.get(o, ()) for o in stage.after if o not in (rule, stage.rule))
    ]


def _layers(found: Sequence[Stage], arrows: Sequence[tuple[str, str]]) -> list[list[Stage]]:
    """Stages in rows, each below all that it stands on, neighbours near what they come from."""
    row: dict[str, int] = {}
    for stage in found:
        row[stage.rule] = 1 + max((row[a] for a, b in arrows if b == stage.rule), default=-1)
    for stage in found:
        if not any(b == stage.rule for _, b in arrows):
            # what comes from nowhere stands just above what first reads it
            row[stage.rule] = min((row[b] for a, b in arrows if a == stage.rule), default=1) - 1
    layers: list[list[Stage]] = [[] for _ in range(max(row.values(), default=-1) + 1)]
    for stage in found:
        layers[row[stage.rule]].append(stage)
    place: dict[str, float] = {}

    def centre(stage: Stage) -> float:
        parents = [place[a] for a, b in arrows if b == stage.rule]
        return sum(parents) / len(parents) if parents else 0.5

    for layer in layers:
        layer.sort(key=centre)
        place |= {stage.rule: (i + 0.5) / len(layer) for i, stage in enumerate(layer)}
    return layers


def draw(found: Sequence[Stage], title: str, paths: Iterable[Path]) -> None:
    """A picture of the stages, from the top down, as SVG and PDF; whole or not at all."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    arrows = reduced(found)
    layers = _layers(found, arrows)
    width, height = 2.15 * max(len(layer) for layer in layers), 0.92 * len(layers) + 0.5
    style: dict[Any, Any] = {
        "font.size": 8,
        "svg.hashsalt": "language-arithmetic",
        "svg.fonttype": "none",
    }
    with mpl.rc_context({**style, "pdf.fonttype": 42}):
        figure, axis = plt.subplots(figsize=(width, height))
        axis.set(xlim=(0, width), ylim=(-height + 0.35, 0.15))
        axis.axis("off")
        spot = {
            stage.rule: ((i + 0.5) * width / len(layer), -0.92 * depth - 0.45)
            for depth, layer in enumerate(layers)
            for i, stage in enumerate(layer)
        }
        for before, after in arrows:
            (x1, y1), (x2, y2) = spot[before], spot[after]
            bend = f"arc3,rad={0 if y1 - y2 < 1 or x1 != x2 else 0.35}"
            line = {"arrowstyle": "-|>", "color": "0.55", "lw": 0.8, "connectionstyle": bend}
            line |= {"shrinkA": 0, "shrinkB": 0}
            axis.annotate("", (x2, y2 + 0.29), (x1, y1 - 0.29), arrowprops=line, zorder=1)
        for stage in found:
            x, y = spot[stage.rule]
            colour = "#f3f1ea" if stage.rule == SOURCES else "#e3eef6"
            if not any(before == stage.rule for before, _ in arrows):
                colour = "#004D80"
            ink = "white" if colour == "#004D80" else "black"
            box = mpl.patches.FancyBboxPatch(
                (x - 0.92, y - 0.22),
                1.84,
                0.44,
                boxstyle="round,pad=0.05",
                facecolor=colour,
                edgecolor="0.6",
                linewidth=0.6,
                zorder=2,
            )
            axis.add_patch(box)
            text: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "zorder": 3}
            axis.text(x, y + 0.1, label(stage.rule), weight="bold", **text)
            axis.text(x, y - 0.11, _count(stage), fontsize=7, **text)
        axis.text(0.05, -height + 0.4, title, fontsize=7, color="0.35", va="bottom")
        for path in paths:
            partial = path.with_name(f".{path.name}.partial{path.suffix}")
            clock = "Date" if path.suffix == ".svg" else "CreationDate"
            figure.savefig(partial, metadata={clock: None}, bbox_inches="tight", pad_inches=0.05)
            os.replace(partial, path)
        plt.close(figure)


def _count(stage: Stage) -> str:
    files = f"{stage.files} file{'s' if stage.files != 1 else ''}, {size_of(stage.size)}"
    if not stage.jobs:
        return files
    return f"{stage.jobs} job{'s' if stage.jobs != 1 else ''}, {files}"


def size_of(count: float) -> str:
    """`12 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


# --- the page -----------------------------------------------------------------------------------


def page(graph: Lineage, jobs: Sequence[Job]) -> str:
    """One HTML file without a network: from a bar of zero_shot to raw shards, and down again."""
    data = json.dumps(page_data(graph, jobs), ensure_ascii=False, separators=(",", ":"))
    template = (TEMPLATES / "provenance.html").read_text(encoding="utf-8")
    # "</script>" in a path must not end the script that the data stands in
    return template.replace("__DATA__", data.replace("</", "<\\/"))


def page_data(graph: Lineage, jobs: Sequence[Job]) -> dict[str, Any]:
    """What the page shows. Files and jobs are lists, and go by their positions in them."""
    number = {job: i for i, job in enumerate(jobs)}
    files: dict[str, int] = {}
    about: list[dict[str, Any]] = []

    def file(path: str, told: Mapping[str, Any]) -> int:
        if path not in files:
            files[path] = len(files)
            maker = graph.producer.get(path)
            about.append(
                {
                    "path": path,
                    "sha256": told["sha256"],
                    "size": told["size"],
                    "maker": number.get(maker, -1) if maker else -1,
                }
            )
        return files[path]

    told = []
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
        told.append(entry)
    return {
        "study": graph.study.get("name", ""),
        "note": graph.study.get("note", ""),
        "jobs": told,
        "files": about,
        "bars": bars(graph, jobs, number),
    }


def _facts(job: Job) -> dict[str, Any]:
    """What the page tells of a job, by name."""
    record, git = job.told, job.told.get("git") or {}
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
    from langarith import analysis, tables

    table = tables.read(graph.locate(names[0]))
    place = ("model", "task", "target", "left", "right", "seed")
    sweeps = {
        tuple(job.wildcards[key] for key in place): job for job in jobs if job.rule == "sweep_la"
    }
    metrics = analysis.metrics(table)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in analysis.zero_shot(table).to_dict("records"):
        job = sweeps.get(tuple(str(row[key]) for key in place))
        if job is None:
            continue
        chosen = {"task_language": 1.0, "related": 0.0, "merged": row["lambda"]}
        names_of = {kind: f"{row[side]} adapter" for kind, side in SIDES.items()}
        panel = f"{row['model']}, {row['task'].upper()} ({metrics[row['task']]}, %)"
        for kind, weight in chosen.items():
            bar = found.setdefault(
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
    for bar in found.values():
        bar["mean"] = sum(seed["value"] for seed in bar["seeds"]) / len(bar["seeds"])
    return list(found.values())


def targets(graph: Lineage, names: Iterable[str] | None = None) -> list[Job]:
    """The jobs that made some files and all they stand on; every job of the study if None."""
    if names is None:
        return graph.jobs
    makers = [graph.producer[name] for name in names if name in graph.producer]
    return graph.upstream(makers)


def write(graph: Lineage, jobs: Sequence[Job], folder: Path) -> None:
    """graph.json, stages.svg, stages.pdf and index.html of some jobs."""
    from langarith.provenance import write_json, write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "graph.json", prov(graph, jobs))
    title = (
        f"Study {graph.study.get('name', '')}: {len(jobs)} jobs. "
        "Arrows that follow from others are left out."
    )
    draw(stages(graph, jobs), title, [folder / "stages.svg", folder / "stages.pdf"])
    write_text(folder / "index.html", page(graph, jobs))
