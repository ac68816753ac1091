"""The best score on test: a bound on what any choice can reach, and no choice in earnest."""

from langarith.evaluation.selection import Rule, select

RULE = Rule(
    title="oracle (best on test)",
    labels="test",
    choose=lambda cell, others: select(
        {point: cell.test[point] for point in cell.validation}, cell.neutral
    ),
    order=8,
)
