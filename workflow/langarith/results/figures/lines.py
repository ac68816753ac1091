"""Lines over a token budget and over lambda: low resource, lambda impact."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from langarith.results import analysis, intervals, palette, references
from langarith.results.figures import style

CHOICE: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.5}
CHOICE |= {"markerfacecolor": "white", "markeredgewidth": 0.8}
MOST_COLUMNS = 7  # of small panels: each is wide enough for its ticks
FULL_APART = 10.0  # `full` is drawn at this times the largest budget


class Series(NamedTuple):
    """A column of the scores and its look."""

    kind: str
    colour: str
    dash: Literal["-", "--"]
    mark: str
    aside: float  # factor on the tokens: error bars are drawn side by side
    above: bool  # whether the mark of missing seeds is above the point


SERIES = (
    Series("direct", palette.TARGET, "--", palette.TARGET_MARK, 1 / 1.06, above=False),
    Series("merged", palette.MERGED, "-", palette.MERGED_MARK, 1.06, above=True),
)


def low_resource(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figure 4: a target's adapter over its token budget, alone and under language arithmetic.

    Error bars are one standard deviation over seeds (ddof 1). `full`, all text, has no place on a
    scale of tokens: it is drawn separately, right of a dashed line, which the legend explains. The
    dotted line is the score of the most frequent class, if it is in view.
    """
    scores = analysis.low_resource(table)
    chance = references.levels(table, style.CHANCE.method)
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
            column[-1].set_xlabel("tokens of the target's text")
        for row in axes:
            row[0].set_ylabel("test score (%)")
        axes = axes.T if across else axes
        drawn_chance = drawn_full = False
        for row, (title, part) in zip(axes, panels, strict=True):
            of = (part["model"].iloc[0], part["task"].iloc[0])
            for axis, target in zip(row, targets, strict=True):
                points = part[part["target"] == target]
                if points.empty:
                    axis.remove()
                    continue
                drawn_full |= _budgets(axis, points.sort_values("tokens", kind="stable"))
                axis.set_title(f"{target}: {title}")
                drawn_chance |= _chance(axis, chance.get(of, {}).get(target))
        english = caption["task_language"]
        labels = ("target's adapter alone", f"language arithmetic (with {english})")
        entries: dict[str, Artist] = {
            label: Line2D([], [], color=one.colour, linestyle=one.dash, marker=one.mark, ms=3)
            for label, one in zip(labels, SERIES, strict=True)
        }
        if drawn_full:
            entries["to the right: all text"] = Line2D([], [], **ASIDE)
        if drawn_chance:
            entries[style.CHANCE.label] = Line2D([], [], **style.CHANCE.look)
        style.legend(figure, entries)
        style.foot(
            figure,
            caption,
            scores,
            key=style.spreads(scores["seed"]),
            missing=style.count(
                analysis.missing(table),
                "cells",
                f"{style.ABSENT}; {style.PARTLY} where only some seeds are there",
            ),
        )
    return figure


ASIDE: dict[str, Any] = {"color": "0.6", "linewidth": 0.8, "linestyle": (0, (2, 2))}


def _chance(axis: Axes, level: float | None) -> bool:
    """Draw the line of chance if it is in view; return whether it is."""
    low, high = axis.get_ylim()
    if level is None or not low <= level <= high:
        return False
    style.CHANCE.draw(axis, level, *axis.get_xlim())
    return True


