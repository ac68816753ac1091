"""Language vectors compared: against numpy's own cosine, and densities of known shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import gaussian_kde, norm

from langarith.merging import compare
from langarith.models.adapters import read_adapters
from langarith.results import tables


def adapter(seed: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "encoder.layer.0.output.adapters.up": (40, 20),
        "encoder.layer.1.output.adapters.up": (40, 20),
        "invertible_adapters.F": (30,),
    }
    return {name: torch.randn(shape, generator=generator) * scale for name, shape in shapes.items()}


ORIGIN = adapter(0)
ADAPTERS = {
    ("m", "language", "es", 1): adapter(1),
    ("m", "language", "fr", 1): adapter(2),
    ("m", "language", "fr", 2): adapter(3),
    ("m", "task", "ner", 1): adapter(4),
}
ORIGINS = {("m", "language"): ORIGIN, ("m", "task"): adapter(5)}


def flat(tensors: dict[str, torch.Tensor], origin: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([(tensors[k] - origin[k]).numpy().ravel() for k in sorted(tensors)])


def test_cosines_of_all_ordered_pairs_of_one_seed_and_kind() -> None:
    rows = pd.DataFrame(compare.similarity(ADAPTERS, ORIGINS))
    found = {(r.kind, r.left, r.right, r.seed): r.cosine for r in rows.itertuples()}
    assert set(found) == {
        *(("language", a, b, 1) for a in ("es", "fr") for b in ("es", "fr")),
        ("language", "fr", "fr", 2),
        ("task", "ner", "ner", 1),
    }
    es, fr = (flat(ADAPTERS["m", "language", code, 1], ORIGIN) for code in ("es", "fr"))
    expected = float(es @ fr / np.linalg.norm(es) / np.linalg.norm(fr))
    assert found["language", "es", "fr", 1] == pytest.approx(expected, abs=1e-6)
    assert found["language", "fr", "es", 1] == found["language", "es", "fr", 1]
    assert found["task", "ner", "ner", 1] == pytest.approx(1.0)


def test_a_missing_adapter_leaves_rows_without_a_value() -> None:
    partial = ADAPTERS | {("m", "language", "es", 1): None}
    rows = pd.DataFrame(compare.similarity(partial, ORIGINS))
    lost = rows[(rows["left"] == "es") | (rows["right"] == "es")]
    assert len(lost) == 3 and lost["cosine"].isna().all()
    assert rows.drop(lost.index)["cosine"].notna().all()
    (row,) = compare.density({("m", "language", "es", 1): None}, ORIGINS, None)
    assert math.isnan(row["value"])


def test_density_of_normal_weights_is_the_normal_density() -> None:
    values = np.random.default_rng(0).normal(0.5, 2.0, 200_000)
    points, heights = compare.kernel_density(values)
    assert np.abs(heights - norm.pdf(points, 0.5, 2.0)).max() < 0.01 * norm.pdf(0.5, 0.5, 2.0) * 3
    assert np.trapezoid(heights, points) == pytest.approx(0.998, abs=0.005)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda rng: rng.normal(size=300), id="few"),
        pytest.param(lambda rng: rng.standard_t(3, 20_000), id="heavy tails"),
        pytest.param(lambda rng: np.append(rng.normal(0, 1e-3, 20_000), 5.0), id="an outlier"),
        pytest.param(lambda rng: np.append(np.zeros(500), rng.normal(size=50)), id="mostly equal"),
    ],
)
def test_density_is_that_of_scipy(draw: Callable[[np.random.Generator], np.ndarray]) -> None:
    values = draw(np.random.default_rng(1))
    points, heights = compare.kernel_density(values)
    exact = gaussian_kde(values)(points)
    assert heights == pytest.approx(exact, rel=1e-3, abs=1e-5 * exact.max())


def test_density_of_equal_values_is_refused() -> None:
    with pytest.raises(ValueError, match="the density of equal values is undefined"):
        compare.kernel_density(np.full(100, 0.3))


def test_a_layer_is_that_layers_weights_alone() -> None:
    moved = {name: tensor.clone() for name, tensor in ORIGIN.items()}
    moved["encoder.layer.1.output.adapters.up"] += 0.05
    moved["encoder.layer.0.output.adapters.up"] += torch.linspace(-1e-5, 1e-5, 800).view(40, 20)
    moved["encoder.layer.1.output.adapters.up"].add_(torch.linspace(0, 1e-3, 800).view(40, 20))
    rows = pd.DataFrame(
        compare.density({("m", "language", "es", 1): moved}, ORIGINS, layers=[0, 1])
    )
    below = rows[rows["quantity"] == "share_below"].set_index(["layer", "x"])["value"]
    assert below[0, 1e-4] == 1.0 and below[1, 1e-2] == 0.0 and below[1, 1e-1] == 1.0
    with pytest.raises(ValueError, match="layer 7 of m"):
        compare.density({("m", "language", "es", 1): moved}, ORIGINS, layers=[7])


def test_tables_of_vectors_are_read_back(tmp_path) -> None:
    rows = compare.similarity(ADAPTERS, ORIGINS)
    rows = [{"experiment": "similarity", **row} for row in rows]
    tables.write(rows, tmp_path / "similarity.csv", tables.OWN_COLUMNS["similarity"])
    back = tables.read(tmp_path / "similarity.csv")
    assert list(back.columns) == tables.OWN_COLUMNS["similarity"]
    assert back["cosine"].tolist() == [row["cosine"] for row in rows]


def test_adapters_are_read_by_key_and_those_that_are_not_there_are_none(tmp_path) -> None:
    from safetensors.torch import save_file

    name = "encoder.layer.0.output.adapters.es.adapter_up.weight"
    save_file({name: torch.ones(2, 2)}, tmp_path / "adapter.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"name": "es", "config": {}, "hidden_size": 2}')
    there, gone = tmp_path / "adapter.safetensors", tmp_path / "fr" / "adapter.safetensors"
    found = read_adapters([(["m", "language", "es", 1], str(there)), (["m", "fr"], str(gone))])
    assert found["m", "fr"] is None
    assert [t.sum().item() for t in found["m", "language", "es", 1].values()] == [4.0]
