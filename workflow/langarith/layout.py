"""Names of artefacts: operands, cells, runs, token budgets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from langarith.errors import InputError

LANGUAGE = r"[A-Za-z][A-Za-z0-9_-]*"
"""The code of a language: en, zh-Hant, sr_Latn, es-419."""


NAME = r"[A-Za-z0-9._-]+"
"""The name of a model or a task."""


BUDGET = re.compile(r"^([1-9]\d*)([kMB]?)$")


_UNIT = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}


def tokens(budget: str) -> int | None:
    """A budget in tokens: `10k` is 10000; None for `full`."""
    if budget == "full":
        return None
    match = BUDGET.match(budget)
    if not match:
        raise InputError(f"'{budget}' is not a token budget; write 10k, 1M, 1B or full")
    return int(match[1]) * _UNIT[match[2]]


@dataclass(frozen=True)
class Operand:
    """A language adapter in a merge: its language and token budget. Written `fr` or `fr@10k`."""

    language: str
    budget: str = "full"

    def __str__(self) -> str:
        return self.language if self.budget == "full" else f"{self.language}@{self.budget}"

    @classmethod
    def parse(cls, text: str) -> Operand:
        language, _, budget = text.partition("@")
        return cls(language, budget or "full")


@dataclass(frozen=True)
class Cell:
    """One sweep of the grid: θ_pre + λ·τ_left + (1−λ)·τ_right for every λ of the method."""

    model: str
    task: str
    target: str
    method: str
    left: Operand
    right: Operand
    seed: int

    @property
    def wildcards(self) -> dict[str, str]:
        """The cell's place in the path patterns."""
        return {
            "model": self.model,
            "task": self.task,
            "target": self.target,
            "method": self.method,
            "left": str(self.left),
            "right": str(self.right),
            "seed": str(self.seed),
        }


@dataclass(frozen=True)
class Run:
    """A trained adapter; `name` is a task, or a language adapter's operand (`fr`, `fr@10k`)."""

    model: str
    kind: Literal["language", "task"]
    name: str
    seed: int
