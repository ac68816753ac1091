"""Strips of gains with their 95 % intervals, below the scores that the gains compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from langarith.results import palette
from langarith.results.figures.bar_panel import BarPanel

HEIGHT = 0.85
"""Inches of a strip with the names of the groups below it."""

MARGIN = 0.12
"""Space above and below the intervals, as a share of their range."""


def draw(axes: Sequence[Axes], panels: Sequence[BarPanel]) -> None:
    """Draw the gains of a row of panels, in points, on one scale.

    An interval that excludes 0 has a filled point, any other a hollow one. A missing gain is left
    out.

    Args:
        axes: one for each panel; it shares its x axis with the scores.
    """
    for axis, panel in zip(axes, panels, strict=True):
        axis.axhline(0, color="black", linewidth=0.6)
        for x, target in zip(panel.places, panel.groups, strict=True):
            if math.isnan(panel.gains[target]):
                continue
            if target in panel.intervals:
                axis.plot([x, x], panel.intervals[target], color=palette.MERGED, linewidth=1.1)
            fill = palette.MERGED if panel.sure(target) else "white"
            axis.plot(
                [x],
                [panel.gains[target]],
                "o",
                color=palette.MERGED,
                markersize=4,
                markerfacecolor=fill,
            )
        axis.yaxis.grid(True, color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(axis="x", length=0)
        axis.spines["bottom"].set_visible(False)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axis.set_ylim(*_limits(panels))
    axes[0].set_ylabel("gain (points)")


def _limits(panels: Sequence[BarPanel]) -> tuple[float, float]:
    """The range of all gains and intervals, and 0."""
    values = [0.0]
    for panel in panels:
        values += [gain for target, gain in panel.gains.items() if target in panel.groups]
        values += [end for ends in panel.intervals.values() for end in ends]
    values = [value for value in values if not math.isnan(value)]
    low, high = min(values), max(values)
    margin = MARGIN * ((high - low) or 1.0)
    return low - margin, high + margin
