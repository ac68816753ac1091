"""The bars of the provenance page, the picture's arrows, and the key that leaves out feet."""

from __future__ import annotations

import itertools

import pytest

import made_up
from langarith.audit import charts, picture
from langarith.audit.picture import Stage
from langarith.results import palette


def told(experiment: str, *cells) -> list[tuple[str, str, float, str]]:
    table = made_up.table(cells)
    found = [bar for _, bar in charts._bars(experiment, table, "en")]
    return [(bar.group, bar.legend, bar.value, bar.point) for bar in found]


def cell(operands: str, right: float, merged: float, target: str = "es", **names):
    scores = {0.0: right, 0.5: merged, 1.0: 10.0}
    return made_up.cell(target, operands, 1, scores, chosen=0.5, **names)


def test_bars_of_enhancement_are_those_of_its_figure() -> None:
    assert told("enhancement", cell("en+es", 40, 45), cell("fr+es", 40, 47)) == [
        ("es", "MAD-X (target alone)", 40, "λ = 0.00"),
        ("es", "LA(en, target)", 45, "λ = 0.50"),
        ("es", "LA(related, target)", 47, "λ = 0.50"),
        ("es", "LA(en/related, target)", 47, "λ = 0.50"),
    ]


def test_bars_of_budgets_pools_and_methods() -> None:
    assert told("low_resource", cell("en+es@10k", 20, 25)) == [
        ("es@10k", "target's adapter alone", 20, "λ = 0.00"),
        ("es@10k", "language arithmetic", 25, "λ = 0.50"),
    ]
    assert told("relatedness", cell("fr+es", 20, 25), cell("de+es", 20, 26)) == [
        ("es", "with fr", 25, "λ = 0.50"),
        ("es", "with de", 26, "λ = 0.50"),
    ]
    both = [cell("en+fr", 20, 25), cell("en+fr", 20, 24, method="ties20")]
    assert told("methods", *both) == [
        ("es", "LA", 25, "λ = 0.50"),
        ("es", "TIES (top-K% 20)", 24, "λ = 0.50"),
    ]
    colours = [bar.colour for _, bar in charts._bars("methods", made_up.table(both), "en")]
    assert colours == [palette.MERGED, palette.method_colour("ties20")]


def test_arrows_of_the_picture_pass_no_box() -> None:
    made = [
        Stage("raw"),
        Stage("tokens", after={"raw": 1}),
        Stage("adapters", after={"tokens": 1}),
        Stage("sweeps", after={"adapters": 1}),
        Stage("ties", after={"adapters": 1}),
        Stage("table", after={"sweeps": 1, "ties": 1}),
        Stage("density", after={"adapters": 1}),
        Stage("figures", after={"table": 1, "density": 1}),
        Stage("crate", after={"raw": 1, "figures": 1}),
        Stage("check", after={"raw": 1}),
        Stage("report", after={"check": 1, "table": 1}),
    ]
    arrows = picture.reduced(made)
    rows = picture._rows(made, arrows)
    spot = picture._spots(rows)
    row = {place: i for i, places in enumerate(rows) for place in places if isinstance(place, str)}
    assert ("check", "report") in arrows and row["report"] - row["check"] > 1  # it passes rows
    for before, after in arrows:
        line = picture.curve([spot[place] for place in picture._path(before, after, row)])
        drawn = line.cleaned(curves=False, simplify=False)
        points = drawn.vertices[drawn.codes != 0]  # 0: the end
        for stage, (x, y) in ((s, spot[s]) for s in row):
            if stage in (before, after):
                continue
            for (x1, y1), (x2, y2) in itertools.pairwise(points):
                for share in (0.0, 0.25, 0.5, 0.75):
                    at = (x1 + share * (x2 - x1), y1 + share * (y2 - y1))
                    inside = abs(at[0] - x) < 0.97 and abs(at[1] - y) < 0.27
                    assert not inside, (before, after, stage)


@pytest.mark.parametrize("value", ["false", "no"])
def test_caption_is_a_truth_value_of_a_study_and_of_an_experiment(value: str) -> None:
    from pydantic import ValidationError

    from langarith.study.experiments import EXPERIMENTS
    from langarith.study.schema import Experiment

    if value == "no":
        with pytest.raises(ValidationError, match="true or false"):
            Experiment(caption=value)
    else:
        assert Experiment(caption=value).caption is False
    # an experiment without a figure has no foot to leave out
    assert {n for n, view in EXPERIMENTS.items() if "caption" in view.keys} == {
        n for n, view in EXPERIMENTS.items() if view.figure
    }
