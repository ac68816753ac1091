"""Learning curves, from logs of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from langarith import layout
from langarith.operands import Operand
from langarith.results.figures import style
from langarith.results.names import metric_title
from langarith.training.metrics import read_metrics


def learning_curves(logs: Sequence[str], caption: Mapping[str, Any]) -> Figure:
    """Held-out values over steps: a panel of language adapters (loss, nats) and one per task.

    Args:
        logs: `metrics.jsonl` of runs; the folder names say which run each is.
    """
    runs = [_run(Path(path)) for path in logs]
    panels = list(dict.fromkeys(run["panel"] for run in runs))
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    # legends are below their panels: inside they would hide curves
    longest = max(len({run["name"] for run in runs if run["panel"] == p}) for p in panels)
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
                fontsize=style.SMALL,
                ncols=2,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.3),
                frameon=False,
                handlelength=1.0,
                columnspacing=0.8,
                labelspacing=0.2,
            )
            axis.set_title(panel)
            axis.set_xlabel("step")
            axis.set_ylabel(chosen[0]["unit"])
            axis.grid(True, color="0.92", linewidth=0.6)
        style.foot(figure, caption, pd.DataFrame(runs))
    return figure


def _run(path: Path) -> dict[str, Any]:
    """One run's curve: .../adapters/{model}/{kind}/{name}/seed{seed}/metrics.jsonl."""
    language = layout.parse(layout.LANGUAGE_ADAPTER, path)
    names = language or layout.parse(layout.TASK_ADAPTER, path)
    if names is None:
        raise ValueError(f"{path} is not the metrics log of an adapter")
    model, seed = names["model"], names["seed"]
    rows = [row for row in read_metrics(path) if any(k.startswith("validation_") for k in row)]
    key = next(k for k in rows[0] if k.startswith("validation_")) if rows else "validation_loss"
    metric = key.removeprefix("validation_")
    operand = Operand(language["language"], language["budget"]) if language else None
    return {
        "model": model,
        "seed": int(seed),
        "panel": f"{model}: " + ("language adapters" if language else names["task"]),
        "name": str(operand) if operand else f"seed {seed}",
        "steps": [row["step"] for row in rows],
        "values": [row[key] for row in rows],
        "unit": "held-out loss (nats)" if metric == "loss" else f"{metric_title(metric)} (%)",
    }
