"""What the provenance page draws: bars and dots of experiments that are made of cells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langarith.audit.lineage import Job, Lineage
from langarith.layout import is_sweep
from langarith.results import palette
from langarith.results.names import LABELS

if TYPE_CHECKING:
    import pandas as pd

CELL = ("model", "task", "target", "operands", "seed")
"""The wildcards of a sweep beside its method."""


@dataclass(frozen=True)
class Bar:
    """What one cell says of a bar: a score on test and the point of its sweep that has it.

    The point is empty for a score without a language adapter.
    """

    group: str
    """The label below: a target, with its budget where there are several."""
    kind: str
    """Bars of one kind share their place in all groups, their colour and line of the legend."""
    legend: str
    name: str
    """What this bar alone is called."""
    colour: str
    value: float
    point: str
    chosen: bool
    """Whether a rule chose the point; else it is an end."""


def bars(graph: Lineage, jobs: Sequence[Job], number: Mapping[Job, int]) -> list[dict[str, Any]]:
    """Seed means with their spread, each with the sweeps that its seeds' numbers are from.

    The order is that of the study's tables. A cell whose sweep is not among `jobs` has no bar.
    """
    from langarith.results import analysis, tables
    from langarith.results.names import task_title

    cells = sweeps(jobs)
    task_language = str(graph.study.get("task_language", ""))
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for experiment, name in _tables(graph, jobs):
        if not graph.locate(name).is_file():
            continue
        table = tables.read(graph.locate(name))
        metrics = analysis.metrics(table)
        for row, bar in _bars(experiment, table, task_language):
            job = cells.get((row["method"], *(str(row[key]) for key in CELL)))
            if job is None or math.isnan(bar.value):
                continue
            model, task, metric = row["model"], row["task"], metrics[row["task"]]
            mean = found.setdefault(
                (experiment, model, task, bar.group, bar.kind),
                {
                    "experiment": experiment,
                    "model": model,
                    "task": task,
                    "metric": metric,
                    "panel": f"{model}, {task_title(task, metric, '%')}",
                    **{key: getattr(bar, key) for key in ("group", "kind", "legend", "name")},
                    "colour": bar.colour,
                    "chosen": bar.chosen,
                    "seeds": [],
                },
            )
            value = {"seed": row["seed"], "value": bar.value, "point": bar.point}
            mean["seeds"].append(value | {"job": number[job]})
    for mean in found.values():
        values = [seed["value"] for seed in mean["seeds"]]
        mean["mean"] = statistics.fmean(values)
        mean["spread"] = statistics.stdev(values) if len(values) > 1 else None
    return list(found.values())


def dots(graph: Lineage, jobs: Sequence[Job], number: Mapping[Job, int]) -> list[dict[str, Any]]:
    """The choices of the rules of `label_free`: a dot per rule and target, as entries of `bars`.

    Beside what a bar has: `regret` in points, the mean over seeds and of each seed, and `interval`,
    its ends, None where it was not estimated.
    """
    from langarith.evaluation import selection
    from langarith.results import intervals, tables
    from langarith.results.names import task_title

    made = {
        job.rule: tables.read(graph.locate(name))
        for job in jobs
        if job.rule == "compare_rules" or job.wildcards.get("experiment") == "label_free"
        for name in job.outputs
        if name.endswith(".csv") and graph.locate(name).is_file()
    }
    if "compare_rules" not in made:
        return []
    ends = intervals.intervals([made[rule] for rule in ("estimate_gains",) if rule in made])
    cells = sweeps(jobs)
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in made["compare_rules"].to_dict("records"):
        job = cells.get((row["method"], *(str(row[key]) for key in CELL)))
        # the regret of the paper's rule is 0: its scores are those of the zero-shot cells
        if job is None or row["rule"] == "validation" or math.isnan(row["value"]):
            continue
        model, task, metric = (str(row[key]) for key in ("model", "task", "metric"))
        target, rule = str(row["target"]), str(row["rule"])
        place = intervals.key(model, task, target, LABELS, rule=rule)
        title = selection.get(rule).title
        mean = found.setdefault(
            (model, task, rule, target),
            {
                "experiment": "label_free",
                "model": model,
                "task": task,
                "metric": metric,
                "panel": f"{model}, {task_title(task, metric, 'points')}",
                "group": target,
                "kind": rule,
                "legend": title,
                "name": title,
                "colour": palette.MERGED,
                "seeds": [],
                "interval": intervals.of_regret(ends, place),
            },
        )
        value = {"seed": row["seed"], "value": row["value"], "regret": row["regret"]}
        mean["seeds"].append(value | {"point": f"λ = {row['point']}", "job": number[job]})
    for mean in found.values():
        values = [seed["value"] for seed in mean["seeds"]]
        mean["mean"] = statistics.fmean(values)
        mean["spread"] = statistics.stdev(values) if len(values) > 1 else None
        mean["regret"] = statistics.fmean(seed["regret"] for seed in mean["seeds"])
    return list(found.values())


def method_of(job: Job) -> str:
    """The merge method of a sweep; rules such as `sweep_la_3` name the operands' number, too."""
    return str(job.parameters.get("method", job.rule.removeprefix("sweep_")))


def sweeps(jobs: Sequence[Job]) -> dict[tuple[str, ...], Job]:
    """The sweeps by method and `CELL`."""
    return {
        (method_of(job), *(job.wildcards[key] for key in CELL)): job
        for job in jobs
        if is_sweep(job.rule)
    }


