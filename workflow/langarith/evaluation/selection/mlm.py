"""The least masked-LM loss of the merged adapter on held-out raw text of the target.

The language adapters were trained by this loss, so that a lower loss on text of the target means a
better model of its language. It does not use the task.
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import CellScores, Rule, select
from langarith.operands import Point


def choose(cell: CellScores, others: Sequence[CellScores]) -> Point | None:
    """Ties as in the paper's rule; None if the losses were not computed."""
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
