"""The numbers that the paper states, from `numbers.yaml`, which also gives their sources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from langarith import merging


@dataclass(frozen=True)
class Stated:
    """One number (or choice of a language) of the paper, and how to get our counterpart."""

    id: str
    what: str
    source: str
    """Table, figure or section."""
    model: str | None
    """A key of the paper's study; None if the paper does not say."""
    value: float | str
    unit: str
    """percent, points, cosine, count, times; or language, whose value is a text."""
    experiment: str
    """The experiment whose table contains our number."""
    quantity: str
    """A function of `reproduction` on that table."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Columns of the view on that table and the value each must have."""
    over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that the quantity is computed over; the verdict is `not run` if one is missing."""
    note: str = ""


@cache
def stated() -> tuple[Stated, ...]:
    """Every number of the paper that ours can be compared with, in the order of the file."""
    return tuple(entry for block in _file()["compared"] for entry in _entries(block))


SCORES = ("merged", "average")
"""Quantities that are a score or an average of scores over targets."""


def compared(quantities: Collection[str] = ()) -> list[str]:
    """The experiments whose tables our numbers come from; with `quantities` those of these."""
    numbers = [n for n in stated() if not quantities or n.quantity in quantities]
    return list(dict.fromkeys(number.experiment for number in numbers))


def related() -> dict[str, str]:
    """Table 2: the related language of each target."""
    return {s.where["target"]: str(s.value) for s in stated() if s.source == "Table 2"}


@cache
def _file() -> dict[str, Any]:
    path = Path(__file__).with_name("numbers.yaml")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _entries(block: Mapping[str, Any]) -> Iterator[Stated]:
    keys = block.get("keys", [])
    tree = block["values"] if keys else block["value"]
    for path, value in _leaves(tree, len(keys)):
        where = block.get("where", {}) | dict(zip(keys, path, strict=True))
        yield Stated(
            id="/".join([block["id"], *path]),
            what=block["what"].format(**{k: _name(k, v) for k, v in where.items()}),
            where=where,
            over={name: tuple(needed) for name, needed in block.get("over", {}).items()},
            value=value if isinstance(value, str) else float(value),
            note=block.get("note", ""),
            **{k: block[k] for k in ("source", "model", "unit", "experiment", "quantity")},
        )


def _leaves(tree: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    if depth == 0:
        yield (), tree
        return
    for key, below in tree.items():
        for path, value in _leaves(below, depth - 1):
            yield (key, *path), value


def _name(key: str, value: str) -> str:
    if key == "method":
        return merging.get(value).title
    return value.upper() if key == "task" else value
