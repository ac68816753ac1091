"""Gains with intervals, from the files of made-up cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import made_up
from langarith import layout, tasks
from langarith.evaluation import outcomes
from langarith.files import write_json
from langarith.results import analysis, estimates, gains, statistics, tables

NLI = tasks.get("nli")
TARGETS = {"es": "en+fr", "de": "en+nl"}
SEEDS = (1, 2)
POINTS = (0.0, 0.5, 1.0)
SHARES = {0.0: 0.5, 0.5: 0.62, 1.0: 0.55}
"""How often each point is right on average."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Cells of two targets and seeds with outcomes, of different numbers of examples."""
    rng = np.random.default_rng(2)
    for target, operands in TARGETS.items():
        examples = {"es": 150, "de": 90}[target]
        hard = rng.random(examples)
        for seed in SEEDS:
            correct = {
                point: (hard + rng.normal(0, 0.1, examples) < share).astype(np.int64)
                for point, share in SHARES.items()
            }
            test = {point: 100 * float(right.mean()) for point, right in correct.items()}
            folder = tmp_path / f"evaluation/tiny/nli/{target}/la/{operands}/seed{seed}"
            counts = {(point,): {"correct": right} for point, right in correct.items()}
            folder.mkdir(parents=True)
            outcomes.write(folder / "outcomes.parquet", {"validation": counts, "test": counts})
            content = made_up.selected(target, operands, seed, test, chosen=0.5, task="nli")
            write_json(folder / "selected.json", content)
    return tmp_path


def table_of(results: Path, experiment: str = "zero_shot") -> pd.DataFrame:
    rows = tables.rows(experiment, sorted(results.rglob("selected.json")), [])
    return tables.with_points(pd.DataFrame(rows, columns=list(tables.COLUMNS)))


def estimated(results: Path, experiment: str = "zero_shot") -> pd.DataFrame:
    found = gains.gains(experiment, table_of(results, experiment), "en")
    paths = layout.cell_paths(map(str, results.rglob("outcomes.parquet")))
    return estimates.estimate(experiment, found, paths, {"nli": "nli"})


def over_better_proxy(results: Path) -> pd.DataFrame:
    """Zero-shot gains over the better proxy, by target."""
    found = estimated(results)
    return found[found["over"] == gains.BETTER_PROXY].set_index("target")


def test_a_gain_is_the_one_that_tables_print(results: Path) -> None:
    scores = analysis.zero_shot(table_of(results))
    found = over_better_proxy(results)
    assert list(found.index) == ["de", "es", analysis.AVERAGE]
    for target, rows in scores.groupby("target"):
        printed = analysis.gain(rows, "merged", ["task_language", "related"])
        assert found.loc[target, "gain"] == pytest.approx(printed)
    means = scores[["merged", "task_language", "related"]].mean()
    average = means["merged"] - max(means["task_language"], means["related"])
    assert found.loc[analysis.AVERAGE, "gain"] == pytest.approx(average)
    assert found["examples"].to_dict() == {"de": 90, "es": 150, analysis.AVERAGE: 240}
    assert set(found["seeds"]) == {2}
    assert (found["low"] < found["gain"]).all() and (found["gain"] < found["high"]).all()


def test_interval_is_that_of_a_plain_loop_over_paired_resamples(results: Path) -> None:
    """Both sides and both seeds on the same examples; the better proxy of each resample."""
    right = {
        (seed, point): outcomes.read(
            results / f"evaluation/tiny/nli/es/la/en+fr/seed{seed}/outcomes.parquet"
        )["test"][point,]["correct"]
        for seed in SEEDS
        for point in POINTS
    }
    weights = statistics.example_weights(150, "nli es")
    seeds = statistics.seed_weights(2)
    values = []
    for row, shares in zip(weights, seeds, strict=True):
        score = {
            point: sum(
                share * 100 * float(row @ right[seed, point]) / 150
                for seed, share in zip(SEEDS, shares, strict=True)
            )
            for point in POINTS
        }
        values.append(score[0.5] - max(score[0.0], score[1.0]))
    low, high = np.quantile(values, [0.025, 0.975])
    found = over_better_proxy(results).loc["es"]
    # mirrored at the gain, since the better of two resampled proxies is too high on average
    mirrored = (2 * found["gain"] - high, 2 * found["gain"] - low)
    assert (found["low"], found["high"]) == pytest.approx(mirrored, abs=1e-3)


def test_a_merge_that_is_one_of_the_proxies_gains_nothing(results: Path) -> None:
    """λ = 0 is the right proxy: the gain is at most 0 in every resample."""
    for path in results.rglob("selected.json"):
        write_json(path, json.loads(path.read_text()) | {"selected": 0.0})
    found = over_better_proxy(results).loc["es"]
    assert found["low"] < found["gain"] < 0 and found["high"] <= 0


