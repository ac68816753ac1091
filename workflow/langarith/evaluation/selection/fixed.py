"""λ = 0.5, or the point of the grid nearest to it: no data at all."""

from langarith.evaluation.selection import Rule, nearest

RULE = Rule(
    title="λ = 0.5",
    labels="none",
    choose=lambda cell, others: nearest(0.5, cell.unlabelled),
    order=4,
)