def _budgets(axis: Axes, means: pd.DataFrame) -> bool:
    """Draw scores over budgets; return whether `full` is drawn apart from other budgets."""
    budgets = means.drop_duplicates("budget").set_index("budget")["tokens"]
    limited = budgets[np.isfinite(budgets)]
    largest = limited.max() if len(limited) else 1.0
    x: dict[Hashable, float] = {
        budget: tokens if np.isfinite(tokens) else largest * FULL_APART
        for budget, tokens in budgets.items()
    }
    for one in SERIES:
        of_kind = means[means["kind"] == one.kind].set_index("budget")
        # the line ends before `full`, which has no place on a scale of tokens
        for part in (of_kind[np.isfinite(of_kind["tokens"])], of_kind[np.isinf(of_kind["tokens"])]):
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
        partly = of_kind[(of_kind["seeds"] > 0) & (of_kind["seeds"] < of_kind["of"])]
        for budget, point in partly.iterrows():
            end = np.nan_to_num(point["spread"]) * (1 if one.above else -1)
            where = (x[budget] * one.aside, point["mean"] + end)
            _note(axis, style.PARTLY, where, axis.transData, one.colour, above=one.above)
    missing = means.groupby("budget")["seeds"].max() == 0
    for budget in missing[missing].index:
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
    if axis.get_ylim()[0] < 0.0:  # no score is below zero
        axis.set_ylim(0.0, max(axis.get_ylim()[1], 1.0))
    if means["mean"].isna().all():
        axis.set_yticks([])
    apart = 0 < len(limited) < len(x)
    if apart:
        axis.axvline(largest * FULL_APART**0.5, **ASIDE)
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    return apart


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

    The thick line is the mean over seeds, thin lines are seeds; dashed lines are the two single
    adapters, the ends of the mean; circles, on the lines of their seeds, are the lambdas that these
    chose. The dotted line is the test score of the most frequent class, if it is in view. Bars
    below a curve are from the table of choices, if the caption has it as `choices`.
    """
    chance = references.levels(table, style.CHANCE.method)
    cells = analysis.cells(table)
    cells = cells[cells["method"] == "la"]
    place = ["model", "task", "target", "left", "right"]
    of_cell = dict(iter(analysis.curves(table).groupby(place)))
    choices = caption.get("choices")
    blocks = style.panels(cells, analysis.metrics(table), caption)
    lines = _packed([part.drop_duplicates(place) for _, part in blocks])
    heights = [rows for _, rows, _ in lines]
    panel = 1.15 if choices is None else 1.4  # inches
    with mpl.rc_context(style.STYLE):
        figure = plt.figure(
            figsize=(style.TEXT_WIDTH, 0.9 + 0.3 * len(lines) + panel * sum(heights)),
            layout="constrained",
        )
        drawn_chance = False
        bands = figure.subfigures(len(lines), 1, height_ratios=heights, squeeze=False)[:, 0]
        for band, (members, rows, widths) in zip(bands, lines, strict=True):
            parts = band.subfigures(1, len(members), width_ratios=widths, squeeze=False)[0]
            for sub, member, columns in zip(parts, members, widths, strict=True):
                title, part = blocks[member]
                sub.suptitle(title, fontsize=8, x=0.01, ha="left")
                axes = iter(sub.subplots(rows, columns, squeeze=False).flat)
                for target in style.ordered(part["target"], caption["languages"]):
                    for name, one in part[part["target"] == target].groupby(place, sort=False):
                        axis = next(axes)
                        _curve(axis, of_cell.get(name), one)
                        if choices is not None:
                            drawn = intervals.of_cells(choices, one.dropna(subset=["merged"]))
                            _strip(axis, drawn)
                        drawn_chance |= _chance(axis, chance.get(name[:2], {}).get(target))
                        present = one["merged"].notna()
                        partly = style.PARTLY if present.any() and not present.all() else ""
                        axis.set_title(f"{target} ({name[-2]}, {name[-1]}){partly}", fontsize=7.5)
                for axis in axes:
                    axis.remove()
                for axis in sub.axes[-columns:]:  # the lowest of each column
                    lowest = axis.child_axes[0] if axis.child_axes else axis
                    lowest.tick_params(labelbottom=True)
                sub.supxlabel("λ", fontsize=8)
            parts[0].supylabel("validation score (%)", fontsize=8)
        several = cells["seed"].nunique() > 1
        entries: dict[str, Artist] = {
            "language arithmetic": Line2D([], [], color=palette.MERGED),
            **({"a seed": Line2D([], [], **SEED)} if several else {}),
            f"{caption['task_language']} alone (λ = 1)": Line2D(
                [], [], color=palette.TASK_LANGUAGE, linestyle="--"
            ),
            "related alone (λ = 0)": Line2D([], [], color=palette.RELATED, linestyle="-."),
            "chosen λ": Line2D([], [], **CHOICE),
        }
        if drawn_chance:
            entries[style.CHANCE.label] = Line2D([], [], **style.CHANCE.look)
        if choices is not None:
            entries["choices of resamples"] = Patch(**SHARES)
        style.legend(figure, entries)
        style.foot(
            figure,
            caption,
            cells,
            key="λ is the weight of the first language of a panel. Thick line: mean over seeds. "
            f"Circle: a seed's choice.{'' if choices is None else RESAMPLED}",
            missing=style.count(
                analysis.missing(table),
                "cells",
                f"{style.ABSENT}; {style.PARTLY} where only some seeds are there",
            ),
        )
    return figure


def _packed(blocks: Sequence[pd.DataFrame]) -> list[tuple[list[int], int, list[int]]]:
    """Blocks of small panels in lines that fill the width.

    Each line has the positions of its blocks, its rows of panels, and the columns of each block.
    Several blocks of one model share a line if all their panels fit into one row.
    """
    lines: list[tuple[list[int], int, list[int]]] = []
    model = ""
    for i, block in enumerate(blocks):
        rows, columns = style.filled(len(block), MOST_COLUMNS)
        same = bool(lines) and block["model"].iloc[0] == model
        if same and rows == lines[-1][1] == 1 and sum(lines[-1][2]) + columns <= MOST_COLUMNS:
            lines[-1][0].append(i)
            lines[-1][2].append(columns)
        else:
            lines.append(([i], rows, [columns]))
        model = block["model"].iloc[0]
    return lines


SHARES: dict[str, Any] = {"color": palette.tint(palette.MERGED, 0.35), "linewidth": 0}
RESAMPLED = (
    " Bars: the share of resamples of the validation examples that choose each λ, mean over seeds; "
    "the highest bar of a panel has full height."
)
BAR = 0.08  # of λ: the widest bar


def _strip(axis: Axes, choices: pd.DataFrame) -> None:
    """Bars below a curve: how often resamples choose each λ."""
    strip = axis.inset_axes((0, -0.27, 1, 0.2), sharex=axis)
    strip.set_yticks([])
    strip.tick_params(axis="x", labelsize=style.SMALL, pad=1.5, labelbottom=False)
    strip.spines["left"].set_visible(False)
    axis.tick_params(axis="x", length=0)
    if choices.empty:
        return
    shares = intervals.choice_shares(choices)
    apart = np.diff(np.sort(shares.index.to_numpy(dtype=float))).min(initial=BAR / 0.8)
    strip.bar(shares.index, shares, width=0.8 * apart, **SHARES)
    strip.set_ylim(0, shares.max())


SEED: dict[str, Any] = {"color": palette.tint(palette.MERGED, 0.45), "linewidth": 0.5}


def _curve(axis: Axes, curve: pd.DataFrame | None, cells: pd.DataFrame) -> None:
    axis.set_xlim(-0.04, 1.04)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.tick_params(labelsize=style.SMALL, pad=1.5)
    axis.tick_params(axis="x", labelbottom=False)
    axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if curve is None:
        axis.set_yticks([])
        style.hatched(axis, 0.0, 0.0, 1.0, 1.0, label=True)
        axis.set_ylim(0, 1)
        return
    at = curve.groupby("lambda")["value"]
    # a refined search evaluates other points for each seed: only points of all seeds have a mean
    mean = at.mean()[at.size() == at.size().max()]
    ends = ((1.0, palette.TASK_LANGUAGE, "--"), (0.0, palette.RELATED, "-."))
    for end, colour, dash in ends:
        for value in mean[mean.index == end]:
            axis.axhline(value, color=colour, linewidth=1.1, linestyle=dash)
    if curve["seed"].nunique() > 1:
        for _, of_seed in curve.sort_values("lambda").groupby("seed"):
            axis.plot(of_seed["lambda"], of_seed["value"], **SEED)
    axis.plot(mean.index, mean, color=palette.MERGED, linewidth=1.4)
    axis.plot(cells["lambda"], cells["validation"], zorder=4, **CHOICE)