def test_p_values_are_adjusted_over_the_targets(results: Path) -> None:
    found = over_better_proxy(results)
    plain = found.loc[["de", "es"], "p"]
    assert found.loc[["de", "es"], "p_holm"].tolist() == statistics.holm(plain.tolist())
    assert np.isnan(found.loc[analysis.AVERAGE, "p_holm"])


def test_p_values_are_adjusted_over_the_budgets_of_a_target(results: Path) -> None:
    for budget in ("1k", "10k"):
        for path in list(results.rglob("la/en+fr/*/selected.json")):
            folder = Path(str(path.parent).replace("en+fr", f"en+es@{budget}"))
            shutil.copytree(path.parent, folder)
            seed, test = int(folder.name.removeprefix("seed")), dict.fromkeys(POINTS, 50.0)
            cell = made_up.selected("es", f"en+es@{budget}", seed, test, chosen=0.5, task="nli")
            write_json(folder / "selected.json", cell)
    found = estimated(results, "low_resource")
    of_es = found[(found["target"] == "es") & (found["budget"] != "full")]
    both = found[found["target"] != analysis.AVERAGE]
    assert len(of_es) == 2 and both["p_holm"].tolist() == statistics.holm(both["p"].tolist())


def test_the_chosen_proxy_has_the_higher_validation_score_of_each_seed(results: Path) -> None:
    """Whatever it scores on test: here the right adapter is chosen by seed 1, the left by 2."""
    for path in results.rglob("seed1/selected.json"):
        cell = json.loads(path.read_text())
        for entry in cell["validation"]:
            entry["metrics"]["accuracy"] = 99.0 - entry["lambda"]
        write_json(path, cell)
    scores = analysis.zero_shot(table_of(results)).set_index(["target", "seed"])
    ends = {1: "related", 2: "task_language"}
    for (target, seed), row in scores.iterrows():
        assert row["chosen"] == row[ends[seed]], target
    found = estimated(results)
    found = found[found["over"] == gains.CHOSEN_PROXY].set_index("target")
    assert list(found.index) == ["de", "es", analysis.AVERAGE]
    for target in TARGETS:
        of_target = scores.loc[target]
        gained = (of_target["merged"] - of_target["chosen"]).mean()
        assert found.loc[target, "gain"] == pytest.approx(gained)


def test_parallel_test_sets_are_drawn_together(results: Path) -> None:
    """Two targets with the same outcomes are one: their average is as uncertain as each."""
    shutil.rmtree(results / "evaluation/tiny/nli/de")
    for path in list(results.rglob("la/en+fr")):
        copy = results / "evaluation/tiny/nli/it/la/en+fr"
        shutil.copytree(path, copy)
        for selected in copy.rglob("selected.json"):
            write_json(selected, json.loads(selected.read_text()) | {"target": "it"})
    found = gains.gains("zero_shot", table_of(results), "en")
    paths = layout.cell_paths(map(str, results.rglob("outcomes.parquet")))

    def widths(parallel: tuple[str, ...]) -> pd.Series:
        table = estimates.estimate("zero_shot", found, paths, {"nli": "nli"}, parallel)
        table = table[table["over"] == gains.CHOSEN_PROXY].set_index("target")
        return table["high"] - table["low"]

    together, apart = widths(("nli",)), widths(())
    assert together["es"] == together["it"] == pytest.approx(together[analysis.AVERAGE])
    assert apart[analysis.AVERAGE] < 0.85 * apart[["es", "it"]].min()


def test_a_missing_cell_takes_its_seed_out_of_the_gain(results: Path) -> None:
    lost = results / "evaluation/tiny/nli/es/la/en+fr/seed2"
    (lost / "selected.json").unlink()
    found = over_better_proxy(results)
    assert found["seeds"].to_dict() == {"de": 2, "es": 1}  # and no average over unlike seeds


def test_low_resource_gains_are_over_the_adapter_used_directly(results: Path) -> None:
    found = estimated(results, "low_resource").set_index("target")
    scores = analysis.low_resource(table_of(results, "low_resource"))
    for target, rows in scores.groupby("target"):
        printed = analysis.gain(rows, "merged", ["direct"])
        assert found.loc[target, "gain"] == pytest.approx(printed)
    assert set(found["over"]) == {gains.DIRECT}