def _tables(graph: Lineage, jobs: Sequence[Job]) -> list[tuple[str, str]]:
    """Each experiment that is made of cells, and its tidy table, in the study's order."""
    found = {
        job.wildcards["experiment"]: name
        for job in jobs
        if job.rule == "tabulate"
        for name in job.outputs
        if name.endswith(".csv")
    }
    order = [name for name in graph.study.get("experiments", ()) if name in found]
    return [(name, found[name]) for name in dict.fromkeys([*order, *found])]


def _bars(
    experiment: str, table: pd.DataFrame, task_language: str
) -> Iterator[tuple[dict[str, Any], Bar]]:
    """What each cell of an experiment says of its bars."""
    from langarith import merging
    from langarith.results import analysis

    better = {}
    if experiment == "enhancement":
        rows = analysis.enhancement(table, task_language).to_dict("records")
        better = {(row["model"], row["task"], row["target"]): row["better"] for row in rows}
    none = analysis.reference(table, "none").rename(columns={"score": "none"})
    found = analysis.cells(table).merge(none, how="left", on=analysis.RUN)
    for record in found.to_dict("records"):
        row = {str(column): value for column, value in record.items()}
        target, left, right = row["target"], row["left"], row["right"]

        def bar(
            kind: str,
            legend: str,
            colour: str,
            score: str = "merged",
            name: str = "",
            group: str = target,
            row: Mapping[str, Any] = row,
        ) -> tuple[dict[str, Any], Bar]:
            points = {"at_left": "λ = 1.00", "at_right": "λ = 0.00", "none": ""}
            value, point = float(row[score]), points.get(score, f"λ = {row['point']}")
            chosen = score == "merged"
            return dict(row), Bar(group, kind, legend, name or legend, colour, value, point, chosen)

        if experiment in ("zero_shot", "lambda_impact"):
            yield from _bars_of_proxies(experiment, row, bar)
        elif experiment == "enhancement":
            with_task_language = left == task_language
            if with_task_language:
                yield bar("madx", "MAD-X (target alone)", palette.TARGET, "at_right")
            kind = "la_task_language" if with_task_language else "la_related"
            other = task_language if with_task_language else "related"
            legend = f"LA({other}, target)"
            colour = palette.tint(palette.MERGED, 0.75 if with_task_language else 0.45)
            yield bar(kind, legend, colour, "merged", f"LA({left}, {right})")
            if better.get((row["model"], row["task"], target)) == left:
                label = f"LA({task_language}/related, target)"
                yield bar("la_better", label, palette.MERGED, "merged", f"LA({left}, {right})")
        elif experiment == "low_resource":
            group = f"{target}@{row['budget']}"
            yield bar("direct", "target's adapter alone", palette.TARGET, "at_right", group=group)
            yield bar("merged", "language arithmetic", palette.MERGED, group=group)
        elif experiment == "relatedness":
            place = list(dict.fromkeys(analysis.relatedness(table)["other"])).index(left)
            colour = palette.LINES[place % len(palette.LINES)]
            yield bar(left, f"with {left}", colour, "merged", f"LA({left}, {right})")
        elif experiment == "pool":
            yield _bar_of_pool(row, bar)
        elif experiment in ("forgetting", "analogy"):
            yield from _bars_of_vectors(experiment, row, bar)
        else:
            method = row["method"]
            title = merging.get(method).title
            yield bar(method, title, palette.method_colour(method))


def _bars_of_proxies(
    experiment: str, row: Mapping[str, Any], bar: Callable[..., tuple[dict[str, Any], Bar]]
) -> Iterator[tuple[dict[str, Any], Bar]]:
    """No adapter, the adapters of the task language and of the related one, and their merge."""
    if row["method"] != "la":
        return
    if experiment == "zero_shot":
        yield bar("none", "no language adapter", palette.WITHOUT, "none")
    left, right = f"{row['left']} adapter", f"{row['right']} adapter"
    yield bar("task_language", left, palette.TASK_LANGUAGE, "at_left", left)
    yield bar("related", "related language's adapter", palette.RELATED, "at_right", right)
    yield bar("merged", "language arithmetic", palette.MERGED)


def _bar_of_pool(
    row: Mapping[str, Any], bar: Callable[..., tuple[dict[str, Any], Bar]]
) -> tuple[dict[str, Any], Bar]:
    """Language arithmetic or the soup of a number of relatives."""
    from langarith import merging

    relatives, method = row["operands"].count("+"), row["method"]
    title, colour = merging.get(method).title, palette.method_colour(method)
    if relatives == 1:
        colour = palette.tint(colour, 0.45)
    return bar(f"{method} {relatives}", f"{title}, k = {relatives}", colour)


def _bars_of_vectors(
    experiment: str, row: Mapping[str, Any], bar: Callable[..., tuple[dict[str, Any], Bar]]
) -> Iterator[tuple[dict[str, Any], Bar]]:
    """Those of a subtracted vector, at λ = 0 and 1, or of an analogy and its proxies."""
    if experiment == "forgetting":
        yield bar("start", "initialisation", palette.OTHERS[-1], "at_right")
        yield bar("negated", "vector subtracted, λ = 1", palette.MERGED, "at_left")
    elif row["method"] == "la":
        yield bar("task_language", f"{row['left']} adapter", palette.TASK_LANGUAGE, "at_left")
    else:
        yield bar("c_alone", "c alone", palette.RELATED, "at_right", f"{row['right']} adapter")
        yield bar("merged", "analogy", palette.MERGED, "merged", f"analogy of {row['operands']}")
