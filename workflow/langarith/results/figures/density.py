"""How the weights of language vectors are distributed: sparsity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from langarith.results import analysis
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.figures import style
from langarith.results.names import ordered

PRINTED = 3  # thresholds whose shares are printed in a panel
TAIL = 0.002  # the axis ends where all densities are below this share of the highest

HEADROOM = 1.5  # height of the axis over the peak, with space for these shares


def sparsity(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> Figure:
    """Figure 9: density of the weights of language vectors, a panel per model and layer.

    A panel has a line per language and seed, and states the share of weights below the smallest
    thresholds: means over seeds, of the lowest and the highest language. Layers of a single
    language share a panel.

    Args:
        table: columns experiment, model, language, layer, seed, quantity (`density`: x is a weight,
            value the estimate there; `share_below`: x is a threshold, value the share, 0 to 1, of
            weights of smaller magnitude), x, value.
    """
    models = ordered(table["model"], caption.models)
    languages = ordered(table["language"], caption.languages)
    layers = list(dict.fromkeys(table["layer"]))
    names = [_layer(layer) for layer in layers]
    split = len(languages) > 1  # a panel for each layer, lines are languages
    column, lines, labels = (
        ("language", languages, languages) if split else ("layer", layers, names)
    )
    panels = [(m, n, [la]) for m in models for la, n in zip(layers, names, strict=True)]
    if not split:
        panels = [(m, f"adapter of {languages[0]}", layers) for m in models]
    looks = {line: style.line_look(i) for i, line in enumerate(lines)}
    density = table[table["quantity"] == "density"]
    vector = ["model", "layer", "language", "seed"]
    numeric = density.groupby(vector)["value"].count() > 0
    # a vector is missing if it has rows, but none of its densities is a number
    wanted = table.drop_duplicates(vector).set_index(vector).index
    present = numeric.reindex(wanted, fill_value=False)
    down, columns = style.filled(len(panels), 3)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            down,
            columns,
            figsize=(style.TEXT_WIDTH, 0.9 + 2.0 * down),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        for axis, (model, name, its_layers) in zip(axes.flat, panels, strict=False):
            part = table[(table["model"] == model) & table["layer"].isin(its_layers)]
            _panel(axis, part, column, looks)
            several = f"{model}, " if len(models) > 1 else ""
            axis.set_title(f"{several}{name}")
        for axis in figure.axes[-columns:]:  # the lowest of each column
            axis.set_xlabel("weight w")
        for axis in axes[:, 0]:
            axis.set_ylabel("density")
        counts = (~present).groupby(column).agg(["sum", "size"])
        marks = {
            line: f" ({style.ABSENT})" if absent == all_ else style.PARTLY if absent else ""
            for line, absent, all_ in counts.itertuples()
        }
        entries: dict[str, Artist] = {
            f"{label}{marks[line]}": Line2D([], [], **looks[line])
            for line, label in zip(lines, labels, strict=True)
        }
        style.legend(figure, entries)
        style.foot(
            figure,
            caption,
            table,
            key="Kernel density estimates of the weights of language vectors, a line per seed. "
            "Shares of weights: means over seeds, from the lowest to the highest line.",
            missing=style.count(
                (int((~present).sum()), len(present)),
                "vectors",
                f"{style.ABSENT} in the legend; {style.PARTLY} where only some are there",
            ),
        )
    return figure


def _layer(layer: Any) -> str:
    """The name of a layer: `layer 3` for a number, `all layers`, else its name in the table."""
    return f"layer {layer}" if str(layer).isdigit() else {"all": "all layers"}.get(layer, layer)


def _panel(axis: Axes, part: pd.DataFrame, column: str, looks: Mapping[Any, Any]) -> None:
    density = part[part["quantity"] == "density"].dropna(subset=["x", "value"]).sort_values("x")
    for (line, _), curve in density.groupby([column, "seed"], sort=False):
        axis.plot(curve["x"], curve["value"], linewidth=1.0, **looks[line])
    axis.grid(True, color="0.92", linewidth=0.6)
    axis.locator_params(axis="x", nbins=5)
    if density.empty:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set(xlim=(0, 1), ylim=(0, 1))
        style.hatched(axis, 0, 0, 1, 1, label=True)
        return
    body = density.loc[density["value"] > TAIL * density["value"].max(), "x"]
    axis.set_xlim(body.min(), body.max())
    axis.set_ylim(0, density["value"].max() * HEADROOM)
    shares = part[part["quantity"] == "share_below"]
    means = analysis.over_seeds(shares, [column, "x"], ["value"]).dropna(subset=["mean"])
    shares_text = []
    for threshold, group in list(means.groupby("x"))[:PRINTED]:
        low, high = (f"{100 * share:.1f}" for share in (group["mean"].min(), group["mean"].max()))
        shares_text.append(f"|w| < {threshold:g}: {low if low == high else f'{low}–{high}'} %")
    axis.text(
        0.98,
        0.97,
        "\n".join(shares_text),
        transform=axis.transAxes,
        ha="right",
        va="top",
        fontsize=style.SMALL,
    )
