"""Figures: drawn numbers against a computation by hand, legibility at the paper's size, marks of
what is missing, small experiments, and files that repeat."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

import made_up
from langarith.results import analysis, figures, intervals, palette, sheets, tables
from langarith.results.figures import dots, style

CAPTION = made_up.CAPTION | {"languages": ["en", "es", "fr"]}
# From ZERO_SHOT in made_up.py, by hand. Per target and kind, the mean over seeds 1 and 2.
MEANS = {
    "ner": {"es": (46.0, 41.0, 53.0), "fr": (32.0, 62.0, 63.0), "avg.": (39.0, 51.5, 58.0)},
    "nli": {"fr": (211 / 6, 35.0, 211 / 6)},
}
# Half the difference of two seeds times the square root of two: ddof 1.
SPREADS = {
    "ner": {
        "es": (8**0.5, 2**0.5, 18**0.5),
        "fr": (8**0.5, 8**0.5, 18**0.5),
        # the average of a seed is over its targets: (55, 61) merged, (50, 53) related
        "avg.": (8**0.5, 4.5**0.5, 18**0.5),
    },
    "nli": {"fr": (11 / 3 / 2**0.5, 2**0.5, 11 / 3 / 2**0.5)},
}
GAINS = {"ner": ["+7.0", "+1.0", "+6.5"], "nli": ["0.0", "0.0"]}
KINDS = ["task_language", "related", "merged"]


@pytest.fixture
def table(little_results, tmp_path: Path) -> pd.DataFrame:
    """As the workflow reads it: from the file alone."""
    tables.write(tables.rows("zero_shot", *little_results), tmp_path / "zero_shot.csv")
    return tables.read(tmp_path / "zero_shot.csv")


@pytest.fixture
def figure(table: pd.DataFrame):
    drawn = figures.zero_shot(table, CAPTION)
    yield drawn
    plt.close(drawn)


def test_scores_behind_the_bars_are_a_row_per_target_and_seed(table: pd.DataFrame) -> None:
    scores = analysis.zero_shot(table)
    assert scores[["task", "target", "right", "seed", *KINDS]].to_numpy().tolist() == [
        ["ner", "es", "fr", 1, 44.0, 40.0, 50.0],
        ["ner", "es", "fr", 2, 48.0, 42.0, 56.0],
        # where an end of the sweep is chosen it is both proxy and merge
        ["ner", "fr", "es", 1, 30.0, 60.0, 60.0],
        ["ner", "fr", "es", 2, 34.0, 64.0, 66.0],
        ["nli", "fr", "es", 1, 100 / 3, 34.0, 100 / 3],
        ["nli", "fr", "es", 2, 37.0, 36.0, 37.0],
    ]


def test_rows_of_other_methods_are_not_drawn(table: pd.DataFrame) -> None:
    ties = table[table["method"] == "la"].assign(method="ties20", value=99.0)
    both = pd.concat([ties, table], ignore_index=True)
    pd.testing.assert_frame_equal(
        analysis.zero_shot(both), analysis.zero_shot(table), check_like=True
    )


def test_bars_are_seed_means_with_their_spread(figure) -> None:
    for axis, task in zip(figure.axes, MEANS, strict=True):
        assert axis.get_ylim()[0] == 0.0
        groups = list(MEANS[task])
        if task == "nli":
            groups *= 2  # the average of one target is that target
        bars = [patch.get_height() for patch in axis.patches]
        expected = [mean for group in groups for mean in MEANS[task][group]]
        assert bars == pytest.approx(expected)
        spreads = [
            (segment[1][1] - segment[0][1]) / 2
            for container in axis.containers
            if isinstance(container, ErrorbarContainer)
            for segment in container.lines[2][0].get_segments()
        ]
        expected = [spread for group in groups for spread in SPREADS[task][group]]
        assert spreads == pytest.approx(expected)
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels == [*dict.fromkeys(g for g in groups if g != "avg."), "avg."]


def test_gain_is_over_the_better_of_the_two_mean_proxies(figure) -> None:
    for axis, task in zip(figure.axes, GAINS, strict=True):
        assert [text.get_text() for text in axis.texts] == GAINS[task]


def test_strips_show_gains_with_their_intervals(table: pd.DataFrame) -> None:
    ends = {"es": (2.0, 9.0), "fr": (-1.0, 3.0), analysis.AVERAGE: (0.5, 8.0)}
    over = intervals.BETTER_PROXY
    found = {intervals.key("tiny", "ner", target, over): pair for target, pair in ends.items()}
    drawn = figures.zero_shot(table, CAPTION | {"intervals": found})
    scores, strip = (axis for axis in drawn.axes if axis.get_subplotspec().colspan.start == 0)
    zero, *lines = strip.get_lines()
    assert list(zero.get_ydata()) == [0, 0]
    segments = [tuple(line.get_ydata()) for line in lines if len(line.get_ydata()) == 2]
    points = [line for line in lines if len(line.get_ydata()) == 1]
    assert segments == list(ends.values())
    assert [float(point.get_ydata()[0]) for point in points] == pytest.approx([7.0, 1.0, 6.5])
    filled = [point.get_markerfacecolor() != "white" for point in points]
    assert filled == [True, False, True]
    assert [text.get_text() for text in scores.texts] == ["+7.0*", "+1.0", "+6.5*"]
    assert strip.get_ylabel() == "gain (points)"
    # the strip of the other task has the same scale, and points without an interval
    other = next(a for a in drawn.axes if a is not strip and a.get_ylim() == strip.get_ylim())
    assert [len(line.get_ydata()) for line in other.get_lines()] == [2, 1, 1]
    plt.close(drawn)


def test_without_intervals_there_is_no_strip(figure) -> None:
    assert len(figure.axes) == 2  # one per task


def test_figure_says_what_it_shows_and_where_from(figure) -> None:
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "NER (F1, %)",
        "NLI (accuracy, %)",
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "en adapter",
        "related language's adapter",
        "language arithmetic (en, related)",
        "no language adapter",
        "most frequent class",
    ]
    foot = figure.get_supxlabel().replace("\n", " ")
    assert foot == (
        "Above each group: gain over the better of both adapters, in points. Above avg.: the gain "
        "of the averages. Mean of the gains over targets: NER +4.0, NLI 0.0. Related languages: "
        "es: fr, fr: es. Error bars: 1 SD over seeds. Study: little. Model: tiny. "
        "Seeds: 1, 2. Made up."
    )
    assert figure.axes[0].get_ylabel() == "test score (%)"
    assert figure.get_figwidth() == style.TEXT_WIDTH


def test_scores_of_zero_are_stated(table: pd.DataFrame) -> None:
    zeros = table.assign(value=table["value"].where(table["task"] != "ner", 0.0))
    drawn = figures.zero_shot(zeros, CAPTION)
    plt.close(drawn)
    ner, nli = drawn.axes
    assert ner.get_title(loc="right") == "all scores are 0" and ner.get_ylim()[1] > 100
    assert nli.get_title(loc="right") == ""


def test_one_seed_has_no_spread(table: pd.DataFrame) -> None:
    drawn = figures.zero_shot(table[table["seed"] == 1], CAPTION | {"seeds": [1]})
    assert [text.get_text() for text in drawn.axes[0].texts] == ["+6.0", "0.0", "+5.0"]
    plt.close(drawn)


def test_models_have_a_row_of_panels_each(table: pd.DataFrame) -> None:
    two = pd.concat([table, table.assign(model="other")], ignore_index=True)
    drawn = figures.zero_shot(two, CAPTION)
    titles = [axis.get_title(loc="left") for axis in drawn.axes]
    assert titles[0] == "tiny, NER (F1, %)"
    assert titles[2] == "other, NER (F1, %)"
    plt.close(drawn)


def test_figures_repeat_byte_by_byte(table: pd.DataFrame, tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths = [tmp_path / name / f"zero_shot.{suffix}" for suffix in ("pdf", "png")]
        figures.save(figures.zero_shot(table, CAPTION), paths)
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == [p.name for p in paths]
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    pdf, png = written[0]
    assert pdf.startswith(b"%PDF")
    assert png.startswith(b"\x89PNG")
    assert b"/CreationDate" not in pdf
    assert not plt.get_fignums()  # figures are closed: a job that draws many keeps none


def test_learning_curves_from_metrics_logs(tmp_path: Path) -> None:
    logs = {
        "language/fr@full/seed1": [
            {"step": 5, "loss": 4.0},  # of training: not drawn
            {"step": 5, "validation_loss": 3.0},
            {"step": 9, "validation_loss": 2.5},
        ],
        "language/fr@full/seed2": [{"step": 5, "validation_loss": 3.1}],
        "language/es@10k/seed1": [{"step": 5, "validation_loss": 3.2}],
        "task/ner/seed1": [{"step": 7, "validation_f1": 50.0, "validation_f1_strict": 40.0}],
        "language/es@full/seed1": [{"step": 5, "validation_loss": 3.3}],
        "../../models/tiny/encoder": [{"step": 5, "validation_loss": 4.0}],
    }
    paths = []
    for name, rows in logs.items():
        folder = (tmp_path / "adapters" / "tiny" / name).resolve()
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(str(folder / "metrics.jsonl"))
    drawn = figures.learning_curves(paths, CAPTION)
    panels = [axis for axis in drawn.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == [
        "base model",
        "language adapters",
        "NER (F1, %)",
    ]
    assert [axis.get_ylabel() for axis in panels] == [
        *["validation loss (nats)"] * 2,
        "validation score (%)",
    ]
    # the study's order, all text before budgets
    lines = panels[1].get_lines()
    assert [t.get_text() for t in panels[1].get_legend().get_texts()] == ["es", "es@10k", "fr"]
    assert list(lines[2].get_xdata()) == [5, 9]
    assert list(lines[2].get_ydata()) == [3.0, 2.5]
    # seeds of one adapter share a colour and a line of the legend
    assert lines[2].get_color() == lines[3].get_color()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 3
    output = drawn.get_supxlabel().replace("\n", " ")
    assert (
        "A line per seed." in output and "on validation data of en, the source language" in output
    )
    plt.close(drawn)


def test_a_metric_without_a_title_is_drawn_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "adapters/tiny/task/tone/seed1"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 7, "validation_kappa": 50.0}) + "\n")
    drawn = figures.learning_curves([str(folder / "metrics.jsonl")], CAPTION)
    assert [axis.get_ylabel() for axis in drawn.axes if axis.get_visible()] == [
        "validation score (%)"
    ]
    assert [axis.get_title() for axis in drawn.axes if axis.get_visible()] == ["TONE (kappa, %)"]
    plt.close(drawn)
    rows = pd.DataFrame({"model": ["tiny"], "task": ["tone"]})
    ((title, _),) = style.panels(rows, {"tone": "kappa"}, CAPTION)
    assert title == "TONE (kappa, %)"


def test_gains_above_an_average_are_those_that_the_table_prints() -> None:
    """The gain of the averages and the mean of the gains: here another proxy is best in each."""
    cells = [
        sweep("ner", target, "en", "fr", seed, scores(right + seed, 30 + seed, left + seed))
        for target, right, left in (("es", 20, 10), ("de", 10, 26), ("sw", 10, 29.96))
        for seed in (1, 2)
    ]
    table = made_up.table(cells)
    drawn = figures.zero_shot(table, CAPTION | {"languages": ["en", "es", "de", "sw"]})
    output = [text.get_text() for text in drawn.axes[0].texts]
    assert output == ["+10.0", "+4.0", "0.0", "+8.0"]  # no sign before a rounded zero
    assert "Mean of the gains over targets: NER +4.7." in drawn.get_label()
    (sheet,) = sheets.zero_shot(table, CAPTION)
    printed = {row[0]: row[-2].written() for row in sheet.rows}
    assert printed["average"] == "+8.01" and printed["mean of gains"] == "+4.68"
    plt.close(drawn)


def test_ties_have_one_sign_in_figure_and_table() -> None:
    merged = {"la": 30.0, "ties20": 29.0, "ties80": 31.5}
    table = made_up.table(
        sweep("ner", target, "en", "fr", 1, {1.0: value + i}, 1.0, method=method)
        for method, value in merged.items()
        for i, target in enumerate(("es", "fr"))
    )
    caption = CAPTION | {"seeds": [1]}
    drawn = figures.DRAW["ties"](table, caption)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["−1.5", "−1.5", "−1.5"]
    assert "language arithmetic minus the best other method" in drawn.get_label()
    (sheet,) = sheets.ties(table, caption)
    assert [row[-1] if row[-1] == "" else row[-1].written() for row in sheet.rows] == [
        "",
        "+1.00",
        "-1.50",
    ]
    assert "LA minus the method" in sheet.note and "averaged over 2 targets." in sheet.note
    (sheet,) = sheets.ties(table[table["target"] == "es"], caption)
    assert "averaged over 1 target." in sheet.note
    plt.close(drawn)


def test_methods_are_rows_sorted_by_their_average_gain() -> None:
    scores = {"la": 60.0, "isoc": 45.0, "layers": 63.0}
    cells = [
        made_up.cell(
            target,
            "en+fr",
            1,
            {0.0: 50, 1.0: 55, 0.5: score} if method == "la" else {point: score},
            chosen=point,
            method=method,
        )
        for target in ("es", "de")
        for method, score in scores.items()
        for point in ["0.25,0.75" if method == "layers" else 0.5]
    ]
    place = intervals.key("tiny", "ner", analysis.AVERAGE, intervals.BETTER_PROXY, method="isoc")
    caption = CAPTION | {"seeds": [1], "intervals": {place: (-12.0, -8.0)}}
    drawn = figures.DRAW["methods"](made_up.table(cells), caption)
    (axis,) = drawn.axes
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows == ["LA by layers", "LA", "en adapter", "related adapter", "Iso-C"]
    averages = {
        round(line.get_ydata()[0] + 0.1): line.get_xdata()[0]
        for line in axis.lines
        if line.get_markersize() == dots.AVERAGE["markersize"] and line.get_marker() == "o"
    }
    assert averages == {0: 8.0, 1: 5.0, 2: 0.0, 3: -5.0, 4: -10.0}
    (interval,) = [line for line in axis.lines if list(line.get_xdata()) == [-12.0, -8.0]]
    assert list(interval.get_ydata()) == [3.9, 3.9]
    assert axis.get_title("left") == "NER (F1, points)"
    plt.close(drawn)


def test_a_method_has_one_colour_and_mark_whatever_a_figure_shows(monkeypatch) -> None:
    names = ["la", "slerp", "ties20", "ties80"]
    marks = {palette.method_mark(name) for name in names}
    marks |= {palette.TASK_LANGUAGE_MARK, palette.RELATED_MARK, palette.TARGET_MARK}
    assert len(marks) == 6 and palette.method_mark("la") == palette.MERGED_MARK
    colours = [palette.method_colour(name) for name in names]
    assert len({*colours, palette.TASK_LANGUAGE, palette.RELATED, palette.TARGET}) == 7
    assert colours[0] == palette.MERGED
    # a method that is added later has one of its own, and does not change language arithmetic's
    monkeypatch.setattr(palette.merging, "of_pairs", lambda: ("la", "slerp", "ties", "zip"))
    monkeypatch.setattr(
        palette.merging, "get", lambda name: palette.merging.Method("", "", None, None)
    )
    assert palette.method_colour("zip") not in colours
    assert palette.method_colour("la") == palette.MERGED


def reference_lines(*axes) -> list[tuple[float, ...]]:
    """Heights of the lines of scores without a merge, over some panels."""
    colour = style.CHANCE.look["color"]
    lines = [line for axis in axes for line in axis.get_lines()]
    return [tuple(line.get_ydata()) for line in lines if line.get_color() == colour]


def test_scores_without_a_merge_are_lines_across_every_group(figure) -> None:
    """In the made up table 20 without a language adapter, 10 for the most frequent class."""
    groups = sum(len(axis.get_xticks()) for axis in figure.axes)
    assert (
        sorted(reference_lines(*figure.axes)) == [(10.0, 10.0)] * groups + [(20.0, 20.0)] * groups
    )


def test_a_class_that_scores_nothing_has_no_line(table: pd.DataFrame) -> None:
    zero = table.assign(value=table["value"].mask(table["method"] == "majority", 0.0))
    drawn = figures.zero_shot(zero, CAPTION)
    assert {*reference_lines(*drawn.axes)} == {(20.0, 20.0)}
    assert len(drawn.legends[0].get_texts()) == 4
    plt.close(drawn)


def test_an_average_without_every_target_has_no_line(table: pd.DataFrame) -> None:
    references = table["method"].isin(["none", "majority"])
    lacking = table[~(references & (table["target"] == "es"))]
    drawn = figures.zero_shot(lacking, CAPTION)
    assert sorted(reference_lines(drawn.axes[0])) == [(10.0, 10.0), (20.0, 20.0)]  # of fr alone
    plt.close(drawn)


def test_a_figure_without_a_foot_keeps_its_text_in_the_file(table: pd.DataFrame, tmp_path) -> None:
    from PIL import Image

    drawn = figures.zero_shot(table, CAPTION | {"foot": False})
    assert drawn.get_supxlabel() == ""
    figures.save(drawn, [tmp_path / "a.png"])
    assert "Study: little." in Image.open(tmp_path / "a.png").info["Description"]


@pytest.mark.parametrize("targets", [["es"], ["es", "fr"]])
def test_a_small_experiment_fills_the_width(targets: list[str]) -> None:
    table = made_up.table(sweep("ner", t, "en", "de", 1, scores(40, 50, 44)) for t in targets)
    for name in ("zero_shot", "lambda_impact"):
        drawn = figures.DRAW[name](table, CAPTION | {"seeds": [1]})
        drawn.draw_without_rendering()
        right = max(axis.get_window_extent().x1 for axis in drawn.axes)
        assert right > 0.9 * drawn.bbox.width
        plt.close(drawn)


# --- the other experiments, by hand -------------------------------------------------------------


def sweep(task, target, left, right, seed, test, chosen=0.5, **names):
    """Rows of one cell; None for the test scores of one that is missing."""
    operands = f"{left}+{right}"
    if test is None:
        return made_up.gone(target, operands, seed, task=task, **names)
    return made_up.cell(target, operands, seed, test, chosen=chosen, task=task, **names)


def scores(right: float, merged: float, left: float) -> dict[float, float]:
    return {0.0: right, 0.5: merged, 1.0: left}


def bars(axis) -> list[float]:
    return [patch.get_height() for patch in axis.patches if patch.get_hatch() != STUB]


def points(axis) -> list[float]:
    """Heights of the points that stand for bars."""
    lines = [line for line in axis.get_lines() if line.get_marker() in MARKS]
    return [float(line.get_ydata()[0]) for line in lines]


MARKS = (
    *(palette.TASK_LANGUAGE_MARK, palette.RELATED_MARK, palette.MERGED_MARK, palette.TARGET_MARK),
    *("d", *palette.OTHER_MARKS),
)


def stubs(axis) -> int:
    return sum(patch.get_hatch() == STUB for patch in axis.patches)


def foot(figure) -> str:
    return figure.get_supxlabel().replace("\n", " ")


STUB = figures.style.MISSING_HATCH
ENHANCED = [
    # English pairs better on validation for es, French's related language for fr
    sweep("ner", "es", "en", "es", 1, scores(50, 54, 10)),
    sweep("ner", "es", "en", "es", 2, scores(52, 58, 10)),
    sweep("ner", "es", "fr", "es", 1, scores(50, 53, 20)),
    sweep("ner", "es", "fr", "es", 2, scores(52, 57, 20)),
    sweep("ner", "fr", "en", "fr", 1, scores(60, 58, 10)),
    sweep("ner", "fr", "en", "fr", 2, scores(64, 62, 10)),
    sweep("ner", "fr", "es", "fr", 1, scores(60, 63, 20)),
    sweep("ner", "fr", "es", "fr", 2, scores(64, 64, 20)),
]


def test_enhancement_bars_are_madx_both_pairings_and_the_better() -> None:
    drawn = figures.DRAW["enhancement"](made_up.table(ENHANCED), CAPTION)
    (axis,) = drawn.axes
    es, fr, average = [51, 56, 55, 56], [62, 60, 63.5, 63.5], [56.5, 58, 59.25, 59.75]
    # all scores are above half of the highest: points, on an axis that does not start at zero
    assert points(axis) == pytest.approx([*es, *fr, *average])
    assert not bars(axis) and axis.get_ylim()[0] > 40
    assert "the axes do not start at zero" in foot(drawn)
    assert [text.get_text() for text in axis.texts] == ["+5.0", "+1.5", "+3.2"]
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "MAD-X (target alone)",
        "LA(en, target)",
        "LA(related, target)",
        "LA(en/related, target)",
    ]
    plt.close(drawn)


def test_low_resource_lines_are_the_adapter_alone_and_merged() -> None:
    by_budget = {"10k": (30, 50), "1M": (40, 54), "full": (58, 60)}
    cells = [
        sweep(
            "ner", "fr", "en", f"fr@{budget}".removesuffix("@full"), seed, scores(a + d, b + d, 5)
        )
        for budget, (a, b) in by_budget.items()
        for seed, d in ((1, -1), (2, 1))
    ]
    drawn = figures.DRAW["low_resource"](made_up.table(cells), CAPTION)
    (axis,) = drawn.axes
    assert axis.get_title() == "fr: NER (F1, %)"
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10k", "1M", "full"]
    assert list(axis.get_xticks())[:2] == [1e4, 1e6]
    assert axis.get_xticks()[2] > 5e6  # apart from the largest budget
    direct, direct_full, merged, merged_full = axis.containers
    lines = [container.lines[0] for container in (direct, merged)]
    assert [list(line.get_ydata()) for line in lines] == [[30, 40], [50, 54]]
    assert [line.get_linestyle() for line in lines] == ["--", "-"]
    assert [line.get_color() for line in lines] == [palette.TARGET, palette.MERGED]
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels[-1] == "to the right: all text"  # what the dashed line is
    # about their budgets, side by side
    assert list(lines[0].get_xdata()) == pytest.approx([1e4, 1e6], rel=0.1)
    assert lines[0].get_xdata()[0] < 1e4 < lines[1].get_xdata()[0]
    assert [list(c.lines[0].get_ydata()) for c in (direct_full, merged_full)] == [[58], [60]]
    (spread,) = {
        round((end[1] - start[1]) / 2, 9)
        for container in axis.containers
        for start, end in container.lines[2][0].get_segments()
    }
    assert spread == pytest.approx(2**0.5)
    plt.close(drawn)


def test_lambda_impact_draws_the_mean_curve_both_ends_and_the_choices() -> None:
    cells = [
        sweep("ner", "es", "en", "fr", 1, scores(40, 50, 44)),
        sweep("ner", "es", "en", "fr", 2, scores(42, 56, 62), chosen=1.0),
        sweep("nli", "fr", "en", "es", 1, scores(30, 31, 32), chosen=1.0),
        sweep("nli", "fr", "en", "es", 2, scores(30, 31, 32), chosen=1.0),
    ]
    drawn = figures.DRAW["lambda_impact"](made_up.table(cells), CAPTION)
    assert [axis.get_title() for axis in drawn.axes] == ["es (en, fr)", "fr (en, es)"]
    (line,) = drawn.subfigs  # both side by side, so that none of the width is empty
    assert [part.get_suptitle() for part in line.subfigs] == ["NER (F1, %)", "NLI (accuracy, %)"]
    assert [part.get_supxlabel() for part in line.subfigs] == ["λ", "λ"]
    assert line.subfigs[0].get_supylabel() == "validation score (%)"
    left, right, *seeds, curve, chosen = drawn.axes[0].get_lines()
    assert [list(seed.get_ydata()) for seed in seeds] == [[41, 51, 45], [43, 57, 63]]
    assert list(curve.get_xdata()) == [0.0, 0.5, 1.0]
    assert list(curve.get_ydata()) == [42, 54, 54]  # validation lies a point above test
    assert (left.get_ydata()[0], right.get_ydata()[0]) == (54, 42)
    assert (left.get_color(), right.get_color()) == ("#56B4E9", "#E69F00")
    assert left.get_linestyle() != "-" != right.get_linestyle() != left.get_linestyle()
    assert list(zip(chosen.get_xdata(), chosen.get_ydata(), strict=True)) == [(0.5, 51), (1.0, 63)]
    assert not drawn.axes[0].collections  # no band
    plt.close(drawn)


def test_relatedness_matrix_has_means_spreads_and_dashes() -> None:
    values = {("es", "ca"): (70, 72), ("es", "fr"): (75, 75), ("fr", "ca"): (60, 62)}
    values["fr", "es"] = (62.5, 63.5)
    cells = [
        sweep("ner", target, other, target, seed, scores(1, value, 2))
        for (target, other), pair in values.items()
        for seed, value in zip((1, 2), pair, strict=True)
    ]
    caption = CAPTION | {"languages": ["en", "es", "fr", "ca"]}
    drawn = figures.DRAW["relatedness"](made_up.table(cells), caption)
    axis = drawn.axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["es", "fr", "ca"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["es", "fr"]
    output = {(int(x), int(y)): text for text in axis.texts for x, y in [text.get_position()]}
    assert {place: text.get_text() for place, text in output.items()} == {
        (0, 0): "–",
        (1, 0): "75.00\n± 0.00",
        (2, 0): "71.00\n± 1.41",
        (0, 1): "63.00\n± 0.71",
        (1, 1): "–",
        (2, 1): "61.00\n± 1.41",
    }
    assert axis.get_ylim() == (2, 0)  # the first row is the upper one
    best = [place for place, text in output.items() if text.get_fontweight() == "bold"]
    assert sorted(best) == [(0, 1), (1, 0)]
    plt.close(drawn)


def test_ties_bars_are_language_arithmetic_and_each_ties() -> None:
    merged = {"la": (60, 62), "ties80": (57, 59), "ties20": (50, 54)}
    cells = [
        sweep("ner", "es", "en", "fr", seed, {1.0: value}, 1.0, method=method)
        for method, pair in merged.items()
        for seed, value in zip((1, 2), pair, strict=True)
    ]
    drawn = figures.DRAW["ties"](made_up.table(cells), CAPTION)
    (axis,) = drawn.axes
    assert points(axis) == [61, 52, 58] * 2
    assert [text.get_text() for text in axis.texts] == ["+3.0", "+3.0"]
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels == ["language arithmetic (en, related)", "TIES (top-K% 20)", "TIES (top-K% 80)"]
    plt.close(drawn)


def cosines(kind: str, names: list[str], pairs: dict, *, model: str = "tiny") -> pd.DataFrame:
    """Ordered pairs of both seeds; `pairs` holds (seed 1, seed 2) of each unordered one."""
    values = {(a, b): pair for (x, y), pair in pairs.items() for a, b in ((x, y), (y, x))}
    return pd.DataFrame(
        {"experiment": "similarity", "model": model, "kind": kind, "left": a, "right": b}
        | {"seed": seed, "cosine": 1.0 if a == b else values[a, b][seed - 1]}
        for a in names
        for b in names
        for seed in (1, 2)
    )


def test_similarity_matrices_are_means_of_cosines() -> None:
    pairs = {("en", "es"): (0.21, 0.23), ("en", "fr"): (0.2, 0.2), ("es", "fr"): (0.3, 0.32)}
    languages = cosines("language", ["fr", "en", "es"], pairs)
    # tasks are another matrix, though here one of them is named like a language
    of_tasks = cosines("task", ["ner", "es"], {("ner", "es"): (-0.001, 0.0)})
    drawn = figures.DRAW["similarity"](pd.concat([of_tasks, languages]), CAPTION)
    language, task, bar = drawn.axes
    assert bar.get_ylabel() == "cosine"
    assert language.get_title() == "language vectors\nSD ≤ 0.01"
    assert task.get_title() == "task vectors\nSD ≤ 0.00"
    assert [t.get_text() for t in language.get_xticklabels()] == ["en", "es", "fr"]
    output = {text.get_position(): text.get_text() for text in language.texts}
    assert [[output[x + 0.5, y + 0.5] for x in range(3)] for y in range(3)] == [
        ["1.00", "0.22", "0.20"],
        ["0.22", "1.00", "0.31"],
        ["0.20", "0.31", "1.00"],
    ]
    assert sorted(text.get_text() for text in task.texts) == ["0.00", "0.00", "1.00", "1.00"]
    # the diagonal says nothing: it is grey, and has no shade of the scale
    assert [patch.xy for patch in language.patches] == [(0, 0), (1, 1), (2, 2)]
    assert len({patch.get_facecolor()[:3] for patch in language.patches}) == 1
    assert language.collections[0].get_array().mask.tolist() == np.eye(3, dtype=bool).tolist()
    # one scale of shades for both
    assert language.collections[0].norm is task.collections[0].norm
    plt.close(drawn)


def test_a_single_task_vector_has_no_matrix() -> None:
    languages = cosines("language", ["en", "es"], {("en", "es"): (0.21, 0.23)})
    one_seed = pd.concat([languages, cosines("task", ["ner"], {})]).query("seed == 1")
    drawn = figures.DRAW["similarity"](one_seed, CAPTION)
    language, bar = drawn.axes
    assert (language.get_title(), bar.get_ylabel()) == ("language vectors", "cosine")
    assert drawn.get_supxlabel().startswith("Cosines.")
    plt.close(drawn)


def density(
    language: str, seed: int, height: float | None, share: float, layer="all"
) -> list[dict]:
    base = {"experiment": "sparsity", "model": "tiny", "language": language, "layer": layer}
    base |= {"seed": seed}
    if height is None:
        return [base | {"quantity": "density", "x": None, "value": None}]
    points = {-0.1: 0.0, -0.01: height / 2, 0.0: height, 0.01: height / 2, 0.1: 0.0}
    rows = [base | {"quantity": "density", "x": x, "value": v} for x, v in points.items()]
    shares = {0.001: share, 0.01: 0.5, 0.1: 0.9, 1.0: 1.0}
    return rows + [
        base | {"quantity": "share_below", "x": x, "value": v} for x, v in shares.items()
    ]


def test_sparsity_draws_densities_and_states_shares_below_the_smallest_thresholds() -> None:
    rows = density("fr", 1, 8, 0.2) + density("fr", 2, 9, 0.3) + density("es", 1, 7, 0.1)
    drawn = figures.DRAW["sparsity"](pd.DataFrame(rows + density("es", 2, 6, 0.1)), CAPTION)
    (axis,) = drawn.axes
    assert axis.get_title() == "all layers"
    assert sorted(max(line.get_ydata()) for line in axis.get_lines()) == [6, 7, 8, 9]
    assert axis.get_xlim() == (-0.01, 0.01)
    (text,) = axis.texts
    assert text.get_text().splitlines() == [
        "|w| < 0.001: 10.0–25.0 %",
        "|w| < 0.01: 50.0 %",
        "|w| < 0.1: 90.0 %",
    ]
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == ["es", "fr"]
    plt.close(drawn)


def test_layers_have_panels_or_for_one_language_lines() -> None:
    rows = [r for layer in (0, 11) for r in density("es", 1, 5 + layer, 0.1, layer)]
    drawn = figures.DRAW["sparsity"](pd.DataFrame(rows), CAPTION)
    assert [axis.get_title() for axis in drawn.axes] == ["adapter of es"]
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == ["layer 0", "layer 11"]
    plt.close(drawn)
    rows += [r for layer in (0, 11) for r in density("fr", 1, 6 + layer, 0.1, layer)]
    drawn = figures.DRAW["sparsity"](pd.DataFrame(rows), CAPTION)
    assert [axis.get_title() for axis in drawn.axes] == ["layer 0", "layer 11"]
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == ["es", "fr"]
    plt.close(drawn)


# --- a partial grid -----------------------------------------------------------------------------


def test_missing_bars_are_stubs_and_partly_missing_ones_have_a_dagger() -> None:
    cells = [
        sweep("ner", "es", "en", "fr", 1, scores(40, 50, 44)),
        sweep("ner", "es", "en", "fr", 2, None),
        sweep("ner", "fr", "en", "es", 1, None),
        sweep("ner", "fr", "en", "es", 2, None),
    ]
    drawn = figures.DRAW["zero_shot"](made_up.table(cells), CAPTION)
    (axis,) = drawn.axes
    assert points(axis) == [44, 40, 50]
    assert stubs(axis) == 6  # fr, and the average, which no seed has
    assert [t.get_text() for t in axis.texts] == ["†", "†", "†", "+6.0", "n/a", "n/a"]
    assert "3 of 4 cells are missing (marked by hatched stubs and n/a; †" in foot(drawn)
    plt.close(drawn)


def test_an_average_takes_the_seeds_that_have_every_target() -> None:
    cells = [
        sweep("ner", "es", "en", "fr", 1, scores(40, 50, 44)),
        sweep("ner", "es", "en", "fr", 2, scores(42, 52, 46)),
        sweep("ner", "fr", "en", "es", 1, scores(10, 20, 14)),
        sweep("ner", "fr", "en", "es", 2, None),
    ]
    drawn = figures.DRAW["zero_shot"](made_up.table(cells), CAPTION)
    assert bars(drawn.axes[0])[-3:] == [29, 25, 35]
    plt.close(drawn)


def test_a_missing_pairing_leaves_no_better_one() -> None:
    cells = [cell for cell in ENHANCED if cell[0]["left"] != "es"]
    cells += [sweep("ner", "fr", "es", "fr", seed, None) for seed in (1, 2)]
    drawn = figures.DRAW["enhancement"](made_up.table(cells), CAPTION)
    (axis,) = drawn.axes
    # an average is over the runs that have all, as in the table: there is none
    assert points(axis) == pytest.approx([51, 56, 55, 56, 62, 60])
    assert stubs(axis) == 6
    assert [text.get_text() for text in axis.texts] == ["+5.0", "n/a", "n/a"]
    assert "2 of 8 cells are missing" in foot(drawn)
    plt.close(drawn)


def test_a_missing_ties_leaves_no_better_one() -> None:
    merged = {"la": {1.0: 60.0}, "ties20": {1.0: 50.0}, "ties80": None}
    cells = [sweep("ner", "es", "en", "fr", 1, v, 1.0, method=m) for m, v in merged.items()]
    drawn = figures.DRAW["ties"](made_up.table(cells), CAPTION)
    (axis,) = drawn.axes
    assert (points(axis), stubs(axis)) == ([60, 50], 4)
    assert [text.get_text() for text in axis.texts] == ["n/a", "n/a"]
    plt.close(drawn)


def test_missing_budgets_are_marked_at_their_place() -> None:
    cells = [
        sweep("ner", "fr", "en", "fr@10k", 1, None),
        sweep("ner", "fr", "en", "fr@10k", 2, None),
        sweep("ner", "fr", "en", "fr@1M", 1, scores(40, 50, 5)),
        sweep("ner", "fr", "en", "fr@1M", 2, None),
    ]
    drawn = figures.DRAW["low_resource"](made_up.table(cells), CAPTION)
    output = [(text.get_text(), text.xy[0]) for text in drawn.axes[0].texts]
    assert [text for text, _ in output] == ["†", "†", "n/a"]
    assert output[2][1] == 1e4
    assert "3 of 4 cells are missing (marked n/a; †" in foot(drawn)
    plt.close(drawn)


def test_a_missing_curve_is_a_hatched_panel() -> None:
    cells = [
        sweep("ner", "es", "en", "fr", 1, None),
        sweep("ner", "es", "en", "fr", 2, None),
        sweep("ner", "fr", "en", "es", 1, scores(10, 20, 14)),
        sweep("ner", "fr", "en", "es", 2, None),
    ]
    drawn = figures.DRAW["lambda_impact"](made_up.table(cells), CAPTION)
    es, fr = drawn.axes
    assert (es.get_title(), fr.get_title()) == ("es (en, fr)", "fr (en, es)†")
    assert (stubs(es), stubs(fr)) == (1, 0)
    assert [text.get_text() for text in es.texts] == ["n/a"]
    assert "3 of 4 cells are missing" in foot(drawn)
    plt.close(drawn)


def test_missing_entries_of_matrices_are_hatched() -> None:
    cells = [
        sweep("ner", "es", "fr", "es", 1, None),
        sweep("ner", "es", "fr", "es", 2, None),
        sweep("ner", "es", "ca", "es", 1, scores(1, 60, 2)),
        sweep("ner", "es", "ca", "es", 2, None),
    ]
    drawn = figures.DRAW["relatedness"](made_up.table(cells), CAPTION)
    assert stubs(drawn.axes[0]) == 1
    assert sorted(t.get_text() for t in drawn.axes[0].texts) == ["60.00†", "n/a", "–"]
    assert "3 of 4 cells are missing" in foot(drawn)
    plt.close(drawn)

    table = cosines("language", ["en", "es"], {("en", "es"): (0.2, 0.3)})
    both, one = table["left"].eq("es") | table["right"].eq("es"), table["seed"] == 1
    drawn = figures.DRAW["similarity"](
        table.assign(cosine=table["cosine"].mask(both & one)), CAPTION
    )
    assert [t.get_text() for t in drawn.axes[0].texts] == ["1.00", "0.30†", "0.30†", "1.00†"]
    assert "1 of 4 vectors is missing" in foot(drawn)
    plt.close(drawn)
    drawn = figures.DRAW["similarity"](table.assign(cosine=table["cosine"].mask(both)), CAPTION)
    assert [t.get_text() for t in drawn.axes[0].texts] == ["1.00", "n/a", "n/a", "n/a"]
    assert stubs(drawn.axes[0]) == 3
    plt.close(drawn)


def test_missing_densities_are_named_in_the_legend() -> None:
    rows = density("es", 1, 8, 0.2) + density("es", 2, None, 0) + density("fr", 1, None, 0)
    drawn = figures.DRAW["sparsity"](pd.DataFrame(rows), CAPTION)
    assert [t.get_text() for t in drawn.legends[0].get_texts()] == ["es†", "fr (n/a)"]
    assert "2 of 3 vectors are missing" in foot(drawn)
    plt.close(drawn)


# --- every figure, large and small --------------------------------------------------------------

THIRTEEN = "ar bg de el es fr hi ru sw tr ur vi zh".split()
LARGE = {
    "study": "large",
    "note": "Made up, so that nothing here can be taken for a result by anybody at all.",
    "models": ["xlm-roberta-base", "mbert"],
    "seeds": [42, 51, 99],
    "task_language": "en",
    "languages": ["en", *THIRTEEN, "as", "ca", "it", "pt", "ro"],
}
COVERED = {"ner": THIRTEEN, "nli": THIRTEEN, "qa": "ar de el es hi ru tr vi zh".split()}
GRID = [round(0.05 * i, 2) for i in range(21)]


def large(name: str, *, missing: int = 0) -> pd.DataFrame:
    """A table of the paper's size with made-up scores; every `missing`-th cell is missing."""
    seeds, count = LARGE["seeds"], 0

    def cell(task, target, left, right, seed, **kind):
        nonlocal count
        count += 1
        level = 40 + 7 * ((sum(map(ord, task + target)) * 7) % 5) + seed % 3
        values = {w: level + 9 * (w * (1 - w)) - (count % 4) * w for w in GRID}
        gone = missing and count % missing == 0
        return sweep(task, target, left, right, seed, None if gone else values, **kind)

    def related(target):
        return "es" if target != "es" else "fr"

    one = [
        (model, t, target) for model in LARGE["models"] for t in COVERED for target in COVERED[t]
    ]
    first = [place for place in one if place[0] == LARGE["models"][0]]
    if name == "forgetting":
        return made_up.forgotten(["en", *THIRTEEN], LARGE["models"][0], seeds, missing)
    if name == "analogy":
        cells = [
            made_up.cell(t, operands, s, {0.0: 40 + s, 1.0: 43.5}, chosen=1.0, task=task, method=m)
            if not missing or count % missing
            else made_up.gone(t, operands, s, task=task, method=m)
            for task in ("ner", "nli")
            for count, t in enumerate(("es", "fr", "it", "pt"))
            for m, operands in (("analogy", "ru+bg+de"), ("la", "en+de"))
            for s in seeds
        ]
        cells = [[row | {"model": LARGE["models"][0]} for row in rows] for rows in cells]
    elif name in ("zero_shot", "lambda_impact", "label_free"):
        places = one if name == "zero_shot" else first
        cells = [
            cell(task, t, "en", related(t), s, model=m) for m, task, t in places for s in seeds
        ]
    elif name == "enhancement":
        cells = [
            cell(task, t, left, t, s, model=m)
            for m, task, t in one
            for left in ("en", related(t))
            for s in seeds
        ]
    elif name in ("ties", "methods"):
        others = ("ties20", "ties80") if name == "ties" else ("ties20", "ties80", "slerp")
        cells = [
            cell(task, t, "en", related(t), s, model=m, method=method)
            for m, task, t in first
            if task == "ner"
            for method in ("la", *others)
            for s in seeds
        ]
    elif name == "pool":
        cells = [
            cell(task, t, "en", relatives, s, model=m, method=method)
            for m, task, t in first
            for relatives in ("fr", "fr+de", "fr+de+sw")
            for method in (("la",) if relatives == "fr" else ("la", "soup"))
            for s in seeds
        ]
    elif name == "relatedness":
        cells = [
            cell(task, t, other, t, s, model="xlm-roberta-base")
            for task in ("ner", "nli")
            for t in ("es", "fr")
            for other in "ca es fr it pt ro".split()
            if other != t
            for s in seeds
        ]
    else:
        steps = {"as": 4, "sw": 4, "fr": 6}
        budgets = ["10k", "100k", "1M", "10M", "100M", "1B"]
        cells = [
            cell(task, t, "en", t if b == "full" else f"{t}@{b}", s, model="xlm-roberta-base")
            for task in ("ner", "nli")
            for t in steps
            for b in [*budgets[: steps[t]], "full"]
            for s in seeds
        ]
    return made_up.rules(cells) if name == "label_free" else made_up.table(cells)


