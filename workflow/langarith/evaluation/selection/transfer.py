"""The best mean validation score over the study's other targets of the task.

Labels of some languages choose λ for a language without any, as Schmidt, Vulić and Glavaš 2023
(arXiv 2305.16834) select models for transfer.
"""

from __future__ import annotations

from collections.abc import Sequence

from langarith.evaluation.selection import CellScores, Rule, select
from langarith.operands import Point


def choose(cell: CellScores, others: Sequence[CellScores]) -> Point | None:
    """None if the study has no other target of the task."""
    points = [
        point for point in cell.unlabelled if all(point in other.unlabelled for other in others)
    ]
    if not others or not points:
        return None
    mean = {p: sum(other.validation[p] for other in others) / len(others) for p in points}
    return select(mean, cell.neutral)


RULE = Rule(
    title="other targets",
    labels="other targets",
    choose=choose,
    order=1,
    how="on labelled validation data of the other targets, without labels of the target",
    needs=frozenset({"other targets"}),
)
