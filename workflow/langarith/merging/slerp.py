"""Spherical linear interpolation of two language vectors (Shoemake 1985; mergekit's `slerp`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, point_text

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors

PARALLEL = 1e-4
"""Sine of the angle below which vectors are interpolated linearly: they are almost parallel, or
opposite and no arc between them is unique."""


def prepare(operands: Sequence[Tensors], *, origin: Tensors, device: Any, **_: Any) -> Merge:
    """θ_pre + sin(λφ)/sin φ · τ_left + sin((1−λ)φ)/sin φ · τ_right, with their angle φ.

    φ is the angle between the whole adapters, each flattened to one vector (mergekit computes it
    per tensor, and interpolates full models, not differences). λ=1 and λ=0 are the operands,
    bitwise. If the sine of φ is below `PARALLEL`, or a vector is zero, this is language arithmetic.
    """
    from langarith.merging.compare import cosine
    from langarith.merging.tensors import interpolate, language_vector, on_device, weighted_sum

    vectors = [language_vector(operand, origin) for operand in operands]
    zero = any(all(not tensor.any() for tensor in vector.values()) for vector in vectors)
    angle = 0.0 if zero else math.acos(cosine(*vectors))
    left, right = (on_device(operand, device) for operand in operands)
    start = on_device(origin, device)

    def merge(point: Point) -> dict[str, Any]:
        weight = point[0]
        if math.sin(angle) < PARALLEL or weight in (0.0, 1.0):
            return interpolate(left, right, weight)
        first, second = (
            math.sin(share * angle) / math.sin(angle) for share in (weight, 1.0 - weight)
        )
        return weighted_sum([(first, left), (second, right)], start)

    return merge


def describe(operands: Sequence[str], point: Point) -> str:
    """`SLERP(en, fr) at 0.65 of en`."""
    return f"SLERP({', '.join(operands)}) at {point_text(point)} of {operands[0]}"


METHOD = Method(
    title="SLERP",
    reference="Shoemake 1985; mergekit",
    prepare=prepare,
    describe=describe,
    needs_origin=True,
    ends=(0.0, 1.0),
    neutral=0.5,
    tested=(0.0, 0.5, 1.0),
)
