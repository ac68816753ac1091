"""The algebra of language vectors: its laws, its edges, and TIES against a slow second opinion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langarith import merging
from langarith.merging import compare, ties
from langarith.merging.tensors import (
    Tensors,
    analogy,
    apply_vector,
    interpolate,
    language_vector,
    negate,
    weighted_sum,
    write_in_place,
)

SHAPES = {"down.weight": (3, 4), "down.bias": (3,), "up.weight": (4, 3), "scalar": ()}
SIZE = sum(math.prod(shape) for shape in SHAPES.values())

# Plain float32 numbers of an adapter's order of magnitude, zeros of both signs among them.
entries = st.floats(-4, 4, width=32).map(lambda x: 0.0 if abs(x) < 1e-6 else x) | st.just(-0.0)
weights = st.floats(-3, 3).map(lambda x: round(x, 3))


@st.composite
def adapters(draw: st.DrawFn, values: st.SearchStrategy[float] = entries) -> dict:
    flat = torch.tensor(draw(st.lists(values, min_size=SIZE, max_size=SIZE)))
    pieces = flat.split([math.prod(shape) for shape in SHAPES.values()])
    return {
        name: piece.reshape(shape).clone()
        for (name, shape), piece in zip(SHAPES.items(), pieces, strict=True)
    }


def assert_bitwise(result: Tensors, expected: Tensors) -> None:
    """Equal bit for bit, so that 0.0 is not -0.0."""
    assert result.keys() == expected.keys()
    for name in expected:
        assert result[name].dtype == expected[name].dtype
        assert torch.equal(result[name].view(torch.int32), expected[name].view(torch.int32)), name


def assert_close(result: Tensors, expected: Tensors) -> None:
    assert result.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(result[name], expected[name], rtol=1e-4, atol=1e-4)


def by_hand(terms: Sequence[tuple[float, Tensors]], origin: Tensors) -> dict[str, torch.Tensor]:
    """θ_pre + Σ w_i (θ_i − θ_pre), written as the paper writes it, in float64."""
    result = {}
    for name, start in origin.items():
        total = start.double()
        for weight, adapter in terms:
            total = total + weight * (adapter[name].double() - start.double())
        result[name] = total.float()
    return result


@given(adapters(), adapters())
def test_language_vector_is_the_difference(adapter, origin):
    vector = language_vector(adapter, origin)
    assert_bitwise(vector, {name: adapter[name] - origin[name] for name in origin})
    assert_close(apply_vector(origin, vector, 1.0), adapter)


@given(st.lists(st.tuples(weights, adapters()), min_size=1, max_size=4), adapters())
def test_weighted_sum_is_the_papers_formula(terms, origin):
    assert_close(weighted_sum(terms, origin), by_hand(terms, origin))


@given(st.lists(st.tuples(weights, adapters()), min_size=2, max_size=4), adapters(), st.randoms())
def test_the_order_of_the_terms_does_not_matter(terms, origin, random):
    shuffled = random.sample(terms, len(terms))
    assert_close(weighted_sum(shuffled, origin), weighted_sum(terms, origin))


@given(adapters(), adapters(), adapters(), weights, weights)
def test_weighted_sum_is_linear_in_language_vectors(a, b, origin, u, v):
    vector = language_vector(weighted_sum([(u, a), (v, b)], origin), origin)
    scaled = {name: u * (a[name] - origin[name]) + v * (b[name] - origin[name]) for name in origin}
    assert_close(vector, scaled)


@given(adapters(), adapters(), adapters(), adapters(), st.tuples(weights, weights, weights))
def test_more_than_two_operands_are_associative(a, b, c, origin, factors):
    u, v, w = factors
    inner = weighted_sum([(u, a), (v, b)], origin)
    assert_close(
        weighted_sum([(1.0, inner), (w, c)], origin),
        weighted_sum([(u, a), (v, b), (w, c)], origin),
    )


@given(adapters(), adapters(), adapters(), weights)
def test_weights_that_sum_to_zero_keep_the_origin(a, b, origin, w):
    merged = weighted_sum([(w, a), (-w, b)], origin)
    assert_close(merged, {name: origin[name] + w * (a[name] - b[name]) for name in origin})


@given(adapters(), adapters())
def test_interpolation_ends_are_its_operands_bitwise(left, right):
    assert_bitwise(interpolate(left, right, 1.0), left)
    assert_bitwise(interpolate(left, right, 0.0), right)


@given(adapters(), adapters())
def test_interpolation_in_the_middle_is_the_mean(left, right):
    mean = {name: (left[name] + right[name]) / 2 for name in left}
    assert_close(interpolate(left, right, 0.5), mean)


@given(adapters(), adapters(), adapters(), st.integers(0, 20))
def test_the_origin_cancels_in_an_interpolation(left, right, origin, step):
    weight = round(0.05 * step, 2)
    assert_bitwise(
        weighted_sum([(weight, left), (1 - weight, right)], origin),
        interpolate(left, right, weight),
    )
    assert_close(
        interpolate(left, right, weight),
        by_hand([(weight, left), (1 - weight, right)], origin),
    )


@given(adapters(), adapters())
def test_negating_twice_returns(adapter, origin):
    negated = negate(adapter, origin)
    assert_close(negated, {name: 2 * origin[name] - adapter[name] for name in origin})
    assert_close(negate(negated, origin), adapter)


@given(adapters(), adapters(), st.floats(-2, 2))
def test_negation_subtracts_its_share_of_the_vector(adapter, origin, scale):
    expected = {name: origin[name] - scale * (adapter[name] - origin[name]) for name in origin}
    merge = merging.get("negation").merger([adapter], origin)
    for found in (negate(adapter, origin, scale), merge((scale,))):
        assert_close(found, expected)
    assert all(torch.equal(merge((0.0,))[name], origin[name]) for name in origin)


@given(adapters(), adapters(), adapters())
def test_analogy(a, b, c):
    assert_close(analogy(a, b, c), {name: c[name] + b[name] - a[name] for name in c})
    same = analogy(a, a, c)
    assert all(torch.equal(same[name], c[name]) for name in c)


@given(adapters(), adapters(), adapters(), adapters(), st.floats(-2, 2))
def test_an_analogy_adds_its_share_of_a_difference_of_vectors(a, b, c, origin, scale):
    vectors = [{n: x[n] - origin[n] for n in origin} for x in (a, b, c)]
    expected = {
        n: origin[n] + vectors[2][n] + scale * (vectors[1][n] - vectors[0][n]) for n in origin
    }
    merge = merging.get("analogy").merger([a, b, c], origin)
    assert_close(merge((scale,)), expected)
    assert all(torch.equal(merge((0.0,))[name], c[name]) for name in c)


@pytest.mark.parametrize(("name", "count"), [("negation", 1), ("analogy", 3)])
def test_other_numbers_of_operands_are_refused(name, count):
    method = merging.get(name)
    operands = [{"w": torch.ones(2)}] * 4
    for wrong in {0, 1, 2, 3, 4} - {count}:
        with pytest.raises(ValueError, match=f"{name} does not merge {wrong} adapters"):
            method.merger(operands[:wrong], operands[0])


def test_operands_stay_as_they_are_and_share_nothing_with_the_result():
    left, right = {"w": torch.tensor([1.0, -0.0])}, {"w": torch.tensor([3.0, 4.0])}
    for weight in (0.0, 0.5, 1.0):
        interpolate(left, right, weight)["w"].fill_(7.0)
    ties.ties([left], 100)["w"].fill_(7.0)
    assert left["w"].tolist() == [1.0, -0.0]
    assert right["w"].tolist() == [3.0, 4.0]


def test_an_operand_with_weight_zero_leaves_no_trace():
    broken = {"w": torch.tensor([math.nan, math.inf])}
    sound = {"w": torch.tensor([1.0, 2.0])}
    assert_bitwise(interpolate(sound, broken, 1.0), sound)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    # 2048 + 1 is 2048 in half precision; only a wider sum returns to 1.
    big, one = {"w": torch.tensor([2048.0], dtype=dtype)}, {"w": torch.tensor([1.0], dtype=dtype)}
    merged = weighted_sum([(1.0, big), (1.0, one), (-1.0, big)])
    assert merged["w"].dtype == dtype
    assert merged["w"].item() == 1.0


def test_parameters_that_want_gradients_may_be_operands():
    parameter = {"w": torch.nn.Parameter(torch.tensor([1.0, 2.0]))}
    plain = {"w": torch.tensor([3.0, 5.0])}
    assert not interpolate(parameter, plain, 0.5)["w"].requires_grad
    assert not ties.ties([parameter, plain], 100)["w"].requires_grad
    assert compare.cosine(parameter, parameter) == pytest.approx(1.0)


def test_a_missing_origin_is_refused_only_where_it_is_needed():
    a = {"w": torch.ones(2)}
    weighted_sum([(0.1, a), (0.2, a), (0.7, a)])
    with pytest.raises(ValueError, match=r"sum to 1\.5 instead of 1 need the origin"):
        weighted_sum([(1.0, a), (0.5, a)])
    with pytest.raises(ValueError, match="need the origin"):
        weighted_sum([])


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_that_is_no_number_is_refused(weight):
    a = {"w": torch.ones(2)}
    with pytest.raises(ValueError, match="finite"):
        weighted_sum([(weight, a)], a)


def test_operands_that_differ_are_refused_by_name():
    a = {"down": torch.ones(2, 3), "up": torch.ones(3)}
    with pytest.raises(ValueError, match="'gate' only in operand 2, 'up' only in operand 1"):
        interpolate(a, {"down": a["down"], "gate": a["up"]}, 0.5)
    with pytest.raises(ValueError, match=r"'down' has shape \(2, 3\) .* \(3, 2\) in operand 2"):
        language_vector(a, a | {"down": torch.ones(3, 2)})
    with pytest.raises(ValueError, match="'up' only in operand 1"):
        ties.ties([a, {"down": a["down"]}], 20)
    with pytest.raises(ValueError, match="'up' only in operand 1"):
        compare.cosine(a, {"down": a["down"]})
    with pytest.raises(ValueError, match="no tensors"):
        interpolate({}, {}, 0.5)
    with pytest.raises(ValueError, match="no operands"):
        ties.ties([], 20)


def ties_slowly(vectors: Sequence[Tensors], keep: float) -> list[float]:
    """TIES coordinate by coordinate, in the order of sorted names."""
    flat = [
        [float(x) for name in sorted(vector) for x in np.asarray(vector[name]).ravel()]
        for vector in vectors
    ]
    trimmed = []
    for vector in flat:
        dropped = len(vector) - int(len(vector) * (keep / 100))
        threshold = sorted(abs(x) for x in vector)[dropped - 1] if dropped else 0.0
        trimmed.append([x if abs(x) >= threshold else 0.0 for x in vector])
    columns = list(zip(*trimmed, strict=True))
    signs = [int(np.sign(sum(column))) for column in columns]
    majority = int(np.sign(signs.count(1) - signs.count(-1)))
    merged = []
    for column, sign in zip(columns, signs, strict=True):
        if (sign or majority) > 0:
            agreeing = [x for x in column if x > 0]
        else:
            agreeing = [x for x in column if x < 0]
        merged.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return merged


# Eighths: few enough values for ties at the threshold and for sums of zero, and exact in float32.
eighths = st.integers(-6, 6).map(lambda n: n / 8)


@settings(max_examples=150)
@given(
    st.lists(adapters(eighths), min_size=1, max_size=4),
    st.sampled_from([0.1, 1, 20, 29, 50, 80, 99, 100]),
)
def test_ties_agrees_with_the_slow_version(vectors, keep):
    merged = ties.ties(vectors, keep)
    assert {name: tuple(tensor.shape) for name, tensor in merged.items()} == SHAPES
    flat = np.concatenate([merged[name].numpy().ravel() for name in sorted(merged)])
    np.testing.assert_allclose(flat, ties_slowly(vectors, keep), rtol=1e-6)


def test_ties_by_hand():
    # d = 5, keep = 40: the (5 − 2)rd smallest magnitude is the threshold and stays.
    # en: threshold 3 -> [5, -4, 3, 0, 0]       es: threshold 2 -> [-6, 2, 2, 0, 0], both 2s stay
    # sums [-1, -2, 5, 0, 0] -> signs [-, -, +, 0, 0]; the majority is negative
    en = {"b": torch.tensor([3.0, 2.0, 1.0]), "a": torch.tensor([5.0, -4.0])}
    es = {"b": torch.tensor([2.0, -1.0, 1.0]), "a": torch.tensor([-6.0, 2.0])}
    merged = ties.ties([en, es], keep=40)
    assert merged["a"].tolist() == [-6.0, -4.0]
    assert merged["b"].tolist() == [2.5, 0.0, 0.0]

    origin = {"b": torch.tensor([1.0, 1.0, 1.0]), "a": torch.tensor([0.0, 0.0])}
    trained = [{name: origin[name] + vector[name] for name in origin} for vector in (en, es)]
    scaled = merging.get("ties40").merger(trained, origin)((2.0,))
    assert scaled["a"].tolist() == [-12.0, -8.0]
    assert scaled["b"].tolist() == [6.0, 1.0, 1.0]


def test_ties_where_the_sum_is_zero():
    # The second coordinate cancels: it takes the sign of the majority, plus.
    plus = [{"w": torch.tensor([1.0, 2.0, 3.0])}, {"w": torch.tensor([1.0, -2.0, 3.0])}]
    assert ties.ties(plus, 100)["w"].tolist() == [1.0, 2.0, 3.0]
    # No majority either: the reference then takes the negative entries.
    neither = [{"w": torch.tensor([1.0, 2.0, -3.0])}, {"w": torch.tensor([1.0, -2.0, -3.0])}]
    assert ties.ties(neither, 100)["w"].tolist() == [1.0, -2.0, -3.0]


def test_ties_trims_over_all_tensors_together():
    vector = {"large": torch.tensor([10.0, 9.0, 8.0, 7.0, 6.0]), "small": torch.ones(5)}
    trimmed = ties.ties([vector], 40)
    assert trimmed["large"].count_nonzero() == 5
    assert trimmed["small"].count_nonzero() == 0


@pytest.mark.parametrize("keep", [0, -20, 101, math.nan])
def test_ties_refuses_a_share_that_is_none(keep):
    with pytest.raises(ValueError, match="percentage"):
        ties.ties([{"w": torch.ones(2)}], keep)


@given(adapters(), adapters())
def test_cosine_is_that_of_the_flat_vectors(a, b):
    flat = [np.concatenate([t.double().numpy().ravel() for t in x.values()]) for x in (a, b)]
    norms = np.linalg.norm(flat[0]) * np.linalg.norm(flat[1])
    if norms == 0:
        with pytest.raises(ValueError, match="zeros"):
            compare.cosine(a, b)
    else:
        # The order of the names must not matter.
        reordered = dict(reversed(b.items()))
        assert compare.cosine(a, reordered) == pytest.approx(flat[0] @ flat[1] / norms, abs=1e-9)
        assert compare.cosine(a, a) == pytest.approx(1.0)
        assert compare.cosine(a, {name: -tensor for name, tensor in a.items()}) >= -1.0


def test_sparsity_counts_entries_strictly_below():
    vector = {"a": torch.tensor([0.0, -0.25, 0.5]), "b": torch.tensor([[-2.0], [0.125]])}
    assert compare.sparsity(vector, 0.25) == pytest.approx(2 / 5)
    assert compare.sparsity(vector, 0.0) == 0.0
    assert compare.sparsity(vector, 3.0) == 1.0


def test_writing_in_place_keeps_the_parameters():
    model = torch.nn.Linear(2, 1)
    parameters = dict(model.named_parameters())
    storage = model.weight.data_ptr()
    write_in_place(parameters, {"weight": torch.tensor([[1.5, -2.0]]), "bias": torch.tensor([3.0])})
    assert model.weight.data_ptr() == storage
    assert model.weight.requires_grad
    assert model(torch.tensor([[2.0, 1.0]])).item() == 4.0


@pytest.mark.parametrize(
    "tensors",
    [
        {"bias": torch.zeros(1)},
        {"bias": torch.zeros(1), "weight": torch.zeros(1, 2), "extra": torch.zeros(1)},
        {"bias": torch.zeros(1), "weight": torch.zeros(2, 1)},
        {"bias": torch.zeros(1), "weight": torch.zeros(2)},
    ],
    ids=["missing", "extra", "shape", "broadcastable"],
)
def test_writing_in_place_refuses_what_does_not_fit_and_writes_nothing(tensors):
    model = torch.nn.Linear(2, 1)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    with pytest.raises(ValueError, match=r"weight|extra"):
        write_in_place(dict(model.named_parameters()), tensors)
    assert_bitwise(dict(model.named_parameters()), before)
