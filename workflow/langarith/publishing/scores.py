"""What a study knows of a merged adapter: its scores, gains with intervals, test data."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith import layout, tasks
from langarith.audit.explain_file import selection
from langarith.audit.lineage import Lineage
from langarith.operands import Operand, Point, join_operands, parse_operands, parse_point
from langarith.publishing.card import OVER, Dataset, Evaluation, Gain, Score

_KINDS = {
    "tagging": "token-classification",
    "classification": "text-classification",
    "qa": "question-answering",
}
"""What the hub calls the tasks of a head."""

_PLACE = ("model", "task", "target", "method", "budget")


@dataclass(frozen=True)
class Choice:
    """What of a study is merged: adapters of some operands and one seed, by a method at a point."""

    model: str
    operands: tuple[Operand, ...]
    point: Point
    seed: str
    method: str = "la"

    @classmethod
    def of(cls, cell: Mapping[str, Any], point: Point | None = None) -> Choice:
        """The choice of a sweep's content, or the same at another point."""
        return cls(
            cell["model"],
            parse_operands(cell["operands"]),
            point or parse_point(cell["selected"]),
            str(cell["seed"]),
            cell["method"],
        )


def evaluation(graph: Lineage, choice: Choice) -> Evaluation:
    """Everything that a study has about a merged adapter."""
    scores = [score for cell in _cells(graph, choice) for score in _scores(cell, choice.point)]
    places = dict.fromkeys((score.task, score.target) for score in scores)
    corpora = graph.study.get("corpora", {})
    return Evaluation(
        scores,
        list(_gains(graph, choice)),
        {place: _dataset(graph.study, *place) for place in places},
        [corpora["path"]] if corpora.get("source") == "hub" else [],
        bool(graph.study.get("limit")),
    )


def _cells(graph: Lineage, choice: Choice) -> Iterator[dict[str, Any]]:
    """`selected.json` of every sweep of these adapters."""
    for job in graph.jobs:
        if job.parameters.get("method") == choice.method:
            cell = selection(graph, job)
            if cell and choice == Choice.of(cell, choice.point):
                yield cell


def _scores(cell: Mapping[str, Any], point: Point) -> Iterator[Score]:
    for split in ("validation", "test"):
        for entry in cell[split]:
            if parse_point(entry["lambda"]) == point:
                for metric, value in entry["metrics"].items():
                    place = (cell["task"], cell["target"], split)
                    yield Score(*place, metric, value, cell["examples"][split])


def _gains(graph: Lineage, choice: Choice) -> Iterator[Gain]:
    """Gains over what a merge is compared with, from the tables of experiments.

    A table of gains does not say which operands were merged at which λ; its table of scores does.
    Where that has several pairs of one target, the gain is of the better one and is left out.
    """
    pattern = layout.GAINS.format(experiment="*")
    for path in sorted(graph.results.glob(pattern)):
        experiment = path.name.removesuffix(Path(layout.GAINS.format(experiment="")).name)
        table = graph.results / layout.TABLE.format(experiment=experiment)
        if not table.is_file():
            continue
        chosen = _chosen(table)
        for row in _rows(path):
            points = chosen.get(tuple(row[key] for key in _PLACE), {})
            mine = (row["model"], row["method"]) == (choice.model, choice.method)
            alone = {operands for operands, _ in points} == {join_operands(choice.operands)}
            here = points.get((join_operands(choice.operands), choice.seed)) == choice.point
            if mine and alone and here and row["over"] in OVER:
                yield Gain(
                    experiment,
                    row["task"],
                    row["target"],
                    row["metric"],
                    row["over"],
                    row["rule"],
                    float(row["gain"]),
                    float(row["low"]),
                    float(row["high"]),
                    int(float(row["seeds"])),
                )


def _chosen(table: Path) -> dict[tuple[str, ...], dict[tuple[str, str], Point]]:
    """The chosen point by operands and seed, for each place of a tidy table."""
    found: dict[tuple[str, ...], dict[tuple[str, str], Point]] = {}
    for row in _rows(table):
        if row.get("selected") == "True" and row["lambda"]:
            point = parse_point(row["lambda"] if "," in row["lambda"] else float(row["lambda"]))
            place = tuple(row[key] for key in _PLACE)
            found.setdefault(place, {})[row["operands"], row["seed"]] = point
    return found


def _rows(table: Path) -> Iterable[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _dataset(study: Mapping[str, Any], task: str, target: str) -> Dataset:
    spec = study.get("tasks", {}).get(task, {})
    kind = _KINDS[tasks.get(spec.get("type") or task).head]
    own = (spec.get("languages") or {}).get(target) or {}
    files = [places.get(key) for places in (own, spec) for key in ("test", "path")]
    elsewhere = next((file for file in files if file), None)
    place = own if own.get("repository") else spec
    if isinstance(elsewhere, dict):
        place = elsewhere
    name = f"{task} ({target})"
    return Dataset(name, kind, place.get("repository"), place.get("revision"))
