"""Operands of a merge, the points where it is evaluated, and token budgets, as they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from langarith.errors import InputError

BUDGET = re.compile(r"^([1-9]\d*)([kMB]?)$")
_UNIT = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}


def budget_tokens(budget: str) -> int | None:
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


def join_operands(operands: tuple[Operand, ...]) -> str:
    """Operands as paths and tables write them: `en+fr@10k`."""
    return "+".join(map(str, operands))


def parse_operands(text: str) -> tuple[Operand, ...]:
    """The operands that :func:`join_operands` wrote."""
    return tuple(Operand.parse(part) for part in text.split("+"))


Point = tuple[float, ...]
"""Where a method is evaluated: λ, or several numbers."""


def number_text(number: float) -> str:
    """A number of a point: with two decimals, as in studies, or with all it has, up to nine."""
    whole, _, decimals = f"{number:.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def point_text(point: Point) -> str:
    """A point as file names write it: `0.50`, or `0.50,0.30` where it has several numbers."""
    return ",".join(map(number_text, point))


def has_two_decimals(number: float) -> bool:
    """Whether a number is written with two decimals, as in names of files of a study."""
    return abs(number * 100 - round(number * 100)) <= 1e-6


def point_value(point: Point) -> float | str:
    """A point as JSON and tables hold it: λ itself, or the text of several numbers."""
    return point[0] if len(point) == 1 else point_text(point)


def parse_point(value: float | str) -> Point:
    """The point that :func:`point_text` or :func:`point_value` gave."""
    return tuple(map(float, value.split(","))) if isinstance(value, str) else (float(value),)