def large_vectors(name: str, *, missing: int = 0) -> pd.DataFrame:
    names = {"language": ["en", *THIRTEEN], "task": ["ner", "nli", "qa"]}
    if name == "similarity":
        parts = [
            cosines(
                kind,
                names[kind],
                {(a, b): pair for a in names[kind] for b in names[kind]},
                model=model,
            )
            for model in LARGE["models"]
            for kind, pair in (("language", (0.22, 0.24)), ("task", (0.02, -0.04)))
        ]
        table = pd.concat(parts, ignore_index=True)
        gone = (table["left"] == "sw") | (table["right"] == "sw") | (table["left"] == "nli")
        if missing:
            table["cosine"] = table["cosine"].mask(gone & (table["model"] == "mbert"))
            table["cosine"] = table["cosine"].mask(gone & (table["seed"] == 1))
        return table
    rows = [
        row | {"model": model}
        for model in LARGE["models"]
        for i, language in enumerate(THIRTEEN)
        for layer in (0, 5, 11)
        for seed in LARGE["seeds"]
        for row in density(
            language, seed, None if missing and i % missing == 0 else 9 + i, 0.1, layer
        )
    ]
    return pd.DataFrame(rows)


def tables_of(name: str, *, missing: int = 0) -> pd.DataFrame:
    make = large_vectors if name in ("similarity", "sparsity") else large
    return make(name, missing=missing)


