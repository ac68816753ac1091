"""Scores per target and on average, in groups: zero-shot, enhancement, merge methods.

Bars always start at zero. If every score of a figure is above half of the highest, bars would
differ only at their tips: then the figure shows points, on an axis that starts near the lowest.
"""

from __future__ import annotations

import math
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
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from langarith import merging
from langarith.results import analysis, palette
from langarith.results.figures import style
from langarith.results.intervals import BEST_OTHER, BETTER_PROXY, MADX, beyond_zero
from langarith.results.palette import method_colour, tint

# groups of bars that fit into a row without overlap of the names below and the digits above them
MOST_GROUPS = 20
BARS_WIDTH = 0.82  # width of the bars of a group; the groups are 1 apart
WIDEST_BAR = 0.4  # inches
AVERAGE_APART = 0.35
LOWEST = 0.9  # inches: the height of a panel without its title and ticks
STUB = 0.07  # height of the mark of a missing score, as a share of the axis
HIGH = 0.5  # share of the highest score: if all scores are above it, points replace the bars
MARKS = (
    f"by hatched stubs and {style.ABSENT}; {style.PARTLY} where only some seeds are there; "
    "an average takes the seeds that have every target"
)


@dataclass(frozen=True)
class Bar:
    """One bar or point of every group: a column of the scores, its name, its look."""

    column: str
    label: str
    colour: str
    hatch: str = ""
    mark: str = palette.MERGED_MARK
    hollow: bool = False

    @property
    def patch(self) -> dict[str, Any]:
        """The look of a bar."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0}

    @property
    def point(self) -> dict[str, Any]:
        """The look of a point; its mark distinguishes it in grey."""
        look = {"color": self.colour, "marker": self.mark, "markersize": 4.5, "linestyle": ""}
        return look | ({"markerfacecolor": "white"} if self.hollow else {})


@dataclass(frozen=True)
class Gain:
    """The text above each group: the gain of `merged` over the best of `others`, with its name."""

    merged: str
    others: Sequence[str]
    words: str
    over: str
    """Value of the column `over` of the table of gains."""


def zero_shot(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 2 and 6: per target and on average, both proxies and their language arithmetic.

    Above each group is the gain: the seed mean of language arithmetic minus that of the better
    proxy, in points. Error bars are one standard deviation over seeds (ddof 1).
    """
    english = caption["task_language"]
    bars = [
        Bar(
            "task_language",
            f"{english} adapter",
            palette.TASK_LANGUAGE,
            mark=palette.TASK_LANGUAGE_MARK,
        ),
        Bar(
            "related",
            "related language's adapter",
            palette.RELATED,
            "/////",
            palette.RELATED_MARK,
        ),
        Bar("merged", f"language arithmetic ({english}, related)", palette.MERGED),
    ]
    gain = Gain(
        "merged",
        ["task_language", "related"],
        "gain over the better of both adapters",
        BETTER_PROXY,
    )
    scores = analysis.zero_shot(table)
    pairs = scores[["target", "right"]].drop_duplicates().itertuples(index=False)
    related = f"Related languages: {', '.join(f'{t}: {r}' for t, r in pairs)}. "
    return _draw(table, scores, bars, gain, caption, related)


