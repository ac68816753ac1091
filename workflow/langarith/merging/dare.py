"""DARE: drop entries of each vector at random and rescale the rest (Yu et al. 2023)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.merging import Merge, Method
from langarith.merging.la import describe as describe_sum
from langarith.merging.la import prepare as prepare_sum
from langarith.merging.la import simplex
from langarith.operands import Point

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors


def prepare(
    operands: Sequence[Tensors], *, origin: Tensors, parameter: int, device: Any, seed: int
) -> Merge:
    """Language arithmetic of θ_pre + DARE(τ_i): λ weighs the first vector, 1−λ the second.

    Every entry of every vector is dropped with probability p = `parameter` / 100, and the others
    are divided by 1−p, so that the expected vector is τ_i. This is DARE with a weighted sum
    (`dare_linear` of PEFT and mergekit; mergekit rescales to the L1 norm of the tensor instead of
    by 1/(1−p)). The masks are drawn once and are the same at every point; they differ between the
    runs of a study, see :func:`kept_entries`.
    """
    from langarith.merging.tensors import apply_vector, language_vector

    thinned = []
    for position, operand in enumerate(operands):
        vector = dare(language_vector(operand, origin), parameter, seed, position)
        thinned.append(apply_vector(origin, vector, 1.0))
    return prepare_sum(thinned, device=device)


def describe(operands: Sequence[str], point: Point) -> str:
    """`0.65 · DARE(en) + 0.35 · DARE(fr)`."""
    return describe_sum([f"DARE({operand})" for operand in operands], point)


METHOD = Method(
    title="DARE (drop {parameter}%)",
    reference="Yu et al. 2023, arXiv 2311.03099",
    prepare=prepare,
    describe=describe,
    points=simplex,
    most_operands=None,
    parameters=range(1, 100),
    needs_origin=True,
    draws=True,
    ends=(0.0, 1.0),
    neutral=None,
)


def dare(vector: Tensors, drop: int, seed: int, position: int) -> dict[str, torch.Tensor]:
    """A vector with `drop` percent of its entries, on average, set to 0 and the others rescaled.

    Args:
        drop: percentage, 0 < drop < 100.
        seed, position: see :func:`kept_entries`.
    """
    import torch

    share = 1.0 - drop / 100
    return {
        name: torch.where(
            kept_entries(name, tensor.shape, share, seed, position), tensor / share, 0.0
        )
        for name, tensor in vector.items()
    }


def kept_entries(
    name: str, shape: Sequence[int], share: float, seed: int, position: int
) -> torch.Tensor:
    """Which entries of a tensor are kept: booleans, each true with probability `share`.

    They depend only on the seed of the run, the operand's position in the cell, and the tensor's
    name and shape: not on values, the device or other tensors.
    """
    import torch

    digest = hashlib.sha256(f"{seed}/{position}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    # torch.rand on the CPU: bernoulli_ gives other values if torch was built with MKL
    return torch.rand(tuple(shape), generator=generator) < share