def words(figure) -> list[Text]:
    """All text that is seen."""
    figure.draw_without_rendering()
    unseen = set()
    for axis in figure.axes:
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in [*side.get_major_ticks(), *side.get_minor_ticks()]:
                if not low - slack <= tick.get_loc() <= high + slack:
                    unseen |= {tick.label1, tick.label2}
    found = figure.findobj(Text)
    return [t for t in found if t.get_text().strip() and t.get_visible() and t not in unseen]


OVER = {
    "zero_shot": intervals.BETTER_PROXY,
    "enhancement": intervals.MADX,
    "ties": intervals.BEST_OTHER,
}


def large_intervals(name: str) -> dict:
    """Intervals of the gains of figures that show them in strips."""
    return {
        intervals.key(model, task, target, OVER[name]): (-1.5, 4.0)
        for model in LARGE["models"]
        for task, targets in COVERED.items()
        for target in [*targets, analysis.AVERAGE]
        if name in OVER
    }


@pytest.mark.parametrize("missing", [0, 5], ids=["whole", "partial"])
@pytest.mark.parametrize("name", figures.DRAW)
def test_figures_of_the_paper_s_size_are_legible(name: str, missing: int) -> None:
    caption = LARGE | {"intervals": large_intervals(name)}
    drawn = figures.DRAW[name](tables_of(name, missing=missing), caption)
    output = words(drawn)
    assert min(text.get_fontsize() for text in output) >= 7
    # mathematics has smaller letters than its text
    assert not any("$" in text.get_text() for text in output)
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in output]
    clashes = [
        (first, second)
        for i, (first, box) in enumerate(boxes)
        for second, other in boxes[i + 1 :]
        if box.overlaps(other)
    ]
    assert not clashes
    assert drawn.get_tightbbox().width < style.TEXT_WIDTH + 0.05
    assert drawn.get_figheight() < 9.2  # a page
    models = LARGE["models"][: 2 if name in TWO_MODELS else 1]
    plural = "s" if len(models) > 1 else ""
    assert f"Study: large. Model{plural}: {', '.join(models)}. Seed" in foot(drawn)
    assert foot(drawn).endswith("by anybody at all.")
    assert ("missing (marked" in foot(drawn)) == bool(missing)
    plt.close(drawn)


