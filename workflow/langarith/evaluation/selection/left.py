"""The end λ = 1: only the left adapter, in zero-shot cells that of the task language."""

from langarith.evaluation.selection import Rule, nearest

RULE = Rule(
    title="λ = 1 (left adapter)",
    labels="none",
    choose=lambda cell, others: nearest(1.0, cell.unlabelled),
    order=6,
)
