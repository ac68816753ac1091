"""The least entropy of the predictions on the target's unlabelled validation inputs.

Confidence as a signal without labels, as in test-time adaptation (Wang et al. 2021, arXiv
2006.10726).
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import CellScores, Rule, select
from langarith.operands import Point


def choose(cell: CellScores, others: Sequence[CellScores]) -> Point:
    """Ties as in the paper's rule."""
    return select({point: -cell.entropy[point] for point in cell.unlabelled}, cell.neutral)


RULE = Rule(
    title="least entropy",
    labels="none",
    choose=choose,
    order=2,
    how="by the least entropy of the predictions on text of the target, without labels",
)
