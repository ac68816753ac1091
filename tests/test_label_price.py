"""The price of labels: against a plain loop, at its ends, and as tables and figures show it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import made_up
from langarith import layout, tasks
from langarith.evaluation import outcomes, selection
from langarith.results import choice_certainty, figures, label_free, label_price, sheets, tables
from langarith.results.caption import Beside

# coarse at the left, fine around 0.6: a search refines near the best point
GRID = [(p,) for p in (0.0, 0.25, 0.5, 0.55, 0.6, 0.65, 0.75, 1.0)]
CAPTION = replace(made_up.CAPTION, languages=["en", "es", "fr", "de"])


def made(kind: str, examples: int, rng: np.random.Generator) -> dict[Any, dict[str, np.ndarray]]:
    """Counts by point; λ near 0.6 is a little better. Few examples have many ties."""
    counts = {}
    gold = rng.integers(0, 3, examples)
    for point in GRID:
        skill = 0.6 - 0.3 * abs(point[0] - 0.6)
        if kind == "ner":
            correct = rng.binomial(gold, skill)
            found = {"correct": correct, "predicted": correct + rng.integers(0, 2, examples)}
            found["gold"] = gold
            counts[point] = {f"{m} {k}": v for m in ("f1", "f1_strict") for k, v in found.items()}
        elif kind == "qa":
            shares = rng.binomial(1, skill, examples) * rng.choice([1 / 3, 2 / 7, 1.0], examples)
            counts[point] = {"f1": shares, "exact_match": (shares == 1).astype(int)}
        else:
            counts[point] = {"correct": rng.binomial(1, skill, examples)}
    return counts


@pytest.fixture
def cells(tmp_path: Path) -> dict[tuple[str, ...], Path]:
    """Two targets of each task and two seeds; de has 40 validation examples, es 120."""
    rng, paths = np.random.default_rng(4), []
    for kind in ("ner", "nli", "qa"):
        for target, examples in (("es", 120), ("de", 40)):
            for seed in (1, 2):
                folder = tmp_path / f"evaluation/tiny/{kind}/{target}/la/en+fr/seed{seed}"
                folder.mkdir(parents=True)
                paths.append(f"{folder}/outcomes.parquet")
                splits = {"validation": made(kind, examples, rng), "test": made(kind, 80, rng)}
                outcomes.write(Path(paths[-1]), splits)
    return layout.cell_paths(paths)


TYPES = {"ner": "ner", "nli": "nli", "qa": "qa"}


def priced(cells: dict[tuple[str, ...], Path], subsets: int = 30) -> pd.DataFrame:
    return pd.DataFrame(label_price.rows(cells, TYPES, subsets), columns=label_price.COLUMNS)


def test_a_plain_loop_over_subsets_gives_the_same(cells) -> None:
    table = priced(cells).set_index(["task", "target", "seed", "labelled"])
    ties = 0
    for (_, kind, target, _, _, seed), path in cells.items():
        task, read = tasks.get(kind), outcomes.read(path)
        metric = task.metrics[0]
        size = len(next(iter(read["validation"][0.5,].values())))

        def scores(split: str, drawn: list[int], task=task, read=read, metric=metric):
            return {
                point: task.total({n: c[drawn] for n, c in counts.items()}, len(drawn))[metric]
                for point, counts in read[split].items()
            }

        test = scores("test", list(range(80)))
        whole = selection.select(scores("validation", list(range(size))), 0.5)
        drawn = label_price.draws(size, f"{kind} {target}", 30)
        for labelled in (10, 25):
            curves = [scores("validation", order[:labelled].tolist()) for order in drawn]
            ties += sum(list(c.values()).count(max(c.values())) > 1 for c in curves)
            chosen = [selection.select(curve, 0.5) for curve in curves]
            row = table.loc[kind, target, int(seed), labelled]
            values = [test[point] for point in chosen]
            assert row["value"] == pytest.approx(np.mean(values), rel=1e-12)
            assert row["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-9)
            near = [abs(point[0] - whole[0]) < 0.0501 for point in chosen]
            assert row["near"] == pytest.approx(np.mean(near))
        assert table.loc[kind, target, int(seed), size]["value"] == test[whole]
    assert ties > 50  # the rule for ties was needed


@pytest.mark.parametrize("kind", TYPES)
def test_all_examples_choose_what_the_whole_validation_data_choose(kind: str) -> None:
    """Whatever the order in which they are drawn, and so are added."""
    task, counts = tasks.get(kind), made(kind, 60, np.random.default_rng(8))
    rounded = {
        point: {n: c.astype(np.float16 if c.dtype == float else np.uint8) for n, c in of.items()}
        for point, of in counts.items()
    }
    drawn = label_price.draws(60, "any", 50)
    metric = task.metrics[0]
    (points, some), (_, whole) = (
        choice_certainty.choices(rounded, task.scores, metric, 0.5, weights)
        for weights in (label_price.weights(drawn, size, 60) for size in (20, 60))
    )
    curve = {point: task.total(of, 60)[metric] for point, of in rounded.items()}
    assert {points[pick] for pick in whole} == {selection.select(curve, 0.5)}
    assert len(set(some)) > 1


def test_subsets_are_nested_drawn_without_replacement_and_the_same_again() -> None:
    drawn = label_price.draws(700, "ner es")
    assert drawn.shape == (label_free.SUBSETS, 500)
    assert all(len(set(order)) == 500 for order in drawn.tolist())
    assert np.array_equal(drawn, label_price.draws(700, "ner es"))
    assert not np.array_equal(drawn, label_price.draws(700, "ner fr"))
    often = np.bincount(drawn[:, :100].ravel(), minlength=700) / label_free.SUBSETS
    assert abs(often - 1 / 7).max() < 0.15


def test_the_table_is_the_same_again_whatever_the_order_of_cells(cells) -> None:
    backwards = dict(reversed(cells.items()))
    again = priced(backwards).sort_values(["task", "target", "seed", "labelled"])
    first = priced(cells).sort_values(["task", "target", "seed", "labelled"])
    pd.testing.assert_frame_equal(first, again.set_axis(first.index), check_exact=True)


def test_sizes_beyond_the_validation_examples_are_left_out(cells) -> None:
    for (target, seed), rows in priced(cells).query("task == 'ner'").groupby(["target", "seed"]):
        sizes = [10, 25, 50, 100, 120] if target == "es" else [10, 25, 40]
        assert rows["labelled"].tolist() == sizes, seed
        assert set(rows["examples"]) == {sizes[-1]}
        last = rows.iloc[-1]
        assert (last["sd"], last["near"]) == (0, 1)


# ---------------------------------------------------------------- what is shown


def rule_table(missing: bool = False) -> pd.DataFrame:
    """Rules on es and de, two seeds; validation scores 50 everywhere."""
    made_cells = [
        made_up.cell(t, "en+fr", s, {0.0: 40.0, 0.5: 50.0, 1.0: 44.0}, chosen=0.5)
        for t in ("es", "de")
        for s in (1, 2)
        if not (missing and (t, s) == ("de", 2))
    ]
    return made_up.rules([*made_cells, *([made_up.gone("de", "en+fr", 2)] if missing else [])])


def price_table(de: int = 100, *, missing: bool = False) -> pd.DataFrame:
    """es has 100 examples, de so many; each size of n examples loses 100 / n points."""
    cell = {"experiment": "label_free", "model": "tiny", "task": "ner", "method": "la"}
    cell |= {"operands": "en+fr", "metric": "f1"}
    rows = []
    for target, examples in (("es", 100), ("de", de)):
        for seed in (1, 2):
            if missing and (target, seed) == ("de", 2):
                continue
            for n in [*(size for size in label_free.SIZES if size < examples), examples]:
                full = n == examples
                value = 50.0 if full else 50 - 100 / n
                rows.append(
                    cell
                    | {"target": target, "seed": seed, "labelled": n, "examples": examples}
                    | {"value": value, "sd": 0.0 if full else seed, "near": float(full)}
                )
    return pd.DataFrame(rows, columns=label_price.COLUMNS)


def test_averages_are_over_all_targets_or_none() -> None:
    found = label_free.price_averages(price_table(40), rule_table())
    # de has 40 examples: no average of 50 and 100, and all are 40 to 100
    assert found["labelled"].fillna(0).tolist() == [10, 25, 0]
    assert found["lost"].tolist() == [10, 4, 0]
    assert found["sd"].tolist() == pytest.approx([math.sqrt(2.5), math.sqrt(2.5), 0])
    assert found.iloc[-1][["least", "most"]].tolist() == [40, 100]
    # 100 examples are all of a target that has 100
    alike = label_free.price_averages(price_table(), rule_table())
    assert alike["labelled"].fillna(0).tolist() == [10, 25, 50, 100, 0]
    gone = label_free.price_averages(price_table(missing=True), rule_table(missing=True))
    assert gone["value"].isna().all() and len(gone) == 5


def test_the_sheet_names_sizes_that_are_left_out_and_what_rules_are_worth() -> None:
    beside = Beside(price=price_table(40))
    sheet = sheets.SHEETS["label_free"](rule_table(), CAPTION, beside)[-1]
    assert sheet.title == "The price of labels, tiny, NER (F1)"
    assert [row[0] for row in sheet.rows] == ["10", "25", "all (40 to 100)"]
    written = [[cell.written() for cell in row[1:]] for row in sheet.rows]
    assert written == [["40.00", "+10.00", "0"], ["46.00", "+4.00", "0"], ["50.00", "0.00", "100"]]
    left_out = "50 (de), 100 (de), 250 (every target), 500 (every target)"
    assert f"Left out, too few validation examples: {left_out}." in sheet.note
    # the right end scores 40, which 10 examples reach; the left end 44
    assert "λ = 0 (right adapter): 10." in sheet.note and "λ = 1 (left adapter): 25;" in sheet.note
    assert "λ = 0.5: all (40 to 100)" in sheet.note
    price = price_table(40).assign(value=lambda table: table["value"] - 8)
    worse = sheets.SHEETS["label_free"](rule_table(), CAPTION, Beside(price=price))[-1]
    assert "λ = 1 (left adapter): not reached with all labels" in worse.note


def test_the_figure_draws_averages_targets_and_levels() -> None:
    drawn = figures.label_price(price_table(40), rule_table(), CAPTION)
    (axis,) = drawn.axes
    lines = [(line.get_xdata(), line.get_ydata(), line.get_color()) for line in axis.get_lines()]
    of_targets = [y for _, y, colour in lines if colour == "0.65"]
    assert [list(y) for y in of_targets] == [[-10, -4, -2, 0], [-10, -4, 0]]
    (average,) = [line for line in axis.get_lines() if line.get_marker() == "o"]
    assert (list(average.get_xdata()), list(average.get_ydata())) == ([10, 25], [-10, -4])
    levels = {y[0] for _, y, colour in lines if colour == figures.price.RULE["color"]}
    assert levels == {-10, -6, 0}
    named = [text.get_text() for text in axis.texts]
    assert {"λ = 0 (right adapter)", "λ = 1 (left adapter)", "other targets"} <= set(named)
    assert not any("oracle" in name or name == "validation" for name in named)
    plt.close(drawn)


def test_a_rule_far_below_leaves_the_lines_their_place() -> None:
    rules = rule_table()
    rules.loc[rules["rule"] == "right", "value"] = 2.0
    drawn = figures.label_price(price_table(), rules, CAPTION)
    (axis,) = drawn.axes
    assert axis.get_ylim()[0] > -25
    assert "λ = 0 (right adapter) ↓ −48.0" in [text.get_text() for text in axis.texts]
    assert "Dashed: the average of a rule; one beyond the panel has an arrow." in drawn.get_label()
    plt.close(drawn)


@pytest.mark.parametrize("name", ["label_free", "label_price"])
def test_captions_explain_a_rule_that_cannot_choose_where_there_is_one(name: str) -> None:
    def caption(rules: pd.DataFrame) -> str:
        if name == "label_free":
            drawn = figures.DRAW[name](rules, CAPTION)
        else:
            drawn = figures.label_price(price_table(40), rules, CAPTION)
        plt.close(drawn)
        return str(drawn.get_label())

    rules = rule_table()
    of_one_cell = (rules["rule"] == "fixed") & (rules["target"] == rules["target"].iloc[0])
    assert "n/a" not in caption(rules) and "arrow" not in caption(rules)
    assert "has no choice in some cell." in caption(rules[~of_one_cell])


def test_missing_cells_are_counted_and_leave_no_average(tmp_path: Path) -> None:
    rules, price = rule_table(missing=True), price_table(missing=True)
    drawn = figures.label_price(price, rules, CAPTION)
    assert "1 of 4 cells is missing" in str(drawn.get_label())
    assert not [line for line in drawn.axes[0].get_lines() if line.get_marker() == "o"]
    plt.close(drawn)
    (sheet,) = [
        one
        for one in sheets.SHEETS["label_free"](rules, CAPTION, Beside(price=price))
        if one.title.startswith("The price")
    ]
    assert "--: missing." in sheet.note


def test_nothing_at_all_is_drawn_without_a_value() -> None:
    gone = made_up.rules([made_up.gone("es", "en+fr", 1)])
    drawn = figures.label_price(pd.DataFrame(columns=label_price.COLUMNS), gone, CAPTION)
    assert "1 of 1 cells is missing" in str(drawn.get_label())
    plt.close(drawn)


def test_the_tidy_table_is_read_as_it_was_written(cells, tmp_path: Path) -> None:
    found = priced(cells)
    tables.write(found.to_dict("records"), tmp_path / "price.csv", label_price.COLUMNS)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "price.csv"), found)
