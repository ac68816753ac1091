"""A finished study whose rule that chooses λ changes: what is planned, and what a run makes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from langarith.audit import explain_file
from workspace import options, overlay, planned_jobs, run, snakemake

pytestmark = pytest.mark.slow

SHOWN = {"tabulate": 3, "estimate_gains": 3, "format_table": 3, "draw_figure": 3}
"""The jobs that show the three experiments of nano."""


def test_another_rule_makes_tables_and_figures_anew_and_sweeps_nothing(copy: Path) -> None:
    """What is planned with each rule; then a run with two of them."""
    results = copy / "results/nano"
    named = {"name": "nano", "results_dir": "results/nano"}
    compared = {"rules": ["validation", "entropy", "mlm"]}
    plans = {
        "entropy": SHOWN | {"choose_lambda": 3},
        "fixed": SHOWN | {"choose_lambda": 3},
        # a file per merge: those of ties and of the budget, too
        "mlm": SHOWN | {"choose_lambda": 3, "score_masked_lm": 4},
    }
    for rule, plan in plans.items():
        study = overlay(copy, rule, **named, selection=rule)
        assert dict(planned_jobs(copy, *options(study))) == plan, rule
    refused = snakemake(
        copy, "-n", *options(overlay(copy, "transfer", **named, selection="transfer"))
    )
    assert refused.returncode and "no other target of the task has such a merge" in (
        refused.stdout + refused.stderr
    )
    experiments = {"zero_shot": {}, "label_free": compared}
    both = overlay(copy, "both", **named, selection="entropy", experiments=experiments)
    assert dict(planned_jobs(copy, *options(both))) == {
        "score_masked_lm": 2,
        "choose_lambda": 1,
        "compare_rules": 1,
        "estimate_label_price": 1,
        "draw_label_price": 1,
        "tabulate": 1,
        "estimate_gains": 2,
        "format_table": 2,
        "draw_figure": 2,
        "draw_learning_curves": 1,
    }

    run(copy, *options(both))
    assert not planned_jobs(copy, *options(both))
    with (results / "tables/label_free.csv").open() as file:
        choices = {(r["target"], r["rule"]): r for r in csv.DictReader(file)}
    assert {rule for _, rule in choices} == {"validation", "entropy", "mlm"}
    with (results / "tables/zero_shot.csv").open() as file:
        marked = {
            r["target"]: r["lambda"]
            for r in csv.DictReader(file)
            if r["selected"] == "True" and r["split"] == "test"
        }
    for target, related in {"es": "fr", "fr": "es"}.items():
        cell = results / f"evaluation/tiny/ner/{target}/la/en+{related}/seed1"
        curve = json.loads((cell / "selected.json").read_text())["validation"]
        least = min(point["entropy"] for point in curve)
        chosen = float(choices[target, "entropy"]["lambda"])
        assert {p["lambda"]: p["entropy"] for p in curve}[chosen] == least
        assert float(marked[target]) == chosen
        folder = results / f"masked_lm/tiny/{target}/la/en+{related}/seed1"
        losses = json.loads((folder / "losses.json").read_text())["losses"]
        best = float(choices[target, "mlm"]["lambda"])
        assert {p["lambda"]: p["loss"] for p in losses}[best] == min(p["loss"] for p in losses)
        output = explain_file.lines(
            results / "tables/zero_shot.csv",
            [f"target={target}", "split=test", "selected=True", "metric=f1"],
        )
        assert any(
            f"lambda {chosen} chosen by the rule entropy (labels: none)" in line for line in output
        )
        assert any("validation would choose lambda" in line for line in output)
        assert not any("chosen on validation" in line for line in output)
    note = "λ was chosen by the least entropy of the predictions on text of the target"
    assert note in (results / "tables/zero_shot.md").read_text()
    with (results / "tables/zero_shot_gains.csv").open() as file:
        assert {row["rule"] for row in csv.DictReader(file)} == {"entropy"}
