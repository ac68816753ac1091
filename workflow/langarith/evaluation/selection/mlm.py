"""The least masked-LM loss of the merged adapter on held-out raw text of the target.

The language adapters were trained by this loss, so that a lower one on text of the target means a
better model of its language. It knows nothing of the task.
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import Rule, Swept, select
from langarith.operands import Point


def choose(cell: Swept, others: Sequence[Swept]) -> Point | None:
    """Ties as in the paper's rule; None where the losses were not computed."""
    if not cell.masked_lm.keys() >= set(cell.unlabelled):
        return None
    return select({point: -cell.masked_lm[point] for point in cell.unlabelled}, cell.neutral)


RULE = Rule(
    title="least masked-LM loss",
    labels="none",
    choose=choose,
    order=3,
    how="by the least masked-LM loss on raw text of the target, without labels",
    needs=frozenset({"raw text"}),
)
