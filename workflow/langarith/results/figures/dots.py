"""Rows of dots, for each target and on average: rules that choose λ, and merge methods."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from langarith import merging
from langarith.evaluation import selection
from langarith.results import analysis, label_free, palette
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import style
from langarith.results.intervals import key, of_regret
from langarith.results.names import BETTER_PROXY, LABELS, ordered

ROW = 0.27  # inches
COLUMNS = 3
AVERAGE: dict[str, Any] = {"color": palette.MERGED, "marker": "o", "markersize": 5}
TARGET: dict[str, Any] = {"color": "0.65", "marker": "o", "markersize": 3}


def compare_rules(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Regret in points against the choice on the target's validation data; right of 0 is worse.

    Lines are 95 % intervals of a paired bootstrap.
    """
    of_targets = table.groupby(["model", "task", "target", "rule"], sort=False)["regret"].mean()
    panels = style.panels(table, analysis.metrics(table), caption)
    compared = set(table["rule"]) - {"validation"}
    rules = [name for name in selection.names() if name in (compared or {"fixed"})]
    averages = label_free.averages(table).set_index(["model", "task", "rule"])["regret"]
    titles = [selection.get(rule).title for rule in rules]
    with mpl.rc_context(style.STYLE):
        figure, axes = _subplots(len(panels), len(rules))
        for axis, panel in zip(axes, panels, strict=True):
            model, task = panel.model, panel.task
            for place, rule in enumerate(rules):
                targets = ordered(panel.rows["target"], caption.languages)
                for i, target in enumerate(targets):
                    regret = of_targets.get((model, task, target, rule), math.nan)
                    if not math.isnan(regret):
                        gain = key(model, task, target, LABELS, rule=rule)
                        ends = of_regret(beside.intervals, gain)
                        _dot(axis, regret, place + _below(i, len(targets)), ends, TARGET)
                average = key(model, task, analysis.AVERAGE, LABELS, rule=rule)
                ends = of_regret(beside.intervals, average)
                average_regret = averages.get((model, task, rule), math.nan)
                _dot(axis, average_regret, place + ABOVE, ends, AVERAGE)
            _label(axis, panel.title("points"), titles, "regret (points)")
        absent = table["value"].isna()
        entries: dict[str, Artist] = {
            "average over targets": Line2D([], [], **AVERAGE),
            "one target": Line2D([], [], **{**TARGET, "linestyle": ""}),
        }
        style.legend(figure, entries)
        style.foot(
            figure,
            caption,
            table,
            key="Regret: how many points less the rule's λ scores on test than λ chosen on the "
            "target's labelled validation data; right of 0 the rule is worse. Means over seeds; "
            f"lines are 95 % intervals of a paired bootstrap. {' '.join(_explained(rules))}"
            + style.where_drawn(
                figure, [style.ABSENT], f" {style.ABSENT}: the rule has no choice in some cell."
            ),
            missing=style.count((int(absent.sum()), _cells(table)), "cells", MARKS),
        )
    return figure


def _explained(rules: Sequence[str]) -> Iterator[str]:
    """What the names of those rules mean that are in the figure."""
    if {"left", "right"} & set(rules):
        yield "Left: the adapter of the task language; right: of the related language."
    if "transfer" in rules:
        yield "'Other targets' uses validation labels of other languages."
    if "oracle" in rules:
        yield "The oracle uses test labels."


MARKS = f"by {style.ABSENT} where an average lacks a cell"


def _cells(table: pd.DataFrame) -> int:
    return len(table[table["rule"] == "validation"])


