"""Language vectors and their algebra on named tensors (paper, sections 2.1 and 3.1, appendix E).

An adapter is a mapping from parameter names to tensors. All operands of one operation have the same
names and shapes; anything else is a `ValueError` that names the first differing tensors. θ_pre, the
`origin`, is the common initialisation from which all adapters were trained.

Operands are never changed; results never share memory with them. Half-precision operands are
summed in float32 and cast back. Weights and scales have no unit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from langarith.errors import InputError

Tensors = Mapping[str, torch.Tensor]


# 1 - Σw of weights such as 0.35 and 0.65 is not exactly zero because of rounding. A sum meant to be
# 1 is always nearer to it than this, and any other sum is not.
CANCELS = 1e-9


def language_vector(adapter: Tensors, origin: Tensors) -> dict[str, torch.Tensor]:
    """τ = θ − θ_pre, with the names and shapes of its operands (Eq. 1)."""
    return _combine([(1.0, adapter), (-1.0, origin)])


def weighted_sum(
    terms: Sequence[tuple[float, Tensors]], origin: Tensors | None = None
) -> dict[str, torch.Tensor]:
    """θ_pre + Σ w_i (θ_i − θ_pre), for any number of operands and any weights (Eq. 2-4).

    `terms` are pairs (w_i, θ_i). A negative weight negates (Ilharco et al. 2023). θ_pre has the
    coefficient 1 − Σ w_i, so `origin` is needed only if the weights do not sum to one. Operands
    with coefficient 0 are skipped: weight 1 reproduces its operand bitwise, and inf or NaN in an
    operand with weight 0 has no effect.

    Raises `ValueError` for operands that differ in names or shapes, a weight that is not finite,
    and a missing origin that is needed.
    """
    rest = 1.0 - math.fsum(weight for weight, _ in terms)
    if abs(rest) < CANCELS:
        rest = 0.0
    operands = list(terms)
    if origin is not None:
        operands.append((rest, origin))
    elif rest != 0.0:
        raise ValueError(
            f"weights that sum to {1.0 - rest:g} instead of 1 need the origin, i.e. the tensors of "
            "the common initialisation"
        )
    return _combine(operands)


def interpolate(left: Tensors, right: Tensors, weight: float) -> dict[str, torch.Tensor]:
    """θ_pre + λ τ_left + (1−λ) τ_right with λ = `weight` (Eq. 4); θ_pre cancels.

    λ = 1 is `left` and λ = 0 is `right`, both bitwise.
    """
    return weighted_sum([(weight, left), (1.0 - weight, right)])


def negate(adapter: Tensors, origin: Tensors, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """θ_pre − λτ with λ = `scale`, "forgetting via negation" (Ilharco et al. 2023)."""
    return weighted_sum([(-scale, adapter)], origin)


def analogy(a: Tensors, b: Tensors, c: Tensors, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """c + λ(b − a) with λ = `scale`; θ_pre cancels.

    With λ = 1, "a is to b as c is to the result" (Ilharco et al. 2023).
    """
    # In this order b − a is exactly zero where a and b are equal, and c remains.
    return weighted_sum([(scale, b), (-scale, a), (1.0, c)])


def apply_vector(origin: Tensors, vector: Tensors, scale: float) -> dict[str, torch.Tensor]:
    """θ_pre + λ · vector with λ = `scale`. For a sweep over λ, call `ties` once and this per λ."""
    return _combine([(1.0, origin), (scale, vector)])


def on_device(tensors: Tensors, device: Any) -> dict[str, torch.Tensor]:
    """The tensors on a device; those that are already there are shared, not copied."""
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def scaled_merge(
    vector: Tensors, origin: Tensors, device: Any
) -> Callable[[Sequence[float]], dict[str, torch.Tensor]]:
    """The merge θ_pre + λ · vector on a device, for points with one number."""
    vector, start = on_device(vector, device), on_device(origin, device)
    return lambda point: apply_vector(start, vector, point[0])


@torch.no_grad()
def write_in_place(parameters: Mapping[str, torch.nn.Parameter], tensors: Tensors) -> None:
    """Copy `tensors` into the parameters of a loaded model, with their device and dtype.

    All names and shapes are compared before anything is written: a `ValueError`, or an InputError
    for values that are not finite, leaves the model unchanged.
    """
    check_same([parameters, tensors])
    if not torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).all():
        raise InputError(
            "the merged adapter has NaN or infinite values; leave this point out of 'lambdas', or "
            "train its operands again"
        )
    for name, parameter in parameters.items():
        parameter.copy_(tensors[name])


@torch.no_grad()
def _combine(terms: Sequence[tuple[float, Tensors]]) -> dict[str, torch.Tensor]:
    """Σ c_i θ_i over the non-zero coefficients; at least one is required."""
    check_same([tensors for _, tensors in terms])
    for coefficient, _ in terms:
        if not math.isfinite(coefficient):
            raise ValueError(f"a weight must be a finite number, not {coefficient}")
    (weight, first), *others = [term for term in terms if term[0] != 0.0]
    result = {}
    for name, tensor in first.items():
        dtypes = [tensor.dtype, *(operand[name].dtype for _, operand in others)]
        dtype = functools.reduce(torch.promote_types, dtypes)
        # Start from the first operand, not from zeros: 0.0 + -0.0 would lose a sign bit.
        total = tensor.to(_wide(dtype), copy=True)
        if weight != 1.0:
            total.mul_(weight)
        for coefficient, operand in others:
            total.add_(operand[name].to(total.dtype), alpha=coefficient)
        result[name] = total.to(dtype)
    return result


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in."""
    return torch.promote_types(dtype, torch.float32)


def flatten(tensors: Tensors) -> torch.Tensor:
    """All entries as one vector [d], tensors sorted by name, in float32 or wider."""
    pieces = [tensors[name].detach().reshape(-1) for name in sorted(tensors)]
    return torch.cat([piece.to(_wide(piece.dtype)) for piece in pieces])


def check_same(operands: Sequence[Tensors]) -> None:
    """Raise `ValueError` for no operands, empty ones, and other names or shapes."""
    if not operands:
        raise ValueError("there is nothing to combine: no operands")
    first = operands[0]
    if not first:
        raise ValueError("operand 1 has no tensors")
    for position, other in enumerate(operands[1:], start=2):
        if differing := sorted(first.keys() ^ other.keys()):
            examples = ", ".join(
                f"'{name}' only in operand {1 if name in first else position}"
                for name in differing[:3]
            )
            raise ValueError(f"{len(differing)} tensor names differ between operands: {examples}")
        for name in sorted(first):
            if first[name].shape != other[name].shape:
                raise ValueError(
                    f"tensor '{name}' has shape {tuple(first[name].shape)} in operand 1 and "
                    f"{tuple(other[name].shape)} in operand {position}"
                )
