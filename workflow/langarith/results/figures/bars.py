"""Grouped bars per target and on average: zero-shot, enhancement, TIES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from langarith import merging
from langarith.results import analysis
from langarith.results.figures import style

# groups of bars that fit side by side: a group of letters below and of digits above stay apart
MOST_GROUPS = 20
BARS_WIDTH = 0.82  # of a group, whose place is 1 wide
AVERAGE_APART = 0.35
FEWEST_GROUPS = 6  # leave the bars of a small experiment slender
LOWEST = 0.9  # inches: the height of a panel without its title and ticks
STUB = 0.07  # height of the mark of a missing bar, of the axis
MARKS = (
    f"by hatched stubs and {style.ABSENT}; {style.PARTLY} where only some seeds are there; "
    "an average takes the seeds that have every target"
)


@dataclass(frozen=True)
class Bar:
    """One bar of every group: a column of the scores, its name in the legend, its look."""

    column: str
    label: str
    colour: str
    hatch: str = ""


def zero_shot(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 2 and 6: per target and on average, both proxies and their language arithmetic.

    Above each group is the gain: the seed mean of language arithmetic minus that of the better
    proxy, in points. Error bars are one standard deviation over seeds (ddof 1).
    """
    english = caption["task_language"]
    bars = [
        Bar("task_language", f"{english} adapter", style.TASK_LANGUAGE),
        Bar("related", "related language's adapter", style.RELATED, "/////"),
        Bar("merged", f"language arithmetic ({english}, related)", style.MERGED),
    ]
    scores = analysis.zero_shot(table)
    key = "gain over the better of both adapters"
    return _draw(table, scores, bars, ("merged", ["task_language", "related"]), key, caption)


