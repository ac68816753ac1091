"""Rules that choose the point of a sweep, one file each, and the choice of a coarser grid.

A rule is one file of this package that defines `RULE`. It gets the content of `selected.json` and,
if it needs them, the masked-LM losses of the same merges on raw text of the target.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, Literal

from langarith import merging
from langarith.errors import InputError
from langarith.operands import Operand, Point, parse_operands, parse_point

COARSE_STEPS = (0.1, 0.2, 0.25, 0.5)
"""Steps that section 5.1 compares with the full grid."""


def preferred(points: Iterable[Point], neutral: float) -> list[Point]:
    """Points in the order of preference for equal scores.

    The point nearest to `neutral` comes first, by the sum of the distances of its numbers; of
    equally near points the one with the larger numbers.
    """

    def rank(point: Point) -> tuple[float, Point]:
        distance = sum(abs(number - neutral) for number in point)
        return round(distance, 6), tuple(-number for number in point)

    return sorted(points, key=rank)


def select(curve: Mapping[Point, float], neutral: float) -> Point:
    """The point with the highest score, of equal scores the first of :func:`preferred`."""
    return max(preferred(curve, neutral), key=lambda point: curve[point])


def neutral(method: merging.Method, point: Point) -> float:
    """The preferred number for equal scores, for points with as many numbers as `point`."""
    return 1 / (len(point) + 1) if method.neutral is None else method.neutral


def coarse_grid(lambdas: Sequence[float], step: float) -> list[float]:
    """The points of a grid with steps of `step` and the same start, as a part of a finer grid.

    Empty if the coarse grid has points that the finer grid lacks.
    """
    first, last = min(lambdas), max(lambdas)
    wanted = [round(first + i * step, 2) for i in range(int((last - first) / step + 1e-9) + 1)]
    existing = {round(w, 2) for w in lambdas}
    return wanted if existing.issuperset(wanted) else []


@dataclass(frozen=True)
class CellScores:
    """The scores of a cell after its sweep, by point of its grid.

    validation, test: the task's first metric, in percent. entropy: mean entropy of the predictions
    on the target's validation inputs, in nats. norms: ‖τ‖ of the operands, empty where θ_pre is not
    known. neutral: the preferred number for equal scores. refined: the points that were evaluated
    because they are near the best by the target's validation labels. masked_lm: masked-LM loss on
    held-out raw text of the target, in nats per masked token; empty if it was not computed.
    """

    model: str
    task: str
    target: str
    method: str
    operands: str
    seed: int
    validation: Mapping[Point, float]
    entropy: Mapping[Point, float]
    test: Mapping[Point, float]
    norms: tuple[float, ...]
    neutral: float
    refined: frozenset[Point] = frozenset()
    masked_lm: Mapping[Point, float] = field(default_factory=dict)

    @property
    def unlabelled(self) -> list[Point]:
        """The points that were evaluated regardless of scores, so without labels.

        Rules without labels of the target choose among these.
        """
        return [point for point in self.validation if point not in self.refined]

    @classmethod
    def read(cls, cell: Mapping[str, Any], losses: Mapping[str, Any] | None = None) -> CellScores:
        """A cell from the content of its `selected.json`.

        Args:
            losses: the content of `losses.json` of the same merges, if there is one.

        Raises:
            InputError: the file was written by an older version.
        """
        if "norms" not in cell:
            names = ("model", "task", "target", "method", "operands", "seed")
            raise InputError(
                f"selected.json of {'/'.join(str(cell[name]) for name in names)} was written by an "
                "older version; run the study without allow_missing, which repeats the sweep"
            )
        curves = {
            split: {_point(entry): entry["metrics"][cell["metric"]] for entry in cell[split]}
            for split in ("validation", "test")
        }
        return cls(
            model=cell["model"],
            task=cell["task"],
            target=cell["target"],
            method=cell["method"],
            operands=cell["operands"],
            seed=int(cell["seed"]),
            validation=curves["validation"],
            test=curves["test"],
            entropy={_point(entry): entry["entropy"] for entry in cell["validation"]},
            norms=tuple(cell["norms"]),
            neutral=neutral(merging.get(cell["method"]), next(iter(curves["validation"]))),
            # before searches could be refined, every point was evaluated
            refined=frozenset(map(parse_point, cell.get("refined", ()))),
            masked_lm={_point(entry): entry["loss"] for entry in (losses or {}).get("losses", ())},
        )


def _point(entry: Mapping[str, Any]) -> Point:
    return parse_point(entry["lambda"])


Need = Literal["other targets", "weights", "raw text"]
"""Sweeps of other targets; two operands with a known θ_pre and a point that weighs them; masked-LM
losses on raw text of the target, which separate jobs compute only if a study needs them."""


@dataclass(frozen=True)
class Rule:
    """A rule that chooses a point: one module's `RULE`."""

    title: str
    """For tables and figures."""
    labels: Literal["target", "other targets", "none", "test"]
    """Labels that it needs: validation labels of the target or of the study's other targets, none,
    or the target's test labels, which only an upper bound may use."""
    choose: Callable[[CellScores, Sequence[CellScores]], Point | None]
    """The point of a cell's grid, given the cell and the cells of the other targets (same model,
    task, method and seed); None if the rule cannot choose."""
    order: int
    """Its position in tables and figures."""
    how: str = ""
    """How it chooses, after "λ was chosen"; empty if it is only for comparison: a study
    cannot name it as its `selection`."""
    needs: frozenset[Need] = frozenset()
    """What it needs besides the cell's own sweep."""
    name: str = ""
    """The name of its file; set by :func:`get`."""


@cache
def names() -> tuple[str, ...]:
    """All rules, in the order of tables and figures: the files of this package."""
    files = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(sorted(files, key=lambda name: (get(name).order, name)))


def without_own_jobs() -> tuple[str, ...]:
    """The rules that need only the files of sweeps: those compared if a study names none."""
    return tuple(name for name in names() if "raw text" not in get(name).needs)


def role(operands: str, target: str, task_language: str, related: str | None) -> str:
    """The operands of a cell relative to its target: `en+related`, `related+target@10k`.

    Cells of several targets with the same role match each other.
    """

    def part(operand: Operand) -> str:
        language = operand.language
        if language != task_language:
            relative = {related: "related", target: "target"}
            language = relative.get(language, language)
        return str(Operand(language, operand.budget))

    return "+".join(map(part, parse_operands(operands)))


def group_key(
    cell: Mapping[str, Any], task_language: str, related: Mapping[str, str]
) -> tuple[str, ...]:
    """A key that a cell shares with the matching cells of other targets.

    Model, task, method and seed are the same, and the operands have the same :func:`role`.

    Args:
        cell: its names, as in its path.
        related: the related language of each target.
    """
    target = cell["target"]
    operands = role(cell["operands"], target, task_language, related.get(target))
    return cell["model"], cell["task"], cell["method"], operands, str(cell["seed"])


@cache
def get(name: str) -> Rule:
    """A rule by its name."""
    rule: Rule = import_module(f"{__name__}.{name}").RULE
    return replace(rule, name=name)


def nearest(number: float, points: Sequence[Point]) -> Point:
    """The point of a grid whose numbers are nearest to `number`, by the sum of their distances.

    Of equally near points the one with the larger numbers.
    """
    return preferred(points, number)[0]
