"""Learning curves, from logs of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from langarith import layout
from langarith.operands import Operand, budget_tokens
from langarith.results.caption import Caption
from langarith.results.figures import style
from langarith.results.names import task_title
from langarith.training.metrics import read_metrics

MOST_COLUMNS = 4
KINDS = ("base model", "language adapters")
"""Titles of the panels that are not of a task, in their order."""


def learning_curves(logs: Sequence[str], caption: Caption) -> Figure:
    """Validation values over steps: panels of base models and language adapters, one per task.

    Base models that were trained here and language adapters have a loss in nats, task adapters
    their metric on the task language's validation data. There is a line per seed.

    Args:
        logs: `metrics.jsonl` of runs; the folder names say which run each is.
    """
    runs = sorted((_run(Path(path)) for path in logs), key=lambda run: _place(run, caption))
    several = len({run["model"] for run in runs}) > 1
    panels = list(dict.fromkeys((run["model"], run["panel"]) for run in runs))
    rows, columns = style.filled(len(panels), MOST_COLUMNS)
    # legends are below their panels: inside they would hide curves
    longest = max(len({run["name"] for run in runs if _panel(run) == p}) for p in panels)
    legend = 0.14 * -(-longest // 2)
    with mpl.rc_context(style.STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(style.TEXT_WIDTH, 0.6 + (1.7 + legend) * rows),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            chosen = [run for run in runs if _panel(run) == panel]
            names = list(dict.fromkeys(run["name"] for run in chosen))
            for run in chosen:
                axis.plot(
                    run["steps"],
                    run["values"],
                    **style.line_look(names.index(run["name"])),
                    linewidth=0.9,
                    marker="." if len(run["steps"]) == 1 else "",
                    label=run["name"],
                )
            entries = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
            axis.legend(
                entries.values(),
                entries.keys(),
                fontsize=style.SMALL,
                ncols=2,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.3),
                frameon=False,
                handlelength=1.8,
                columnspacing=0.8,
                labelspacing=0.2,
            )
            axis.set_title(f"{panel[0]}, {panel[1]}" if several else panel[1])
            axis.set_xlabel("step")
            axis.set_ylabel(chosen[0]["unit"])
            axis.grid(True, color="0.92", linewidth=0.6)
        seeds = "A line per seed. " if len({run["seed"] for run in runs}) > 1 else ""
        style.foot(
            figure,
            caption,
            pd.DataFrame([run for run in runs if run["seed"] is not None] or runs),
            key=f"{seeds}Losses: on validation text of each language. Scores of tasks: on "
            f"validation data of {caption.task_language}, the task language.",
        )
    return figure


def _panel(run: Mapping[str, Any]) -> tuple[str, str]:
    return run["model"], run["panel"]


def _place(run: Mapping[str, Any], caption: Caption) -> tuple[float, ...]:
    """The position of a run: models, kinds, languages and seeds in the study's order."""

    def index(values: Sequence[Any], value: Any) -> int:
        return list(values).index(value) if value in values else len(values)

    operand = run["operand"]
    return (
        index(caption.models, run["model"]),
        index(KINDS, run["panel"]),
        index(caption.languages, operand.language) if operand else 0,
        -float(budget_tokens(operand.budget) or math.inf) if operand else 0,  # all text first
        run["seed"] or 0,
    )


def _run(path: Path) -> dict[str, Any]:
    """One run's curve, from `metrics.jsonl` in the folder of an adapter or of an encoder."""
    language = layout.parse(layout.LANGUAGE_ADAPTER, path)
    task = layout.parse(layout.TASK_ADAPTER, path)
    names = language or task or layout.parse(layout.ENCODER, path)
    if names is None:
        raise ValueError(f"{path} is not the metrics log of a base model or an adapter")
    rows = [row for row in read_metrics(path) if any(k.startswith("validation_") for k in row)]
    key = next(k for k in rows[0] if k.startswith("validation_")) if rows else "validation_loss"
    metric = key.removeprefix("validation_")
    operand = Operand(language["language"], language["budget"]) if language else None
    seed = int(names["seed"]) if "seed" in names else None
    base, adapters = KINDS
    return {
        "model": names["model"],
        "seed": seed,
        "operand": operand,
        "panel": task_title(task["task"], metric, "%") if task else adapters if operand else base,
        "name": str(operand) if operand else f"seed {seed}" if task else "all its languages",
        "steps": [row["step"] for row in rows],
        "values": [row[key] for row in rows],
        "unit": "validation score (%)" if task else "validation loss (nats)",
    }
