"""The end λ = 0: only the right adapter, in zero-shot cells that of the related language."""

from langarith.evaluation.selection import Rule, nearest

RULE = Rule(
    title="λ = 0 (right adapter)",
    labels="none",
    choose=lambda cell, others: nearest(0.0, cell.unlabelled),
    order=7,
)
