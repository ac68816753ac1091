"""TIES-Merging of vectors (Yadav et al. 2023, arXiv 2306.01708; appendix E of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.operands import Point, point_text

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors


def prepare(operands: Sequence[Tensors], *, origin: Tensors, parameter: int, device: Any) -> Merge:
    """θ_pre + λ · TIES(τ_1, τ_2, ...): the vectors are merged once, on the CPU, and scaled by λ."""
    from langarith.merging.tensors import language_vector, scaled_merge

    vectors = [language_vector(operand, origin) for operand in operands]
    return scaled_merge(ties(vectors, parameter), origin, device)


def describe(operands: Sequence[str], point: Point) -> str:
    """`TIES(en, fr), scaled by 1.10`."""
    return f"TIES({', '.join(operands)}), scaled by {point_text(point)}"


METHOD = Method(
    title="TIES (top-K% {parameter})",
    reference="Yadav et al. 2023, arXiv 2306.01708",
    prepare=prepare,
    describe=describe,
    most_operands=None,
    parameters=range(1, 100),
    needs_origin=True,
    neutral=1.0,
)


def ties(vectors: Sequence[Tensors], keep: float) -> dict[str, torch.Tensor]:
    """TIES of language vectors, with the semantics of the reference code of Yadav et al. (2023).

    1. Trim: in each vector, over all its tensors together, entries below a magnitude threshold
       become zero. The threshold is the (d − int(d · keep/100))-th smallest of the d magnitudes
       and is kept with all entries equal to it: at least one entry more than `keep` percent.
    2. Elect: each coordinate takes the sign of its sum over the vectors; if that is zero, the
       majority sign, i.e. the sign of (positive − negative coordinates) among the sums.
    3. Merge: the mean over those entries that have the elected sign. If sum and majority are both
       zero, the negative entries are taken, as in the reference.

    `keep` is in percent, 0 < keep <= 100. (The reference reads a `keep` up to 1 as a fraction.)
    Trimming per tensor or weighting the vectors, as PEFT and mergekit do, gives other results.

    Raises `ValueError` for no vectors, vectors that differ in names or shapes, and a `keep` out of
    range.
    """
    import torch

    from langarith.merging.tensors import check_same, flatten

    if not 0 < keep <= 100:
        raise ValueError(f"keep is a percentage above 0 and up to 100, not {keep}")
    check_same(vectors)
    first = vectors[0]
    trimmed = torch.stack([_trim(flatten(vector), keep) for vector in vectors])

    elected = trimmed.sum(dim=0).sign()
    # int64, because float32 cannot count above 2^24, and an adapter may have more parameters.
    majority = elected.sum(dtype=torch.int64).sign()
    elected = torch.where(elected == 0, majority.to(elected.dtype), elected)

    agrees = torch.where(elected > 0, trimmed > 0, trimmed < 0)
    mean = (trimmed * agrees).sum(dim=0) / agrees.sum(dim=0).clamp(min=1)

    names = sorted(first)
    pieces = mean.split([first[name].numel() for name in names])
    return {
        name: piece.reshape(first[name].shape).to(first[name].dtype, copy=True)
        for name, piece in zip(names, pieces, strict=True)
    }


def _trim(vector: torch.Tensor, keep: float) -> torch.Tensor:
    """`vector` [d] with all but its largest magnitudes set to zero; see `ties`."""
    rank = vector.numel() - int(vector.numel() * (keep / 100))
    if rank < 1:
        return vector
    magnitudes = vector.abs()
    return vector * (magnitudes >= magnitudes.kthvalue(rank).values)
