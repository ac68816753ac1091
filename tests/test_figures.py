"""Figures: the numbers behind the bars, against a computation by hand, and files that repeat."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from langarith import analysis, figures, tables

CAPTION = {
    "study": "little",
    "note": "Made up.",
    "models": ["tiny"],
    "seeds": [1, 2],
    "task_language": "en",
    "languages": ["en", "es", "fr"],
}
# From LITTLE_RESULTS in conftest.py, by hand. Per target and kind, the mean over seeds 1 and 2.
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
GAINS = {"ner": ["+7.0", "+1.0", "+6.5"], "nli": ["+0.0", "+0.0"]}
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
        groups = list(MEANS[task])
        if task == "nli":
            groups *= 2  # the average of one target is that target
        bars = [patch.get_height() for patch in axis.patches]
        expected = [mean for group in groups for mean in MEANS[task][group]]
        assert bars == pytest.approx(expected)
        spreads = [
            (segment[1][1] - segment[0][1]) / 2
            for container in axis.containers
            if hasattr(container, "errorbar")
            for segment in container.errorbar.lines[2][0].get_segments()
        ]
        expected = [spread for group in groups for spread in SPREADS[task][group]]
        assert spreads == pytest.approx(expected)
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels == [*dict.fromkeys(g for g in groups if g != "avg."), "avg."]


def test_gain_is_over_the_better_of_the_two_mean_proxies(figure) -> None:
    for axis, task in zip(figure.axes, GAINS, strict=True):
        assert [text.get_text() for text in axis.texts] == GAINS[task]


def test_figure_says_what_it_shows_and_where_from(figure) -> None:
    assert [axis.get_title() for axis in figure.axes] == ["NER (F1, %)", "NLI (accuracy, %)"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "en adapter",
        "related language's adapter",
        "language arithmetic (en, related)",
    ]
    foot = figure.get_supxlabel().replace("\n", " ")
    assert foot == "Study: little. Seeds: 1, 2. Model: tiny. Made up."
    assert figure.get_figwidth() == figures.TEXT_WIDTH


def test_one_seed_has_no_spread(table: pd.DataFrame) -> None:
    drawn = figures.zero_shot(table[table["seed"] == 1], CAPTION | {"seeds": [1]})
    assert [text.get_text() for text in drawn.axes[0].texts] == ["+6.0", "+0.0", "+5.0"]
    plt.close(drawn)


def test_models_have_a_row_of_panels_each(table: pd.DataFrame) -> None:
    two = pd.concat([table, table.assign(model="other")], ignore_index=True)
    drawn = figures.zero_shot(two, CAPTION)
    titles = [axis.get_title() for axis in drawn.axes]
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
    }
    paths = []
    for name, rows in logs.items():
        folder = tmp_path / "adapters" / "tiny" / name
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(str(folder / "metrics.jsonl"))
    drawn = figures.learning_curves(paths, CAPTION)
    panels = [axis for axis in drawn.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["tiny: language adapters", "tiny: ner"]
    assert [axis.get_ylabel() for axis in panels] == ["held-out loss (nats)", "F1 (%)"]
    lines = panels[0].get_lines()
    assert list(lines[0].get_xdata()) == [5, 9]
    assert list(lines[0].get_ydata()) == [3.0, 2.5]
    # seeds of one adapter share a colour and a line of the legend
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert [t.get_text() for t in panels[0].get_legend().get_texts()] == ["fr", "es@10k"]
    plt.close(drawn)
