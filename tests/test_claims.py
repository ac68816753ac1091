"""What a study says of the paper's claims: verdicts worked out by hand from made-up gains."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from langarith.results import analysis, render
from langarith.results.caption import Beside
from langarith.results.names import BETTER_PROXY, DIRECT, LABELS, MADX
from langarith.results.paper import claims, reproduction
from langarith.results.paper.claims import Finding, judge, verdict
from made_up import CAPTION


def gains(*rows: dict[str, Any]) -> pd.DataFrame:
    """A table of gains; each row names what differs from an average of `la` in NER."""
    common = {
        "model": "tiny",
        "task": "ner",
        "target": analysis.AVERAGE,
        "method": "la",
        "budget": "full",
        "rule": "validation",
    }
    return pd.DataFrame([common | row for row in rows])


def gain(value: float, low: float, high: float, over: str, **where: str) -> dict[str, Any]:
    return {"gain": value, "low": low, "high": high, "over": over, **where}


def judged(name: str, **tables: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a claim."""
    tidy = {"similarity": tables.pop("similarity")} if "similarity" in tables else {}
    found = judge(tables, tidy)
    return found[found["id"] == name].to_dict("records")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 2, "agrees"), (-2, -0.1, "disagrees"), (-1, 1, "cannot tell"), (0, 0, "cannot tell")],
)
def test_the_whole_interval_must_lie_on_one_side_of_the_bound(low, high, said):
    assert verdict(Finding("tiny", "ner", "", (low + high) / 2, low, high), 0.0) == said
    shifted = Finding("tiny", "ner", "", (low + high) / 2 - 1, low - 1, high - 1)
    assert verdict(shifted, -1.0) == said


def test_a_claim_whose_experiment_has_not_run_says_so():
    found = judge({}, {})
    assert set(found["verdict"]) == {"not run"}
    assert list(found["id"]) == [claim.id for claim in claims.CLAIMS]


def test_averages_are_judged_and_targets_are_not():
    table = gains(
        gain(2, 1, 3, BETTER_PROXY, target="es"),
        gain(0.5, -0.5, 1.5, BETTER_PROXY),
        gain(-1, -2, -0.5, BETTER_PROXY, task="nli"),
    )
    rows = judged("zero_shot", zero_shot=table)
    assert [(r["task"], r["verdict"]) for r in rows] == [
        ("ner", "cannot tell"),
        ("nli", "disagrees"),
    ]


def test_a_difference_of_gains_has_the_widest_interval_of_both():
    rows = judged(
        "zero_shot_over_enhancement",
        zero_shot=gains(gain(3, 2, 4, BETTER_PROXY), gain(9, 8, 10, BETTER_PROXY, task="qa")),
        enhancement=gains(gain(1, 0.5, 1.5, MADX)),
    )
    (row,) = rows  # QA has no enhancement
    assert (row["value"], row["low"], row["high"], row["verdict"]) == (2, 0.5, 3.5, "agrees")


def test_the_smallest_budget_is_compared_with_the_largest_of_each_target():
    table = gains(
        gain(5, 4, 6, DIRECT, target="sw", budget="100k"),
        gain(1, 0, 2, DIRECT, target="sw", budget="full"),
        gain(2, 1, 3, DIRECT, target="sw", budget="2M"),
        gain(1, 0, 2, DIRECT, target="fr", budget="full"),  # one budget alone
        gain(9, 9, 9, DIRECT, budget="100k"),
    )
    (row,) = judged("smallest_budget", low_resource=table)
    assert (row["of"], row["value"], row["low"], row["high"]) == ("sw", 4, 2, 6)
    assert row["verdict"] == "agrees"


def test_coarse_grids_and_one_half_have_bounds_of_their_own():
    table = gains(
        gain(-0.2, -0.4, 0.1, LABELS, rule="0.2"),
        gain(-3, -9, -2, LABELS, rule="0.5"),
        gain(-0.9, -1.5, -0.2, LABELS, rule=analysis.FIXED),
    )
    assert [r["verdict"] for r in judged("coarse_grid", lambda_impact=table)] == ["agrees"]
    assert [r["verdict"] for r in judged("half", lambda_impact=table)] == ["cannot tell"]


def test_ties_may_come_from_the_experiment_methods():
    table = gains(
        gain(3, 2, 4, "ties20"),
        gain(0, -1, 1, "ties80"),
        gain(9, 9, 9, "slerp"),
        gain(-3, -4, -2, BETTER_PROXY, method="ties20"),
    )
    for name in ("ties", "methods"):
        rows = judged("ties", **{name: table})
        assert [(r["of"], r["verdict"]) for r in rows] == [
            ("ties20", "agrees"),
            ("ties80", "cannot tell"),
        ]


def test_cosines_are_compared_by_the_range_over_pairs():
    pairs = [
        ("language", "en", "es", 0.4),
        ("language", "en", "fr", 0.3),
        ("task", "ner", "qa", 0.1),
    ]
    table = pd.DataFrame(
        [
            {"model": "tiny", "kind": kind, "left": left, "right": right, "seed": seed, "cosine": c}
            for kind, one, other, c in pairs
            for seed in (1, 2)
            for left, right in ((one, other), (other, one), (one, one))
        ]
    )
    (row,) = judged("cosines", similarity=table)
    assert row["value"] == pytest.approx(0.25)
    assert (row["low"], row["high"]) == pytest.approx((0.2, 0.3))
    assert row["verdict"] == "agrees"


def test_the_sheet_of_reproduction_begins_with_the_claims_of_any_study():
    table = judge({"zero_shot": gains(gain(2, 1, 3, BETTER_PROXY))}, {})
    compared = reproduction.compare({}, "little")
    made = reproduction.sheets(compared, CAPTION, Beside(claims=table))
    text = render.markdown(made)
    assert made[0].title == "Claims of the paper, tiny"
    assert "| NER |  | +2.00 [+1.00, +3.00] | agrees |" in text
    assert text.count("not run") == len(claims.CLAIMS) - 1
    assert not math.isnan(made[0].blocks[0][0][-2].value)
