"""The paper's rule: the best score on the target's labelled validation data (section 3.2.4)."""

from langarith.evaluation.selection import Rule, select

RULE = Rule(
    title="validation",
    labels="target",
    choose=lambda cell, others: select(cell.validation, cell.neutral),
    order=0,
    how="on labelled validation data of the target",
)
