"""Fisher-weighted averaging (Matena and Raffel 2021, arXiv 2111.09832)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.merging.la import describe as describe_sum
from langarith.merging.la import simplex, weights
from langarith.operands import Point

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors


def prepare(
    operands: Sequence[Tensors], *, fishers: Sequence[Tensors], device: Any, **_: Any
) -> Merge:
    """Per parameter Σ w_i F_i θ_i / Σ w_i F_i, with the weights w_i of language arithmetic.

    F_i is the diagonal of the Fisher information of operand i, divided by its L2 norm over the
    whole adapter, as in the authors' code, so that its scale does not shift λ. If Σ w_i F_i is
    zero, the parameter is the plain weighted average Σ w_i θ_i; the authors instead raise F_i of
    one model to 1e-6 before the division. A weight of 1 reproduces its operand bitwise. Computed in
    float64.
    """
    from langarith.merging.tensors import check_same, on_device, weighted_sum

    check_same([*operands, *fishers])
    adapters = [on_device(operand, device) for operand in operands]
    importances = [on_device(normalised(fisher), device) for fisher in fishers]

    def merge(point: Point) -> dict[str, Any]:
        shares = weights(point)
        plain = weighted_sum(list(zip(shares, adapters, strict=True)))
        if shares.count(0.0) == len(shares) - 1:
            return plain
        return {
            name: _average(
                [share * fisher[name] for share, fisher in zip(shares, importances, strict=True)],
                [adapter[name] for adapter in adapters],
                tensor,
            )
            for name, tensor in plain.items()
        }

    return merge


def normalised(fisher: Tensors) -> dict[str, torch.Tensor]:
    """The diagonal divided by its L2 norm over all tensors, in float64; unchanged if all zero."""
    doubles = {name: tensor.double() for name, tensor in fisher.items()}
    norm = sum(float(tensor.square().sum()) for tensor in doubles.values()) ** 0.5
    return {name: tensor / (norm or 1.0) for name, tensor in doubles.items()}


def _average(
    importances: Sequence[torch.Tensor], values: Sequence[torch.Tensor], plain: torch.Tensor
) -> torch.Tensor:
    """The average of one tensor; `plain` for entries whose importances are all zero."""
    import torch

    total = torch.stack(list(importances)).sum(dim=0)
    positive = total > 0
    # shares first: products with importances near the smallest float would lose digits
    shares = [importance / torch.where(positive, total, 1.0) for importance in importances]
    merged = sum(share * value.double() for share, value in zip(shares, values, strict=True))
    return torch.where(positive, merged, plain.double()).to(plain.dtype)


def describe(operands: Sequence[str], point: Point) -> str:
    """`Fisher-weighted 0.65 · en + 0.35 · fr`."""
    return f"Fisher-weighted {describe_sum(operands, point)}"


METHOD = Method(
    title="Fisher",
    reference="Matena and Raffel 2021, arXiv 2111.09832",
    prepare=prepare,
    describe=describe,
    points=simplex,
    most_operands=None,
    needs_fisher=True,
    ends=(0.0, 1.0),
    neutral=None,
)
