"""Figures: each takes a tidy table (or logs) and draws; one shared style for all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from langarith import analysis
from langarith.progress import read_metrics

TEXT_WIDTH = 6.3  # inches: the text width of an A4 or letter article in one column
# Okabe and Ito's palette, told apart by colour-blind readers and in grey
TASK_LANGUAGE, RELATED, MERGED = "#56B4E9", "#E69F00", "#004D80"
METRIC_NAMES = {
    "f1": "F1",
    "f1_strict": "F1 (strict)",
    "exact_match": "exact match",
    "accuracy": "accuracy",
}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    # figures are compared byte by byte: no clock in them
    "svg.hashsalt": "language-arithmetic",
}


def save(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure in each format, whole or not at all."""
    for path in map(Path, paths):
        partial = path.with_name(f".{path.name}.partial{path.suffix}")
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with mpl.rc_context(STYLE):
            figure.savefig(partial, metadata=metadata, bbox_inches="tight", pad_inches=0.03)
        os.replace(partial, path)
    plt.close(figure)


def foot(figure: Figure, caption: Mapping[str, Any]) -> None:
    """State the study and the seeds below a figure."""
    seeds = ", ".join(str(seed) for seed in caption["seeds"])
    text = f"Study: {caption['study']}. Seeds: {seeds}."
    if caption["note"]:
        text += f" {caption['note']}"
    figure.supxlabel(_wrapped(text, figure.get_figwidth()), fontsize=7, color="0.35", x=0.5)


def _wrapped(text: str, width: float) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, int(width * 22)))


def zero_shot(table: pd.DataFrame, caption: Mapping[str, Any]) -> Figure:
    """Figures 2 and 6: per target and on average, both proxies and their language arithmetic.

    Above each group stands the gain: the seed mean of language arithmetic minus that of the better
    proxy, in points. Error bars are one standard deviation over seeds (ddof 1).
    """
    scores = analysis.zero_shot(table)
    metrics = analysis.metrics(table)
    names = list(dict.fromkeys(scores["model"]))
    tasks = list(dict.fromkeys(scores["task"]))
    groups = [scores[scores["task"] == task]["target"].nunique() + 1 for task in tasks]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(names),
            len(tasks),
            figsize=(TEXT_WIDTH, 0.75 + 1.75 * len(names)),
            gridspec_kw={"width_ratios": groups},
            squeeze=False,
            layout="constrained",
        )
        for row, model in enumerate(names):
            for column, task in enumerate(tasks):
                axis = axes[row][column]
                part = scores[(scores["model"] == model) & (scores["task"] == task)]
                _bars(axis, part, rotate=sum(groups) > 20)
                several = f"{model}, " if len(names) > 1 else ""
                axis.set_title(f"{several}{task.upper()} ({METRIC_NAMES[metrics[task]]}, %)")
        source = str(scores["left"].iloc[0])
        handles, _ = axes[0][0].get_legend_handles_labels()
        figure.legend(
            handles,
            [
                f"{source} adapter",
                "related language's adapter",
                f"language arithmetic ({source}, related)",
            ],
            loc="outside upper center",
            ncols=3,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.5,
        )
        foot(figure, {**caption, "note": f"{_models(names)} {caption['note']}".strip()})
    return figure


def _models(names: Sequence[str]) -> str:
    return f"Model: {names[0]}." if len(names) == 1 else f"Models: {', '.join(names)}."


