"""One model and task as groups of bars or points, with the gain above each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from langarith.results import palette
from langarith.results.figures import style

BARS_WIDTH = 0.82  # width of the bars of a group; the groups are 1 apart
WIDEST_BAR = 0.4  # inches
AVERAGE_APART = 0.35
LOWEST = 0.9  # inches: the height of a panel without its title and ticks
ABOVE_MARK = 6  # points (1/72 inch) from the middle of a mark to the text above it
STUB = 0.07  # height of the mark of a missing score, as a share of the axis


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
class Panel:
    """One model and task: means indexed by target and kind, gains by target."""

    title: str
    means: pd.DataFrame
    groups: Sequence[str]
    gains: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """Ends of the interval of each gain, by target."""
    references: Mapping[style.Reference, Mapping[str, float]]
    """Scores without a merge, drawn as lines, by target."""

    @property
    def places(self) -> list[float]:
        """The middle of each group; the average is apart from the targets."""
        return [*range(len(self.groups) - 1), len(self.groups) - 1 + AVERAGE_APART]

    def sure(self, target: str) -> bool:
        """Whether the interval of a gain excludes 0."""
        low, high = self.intervals.get(target, (0.0, 0.0))
        return not low <= 0 <= high


SURE = "*"


def _gain_text(gain: float, sure: bool) -> str:
    text = style.ABSENT if math.isnan(gain) else style.signed(gain, 1, "+")
    return f"{text}{SURE if sure and not math.isnan(gain) else ''}"


def _write_gains(
    axis: Axes,
    gains: Sequence[str],
    places: Sequence[tuple[float, Any, int]],
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


def draw_panel(
    axis: Axes, panel: Panel, bars: Sequence[Bar], points: bool, inches: float
) -> set[style.Reference]:
    """Draw bars or points of one model and task; return the references that are in view.

    `inches`: the width of a group.
    """
    spread = panel.means["spread"].fillna(0.0)
    without_adapter = panel.references.get(style.NO_ADAPTER, {})
    lowest = min([(panel.means["mean"] - spread).min(), *without_adapter.values()])
    top = (panel.means["mean"] + spread).max()
    all_zero = top == 0.0
    axis.set_title("all scores are 0" if all_zero else "", loc="right", fontsize=style.SMALL)
    if np.isnan(top) or all_zero:
        lowest, top = 0.0, 100.0
    floor = lowest - 0.15 * max(top - lowest, 1.0) if points else 0.0
    stub = floor + STUB * (top - floor)
    width = min(BARS_WIDTH / len(bars), WIDEST_BAR / inches)
    places = panel.places
    gains: list[str] = []
    drawn: set[style.Reference] = set()
    highest: list[tuple[float, Any, int]] = []
    for x, target in zip(places, panel.groups, strict=True):
        group = panel.means.loc[target]
        ends = []
        for i, bar in enumerate(bars):
            middle = x + (i - (len(bars) - 1) / 2) * width
            score = group.loc[bar.column]
            end = stub
            if score["seeds"]:
                end = _draw_score(axis, bar, score, middle, None if points else width)
            else:
                style.hatched(axis, middle - width / 2, floor, width, stub - floor)
            ends.append(end)
            if 0 < score["seeds"] < score["of"]:
                _above(axis, style.PARTLY, middle, end, 0)
        for reference, levels in panel.references.items():
            level = levels.get(target, math.nan)
            if level > floor:
                reference.draw(axis, level, x - 0.47, x + 0.47)
                ends.append(level)
                drawn.add(reference)
        partly = ((group["seeds"] > 0) & (group["seeds"] < group["of"])).any()
        gain = panel.gains[target]
        gains.append(_gain_text(gain, panel.sure(target)))
        highest.append((x, max(ends), 9 if partly else ABOVE_MARK if points else 2))
    if points:  # in one row: above a group, a gain would look like the score of its middle point
        end = max(end for _, end, _ in highest)
        offset = max(offset for *_, offset in highest)
        highest = [(x, end, offset) for x, *_ in highest]
    _write_gains(axis, gains, highest, inches, floor=floor, least=100.0 if all_zero else floor)
    axis.set_xticks(places, panel.groups)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.6, places[-1] + 0.6)
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    return drawn


def _draw_score(axis: Axes, bar: Bar, score: Any, middle: float, width: float | None) -> float:
    """Draw a bar of a width, or a point, with its spread over seeds; return its upper end."""
    if width is None:
        axis.plot([middle], [score["mean"]], **bar.point)
    else:
        axis.bar(middle, score["mean"], width, **bar.patch)
    if np.isnan(score["spread"]):  # one seed
        return float(score["mean"])
    axis.errorbar(middle, score["mean"], score["spread"], **ERROR)
    return float(score["mean"] + score["spread"])


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
