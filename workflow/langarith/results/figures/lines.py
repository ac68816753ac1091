"""Lines over a token budget and over lambda: low resource, lambda impact."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from langarith.results import analysis
from langarith.results.figures import style

CHOICE: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.5}
CHOICE |= {"markerfacecolor": "white", "markeredgewidth": 0.8}
COLUMNS = 4, 7  # of small multiples, fewest and most: each wide enough for its ticks
FULL_APART = 10.0  # `full` is drawn at the largest budget times this


class Series(NamedTuple):
    """A column of the scores and its look."""

    kind: str
    colour: str
    dash: Literal["-", ":"]
    mark: str
    aside: float  # factor on the tokens: error bars are drawn side by side
    above: bool  # whether the mark of missing seeds is above the point


SERIES = (
    Series("direct", style.TARGET, "-", "o", 1 / 1.06, above=False),
    Series("merged", style.LOW_RESOURCE, ":", "s", 1.06, above=True),
)


def low_resource(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figure 4: a target's adapter over its token budget, alone and under language arithmetic.

    Error bars are one standard deviation over seeds (ddof 1). The budget `full` is not on the axis:
    it is drawn apart on the right.
    """
    scores = analysis.low_resource(table)
    place = ["model", "task", "target", "budget", "tokens"]
    means = analysis.over_seeds(scores, place, ["direct", "merged"])
    targets = style.ordered(scores["target"], caption["languages"])
    panels = style.panels(means, analysis.metrics(table), caption)
    # ticks are as far apart in one panel as in another
    ticks = [max(2, scores.loc[scores["target"] == t, "budget"].nunique()) for t in targets]
    across = len(targets) == 1  # a single column of panels is drawn as a row
    rows = 1 if across else len(panels)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            rows,
            len(panels) if across else len(targets),
            figsize=(style.TEXT_WIDTH, 1.1 + 1.6 * rows),
            squeeze=False,
            gridspec_kw={} if across else {"width_ratios": ticks},
            layout="constrained",
        )
        for column in axes.T:
            column[-1].set_xlabel("tokens")
        axes = axes.T if across else axes
        for row, (title, part) in zip(axes, panels, strict=True):
            for axis, target in zip(row, targets, strict=True):
                points = part[part["target"] == target]
                if points.empty:
                    axis.remove()
                else:
                    _budgets(axis, points.sort_values("tokens", kind="stable"))
                    axis.set_title(f"{target}: {title}")
        english = caption["task_language"]
        labels = ("budget's adapter alone", f"language arithmetic (with {english})")
        entries: dict[str, Artist] = {
            label: Line2D([], [], color=one.colour, linestyle=one.dash, marker=one.mark, ms=3)
            for label, one in zip(labels, SERIES, strict=True)
        }
        style.legend(figure, entries, 2)
        style.foot(
            figure,
            caption,
            scores,
            key="Error bars: 1 SD over seeds.",
            missing=style.count(
                analysis.missing(table),
                "cells",
                f"{style.ABSENT}; {style.PARTLY} where only some seeds are there",
            ),
        )
    return figure


