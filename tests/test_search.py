"""Searches over λ: what `refine` evaluates, what it chooses, and what tables say of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langarith import merging
from langarith.evaluation import selection
from langarith.evaluation.selection import CellScores
from langarith.merging.search import coarse
from langarith.planning import costs, disk
from langarith.results import analysis, label_free, searches, sheets
from langarith.results.figures import DRAW
from langarith.study import grid, loading, schema
from langarith.study.experiments import all_cells
from made_up import CAPTION, cell, table

LA = merging.get("la")


def values(start: float, stop: float, step: float) -> tuple[float, ...]:
    return schema.Lambdas(start=start, stop=stop, step=step).values()


TWENTY_ONE = values(0, 1, 0.05)


def numbers(points: list[tuple[float, ...]]) -> list[float]:
    return [number for (number,) in points]


# --- the points ---


@pytest.mark.parametrize(
    ("start", "stop", "step", "first"),
    [
        (0, 1, 0.05, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 1, 0.01, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.8, 1.8, 0.1, [0.8, 1.0, 1.2, 1.4, 1.6, 1.8]),
        (0, 0.7, 0.1, [0.0, 0.2, 0.4, 0.6, 0.7]),  # the end is in it, however near
        (
            0,
            1.2,
            0.15,
            [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2],
        ),  # 0.15 is nearer than 0.3
        (0, 0.96, 0.08, [0.0, 0.16, 0.32, 0.48, 0.64, 0.8, 0.96]),  # 0.16 and 0.24 are as near
        (0, 1, 0.25, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0, 0.1, 0.05, [0.0, 0.1]),
        (1, 1, 0.05, [1.0]),
    ],
)
def test_steps_that_a_search_starts_with(start, stop, step, first) -> None:
    assert list(coarse(values(start, stop, step))) == first


@pytest.mark.parametrize(
    ("best", "near"),
    [
        (0.0, [0.05, 0.1, 0.15]),
        (0.2, [0.05, 0.1, 0.15, 0.25, 0.3, 0.35]),
        (0.4, [0.25, 0.3, 0.35, 0.45]),  # λ = 0.5 is always evaluated, so it is a neighbour
        (0.5, [0.45, 0.55]),
        (1.0, [0.85, 0.9, 0.95]),
    ],
)
def test_neighbours_of_the_best(best: float, near: list[float]) -> None:
    search = LA.search(TWENTY_ONE, 2, "refine")
    assert numbers(search.first) == [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0]
    assert numbers(search.near((best,))) == near


def test_a_search_by_grid_is_every_point_at_once() -> None:
    search = LA.search(TWENTY_ONE, 2)
    assert numbers(search.first) == list(TWENTY_ONE)
    assert search.near((0.4,)) == [] and search.most_points == 21


@pytest.mark.parametrize(
    ("method", "lambdas", "most"),
    [
        ("la", values(0, 1, 0.05), 13),
        ("la", values(0, 1, 0.01), 45),
        ("ties20", values(0.8, 1.8, 0.1), 8),
    ],
)
def test_most_evaluations(method: str, lambdas: tuple[float, ...], most: int) -> None:
    assert merging.get(method).search(lambdas, 2, "refine").most_points == most


def test_points_of_several_numbers_are_near_in_each() -> None:
    search = LA.search(TWENTY_ONE, 3, "refine")
    assert {(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.4, 0.2)} <= set(search.first)
    near = search.near((0.4, 0.2))
    assert near and not set(near) & set(search.first)
    assert all(0.2 < left < 0.5 and 0.0 < right < 0.4 for left, right in near)
    assert (0.35, 0.3) in near and (0.4, 0.25) in near
    assert set(near) <= set(search.grid)


# --- what it chooses ---


@given(st.integers(0, 20), st.lists(st.integers(1, 9), min_size=20, max_size=20))
def test_on_a_curve_with_one_peak_it_chooses_what_the_grid_chooses(peak: int, drops) -> None:
    """Strictly rising to the peak and falling from it: the peak is next to the coarse best."""
    scores = [0.0] * 21
    for i in range(peak - 1, -1, -1):
        scores[i] = scores[i + 1] - drops[i]
    for i in range(peak + 1, 21):
        scores[i] = scores[i - 1] - drops[i - 1]
    curve = dict(zip(TWENTY_ONE, scores, strict=True))
    evaluated = searches.refined(curve)
    found = selection.select({(w,): curve[w] for w in evaluated}, 0.5)
    assert found == (TWENTY_ONE[peak],) == selection.select({(w,): curve[w] for w in curve}, 0.5)
    assert 9 <= len(evaluated) <= 13
    assert {0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0} <= set(evaluated)


@given(st.lists(st.integers(0, 5), min_size=21, max_size=21))
def test_on_any_curve_it_misses_at_most_what_it_did_not_evaluate(scores) -> None:
    curve = dict(zip(TWENTY_ONE, map(float, scores), strict=True))
    evaluated = searches.refined(curve)
    assert len(evaluated) == len(set(evaluated)) <= 13
    whole = selection.select({(w,): curve[w] for w in curve}, 0.5)
    if whole[0] in evaluated:
        assert selection.select({(w,): curve[w] for w in evaluated}, 0.5) == whole
    # what was refined is no whole grid, and says so
    assert searches.refined({w: curve[w] for w in evaluated}) == []
    assert searches.grid_size(evaluated) == 21


def swept(target: str, validation: dict[float, float], refined: set[float]) -> CellScores:
    at = {(w,): score for w, score in validation.items()}
    entropy = {point: point[0] for point in at}
    points = frozenset((w,) for w in refined)
    return CellScores(
        "tiny", "ner", target, "la", "en+fr", 1, at, entropy, at, (3.0, 4.0), 0.5, points
    )


def test_points_that_labels_of_the_target_chose_serve_the_papers_rule_alone() -> None:
    """Where a search looked closely is what labels said: rules without labels must not see it."""
    first = dict.fromkeys([0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0], 10.0)
    refined = {0.25, 0.3, 0.35, 0.45}
    target = swept("es", first | {0.4: 20.0} | dict.fromkeys(refined, 19.0) | {0.35: 30.0}, refined)
    others = [swept(t, first | {0.8: 12.0, 0.35: 90.0}, {0.35}) for t in ("fr", "de")]
    chosen = {n: selection.get(n).choose(target, others) for n in selection.names()}
    assert chosen["validation"] == chosen["oracle"] == (0.35,)
    assert chosen["transfer"] == (0.8,)
    assert chosen["norm"] == (0.4,)  # 0.36, where 0.35 is nearer
    assert chosen["entropy"] == (0.0,)
    assert chosen["fixed"] == (0.5,)
    assert (chosen["left"], chosen["right"]) == ((1.0,), (0.0,))


# --- tables and figures ---


def peaked(at: float) -> dict[float, float]:
    return {w: 60.0 - 100 * abs(w - at) for w in TWENTY_ONE}


def test_the_table_of_coarser_grids_has_refine() -> None:
    """One curve with a peak, and one with a second, higher one near 0, which is missed."""
    double = peaked(0.65) | {0.1: 70.0}
    cells = [
        *cell("es", "en+fr", 1, peaked(0.65), chosen=0.65),
        *cell("es", "en+fr", 2, double, chosen=0.1),
    ]
    found = analysis.regret(table([cells]))
    rows = found[found["grid"] == searches.REFINE]
    # 7 points, and 0.55, 0.65, 0.7, 0.75 beside 0.6
    assert list(rows["lambda"]) == [0.65, 0.65]
    assert list(rows["regret"]) == [0.0, 10.0]
    assert list(rows["evaluations"]) == [11, 11]
    made = sheets.lambda_impact(table([cells]), CAPTION)[0]
    (row,) = [row for row in made.rows if searches.REFINE in row]
    assert [c if isinstance(c, str) else c.written() for c in row] == [
        *("NER", "10", "refine", "5.00", "10.00", "11", "10"),
    ]
    assert "The full grid takes 21 evaluations. refine: " in made.note


def refined_cells() -> list[list[dict]]:
    made = []
    for seed, at in ((1, 0.65), (2, 0.45)):
        curve = peaked(at)
        kept = {w: curve[w] for w in searches.refined(curve)}
        made.append(cell("es", "en+fr", seed, kept, chosen=at))
    return made


def test_of_a_refined_study_the_table_says_so_and_leaves_out_what_it_cannot_know() -> None:
    found = analysis.regret(table(refined_cells()))
    assert list(found["grid"].unique()) == ["0.2", "0.5", analysis.FIXED]
    # 0.4 and 0.5 are equal for the second seed, and between 0.4 and 0.6 are two more
    assert set(found["full_evaluations"]) == {11, 9} and set(found["grid_size"]) == {21}
    made = sheets.lambda_impact(table(refined_cells()), CAPTION)[0]
    assert "searched by refine, which took on average 10.0 of the 21 evaluations" in made.note
    assert "The full grid takes" not in made.note


def test_the_mean_curve_is_over_points_that_all_seeds_have() -> None:
    drawn = DRAW["lambda_impact"](table(refined_cells()), CAPTION)
    (axis,) = drawn.axes
    means = [line for line in axis.lines if line.get_linewidth() == 1.4]
    assert list(means[0].get_xdata()) == [0.0, 0.2, 0.4, 0.5, 0.55, 0.6, 0.8, 1.0]


def test_rules_are_compared_on_refined_sweeps() -> None:
    def content(target: str, at: float) -> dict:
        curve = peaked(at)
        evaluated = searches.refined(curve)
        first = set(numbers(LA.search(TWENTY_ONE, 2, "refine").first))
        points = [{"lambda": w, "metrics": {"f1": curve[w]}, "entropy": w} for w in evaluated]
        names = {"model": "tiny", "task": "ner", "target": target, "method": "la"}
        return names | {
            "operands": "en+fr",
            "seed": "1",
            "metric": "f1",
            "examples": {"validation": 10, "test": 10},
            "validation": points,
            "test": points,
            "norms": [3.0, 4.0],
            "refined": [w for w in evaluated if w not in first],
        }

    rows = label_free.rows(
        [content("es", 0.65), content("de", 0.1)], "en", {"es": "fr", "de": "fr"}
    )
    chosen = {(row["target"], row["rule"]): row["lambda"] for row in rows}
    assert (chosen["es", "validation"], chosen["de", "validation"]) == (0.65, 0.1)
    assert (chosen["es", "transfer"], chosen["de", "transfer"]) == (0.2, 0.6)
    assert len(rows) == 2 * len(selection.without_own_jobs())
    assert all(row["value"] is not None for row in rows)


# --- studies and plans ---


def with_search(study: schema.Study, **lambdas) -> schema.Study:
    grids = {method: schema.Lambdas(**given) for method, given in lambdas.items()}
    return study.model_copy(update={"lambdas": study.lambdas | grids})


def test_a_refined_search_is_planned_by_its_greatest_number_of_points(root: Path) -> None:
    study = loading.load(root / "config.yaml")
    fine = {"start": 0, "stop": 1, "step": 0.05}
    refined = with_search(study, la=fine | {"search": "refine"})
    assert grid.search(study, "la", 2).most_points == 21
    whole, less = (costs.Needs(s).sweep("mbert", "ner", "la").seconds for s in (study, refined))
    # both splits at each point, and test without a language adapter
    assert less / whole == pytest.approx((2 * 13 + 1) / (2 * 21 + 1))
    everything = partial(disk._cells, missing=lambda *_: True)
    saved = sum(everything(study)) - sum(everything(refined))
    examples = [costs.examples(study, c.task) for c in all_cells(study) if c.method == "la"]
    of_a_point = [disk.POINT + disk.OUTCOME * sum(counts[1:]) for counts in examples]
    assert saved == pytest.approx(8 * sum(of_a_point))


def test_refine_is_refused_where_it_leaves_out_nothing(tmp_path: Path, root: Path) -> None:
    from langarith.errors import InputError

    study = tmp_path / "coarse.yaml"
    study.write_text(
        f"extends: {root}/studies/nano.yaml\nname: coarse\nresults_dir: {tmp_path}/results\n"
        "lambdas: {la: {start: 0, stop: 1, step: 0.25, search: refine}}\n"
        "experiments: {zero_shot: {}}\n"
    )
    with pytest.raises(InputError, match=r"lambdas\.la\.search: refine .* leaves out no point"):
        loading.load(study)
    study.write_text(study.read_text().replace("0.25", "0.05"))
    assert loading.load(study).lambdas["la"].search == "refine"
