"""Merge methods beyond the paper's: each against a second implementation, and its properties."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import helpers
from langarith import merging
from langarith.audit import explain_file
from langarith.errors import InputError
from langarith.evaluation import selection
from langarith.merging import breadcrumbs, dare, isoc, layers
from langarith.merging.tensors import Tensors, language_vector
from langarith.models import encoders
from langarith.models.adapters import named_parameters
from langarith.study import loading

fewer = settings(max_examples=30)  # each example is computed a second time, slowly

SHAPES = {
    "encoder.layer.0.output.adapters.adapter_up.weight": (5, 3),
    "encoder.layer.0.output.adapters.adapter_up.bias": (5,),
    "encoder.layer.1.output.adapters.adapter_up.weight": (3, 5),
    "encoder.layer.10.output.adapters.adapter_up.weight": (1, 4),
    "invertible_adapters.F.0.weight": (4, 4),
    "invertible_adapters.F.0.bias": (4,),
}


def adapter(seed: int) -> dict[str, torch.Tensor]:
    """An adapter of random numbers."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


adapters = st.integers(0, 2**32).map(adapter)
weights = st.integers(0, 20).map(lambda step: round(0.05 * step, 2))


def array(tensors: Tensors, name: str) -> np.ndarray:
    return tensors[name].double().numpy()


def assert_close(merged: Tensors, expected: Tensors) -> None:
    assert merged.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(merged[name], expected[name], rtol=1e-5, atol=1e-6)


def assert_bitwise(merged: Tensors, expected: Tensors) -> None:
    assert list(merged) == list(expected)
    assert all(torch.equal(merged[name], expected[name]) for name in expected)


def scaled(tensors: Tensors, factor: float) -> dict[str, torch.Tensor]:
    return {name: factor * tensor for name, tensor in tensors.items()}


def plus(left: Tensors, right: Tensors) -> dict[str, torch.Tensor]:
    return {name: left[name] + right[name] for name in left}


# ---------------------------------------------------------------- names and points


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dare0", "write dare and a number from 1 to 99"),
        ("dare100", "write dare and a number from 1 to 99"),
        ("dare", "write dare and a number"),
        ("breadcrumbs", "write breadcrumbs and a number from 1 to 99"),
        ("breadcrumbs100", "write breadcrumbs and a number from 1 to 99"),
        ("layers2", "layers takes no number; write layers"),
        ("isoc2", "isoc takes no number; write isoc"),
    ],
)
def test_numbers_that_are_none_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        merging.get(name)


def test_points_and_the_preferred_one_of_each_method() -> None:
    values = [0.0, 0.5, 1.0]
    one = [(0.0,), (0.5,), (1.0,)]
    wanted = {"la": 0.5, "dare90": 0.5, "breadcrumbs90": 0.5, "isoc": 1.0, "ties20": 1.0}
    wanted |= {"fisher": 0.5, "outputs": 0.5}
    for name, neutral in wanted.items():
        method = merging.get(name)
        assert method.points(values, 2) == one
        assert selection.neutral(method, one[0]) == neutral
    pairs = merging.get("layers").points(values, 2)
    assert pairs == [(a, b) for a in values for b in values]
    assert selection.neutral(merging.get("layers"), pairs[0]) == 0.5
    # of three operands the first two weights are preferred equal to the rest
    three = merging.get("dare90").points(values, 3)
    assert selection.neutral(merging.get("dare90"), three[0]) == pytest.approx(1 / 3)
    flat = dict.fromkeys(pairs, 60.0)
    assert selection.select(flat, 0.5) == (0.5, 0.5)


def test_a_grid_of_too_many_pairs_is_refused(root: Path, tmp_path: Path) -> None:
    study = tmp_path / "many.yaml"
    study.write_text(
        f"extends: {root}/studies/nano.yaml\nname: many\nresults_dir: results/many\n"
        "lambdas:\n  la: {step: 0.25}\n  layers: {step: 0.02}\n"
    )
    with pytest.raises(InputError) as error:
        loading.load(study)
    assert "lambdas.layers: step 0.02 makes 2601 points" in str(error.value)


