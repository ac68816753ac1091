"""Gains over the number of relatives in the sum."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from langarith.results import analysis, pool
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import style
from langarith.results.intervals import Intervals, key
from langarith.results.names import ordered
from langarith.results.palette import method_colour, method_mark

COLUMNS = 3
LOOKS: dict[str, dict[str, Any]] = {
    name: {"color": method_colour(name), "marker": method_mark(name), "linestyle": dash}
    for name, dash in (("la", "-"), ("soup", "--"))
}
TITLES = {"la": "language arithmetic", "soup": "soup (equal weights)"}
TARGET: dict[str, Any] = {"linewidth": 0.8, "markersize": 2.5, "alpha": 0.45}
AVERAGE: dict[str, Any] = {"linewidth": 1.8, "markersize": 5}
ASIDE = 0.08
"""The horizontal distance between the intervals of neighbouring lines at one k."""


def more_relatives(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Gain in points over language arithmetic of two, by k, of targets and, darker, on average.

    Vertical lines are 95 % intervals of a paired bootstrap. k = 1 is 0 for language arithmetic.
    """
    scores = pool.scores(table)
    panels = style.panels(scores, analysis.metrics(table), caption)
    rows, columns = style.filled(max(1, len(panels)), COLUMNS)
    several = scores.groupby(["model", "task"])["target"].nunique().max() > 1
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(style.TEXT_WIDTH, 1.0 + 2.1 * rows),
            layout="constrained",
            squeeze=False,
        )
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            _draw(axis, panel, beside.intervals, caption)
            axis.set_title(panel.title("points"), loc="left")
            axis.set_xlabel("k, relatives in the sum")
        for row in axes:
            row[0].set_ylabel("gain over k = 1 (points)")
        of = ", average" if several else ""
        entries: dict[str, Artist] = {
            f"{TITLES[method]}{of}": Line2D([], [], **look, **AVERAGE)
            for method, look in LOOKS.items()
        }
        if several:
            entries["one target"] = Line2D([], [], **{**LOOKS["la"], **TARGET})
        style.legend(figure, entries)
        task_language = caption.task_language
        style.foot(
            figure,
            caption,
            scores,
            key=f"Gain: points on test over language arithmetic of {task_language} and the "
            f"nearest relative, k = 1; k = 0 is the {task_language} adapter alone. Means over "
            "seeds; vertical lines are 95 % intervals of a paired bootstrap.",
            missing=style.count(analysis.missing(table), "cells", "by a gap in a line"),
        )
    return figure


def _draw(axis: Axes, panel: style.Panel, intervals: Intervals, caption: Caption) -> None:
    """The lines of one model and task."""
    part, runs, names = panel.rows, pool.wide(panel.rows), pool.names(panel.rows)
    axis.axhline(0, color="black", linewidth=0.6)
    targets = ordered(part["target"], caption.languages)
    # with one target the average is that target
    lines = [*targets, analysis.AVERAGE] if len(targets) > 1 else targets
    order = [(method, target) for method in LOOKS for target in lines]
    for place, (method, target) in enumerate(order):
        strong = target == lines[-1]
        look = {**LOOKS[method], **(AVERAGE if strong else TARGET)}
        of_method = [name for name in names if name.startswith(f"{method}_")]
        of = () if target in targets else names
        gains = {name: pool.gains(runs, name, of)[target] for name in of_method}
        shift = ASIDE * (place - (len(order) - 1) / 2) / max(1, len(order) / 4)
        axis.plot(
            [pool.relatives_of(name) + shift for name in gains],
            list(gains.values()),
            **look,
            zorder=3 if strong else 2,
        )
        for name in gains:
            ends = intervals.get(key(panel.model, panel.task, target, pool.BASE, method=name))
            if ends:
                axis.plot(
                    [pool.relatives_of(name) + shift] * 2,
                    ends,
                    color=look["color"],
                    alpha=look.get("alpha"),
                    linewidth=1.2 if strong else 0.7,
                    zorder=2.5 if strong else 1.5,
                )
    axis.set_xticks(sorted(part["k"].unique()))
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
