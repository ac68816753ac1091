"""The average of the outputs of adapters in each layer: a reference for merges, not a merge."""

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

_INPUT = re.compile(r"\.(adapter_down\.0|[FG]\.0|s[12]\.0)\.(weight|bias)$")
_OUTPUT = re.compile(r"\.(adapter_up|[FG]\.2|s[12]\.2)\.(weight|bias)$")


def prepare(operands: Sequence[Tensors], *, device: Any, **_: Any) -> Merge:
    """In each layer Σ w_i A_i(h): adapters A_i, weights w_i as in language arithmetic.

    The average of the outputs of bottlenecks is the output of one bottleneck that concatenates
    them, each with its weight on its upper matrix. So the bottlenecks of the merge are as wide as
    those of all operands together, and cost as much. In the invertible adapter both subnets are
    bottlenecks whose outputs are averaged, so it stays invertible.

    `adapters`' own composition `Average` computes the same in the layers (version 1.3 divides by
    the number of adapters a second time), but uses only the first adapter at the embeddings.

    Raises:
        InputError: the adapters have parameters outside bottlenecks.
    """
    import torch

    from langarith.merging.tensors import check_same, on_device, weighted_sum

    check_same(operands)
    for name in operands[0]:
        if not _INPUT.search(name) and not _OUTPUT.search(name):
            raise InputError(
                f"outputs averages the outputs of plain bottleneck adapters, but these also "
                f"have '{name}'; remove outputs from 'lambdas', or name other adapters"
            )
    adapters = [on_device(operand, device) for operand in operands]
    inputs = {
        name: torch.cat([adapter[name] for adapter in adapters])
        for name in adapters[0]
        if _INPUT.search(name)
    }

    def merge(point: Point) -> dict[str, Any]:
        shares = weights(point)
        merged = {}
        for name in adapters[0]:
            values = [adapter[name] for adapter in adapters]
            if name in inputs:
                merged[name] = inputs[name].clone()
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