@pytest.mark.parametrize("column", ["operands", "reference"])
def test_the_documentation_has_a_row_for_every_method(root: Path, column: str) -> None:
    tables = re.split(r"\n\n", (root / "docs/methods.md").read_text())
    (table,) = (part for part in tables if re.match(rf"\| method \|.*\| {column} \|", part))
    rows = {}
    for line in table.splitlines()[2:]:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name.strip("`").removesuffix("NN")] = cells
    assert set(rows) == set(merging.families())
    for name in merging.examples():
        method, cells = merging.get(name), rows[re.sub(r"[0-9]+$", "", name)]
        if column == "operands":
            fewest, most = method.fewest_operands, method.most_operands
            assert cells[1] == f"{fewest}{'' if fewest == most else ' or more'}"
            assert bool(cells[2]) == (method.parameter is not None)
        else:
            assert cells[0] == ("yes" if method.needs_origin else "no")


# ---------------------------------------------------------------- the guide's example


@pytest.fixture
def magmax(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[merging.Method]:
    """The complete example of the guide, as a file of the package."""
    page = (root / "docs/adding_a_method.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "magmax.py").write_text(code, encoding="utf-8")
    caches = (merging.families, merging.of_pairs, merging.get)
    with monkeypatch.context() as patch:
        patch.setattr(merging, "__path__", [*merging.__path__, str(tmp_path)])
        for cache in caches:
            cache.cache_clear()
        yield merging.get("magmax")
    sys.modules.pop("langarith.merging.magmax")
    for cache in caches:
        cache.cache_clear()


def test_the_example_of_the_guide_merges_as_it_says(magmax: merging.Method) -> None:
    left, right, origin = adapter(1), adapter(2), adapter(3)
    assert "magmax" in merging.families()
    for factor in (0.0, 1.0, 1.1):
        merged = magmax.merger([left, right], origin)((factor,))
        for name, shape in SHAPES.items():
            start = array(origin, name)
            one, two = array(left, name) - start, array(right, name) - start
            expected = start + factor * np.where(abs(one) >= abs(two), one, two)
            assert merged[name].shape == shape
            np.testing.assert_allclose(array(merged, name), expected, rtol=1e-5, atol=1e-6)
    assert magmax.points([0.5, 1.0], 3) == [(0.5,), (1.0,)]
    assert magmax.takes(3) and magmax.misfit(-0.5)
    assert magmax.describe(["en", "fr"], (1.1,)) == "MagMax(en, fr), scaled by 1.10"


# ---------------------------------------------------------------- DARE


@fewer
@given(adapters, adapters, adapters, weights, st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_dare_by_numpy(left, right, origin, weight, drop, seed) -> None:
    merged = merging.get(f"dare{drop}").merger([left, right], origin, seed=seed)((weight,))
    for name, shape in SHAPES.items():
        expected = array(origin, name)
        for place, (share, operand) in enumerate([(weight, left), (1 - weight, right)]):
            mask = dare.kept_entries(name, shape, 1 - drop / 100, seed, place).numpy()
            vector = array(operand, name) - array(origin, name)
            expected = expected + share * mask * vector / (1 - drop / 100)
        np.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-3, atol=1e-4)


@fewer
@given(adapters, adapters, adapters, weights)
def test_dare_has_one_mask_at_every_point(left, right, origin, weight) -> None:
    merge = merging.get("dare60").merger([left, right], origin, seed=7)
    first, last = merge((1.0,)), merge((0.0,))
    assert_close(merge((weight,)), plus(scaled(first, weight), scaled(last, 1 - weight)))
    assert_bitwise(merge((0.0,)), last)
    again = merging.get("dare60").merger([left, right], origin, seed=7)
    assert_bitwise(again((weight,)), merge((weight,)))
    # at an end each entry is that of θ_pre, or its vector is divided by 1 − p
    grown = {n: origin[n] + (left[n] - origin[n]) / 0.4 for n in origin}
    for name in origin:
        kept = torch.isclose(first[name], grown[name], rtol=1e-4, atol=1e-5)
        assert torch.equal(first[name][~kept], origin[name][~kept])


def test_dare_needs_a_seed() -> None:
    operands, origin = [adapter(1), adapter(2)], adapter(3)
    with pytest.raises(ValueError, match="dare60 draws at random and needs a seed"):
        merging.get("dare60").merger(operands, origin)
    merge = merging.get("dare60").merger(operands, origin, seed=0)
    assert set(merge((0.5,))) == set(origin)


def test_dare_drops_its_share_and_each_vector_by_a_mask_of_its_own() -> None:
    masks = {
        (seed, place): dare.kept_entries("w", (400, 500), 0.1, seed, place)
        for seed in (1, 2)
        for place in (0, 1)
    }
    for mask in masks.values():
        assert float(mask.double().mean()) == pytest.approx(0.1, abs=0.004)
    first, *others = masks.values()
    for other in others:  # independent: both keep a hundredth
        assert float((first & other).double().mean()) == pytest.approx(0.01, abs=0.002)
    other = dare.kept_entries("v", (400, 500), 0.1, 1, 0)
    assert float((first & other).double().mean()) == pytest.approx(0.01, abs=0.002)


def test_dare_draws_the_same_on_every_machine() -> None:
    mask = dare.kept_entries("w", (12,), 0.5, 1, 0)
    assert "".join(str(int(kept)) for kept in mask) == "100110010100"


@fewer
@given(adapters, adapters, st.floats(0.1, 8))
def test_dare_draws_without_looking_at_values(vector, other, factor) -> None:
    once = dare.dare(vector, 50, 3, 0)
    assert_close(dare.dare(scaled(vector, factor), 50, 3, 0), scaled(once, factor))
    name = next(iter(SHAPES))
    assert torch.equal(dare.dare({name: vector[name]}, 50, 3, 0)[name], once[name])
    assert torch.equal(dare.dare(other, 50, 3, 0)[name] == 0, once[name] == 0)


def test_dare_expects_the_vector_itself() -> None:
    vector = {"w": torch.tensor([[1.0, -2.0], [0.5, 0.0]])}
    drawn = torch.stack([dare.dare(vector, 50, seed, 0)["w"] for seed in range(2000)])
    torch.testing.assert_close(drawn.mean(dim=0), vector["w"], rtol=0.1, atol=0)


# ---------------------------------------------------------------- Breadcrumbs


def breadcrumbs_slowly(values: list[float], keep: int) -> list[float]:
    """One entry after another: ranks by magnitude, positions settle what is equal."""
    count = len(values)
    ranked = sorted(range(count), key=lambda i: (abs(values[i]), i))
    stay = count * keep // 100
    largest = min(count // 100, count - stay)
    chosen = set(ranked[: count - largest][-stay:] if stay else [])
    return [value if i in chosen else 0.0 for i, value in enumerate(values)]


halves = st.integers(-5, 5).map(lambda n: n / 2)


@fewer
@given(st.lists(halves, min_size=1, max_size=350), st.integers(1, 99))
def test_breadcrumbs_agrees_with_the_slow_version(values, keep) -> None:
    thinned = breadcrumbs.breadcrumbs({"w": torch.tensor(values)}, keep)["w"].tolist()
    assert thinned == breadcrumbs_slowly(values, keep)


@pytest.mark.parametrize(
    ("keep", "smallest", "largest"),
    [(90, 90, 10), (50, 490, 10), (99, 0, 10), (1, 980, 10), (100, 0, 0)],
)
def test_breadcrumbs_drops_both_ends(keep, smallest, largest) -> None:
    """mergekit's `density` is keep / 100, its `gamma` 0.01."""
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    values = (order + 1.0) * (1 - 2 * (order % 2))
    thinned = breadcrumbs.breadcrumbs({"w": values.reshape(20, 50)}, keep)["w"].flatten()
    kept = (order >= smallest) & (order < 1000 - largest)
    assert torch.equal(thinned, torch.where(kept, values, 0.0))


def test_breadcrumbs_of_a_small_tensor_loses_none_of_the_largest() -> None:
    vector = {"b": torch.tensor([4.0, -3.0, 2.0, 1.0])}
    assert breadcrumbs.breadcrumbs(vector, 50)["b"].tolist() == [4.0, -3.0, 0.0, 0.0]


def test_breadcrumbs_is_per_tensor() -> None:
    vector = {"large": torch.tensor([10.0, 9.0]), "small": torch.tensor([2.0, 1.0])}
    thinned = breadcrumbs.breadcrumbs(vector, 50)
    assert [tensor.tolist() for tensor in thinned.values()] == [[10.0, 0.0], [2.0, 0.0]]


@fewer
@given(adapters, adapters, adapters, weights, st.integers(1, 99))
def test_breadcrumbs_are_weighted_like_language_arithmetic(left, right, origin, weight, keep):
    method = merging.get(f"breadcrumbs{keep}")
    merge = method.merger([left, right], origin)
    one, two = (
        breadcrumbs.breadcrumbs(language_vector(operand, origin), keep) for operand in (left, right)
    )
    vector = plus(scaled(one, weight), scaled(two, 1 - weight))
    assert_close(merge((weight,)), plus(origin, vector))
    swapped = method.merger([right, left], origin)((1 - weight,))
    assert_close(swapped, merge((weight,)))


@fewer
@given(adapters, st.floats(0.1, 8), st.integers(1, 99))
def test_breadcrumbs_scale(vector, factor, keep) -> None:
    thinned = breadcrumbs.breadcrumbs(vector, keep)
    assert_close(breadcrumbs.breadcrumbs(scaled(vector, factor), keep), scaled(thinned, factor))
    assert_bitwise(breadcrumbs.breadcrumbs(vector, 100), vector)


# ---------------------------------------------------------------- layers

DEPTHS = dict(zip(SHAPES, (1, 1, 2, 11, 0, 0), strict=True))


@fewer
@given(adapters, adapters, weights, weights)
def test_layers_by_numpy(left, right, bottom, top) -> None:
    merged = merging.get("layers").merger([left, right])((bottom, top))
    for name, depth in DEPTHS.items():
        weight = np.interp(depth, [0, 11], [bottom, top])
        expected = weight * array(left, name) + (1 - weight) * array(right, name)
        np.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-5, atol=1e-6)


@fewer
@given(adapters, adapters, weights)
def test_layers_with_equal_numbers_is_language_arithmetic_bitwise(left, right, weight) -> None:
    merged = merging.get("layers").merger([left, right])((weight, weight))
    assert_bitwise(merged, merging.get("la").merger([left, right])((weight,)))


@fewer
@given(adapters, adapters, weights, weights)
def test_layers_ends_and_permutation(left, right, bottom, top) -> None:
    merge = merging.get("layers").merger([left, right])
    assert_bitwise(merge((1.0, 1.0)), left)
    assert_bitwise(merge((0.0, 0.0)), right)
    crossed = merge((1.0, 0.0))
    for name, depth in DEPTHS.items():
        if depth in (0, 11):
            assert torch.equal(crossed[name], (left if depth == 0 else right)[name])
    swapped = merging.get("layers").merger([right, left])((1 - bottom, 1 - top))
    assert_close(swapped, merge((bottom, top)))


def test_depths_of_a_real_adapter(base: Path) -> None:
    """The invertible adapter is at the embeddings; a model without one has no depth 0."""
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "en", 1)
    names = list(named_parameters(model, "en"))
    by_depth = {name: layers.depth(name) for name in names}
    assert {by_depth[name] for name in names if name.startswith("invertible")} == {0}
    assert set(by_depth.values()) == {0, 1, 2}
    plain = [{n: t for n, t in adapter(seed).items() if DEPTHS[n]} for seed in (1, 2)]
    merged = merging.get("layers").merger(plain)((1.0, 0.0))
    name = next(iter(SHAPES))
    torch.testing.assert_close(merged[name], (10 * plain[0][name] + plain[1][name]) / 11)


def test_layers_needs_no_initialisation_and_two_operands() -> None:
    method = merging.get("layers")
    assert not method.needs_origin
    with pytest.raises(ValueError, match="layers does not merge 3 adapters"):
        method.merger([adapter(1)] * 3)
    assert method.describe(["en", "fr"], (0.25, 0.75)) == (
        "λ · en + (1−λ) · fr, λ from 0.25 at the embeddings to 0.75 at the top"
    )


# ---------------------------------------------------------------- Iso-C


def polar(matrix: np.ndarray) -> np.ndarray:
    """The orthogonal factor of a matrix of full rank, by eigenvalues instead of singular values."""
    if matrix.shape[0] < matrix.shape[1]:
        return polar(matrix.T).T
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    return matrix @ vectors @ np.diag(values**-0.5) @ vectors.T


@fewer
@given(
    st.lists(st.integers(0, 2**32), min_size=3, max_size=5, unique=True).map(
        lambda seeds: [adapter(seed) for seed in seeds]
    ),
    st.floats(0.2, 2),
)
def test_isoc_by_eigenvalues(different, scale) -> None:
    """Operands and origin differ: a sum of zeros has no polar factor."""
    origin, *operands = different
    merged = merging.get("isoc").merger(operands, origin)((scale,))
    for name, shape in SHAPES.items():
        total = sum(array(operand, name) - array(origin, name) for operand in operands)
        if len(shape) == 2:
            length = np.sqrt(np.linalg.eigvalsh(total @ total.T).clip(0)).sum() / min(shape)
            vector = length * polar(total)
        else:
            vector = total / len(operands)
        np.testing.assert_allclose(
            merged[name].numpy(), array(origin, name) + scale * vector, rtol=1e-2, atol=1e-3
        )


@fewer
@given(adapters, adapters, st.floats(0.2, 8))
def test_isoc_flattens_and_keeps_the_nuclear_norm(one, two, factor) -> None:
    vector = isoc.isotropic([one, two])
    for name, shape in SHAPES.items():
        if len(shape) == 2:
            found = torch.linalg.svdvals(vector[name].double())
            total = torch.linalg.svdvals((one[name] + two[name]).double())
            torch.testing.assert_close(found, total.mean().expand_as(found), rtol=1e-4, atol=1e-5)
    assert_bitwise(isoc.isotropic([two, one]), vector)
    larger = isoc.isotropic([scaled(one, factor), scaled(two, factor)])
    for name in SHAPES:
        torch.testing.assert_close(larger[name], factor * vector[name], rtol=1e-2, atol=1e-3)


def test_isoc_by_hand() -> None:
    # singular values 3 and 1 of the sum become 2 and 2; the bias is averaged
    one = {"w": torch.tensor([[2.0, 0.0], [0.0, 0.0]]), "b": torch.tensor([1.0, 2.0])}
    two = {"w": torch.tensor([[1.0, 0.0], [0.0, -1.0]]), "b": torch.tensor([3.0, 0.0])}
    vector = isoc.isotropic([one, two])
    torch.testing.assert_close(vector["w"], torch.tensor([[2.0, 0.0], [0.0, -2.0]]))
    assert vector["b"].tolist() == [2.0, 1.0]
    none = {name: torch.zeros_like(tensor) for name, tensor in one.items()}
    assert_bitwise(isoc.isotropic([none, none]), none)
    with pytest.raises(ValueError, match="'b' only in operand 1"):
        isoc.isotropic([one, {"w": two["w"]}])


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", ["dare90", "breadcrumbs90", "layers", "isoc"])
def test_operands_stay_as_they_are_and_share_nothing(name: str) -> None:
    operands, origin = [adapter(1), adapter(2)], adapter(3)
    method = merging.get(name)
    merge = method.merger(operands, origin, seed=1)
    point = method.points([0.0, 0.5, 1.0], 2)[-1]
    first = merge(point)
    expected = {key: tensor.clone() for key, tensor in first.items()}
    for tensor in first.values():
        tensor.fill_(9.0)
    assert_bitwise(merge(point), expected)
    for tensors, seed in zip([*operands, origin], (1, 2, 3), strict=True):
        assert_bitwise(tensors, adapter(seed))
    assert {key: tensor.shape for key, tensor in expected.items()} == SHAPES


def test_a_choice_of_two_numbers_is_explained() -> None:
    points = {"0.00,0.50": 60.0, "0.25,1.00": 61.5}
    output = explain_file.choice(
        {
            "metric": "f1",
            "selected": "0.25,1.00",
            "validation": [{"lambda": p, "metrics": {"f1": s}} for p, s in points.items()],
        }
    )
    assert output == "lambda 0.25,1.00 chosen on validation (f1 61.50); next 0.00,0.50 (60.00)"