def enhancement(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 3 and 7: MAD-X, and the target's adapter enhanced by the one or the other language.

    Above each group is the gain of LA(en/rel, t) over MAD-X in seed means, in points.
    """
    english = caption["task_language"]
    bars = [
        Bar("madx", "MAD-X (target alone)", style.TARGET, "....."),
        Bar("la_task_language", f"LA({english}, target)", style.TASK_LANGUAGE),
        Bar("la_related", "LA(related, target)", style.RELATED, "/////"),
        Bar("la_better", f"LA({english}/related, target)", style.MERGED),
    ]
    scores = analysis.enhancement(table, english)
    key = f"gain of LA({english}/related, target) over MAD-X"
    return _draw(table, scores, bars, ("la_better", ["madx"]), key, caption)


def methods(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Table 3 by target: language arithmetic and every other merge method of the table.

    Above each group is the difference between language arithmetic and the best of the others.
    """
    long = analysis.methods(table)
    place = ["model", "task", "target", "seed"]
    wide = long.set_index([*place, "method"])["merged"].unstack("method")
    others = sorted((m for m in wide.columns if m != "la"), key=_by_parameter)
    looks = [("#F0E442", ""), ("#009E73", "\\\\\\\\\\"), ("#CC79A7", "/////"), ("0.7", "")]
    bars = [
        Bar(method, merging.get(method).title, *looks[i % len(looks)])
        for i, method in enumerate(others)
    ]
    la = Bar("la", f"language arithmetic ({caption['task_language']}, related)", style.MERGED)
    key = "language arithmetic minus the best other method"
    return _draw(table, wide.reset_index(), [la, *bars], ("la", others), key, caption)


def _by_parameter(method: str) -> tuple[str, int]:
    """Methods of one family in a row, ordered by their parameter."""
    return merging.part(method), merging.get(method).parameter or 0


def _draw(
    table: pd.DataFrame,
    scores: pd.DataFrame,
    bars: Sequence[Bar],
    gain: tuple[str, Sequence[str]],
    key: str,
    caption: Mapping[str, Any],
) -> Figure:
    """A panel per model and task; `gain` names a bar and those over whose best it gains."""
    kinds = [bar.column for bar in bars]
    means = analysis.over_seeds(
        analysis.with_average(scores, kinds), ["model", "task", "target"], kinds
    )
    # a row of panels holds one model's tasks, as long as their groups fit
    rows: list[list[tuple[str, pd.DataFrame, list[str]]]] = []
    model, groups = "", 0
    for title, part in style.panels(means, analysis.metrics(table), caption):
        targets = style.ordered(part["target"], caption["languages"])
        targets.remove(analysis.AVERAGE)
        groups += len(targets) + 1
        if part["model"].iloc[0] != model or groups > MOST_GROUPS:
            rows.append([])
            model, groups = part["model"].iloc[0], len(targets) + 1
        rows[-1].append((title, part, targets))
    widths = [sum(len(targets) + 1 for *_, targets in row) for row in rows]
    widest = max(FEWEST_GROUPS, *widths)
    with mpl.rc_context(style.STYLE):
        height = 1.75 if len(rows) < 3 else 1.3
        figure = plt.figure(
            figsize=(style.TEXT_WIDTH, 0.85 + height * len(rows)), layout="constrained"
        )
        # one column of the grid is one group: groups are as wide in a short row as in a long one
        grid = figure.add_gridspec(len(rows), widest)
        for place, row in enumerate(rows):
            start = 0
            for title, part, targets in row:
                end = start + len(targets) + 1
                axis = figure.add_subplot(grid[place, start:end])
                _panel(axis, part.set_index(["target", "kind"]), targets, bars, gain, widest)
                axis.set_title(title, loc="left")
                start = end
        entries: dict[str, Artist] = {
            bar.label: Patch(facecolor=bar.colour, hatch=bar.hatch, edgecolor="white", linewidth=0)
            for bar in bars
        }
        style.legend(figure, entries, len(bars))
        style.foot(
            figure,
            caption,
            scores,
            key=f"Above each group: {key}, in points. Error bars: 1 SD over seeds.",
            missing=style.count(analysis.missing(table), "cells", MARKS),
        )
    return figure


def _panel(
    axis: Axes,
    means: pd.DataFrame,
    targets: Sequence[str],
    bars: Sequence[Bar],
    gain: tuple[str, Sequence[str]],
    groups: int,
) -> None:
    """Bars of one model and task from means indexed by target and kind."""
    spread = means["spread"].fillna(0.0)
    lowest, top = (means["mean"] - spread).min(), (means["mean"] + spread).max()
    if np.isnan(top):
        lowest, top = 0.0, 100.0
    # bars start at zero unless that hides every difference; the axis says where they start
    floor = max(0.0, np.floor((lowest - 10) / 10) * 10) if lowest > 40 else 0.0
    stub = floor + STUB * (top - floor)
    width = BARS_WIDTH / len(bars)
    places = [*range(len(targets)), len(targets) + AVERAGE_APART]
    gains, highest = [], []
    for x, target in zip(places, [*targets, analysis.AVERAGE], strict=True):
        group = means.loc[target]
        ends = []
        for i, bar in enumerate(bars):
            middle = x + (i - (len(bars) - 1) / 2) * width
            found = group.loc[bar.column]
            end = stub
            if found["seeds"]:
                one = np.isnan(found["spread"])  # seed: no spread to draw
                end = found["mean"] + (0.0 if one else found["spread"])
                axis.bar(
                    middle,
                    found["mean"],
                    width,
                    yerr=None if one else found["spread"],
                    color=bar.colour,
                    hatch=bar.hatch,
                    edgecolor="white",
                    linewidth=0,
                    error_kw={"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.6},
                )
            else:
                style.hatched(axis, middle - width / 2, floor, width, stub - floor)
            ends.append(end)
            if 0 < found["seeds"] < found["of"]:
                _above(axis, style.PARTLY, middle, end, 0)
        partly = ((group["seeds"] > 0) & (group["seeds"] < group["of"])).any()
        kind, others = gain
        points = group["mean"][kind] - group["mean"][list(others)].max(skipna=False)
        gains.append(style.ABSENT if np.isnan(points) else style.signed(points, 1, "+"))
        highest.append((x, max(ends), 9 if partly else 2))
    # letters of 7 points are 0.062 inches wide
    rotate = max(map(len, gains)) * 0.062 > (style.TEXT_WIDTH - 0.4) / groups
    for text, (x, end, offset) in zip(gains, highest, strict=True):
        _above(axis, text, x, end, offset, rotation=90 if rotate else 0)
    marked = any(offset > 2 for *_, offset in highest)
    room = ((0.36 if rotate else 0.14) + (0.1 if marked else 0.0)) / LOWEST
    axis.set_ylim(floor, floor + (top - floor) / (1 - room))
    axis.set_xticks(places, [*targets, analysis.AVERAGE])
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.6, places[-1] + 0.6)
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def _above(axis: Axes, text: str, x: float, y: float, offset: float, rotation: float = 0) -> None:
    axis.annotate(
        text,
        (x, y),
        xytext=(0, offset),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=style.SMALL,
        rotation=rotation,
    )
