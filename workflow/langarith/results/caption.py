"""What a table or figure is made from beside its tidy table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from langarith.results.intervals import Intervals, intervals

Tables = Iterable[pd.DataFrame]


@dataclass(frozen=True)
class Caption:
    """What tables and figures say about the study that their numbers are from, and its order."""

    study: str
    models: Sequence[str]
    seeds: Sequence[int]
    languages: Sequence[str]
    task_language: str
    note: str = ""
    choice: str = ""
    """A sentence that says how λ was chosen, where the experiment shows it."""
    about: str = ""
    """What the experiment shows, for the report."""
    foot: bool = True
    """Whether figures print their caption; their files contain it in any case."""

    def of_study(self) -> str:
        """The end of every note: the study that the numbers are from."""
        seeds = ", ".join(map(str, self.seeds))
        return " ".join(filter(None, [f"Study: {self.study}. Seeds: {seeds}.", self.note]))


@dataclass(frozen=True)
class Beside:
    """What other tables of an experiment say; empty or None if it has no such table."""

    intervals: Intervals = field(default_factory=dict)
    """Of the table of gains."""
    choices: pd.DataFrame | None = None
    """How often resamples choose each λ."""
    price: pd.DataFrame | None = None
    """The price of labels."""
    claims: pd.DataFrame | None = None
    """The verdicts on the paper's claims."""

    @classmethod
    def of(cls, gains: Tables, choices: Tables, price: Tables = (), claims: Tables = ()) -> Beside:
        """From the tables that a rule reads: one of each kind, or none."""
        others = (next(iter(tables), None) for tables in (choices, price, claims))
        return cls(intervals(gains), *others)


NOTHING = Beside()
