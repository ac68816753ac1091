"""More relatives in the sum: points, merges, searches, and the experiment `pool`."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from math import comb
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import made_up
from langarith import layout, merging
from langarith.data import relatedness
from langarith.errors import InputError
from langarith.evaluation import outcomes, selection
from langarith.evaluation.scoring import SplitScores
from langarith.evaluation.sweep import sweep
from langarith.files import write_json, write_lock
from langarith.merging.la import weights
from langarith.models import merge_recipe
from langarith.models.adapters import LANGUAGE
from langarith.operands import join_operands
from langarith.results import (
    analysis,
    estimates,
    figures,
    gains,
    intervals,
    palette,
    pool,
    sheets,
    statistics,
    tables,
)
from langarith.results.caption import Beside
from langarith.study import experiments, grid, loading
from langarith.study.schema import Study

fewer = settings(max_examples=30, deadline=None)
NAMES = ("encoder.layer.0.output.adapters.up", "invertible_adapters.F.0.weight")
TENTHS = tuple(round(0.1 * i, 2) for i in range(11))
TWENTIETHS = tuple(round(0.05 * i, 2) for i in range(21))


def adapter(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(3, generator=generator) for name in NAMES}


@st.composite
def merges(draw) -> tuple[list[dict[str, torch.Tensor]], tuple[float, ...]]:
    """Two to five adapters and a point of a grid of their weights."""
    count = draw(st.integers(2, 5))
    cuts = sorted(draw(st.lists(st.integers(0, 20), min_size=count - 1, max_size=count - 1)))
    shares = [after - before for before, after in itertools.pairwise([0, *cuts, 20])]
    point = tuple(round(0.05 * share, 2) for share in shares[:-1])
    return [adapter(draw(st.integers(0, 2**32))) for _ in range(count)], point


# ---------------------------------------------------------------- merges


@fewer
@given(merges(), st.integers(0, 2**32))
def test_language_arithmetic_of_many_is_a_plain_loop(merge, seed: int) -> None:
    """θ_pre + Σ w_i (θ_i − θ_pre), entry by entry; θ_pre falls out, whatever it is."""
    operands, point = merge
    origin, shares = adapter(seed), [*point, 1 - sum(point)]
    merged = merging.get("la").merger(operands)(point)
    for name in NAMES:
        for entry in range(3):
            start = float(origin[name][entry])
            wanted = start
            for share, operand in zip(shares, operands, strict=True):
                wanted += share * (float(operand[name][entry]) - start)
            assert float(merged[name][entry]) == pytest.approx(wanted, abs=1e-4)


@fewer
@given(merges(), st.randoms(use_true_random=False))
def test_operands_may_be_permuted_with_their_weights(merge, random) -> None:
    operands, point = merge
    order = list(range(len(operands)))
    random.shuffle(order)
    shares = weights(point)
    other = tuple(shares[place] for place in order[:-1])
    for method, permuted in (("la", other), ("soup", point)):
        one = merging.get(method).merger(operands)(point)
        two = merging.get(method).merger([operands[place] for place in order])(permuted)
        for name in NAMES:
            torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_corners_of_the_simplex_are_the_single_adapters(count: int) -> None:
    operands = [adapter(seed) for seed in range(count)]
    merge = merging.get("la").merger(operands)
    corners = [tuple(float(i == place) for i in range(count - 1)) for place in range(count)]
    assert set(corners) <= set(merging.get("la").points(TENTHS, count))
    for corner, operand in zip(corners, operands, strict=True):
        assert all(torch.equal(merge(corner)[name], operand[name]) for name in NAMES)


@fewer
@given(st.lists(st.integers(0, 2**32).map(adapter), min_size=2, max_size=6))
def test_a_soup_is_the_plain_mean(operands) -> None:
    method = merging.get("soup")
    (point,) = method.search((), len(operands)).grid
    merged = method.merger(operands)(point)
    for name in NAMES:
        for entry in range(3):
            mean = sum(float(operand[name][entry]) for operand in operands) / len(operands)
            assert float(merged[name][entry]) == pytest.approx(mean, abs=1e-5)
    if len(operands) in (2, 4):  # whose equal weights are points of language arithmetic
        other = merging.get("la").merger(operands)(point)
        assert all(torch.equal(merged[name], other[name]) for name in NAMES)


def test_a_soup_has_one_point_without_a_grid() -> None:
    method = merging.get("soup")
    assert method.search((), 3).first == method.search((), 3).grid == ((0.33, 0.33),)
    assert method.search((), 3).most_points == 1 and method.search((), 3).near((0.33, 0.33)) == []
    assert method.describe(["en", "fr", "it"], (0.33, 0.33)) == "(en + fr + it) / 3"


def test_a_recipe_of_a_soup_has_no_numbers() -> None:
    operands = [{"adapter": name} for name in ("a", "b", "c")]
    recipe = merge_recipe.MergeRecipe.model_validate({"method": "soup", "operands": operands})
    assert recipe.point == (0.33, 0.33)
    assert yaml.safe_load(merge_recipe.text(recipe)) == {"method": "soup", "operands": operands}
    for keys in (
        {"operands": [operand | {"weight": 1 / 3} for operand in operands]},
        {"operands": operands, "parameters": {"lambda": 1.0}},
    ):
        with pytest.raises(ValueError, match="soup has no parameters"):
            merge_recipe.MergeRecipe.model_validate({"method": "soup", **keys})


# ---------------------------------------------------------------- points and searches


@fewer
@given(st.sampled_from([2, 4, 5, 10]), st.integers(2, 4))
def test_a_simplex_has_every_sum_of_steps_once(parts: int, operands: int) -> None:
    values = [round(i / parts, 2) for i in range(parts + 1)]
    points = merging.get("la").points(values, operands)
    assert len(set(points)) == len(points) == comb(parts + operands - 1, operands - 1)
    for point in points:
        assert all(share >= 0 for share in weights(point))
        assert sum(weights(point)) == pytest.approx(1)
    wanted = {
        tuple(round(share / parts, 2) for share in shares[:-1])
        for shares in itertools.product(range(parts + 1), repeat=operands)
        if sum(shares) == parts
    }
    assert set(points) == wanted


class Peak:
    """A split whose score falls with the distance of the merged weights from a peak.

    The operands are unit vectors, so that the merged adapter is the weights themselves.
    """

    task = SimpleNamespace(metrics=("f1",))

    def __init__(self, peak: tuple[float, ...]) -> None:
        self.peak, self.passes = torch.tensor(peak), 0

    def score(self, model) -> SplitScores:
        self.passes += 1
        ((_, parameter),) = model.named_parameters()
        distance = float(((parameter.detach() - self.peak) ** 2).sum())
        return SplitScores({"f1": round(100 - 40 * distance, 3)}, [], {}, 0.0)

    def report(self, scored: SplitScores) -> SplitScores:
        return scored


def searched(values: tuple[float, ...], peak: tuple[float, ...], kind: str):
    """A whole sweep of unit vectors, and how many passes over validation it took."""
    count, method = len(peak), merging.get("la")
    operands = [{"encoder.layer.0.adapters.up": row.clone()} for row in torch.eye(count)]
    parameter = torch.nn.Parameter(torch.zeros(count))
    name = f"encoder.layer.0.adapters.{LANGUAGE}.up"
    model = SimpleNamespace(named_parameters=lambda: [(name, parameter)])
    split = Peak(peak)
    found = sweep(
        model, method.merger(operands), method.search(values, count, kind), split, Peak(peak),
        method, "a test",
    )  # fmt: skip
    return found, split.passes


@pytest.mark.parametrize(
    ("values", "peak", "most", "whole"),
    [
        (TENTHS, (0.7, 0.1, 0.2), 36, 66),
        (TENTHS, (0.4, 0.3, 0.2, 0.1), 103, 286),
        (TENTHS, (0.7, 0.1, 0.1, 0.1), 103, 286),
        (TENTHS, (0.0, 0.0, 1.0, 0.0), 103, 286),
        (TWENTIETHS, (0.35, 0.4, 0.25), 76, 231),
    ],
)
def test_a_refined_search_of_many_operands_costs_few_evaluations(
    values, peak: tuple[float, ...], most: int, whole: int
) -> None:
    """The passes of a sweep over validation are counted, not planned."""
    method = merging.get("la")
    refined, passes = searched(values, peak, "refine")
    assert refined.selected == peak[:-1]
    assert passes == len(refined.scores["validation"]) <= most < whole
    assert method.search(values, len(peak), "refine").most_points == most
    assert len(method.search(values, len(peak)).grid) == whole


def test_the_documentation_states_the_numbers_of_evaluations(root: Path) -> None:
    text = (root / "docs/methods.md").read_text()
    rows = re.findall(r"^\| (\d) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.M)
    assert [row[0] for row in rows] == ["2", "3", "4"]
    for operands, *stated in rows:
        searches = [
            merging.get("la").search(values, int(operands), "refine")
            for values in (TENTHS, TWENTIETHS)
        ]
        counts = [
            number for search in searches for number in (len(search.grid), search.most_points)
        ]
        assert stated == [f"{number:,}" for number in counts]


def test_a_grid_of_three_operands_is_evaluated_whole() -> None:
    found, passes = searched(TENTHS, (0.2, 0.5, 0.3), "grid")
    assert passes == 66 and found.refined == () and found.selected == (0.2, 0.5)
    assert list(found.kept) == [(0.2, 0.5)]


def test_of_equal_scores_the_nearest_to_equal_weights_is_chosen() -> None:
    points = merging.get("la").points(TENTHS, 3)
    flat = dict.fromkeys(points, 60.0)
    neutral = selection.neutral(merging.get("la"), points[0])
    assert selection.select(flat, neutral) == (0.3, 0.3)


# ---------------------------------------------------------------- the study


def study_file(tmp_path: Path, root: Path, **changes: object) -> Path:
    keys = {
        "extends": f"{root}/studies/nano.yaml",
        "name": "more",
        "results_dir": "results/more",
        "languages": ["en", "es", "fr", "de"],
        "relatives": {"es": ["fr", "de"], "fr": ["es", "de"]},
        "lambdas": {"la": {"step": 0.1, "several": {"step": 0.1, "search": "refine"}}},
        "experiments": {"pool": {}},
    }
    path = tmp_path / "more.yaml"
    path.write_text(yaml.safe_dump({**keys, **changes}))
    return path


def load(tmp_path: Path, root: Path, **changes: object) -> Study:
    return loading.load(study_file(tmp_path, root, **changes))


def test_cells_are_those_of_one_relative_and_of_more(tmp_path: Path, root: Path) -> None:
    study = load(tmp_path, root, languages=["en", "es", "fr", "de", "it"],
                 relatives={"es": ["fr", "it", "de"], "fr": ["it", "es", "de"]},
                 experiments={"zero_shot": {}, "pool": {"pool_size": 3}})  # fmt: skip
    cells = experiments.cells(study, "pool")
    found = [(cell.target, cell.method, join_operands(cell.operands)) for cell in cells]
    assert found == [
        ("es", "la", "en+fr"),
        ("es", "la", "en+fr+it"),
        ("es", "soup", "en+fr+it"),
        ("es", "la", "en+fr+it+de"),
        ("es", "soup", "en+fr+it+de"),
        # the related language is the first, whatever the order of the others
        ("fr", "la", "en+es"),
        ("fr", "la", "en+es+it"),
        ("fr", "soup", "en+es+it"),
        ("fr", "la", "en+es+it+de"),
        ("fr", "soup", "en+es+it+de"),
    ]
    # the merges of two are the cells of zero-shot
    assert set(experiments.cells(study, "zero_shot")) <= set(cells)
    assert set(experiments.sweeps(study)) == {
        ("la", 2), ("la", 3), ("soup", 3), ("la", 4), ("soup", 4)
    }  # fmt: skip


def test_the_grid_of_several_operands_leaves_that_of_two_as_it_is(
    tmp_path: Path, root: Path
) -> None:
    several = load(tmp_path, root)
    plain = load(tmp_path, root, lambdas={"la": {"step": 0.1}})
    assert grid.lambdas(several, "la", 2) == grid.lambdas(plain, "la", 2) == (TENTHS, "grid")
    assert grid.lambdas(several, "la", 3) == (TENTHS, "refine")
    assert grid.lambdas(plain, "la", 3) == (TENTHS, "grid")
    assert grid.lambdas(several, "soup", 3) == ((), "grid")
    assert grid.search(several, "la", 3).most_points == 36
    assert len(grid.search(plain, "la", 3).first) == 66
    assert grid.search(several, "soup", 3).first == ((0.33, 0.33),)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"experiments": {"pool": {"pool_size": 3}}},
            "experiments.pool.pool_size: 3 relatives, but 'languages' has only 2 besides a target "
            "and the task language; take at most 2, or add languages",
        ),
        (
            {"experiments": {"pool": {"pool_size": 1}}},
            "experiments.pool.pool_size is 1; write a number of at least 2",
        ),
        (
            {"experiments": {"zero_shot": {"pool_size": 2}}},
            "experiments.zero_shot.pool_size: zero_shot has no such key",
        ),
        (
            {"relatives": {"es": ["fr", "xx"]}},
            "relatives.es: language 'xx' is not in 'languages'",
        ),
        ({"relatives": {"es": ["en"]}}, "relatives.es: 'en' is the task language and no relative"),
        ({"relatives": {"es": ["es"]}}, "relatives.es: 'es' is the target itself"),
        ({"relatives": {"es": ["fr", "fr"]}}, "relatives.es: 'fr' is listed twice"),
        ({"relatives": {"xx": ["fr"]}}, "relatives: language 'xx' is not in 'languages'"),
        (
            {"lambdas": {"la": {"step": 0.05, "several": {"step": 0.02}}}},
            "lambdas.la.several: with step 0.02 a sweep of 3 operands, which "
            "experiments.pool.pool_size asks for, evaluates 1,326 points",
        ),
        (
            {"lambdas": {"la": {"step": 0.02}}},
            "lambdas.la: with step 0.02 a sweep of 3 operands",
        ),
        (
            {"lambdas": {"la": {"step": 0.1, "several": {"step": 0.3}}}},
            "step 0.3 does not divide the range",
        ),
        (
            {"lambdas": {"la": {"step": 0.1, "several": {"step": 0.2, "search": "refine"}}}},
            "lambdas.la.several.search: with step 0.2 refine leaves out no point",
        ),
        (
            {"lambdas": {"la": {"step": 0.1}, "slerp": {"step": 0.1, "several": {"step": 0.2}}}},
            "lambdas.slerp.several: no experiment merges more than two operands by slerp",
        ),
        (
            {"lambdas": {"la": {"step": 0.1}, "soup": {"step": 0.1}}},
            "lambdas.soup: its weights are equal, so it has no grid; remove it",
        ),
    ],
)
def test_mistakes_are_refused_with_one_sentence(
    tmp_path: Path, root: Path, changes: dict, sentence: str
) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, root, **changes)
    found = str(error.value).splitlines()
    assert len(found) == 1 and sentence in found[0], found


def test_too_few_relatives_are_refused_once_cells_are_needed(tmp_path: Path, root: Path) -> None:
    study = load(tmp_path, root, relatives={"es": ["fr", "de"]})
    sentence = r"relatives\.fr: 2 languages are needed and 1 is known \(es\); name further ones"
    with pytest.raises(InputError, match=sentence):
        experiments.cells(study, "pool")
    assert experiments.sweeps(study) == [("la", 2)]


def test_relatives_come_from_the_lock_file(tmp_path: Path, root: Path) -> None:
    path = study_file(tmp_path, root, relatives={}, related={})
    lock = loading.lock_file(path)
    # of a language that this study lacks, and of the task language, it takes no notice
    write_lock(lock, "A comment.", {"es": ["en", "fr", "xx", "de"], "fr": ["es", "de"], "de": "es"})
    assert '"fr": ["es", "de"]\n' in lock.read_text() and '"de": "es"\n' in lock.read_text()
    study = loading.load(path)
    assert study.related == {"es": "fr", "fr": "es", "de": "es"}
    assert study.relatives == {"es": ["fr", "de"], "fr": ["es", "de"]}
    assert len(experiments.cells(study, "pool")) == 6


def test_the_proposal_has_as_many_relatives_as_are_asked_for() -> None:
    rows = [
        relatedness.RankedCandidate(target, candidate, 1, 0.1, rank, True, rank == 1)
        for target, candidates in {"es": ["fr", "it", "de"], "tr": ["de"]}.items()
        for rank, candidate in enumerate(candidates, start=1)
    ]
    assert relatedness.proposal(rows, 1) == {"es": "fr", "tr": "de"}
    assert relatedness.proposal(rows, 2) == {"es": ["fr", "it"], "tr": ["de"]}


def test_accepting_a_proposal_keeps_earlier_choices_first() -> None:
    earlier = {"es": "pt", "fr": ["it", "es", "ca"], "de": "nl"}
    proposed = {"es": ["fr", "pt", "it"], "fr": ["es", "it"], "tr": ["de", "es"]}
    assert relatedness.updated_lock(earlier, proposed) == {
        "es": ["pt", "fr", "it"],
        "fr": ["it", "es", "ca"],
        "de": "nl",
        "tr": ["de", "es"],
    }
    single = {"es": "fr", "it": "es"}
    assert relatedness.updated_lock({"es": "pt"}, single) == {"es": "pt", "it": "es"}


# ---------------------------------------------------------------- tables and figures

POINTS = ("0.40,0.40", "0.60,0.20")


def cells_of(target: str, seed: int, above: float = 0.0) -> list[list[dict]]:
    """One relative, two relatives and their soup, of a target and seed."""
    two = {1.0: 44.0 + above, 0.5: 50.0 + above, 0.0: 40.0 + above}
    three = {POINTS[0]: 53.0 + 3 * above, POINTS[1]: 51.0 + 3 * above}
    soup = {"0.33,0.33": 48.0}
    return [
        made_up.cell(target, "en+fr", seed, two, chosen=0.5),
        made_up.cell(target, "en+fr+de", seed, three, chosen=POINTS[0]),
        made_up.cell(target, "en+fr+de", seed, soup, chosen="0.33,0.33", method="soup"),
    ]


def made(targets: tuple[str, ...] = ("es", "sw")) -> pd.DataFrame:
    return made_up.table(
        rows
        for i, target in enumerate(targets)
        for seed in (1, 2)
        for rows in cells_of(target, seed, above=float(i))
    )


def test_scores_are_those_of_the_cells_and_of_the_ends_of_the_first() -> None:
    found = pool.scores(made(("es",)))
    of_seed = found[found["seed"] == 1].set_index("name")
    assert of_seed["value"].to_dict() == {
        "la_1": 44.0, "la_2": 50.0, "soup_2": 50.0, "la_3": 53.0, "soup_3": 48.0
    }  # fmt: skip
    assert of_seed["evaluations"].to_dict() == {
        "la_1": 0, "la_2": 3, "soup_2": 0, "la_3": 2, "soup_3": 0
    }  # fmt: skip
    assert of_seed["languages"].to_dict() == {
        "la_1": "en", "la_2": "en+fr", "soup_2": "en+fr", "la_3": "en+fr+de", "soup_3": "en+fr+de"
    }  # fmt: skip
    assert pool.names(found) == ["la_1", "la_2", "soup_2", "la_3", "soup_3"]


def printed(sheet) -> list[list[str]]:
    return [[c if isinstance(c, str) else c.written() for c in row] for row in sheet.rows]


def test_the_table_has_score_gain_evaluations_and_weights() -> None:
    place = intervals.key("tiny", "ner", "es", pool.BASE, method="la_3")
    beside = Beside(intervals={place: (1.0, 5.0)})
    (sheet,) = sheets.SHEETS["pool"](made(), made_up.CAPTION, beside)
    rows = printed(sheet)
    assert rows[:5] == [
        ["es", "0", "en adapter", "en", "0", "44.00", "1.00", "-6.00"],
        ["es", "1", "LA", "en+fr", "3", "50.00", "0.50, 0.50", ""],
        ["es", "1", "soup", "en+fr", "0", "50.00", "equal", "0.00"],
        ["es", "2", "LA", "en+fr+de", "2", "53.00", "0.40, 0.40, 0.20", "+3.00"],
        ["es", "2", "soup", "en+fr+de", "0", "48.00", "equal", "-2.00"],
    ]
    assert rows[8] == ["sw", "2", "LA", "en+fr+de", "2", "56.00", "0.40, 0.40, 0.20", "+5.00"]
    assert rows[13] == ["average", "2", "LA", "", "2", "54.50", "", "+4.00"]
    (gain,) = [row[-1] for row in sheet.rows if row[0] == "es" and row[1:3] == ("2", "LA")]
    assert gain.brackets() == " [+1.00, +5.00]"
    assert [row[2] for row in sheet.rows if row[5].best] == ["LA", "LA", "LA"]


def test_a_missing_cell_is_marked_and_leaves_no_average() -> None:
    rows = [*cells_of("es", 1), *cells_of("sw", 1)[::2], made_up.gone("sw", "en+fr+de", 1)]
    caption = replace(made_up.CAPTION, seeds=[1])
    (sheet,) = sheets.SHEETS["pool"](made_up.table(rows), caption)
    found = {(row[0], row[1], row[2]): row for row in printed(sheet)}
    assert found["sw", "2", "LA"][4:] == ["--", "--", "--", "--"]
    assert found["average", "2", "LA"][5] == "--"
    drawn = figures.DRAW["pool"](made_up.table(rows), caption)
    assert "1 of 6 cells is missing" in drawn.get_label()
    plt.close(drawn)


def test_the_figure_has_a_line_per_target_and_the_average_stronger() -> None:
    place = intervals.key("tiny", "ner", analysis.AVERAGE, pool.BASE, method="la_3")
    beside = Beside(intervals={place: (2.0, 6.0)})
    drawn = figures.DRAW["pool"](made(), made_up.CAPTION, beside)
    (axis,) = [axis for axis in drawn.axes if axis.get_visible()]
    lines = [line for line in axis.lines if len(line.get_xdata()) == 3]
    assert [list(np.round(line.get_ydata(), 6)) for line in lines] == [
        [-6.0, 0.0, 3.0],
        [-6.0, 0.0, 5.0],
        [-6.0, 0.0, 4.0],
    ]
    assert lines[2].get_linewidth() > lines[0].get_linewidth()
    soups = [line for line in axis.lines if line.get_marker() == palette.method_mark("soup")]
    assert [list(np.round(line.get_ydata(), 6)) for line in soups] == [
        [0.0, -2.0],
        [0.0, -3.0],
        [0.0, -2.5],
    ]
    assert any(list(line.get_ydata()) == [2.0, 6.0] for line in axis.lines)
    assert axis.get_title("left") == "NER (F1, points)"
    plt.close(drawn)


def test_gains_have_the_interval_of_their_paired_examples(tmp_path: Path) -> None:
    """Against a plain loop over the same resamples."""
    rng = np.random.default_rng(5)
    hard = rng.random(80)
    cells = {
        ("la", "en+fr"): {(1.0,): 0.5, (0.5,): 0.6, (0.0,): 0.4},
        ("la", "en+fr+de"): {(0.4, 0.4): 0.7, (0.6, 0.2): 0.5},
        ("soup", "en+fr+de"): {(0.33, 0.33): 0.55},
    }
    right: dict[tuple, np.ndarray] = {}
    for (method, operands), points in cells.items():
        correct = {
            point: (hard + rng.normal(0, 0.2, 80) < share).astype(np.int64)
            for point, share in points.items()
        }
        right |= {(method, operands, point): values for point, values in correct.items()}
        folder = tmp_path / f"evaluation/tiny/nli/es/{method}/{operands}/seed1"
        folder.mkdir(parents=True)
        counts = {point: {"correct": values} for point, values in correct.items()}
        outcomes.write(folder / "outcomes.parquet", {"validation": counts, "test": counts})
        test = {
            point[0] if len(point) == 1 else "{:.2f},{:.2f}".format(*point): 100 * values.mean()
            for point, values in correct.items()
        }
        chosen = {"en+fr": 0.5}.get(operands, next(iter(test)))
        content = made_up.selected(
            "es", operands, 1, test, chosen=chosen, task="nli", method=method
        )
        write_json(folder / "selected.json", content)
    rows = tables.rows("pool", sorted(tmp_path.rglob("selected.json")), [])
    table = tables.with_points(pd.DataFrame(rows, columns=list(tables.COLUMNS)))
    paths = layout.cell_paths(map(str, tmp_path.rglob("outcomes.parquet")))
    found = estimates.estimate("pool", gains.gains("pool", table, "en"), paths, {"nli": "nli"})
    of_target = found[found["target"] == "es"].set_index("method")
    assert set(of_target.index) == {"la_1", "soup_2", "la_3", "soup_3"}
    assert set(of_target["over"]) == {"la_2"}
    base = right["la", "en+fr", (0.5,)]
    sides = {
        "la_1": right["la", "en+fr", (1.0,)],
        "soup_2": base,
        "la_3": right["la", "en+fr+de", (0.4, 0.4)],
        "soup_3": right["soup", "en+fr+de", (0.33, 0.33)],
    }
    weights_of = statistics.example_weights(80, "nli es")
    for name, side in sides.items():
        assert of_target.loc[name, "gain"] == pytest.approx(100 * (side.mean() - base.mean()))
        resampled = [100 * float(row @ (side - base)) / 80 for row in weights_of]
        low, high = np.quantile(resampled, [0.025, 0.975])
        assert of_target.loc[name, ["low", "high"]].tolist() == pytest.approx([low, high], abs=1e-3)


def test_of_a_study_the_miniature_has_the_experiment(root: Path) -> None:
    study = loading.load(root / "studies/miniature.yaml")
    cells = experiments.cells(study, "pool")
    own = set(cells) - {
        cell
        for name in study.experiments
        if name != "pool"
        for cell in experiments.cells(study, name)
    }
    assert {(c.method, join_operands(c.operands), c.target) for c in own} == {
        ("la", "en+bg+ru", "de"),
        ("soup", "en+bg+ru", "de"),
    }
    schema = json.loads((root / "workflow/schemas/study.schema.json").read_text())
    assert "pool_size" in schema["$defs"]["Experiment"]["properties"]