def _budgets(axis: Axes, means: pd.DataFrame) -> None:
    budgets = means.drop_duplicates("budget").set_index("budget")["tokens"]
    limited = budgets[np.isfinite(budgets)]
    largest = limited.max() if len(limited) else 1.0
    x: dict[Hashable, float] = {
        budget: tokens if np.isfinite(tokens) else largest * FULL_APART
        for budget, tokens in budgets.items()
    }
    for one in SERIES:
        found = means[means["kind"] == one.kind].set_index("budget")
        # the line ends before `full`, which has no place on a scale of tokens
        for part in (found[np.isfinite(found["tokens"])], found[np.isinf(found["tokens"])]):
            axis.errorbar(
                [x[budget] * one.aside for budget in part.index],
                part["mean"],
                part["spread"].fillna(0.0),
                color=one.colour,
                linestyle=one.dash,
                linewidth=1.4,
                marker=one.mark,
                markersize=3,
                elinewidth=0.7,
                capsize=1.5,
                capthick=0.7,
            )
        partly = found[(found["seeds"] > 0) & (found["seeds"] < found["of"])]
        for budget, point in partly.iterrows():
            end = np.nan_to_num(point["spread"]) * (1 if one.above else -1)
            where = (x[budget] * one.aside, point["mean"] + end)
            _note(axis, style.PARTLY, where, axis.transData, one.colour, above=one.above)
    gone = means.groupby("budget")["seeds"].max() == 0
    for budget in gone[gone].index:
        _note(
            axis,
            style.ABSENT,
            (x[budget], 0.0),
            axis.get_xaxis_transform(),
            style.MISSING,
            above=True,
        )
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xticks(list(x.values()), labels=list(map(str, x)))
    first, last = min(x.values()), max(x.values())
    axis.set_xlim(first / 2.5, last * 2.5)
    axis.margins(y=0.16)  # space for marks
    if means["mean"].isna().all():
        axis.set_yticks([])
    if len(limited) and len(x) > len(limited):
        axis.axvline(largest * FULL_APART**0.5, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)))
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def _note(
    axis: Axes, text: str, where: tuple[float, float], on: Any, colour: str, *, above: bool
) -> None:
    axis.annotate(
        text,
        where,
        xycoords=on,
        xytext=(0, 3 if above else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=style.SMALL,
        color=colour,
    )


def lambda_impact(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 5 and 8: the validation score over lambda, a small panel per task and target.

    The line is the mean over seeds and its band one standard deviation (ddof 1); dashed are both
    adapters alone, the ends of the curve; circles are the lambdas that each seed chose.
    """
    cells = analysis.cells(table)
    cells = cells[cells["method"] == "la"]
    place = ["model", "task", "target", "left", "right"]
    curves = analysis.over_seeds(analysis.curves(table), [*place, "lambda"], ["value"])
    of_cell = dict(iter(curves.groupby(place)))
    blocks = style.panels(cells, analysis.metrics(table), caption)
    sizes = [len(part.drop_duplicates(place)) for _, part in blocks]
    columns = int(np.clip(max(sizes), *COLUMNS))
    heights = [-(-size // columns) for size in sizes]
    with mpl.rc_context(style.STYLE):
        figure = plt.figure(
            figsize=(style.TEXT_WIDTH, 0.9 + 0.3 * len(blocks) + 1.1 * sum(heights)),
            layout="constrained",
        )
        parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
        for sub, (title, part), rows in zip(parts, blocks, heights, strict=True):
            sub.suptitle(f"{title} on validation, over λ", fontsize=8, x=0.01, ha="left")
            axes = iter(sub.subplots(rows, columns, squeeze=False).flat)
            for target in style.ordered(part["target"], caption["languages"]):
                for name, one in part[part["target"] == target].groupby(place, sort=False):
                    axis = next(axes)
                    _curve(axis, of_cell.get(name, curves[:0]), one)
                    there = one["merged"].notna()
                    partly = style.PARTLY if there.any() and not there.all() else ""
                    axis.set_title(f"{target} ({name[-2]}, {name[-1]}){partly}", fontsize=7.5)
            for axis in axes:
                axis.remove()
            for axis in sub.axes[-columns:]:  # the lowest of each column
                axis.tick_params(labelbottom=True)
        entries: dict[str, Artist] = {
            "language arithmetic": Line2D([], [], color=style.MERGED),
            f"{caption['task_language']} alone (λ = 1)": Line2D(
                [], [], color=style.TASK_LANGUAGE, linestyle="--"
            ),
            "related language alone (λ = 0)": Line2D([], [], color=style.RELATED, linestyle="-."),
            "chosen λ": Line2D([], [], **CHOICE),
        }
        style.legend(figure, entries, 4)
        style.foot(
            figure,
            caption,
            cells,
            key="λ is the weight of the first language of a panel. Line and band: mean ± 1 SD over "
            "seeds. Circle: a seed's choice.",
            missing=style.count(
                analysis.missing(table),
                "cells",
                f"{style.ABSENT}; {style.PARTLY} where only some seeds are there",
            ),
        )
    return figure


def _curve(axis: Axes, curve: pd.DataFrame, cells: pd.DataFrame) -> None:
    axis.set_xlim(-0.04, 1.04)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.tick_params(labelsize=style.SMALL, pad=1.5)
    axis.tick_params(axis="x", labelbottom=False)
    axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if curve.empty:
        axis.set_yticks([])
        style.hatched(axis, 0.0, 0.0, 1.0, 1.0, told=True)
        axis.set_ylim(0, 1)
        return
    curve = curve.sort_values("lambda")
    x, mean, spread = curve["lambda"], curve["mean"], curve["spread"].fillna(0.0)
    axis.fill_between(x, mean - spread, mean + spread, color=style.MERGED, alpha=0.2, linewidth=0)
    ends = ((1.0, style.TASK_LANGUAGE, "--"), (0.0, style.RELATED, "-."))
    for end, colour, dash in ends:
        for value in mean[x == end]:
            axis.axhline(value, color=colour, linewidth=1.1, linestyle=dash)
    axis.plot(x, mean, color=style.MERGED, linewidth=1.2)
    axis.plot(
        cells["lambda"],
        cells["validation"],
        zorder=4,
        **CHOICE,
    )
