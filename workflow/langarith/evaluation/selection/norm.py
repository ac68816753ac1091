"""The closed form λ = ‖τ_left‖² / (‖τ_left‖² + ‖τ_right‖²): no data at all.

The adapter that moved farther from the common initialisation weighs more. The choice is the point
of the grid that is nearest to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import Rule, Swept, nearest
from langarith.operands import Point


def choose(cell: Swept, others: Sequence[Swept]) -> Point | None:
    """None for ready-made adapters, whose θ_pre is not known."""
    if len(cell.norms) != 2 or not any(cell.norms):
        return None
    left, right = (norm**2 for norm in cell.norms)
    return nearest(left / (left + right), cell.unlabelled)


RULE = Rule(title="norms", labels="none", choose=choose, order=3)
