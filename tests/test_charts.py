"""The bars of the provenance page, the picture's arrows, and the key that leaves out feet."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest

import made_up
from langarith.audit import charts, lineage, page, picture
from langarith.audit.picture import Stage
from langarith.evaluation import selection
from langarith.results import palette


def output(experiment: str, *cells) -> list[tuple[str, str, float, str]]:
    table = made_up.table(cells)
    found = [bar for _, bar in charts._bars(experiment, table, "en")]
    return [(bar.group, bar.legend, bar.value, bar.point) for bar in found]


def cell(operands: str, right: float, merged: float, target: str = "es", seed=1, **names):
    scores = {0.0: right, 0.5: merged, 1.0: 10.0}
    return made_up.cell(target, operands, seed, scores, chosen=0.5, **names)


def test_the_score_without_a_language_adapter_is_the_first_bar_of_zero_shot() -> None:
    row = {"model": "tiny", "task": "ner", "target": "es", "method": "none", "seed": 1}
    row |= {"split": "test", "metric": "f1", "value": 30.0, "selected": False}
    row |= {"left": "", "right": "", "operands": "", "budget": "full"}
    assert output("zero_shot", cell("en+fr", 40, 45), [row]) == [
        ("es", "no language adapter", 30, ""),
        ("es", "en adapter", 10, "λ = 1.00"),
        ("es", "related language's adapter", 40, "λ = 0.00"),
        ("es", "language arithmetic", 45, "λ = 0.50"),
    ]


def test_bars_of_enhancement_are_those_of_its_figure() -> None:
    assert output("enhancement", cell("en+es", 40, 45), cell("fr+es", 40, 47)) == [
        ("es", "MAD-X (target alone)", 40, "λ = 0.00"),
        ("es", "LA(en, target)", 45, "λ = 0.50"),
        ("es", "LA(related, target)", 47, "λ = 0.50"),
        ("es", "LA(en/related, target)", 47, "λ = 0.50"),
    ]


def test_bars_of_budgets_pools_and_methods() -> None:
    assert output("low_resource", cell("en+es@10k", 20, 25)) == [
        ("es@10k", "target's adapter alone", 20, "λ = 0.00"),
        ("es@10k", "language arithmetic", 25, "λ = 0.50"),
    ]
    assert output("relatedness", cell("fr+es", 20, 25), cell("de+es", 20, 26)) == [
        ("es", "with fr", 25, "λ = 0.50"),
        ("es", "with de", 26, "λ = 0.50"),
    ]
    both = [cell("en+fr", 20, 25), cell("en+fr", 20, 24, method="ties20")]
    assert output("methods", *both) == [
        ("es", "LA", 25, "λ = 0.50"),
        ("es", "TIES (top-K% 20)", 24, "λ = 0.50"),
    ]
    colours = [bar.colour for _, bar in charts._bars("methods", made_up.table(both), "en")]
    assert colours == [palette.MERGED, palette.method_colour("ties20")]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lineage.Lineage:
    """The little study with the table of its rules and their gains."""
    monkeypatch.chdir(tmp_path)
    results = made_up.write_study()
    cells = [cell("en+fr", 39, 49, seed=seed) for seed in (1, 2)]
    table = made_up.rules(cells).drop(columns="point")
    cell_files = [f"results/evaluation/tiny/ner/es/la/en+fr/seed{s}/selected.json" for s in "12"]
    name, gains = (f"results/tables/label_free{part}.csv" for part in ("", "_gains"))
    record = f"{name}.provenance.json"
    made_up.job("compare_rules", cell_files, {name: table.to_csv(index=False)}, record)
    interval = {
        "model": "tiny",
        "task": "ner",
        "target": "es",
        "over": "validation",
        "method": "la",
    }
    interval |= {"budget": "full", "rule": "right", "low": -15.0, "high": -4.0}
    text = pd.DataFrame([interval]).to_csv(index=False)
    made_up.job(
        "estimate_gains",
        [name],
        {gains: text},
        f"{gains}.provenance.json",
        experiment="label_free",
    )
    return lineage.of(results)


def test_dots_are_the_regrets_of_rules_with_their_intervals(rules: lineage.Lineage) -> None:
    number = {job: i for i, job in enumerate(rules.jobs)}
    found = {dot["kind"]: dot for dot in charts.dots(rules, rules.jobs, number)}
    assert set(found) == set(selection.without_own_jobs()) - {
        "validation",
        "transfer",
    }  # no other target
    right = found["right"]
    assert (right["group"], right["name"]) == ("es", "λ = 0 (right adapter)")
    assert (right["mean"], right["regret"], right["interval"]) == (39, 10, (4, 15))
    assert [seed["point"] for seed in right["seeds"]] == ["λ = 0.00"] * 2
    sweeps = [rules.jobs[seed["job"]] for seed in right["seeds"]]
    assert [(job.rule, job.wildcards["seed"]) for job in sweeps] == [
        ("sweep_la", "1"),
        ("sweep_la", "2"),
    ]
    assert found["left"]["interval"] is None
    # without the table there are none
    jobs = [job for job in rules.jobs if job.rule != "compare_rules"]
    assert charts.dots(rules, jobs, number) == []


def test_a_click_on_a_dot_leads_to_the_sweeps_of_its_choice(rules, tmp_path, open_page) -> None:
    path = tmp_path / "page.html"
    path.write_text(page.page(rules, rules.jobs), encoding="utf-8")
    shown = open_page(path)
    shown.evaluate("document.getElementById('label_free').open = true")
    shown.locator("#label_free circle.right").click()
    shown.wait_for_selector("#here h2:has-text('right adapter')")
    assert "39.00 ± 0.00, regret +10.00 [+4.00, +15.00]" in shown.inner_text("#here h2")
    shown.click("text=seed 2: 39.00 at λ = 0.00, regret +10.00")
    shown.wait_for_selector("#here h2:has-text('sweep_la')")
    assert "seed 2" in shown.inner_text("#here h2")
    assert "Label free, tiny, NER (F1, points): es, λ = 0 (right adapter)" in shown.inner_text(
        "#numbers strong"
    )


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
