"""Figures: a function draws each of them from a tidy table (or logs); all share one style.

No figure defines a number: all numbers come from the table or from `analysis`. Missing cells are
marked in the figure and counted in its foot.
"""

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from langarith.results.caption import Beside, Caption
from langarith.results.figures.bars import enhancement, ties, zero_shot
from langarith.results.figures.curves import learning_curves
from langarith.results.figures.density import sparsity
from langarith.results.figures.dots import compare_rules, methods
from langarith.results.figures.lines import lambda_impact, low_resource
from langarith.results.figures.matrices import relatedness, similarity
from langarith.results.figures.pool import more_relatives
from langarith.results.figures.price import label_price
from langarith.results.figures.style import save
from langarith.results.figures.vectors import analogies, forgotten

DRAW: dict[str, Callable[[pd.DataFrame, Caption, Beside], Figure]] = {
    "zero_shot": zero_shot,
    "enhancement": enhancement,
    "low_resource": low_resource,
    "lambda_impact": lambda_impact,
    "relatedness": relatedness,
    "ties": ties,
    "methods": methods,
    "pool": more_relatives,
    "label_free": compare_rules,
    "similarity": similarity,
    "sparsity": sparsity,
    "forgetting": forgotten,
    "analogy": analogies,
}
"""The function that draws an experiment, from its tidy table."""

__all__ = ["DRAW", "label_price", "learning_curves", "save"]
