"""The average of what adapters compute, in each layer: a reference for merges, which is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError
from langarith.merging import Merge, Method
from langarith.merging.la import describe as describe_sum
from langarith.merging.la import simplex, weights
from langarith.operands import Point

if TYPE_CHECKING:
    from langarith.merging.tensors import Tensors

_INTO = re.compile(r"\.(adapter_down\.0|[FG]\.0|s[12]\.0)\.(weight|bias)$")
_OUT = re.compile(r"\.(adapter_up|[FG]\.2|s[12]\.2)\.(weight|bias)$")


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """In each layer Σ w_i A_i(h), A_i the adapter of operand i, w_i as in language arithmetic.

    The average of the outputs of bottlenecks is the output of one that has them side by side, each
    with its weight at its upper matrix. So the merge is an adapter whose bottlenecks are as wide as
    those of all operands together, and costs as much as all of them. Of the invertible adapter both
    subnets are bottlenecks, whose outputs are averaged: it stays invertible.

    `adapters`' own composition `Average` computes the same in the layers (its version 1.3 divides
    by the number of adapters once more), but has the first adapter alone at the embeddings.

    Raises:
        InputError: the adapters have parameters outside bottlenecks.
    """
    import torch

    from langarith.merging.tensors import check_same, moved, weighted_sum

    check_same(operands)
    for name in operands[0]:
        if not _INTO.search(name) and not _OUT.search(name):
            raise InputError(
                f"outputs averages the outputs of plain bottleneck adapters, and these have "
                f"'{name}' besides; remove outputs from 'lambdas', or name other adapters"
            )
    adapters = [moved(operand, device) for operand in operands]
    into = {
        name: torch.cat([adapter[name] for adapter in adapters])
        for name in adapters[0]
        if _INTO.search(name)
    }

    def merge(point: Point) -> dict[str, Any]:
        shares = weights(point)
        merged = {}
        for name in adapters[0]:
            values = [adapter[name] for adapter in adapters]
            if name in into:
                merged[name] = into[name].clone()
            elif name.endswith(".bias"):
                terms = zip(shares, [{name: value} for value in values], strict=True)
                merged |= weighted_sum(list(terms))
            else:
                weighted = [share * value for share, value in zip(shares, values, strict=True)]
                merged[name] = torch.cat(weighted, dim=1)
        return merged

    return merge


def describe(operands: Sequence[str], point: Point) -> str:
    """`0.65 · outputs of en + 0.35 · outputs of fr`."""
    return describe_sum([f"outputs of {operand}" for operand in operands], point)


METHOD = Method(
    title="outputs averaged",
    reference="adapters 1.3, Average",
    prepare=prepare,
    describe=describe,
    points=simplex,
    most_operands=None,
    writable=False,
    ends=(0.0, 1.0),
    neutral=None,
)
