"""Merge methods: a registry of the files in this package.

A method is one file that defines `METHOD`; `la.py` is a good example, and
docs/adding_a_method.md the guide. The file's name is the method's name in studies, followed by the
parameter if it has one: `ties20` is the file `ties.py` with the parameter 20.

Importing the registry and its methods imports no torch, because the Snakefile does it. `prepare`
imports what it computes with.
"""

from __future__ import annotations

import math
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError, did_you_mean
from langarith.merging.search import Search, coarse
from langarith.operands import Point

if TYPE_CHECKING:
    import torch

    from langarith.merging.tensors import Tensors

SHARED = frozenset({"tensors", "compare", "search"})
"""Modules of this package that are not methods."""

Merge = Callable[[Point], "dict[str, torch.Tensor]"]
"""The merged language adapter at a point, its tensors named as those of the operands."""


def one_number(values: Sequence[float], operands: int) -> list[Point]:
    """The points of a method whose only number is λ, for any number of operands."""
    return [(value,) for value in values]


@dataclass(frozen=True)
class Method:
    """A merge method, for the grid, the sweep, the cost model, tables, figures and export.

    Texts may contain `{parameter}`, the number in the method's name.
    """

    title: str
    """Its name in tables and captions."""
    reference: str
    """The publication or implementation that describes it."""
    prepare: Callable[..., Merge]
    """`prepare(operands, origin=..., parameter=..., device=...)` does once what does not depend on
    the point, and returns the merge. `operands` are adapters (names to tensors) on the CPU, in the
    cell's order; `origin` is the common initialisation θ_pre, None if `needs_origin` is false;
    merged tensors are on `device`. If `draws` is true, it also gets `seed=...`, and if
    `needs_fisher` is true, `fishers=...`."""
    describe: Callable[[Sequence[str], Point], str]
    """The recipe in words, from the names of the operands and a point: for a card."""
    points: Callable[[Sequence[float], int], list[Point]] = one_number
    """The points of a cell, from the values of `lambdas.{method}` and the number of operands."""
    fewest_operands: int = 2
    most_operands: int | None = 2
    """None: any number."""
    parameters: range | None = None
    """The numbers that may follow the name; None: no number follows it."""
    needs_origin: bool = False
    """Whether it subtracts θ_pre, which is unknown for an adapter trained elsewhere."""
    needs_fisher: bool = False
    """Whether it needs the Fisher information of its operands, which the rule `estimate_fisher`
    estimates on their held-out raw text."""
    draws: bool = False
    """Whether it draws random numbers. Then it also depends on the seed of the run."""
    writable: bool = True
    """Whether a merge is an adapter of the operands' shape, which can be written. If
    not, its bottlenecks are wider, and it can only be evaluated."""
    ends: tuple[float, float] | None = None
    """The range that λ must span, for methods that weigh operands by it. None: any range."""
    signed: bool = False
    """Whether λ may be negative, for methods without `ends`."""
    neutral: float | None = 0.5
    """Among equal validation scores the point nearest to this value wins. None, for points that are
    the weights of all operands except the last: equal weights."""
    tested: tuple[float, ...] = ()
    """Values of λ that are always evaluated on test, whose test predictions are always kept, and
    with which a refined search starts if the grid has them."""
    name: str = ""
    """The name in studies, parameter included; set by :func:`get`."""
    parameter: int | None = None

    def takes(self, operands: int) -> bool:
        """Whether it merges this number of operands."""
        return self.fewest_operands <= operands <= (self.most_operands or operands)

    def misfit(self, number: float) -> str | None:
        """Why a number is no λ of the method, and the fix; None if it is one."""
        first, last = self.ends or (-math.inf if self.signed else 0.0, math.inf)
        if not abs(number) < 2.0**127:
            return f"{number:g} is not finite in float32; write another number"
        if not first <= number <= last:
            allowed = f"between {first:g} and {last:g}" if self.ends else f"of at least {first:g}"
            return f"{number:g} is out of range; {self.name} takes numbers {allowed}"
        return None

    def only_point(self, operands: int) -> Point | None:
        """The only point of a method without a parameter to choose; None if λ is chosen."""
        points = self.points((0.0, 1.0), operands)
        return points[0] if len(points) == 1 else None

    def search(self, values: Sequence[float], operands: int, kind: str = "grid") -> Search:
        """The points that a sweep evaluates, of the grid of some values.

        Args:
            values: the numbers of `lambdas.{method}`, ascending.
            kind: `lambdas.{method}.search`: `grid`: every point; `refine`: those of a coarse grid
                and the tested λ, then the points of the grid near the best of these.
        """
        grid = tuple(self.points(values, operands))
        if kind == "grid":
            return Search(grid, grid, tuple(values))
        first = coarse(values, self.tested)
        return Search(grid, tuple(self.points(first, operands)), first)

    def merger(
        self,
        operands: Sequence[Tensors],
        origin: Tensors | None = None,
        device: Any = "cpu",
        seed: int | None = None,
        fishers: Sequence[Tensors] = (),
    ) -> Merge:
        """The merge of operands whose tensors have equal names and shapes.

        Args:
            seed: of the run; needed by methods that draw random numbers, ignored by others.
            fishers: the diagonal of the Fisher information of each operand, for methods that need
                it; its tensors are named and shaped as those of the operand.

        Raises:
            ValueError: there are fewer or more operands than the method takes, or they differ; a
                seed or Fisher information that the method needs is missing.
        """
        if not self.takes(len(operands)):
            raise ValueError(f"{self.name} does not merge {len(operands)} adapters")
        if self.draws and seed is None:
            raise ValueError(f"{self.name} draws at random and needs a seed")
        if self.needs_fisher and len(fishers) != len(operands):
            raise ValueError(f"{self.name} needs the Fisher information of each operand")
        options: dict[str, Any] = {"seed": seed} if self.draws else {}
        if self.needs_fisher:
            options["fishers"] = fishers
        return self.prepare(
            operands, origin=origin, parameter=self.parameter, device=device, **options
        )

    def refuse_unwritable(self) -> None:
        """Raise an InputError if a merge is not an adapter of the operands' shape."""
        if not self.writable:
            raise InputError(
                f"{self.name} averages the outputs of adapters and merges none: there is no single "
                "adapter to write; take another method, or load all operands with the composition "
                "Average of `adapters`"
            )


