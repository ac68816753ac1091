"""Iso-C, isotropic merging in the common subspace (Marczak et al. 2025, arXiv 2502.04959)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, point_text

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, origin: Tensors, device: Any, **_: Any) -> Merge:
    """θ_pre + λ · Iso-C(τ_1, τ_2, ...): the vectors are merged once, on the CPU, and scaled by λ.

    As in the authors' code, λ is chosen on validation.
    """
    from langarith.merging.tensors import language_vector, scaled_merge

    vectors = [language_vector(operand, origin) for operand in operands]
    return scaled_merge(isotropic(vectors), origin, device)


def describe(operands: Sequence[str], point: Point) -> str:
    """`Iso-C(en, fr), scaled by 1.10`."""
    return f"Iso-C({', '.join(operands)}), scaled by {point_text(point)}"


METHOD = Method(
    title="Iso-C",
    reference="Marczak et al. 2025, arXiv 2502.04959",
    prepare=prepare,
    describe=describe,
    most_operands=None,
    needs_origin=True,
    neutral=1.0,
)


def isotropic(vectors: Sequence[Tensors]) -> dict[str, torch.Tensor]:
    """Iso-C of language vectors, with the semantics of the authors' code.

    Matrices: the sum Σ τ_i = U S Vᵀ becomes mean(S) · U Vᵀ, so that all its singular values are
    equal. All other tensors (biases): the mean of the τ_i. Singular values are computed in float64;
    the authors use float32. The authors exclude CLIP's projection of texts, which adapters do not
    have. If the sum is rank-deficient, LAPACK chooses the missing directions.

    Raises `ValueError` for no vectors and for vectors that differ in names or shapes.
    """
    import torch

    from langarith.merging.tensors import check_same

    check_same(vectors)
    merged = {}
    for name, first in vectors[0].items():
        total = torch.stack([vector[name].double() for vector in vectors]).sum(dim=0)
        if total.dim() == 2:
            left, values, right = torch.linalg.svd(total, full_matrices=False)
            total = values.mean() * (left @ right)
        else:
            total = total / len(vectors)
        merged[name] = total.to(first.dtype)
    return merged
