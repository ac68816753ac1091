"""Forgetting by negation: the initialisation minus a language vector (Ilharco et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, point_text

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, origin: Tensors, device: Any, **_: Any) -> Merge:
    """θ_pre − λ · τ of one operand: λ = 0 is θ_pre, bitwise, and λ = −1 is the operand."""
    from langarith.merging.tensors import negate, on_device

    (operand,) = operands
    adapter, start = on_device(operand, device), on_device(origin, device)
    return lambda point: negate(adapter, start, point[0])


def points(values: Sequence[float], operands: int) -> list[Point]:
    """Every value and always λ = 0, the reference for what is forgotten."""
    return [(value,) for value in sorted({0.0, *values})]


def describe(operands: Sequence[str], point: Point) -> str:
    """`θ_pre − 0.50 · τ(es)`."""
    return f"θ_pre − {point_text(point)} · τ({operands[0]})"


METHOD = Method(
    title="negation",
    reference="Ilharco et al. 2023, arXiv 2212.04089",
    prepare=prepare,
    describe=describe,
    points=points,
    fewest_operands=1,
    most_operands=1,
    needs_origin=True,
    signed=True,
    neutral=0.0,
)
