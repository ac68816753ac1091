"""Language arithmetic whose λ changes from layer to layer (after Bandarkar et al. 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from langarith.adapter_format import layer_of
from langarith.merging import Merge, Method
from langarith.merging.la import weights
from langarith.operands import Point, number_text

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """λ_d · τ_left + (1−λ_d) · τ_right at every depth d, with λ_d interpolated between two numbers.

    A point is λ at the embeddings and λ at the top: λ_d = bottom + (top − bottom) · d / D. The
    invertible adapter and any tensor outside a layer have depth 0, layer i (from 0) has depth i +
    1, and D is the depth of the topmost adapter. Two equal numbers give language arithmetic,
    bitwise.

    Layer swapping takes the lowest and highest layers from one model and those between from
    another, with averages at the transitions; this is its continuous counterpart for one
    transition.
    """
    from langarith.merging.tensors import check_same, on_device, weighted_sum

    check_same(operands)
    names = defaultdict(list)
    for name in operands[0]:
        names[depth(name)].append(name)
    last = max(names) or 1
    left, right = (on_device(operand, device) for operand in operands)

    def merge(point: Point) -> dict[str, Any]:
        bottom, top = point
        merged: dict[str, Any] = {}
        for level, in_level in names.items():
            first, second = weights((bottom + (top - bottom) * (level / last),))
            merged |= weighted_sum(
                [
                    (first, {name: left[name] for name in in_level}),
                    (second, {name: right[name] for name in in_level}),
                ]
            )
        return {name: merged[name] for name in left}

    return merge


def depth(name: str) -> int:
    """The depth of a tensor by its name: 0 outside the layers, 1 in the lowest layer."""
    layer = layer_of(name)
    return 0 if layer is None else layer + 1


def pairs(values: Sequence[float], operands: int) -> list[Point]:
    """Every pair of grid values: λ at the embeddings, λ at the top."""
    return list(product(sorted(values), repeat=2))


def describe(operands: Sequence[str], point: Point) -> str:
    """`λ · en + (1−λ) · fr, λ from 0.25 at the embeddings to 0.75 at the top`."""
    left, right = operands
    bottom, top = map(number_text, point)
    return f"λ · {left} + (1−λ) · {right}, λ from {bottom} at the embeddings to {top} at the top"


METHOD = Method(
    title="LA by layers",
    reference="after Bandarkar et al. 2024, arXiv 2410.01335",
    prepare=prepare,
    describe=describe,
    points=pairs,
    ends=(0.0, 1.0),
    neutral=0.5,
)
