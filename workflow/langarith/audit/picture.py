"""A picture of the stages of a study."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
    """Stages in rows, each below all that it depends on."""
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
    return layers


BOX, LANE = 2.15, 0.3
"""Inches that a box, and an arrow on its way past a row of boxes, take in a row."""

Place = str | tuple[str, str, int]
"""What has a place in a row: a stage, or the lane of an arrow that passes the row."""


def _rows(nodes: Sequence[Stage], arrows: Sequence[tuple[str, str]]) -> list[list[Place]]:
    """Rows of stages and, where an arrow passes a row, of lanes: arrows cross no box.

    In a row each place is near the middle of those above that lead to it.
    """
    layers = _layers(nodes, arrows)
    row = {stage.rule: i for i, layer in enumerate(layers) for stage in layer}
    rows: list[list[Place]] = [[stage.rule for stage in layer] for layer in layers]
    above: dict[Place, list[Place]] = defaultdict(list)
    for before, after in arrows:
        path = _path(before, after, row)
        for higher, lower in itertools.pairwise(path):
            above[lower].append(higher)
        for lane in path[1:-1]:
            rows[int(lane[2])].append(lane)
    position: dict[Place, float] = {}
    for places in rows:
        at = {place: [position[p] for p in above[place]] for place in places}
        places.sort(key=lambda place: sum(at[place]) / len(at[place]) if at[place] else 0.5)
        position |= {place: (i + 0.5) / len(places) for i, place in enumerate(places)}
    return rows


def _path(before: str, after: str, row: Mapping[str, int]) -> list[Place]:
    """The places that an arrow touches, its ends included."""
    between = range(row[before] + 1, row[after])
    return [before, *((before, after, i) for i in between), after]


def _spots(rows: Sequence[Sequence[Place]]) -> dict[Place, tuple[float, float]]:
    """The middle of each place, in inches, rows downwards from 0 and centred about 0."""
    found: dict[Place, tuple[float, float]] = {}
    for depth, places in enumerate(rows):
        widths = [BOX if isinstance(place, str) else LANE for place in places]
        left = -sum(widths) / 2
        for place, width in zip(places, widths, strict=True):
            found[place] = (left + width / 2, -0.92 * depth - 0.45)
            left += width
    return found


def draw(nodes: Sequence[Stage], title: str, paths: Iterable[Path]) -> None:
    """A picture of the stages, from the top down, as SVG and PDF; whole or not at all."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    arrows = reduced(nodes)
    rows = _rows(nodes, arrows)
    spot = _spots(rows)
    row = {place: i for i, places in enumerate(rows) for place in places if isinstance(place, str)}
    half = max((abs(x) for x, _ in spot.values()), default=0.0) + BOX / 2
    width, height = 2 * half, 0.92 * len(rows) + 0.5
    style: dict[Any, Any] = {
        "font.size": 8,
        "svg.hashsalt": "language-arithmetic",
        "svg.fonttype": "none",
    }
    with mpl.rc_context({**style, "pdf.fonttype": 42}):
        figure, axis = plt.subplots(figsize=(width, height))
        axis.set(xlim=(-half, half), ylim=(-height + 0.35, 0.15))
        axis.axis("off")
        for before, after in arrows:
            line = curve([spot[place] for place in _path(before, after, row)])
            arrow = mpl.patches.FancyArrowPatch(path=line, arrowstyle="-|>", mutation_scale=8)
            arrow.set(color="0.55", linewidth=0.8, zorder=1)
            axis.add_patch(arrow)
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
        axis.text(-half + 0.05, -height + 0.4, title, fontsize=7, color="0.35", va="bottom")
        for path in paths:
            clock = "Date" if path.suffix == ".svg" else "CreationDate"
            about = {clock: None}
            with whole(path) as partial:
                figure.savefig(partial, metadata=about, bbox_inches="tight", pad_inches=0.05)
        plt.close(figure)


def curve(spots: Sequence[tuple[float, float]]) -> Any:
    """An arrow's path through the middles of its places: bent between rows, straight in a row."""
    from matplotlib.path import Path as Curve

    (x, y), *rest = spots
    points, codes = [(x, y - HALF)], [Curve.MOVETO]
    for i, (x2, y2) in enumerate(rest):
        (x1, y1), end = points[-1], (x2, y2 + HALF)
        middle = (y1 + end[1]) / 2
        points += [(x1, middle), (x2, middle), end]
        codes += [Curve.CURVE4] * 3
        if i < len(rest) - 1:  # through a lane
            points.append((x2, y2 - HALF))
            codes.append(Curve.LINETO)
    return Curve(points, codes)


HALF = 0.28
"""Inches from the middle of a row to the end of its boxes."""


def _count(stage: Stage) -> str:
    files = f"{stage.files} file{'s' if stage.files != 1 else ''}, {size_of(stage.size)}"
    if not stage.jobs:
        return files
    return f"{stage.jobs} job{'s' if stage.jobs != 1 else ''}, {files}"
