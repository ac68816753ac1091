"""What is computed from tidy tables, against numbers worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langarith.evaluation import selection
from langarith.results import analysis
from made_up import cell, gone, table

NAN = math.nan


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple]:
    """Rows as tuples; a missing number as None, since NaN equals nothing."""
    found = frame[list(columns)].astype(object)
    return [tuple(row) for row in found.where(found.notna(), None).to_numpy()]


# --- cells and references -----------------------------------------------------------------------


def test_metric_is_the_first_one_that_has_a_score() -> None:
    missing_first = table([gone("es", "en+fr", 1), cell("fr", "en+es", 1, {0.5: 1}, chosen=0.5)])
    assert analysis.metrics(missing_first) == {"ner": "f1"}
    assert analysis.metrics(table([gone("es", "en+fr", 1)])) == {"ner": ""}


def test_cells_have_the_chosen_lambda_and_the_ends() -> None:
    found = analysis.cells(
        table(
            [
                cell("es", "en+fr", 1, {0.0: 40, 0.25: 52, 0.5: 50, 1.0: 44}, chosen=0.25),
                # TIES has no ends
                cell("es", "en+fr", 1, {1.2: 39}, chosen=1.2, method="ties20"),
                cell("fr", "en+fr@10k", 2, {0.0: 7, 0.5: 8, 1.0: 9}, chosen=1.0, task="qa"),
                gone("de", "en+fr", 1),
            ]
        )
    )
    scores = ["lambda", "validation", "at_left", "at_right", "half", "merged"]
    assert rows(found, "task", "target", "method", "budget", *scores) == [
        ("ner", "es", "la", "full", 0.25, 53.0, 44.0, 40.0, 50.0, 52.0),
        ("ner", "es", "ties20", "full", 1.2, 40.0, None, None, None, 39.0),
        ("qa", "fr", "la", "10k", 1.0, 10.0, 9.0, 7.0, 8.0, 9.0),
        ("ner", "de", "la", "full", *[None] * 6),
    ]


def test_references_are_no_cells(little_results) -> None:
    from langarith.results import tables

    found = analysis.cells(
        tables.with_points(pd.DataFrame(tables.rows("zero_shot", *little_results)))
    )
    assert set(found["method"]) == {"la"}
    assert len(found) == 6


# --- averages and gains -------------------------------------------------------------------------


def test_average_of_a_seed_is_over_all_targets_or_there_is_none() -> None:
    scores = pd.DataFrame(
        {
            "target": ["es", "fr", "es", "fr"],
            "seed": [1, 1, 2, 2],
            "a": [10.0, 20.0, 30.0, 50.0],
            "b": [1.0, 3.0, NAN, 7.0],
        }
    )
    assert analysis.seed_averages(scores, ["a"])["a"].to_dict() == {1: 15.0, 2: 40.0}
    both = analysis.seed_averages(scores, ["a", "b"])
    assert both.to_dict() == {"a": {1: 15.0}, "b": {1: 2.0}}


def test_gain_is_over_the_better_mean_not_the_mean_of_the_better() -> None:
    scores = pd.DataFrame({"m": [10.0, 20.0], "a": [9.0, 15.0], "b": [13.0, 14.0]})
    # means: 15, 12, 13.5; the better one of each seed would be 14
    assert analysis.gain(scores, "m", ["a", "b"]) == 1.5
    assert analysis.gain(scores, "m", ["a"]) == 3.0


def test_gain_is_over_the_seeds_that_have_all() -> None:
    scores = pd.DataFrame({"m": [10.0, 99.0], "a": [9.0, NAN]})
    assert analysis.gain(scores, "m", ["a"]) == 1.0
    assert math.isnan(analysis.gain(scores.iloc[1:], "m", ["a"]))


# --- experiments --------------------------------------------------------------------------------


def test_zero_shot_has_both_proxies_and_a_row_for_a_missing_cell() -> None:
    found = analysis.zero_shot(
        table(
            [
                cell("es", "en+fr", 1, {0.0: 40, 0.5: 50, 1.0: 44}, chosen=0.5),
                gone("es", "en+fr", 2),
                cell("es", "en+fr", 1, {1.0: 99}, chosen=1.0, method="ties20"),
            ]
        )
    )
    kinds = ["lambda", "task_language", "related", "merged"]
    assert rows(found, "target", "left", "right", "seed", *kinds) == [
        ("es", "en", "fr", 1, 0.5, 44.0, 40.0, 50.0),
        ("es", "en", "fr", 2, None, None, None, None),
    ]


ENHANCED = ["madx", "la_task_language", "la_related", "la_better", "better"]


def pairing(left: str, seed: int, validation: float, test: float) -> list[dict]:
    """LA(left, es) that chooses 0.5, with the given scores there; MAD-X scores 30 plus the seed."""
    return cell(
        "es",
        f"{left}+es",
        seed,
        {0.0: 30 + seed, 0.5: test, 1.0: 20},
        validation={0.0: 0, 0.5: validation, 1.0: 0},
        chosen=0.5,
    )


def test_better_pairing_is_that_of_the_higher_mean_on_validation() -> None:
    found = analysis.enhancement(
        table(
            [
                # en is better on test, and on validation in one of two seeds; fr in the mean
                pairing("en", 1, 50, 70),
                pairing("en", 2, 60, 80),
                pairing("fr", 1, 58, 61),
                pairing("fr", 2, 54, 62),
            ]
        ),
        "en",
    )
    assert rows(found, "target", "related", "seed", *ENHANCED) == [
        ("es", "fr", 1, 31.0, 70.0, 61.0, 61.0, "fr"),
        ("es", "fr", 2, 32.0, 80.0, 62.0, 62.0, "fr"),
    ]


def test_better_pairing_is_chosen_for_each_target_alone() -> None:
    of_es = [pairing("en", 1, 50, 70), pairing("fr", 1, 58, 61)]
    of_fr = [
        cell("fr", "en+fr", 1, {0.0: 1, 0.5: 3}, chosen=0.5),
        cell("fr", "es+fr", 1, {0.0: 1, 0.5: 2}, chosen=0.5),
        cell("fr", "en+fr", 1, {0.0: 5, 0.5: 6}, chosen=0.5, task="nli"),
        cell("fr", "es+fr", 1, {0.0: 5, 0.5: 7}, chosen=0.5, task="nli"),
    ]
    found = analysis.enhancement(table([*of_es, *of_fr]), "en")
    assert rows(found, "task", "target", "better", "la_better") == [
        ("ner", "es", "fr", 61.0),
        ("ner", "fr", "en", 3.0),
        ("nli", "fr", "es", 7.0),
    ]


def test_of_equal_pairings_the_task_language_is_taken() -> None:
    found = analysis.enhancement(table([pairing("fr", 1, 50, 61), pairing("en", 1, 50, 60)]), "en")
    assert rows(found, *ENHANCED) == [(31.0, 60.0, 61.0, 60.0, "en")]


def test_relative_that_is_the_task_language_has_one_pairing() -> None:
    found = analysis.enhancement(table([pairing("en", 1, 50, 60)]), "en")
    assert rows(found, "related", *ENHANCED) == [("", 31.0, 60.0, 60.0, 60.0, "en")]


def test_pairings_are_compared_on_seeds_that_have_both() -> None:
    """Over all its seeds en has the higher mean, but on the one that both have fr is better."""
    cells = [pairing("en", 1, 50, 70), pairing("en", 2, 70, 80), pairing("fr", 1, 55, 61)]
    found = analysis.enhancement(table([*cells, gone("es", "fr+es", 2)]), "en")
    assert rows(found, "seed", *ENHANCED) == [
        (1, 31.0, 70.0, 61.0, 61.0, "fr"),
        (2, 32.0, 80.0, None, None, "fr"),
    ]


@pytest.mark.parametrize("missing", ["en", "fr"])
def test_no_pairing_is_better_where_one_is_missing(missing: str) -> None:
    there = {"en": "fr", "fr": "en"}[missing]
    found = analysis.enhancement(
        table([gone("es", f"{missing}+es", 1), pairing(there, 1, 50, 60)]), "en"
    )
    (row,) = rows(found, "related", *ENHANCED)
    # MAD-X is the right end of either sweep
    assert row == ("fr", 31.0, *((None, 60.0) if missing == "en" else (60.0, None)), None, "")


def test_low_resource_has_the_direct_use_of_each_budget() -> None:
    found = analysis.low_resource(
        table(
            [
                cell("sw", "en+sw@10k", 1, {0.0: 10, 0.5: 30, 0.75: 31, 1.0: 25}, chosen=0.75),
                cell("sw", "en+sw@1M", 1, {0.0: 20, 0.5: 33, 1.0: 25}, chosen=0.5),
                cell("sw", "en+sw", 1, {0.0: 40, 0.5: 35, 1.0: 25}, chosen=0.0),
                gone("sw", "en+sw@1B", 1),
            ]
        )
    )
    assert rows(found, "budget", "tokens", "lambda", "direct", "merged") == [
        ("10k", 1e4, 0.75, 10.0, 31.0),
        ("1M", 1e6, 0.5, 20.0, 33.0),
        ("full", math.inf, 0.0, 40.0, 40.0),
        ("1B", 1e9, None, None, None),
    ]


def test_relatedness_names_the_other_language() -> None:
    found = analysis.relatedness(
        table(
            [
                cell("es", "ca+es", 1, {0.0: 1, 0.5: 3}, chosen=0.5),
                cell("es", "fr+es", 1, {0.0: 1, 0.5: 2}, chosen=0.0),
            ]
        )
    )
    assert rows(found, "target", "other", "merged") == [("es", "ca", 3.0), ("es", "fr", 1.0)]
    assert analysis.pool_range([73.82, NAN, 75.06, 73.68]) == pytest.approx(1.38)


def test_methods_stand_beside_la() -> None:
    found = analysis.methods(
        table(
            [
                cell("es", "en+fr", 1, {0.0: 1, 0.5: 3, 1.0: 2}, chosen=0.5),
                cell("es", "en+fr", 1, {0.8: 1, 1.4: 2}, chosen=1.4, method="ties20"),
            ]
        )
    )
    assert rows(found, "method", "lambda", "merged") == [("la", 0.5, 3.0), ("ties20", 1.4, 2.0)]


def test_cosines_are_those_of_different_vectors_once_each() -> None:
    found = analysis.cosines(
        pd.DataFrame(
            [
                ("similarity", "tiny", "language", "es", "es", 1, 1.0),
                ("similarity", "tiny", "language", "es", "fr", 1, 0.3),
                ("similarity", "tiny", "language", "fr", "es", 1, 0.3),
                ("similarity", "tiny", "language", "fr", "es", 2, 0.4),
                ("similarity", "tiny", "task", "ner", "qa", 1, 0.0),
            ],
            columns="experiment model kind left right seed cosine".split(),
        )
    )
    assert rows(found, "kind", "left", "right", "seed", "cosine") == [
        ("language", "es", "fr", 1, 0.3),
        ("language", "fr", "es", 2, 0.4),
        ("task", "ner", "qa", 1, 0.0),
    ]


# --- lambda -------------------------------------------------------------------------------------

TENTHS = [round(0.1 * i, 1) for i in range(11)]


def test_curves_are_on_validation_and_on_the_selection_metric() -> None:
    found = analysis.curves(
        table(
            [
                cell("es", "en+fr", 1, {0.0: 40, 0.5: 50, 1.0: 44}, chosen=0.5),
                cell("es", "en+fr", 1, {0.8: 1}, chosen=0.8, method="ties20"),
                gone("es", "en+fr", 2),
            ]
        )
    )
    assert rows(found, "seed", "lambda", "value") == [(1, 0.0, 41), (1, 0.5, 51), (1, 1.0, 45)]


def test_regret_by_hand() -> None:
    """The full grid takes 0.3. That of 0.2 has 0.2 and 0.4 equal and takes the nearer to 0.5."""
    validation = dict.fromkeys(TENTHS, 40.0) | {0.3: 60.0, 0.2: 58.0, 0.4: 58.0, 0.5: 50.0}
    test = dict.fromkeys(TENTHS, 10.0) | {0.3: 70.0, 0.2: 69.0, 0.4: 66.0, 0.5: 71.5}
    found = analysis.regret(
        table([cell("es", "en+fr", 1, test, validation=validation, chosen=0.3)])
    )
    # steps of 0.1 are the full grid, and 0.25 is not part of it
    assert rows(found, "grid", "lambda", "regret", "evaluations", "full_evaluations") == [
        ("0.2", 0.4, 4.0, 6, 11),
        ("0.5", 0.5, -1.5, 3, 11),
        # 0.4 and 0.2 are equal, so it looks between 0.2 and 0.5, where 0.3 is
        ("refine", 0.3, 0.0, 8, 11),
        (analysis.FIXED, 0.5, -1.5, 0, 11),
    ]


def test_regret_of_each_cell_is_its_own_and_a_missing_one_keeps_its_rows() -> None:
    grid = [0.0, 0.25, 0.5, 0.75, 1.0]
    peak = {w: 50.0 - abs(w - 0.25) for w in grid}
    found = analysis.regret(
        table(
            [
                cell("es", "en+fr", 1, peak, chosen=0.25),
                cell("es", "en+fr", 2, {w: -s for w, s in peak.items()}, chosen=1.0),
                gone("fr", "en+es", 1),
                cell("fr", "en+es", 2, peak, chosen=0.25, task="nli"),
            ]
        )
    )
    half = found[found["grid"] == "0.5"]
    assert rows(half, "task", "target", "seed", "lambda", "regret") == [
        ("ner", "es", 1, 0.5, 0.25),
        ("ner", "es", 2, 1.0, 0.0),
        ("ner", "fr", 1, None, None),
        ("nli", "fr", 2, 0.5, 0.25),
    ]


scores = st.lists(st.integers(0, 6), min_size=21, max_size=21)


@settings(max_examples=25)  # each builds a table
@given(scores, scores)
def test_regret_is_zero_where_the_coarse_grid_has_the_full_ones_choice(validation, test) -> None:
    grid = [round(0.05 * i, 2) for i in range(21)]
    curve = dict(zip(grid, map(float, validation), strict=True))
    (fine,) = selection.select({(weight,): score for weight, score in curve.items()}, 0.5)
    found = analysis.regret(
        table(
            [
                cell(
                    "es",
                    "en+fr",
                    1,
                    dict(zip(grid, map(float, test), strict=True)),
                    validation=curve,
                    chosen=fine,
                )
            ]
        )
    )
    assert list(found["grid"]) == ["0.1", "0.2", "0.25", "0.5", "refine", analysis.FIXED]
    evaluations = list(found["evaluations"])
    assert evaluations[:4] + evaluations[5:] == [11, 6, 5, 3, 0] and 9 <= evaluations[4] <= 13
    for row in found.to_dict("records"):
        if row["grid"] not in ("refine", analysis.FIXED) and fine in selection.coarse_grid(
            grid, float(row["grid"])
        ):
            assert (row["lambda"], row["regret"]) == (fine, 0.0)
        assert row["regret"] == test[grid.index(fine)] - test[grid.index(row["lambda"])]
        # on what they were chosen on, no grid does better than the full one
        assert curve[fine] >= curve[row["lambda"]]
