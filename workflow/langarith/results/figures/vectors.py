"""Figures of subtracted language vectors and of analogies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from langarith.results import analogy, analysis, forgetting, palette
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import style
from langarith.results.intervals import Intervals, key
from langarith.results.names import BETTER_PROXY, ordered

# white is no change, orange a greater loss; light enough for letters
CHANGES = ListedColormap(mpl.colormaps["PuOr_r"](np.linspace(0.22, 0.78, 256)))
WIDE = (0.34, 0.46)  # inches, of an entry of a heatmap: the least for numbers, and the most
TALL = (0.2, 0.3)
LEAST = 1.6  # inches, of a row of heatmaps: needed by the words next to the shades
ROW = (0.17, 0.27)  # inches, of a row of dots: with many rows, and with at most `FEW`
FEW = 8
ACROSS = 3
"""The largest number of panels in a row."""

DOT: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.5}
MARKS = f"by {style.ABSENT}"


def forgotten(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> Figure:
    """Heatmaps of the change of the masked-LM loss, and test scores in the negated language.

    Heatmaps: a row for each model, and in it one for each λ; if these do not fit into the row,
    only that of the λ furthest from 0. Rows are subtracted languages, columns the languages of
    the texts. Below, a panel for each model and task: the score at each λ, a row for each language.
    """
    losses, found = forgetting.losses(table), forgetting.scores(table)
    means = forgetting.changes(losses)
    languages = ordered(forgetting.negated(table), caption.languages)
    texts = ordered(losses["text"], caption.languages) or languages
    models = ordered(table["model"], caption.models)
    weights = sorted(means["lambda"].unique())
    space = style.TEXT_WIDTH - 1.1
    if len(weights) * len(texts) * WIDE[0] > space:
        weights = [forgetting.furthest(weights)]
    wide = min(WIDE[1], space / (max(1, len(weights)) * max(1, len(texts))))  # inches, of an entry
    metrics = analysis.metrics(forgetting.scored(table))
    panels = style.panels(found, metrics, caption)
    targets = ordered(found["target"], caption.languages)
    below = style.filled(len(panels), ACROSS)
    many = len(languages) > FEW
    tall = (
        len(models) * max(LEAST, 0.6 + TALL[0 if many else 1] * len(languages)),
        below[0] * (0.8 + ROW[0 if many else 1] * len(targets)),
    )
    most = means["mean"].abs().max(skipna=True)
    span = Normalize(-most, most) if most > 0 else Normalize(-1, 1)
    with mpl.rc_context(style.STYLE):
        figure = plt.figure(figsize=(style.TEXT_WIDTH, 0.9 + sum(tall)), layout="constrained")
        upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=tall)).ravel()
        axes = upper.subplots(
            len(models), max(1, len(weights)), squeeze=False, sharey=True, sharex=True
        )
        for row, model in zip(axes, models, strict=True):
            for axis, weight in zip(row, weights or [math.nan], strict=True):
                part = means[(means["model"] == model) & (means["lambda"] == weight)]
                _heatmap(axis, part, languages, texts, span, numbers=wide >= WIDE[0])
                several = f"{model}, " if len(models) > 1 else ""
                axis.set_title(f"{several}λ = {style.signed(weight, 2)}")
            row[0].set_ylabel("vector subtracted")
        for axis in axes[-1]:
            axis.set_xlabel("language of the text")
        bar = upper.colorbar(ScalarMappable(span, CHANGES), ax=axes, pad=0.02, aspect=16)
        bar.set_label("change of the loss (nats)", fontsize=style.SMALL)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.locator = MaxNLocator(5)
        bar.outline.set_visible(False)
        rows = lower.subplots(*below, squeeze=False, sharey=True)
        looks = _looks(forgetting.weights(found))
        for axis, panel in zip(rows.flat, panels, strict=False):
            _score_rows(axis, panel.rows, targets, looks)
            axis.set_title(panel.title(), loc="left")
            axis.set_xlabel("test score (%)")
        _hide(rows, len(panels))
        entries: dict[str, Artist] = {
            "θ_pre (λ = 0)" if float(weight) == 0 else f"λ = {style.signed(float(weight), 2)}": (
                Line2D([], [], **look)
            )
            for weight, look in looks.items()
        }
        if entries:
            lower.legend(
                handles=list(entries.values()),
                labels=list(entries),
                loc="outside upper center",
                ncols=len(entries),
                frameon=False,
            )
        spread = forgetting.largest_spread(means)
        spreads = "" if math.isnan(spread) else f" (SD ≤ {spread:.2f})"
        style.foot(
            figure,
            caption,
            found,
            key="Adapters θ_pre − λτ. Above: masked-LM loss on held-out text minus that of θ_pre, "
            f"nats per masked token, means over seeds{spreads}; positive: the model has forgotten. "
            "Frames: text of the language that is subtracted. Below: scores in that language. "
            f"{style.spreads(found['seed'])}",
            missing=style.count(_missing(found), "cells", MARKS),
        )
    return figure


def _missing(scores: pd.DataFrame) -> tuple[int, int]:
    absent = scores[forgetting.weights(scores)].isna().all(axis=1)
    return int(absent.sum()), len(scores)


def _hide(axes: np.ndarray, used: int) -> None:
    for axis in axes.flat[used:]:
        axis.set_visible(False)


def _heatmap(
    axis: Axes,
    means: pd.DataFrame,
    rows: list[str],
    columns: list[str],
    span: Normalize,
    *,
    numbers: bool,
) -> None:
    found = means.set_index(["negated", "text"])
    values = found["mean"].unstack("text").reindex(index=rows, columns=columns).to_numpy(float)
    axis.pcolormesh(
        np.ma.masked_invalid(values), cmap=CHANGES, norm=span, edgecolors="white", linewidth=0.5
    )
    for (y, x), value in np.ndenumerate(values):
        if math.isnan(value):
            style.hatched(axis, x, y, 1, 1, label=numbers)
        elif numbers:
            text = style.signed(value, 2, "+")
            axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=style.SMALL)
        if rows[y] == columns[x]:
            axis.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor="0.2", clip_on=False))
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_xlim(0, len(columns))
    axis.set_ylim(len(rows), 0)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _looks(weights: list[str]) -> dict[str, dict[str, Any]]:
    """The look of the dots of each λ: θ_pre open, the others darker the further from 0."""
    far = max((abs(float(weight)) for weight in weights), default=1.0) or 1.0
    return {
        weight: DOT
        | (
            {"color": "0.35", "markerfacecolor": "white"}
            if float(weight) == 0
            else {"color": palette.tint(palette.MERGED, 0.75 * (1 - abs(float(weight)) / far))}
        )
        for weight in weights
    }


def _score_rows(
    axis: Axes, scores: pd.DataFrame, targets: list[str], looks: Mapping[str, dict[str, Any]]
) -> None:
    means = analysis.over_seeds(scores, ["target"], list(looks)).set_index(["target", "kind"])
    for y, target in enumerate(targets):
        present = [w for w in looks if (target, w) in means.index and means["seeds"][target, w]]
        if not present:
            axis.text(
                0.5,
                y,
                style.ABSENT,
                transform=axis.get_yaxis_transform(),
                ha="center",
                va="center",
                fontsize=style.SMALL,
            )
            continue
        values = [means["mean"][target, weight] for weight in present]
        axis.plot([min(values), max(values)], [y, y], color="0.8", linewidth=0.9, zorder=1)
        for weight, value in zip(present, values, strict=True):
            spread = means["spread"][target, weight]
            if not math.isnan(spread):
                ends = [value - spread, value + spread]
                axis.plot(ends, [y, y], color=looks[weight]["color"], linewidth=0.9, zorder=1.5)
            axis.plot([value], [y], **looks[weight], zorder=2.5)
    _rows(axis, targets)


def _rows(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.xaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)


KINDS = {
    "task_language": {
        **DOT,
        "marker": palette.TASK_LANGUAGE_MARK,
        "color": palette.TASK_LANGUAGE,
    },
    "c_alone": {**DOT, "marker": palette.RELATED_MARK, "color": palette.RELATED},
    "merged": {**DOT, "marker": palette.MERGED_MARK, "color": palette.MERGED},
}


def analogies(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> Figure:
    """Test scores of each analogy and of both proxies, with the gain over the better one."""
    task_language = caption.task_language
    scores = analogy.scores(table, task_language)
    panels = style.panels(scores, analysis.metrics(table), caption)
    targets = ordered(scores["target"], caption.languages)
    formulas = {
        target: analogy.formula(str(runs["operands"].iloc[0]))
        for target, runs in scores.groupby("target")
    }
    shape = style.filled(len(panels), 2)
    tall = shape[0] * (0.6 + 1.2 * ROW[1] * len(targets))
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            *shape,
            figsize=(style.TEXT_WIDTH, 0.9 + tall),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axis, panel in zip(axes.flat, panels, strict=False):
            _analogy_rows(axis, panel, targets, beside.intervals)
            _rows(axis, [f"{target} = {formulas[target]}" for target in targets])
            axis.set_title(panel.title(), loc="left")
            axis.set_xlabel("test score (%)")
        _hide(axes, len(panels))
        style.legend(
            figure,
            {
                f"{task_language} adapter": Line2D([], [], **KINDS["task_language"]),
                "c alone": Line2D([], [], **KINDS["c_alone"]),
                "analogy c + b − a": Line2D([], [], **KINDS["merged"]),
            },
        )
        style.foot(
            figure,
            caption,
            scores,
            key="Means over seeds. Right: gain over the better of both single adapters, in points, "
            f"with the 95 % interval of a paired bootstrap. {style.spreads(scores['seed'])}",
            missing=style.count(
                (int(scores["merged"].isna().sum()), len(scores)), "analogies", MARKS
            ),
        )
    return figure


def _analogy_rows(axis: Axes, panel: style.Panel, targets: list[str], intervals: Intervals) -> None:
    scores = panel.rows
    means = analysis.over_seeds(scores, ["target"], list(KINDS)).set_index(["target", "kind"])
    gains = analysis.gains(scores, "merged", analogy.PROXIES).set_index("target")["gain"]
    for y, target in enumerate(targets):
        if (target, "merged") not in means.index:
            continue  # no data of this task in this language
        for kind, look in KINDS.items():
            value, spread = map(float, means.loc[(target, kind), ["mean", "spread"]].to_numpy())
            if not math.isnan(spread):
                bar = [value - spread, value + spread]
                axis.plot(bar, [y, y], color=look["color"], linewidth=0.9, zorder=1.5)
            if not math.isnan(value):
                axis.plot([value], [y], **look, zorder=2.5)
        ends = intervals.get(key(panel.model, panel.task, target, BETTER_PROXY, method="analogy"))
        text = style.ABSENT
        if not math.isnan(gains[target]):
            text = style.signed(gains[target], 1, "+")
            if ends:
                low, high = (style.signed(end, 1, "+") for end in ends)
                text += f" [{low}, {high}]"
        axis.text(
            1.02,
            y,
            text,
            transform=axis.get_yaxis_transform(),
            ha="left",
            va="center",
            fontsize=style.SMALL,
        )
