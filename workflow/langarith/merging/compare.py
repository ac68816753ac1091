"""Language and task vectors compared: cosine similarity and density of weights (appendix E)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch

from langarith.adapter_format import layer_of
from langarith.merging.tensors import Tensors, check_same, flatten, language_vector


def cosine(a: Tensors, b: Tensors) -> float:
    """Cosine similarity, in [-1, 1], of two language vectors, all tensors flattened (Figure 10).

    Raises `ValueError` for vectors that differ in names or shapes, and for a vector of zeros.
    """
    check_same([a, b])
    left, right = flatten(a).double(), flatten(b).double()
    norms = float(left.norm() * right.norm())
    if norms == 0.0:
        raise ValueError("the cosine of a vector of zeros is undefined")
    return max(-1.0, min(1.0, float(left @ right) / norms))


def sparsity(a: Tensors, threshold: float) -> float:
    """Share, in [0, 1], of all entries whose magnitude is strictly below `threshold` (Figure 9)."""
    check_same([a])
    return float((flatten(a).double().abs() < threshold).double().mean())


THRESHOLDS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Magnitudes below which the share of weights is counted."""


POINTS = 401
"""Of a density."""
BIN, REACH = 0.1, 8.0
"""Of a kernel, in bandwidths: the width of a bin, and the distance beyond which it is 0."""


Key = tuple[str, str, str, int]
"""Model, kind (`language` or `task`), name, seed."""


def similarity(
    adapters: Mapping[Key, Tensors | None],
    origins: Mapping[tuple[str, str], Tensors],
) -> list[dict[str, Any]]:
    """Cosine similarity, in [-1, 1], of the vectors θ − θ_pre of all ordered pairs (Figure 10).

    Both vectors of a pair have the same model, kind and seed; all tensors count, invertible ones
    too.

    Args:
        adapters: tensors by name; None if an adapter is missing; its rows then have no value.
        origins: the common initialisation by model and kind.
    """
    vectors = {
        key: language_vector(tensors, origins[key[:2]]) if tensors else None
        for key, tensors in adapters.items()
    }
    rows = []
    for (model, kind, left, seed), (*other, right, other_seed) in combinations_with_replacement(
        vectors, 2
    ):
        if [model, kind, seed] != [*other, other_seed]:
            continue
        one, two = vectors[model, kind, left, seed], vectors[model, kind, right, seed]
        value = cosine(one, two) if one and two else math.nan
        for a, b in dict.fromkeys([(left, right), (right, left)]):
            rows.append(
                {"model": model, "kind": kind, "left": a, "right": b, "seed": seed, "cosine": value}
            )
    return rows


def density(
    adapters: Mapping[Key, Tensors | None],
    origins: Mapping[tuple[str, str], Tensors],
    layers: Sequence[int] | None,
) -> list[dict[str, Any]]:
    """Kernel density of the weights of language vectors, and shares of small ones (Figure 9).

    Args:
        adapters: as in :func:`similarity`.
        origins: as in :func:`similarity`.
        layers: one curve per layer; None: one curve of all tensors, including the invertible ones.

    Returns:
        Rows of `quantity` `density` (`x` a weight, `value` a density) and `share_below` (`x` a
        magnitude, `value` the share, in [0, 1], of weights strictly below it).
    """
    rows = []
    for (model, _, language, seed), tensors in adapters.items():
        for layer in layers if layers is not None else ("all",):
            base = {"model": model, "language": language, "layer": layer, "seed": seed}
            if tensors is None:
                rows.append(base | {"quantity": "density", "x": math.nan, "value": math.nan})
                continue
            vector = language_vector(tensors, origins[model, "language"])
            chosen = {name: t for name, t in vector.items() if layer in ("all", layer_of(name))}
            if not chosen:
                raise ValueError(f"layer {layer} of {model} has no adapter weights")
            values = torch.cat([t.flatten() for t in chosen.values()]).double().numpy()
            points, heights = kernel_density(values)
            curve = zip(points.tolist(), heights.tolist(), strict=True)
            rows += [base | {"quantity": "density", "x": x, "value": y} for x, y in curve]
            rows += [
                base | {"quantity": "share_below", "x": x, "value": sparsity(chosen, x)}
                for x in THRESHOLDS
            ]
    return rows


def kernel_density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian kernel density, with Scott's bandwidth, of the values (n,): points and heights.

    The same as scipy's `gaussian_kde`, but millions of weights are first counted in bins much
    narrower than the kernel, and each bin is at its mean. The points cover the middle 99.8 % of the
    values.

    Raises `ValueError` for values that are all equal.
    """
    if values.min() == values.max():
        raise ValueError("the density of equal values is undefined")
    width = float(values.std(ddof=1)) * len(values) ** -0.2
    low, high = np.quantile(values, [0.001, 0.999])
    ends = low - REACH * width, high + REACH * width
    bins = math.ceil((ends[1] - ends[0]) / (BIN * width))
    counts, _ = np.histogram(values, bins, ends)
    sums, _ = np.histogram(values, bins, ends, weights=values)
    means, counts = sums[counts > 0] / counts[counts > 0], counts[counts > 0]
    points = np.linspace(low, high, POINTS)
    kernels = np.exp(-(((points[:, None] - means) / width) ** 2) / 2)
    return points, kernels @ counts / (len(values) * width * math.sqrt(2 * math.pi))
