"""Scores per target and on average, in groups: zero-shot, enhancement, merge methods.

Below the scores of a task are the gains with their 95 % intervals (:mod:`gain_strips`), where the
experiment has a table of them and the figure fits on a page.

Lines across a group are scores without a merge (:mod:`langarith.results.references`).

Bars always start at zero. If every score of a figure, those without a language adapter included, is
above half of the highest, bars would differ only at their tips: then the figure shows points, on an
axis that starts near the lowest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from langarith import merging
from langarith.results import analysis, palette
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import gain_strips, style
from langarith.results.figures.bar_panel import SURE, Bar, BarPanel, draw_panel
from langarith.results.intervals import of_targets
from langarith.results.names import BEST_OTHER, BETTER_PROXY, MADX, ordered
from langarith.results.palette import method_colour, tint
from langarith.results.references import levels

# groups of bars that fit into a row without overlap of the names below and the digits above them
MOST_GROUPS = 20
OUTSIDE = 0.85  # inches of the legend and the foot
TALLEST = 9.0  # inches: strips are left out where the figure would not fit on a page
REFERENCES = (style.NO_ADAPTER, style.CHANCE)
HIGH = 0.5  # share of the highest score: if all scores are above it, points replace the bars
MARKS = (
    f"by hatched stubs and {style.ABSENT}; {style.PARTLY} where only some seeds are there; "
    "an average takes the seeds that have every target"
)


@dataclass(frozen=True)
class Gain:
    """The text above each group: the gain of `merged` over the best of `others`, with its name."""

    merged: str
    others: Sequence[str]
    words: str
    over: str
    """Value of the column `over` of the table of gains."""


def zero_shot(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Figures 2 and 6: per target and on average, both proxies and their language arithmetic.

    Above each group is the gain: the seed mean of language arithmetic minus that of the better
    proxy, in points. Error bars are one standard deviation over seeds (ddof 1).
    """
    task_language = caption.task_language
    bars = [
        Bar(
            "task_language",
            f"{task_language} adapter",
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
        Bar("merged", f"language arithmetic ({task_language}, related)", palette.MERGED),
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
    return _draw(table, scores, bars, gain, caption, beside, related)


def enhancement(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Figures 3 and 7: MAD-X, and the target's adapter enhanced by the one or the other language.

    Above each group is the gain of LA(en/rel, t) over MAD-X in seed means, in points.
    """
    task_language = caption.task_language
    one, better = f"LA({task_language}, target)", f"LA({task_language}/related, target)"
    bars = [
        Bar("madx", "MAD-X (target alone)", palette.TARGET, ".....", palette.TARGET_MARK),
        Bar("la_task_language", one, tint(palette.MERGED, 0.75), hollow=True),
        Bar("la_related", "LA(related, target)", tint(palette.MERGED, 0.45), "/////", "d", True),
        Bar("la_better", better, palette.MERGED),
    ]
    scores = analysis.enhancement(table, task_language)
    gain = Gain("la_better", ["madx"], f"gain of {better} over MAD-X", MADX)
    return _draw(table, scores, bars, gain, caption, beside)


def ties(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
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
    la = Bar("la", f"language arithmetic ({caption.task_language}, related)", palette.MERGED)
    gain = Gain("la", others, "language arithmetic minus the best other method", BEST_OTHER)
    return _draw(table, wide.reset_index(), [la, *bars], gain, caption, beside)


HATCHES = ("", "\\\\\\\\\\", "/////", ".....")


def _by_parameter(method: str) -> tuple[str, int]:
    """Methods of one family in a row, ordered by their parameter."""
    return merging.part(method), merging.get(method).parameter or 0


def _draw(
    table: pd.DataFrame,
    scores: pd.DataFrame,
    bars: Sequence[Bar],
    gain: Gain,
    caption: Caption,
    beside: Beside,
    remark: str = "",
) -> Figure:
    """A panel per model and task. `remark`: a sentence for the foot."""
    kinds = [bar.column for bar in bars]
    means = analysis.over_seeds(
        analysis.with_average(scores, kinds), ["model", "task", "target"], kinds
    )
    gains = analysis.gains(scores, gain.merged, gain.others, kinds)
    references = {line: levels(table, line.method) for line in REFERENCES}
    # a row of panels contains one model's tasks, as long as their groups fit
    rows: list[list[BarPanel]] = []
    model, groups = "", 0
    for of in style.panels(means, analysis.metrics(table), caption):
        targets = ordered(of.rows["target"], caption.languages)
        targets.remove(analysis.AVERAGE)
        groups += len(targets) + 1
        if of.model != model or groups > MOST_GROUPS:
            rows.append([])
            model, groups = of.model, len(targets) + 1
        place = (of.model, of.task)
        rows[-1].append(
            BarPanel(
                of,
                of.rows.set_index(["target", "kind"]),
                [*targets, analysis.AVERAGE],
                _of(gains, *place),
                of_targets(beside.intervals, *place, gain.over),
                {line: found.get(place, {}) for line, found in references.items()},
            )
        )
    without_adapter = references[style.NO_ADAPTER].values()
    points = _all_high(means, chain.from_iterable(one.values() for one in without_adapter))
    height = 1.75 if len(rows) < 3 else 1.3
    strips = any(panel.intervals for row in rows for panel in row)
    strips &= OUTSIDE + len(rows) * (height + gain_strips.HEIGHT) < TALLEST
    with mpl.rc_context(style.STYLE):
        ratios = [height, gain_strips.HEIGHT] if strips else [height]
        figure = plt.figure(
            figsize=(style.TEXT_WIDTH, OUTSIDE + sum(ratios) * len(rows)), layout="constrained"
        )
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        drawn: set[style.Reference] = set()
        for row, sub in zip(rows, parts, strict=True):
            # every row fills the width; within it, a column of the grid is one group
            groups = sum(len(panel.groups) for panel in row)
            grid = sub.add_gridspec(len(ratios), groups, height_ratios=ratios)
            start = 0
            strip_axes = []
            for panel in row:
                columns = slice(start, start + len(panel.groups))
                axis = sub.add_subplot(grid[0, columns])
                inches = (style.TEXT_WIDTH - 0.4) / groups
                drawn |= draw_panel(axis, panel, bars, points, inches)
                axis.set_title(panel.of.title(), loc="left")
                if strips:
                    axis.tick_params(axis="x", labelbottom=False)
                    strip_axes.append(sub.add_subplot(grid[1, columns], sharex=axis))
                start += len(panel.groups)
            if strips:
                gain_strips.draw(strip_axes, row)
            sub.axes[0].set_ylabel("test score (%)")
        entries: dict[str, Artist] = {
            bar.label: Line2D([], [], **bar.point) if points else Patch(**bar.patch)
            for i, bar in enumerate(bars)
        }
        entries |= {line.label: Line2D([], [], **line.look) for line in REFERENCES if line in drawn}
        style.legend(figure, entries)
        shown = "means over seeds" if scores["seed"].nunique() > 1 else "scores"
        what = f"Points: {shown}; the axes do not start at zero. " if points else ""
        strip = ", in the strip below," if strips else ""
        sure = f" ({SURE}: its 95 % interval{strip} excludes 0)" if beside.intervals else ""
        style.foot(
            figure,
            caption,
            scores,
            key=f"{what}Above each group: {gain.words}, in points{sure}. "
            f"{_about_averages(rows)} {remark}"
            f"{style.spreads(scores['seed'])}",
            missing=style.count(analysis.missing(table), "cells", MARKS),
        )
    return figure


def _of(gains: pd.DataFrame, model: str, task: str) -> dict[str, float]:
    rows = gains[(gains["model"] == model) & (gains["task"] == task)]
    return dict(zip(rows["target"], rows["gain"], strict=True))


def _all_high(means: pd.DataFrame, without_adapter: Iterable[float]) -> bool:
    """True if points show the scores, see the rule in the docstring of this module."""
    spread = means["spread"].fillna(0.0)
    lowest = min([(means["mean"] - spread).min(), *without_adapter])
    return bool(lowest > HIGH * (means["mean"] + spread).max())


def _about_averages(rows: Sequence[Sequence[BarPanel]]) -> str:
    """A sentence on the gain above the average, and the mean of the gains."""
    models: dict[str, list[str]] = {}
    for panel in (panel for row in rows for panel in row):
        mean = panel.gains[analysis.MEAN_GAIN]
        if not math.isnan(mean):
            of_model = models.setdefault(panel.of.model if panel.of.several else "", [])
            of_model.append(f"{panel.of.task.upper()} {style.signed(mean, 1, '+')}")
    parts = [": ".join(filter(None, [model, ", ".join(tasks)])) for model, tasks in models.items()]
    mean_gains = f" Mean of the gains over targets: {'; '.join(parts)}." if parts else ""
    return f"Above {analysis.AVERAGE}: the gain of the averages.{mean_gains}"
