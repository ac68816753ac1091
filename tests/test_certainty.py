"""How sure choices of lambda and numbers of the paper's tables are, on made cells."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import made_up
from langarith import layout, tasks
from langarith.evaluation import outcomes, selection
from langarith.files import write_json
from langarith.results import (
    analysis,
    choice_certainty,
    estimates,
    figures,
    gains,
    intervals,
    render,
    sheets,
    statistics,
    tables,
)
from langarith.results.caption import Beside
from langarith.results.names import BETTER_PROXY
from langarith.results.paper import certainty, reproduction
from langarith.results.sheet import Number

NER, NLI, QA = (tasks.get(name) for name in ("ner", "nli", "qa"))
GRID = [(weight,) for weight in (0.0, 0.2, 0.4, 0.45, 0.5, 0.55, 0.6, 0.8, 1.0)]
"""Coarse everywhere, fine near the best."""


def counts(task: str, examples: int) -> dict[tuple[float, ...], dict[str, np.ndarray]]:
    """Made counts by point; points two by two are equal, so that resamples have ties."""
    rng = np.random.default_rng(5)
    made = {}
    for i, point in enumerate(GRID):
        if i % 2 and point != GRID[-1]:
            made[point] = made[GRID[i - 1]]
        elif task == "qa":
            shares = (rng.integers(0, 8, examples) / 7).astype(np.float16).astype(np.float32)
            made[point] = {"f1": shares, "exact_match": (shares == 1).astype(np.float32)}
        elif task == "ner":
            gold = rng.integers(0, 4, examples)
            correct = rng.binomial(gold, 0.7)
            found = {"correct": correct, "predicted": correct + rng.integers(0, 2, examples)}
            found |= {"gold": gold}
            made[point] = {f"{m} {k}": v for m in NER.metrics for k, v in found.items()}
        else:
            made[point] = {"correct": rng.integers(0, 2, examples)}
    return made


@pytest.mark.parametrize("name", ["ner", "nli", "qa"])
def test_shares_are_those_of_a_plain_loop(name: str) -> None:
    task, examples, neutral = tasks.get(name), 41, 0.5
    made = counts(name, examples)
    weights = statistics.example_weights(examples, "a loop", 150)
    chosen = []
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(examples), row)
        curve = {
            point: task.total({k: v[drawn] for k, v in of_point.items()}, examples)
            for point, of_point in made.items()
        }
        scores = {point: score[task.metrics[0]] for point, score in curve.items()}
        chosen.append(selection.select(scores, neutral))
    found = choice_certainty.choice_shares(made, task.scores, task.metrics[0], neutral, weights)
    assert found == {point: chosen.count(point) / 150 for point in GRID}
    # of two equal points the one nearer to the middle takes all
    assert found[0.0,] == 0 and sum(found.values()) == pytest.approx(1)


def test_a_point_that_is_best_in_every_example_has_share_1() -> None:
    made = {point: {"correct": np.zeros(30)} for point in GRID}
    made[0.2,] = {"correct": np.ones(30)}
    weights = statistics.example_weights(30, "x", 100)
    found = choice_certainty.choice_shares(made, NLI.scores, "accuracy", 0.5, weights)
    assert found == {point: float(point == (0.2,)) for point in GRID}


def test_resamples_may_have_fewer_examples_than_there_are() -> None:
    made = {(0.0,): {"correct": np.ones(4)}, (1.0,): {"correct": np.array([1, 1, 1, 0])}}
    weights = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.float32)
    found = statistics.resampled_scores(NLI.scores, "accuracy", list(made.values()), weights)
    assert found.tolist() == [[100, 100], [100, 50]]
    # equal scores: the larger of two points that are equally near to 0.5
    assert choice_certainty.choice_shares(made, NLI.scores, "accuracy", 0.5, weights) == {
        (0.0,): 0.5,
        (1.0,): 0.5,
    }


# --- tables of choices --------------------------------------------------------------------------


def chosen(shares: dict[str, list[dict[float, float]]]) -> pd.DataFrame:
    """A table of choices, by target and seed."""
    return pd.DataFrame(
        {"model": "tiny", "task": "ner", "target": target, "method": "la", "operands": "en+fr"}
        | {"budget": "full", "seed": seed, "lambda": weight, "share": share, "examples": 20}
        for target, seeds in shares.items()
        for seed, of_seed in enumerate(seeds, 1)
        for weight, share in of_seed.items()
    )


def test_central_choices_leave_the_tails_out() -> None:
    one = {0.0: 0.02, 0.25: 0.03, 0.5: 0.9, 0.75: 0.03, 1.0: 0.02}
    assert intervals.central(chosen({"es": [one]})) == (0.25, 0.75)
    assert intervals.central(chosen({"es": [{0.3: 1.0}]})) == (0.3, 0.3)
    assert intervals.central(chosen({})) is None
    # seeds count alike, and may have other points
    seeds = [{0.0: 1.0, 0.5: 0.0}, {0.4: 1.0}]
    assert intervals.choice_shares(chosen({"es": seeds})).to_dict() == {0.0: 0.5, 0.4: 0.5, 0.5: 0}
    assert intervals.central(chosen({"es": seeds})) == (0.0, 0.4)


def test_central_mean_over_targets_is_that_of_all_combinations() -> None:
    shares = {"es": {0.0: 0.1, 0.45: 0.6, 1.0: 0.3}, "fr": {0.2: 0.5, 0.9: 0.5}, "de": {0.5: 1.0}}
    means = sorted(
        (sum(w for w, _ in picks) / 3, float(np.prod([s for _, s in picks])))
        for picks in itertools.product(*(of.items() for of in shares.values()))
    )
    total = np.cumsum([share for _, share in means])
    low, high = (means[int(np.argmax(total >= end - 1e-9))][0] for end in (0.025, 0.975))
    found = intervals.central(chosen({target: [of] for target, of in shares.items()}))
    assert found == pytest.approx((low, high))


def test_lambda_has_its_interval_where_it_is_printed() -> None:
    curve = {0.0: 40.0, 0.5: 50.0, 1.0: 44.0}
    cells = [made_up.cell(t, "en+fr", s, curve, chosen=0.5) for t in ("es", "de") for s in (1, 2)]
    table = chosen({"es": [{0.0: 0.1, 0.5: 0.9}] * 2, "de": [{0.5: 1.0, 1.0: 0.0}] * 2})
    beside = Beside(choices=table)
    (made,) = sheets.zero_shot(made_up.table(cells), made_up.CAPTION, beside)
    text = render.markdown([made])
    assert "| 0.50 [0.00, 0.50] |" in text and "| 0.50 [0.50, 0.50] |" in text
    assert "| average |  | 20 |" in text and "| 0.50 [0.25, 0.50] |" in text
    assert "In brackets after λ: where the central 95 % of the choices" in made.note
    assert "after a gain" not in made.note
    # without the choices of a cell there is no interval
    (made,) = sheets.zero_shot(
        made_up.table(cells), made_up.CAPTION, Beside(choices=table[table["seed"] == 1])
    )
    assert "[" not in render.markdown([made])


def test_choices_have_a_table_of_their_own() -> None:
    curve = {0.0: 40.0, 0.25: 41.0, 0.5: 50.0, 0.75: 40.0, 1.0: 44.0}
    cells = [made_up.cell("es", "en+fr", 1, curve, chosen=0.5)]
    cells += [made_up.cell("es", "en+fr", 2, curve, chosen=0.0)]
    table = chosen({"es": [{0.0: 0.1, 0.5: 0.9}, {0.0: 0.5, 0.5: 0.5}]})
    made = sheets.lambda_impact(made_up.table(cells), made_up.CAPTION, Beside(choices=table))
    assert made[-1].title == "Choice of λ, tiny"
    assert "| NER (F1) | es | en, fr | 20 | 0.25 [0.00, 0.50] | 70 |" in render.markdown(made)


@pytest.mark.parametrize("complete", [True, False])
def test_the_figure_draws_the_shares_of_the_table(complete: bool) -> None:
    curve = {0.0: 40.0, 0.4: 49.0, 0.5: 50.0, 1.0: 44.0}
    cells = [made_up.cell("es", "en+fr", seed, curve, chosen=0.5) for seed in (1, 2)]
    shares = [{0.0: 0.0, 0.4: 0.2, 0.5: 0.8, 1.0: 0.0}, {0.0: 0.1, 0.4: 0.4, 0.5: 0.5, 1.0: 0.0}]
    table = chosen({"es": shares[: 2 if complete else 1]})
    drawn = figures.DRAW["lambda_impact"](
        made_up.table(cells), made_up.CAPTION, Beside(choices=table)
    )
    (axis,) = drawn.axes
    (strip,) = axis.child_axes
    bars = {round(b.get_x() + b.get_width() / 2, 2): b.get_height() for b in strip.patches}
    expected = {0.0: 0.05, 0.4: 0.3, 0.5: 0.65, 1.0: 0.0}
    assert bars == (pytest.approx(expected) if complete else {})
    assert strip.get_xlim() == axis.get_xlim()
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert "choices of resamples" in labels
    plt.close(drawn)


# --- cells with outcomes ------------------------------------------------------------------------

SHARES = {0.0: 0.5, 0.5: 0.62, 1.0: 0.55}
SEEDS = (1, 2)
EXAMPLES = {"es": 120, "fr": 80}


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """NLI in two targets: pairs of zero-shot transfer and of both targets with each other."""
    rng = np.random.default_rng(3)
    pairs = [("es", "en+fr"), ("fr", "en+es"), ("es", "fr+es"), ("fr", "es+fr")]
    pairs += [("es", "en+es"), ("fr", "en+fr")]
    alone: dict[tuple[str, ...], np.ndarray] = {}  # one adapter alone is in several cells
    for (target, operands), seed in itertools.product(pairs, SEEDS):
        hard = rng.random(EXAMPLES[target])
        right = alone.setdefault((target, operands[-2:], str(seed)), hard)
        counts = {
            (point,): {"correct": ((right if point == 0 else hard) < share).astype(np.int64)}
            for point, share in SHARES.items()
        }
        folder = tmp_path / f"evaluation/tiny/nli/{target}/la/{operands}/seed{seed}"
        folder.mkdir(parents=True)
        outcomes.write(folder / "outcomes.parquet", {"validation": counts, "test": counts})
        scores = {point: 100 * float(made["correct"].mean()) for (point,), made in counts.items()}
        content = made_up.selected(target, operands, seed, scores, chosen=0.5, task="nli")
        content["examples"] = {"validation": EXAMPLES[target], "test": EXAMPLES[target]}
        write_json(folder / "selected.json", content)
    return tmp_path


def table_of(cells: Path, experiment: str, wanted: set[str]) -> pd.DataFrame:
    paths = [p for p in sorted(cells.rglob("selected.json")) if p.parts[-3] in wanted]
    rows = tables.rows(experiment, paths, [])
    return tables.with_points(pd.DataFrame(rows, columns=list(tables.COLUMNS)))


def test_the_table_of_choices_has_a_row_per_cell_and_point(cells: Path, tmp_path: Path) -> None:
    paths = layout.cell_paths(map(str, sorted(cells.rglob("outcomes.parquet"))))
    rows = choice_certainty.rows("zero_shot", paths, {"nli": "nli"})
    assert set(rows[0]) == set(choice_certainty.COLUMNS)
    tables.write(rows, tmp_path / "choices.csv", choice_certainty.COLUMNS)
    found = tables.read(tmp_path / "choices.csv")
    assert len(found) == len(paths) * len(SHARES)
    sums = found.groupby(["target", "operands", "seed"])["share"].sum()
    assert sums.tolist() == pytest.approx([1.0] * len(paths))
    assert found.groupby("target")["examples"].unique().map(list).to_dict() == {
        target: [count] for target, count in EXAMPLES.items()
    }
    assert intervals.of_cells(found, found[found["seed"] == 1])["seed"].unique().tolist() == [1]


ZERO_SHOT = {"en+fr", "en+es"}


@pytest.mark.parametrize(
    ("experiment", "wanted"),
    [("zero_shot", ZERO_SHOT), ("enhancement", {"en+es", "en+fr", "fr+es", "es+fr"})],
)
def test_every_printed_gain_has_the_interval_of_the_table_of_gains(
    cells: Path, experiment: str, wanted: set[str]
) -> None:
    # operands tell zero-shot cells from enhanced ones by the target alone
    own = experiment == "enhancement"
    table = table_of(cells, experiment, wanted)
    table = table[(table["right"] == table["target"]) == own]
    found = gains.gains(experiment, table, "en")
    paths = layout.cell_paths(map(str, cells.rglob("outcomes.parquet")))
    of_gains = estimates.estimate(experiment, found, paths, {"nli": "nli"})
    beside = Beside(intervals=intervals.intervals([of_gains]))
    (made,) = sheets.SHEETS[experiment](table, made_up.CAPTION, beside)
    by_target = of_gains.set_index(of_gains["target"].replace({analysis.AVERAGE: "average"}))
    rows_of_table = [row for row in made.rows if row[0] != "mean of gains"]
    assert set(by_target.index) == {str(row[0]) for row in rows_of_table}
    for target, *numbers in rows_of_table:
        signed = [n for n in numbers if isinstance(n, Number) and n.signed]
        rows = by_target.loc[[target]].to_dict("records")
        for number, row in zip(signed, rows, strict=True):
            assert number.value == pytest.approx(row["gain"])
            assert number.interval == (row["low"], row["high"])


def stated(quantity: str, experiment: str, **names: object) -> certainty.Stated:
    output = {"id": "x", "what": "x", "source": "x", "value": 1.0, "unit": "points"}
    return certainty.Stated(
        **output, model="tiny", experiment=experiment, quantity=quantity, **names
    )


def sure(cells: Path, number: certainty.Stated, value: float, table: pd.DataFrame, of_gains=None):
    paths = layout.cell_paths(map(str, cells.rglob("outcomes.parquet")))
    return certainty.estimate(
        number,
        "tiny",
        value,
        tables={number.experiment: table},
        gains={} if of_gains is None else {number.experiment: of_gains},
        score_interval=partial(estimates.score_interval, cells=paths, types={"nli": "nli"}),
    )


def test_a_compared_gain_has_the_interval_of_the_table_of_gains(cells: Path) -> None:
    table = table_of(cells, "zero_shot", ZERO_SHOT)
    table = table[table["right"] != table["target"]]
    paths = layout.cell_paths(map(str, cells.rglob("outcomes.parquet")))
    found = gains.gains("zero_shot", table, "en")
    of_gains = estimates.estimate("zero_shot", found, paths, {"nli": "nli"})
    over = of_gains["over"] == BETTER_PROXY
    number = stated(
        "greatest_gain", "zero_shot", where={"task": "nli"}, over={"target": ("es", "fr")}
    )
    best = of_gains[over & of_gains["target"].isin(EXAMPLES)].nlargest(1, "gain").iloc[0]
    expected = reproduction.Estimate(best["low"], best["high"], EXAMPLES[best["target"]])
    assert sure(cells, number, best["gain"], table, of_gains) == expected
    # question answering has half the precision in the table of gains
    assert sure(cells, number, best["gain"] + 1e-3, table, of_gains) == expected
    # of other seeds or targets it would be the interval of another gain
    assert sure(cells, number, best["gain"] + 0.1, table, of_gains) is None
    assert sure(cells, number, best["gain"], table) is None


def test_a_compared_score_has_the_interval_of_a_bootstrap(cells: Path) -> None:
    table = table_of(cells, "relatedness", {"fr+es", "es+fr"})
    where = {"task": "nli", "target": "es", "other": "fr"}
    found = sure(cells, stated("merged", "relatedness", where=where), 60.0, table)
    right = [
        outcomes.read(cells / f"evaluation/tiny/nli/es/la/fr+es/seed{seed}/outcomes.parquet")[
            "test"
        ][0.5,]["correct"]
        for seed in SEEDS
    ]
    weights = statistics.example_weights(EXAMPLES["es"], "nli es")
    values = [
        sum(
            share * 100 * float(row @ of) / len(of) for share, of in zip(shares, right, strict=True)
        )
        for row, shares in zip(weights, statistics.seed_weights(2), strict=True)
    ]
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-3)
    assert found.examples == EXAMPLES["es"]
    # an average is over all targets, and narrower than the wider of them
    number = stated(
        "average", "ties", where={"task": "nli", "method": "la"}, over={"target": ("es", "fr")}
    )
    average = sure(cells, number, 60.0, table)
    assert average.examples == sum(EXAMPLES.values())
    assert average.high - average.low < found.high - found.low


def test_compared_numbers_are_printed_with_interval_and_examples() -> None:
    row = {"id": "a", "what": "a gain", "source": "Table 1", "model": "mbert", "unit": "points"}
    row |= {"paper": 1.0, "ours": 1.5, "sd": 0.2, "low": 0.4, "high": 2.6, "seeds": 3}
    row |= {"examples": 900, "verdict": "above", "note": ""}
    found = pd.DataFrame([row, row | {"low": None, "high": None, "examples": None}])
    caption = replace(made_up.CAPTION, study=reproduction.STUDY, models=["mbert"])
    made = reproduction.sheets(found, caption)
    text = render.markdown(made)
    assert "| a gain | mbert | 1 | 1.50 ± 0.20 [0.40, 2.60] | 3 | 900 | above |" in text
    assert "| a gain | mbert | 1 | 1.50 ± 0.20 | 3 | -- | above |" in text
    assert "In brackets after a gain" in made[1].note
    assert r"1.50 $\pm$ 0.20 [0.40, 2.60]" in render.latex(made)
