"""The rules that a study names, and what they need besides the sweeps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress

from langarith import merging
from langarith.errors import InputError, did_you_mean
from langarith.evaluation import selection
from langarith.layout import Cell
from langarith.operands import join_operands
from langarith.study import experiments, file_checks, sources
from langarith.study.schema import Study


def compared_rules(study: Study) -> tuple[str, ...]:
    """The rules that `label_free` compares, in the order of tables.

    If it names none: those that need only the files of sweeps, and the study's `selection`.
    """
    view = study.experiments.get("label_free")
    named = (view.rules if view else None) or {*selection.without_own_jobs(), study.selection}
    return tuple(name for name in selection.names() if name in named)


def rules(study: Study, experiment: str) -> tuple[str, ...]:
    """The rules that choose in the cells of an experiment; none if it shows no choice."""
    if experiment == "label_free":
        return compared_rules(study)
    return (study.selection,) if shows_choice(experiment) else ()


def shows_choice(experiment: str) -> bool:
    """Whether an experiment shows the points that the study's `selection` chose in its cells."""
    view = experiments.EXPERIMENTS[experiment]
    return view.chosen and view.cells is not None


def needs(study: Study, experiment: str) -> frozenset[selection.Need]:
    """What the rules that choose in the cells of an experiment need besides each cell's sweep."""
    return frozenset[selection.Need]().union(
        *(selection.get(name).needs for name in rules(study, experiment))
    )


def cells_with_losses(study: Study) -> list[Cell]:
    """A cell for each merge and target whose masked-LM losses an experiment needs.

    The losses do not depend on the task: of cells that differ only in it, the first one. Cells of
    `experiments.texts` have no task.
    """
    first: dict[tuple[object, ...], Cell] = {}
    wanted: list[Cell] = []
    for name in study.experiments:
        wanted += experiments.texts(study, name)
        if "raw text" in needs(study, name):
            wanted += experiments.cells(study, name)
    for cell in wanted:
        names = cell.wildcards
        del names["task"]
        first.setdefault(tuple(names.values()), cell)
    return list(first.values())


def others(study: Study) -> dict[Cell, list[Cell]]:
    """For every cell of a study, the matching cells of the other targets of its task.

    They have the same model, method, seed and role of the operands: for `en+related` of es, the
    cell `en+related` of de.
    """
    groups: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    cells = experiments.all_cells(study)
    for cell in cells:
        key = selection.group_key(cell.wildcards, study.task_language, study.related)
        groups[key].append(cell)
    return {
        cell: [other for other in group if other.target != cell.target]
        for group in groups.values()
        for cell in group
    }


def problems(study: Study) -> Iterator[str]:
    """What is wrong with the rules that a study names, and with the text that losses need."""
    yield from _compared_rules(study)
    name = study.selection
    offered = [rule for rule in selection.names() if selection.get(rule).how]
    if name not in selection.names():
        yield f"selection: there is no rule '{name}'{did_you_mean(name, offered)}"
    elif name not in offered:
        reason = "uses test labels" if selection.get(name).labels == "test" else "is one adapter"
        yield (
            f"selection: {name} {reason} and is shown for comparison only, in label_free; name one "
            f"of {', '.join(offered)}"
        )
    else:
        # no related languages yet: they are required once cells are needed
        with suppress(InputError):
            yield from _unfit_cells(study, selection.get(name).needs)
            with_losses = {cell.target for cell in cells_with_losses(study)}
            yield from file_checks.missing_rows(study, with_losses)


def refuse_unfit(study: Study, file: str) -> None:
    """Raise an InputError with all :func:`problems` of a study's file, if there are any."""
    if mistakes := [f"{file}: {problem}" for problem in problems(study)]:
        raise InputError("\n".join(mistakes))


def _compared_rules(study: Study) -> Iterator[str]:
    view = study.experiments.get("label_free")
    named = (view.rules if view else None) or ()
    key = "experiments.label_free.rules"
    for name, count in Counter(named).items():
        if count > 1:
            yield f"{key}: '{name}' is listed twice; remove one"
        if name not in selection.names():
            yield f"{key}: there is no rule '{name}'{did_you_mean(name, selection.names())}"
    if named and "validation" not in named:
        yield f"{key}: add validation, with which the others are compared"


def _unfit_cells(study: Study, needs: frozenset[selection.Need]) -> Iterator[str]:
    """Experiments in which the study's rule cannot choose: one sentence each, with a cell."""
    if not needs & {"other targets", "weights"}:
        return
    unmatched = {cell for cell, matches in others(study).items() if not matches}
    for experiment in study.experiments:
        if not shows_choice(experiment):
            continue
        for cell in experiments.cells(study, experiment):
            where = f"experiments.{experiment}: {study.selection} cannot choose for {cell.target} "
            where += f"({cell.task}, {cell.method}, {join_operands(cell.operands)})"
            instead = "name another rule under 'selection', or remove this from the experiment"
            if "other targets" in needs and cell in unmatched:
                yield f"{where}: no other target of the task has such a merge; {instead}"
                break
            if "weights" in needs and not _weighs_vectors(study, cell):
                yield (
                    f"{where}: it needs a method that weighs two language vectors of adapters that "
                    f"this study trains; {instead}"
                )
                break


def _weighs_vectors(study: Study, cell: Cell) -> bool:
    """Whether a point is the weight of one of two vectors with a known θ_pre."""
    ready = any(sources.is_ready_operand(study, cell.model, o) for o in cell.operands)
    return merging.get(cell.method).ends == (0.0, 1.0) and len(cell.operands) == 2 and not ready
