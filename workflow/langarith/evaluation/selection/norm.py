"""The closed form λ = ‖τ_left‖² / (‖τ_left‖² + ‖τ_right‖²): needs no data.

The adapter that is farther from the common initialisation has the larger weight. The nearest point
of the grid is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import CellScores, Rule, nearest
from langarith.operands import Point


def choose(cell: CellScores, others: Sequence[CellScores]) -> Point | None:
    """None for ready-made adapters, whose θ_pre is not known."""
    if len(cell.norms) != 2 or not any(cell.norms):
        return None
    left, right = (norm**2 for norm in cell.norms)
    return nearest(left / (left + right), cell.unlabelled)


RULE = Rule(
    title="norms",
    labels="none",
    choose=choose,
    order=4,
    how="by the norms of the language vectors, without data or labels of the target",
    needs=frozenset({"weights"}),
)