def test_every_method_is_compared_with_the_better_proxy_and_with_la(results: Path) -> None:
    for path in list(results.rglob("selected.json")):
        cell = json.loads(path.read_text())
        folder = Path(str(path.parent).replace("/la/", "/slerp/"))
        shutil.copytree(path.parent, folder)
        write_json(folder / "selected.json", cell | {"method": "slerp", "selected": 1.0})
    found = estimated(results, "methods").set_index(["method", "over", "target"]).sort_index()
    assert set(found.index.droplevel("target")) == {
        ("la", "slerp"),
        ("la", gains.BEST_OTHER),
        ("la", gains.BETTER_PROXY),
        ("la", gains.CHOSEN_PROXY),
        ("slerp", gains.BETTER_PROXY),
        ("slerp", gains.CHOSEN_PROXY),
    }
    columns = ["gain", "low", "high", "p", "seeds"]
    la = found.loc["la", gains.BETTER_PROXY][columns]
    pd.testing.assert_frame_equal(la, over_better_proxy(results).loc[la.index, columns])
    scores = analysis.methods_and_proxies(table_of(results, "methods"))
    for target, rows in scores.groupby("target"):
        printed = analysis.gain(rows, "slerp", analysis.PROXIES)
        assert found.loc["slerp", gains.BETTER_PROXY, target]["gain"] == pytest.approx(printed)
        assert printed <= 0  # the left proxy itself
        # over the chosen one: 0 where validation chose the left proxy in every seed
        over_chosen = found.loc["slerp", gains.CHOSEN_PROXY, target]["gain"]
        assert over_chosen == pytest.approx(rows["slerp"].mean() - rows["chosen"].mean())
    chosen = estimated(results, "zero_shot").query("over == @gains.CHOSEN_PROXY")
    la = found.loc["la", gains.CHOSEN_PROXY][columns]
    pd.testing.assert_frame_equal(la, chosen.set_index("target").loc[la.index, columns])


def test_the_best_other_method_is_of_all_methods_or_there_is_none(results: Path) -> None:
    """A target without one of the methods has no such gain, and there is no average."""
    for path in list(results.rglob("selected.json")):
        cell = json.loads(path.read_text())
        for method in ("slerp", "ties20"):
            folder = Path(str(path.parent).replace("/la/", f"/{method}/"))
            shutil.copytree(path.parent, folder)
            write_json(folder / "selected.json", cell | {"method": method, "selected": 1.0})
    lost = results / "evaluation/tiny/nli/es/ties20"

    def best_others() -> list[str]:
        found = estimated(results, "ties")
        return found[found["over"] == gains.BEST_OTHER]["target"].tolist()

    assert best_others() == ["de", "es", analysis.AVERAGE]
    for path in lost.rglob("selected.json"):
        path.unlink()
    assert best_others() == ["de"]


def test_an_experiment_without_gains_has_none(results: Path) -> None:
    assert gains.gains("relatedness", table_of(results), "en") == []


def test_coarser_grids_lose_what_the_table_of_lambda_impact_says(results: Path) -> None:
    found = estimated(results, "lambda_impact")
    table = table_of(results, "lambda_impact")
    regrets = analysis.regret(table).groupby(["task", "target", "grid"])["regret"].mean()
    rows = found[found["target"] != analysis.AVERAGE]
    assert set(rows["over"]) == {gains.LABELS} and set(rows["rule"]) >= {analysis.FIXED}
    assert len(rows) == len(regrets)
    for row in rows.to_dict("records"):
        assert row["gain"] == pytest.approx(-regrets[row["task"], row["target"], row["rule"]])
        assert row["low"] <= row["gain"] <= row["high"]


def test_an_average_needs_every_target(results: Path) -> None:
    """A target whose cells are all missing leaves no average over the others."""
    for seed in SEEDS:
        (results / f"evaluation/tiny/nli/es/la/en+fr/seed{seed}/selected.json").unlink()
    lost = {"model": "tiny", "task": "nli", "target": "es", "method": "la", "operands": "en+fr"}
    missing = [lost | {"seed": str(seed), "metric": "accuracy"} for seed in SEEDS]
    rows = tables.rows("zero_shot", sorted(results.rglob("selected.json")), [], missing)
    table = tables.with_points(pd.DataFrame(rows, columns=list(tables.COLUMNS)))
    found = gains.gains("zero_shot", table, "en")
    paths = layout.cell_paths(map(str, results.rglob("outcomes.parquet")))
    estimated = estimates.estimate("zero_shot", found, paths, {"nli": "nli"})
    assert set(estimated["target"]) == {"de"}


def test_a_single_target_is_its_own_average(results: Path) -> None:
    for seed in SEEDS:
        (results / f"evaluation/tiny/nli/es/la/en+fr/seed{seed}/selected.json").unlink()
    found = over_better_proxy(results)
    assert list(found.index) == ["de", analysis.AVERAGE]
    assert found["low"].nunique() == 1
