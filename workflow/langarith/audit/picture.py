"""A picture of the stages of a study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from langarith.audit.lineage import Job, Lineage
from langarith.audit.prov import SOURCES, label
from langarith.files import whole
from langarith.progress import size_of


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
    by_rule: dict[str, Stage] = {}
    sources = {name: job.inputs[name]["size"] for job in jobs for name in graph.sources([job])}
    if sources:
        by_rule[SOURCES] = Stage(SOURCES, files=len(sources), size=sum(sources.values()))
    read: dict[tuple[str, str], set[str]] = defaultdict(set)
    for job in jobs:
        stage = by_rule.setdefault(job.rule, Stage(job.rule))
        stage.jobs += 1
        stage.files += len(job.outputs)
        stage.size += sum(file["size"] for file in job.outputs.values())
        stage.seconds += job.record_data["seconds"]
        for name in job.inputs:
            maker = graph.producer.get(name)
            read[maker.rule if maker else SOURCES, job.rule].add(name)
    for (before, after), names in read.items():
        by_rule[after].after[before] = len(names)
    # a rule's first job may come before one of a rule that its other jobs depend on
    above = {rule: [r for r in stage.after if r != rule] for rule, stage in by_rule.items()}
    return [by_rule[rule] for rule in TopologicalSorter(above).static_order()]


def reduced(nodes: Sequence[Stage]) -> list[tuple[str, str]]:
    """The edges between stages, without transitive ones."""
    above: dict[str, set[str]] = {}
    for stage in nodes:
        direct = [rule for rule in stage.after if rule != stage.rule]
        above[stage.rule] = set(direct).union(*(above.get(rule, set()) for rule in direct))
    return [
        (rule, stage.rule)
        for stage in nodes
        for rule in stage.after
        if rule != stage.rule
        and not any(rule in above.get(o, ()) for o in stage.after if o not in (rule, stage.rule))
    ]


def _layers(nodes: Sequence[Stage], arrows: Sequence[tuple[str, str]]) -> list[list[Stage]]:
    """Stages in rows, each below all that it depends on and near its parents."""
    row: dict[str, int] = {}
    for stage in nodes:
        row[stage.rule] = 1 + max((row[a] for a, b in arrows if b == stage.rule), default=-1)
    for stage in nodes:
        if not any(b == stage.rule for _, b in arrows):
            # a stage without parents goes just above its first reader
            row[stage.rule] = min((row[b] for a, b in arrows if a == stage.rule), default=1) - 1
    layers: list[list[Stage]] = [[] for _ in range(max(row.values(), default=-1) + 1)]
    for stage in nodes:
        layers[row[stage.rule]].append(stage)
    position: dict[str, float] = {}

    def centre(stage: Stage) -> float:
        parents = [position[a] for a, b in arrows if b == stage.rule]
        return sum(parents) / len(parents) if parents else 0.5

    for layer in layers:
        layer.sort(key=centre)
        position |= {stage.rule: (i + 0.5) / len(layer) for i, stage in enumerate(layer)}
    return layers


def draw(nodes: Sequence[Stage], title: str, paths: Iterable[Path]) -> None:
    """A picture of the stages, from the top down, as SVG and PDF; whole or not at all."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    arrows = reduced(nodes)
    layers = _layers(nodes, arrows)
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
        for stage in nodes:
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
            clock = "Date" if path.suffix == ".svg" else "CreationDate"
            about = {clock: None}
            with whole(path) as partial:
                figure.savefig(partial, metadata=about, bbox_inches="tight", pad_inches=0.05)
        plt.close(figure)


def _count(stage: Stage) -> str:
    files = f"{stage.files} file{'s' if stage.files != 1 else ''}, {size_of(stage.size)}"
    if not stage.jobs:
        return files
    return f"{stage.jobs} job{'s' if stage.jobs != 1 else ''}, {files}"
