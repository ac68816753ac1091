"""Language arithmetic, the paper's own method (sections 3.2.3 and 3.2.4, Eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, number_text

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """θ_pre + Σ w_i τ_i with weights that sum to one, so that θ_pre cancels.

    A point has the weights of all operands except the last, which takes the rest; for two operands,
    λ is the weight of the first. A weight of 1 reproduces its operand bitwise.
    """
    from langarith.merging.tensors import on_device, weighted_sum

    adapters = [on_device(operand, device) for operand in operands]

    def merge(point: Point) -> dict[str, Any]:
        return weighted_sum(list(zip(weights(point), adapters, strict=True)))

    return merge


def weights(point: Point) -> list[float]:
    """The weights of all operands at a point."""
    rest = 1.0 - sum(point)
    return [*point, rest if abs(rest) > 1e-9 else 0.0]


def simplex(values: Sequence[float], operands: int) -> list[Point]:
    """Every combination of grid values that leaves a weight of at least 0 for the last operand.

    For two operands these are the grid values themselves.
    """
    return [
        point for point in product(sorted(values), repeat=operands - 1) if sum(point) <= 1.0 + 1e-9
    ]


def describe(operands: Sequence[str], point: Point) -> str:
    """`0.65 · en + 0.35 · fr`."""
    pairs = zip(weights(point), operands, strict=True)
    return " + ".join(f"{number_text(weight)} · {operand}" for weight, operand in pairs)


METHOD = Method(
    title="LA",
    reference="Klimaszewski, Andruszkiewicz and Birch 2025, Eq. 4",
    prepare=prepare,
    describe=describe,
    points=simplex,
    most_operands=None,
    ends=(0.0, 1.0),
    neutral=None,
    tested=(0.0, 0.5, 1.0),
)
