"""Analogies of language vectors: a is to b as c is to the merge (Ilharco et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, point_text

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """θ_pre + τ_c + λ · (τ_b − τ_a) of the operands a, b and c; θ_pre cancels.

    λ = 1 is the analogy, and λ = 0 is the adapter of c, bitwise.
    """
    from langarith.merging.tensors import analogy, on_device

    a, b, c = (on_device(operand, device) for operand in operands)
    return lambda point: analogy(a, b, c, point[0])


def describe(operands: Sequence[str], point: Point) -> str:
    """`it + 1.00 · (es − fr)`."""
    a, b, c = operands
    return f"{c} + {point_text(point)} · ({b} − {a})"


METHOD = Method(
    title="analogy",
    reference="Ilharco et al. 2023, arXiv 2212.04089",
    prepare=prepare,
    describe=describe,
    fewest_operands=3,
    most_operands=3,
    signed=True,
    neutral=1.0,
    tested=(0.0, 1.0),
)