TWO_MODELS = ("zero_shot", "enhancement", "similarity", "sparsity")


@pytest.mark.parametrize("state", ["there", "gone"])
@pytest.mark.parametrize("name", figures.DRAW)
def test_an_experiment_of_a_single_cell_is_drawn(name: str, state: str, tmp_path: Path) -> None:
    gone = state == "gone"
    values = None if gone else scores(40, 50, 44)
    cell = {
        "enhancement": sweep("ner", "es", "en", "es", 1, values),
        "low_resource": sweep("ner", "es", "en", "es@10k", 1, values),
        "relatedness": sweep("ner", "es", "fr", "es", 1, values),
    }.get(name, sweep("ner", "es", "en", "fr", 1, values))
    if name == "ties":
        cell += sweep("ner", "es", "en", "fr", 1, values, method="ties20")
    table = made_up.rules([cell]) if name == "label_free" else made_up.table([cell])
    if name == "forgetting":
        table = made_up.forgotten(["es"], "tiny", [1], int(gone))
    if name == "analogy":
        merged = sweep("ner", "es", "fr+de", "sw", 1, values, method="analogy")
        table = made_up.table([merged, cell])
    if name == "similarity":
        table = cosines("language", ["es"], {}).query("seed == 1")
        table = table.assign(cosine=float("nan")) if gone else table
    if name == "sparsity":
        table = pd.DataFrame(density("es", 1, None if gone else 5, 0.1))
    written = []
    for again in ("first",) if gone else ("first", "second"):
        drawn = figures.DRAW[name](table, CAPTION | {"seeds": [1]})
        assert "Seed: 1." in foot(drawn)
        assert ("missing (marked" in foot(drawn)) == gone
        paths = [tmp_path / f"{again}.{suffix}" for suffix in ("pdf", "png")]
        figures.save(drawn, paths)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[-1]