@cache
def families() -> tuple[str, ...]:
    """The names of all methods without their parameters: the files of this package."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if name not in SHARED))


@cache
def of_pairs() -> tuple[str, ...]:
    """Those of :func:`families` that merge two adapters, as in a zero-shot pair."""
    return tuple(name for name in families() if get(_example(name)).takes(2))


def part(name: str) -> str:
    """The name of a method's module in fingerprints: `merging.ties` for `ties20`."""
    return f"merging.{re.sub(r'[0-9]+$', '', name)}"


@cache
def get(name: str) -> Method:
    """A method by its name in studies: `la`, `ties20`.

    Raises:
        InputError: no method has this name, or its parameter is missing or out of range.
    """
    match = re.fullmatch(r"([a-z_]+?)([0-9]*)", name)
    if match is None or match[1] not in families():
        raise InputError(f"unknown merge method '{name}'{did_you_mean(name, examples())}")
    method: Method = import_module(f"langarith.merging.{match[1]}").METHOD
    allowed = method.parameters
    if allowed is None and match[2]:
        raise InputError(f"merge method '{name}': {match[1]} takes no number; write {match[1]}")
    if allowed is not None and (not match[2] or int(match[2]) not in allowed):
        raise InputError(
            f"merge method '{name}': write {match[1]} and a number from {allowed[0]} to "
            f"{allowed[-1]}, for example {_example(match[1])}"
        )
    if allowed is None:
        return replace(method, name=name)
    number = int(match[2])
    return replace(method, name=name, parameter=number, title=method.title.format(parameter=number))


def examples() -> list[str]:
    """A valid name of each method."""
    return [_example(family) for family in families()]


def _example(family: str) -> str:
    allowed = import_module(f"langarith.merging.{family}").METHOD.parameters
    return f"{family}{allowed[len(allowed) // 5]}" if allowed else family