def methods(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Gain in points of every merge method over the better proxy; the best on average is on top.

    Both proxies are rows of their own: the better one of a target, or on average, is at 0. Lines
    are 95 % intervals of a paired bootstrap.
    """
    scores = analysis.methods_and_proxies(table)
    names = {
        "task_language": f"{caption.task_language} adapter",
        "related": "related adapter",
        **{m: merging.get(m).title for m in dict.fromkeys(analysis.methods(table)["method"])},
    }
    gains = {kind: _over_better_proxy(scores, kind) for kind in names}
    averages = {kind: of_kind.xs(analysis.AVERAGE, level=2) for kind, of_kind in gains.items()}
    rows = sorted(names, key=lambda kind: -averages[kind].fillna(-math.inf).mean())
    panels = style.panels(scores, analysis.metrics(table), caption)
    with mpl.rc_context(style.STYLE):
        figure, axes = _subplots(len(panels), len(rows))
        for axis, panel in zip(axes, panels, strict=True):
            model, task = panel.model, panel.task
            targets = ordered(panel.rows["target"], caption.languages)
            for place, kind in enumerate(rows):
                heights = {
                    target: place + _below(i, len(targets)) for i, target in enumerate(targets)
                } | {analysis.AVERAGE: place + ABOVE}
                for target, y in heights.items():
                    value = gains[kind].get((model, task, target), math.nan)
                    average = target == analysis.AVERAGE
                    if average or not math.isnan(value):
                        gain = key(model, task, target, BETTER_PROXY, method=kind)
                        ends = beside.intervals.get(gain)
                        look = {**AVERAGE, "color": LOOKS.get(kind, palette.MERGED)}
                        _dot(axis, value, y, ends, look if average else TARGET)
            _label(axis, panel.title("points"), [names[kind] for kind in rows], "gain (points)")
        entries: dict[str, Artist] = {
            "merge, average over targets": Line2D([], [], **{**AVERAGE, "linestyle": ""}),
            "one target": Line2D([], [], **{**TARGET, "linestyle": ""}),
        }
        style.legend(figure, entries)
        style.foot(
            figure,
            caption,
            scores,
            key="Gain: points on test over the better of both single adapters. Means over seeds; "
            "lines are 95 % intervals of a paired bootstrap. An average gain is that of the "
            "averages over targets. Rows are in the order of their average gain, over all panels.",
            missing=style.count(analysis.missing(table), "cells", MARKS),
        )
    return figure


LOOKS = {"task_language": palette.TASK_LANGUAGE, "related": palette.RELATED}


def _over_better_proxy(scores: pd.DataFrame, kind: str) -> pd.Series:
    """The gains of a method, or of a proxy, by model, task and target, the average included."""
    others = [proxy for proxy in analysis.PROXIES if proxy != kind]
    gains = analysis.gains(scores, kind, others).set_index(["model", "task", "target"])["gain"]
    return gains.clip(upper=0) if kind in analysis.PROXIES else gains


ABOVE = -0.1
"""The offset of the dot of an average from its row, in row heights; y grows downwards."""


def _below(position: int, targets: int) -> float:
    """The offset of the dot of a target from its row: targets follow below the average."""
    return 0.18 + 0.3 * (position + 1) / (targets + 1)


def _subplots(panels: int, rows: int) -> tuple[Figure, list[Axes]]:
    """A figure with panels that have the same rows and share their names."""
    columns = min(COLUMNS, panels)
    lines = -(-panels // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(style.TEXT_WIDTH, 0.75 + lines * (0.5 + ROW * rows)),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:panels])


def _label(axis: Axes, title: str, names: Sequence[str], quantity: str) -> None:
    """Title, names of the rows from the top, a line at 0."""
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_title(title, loc="left")
    axis.set_yticks(range(len(names)), list(names))
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlabel(quantity)
    axis.xaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)


def _dot(
    axis: Axes,
    value: float,
    y: float,
    ends: tuple[float, float] | None,
    look: Mapping[str, Any],
) -> None:
    """Draw a value with its interval, or a mark if there is none."""
    if math.isnan(value):
        axis.text(0, y, style.ABSENT, ha="center", va="center", fontsize=style.SMALL, clip_on=True)
        return
    if ends:
        axis.plot(ends, [y, y], color=look["color"], linewidth=0.9, zorder=1.5)
    axis.plot([value], [y], **look, linestyle="", zorder=2.5)
