"""Rules that choose lambda: what they may look at, and what they choose on cells made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langarith import layout, merging
from langarith.evaluation import outcomes, selection
from langarith.evaluation.selection import CellScores
from langarith.results import choice_of_study, estimates, gains, label_free, statistics, tables

RELATED = {"es": "fr", "de": "fr"}
GRID = [(round(0.05 * i, 2),) for i in range(21)]
scores = st.lists(st.integers(0, 40), min_size=21, max_size=21)


def curve(values: list[int]) -> dict[tuple[float, ...], float]:
    return dict(zip(GRID, map(float, values), strict=True))


def swept(target: str, validation: list[int], entropy: list[int], test: list[int]) -> CellScores:
    curves = [curve(values) for values in (validation, entropy, test)]
    losses = curve([abs(i - 8) for i in range(21)])
    return CellScores(
        "tiny", "ner", target, "la", "en+fr", 1, *curves, (3.0, 4.0), 0.5, masked_lm=losses
    )


def choices(cell: CellScores, others: list[CellScores]) -> dict[str, object]:
    return {name: selection.get(name).choose(cell, others) for name in selection.names()}


@given(scores, scores, scores, scores, scores)
def test_no_rule_but_the_oracle_looks_at_test_labels(val, entropy, test, other, scrambled) -> None:
    cell, others = swept("es", val, entropy, test), [swept("de", other, entropy, test)]
    before = choices(cell, others)
    after = choices(replace(cell, test=curve(scrambled)), others)
    assert {n for n in before if before[n] != after[n]} <= {"oracle"}
    assert before["oracle"] == selection.select(cell.test, 0.5)


@given(scores, scores, scores, scores, scores)
def test_validation_labels_of_the_target_move_the_papers_rule_alone(
    val, entropy, test, other, scrambled
) -> None:
    cell, others = swept("es", val, entropy, test), [swept("de", other, entropy, test)]
    before = choices(cell, others)
    after = choices(replace(cell, validation=curve(scrambled)), others)
    assert {n for n in before if before[n] != after[n]} <= {"validation"}
    for name in before:
        if selection.get(name).labels == "none":  # nor those of other languages
            moved = [replace(others[0], validation=curve(scrambled))]
            assert selection.get(name).choose(cell, moved) == before[name]


def test_choices_by_hand() -> None:
    flat = [0] * 21
    high_at = {at: [30 if i == at else 0 for i in range(21)] for at in (2, 6, 12, 17)}
    cell = swept("es", high_at[2], [1 if i != 6 else 0 for i in range(21)], high_at[17])
    cell = replace(cell, masked_lm=curve([0 if i == 17 else 3 for i in range(21)]))
    others = [swept("de", high_at[12], flat, flat), swept("fr", flat, flat, flat)]
    assert choices(cell, others) == {
        "validation": (0.1,),
        "transfer": (0.6,),
        "entropy": (0.3,),
        "mlm": (0.85,),
        "norm": (0.35,),  # 9 / 25 = 0.36
        "fixed": (0.5,),
        "left": (1.0,),
        "right": (0.0,),
        "oracle": (0.85,),
    }
    assert selection.get("transfer").choose(cell, []) is None
    assert selection.get("norm").choose(replace(cell, norms=()), []) is None
    assert selection.get("mlm").choose(replace(cell, masked_lm={}), []) is None


def test_every_rule_says_whose_labels_it_needs() -> None:
    labels = {name: selection.get(name).labels for name in selection.names()}
    assert labels.pop("validation") == "target"
    assert labels.pop("transfer") == "other targets"
    assert labels.pop("oracle") == "test"
    assert set(labels.values()) == {"none"}


# ---------------------------------------------------------------- the table


@pytest.fixture
def cells(tmp_path: Path) -> list[dict]:
    """Two targets, two seeds, three points; right and wrong by example on test."""
    rng, made = np.random.default_rng(1), []
    for target, share in {"es": 0.6, "de": 0.4}.items():
        for seed in (1, 2):
            right = {(p,): rng.binomial(1, share + 0.2 * p * (1 - p), 80) for p in (0.0, 0.5, 1.0)}
            values = {point: 100 * float(hits.mean()) for point, hits in right.items()}
            folder = tmp_path / f"evaluation/tiny/nli/{target}/la/en+fr/seed{seed}"
            folder.mkdir(parents=True)
            counts = {point: {"correct": hits} for point, hits in right.items()}
            outcomes.write(folder / "outcomes.parquet", {"test": counts})
            entries = [
                {"lambda": p, "metrics": {"accuracy": value}, "entropy": 1.0 - p / 10}
                for (p,), value in values.items()
            ]
            made.append(
                {"model": "tiny", "task": "nli", "target": target, "method": "la"}
                | {"operands": "en+fr", "seed": str(seed), "metric": "accuracy"}
                | {"validation": entries[::-1], "test": entries, "norms": [1.0, 1.0]}
                | {"examples": {"validation": 40, "test": 40}}
            )
            (folder / "selected.json").write_text(json.dumps(made[-1]))
    return made


def test_the_table_has_a_row_per_cell_and_rule_with_regret_and_rank(cells) -> None:
    table = pd.DataFrame(label_free.rows(cells, "en", RELATED), columns=label_free.COLUMNS)
    assert set(table["rule"]) == set(selection.names()) - {"mlm"}  # which needs jobs of its own
    assert len(table) == 4 * len(selection.without_own_jobs())
    for _, rows in table.groupby(["target", "seed"]):
        by_rule = rows.set_index("rule")
        assert by_rule.loc["validation", "regret"] == 0
        assert by_rule["regret"].tolist() == pytest.approx(
            (by_rule.loc["validation", "value"] - by_rule["value"]).tolist()
        )
        assert by_rule.loc["oracle", "value"] == by_rule["value"].max()
        assert by_rule["rank"].drop("oracle").sum() == 7 * 8 / 2
        assert np.isnan(by_rule.loc["oracle", "rank"])


def test_the_table_has_the_rules_that_a_study_names(cells) -> None:
    losses = [
        {name: cell[name] for name in ("model", "target", "method", "operands", "seed")}
        | {"losses": [{"lambda": p, "loss": 2.0 - (p == 1.0)} for p in (0.0, 0.5, 1.0)]}
        for cell in cells
        if cell["target"] == "es"
    ]
    table = pd.DataFrame(
        label_free.rows(cells, "en", RELATED, (), ["validation", "fixed", "mlm"], losses)
    )
    assert set(table["rule"]) == {"validation", "fixed", "mlm"}
    by_losses = table[table["rule"] == "mlm"]
    assert by_losses["target"].tolist() == ["es", "es"]  # none without losses
    assert by_losses["lambda"].tolist() == [1.0, 1.0]


def test_regrets_have_intervals(cells, tmp_path: Path) -> None:
    path = tmp_path / "label_free.csv"
    tables.write(label_free.rows(cells, "en", RELATED), path, label_free.COLUMNS)
    found = gains.gains("label_free", tables.read(path), "en")
    outcomes_of = layout.cell_paths(map(str, tmp_path.rglob("outcomes.parquet")))
    table = estimates.estimate("label_free", found, outcomes_of, {"nli": "nli"})
    assert set(table["rule"]) == set(selection.without_own_jobs()) - {"validation"}
    regrets = tables.read(path).groupby(["rule", "target"])["regret"].mean()
    for row in table[table["target"] != "avg."].itertuples():
        assert row.gain == pytest.approx(-regrets[row.rule, row.target])
        assert row.low <= row.gain <= row.high
    # comparisons of one rule are adjusted together
    of_left = table[(table["rule"] == "left") & (table["target"] != "avg.")]
    assert of_left["p_holm"].tolist() == statistics.holm(of_left["p"].tolist())


LAMBDAS = [0.0, 0.25, 0.5, 0.75, 1.0]
SEARCHED = [n for n in merging.examples() if len(merging.get(n).points(LAMBDAS, 2)) > 1]


@pytest.mark.parametrize("name", SEARCHED)
def test_every_number_of_a_point_is_near_what_a_closed_rule_says(name: str) -> None:
    """`layers` has two numbers: norms of 3 and 4 give (0.36, 0.36), not (0.36, 0)."""
    method = merging.get(name)
    points = method.points(LAMBDAS, 2)
    flat = dict.fromkeys(points, 1.0)
    neutral = selection.neutral(method, points[0])
    cell = CellScores("tiny", "ner", "es", name, "en+fr", 1, flat, flat, flat, (3.0, 4.0), neutral)
    found = {n: selection.get(n).choose(cell, []) for n in ("norm", "fixed", "left", "right")}
    numbers = len(points[0])
    assert found["norm"] == (0.25,) * numbers
    assert found["left"] == (1.0,) * numbers
    assert found["right"] == (0.0,) * numbers
    assert found["fixed"] == (neutral,) * numbers


def test_transfer_looks_at_the_same_cells_in_label_free_and_in_tables(cells) -> None:
    """At other targets that the experiment does not show, too."""
    shown = [cell for cell in cells if cell["target"] == "es"]
    others = [cell for cell in cells if cell["target"] != "es"]
    rows = label_free.rows(shown, "en", RELATED, others=others)
    found = {row["seed"]: row["lambda"] for row in rows if row["rule"] == "transfer"}
    swept = [CellScores.read(cell) for cell in shown], [CellScores.read(cell) for cell in others]
    of_tables = choice_of_study.rows("zero_shot", "transfer", *swept, "en", RELATED)
    assert found == {row["seed"]: row["lambda"] for row in of_tables} and len(found) == 2
    assert not [row for row in label_free.rows(shown, "en", RELATED) if row["rule"] == "transfer"]


def test_no_rule_chooses_by_other_targets_where_one_is_missing(cells) -> None:
    """One outside the experiment, too: its sweep may have failed, with `allow_missing`."""
    shown = [cell for cell in cells if cell["target"] == "es"]
    gone, others = [cell for cell in cells if cell["target"] == "de"]
    rows = label_free.rows(shown, "en", RELATED, others=[others], missing_others=[gone])
    assert {row["seed"] for row in rows if row["rule"] == "transfer"} == {2}
    assert {row["seed"] for row in rows if row["rule"] == "entropy"} == {1, 2}


def test_averages_of_a_partial_study_keep_the_order_of_the_rules() -> None:
    """The first cell lacks the choice by other targets, as with `allow_missing`."""
    place = {"model": "tiny", "task": "ner", "rank": 1.0, "regret": 0.0, "value": 50.0}
    rules = {"de": ("validation", "fixed"), "es": ("validation", "transfer", "fixed")}
    table = pd.DataFrame(
        [place | {"target": t, "rule": rule} for t, names in rules.items() for rule in names]
    )
    found = label_free.averages(table)["rule"].tolist()
    assert found == [name for name in selection.names() if name in found] and len(found) == 3