def enhancement(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 3 and 7: MAD-X, and the target's adapter enhanced by the one or the other language.

    Above each group is the gain of LA(en/rel, t) over MAD-X in seed means, in points.
    """
    english = caption["task_language"]
    bars = [
        Bar("madx", "MAD-X (target alone)", palette.TARGET, ".....", palette.TARGET_MARK),
        Bar("la_task_language", f"LA({english}, target)", tint(palette.MERGED, 0.75), hollow=True),
        Bar("la_related", "LA(related, target)", tint(palette.MERGED, 0.45), "/////", "d", True),
        Bar("la_better", f"LA({english}/related, target)", palette.MERGED),
    ]
    scores = analysis.enhancement(table, english)
    gain = Gain("la_better", ["madx"], f"gain of LA({english}/related, target) over MAD-X", MADX)
    return _draw(table, scores, bars, gain, caption)


def ties(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Table 3 by target: language arithmetic and every other merge method of the table.

    Above each group is language arithmetic minus the best of the others, in points.
    """
    long = analysis.methods(table)
    place = ["model", "task", "target", "seed"]
    wide = long.set_index([*place, "method"])["merged"].unstack("method")
    others = sorted((m for m in wide.columns if m != "la"), key=_by_parameter)
    bars = [
        Bar(
            method,
            merging.get(method).title,
            method_colour(method),
            HATCHES[i % len(HATCHES)],
            palette.method_mark(method),
            # of two methods of one family the second is hollow
            hollow=i > 0 and merging.part(others[i - 1]) == merging.part(method),
        )
        for i, method in enumerate(others)
    ]
    la = Bar("la", f"language arithmetic ({caption['task_language']}, related)", palette.MERGED)
    gain = Gain("la", others, "language arithmetic minus the best other method", BEST_OTHER)
    return _draw(table, wide.reset_index(), [la, *bars], gain, caption)


HATCHES = ("", "\\\\\\\\\\", "/////", ".....")


def _by_parameter(method: str) -> tuple[str, int]:
    """Methods of one family in a row, ordered by their parameter."""
    return merging.part(method), merging.get(method).parameter or 0


def _draw(
    table: pd.DataFrame,
    scores: pd.DataFrame,
    bars: Sequence[Bar],
    gain: Gain,
    caption: Mapping[str, Any],
    remark: str = "",
) -> Figure:
    """A panel per model and task. `remark`: a sentence for the foot."""
    kinds = [bar.column for bar in bars]
    means = analysis.over_seeds(
        analysis.with_average(scores, kinds), ["model", "task", "target"], kinds
    )
    gains = analysis.gains(scores, gain.merged, gain.others, kinds)
    chance = analysis.chance(table)
    # a row of panels contains one model's tasks, as long as their groups fit
    rows: list[list[_Panel]] = []
    model, groups = "", 0
    for title, part in style.panels(means, analysis.metrics(table), caption):
        targets = style.ordered(part["target"], caption["languages"])
        targets.remove(analysis.AVERAGE)
        groups += len(targets) + 1
        if part["model"].iloc[0] != model or groups > MOST_GROUPS:
            rows.append([])
            model, groups = part["model"].iloc[0], len(targets) + 1
        place = (part["model"].iloc[0], part["task"].iloc[0])
        rows[-1].append(
            _Panel(
                title,
                part.set_index(["target", "kind"]),
                [*targets, analysis.AVERAGE],
                _of(gains, "gain", *place),
                beyond_zero(caption.get("intervals", {}), *place, gain.over),
                _of(chance, "value", *place),
            )
        )
    points = _all_high(means)
    with mpl.rc_context(style.STYLE):
        height = 1.75 if len(rows) < 3 else 1.3
        figure = plt.figure(
            figsize=(style.TEXT_WIDTH, 0.85 + height * len(rows)), layout="constrained"
        )
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        drawn_chance = False
        for row, sub in zip(rows, parts, strict=True):
            # every row fills the width; within it, a column of the grid is one group
            groups = sum(len(panel.groups) for panel in row)
            grid = sub.add_gridspec(1, groups)
            start = 0
            for panel in row:
                axis = sub.add_subplot(grid[0, start : start + len(panel.groups)])
                inches = (style.TEXT_WIDTH - 0.4) / groups
                drawn_chance |= _draw_panel(axis, panel, bars, points, inches)
                axis.set_title(panel.title, loc="left")
                start += len(panel.groups)
            sub.axes[0].set_ylabel("test score (%)")
        entries: dict[str, Artist] = {
            bar.label: Line2D([], [], **bar.point) if points else Patch(**bar.patch)
            for i, bar in enumerate(bars)
        }
        if drawn_chance:
            entries[style.CHANCE_LABEL] = Line2D([], [], **style.CHANCE)
        style.legend(figure, entries)
        shown = "means over seeds" if scores["seed"].nunique() > 1 else "scores"
        what = f"Points: {shown}; the axes do not start at zero. " if points else ""
        style.foot(
            figure,
            caption,
            scores,
            key=f"{what}Above each group: {gain.words}, in points{_about_intervals(caption)}. "
            f"{_about_averages(rows)} {remark}"
            f"{style.spreads(scores['seed'])}",
            missing=style.count(analysis.missing(table), "cells", MARKS),
        )
    return figure


@dataclass(frozen=True)
class _Panel:
    """One model and task: means indexed by target and kind, gains and chance by target."""

    title: str
    means: pd.DataFrame
    groups: Sequence[str]
    gains: Mapping[str, float]
    sure: frozenset[str]
    """Targets whose gain has an interval that excludes 0."""
    chance: Mapping[str, float]


def _of(frame: pd.DataFrame, column: str, model: str, task: str) -> dict[str, float]:
    rows = frame[(frame["model"] == model) & (frame["task"] == task)]
    return dict(zip(rows["target"], rows[column], strict=True))


def _all_high(means: pd.DataFrame) -> bool:
    """True if points show the scores, see the rule in the docstring of this module."""
    spread = means["spread"].fillna(0.0)
    return bool((means["mean"] - spread).min() > HIGH * (means["mean"] + spread).max())


SURE = "*"


def _gain_text(gain: float, sure: bool) -> str:
    text = style.ABSENT if math.isnan(gain) else style.signed(gain, 1, "+")
    return f"{text}{SURE if sure and not math.isnan(gain) else ''}"


def _about_intervals(caption: Mapping[str, Any]) -> str:
    return f" ({SURE}: its 95 % interval excludes 0)" if caption.get("intervals") else ""


def _about_averages(rows: Sequence[Sequence[_Panel]]) -> str:
    """A sentence on the gain above the average, and the mean of the gains."""
    models: dict[str, list[str]] = {}
    for panel in (panel for row in rows for panel in row):
        mean = panel.gains[analysis.MEAN_GAIN]
        model, _, task = panel.title.partition(" (")[0].rpartition(", ")
        if not math.isnan(mean):
            models.setdefault(model, []).append(f"{task} {style.signed(mean, 1, '+')}")
    parts = [": ".join(filter(None, [model, ", ".join(tasks)])) for model, tasks in models.items()]
    mean_gains = f" Mean of the gains over targets: {'; '.join(parts)}." if parts else ""
    return f"Above {analysis.AVERAGE}: the gain of the averages.{mean_gains}"


def _write_gains(
    axis: Axes,
    gains: Sequence[str],
    places: Sequence[tuple[float, float, int]],
    inches: float,
    *,
    floor: float,
    least: float,
) -> None:
    """Write gains above groups, and set the limits of the axis so that they fit.

    Args:
        places: x, the height that a gain is above, and the points (1/72 inch) between both.
        inches: the width of a group.
        floor: the lower end of the axis.
        least: what the axis shows at least.
    """
    rotate = max(map(len, gains)) * style.LETTER > inches
    for text, (x, end, offset) in zip(gains, places, strict=True):
        _above(axis, text, x, end, offset, rotation=90 if rotate else 0)
    marked = any(offset > 2 for *_, offset in places)
    margin = ((0.36 if rotate else 0.14) + (0.1 if marked else 0.0)) / LOWEST
    height = max(least, *(end for _, end, _ in places)) - floor or 1.0
    axis.set_ylim(floor, floor + height / (1 - margin))


def _draw_panel(
    axis: Axes, panel: _Panel, bars: Sequence[Bar], points: bool, inches: float
) -> bool:
    """Draw bars or points of one model and task; return whether a line of chance was drawn.

    `inches`: the width of a group.
    """
    spread = panel.means["spread"].fillna(0.0)
    lowest = (panel.means["mean"] - spread).min()
    top = (panel.means["mean"] + spread).max()
    all_zero = top == 0.0
    axis.set_title("all scores are 0" if all_zero else "", loc="right", fontsize=style.SMALL)
    if np.isnan(top) or all_zero:
        lowest, top = 0.0, 100.0
    floor = lowest - 0.15 * max(top - lowest, 1.0) if points else 0.0
    stub = floor + STUB * (top - floor)
    width = min(BARS_WIDTH / len(bars), WIDEST_BAR / inches)
    places = [*range(len(panel.groups) - 1), len(panel.groups) - 1 + AVERAGE_APART]
    gains, highest, chance = [], [], False
    for x, target in zip(places, panel.groups, strict=True):
        group = panel.means.loc[target]
        ends = []
        for i, bar in enumerate(bars):
            middle = x + (i - (len(bars) - 1) / 2) * width
            score = group.loc[bar.column]
            end = stub
            if score["seeds"]:
                one = np.isnan(score["spread"])  # seed: no spread to draw
                end = score["mean"] + (0.0 if one else score["spread"])
                if points:
                    axis.plot([middle], [score["mean"]], **bar.point)
                else:
                    axis.bar(middle, score["mean"], width, **bar.patch)
                if not one:
                    axis.errorbar(middle, score["mean"], score["spread"], **ERROR)
            else:
                style.hatched(axis, middle - width / 2, floor, width, stub - floor)
            ends.append(end)
            if 0 < score["seeds"] < score["of"]:
                _above(axis, style.PARTLY, middle, end, 0)
        level = panel.chance.get(target, math.nan)
        if level > floor:
            style.chance_line(axis, level, x - 0.47, x + 0.47)
            ends.append(level)
            chance = True
        partly = ((group["seeds"] > 0) & (group["seeds"] < group["of"])).any()
        gain = panel.gains[target]
        gains.append(_gain_text(gain, target in panel.sure))
        highest.append((x, max(ends), 9 if partly else 2))
    if points:  # in one row: above a group, a gain would look like the score of its middle point
        end, offset = (max(place[i] for place in highest) for i in (1, 2))
        highest = [(x, end, offset) for x, *_ in highest]
    _write_gains(axis, gains, highest, inches, floor=floor, least=100.0 if all_zero else floor)
    axis.set_xticks(places, panel.groups)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.6, places[-1] + 0.6)
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    return chance


ERROR: dict[str, Any] = {"color": "black", "linestyle": "", "elinewidth": 0.6, "capsize": 1.2}
ERROR |= {"capthick": 0.6}


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
