"""TIES merging of vectors (Yadav et al. 2023; appendix E of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from langarith.merging.tensors import Tensors, apply_vector, check_same, flatten, language_vector


def ties(vectors: Sequence[Tensors], keep: float) -> dict[str, torch.Tensor]:
    """TIES of language vectors, with the semantics of the reference code of Yadav et al. (2023).

    1. Trim: in each vector, over all its tensors together, entries below a magnitude threshold
       become zero. The threshold is the (d − int(d · keep/100))-th smallest of the d magnitudes
       and is itself kept, as is all that equals it: one entry more than `keep` percent, at least.
    2. Elect: each coordinate takes the sign of its sum over the vectors; where that is zero, the
       majority sign, i.e. the sign of (positive − negative coordinates) among the sums.
    3. Merge: the mean over those entries that have the elected sign. Where sum and majority are
       both zero, the reference takes the negative entries, and so does this.

    `keep` is in percent, 0 < keep <= 100. (The reference reads a `keep` up to 1 as a fraction.)
    Trimming per tensor or weighting the vectors, as PEFT and mergekit do, gives other results.

    Raises `ValueError` for no vectors, differing vectors and a `keep` out of range.
    """
    if not 0 < keep <= 100:
        raise ValueError(f"keep is a percentage above 0 and up to 100, not {keep}")
    check_same(vectors)
    first = vectors[0]
    trimmed = torch.stack([_trim(flatten(vector), keep) for vector in vectors])

    elected = trimmed.sum(dim=0).sign()
    # int64, because float32 stops counting at 2^24, which the parameters of an adapter may exceed.
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


def ties_merge(
    origin: Tensors, adapters: Sequence[Tensors], keep: float, scale: float
) -> dict[str, torch.Tensor]:
    """θ_pre + λ · TIES(τ_1, τ_2, ...) with λ = `scale` and `keep` in percent (appendix E)."""
    vectors = [language_vector(adapter, origin) for adapter in adapters]
    return apply_vector(origin, ties(vectors, keep), scale)


def _trim(vector: torch.Tensor, keep: float) -> torch.Tensor:
    """`vector` [d] with all but its largest magnitudes set to zero; see `ties`."""
    below = vector.numel() - int(vector.numel() * (keep / 100))
    if below < 1:
        return vector
    magnitudes = vector.abs()
    return vector * (magnitudes >= magnitudes.kthvalue(below).values)
