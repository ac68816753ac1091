"""Which rules a study asks for, and what they need beside the sweeps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress

from langarith import merging
from langarith.errors import InputError, did_you_mean
from langarith.evaluation import selection
from langarith.layout import Cell
from langarith.operands import join_operands
from langarith.study import experiments, sources
from langarith.study.schema import Study


def compared(study: Study) -> tuple[str, ...]:
    """The rules that `label_free` compares, in the order of tables.

    Where it names none: those that choose from what sweeps leave, and the study's own.
    """
    view = study.experiments.get("label_free")
    named = (view.rules if view else None) or {*selection.without_own_jobs(), study.selection}
    return tuple(name for name in selection.names() if name in named)


def rules(study: Study, experiment: str) -> tuple[str, ...]:
    """The rules that choose in the cells of an experiment; none where no choice is shown."""
    if experiment == "label_free":
        return compared(study)
    return (study.selection,) if shows_choice(experiment) else ()


def shows_choice(experiment: str) -> bool:
    """Whether an experiment shows the points that the study's `selection` chose in its cells."""
    view = experiments.EXPERIMENTS[experiment]
    return view.chosen and view.cells is not None


def needs(study: Study, experiment: str) -> frozenset[selection.Need]:
    """What the rules that choose in the cells of an experiment need beside each cell's sweep."""
    return frozenset[selection.Need]().union(
        *(selection.get(name).needs for name in rules(study, experiment))
    )


def cells_with_losses(study: Study) -> list[Cell]:
    """A cell for each merge and target whose masked-LM losses some experiment needs.

    The losses do not depend on the task: of cells that differ in it the first one. Cells of
    `experiments.texts` have no task.
    """
    found: dict[tuple[object, ...], Cell] = {}
    wanted: list[Cell] = []
    for name in study.experiments:
        wanted += experiments.texts(study, name)
        if "raw text" in needs(study, name):
            wanted += experiments.cells(study, name)
    for cell in wanted:
        names = cell.wildcards
        del names["task"]
        found.setdefault(tuple(names.values()), cell)
    return list(found.values())


def others(study: Study) -> dict[Cell, list[Cell]]:
    """For every cell of a study, what its other targets of the task have in the same place.

    Model, method, seed and the role of the operands are the same: for es in `en+related` the cell
    `en+related` of de.
    """
    groups: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    cells = experiments.all_cells(study)
    for cell in cells:
        place = selection.place(cell.wildcards, study.task_language, study.related)
        groups[place].append(cell)
    return {
        cell: [other for other in group if other.target != cell.target]
        for group in groups.values()
        for cell in group
    }


def problems(study: Study) -> Iterator[str]:
    """What is wrong with the rules that a study names, one sentence each."""
    yield from _compared_rules(study)
    name = study.selection
    offered = [rule for rule in selection.names() if selection.get(rule).how]
    if name not in selection.names():
        yield f"selection: there is no rule '{name}'{did_you_mean(name, offered)}"
    elif name not in offered:
        looks = "looks at test labels" if selection.get(name).labels == "test" else "is one adapter"
        yield (
            f"selection: {name} {looks} and is shown for comparison only, in label_free; name one "
            f"of {', '.join(offered)}"
        )
    else:
        # no related languages yet: they are required once cells are needed
        with suppress(InputError):
            yield from _unfit_cells(study, selection.get(name).needs)


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
    alone = {cell for cell, found in others(study).items() if not found}
    for experiment in study.experiments:
        if not shows_choice(experiment):
            continue
        for cell in experiments.cells(study, experiment):
            where = f"experiments.{experiment}: {study.selection} cannot choose for {cell.target} "
            where += f"({cell.task}, {cell.method}, {join_operands(cell.operands)})"
            instead = "name another rule under 'selection', or leave this out of the experiment"
            if "other targets" in needs and cell in alone:
                yield f"{where}: no other target of the task has such a merge; {instead}"
                break
            if "weights" in needs and not _weighs_vectors(study, cell):
                yield (
                    f"{where}: it needs a method that weighs two language vectors of adapters that "
                    f"are trained here; {instead}"
                )
                break


def _weighs_vectors(study: Study, cell: Cell) -> bool:
    """Whether a point is the share of one of two vectors with a known θ_pre."""
    ready = any(sources.ready_adapter(study, cell.model, o, "") for o in cell.operands)
    return merging.get(cell.method).ends == (0.0, 1.0) and len(cell.operands) == 2 and not ready
