"""Model Breadcrumbs: each vector without its smallest and largest entries (Davari et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.merging.la import describe as describe_sum
from langarith.merging.la import prepare as prepare_sum
from langarith.merging.la import simplex
from langarith.operands import Point

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors

LARGEST = 1
"""Percentage of a tensor's entries that are dropped as the largest: mergekit's default `gamma`."""


def prepare(operands: Sequence[Tensors], *, origin: Tensors, parameter: int, device: Any) -> Merge:
    """Language arithmetic of θ_pre + Breadcrumbs(τ_i): λ weighs the first vector, 1−λ the second.

    `parameter` is the percentage of entries that are kept, `density` of mergekit's `breadcrumbs`.
    As in mergekit, nothing is rescaled, and the weights replace the factor α of the paper.
    """
    from langarith.merging.tensors import apply_vector, language_vector

    vectors = [breadcrumbs(language_vector(operand, origin), parameter) for operand in operands]
    return prepare_sum([apply_vector(origin, vector, 1.0) for vector in vectors], device=device)


def describe(operands: Sequence[str], point: Point) -> str:
    """`0.65 · Breadcrumbs(en) + 0.35 · Breadcrumbs(fr)`."""
    return describe_sum([f"Breadcrumbs({operand})" for operand in operands], point)


METHOD = Method(
    title="Breadcrumbs (keep {parameter}%)",
    reference="Davari and Belilovsky 2023, arXiv 2312.06795; mergekit",
    prepare=prepare,
    describe=describe,
    points=simplex,
    most_operands=None,
    parameters=range(1, 100),
    needs_origin=True,
    ends=(0.0, 1.0),
    neutral=None,
)


def breadcrumbs(vector: Tensors, keep: int) -> dict[str, torch.Tensor]:
    """The vector with `keep` percent of the entries of each tensor; the others become 0.

    Of the n entries of a tensor, the `LARGEST` percent with the largest magnitudes are dropped, and
    then the smallest until n · keep / 100 are left. If `keep` is above 100 − `LARGEST`, fewer of
    the largest are dropped. Counts are rounded down. Of equal magnitudes, the earlier entry counts
    as smaller.

    For tensors of under 100 entries, too small to lose a largest entry, mergekit drops all entries;
    here none of the largest are dropped.
    """
    import torch

    thinned = {}
    for name, tensor in vector.items():
        count = tensor.numel()
        kept = count * keep // 100
        largest = min(count * LARGEST // 100, count - kept)
        order = tensor.abs().flatten().argsort(stable=True)
        chosen = order[count - largest - kept : count - largest]
        mask = torch.zeros(count, dtype=torch.bool)
        mask[chosen] = True
        thinned[name] = torch.where(mask.reshape(tensor.shape), tensor, 0.0)
    return thinned