def _bars(axis: Axes, scores: pd.DataFrame, *, rotate: bool) -> None:
    kinds = ("task_language", "related", "merged")
    targets = list(dict.fromkeys(scores["target"]))
    per_target = {
        t: scores[scores["target"] == t].groupby("seed")[list(kinds)].mean() for t in targets
    }
    # the average of a seed is over targets, its spread over seeds
    per_target["avg."] = scores.groupby("seed")[list(kinds)].mean()
    width, top = 0.27, 0.0
    for place, frame in enumerate(per_target.values()):
        # the average stands a little apart
        x = place + (0.35 if place == len(per_target) - 1 else 0.0)
        means, spread = frame.mean(), frame.std(ddof=1).fillna(0.0)
        for offset, (kind, colour) in enumerate(
            zip(kinds, (TASK_LANGUAGE, RELATED, MERGED), strict=True)
        ):
            axis.bar(
                x + (offset - 1) * width,
                means[kind],
                width,
                yerr=spread[kind],
                color=colour,
                label=kind if place == 0 else None,
                error_kw={"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.6},
            )
        gain = means["merged"] - max(means["task_language"], means["related"])
        gain = round(gain, 1) + 0.0  # never "-0.0"
        height = max(means[k] + spread[k] for k in kinds)
        axis.annotate(
            f"{gain:+.1f}",
            (x, height),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            rotation=90 if rotate else 0,
        )
        top = max(top, height)
    lowest = min(
        float((frame.mean() - frame.std(ddof=1).fillna(0.0)).min()) for frame in per_target.values()
    )
    # bars start at zero unless that hides every difference; the axis says where they start
    floor = max(0.0, np.floor((lowest - 10) / 10) * 10) if lowest > 40 else 0.0
    axis.set_ylim(floor, top + (top - floor) * (0.30 if rotate else 0.16))
    axis.set_xticks([*range(len(targets)), len(targets) + 0.35], [*targets, "avg."])
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.6, len(targets) + 0.95)
    axis.yaxis.grid(True, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def learning_curves(logs: Sequence[str], caption: Mapping[str, Any]) -> Figure:
    """Held-out values over steps: a panel of language adapters (loss, nats) and one per task.

    Args:
        logs: `metrics.jsonl` of runs; the folder names say which run each is.
    """
    runs = [_run(Path(path)) for path in logs]
    panels = list(dict.fromkeys(run["panel"] for run in runs))
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(TEXT_WIDTH, 0.6 + 1.9 * rows),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        palette = mpl.color_sequences["tab20"]
        for axis, panel in zip(axes.flat, panels, strict=False):
            chosen = [run for run in runs if run["panel"] == panel]
            names = list(dict.fromkeys(run["name"] for run in chosen))
            for run in chosen:
                axis.plot(
                    run["steps"],
                    run["values"],
                    color=palette[names.index(run["name"]) % 20],
                    linewidth=0.9,
                    label=run["name"],
                )
            seen = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
            axis.legend(
                seen.values(),
                seen.keys(),
                fontsize=7,
                ncols=2 if len(seen) > 3 else 1,
                frameon=False,
                handlelength=1.0,
                columnspacing=0.8,
                labelspacing=0.2,
            )
            axis.set_title(panel)
            axis.set_xlabel("step")
            axis.set_ylabel(chosen[0]["unit"])
            axis.grid(True, color="0.92", linewidth=0.6)
        foot(figure, caption)
    return figure


def _run(path: Path) -> dict[str, Any]:
    """One run's curve: .../adapters/{model}/{kind}/{name}/seed{seed}/metrics.jsonl."""
    *_, model, kind, name, seed, _ = path.parts
    rows = [row for row in read_metrics(path) if any(k.startswith("validation_") for k in row)]
    key = next(k for k in rows[0] if k.startswith("validation_")) if rows else "validation_loss"
    metric = key.removeprefix("validation_")
    language = kind == "language"
    return {
        "panel": f"{model}: language adapters" if language else f"{model}: {name}",
        "name": name.removesuffix("@full") if language else seed.replace("seed", "seed "),
        "steps": [row["step"] for row in rows],
        "values": [row[key] for row in rows],
        "unit": "held-out loss (nats)" if metric == "loss" else f"{METRIC_NAMES[metric]} (%)",
    }


DRAW = {"zero_shot": zero_shot}
