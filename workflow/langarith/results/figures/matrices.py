"""Annotated matrices: relatedness, similarity."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from langarith.results import analysis
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import style
from langarith.results.names import ordered

# from light to dark, in the same order in grey, and never too dark for letters
SHADES = ListedColormap(mpl.colormaps["Blues"](np.linspace(0.0, 0.55, 256)))
FLAT = 0.65  # height of an entry of cosines, as a share of its width
WIDEST = 0.55  # inches, of an entry of languages
DIAGONAL = "0.9"
WIDE = {"language": 1.0, "task": 1.3}  # entries of tasks may be negative: a letter more
MARKS = f"by hatching and {style.ABSENT}; {style.PARTLY} where only some seeds are there"


def relatedness(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> Figure:
    """Table 1: LA_t(t, l2) for a pool of languages l2; rows are t, columns l2, means over seeds.

    Below each mean is one standard deviation over seeds (ddof 1). The shade shows how far a
    language is below the best of its row.
    """
    scores = analysis.relatedness(table)
    means = analysis.over_seeds(scores, ["model", "task", "target", "other"], ["merged"])
    means["below"] = means["mean"] - means.groupby(["model", "task", "target"])["mean"].transform(
        "max"
    )
    metrics = analysis.metrics(table)
    panels = style.panels(means, metrics, caption)
    targets = ordered(scores["target"], caption.languages)
    pool = ordered([*scores["other"], *scores["target"]], caption.languages)
    # side by side where cells then have space for five digits
    across = len(metrics) if len(pool) * len(metrics) <= 14 else 1
    rows = len(panels) // across
    span = Normalize(min(means["below"].min(skipna=True), -0.01), 0.0)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            rows,
            across,
            figsize=(style.TEXT_WIDTH, 0.8 + rows * (0.6 + 0.36 * len(targets))),
            squeeze=False,
            sharex="col",
            layout="constrained",
        )
        for axis, panel in zip(axes.flat, panels, strict=True):
            found = panel.rows.set_index(["target", "other"]).to_dict("index")
            values = np.full((len(targets), len(pool)), np.nan)
            for y, target in enumerate(targets):
                for x, other in enumerate(pool):
                    if other == target:
                        _write(axis, x, y, "–")
                    elif entry := _entry_or_mark(axis, x, y, found.get((target, other))):
                        values[y, x] = entry["below"]
                        spread = "" if np.isnan(entry["spread"]) else f"\n± {entry['spread']:.2f}"
                        text = f"{entry['mean']:.2f}{_partly(entry)}{spread}"
                        best = "bold" if entry["below"] == 0.0 else "normal"
                        _write(axis, x, y, text, best)
            _frame(axis, values, targets, pool, span)
            axis.set_title(panel.title())
        for axis in axes[:, 0]:
            axis.set_ylabel("evaluated on")
        for axis in axes[-1]:
            axis.set_xlabel("merged with the adapter of")
        if means["below"].min() < 0.0:
            _colour_bar(figure, axes, span, "points below the\nbest of its row")
        style.foot(
            figure,
            caption,
            scores,
            key="Means ± 1 SD over seeds; the best of a row is bold.",
            missing=style.count(analysis.missing(table), "cells", MARKS),
        )
    return figure


def similarity(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> Figure:
    """Figure 10: cosines between language vectors, and between task vectors for contrast.

    Numbers are means over seeds; titles give the largest standard deviation (ddof 1). All matrices
    share one scale of shades; diagonals, which are always 1, are grey. A single vector has no
    matrix.

    Args:
        table: columns experiment, model, kind (language or task), left, right, seed, cosine; all
            ordered pairs, the diagonal too.
    """
    compared = table.groupby("kind")["left"].transform("nunique") > 1
    table = table[compared] if compared.any() else table
    vectors = table.rename(columns={"kind": "of_a"})
    means = analysis.over_seeds(vectors, ["model", "of_a", "left", "right"], ["cosine"])
    apart = means.loc[means["left"] != means["right"], "mean"]
    span = Normalize(min(0.0, apart.min(skipna=True)), max(0.01, apart.max(skipna=True)))
    models = ordered(table["model"], caption.models)
    kinds = ordered(table["kind"], ["language", "task"])
    names = {
        kind: ordered(table.loc[table["kind"] == kind, "left"], caption.languages) for kind in kinds
    }
    widths = [len(names[kind]) * WIDE[kind] for kind in kinds]
    wide = min(WIDEST, (style.TEXT_WIDTH - 1.5) / sum(widths))  # inches, of an entry of languages
    tall = FLAT * wide * max(len(names[kind]) for kind in kinds)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            len(models),
            len(kinds),
            figsize=(style.TEXT_WIDTH, 0.4 + len(models) * (0.6 + tall)),
            squeeze=False,
            gridspec_kw={"width_ratios": widths},
            layout="constrained",
        )
        for row, model in enumerate(models):
            for axis, kind in zip(axes[row], kinds, strict=True):
                part = means[(means["model"] == model) & (means["of_a"] == kind)]
                found = part.set_index(["left", "right"]).to_dict("index")
                values = np.full((len(names[kind]), len(names[kind])), np.nan)
                for y, left in enumerate(names[kind]):
                    for x, right in enumerate(names[kind]):
                        if entry := _entry_or_mark(axis, x, y, found.get((left, right))):
                            if left == right:
                                axis.add_patch(Rectangle((x, y), 1, 1, facecolor=DIAGONAL))
                            else:
                                values[y, x] = entry["mean"]
                            text = style.signed(entry["mean"], 2) + _partly(entry)
                            _write(axis, x, y, text)
                labels = [n.upper() if kind == "task" else n for n in names[kind]]
                _frame(axis, values, labels, labels, span)
                axis.set_aspect(FLAT / WIDE[kind], anchor="N")
                several = f"{model}, " if len(models) > 1 and kind == kinds[0] else ""
                axis.set_title(f"{several}{kind} vectors{_largest_spread(part)}")
        _colour_bar(figure, axes, span, "cosine")
        own = vectors[vectors["left"] == vectors["right"]]
        several_seeds = table["seed"].nunique() > 1
        style.foot(
            figure,
            caption,
            table,
            key="Cosines, means over seeds. SD: the largest of a pair's standard deviations."
            if several_seeds
            else "Cosines.",
            missing=style.count((int(own["cosine"].isna().sum()), len(own)), "vectors", MARKS),
        )
    return figure


def _colour_bar(figure: Figure, axes: np.ndarray, span: Normalize, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(span, SHADES), ax=axes, pad=0.02, aspect=14 * len(axes))
    bar.set_label(label, fontsize=style.SMALL)
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.locator = MaxNLocator(4)
    bar.outline.set_visible(False)


def _largest_spread(means: pd.DataFrame) -> str:
    """The largest standard deviation over seeds off the diagonal, as a line of a title."""
    largest = means.loc[means["left"] != means["right"], "spread"].max(skipna=True)
    return "" if np.isnan(largest) else f"\nSD ≤ {largest:.2f}"


def _entry_or_mark(
    axis: Axes, x: int, y: int, entry: dict[Hashable, Any] | None
) -> dict[Hashable, Any] | None:
    """The entry, or None after its place was marked as missing."""
    if entry is not None and entry["seeds"]:
        return entry
    style.hatched(axis, x, y, 1, 1, label=True)
    return None


def _partly(entry: Mapping[Hashable, Any]) -> str:
    return style.PARTLY if entry["seeds"] < entry["of"] else ""


def _write(axis: Axes, x: int, y: int, text: str, weight: str = "normal") -> None:
    axis.text(
        x + 0.5,
        y + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=style.SMALL,
        fontweight=weight,
        linespacing=1.1,
    )


def _frame(
    axis: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], span: Normalize
) -> None:
    """Shades, and names around them; row 0 is the upper one."""
    axis.pcolormesh(
        np.ma.masked_invalid(values), cmap=SHADES, norm=span, edgecolors="white", linewidth=0.5
    )
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_xlim(0, len(columns))
    axis.set_ylim(len(rows), 0)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
