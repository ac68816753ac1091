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

    `parameter` is the percentage of entries that stay, `density` of mergekit's `breadcrumbs`. Like
    there, nothing is rescaled, and the weights stand for the one factor α of the paper.
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
    """A vector of whose tensors `keep` percent of the entries stay, the others being 0.

    Of the n entries of a tensor the `LARGEST` percent with the largest magnitudes are dropped, and
    so many of the smallest that n · keep / 100 stay; fewer of the largest where more than
    100 − `LARGEST` percent are to stay. Counts are rounded down. Of equal magnitudes an entry that
    comes first counts as smaller.

    In mergekit a tensor too small to lose a largest entry (under 100 entries) loses all; here it
    loses none of the largest.
    """
    import torch

    thinned = {}
    for name, tensor in vector.items():
        count = tensor.numel()
        stay = count * keep // 100
        largest = min(count * LARGEST // 100, count - stay)
        order = tensor.abs().flatten().argsort(stable=True)
        chosen = order[count - largest - stay : count - largest]
        mask = torch.zeros(count, dtype=torch.bool)
        mask[chosen] = True
        thinned[name] = torch.where(mask.reshape(tensor.shape), tensor, 0.0)
    return thinned
