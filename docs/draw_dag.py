"""Draw docs/images/dag.png: what is made from what, stage by stage.

Run `.venv/bin/python docs/draw_dag.py` after a change of the stages.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

Point = tuple[float, float]

DATA, TRAINED, EVALUATED, SHOWN = "#e3ebf3", "#fbe7c6", "#d5e8d4", "#f1dce6"
WIDTH, HEIGHT = 2.8, 0.95
COLUMN, ROW = 3.4, 1.75
LINE = "0.35"

# name: column, row, title, what there is one of for each ..., colour
BOXES = {
    "shards": (0, 1, "raw shards", "language", DATA),
    "tokenizer": (1, 2, "tokenizer", "model", TRAINED),
    "streams": (1, 1, "token streams", "model, shard", DATA),
    "base": (2, 2, "base model", "model", TRAINED),
    "language": (2, 1, "language adapters", "language, budget, seed", TRAINED),
    "initial": (3, 2, "initial adapters", "model", TRAINED),
    "task": (3, 1, "task adapters", "task, seed", TRAINED),
    "data": (4, 2, "task files", "task, language", DATA),
    "sweep": (4, 1, "sweeps over lambda", "cell: score per lambda", EVALUATED),
    "selected": (5, 1, "selected lambda", "cell: test scores", EVALUATED),
    "table": (5, 0, "tidy table", "experiment", SHOWN),
    "figure": (4, 0, "figure", "experiment", SHOWN),
}


def side(name: str, where: str, shift: float = 0.0) -> Point:
    """The middle of one edge of a box, shifted along that edge."""
    x, y = BOXES[name][0] * COLUMN, BOXES[name][1] * ROW
    return {
        "left": (x - WIDTH / 2, y + shift),
        "right": (x + WIDTH / 2, y + shift),
        "top": (x + shift, y + HEIGHT / 2),
        "bottom": (x + shift, y - HEIGHT / 2),
    }[where]


def draw_box(axes: plt.Axes, name: str) -> None:
    column, row, title, each, colour = BOXES[name]
    x, y = column * COLUMN, row * ROW
    shape = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=colour,
        edgecolor=LINE,
    )
    axes.add_patch(shape)
    axes.text(x, y + 0.17, title, ha="center", va="center", fontsize=11)
    axes.text(x, y - 0.2, f"per {each}", ha="center", va="center", fontsize=8.5, color="0.3")


def draw_arrow(axes: plt.Axes, *points: Point) -> None:
    """A line through the points, with a head at the last."""
    *line, last = points
    axes.plot(*zip(*line, strict=True), color=LINE, linewidth=1.1, solid_capstyle="butt")
    style = {"arrowstyle": "-|>", "color": LINE, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", last, line[-1], arrowprops=style | {"mutation_scale": 11})


def main() -> None:
    """Draw every box and arrow, and write the picture."""
    figure, axes = plt.subplots(figsize=(13.5, 3.6))
    figure.subplots_adjust(0, 0, 1, 1)
    for name in BOXES:
        draw_box(axes, name)
    between = 1.5 * ROW  # halfway from the upper row to the middle one
    gutter = 1.5 * COLUMN
    below = 0.5 * ROW
    for path in (
        (side("shards", "right"), side("streams", "left")),
        (side("shards", "top"), (0, 2 * ROW), side("tokenizer", "left")),
        (side("tokenizer", "bottom"), side("streams", "top")),
        (side("tokenizer", "right", 0.2), side("base", "left", 0.2)),
        (
            side("streams", "right", 0.2),
            (gutter, ROW + 0.2),
            (gutter, 2 * ROW - 0.2),
            side("base", "left", -0.2),
        ),
        (side("streams", "right", -0.2), side("language", "left", -0.2)),
        (side("base", "right"), side("initial", "left")),
        (side("base", "bottom", -0.7), side("language", "top", -0.7)),
        (
            side("initial", "bottom", -0.7),
            (3 * COLUMN - 0.7, between),
            (2 * COLUMN + 0.3, between),
            side("language", "top", 0.3),
        ),
        (side("initial", "bottom", 0), side("task", "top", 0)),
        (side("language", "right"), side("task", "left")),
        (
            side("data", "bottom", -0.7),
            (4 * COLUMN - 0.7, between),
            (3 * COLUMN + 0.7, between),
            side("task", "top", 0.7),
        ),
        (side("data", "bottom", 0), side("sweep", "top", 0)),
        (side("task", "right"), side("sweep", "left")),
        (
            side("language", "bottom"),
            (2 * COLUMN, below),
            (4 * COLUMN - 0.7, below),
            side("sweep", "bottom", -0.7),
        ),
        (side("sweep", "right"), side("selected", "left")),
        (side("selected", "bottom"), side("table", "top")),
        (side("table", "left"), side("figure", "right")),
    ):
        draw_arrow(axes, *path)
    kinds = {"data": DATA, "weights": TRAINED, "evaluated": EVALUATED, "shown": SHOWN}
    for i, (kind, colour) in enumerate(kinds.items()):
        x = -WIDTH / 2 + i * 2.2
        swatch = plt.Rectangle((x, -0.15), 0.35, 0.3, facecolor=colour, edgecolor=LINE)
        axes.add_patch(swatch)
        axes.text(x + 0.5, 0, kind, va="center", fontsize=9)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.autoscale_view()
    target = Path(__file__).parent / "images" / "dag.png"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=150, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
