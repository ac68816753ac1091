"""The choice of lambda: highest score, ties by rule, and what coarser grids have of a grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langarith import merging
from langarith.evaluation import selection

TWENTY_ONE = [round(0.05 * i, 2) for i in range(21)]
# few different scores, so that ties are common
curves = st.dictionaries(
    st.sampled_from([(w,) for w in TWENTY_ONE]), st.sampled_from([1.0, 2.0, 3.0]), min_size=1
)
centres = st.sampled_from([0.5, 1.0])


@pytest.mark.parametrize(
    ("curve", "centre", "chosen"),
    [
        ({0.0: 1.0, 0.5: 2.0, 1.0: 3.0}, 0.5, 1.0),
        ({0.0: 3.0, 0.5: 2.0, 1.0: 3.0}, 0.5, 1.0),  # as near: the larger
        ({0.0: 3.0, 0.45: 3.0, 1.0: 3.0}, 0.5, 0.45),  # the nearest
        ({0.3: 3.0, 0.7: 3.0}, 0.5, 0.7),  # as near, though 0.5 - 0.3 != 0.7 - 0.5 in binary
        ({0.8: 3.0, 1.1: 3.0, 1.8: 3.0}, 1.0, 1.1),
        ({0.9: 3.0, 1.1: 3.0, 1.8: 2.9}, 1.0, 1.1),
    ],
)
def test_choice_by_hand(curve: dict[float, float], centre: float, chosen: float) -> None:
    points = {(weight,): score for weight, score in curve.items()}
    assert selection.select(points, centre) == (chosen,)


@given(curves, centres, st.randoms())
def test_choice_does_not_depend_on_the_order(curve, centre, random) -> None:
    points = list(curve.items())
    random.shuffle(points)
    assert selection.select(dict(points), centre) == selection.select(curve, centre)


@given(curves, centres)
def test_no_score_is_higher_and_no_equal_one_nearer(curve, centre) -> None:
    chosen = selection.select(curve, centre)
    for weight, score in curve.items():
        assert score <= curve[chosen]
        if score == curve[chosen]:
            assert abs(weight[0] - centre) >= abs(chosen[0] - centre) - 1e-9


@given(curves, centres, st.data())
def test_choice_stays_when_others_are_left_out(curve, centre, data) -> None:
    """So a coarser grid that has the choice of the full one chooses the same."""
    chosen = selection.select(curve, centre)
    kept = data.draw(st.sets(st.sampled_from(sorted(curve))))
    assert selection.select({w: curve[w] for w in {chosen, *kept}}, centre) == chosen


def test_neutral_point_of_each_method() -> None:
    for name in ("la", "slerp"):
        assert selection.neutral(merging.get(name), (0.0,)) == 0.5
    assert merging.get("ties20").neutral == merging.get("ties80").neutral == 1.0


def test_equal_weights_are_preferred_where_points_have_several_numbers() -> None:
    curve = {(0.2, 0.2): 5.0, (0.4, 0.2): 5.0, (0.4, 0.4): 5.0, (1.0, 0.0): 4.0}
    assert selection.select(curve, 1 / 3) == (0.4, 0.4)


@pytest.mark.parametrize(
    ("step", "points"),
    [
        (0.1, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (0.2, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.25, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0.5, [0.0, 0.5, 1.0]),
    ],
)
def test_steps_of_section_5_1(step: float, points: list[float]) -> None:
    assert step in selection.COARSE_STEPS
    assert selection.coarse_grid(TWENTY_ONE, step) == points
    assert selection.coarse_grid(TWENTY_ONE[::-1], step) == points


def test_grid_that_would_need_new_evaluations_is_empty() -> None:
    assert selection.coarse_grid([0.0, 0.25, 0.5, 0.75, 1.0], 0.1) == []
    assert selection.coarse_grid([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 0.25) == []


def test_grid_starts_where_the_full_one_does() -> None:
    ties = [round(0.8 + 0.1 * i, 2) for i in range(11)]
    assert selection.coarse_grid(ties, 0.2) == [0.8, 1.0, 1.2, 1.4, 1.6, 1.8]
    assert selection.coarse_grid(ties, 0.25) == []


@given(st.integers(1, 20), st.integers(1, 5))
def test_every_nth_point_of_a_grid(divisions: int, factor: int) -> None:
    grid = [round(i / divisions, 2) for i in range(divisions + 1)]
    found = selection.coarse_grid(grid, factor / divisions)
    # rounding to two decimals, as in file names, may leave a grid that is no grid
    assert found in ([], grid[::factor])
    if 100 % divisions == 0:
        assert found == grid[::factor]
