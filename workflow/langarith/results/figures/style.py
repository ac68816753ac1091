"""One style for all figures: size, colours, foot, marks of missing values, files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from langarith.files import whole
from langarith.results.names import metric_title
from langarith.results.palette import LINES

TEXT_WIDTH = 6.3  # inches: the text width of an A4 or letter article in one column
SMALL = 7  # points: no text is smaller
LETTER = 0.062  # inches, of 7 points
MISSING = "0.55"
MISSING_HATCH = "xxxxx"
PARTLY = "†"
ABSENT = "n/a"
DASHES = ("-", "--", ":", "-.")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlepad": 4,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    # figures are compared byte by byte: no time stamps in them
    "svg.hashsalt": "language-arithmetic",
}


def save(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure in each format, completely or not at all.

    A PNG file has the text of the figure's foot as its `Description`, a PDF as its `Subject`.
    """
    foot = str(figure.get_label())
    for path in map(Path, paths):
        metadata: dict[str, Any] = {"Software": None, "Description": foot}
        if path.suffix == ".pdf":
            metadata = {"CreationDate": None, "Subject": foot}
        with mpl.rc_context(STYLE), whole(path) as partial:
            figure.savefig(partial, metadata=metadata, bbox_inches="tight", pad_inches=0.03)
    plt.close(figure)


def line_look(place: int) -> dict[str, Any]:
    """Colour and dashes of the line at a position of the study's order; 28 looks differ."""
    return {"color": LINES[place % len(LINES)], "linestyle": DASHES[place % len(DASHES)]}


def filled(count: int, most: int) -> tuple[int, int]:
    """Rows and columns of panels, at most `most` in a row, with few left empty."""
    rows = -(-count // most)
    return rows, -(-count // rows)


@dataclass(frozen=True)
class Reference:
    """Test scores without a merge, drawn as horizontal lines."""

    method: str
    """Its name in tidy tables, see :func:`langarith.results.references.levels`."""
    label: str
    dash: tuple[float, ...]

    @property
    def look(self) -> dict[str, Any]:
        """The look of its lines."""
        return {"color": "0.2", "linewidth": 0.9, "linestyle": (0, self.dash)}

    def draw(self, axis: Axes, level: float, start: float, end: float) -> None:
        """Draw a line at a level from `start` to `end`; the limits of the axis do not change."""
        # seen on dark bars, below error bars
        edge = [patheffects.withStroke(linewidth=1.6, foreground="white")]
        look = self.look | {"path_effects": edge}
        axis.plot([start, end], [level, level], zorder=1.5, scalex=False, scaley=False, **look)


CHANCE = Reference("majority", "most frequent class", (1, 1.2))
NO_ADAPTER = Reference("none", "no language adapter", (4, 1.5))


def ordered(values: Iterable[Any], order: Iterable[Any]) -> list[Any]:
    """The distinct values in the study's order; those that it does not list come last."""
    distinct, listed = dict.fromkeys(values), dict.fromkeys(order)
    return [v for v in listed if v in distinct] + [v for v in distinct if v not in listed]


def legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """One legend for all panels, above them, in as few lines as the width allows."""
    longest = max(map(len, entries), default=0)
    wide = sum(map(len, entries)) * LETTER + len(entries) * 0.5 > TEXT_WIDTH
    fit = int(TEXT_WIDTH // (longest * LETTER + 0.5)) if wide else len(entries)
    lines = -(-len(entries) // max(1, fit))
    figure.legend(
        handles=list(entries.values()),
        labels=list(entries),
        loc="outside upper center",
        ncols=-(-len(entries) // max(1, lines)),
        frameon=False,
        handlelength=2.2,
        columnspacing=1.3,
    )


def spreads(seeds: pd.Series) -> str:
    """A sentence on error bars, which exist only with several seeds."""
    return "Error bars: 1 SD over seeds." if seeds.nunique() > 1 else ""


def foot(
    figure: Figure,
    caption: Mapping[str, Any],
    drawn: pd.DataFrame,
    *,
    key: str = "",
    missing: str = "",
) -> None:
    """State below a figure how to read it, what is missing, and where its numbers come from.

    With `foot: False` in the caption nothing is drawn; the figure's file contains the text in any
    case (see `save`).

    Args:
        drawn: the rows in the figure, with columns model and seed.
        key: how to read the figure, as far as its legend does not explain it.
        missing: the missing values and their mark, see `count`.
    """
    source = [f"Study: {caption['study']}."]
    for what in ("model", "seed"):
        names = [str(name) for name in ordered(drawn[what], caption[f"{what}s"])]
        source.append(f"{what.title()}{'s' if len(names) > 1 else ''}: {', '.join(names)}.")
    key = " ".join(filter(None, [key.strip(), caption.get("choice", "")]))
    lines = [key, missing, " ".join(source), caption["note"]]
    figure.set_label(" ".join(filter(None, lines)))
    if not caption.get("foot", True):
        return
    width = int(figure.get_figwidth() * 19.5)  # letters of 7 points to an inch
    if len(last := " ".join(lines[2:]).strip()) <= width:
        lines[2:] = [last]
    text = "\n".join(wrapped for line in lines for wrapped in _balanced(line, width))
    figure.supxlabel(text, fontsize=SMALL, color="0.35", x=0.5)


def _balanced(text: str, width: int) -> list[str]:
    """A text in as few lines as the width allows, of about equal length."""
    lines = textwrap.wrap(text, width)
    while len(narrower := textwrap.wrap(text, width - 1)) == len(lines) > 1:
        lines, width = narrower, width - 1
    return lines


def count(missing: tuple[int, int], what: str, marks: str) -> str:
    """`2 of 30 cells are missing (marked ...).`, or nothing if none is missing."""
    absent, total = missing
    verb = "is" if absent == 1 else "are"
    return f"{absent} of {total} {what} {verb} missing (marked {marks})." if absent else ""


def where_drawn(figure: Figure, marks: Iterable[str], explanation: str) -> str:
    """The explanation of marks if a text in the figure has one of them, else nothing."""
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    return explanation if any(mark in text for mark in marks for text in texts) else ""


def panels(
    scores: pd.DataFrame, metrics: Mapping[str, str], caption: Mapping[str, Any]
) -> list[tuple[str, pd.DataFrame]]:
    """A title and the scores of each model and task, models in the study's order.

    The title is `NER (F1, %)`, with the model's name before it where there are several.
    """
    models = ordered(scores["model"], caption["models"])
    found = []
    for model in models:
        for task, metric in metrics.items():
            part = scores[(scores["model"] == model) & (scores["task"] == task)]
            several = f"{model}, " if len(models) > 1 else ""
            title = f"{several}{task.upper()} ({metric_title(metric)}, %)"
            found += [(title, part)] if len(part) else []
    return found


def signed(number: float, digits: int, plus: str = "") -> str:
    """A rounded number with a true minus; a zero has no sign."""
    rounded = round(number, digits) + 0.0
    return f"{rounded:{plus if rounded else ''}.{digits}f}".replace("-", "−")


def hatched(
    axis: Axes, x: float, y: float, width: float, height: float, *, label: bool = False
) -> None:
    """Draw a grey hatched box for a missing value; with `label` it contains `ABSENT`."""
    box = Rectangle((x, y), width, height, hatch=MISSING_HATCH, linewidth=0.5)
    box.set(facecolor="white", edgecolor=MISSING)
    axis.add_patch(box)
    if label:
        axis.text(
            x + width / 2,
            y + height / 2,
            ABSENT,
            ha="center",
            va="center",
            fontsize=SMALL,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8},
        )
