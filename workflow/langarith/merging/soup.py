"""The plain average of all operands, without a search (uniform soup, Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """θ_pre + Σ τ_i / n of n operands: the mean of the adapters, since θ_pre cancels.

    The weights are exact; only the point is rounded.
    """
    from langarith.merging.tensors import on_device, weighted_sum

    merged = weighted_sum([(1 / len(operands), on_device(operand, device)) for operand in operands])
    return lambda point: dict(merged)


def equal_weights(values: Sequence[float], operands: int) -> list[Point]:
    """The only point, written as in language arithmetic; `values` are not used."""
    return [(round(1 / operands, 2),) * (operands - 1)]


def describe(operands: Sequence[str], point: Point) -> str:
    """`(en + fr + it) / 3`."""
    return f"({' + '.join(operands)}) / {len(operands)}"


METHOD = Method(
    title="soup",
    reference="Wortsman et al. 2022",
    prepare=prepare,
    describe=describe,
    points=equal_weights,
    most_operands=None,
    neutral=None,
)
