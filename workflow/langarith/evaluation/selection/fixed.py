"""λ = 0.5, or the point of the grid nearest to it; needs no data.

λ = 1 for a method whose λ is a factor (TIES); equal weights for points with several weights.
"""

from langarith.evaluation.selection import Rule, select

RULE = Rule(
    title="λ = 0.5",
    labels="none",
    choose=lambda cell, others: select(dict.fromkeys(cell.unlabelled, 0.0), cell.neutral),
    order=5,
    how="in advance, 0.5 or a method's neutral point, without data or labels of the target",
)
