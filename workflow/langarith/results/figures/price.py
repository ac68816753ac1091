"""The price of labels: test scores over the number of labelled examples used to choose λ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from langarith.evaluation import selection
from langarith.results import analysis, label_free, palette
from langarith.results.caption import Caption
from langarith.results.figures import style

COLUMNS = 2  # of panels; each has the names of the rules on its right
HEIGHT = 2.1  # inches, of a panel
ARROWS = "↓↑"  # at the name of a rule below or above the panel
APART = 0.075  # of a panel's height, between two names

AVERAGE: dict[str, Any] = {"color": palette.MERGED, "linewidth": 1.6, "marker": "o"}
AVERAGE |= {"markersize": 3.5}
TARGET: dict[str, Any] = {"color": "0.65", "linewidth": 0.6}
SPREAD: dict[str, Any] = {"color": palette.tint(palette.MERGED, 0.85), "linewidth": 0}
RULE: dict[str, Any] = {"color": palette.RELATED, "linewidth": 0.9, "linestyle": (0, (4, 2))}


def label_price(price: pd.DataFrame, rules: pd.DataFrame, caption: Caption) -> Figure:
    """Points on test against the choice on all labelled examples, over how many there are.

    Args:
        price: the table of `label_price`.
        rules: the table of `label_free`; its rules without labels of the target are levels.
    """
    averages = label_free.price_averages(price, rules)
    levels = label_free.averages(rules)
    panels = style.panels(rules, analysis.metrics(rules), caption)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(style.TEXT_WIDTH, 0.9 + rows * HEIGHT),
            layout="constrained",
            squeeze=False,
        )
        for axis, panel in zip(axes.flat, panels, strict=False):
            of_task = [
                frame[(frame["model"] == panel.model) & (frame["task"] == panel.task)]
                for frame in (price, averages, levels)
            ]
            _panel(axis, *of_task)
            axis.set_title(panel.title(unit=""), loc="left")
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for row in axes:
            row[0].set_ylabel("against all labels (points)")
        entries: dict[str, Artist] = {
            "average over targets": Line2D([], [], **AVERAGE),
            "± 1 SD of a target": Patch(**SPREAD),
            "one target": Line2D([], [], **TARGET),
            "a rule without labels of the target": Line2D([], [], **RULE),
        }
        style.legend(figure, entries)
        absent = rules["value"].isna()
        cells = int((rules["rule"] == "validation").sum())
        style.foot(
            figure,
            caption,
            rules,
            key="Test scores with λ chosen on few labelled examples of the target, less those of "
            "the choice on all of its validation data: means over "
            f"{label_free.SUBSETS} random subsets and seeds. Dashed: the average of a "
            "rule"
            + style.where_drawn(figure, ARROWS, "; one beyond the panel has an arrow")
            + style.where_drawn(
                figure, [style.ABSENT], f"; {style.ABSENT}: it has no choice in some cell"
            )
            + ".",
            missing=style.count(
                (int(absent.sum()), cells), "cells", f"by {style.ABSENT} where an average lacks one"
            ),
        )
    return figure


def _panel(axis: Axes, price: pd.DataFrame, averages: pd.DataFrame, levels: pd.DataFrame) -> None:
    """The lines of one model and task, and the levels of the rules with their names."""
    sizes = label_free.SIZES
    axis.axhline(0, color="black", linewidth=0.6)
    whole = price[price["labelled"] == price["examples"]].set_index(["target", "seed"])["value"]
    lowest, highest = 0.0, 0.0
    for _, part in price[price["labelled"] <= sizes[-1]].groupby("target", sort=False):
        of_all = whole.reindex(pd.MultiIndex.from_frame(part[["target", "seed"]])).to_numpy()
        line = part.assign(gain=part["value"] - of_all).groupby("labelled")["gain"].mean()
        axis.plot(line.index, line, **TARGET)
        lowest, highest = min(lowest, line.min()), max(highest, line.max())
    # "all examples" is one point only if every target has the same number of them
    every = averages["most"].where(averages["least"] == averages["most"])
    mean = averages.assign(labelled=averages["labelled"].fillna(every))
    mean = mean[mean["labelled"] <= sizes[-1]].dropna(subset=["value"])
    if len(mean):
        axis.fill_between(
            mean["labelled"], -mean["lost"] - mean["sd"], -mean["lost"] + mean["sd"], **SPREAD
        )
        axis.plot(mean["labelled"], -mean["lost"], zorder=3, **AVERAGE)
        lowest = min(lowest, (-mean["lost"] - mean["sd"]).min())
        highest = max(highest, (-mean["lost"] + mean["sd"]).max())
    by_rule = levels.set_index("rule")["value"]
    gains = {
        selection.get(str(rule)).title: float(value - by_rule["validation"])
        for rule, value in by_rule.items()
        if selection.get(str(rule)).labels in ("other targets", "none")
    }
    span = max(highest - lowest, 1.0)
    # a rule far below would leave no space for the lines
    near = [gain for gain in gains.values() if lowest - span <= gain <= highest + span]
    low, high = min([lowest, *near]), max([highest, *near])
    span = max(high - low, 1.0)
    axis.set_ylim(low - 0.06 * span, high + 0.06 * span)
    _levels(axis, gains)
    axis.set_xscale("log")
    axis.set_xlim(sizes[0] * 0.85, sizes[-1] * 1.1)
    axis.xaxis.set_major_locator(FixedLocator(sizes))
    axis.xaxis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="x", labelsize=style.SMALL)  # 250 and 500 are close to each other
    axis.set_xlabel("labelled examples of the target")


def _levels(axis: Axes, gains: Mapping[str, float]) -> None:
    """Draw a dashed line for each rule, with its name on the right; names do not overlap."""
    low, high = axis.get_ylim()
    names = []
    for title, gain in sorted(gains.items(), key=lambda item: (item[1], item[0])):
        if low <= gain <= high:
            axis.axhline(gain, zorder=2, **RULE)
            names.append(((gain - low) / (high - low), title))
        elif math.isnan(gain):
            names.append((0.0, f"{title}: {style.ABSENT}"))
        else:
            height, arrow = (0.0, ARROWS[0]) if gain < low else (1.0, ARROWS[1])
            names.append((height, f"{title} {arrow} {style.signed(gain, 1)}"))
    names.sort()
    for (height, name), name_height in zip(names, _apart([h for h, _ in names]), strict=True):
        axis.annotate(
            name,
            (1, height),
            (1.06, name_height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=style.SMALL,
            arrowprops=None if 0 in (height, 1 - height) else POINTER,
        )


POINTER: dict[str, Any] = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5}
POINTER |= {"shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}


def _apart(heights: Sequence[float]) -> np.ndarray:
    """Ascending heights, 0 to 1, moved as little as possible to be `APART` (least squares)."""
    from scipy.optimize import isotonic_regression

    steps = APART * np.arange(len(heights))
    moved = isotonic_regression(np.asarray(heights) - steps).x
    return np.clip(moved, 0, 1 - steps.max(initial=0)) + steps
