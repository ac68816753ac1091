"""Checks of the adapters of a study: ready-made ones, and layers that have none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from langarith import merging, tasks
from langarith.adapter_format import ADAPTER_FILES, HEAD_FILES, PICKLES
from langarith.data import heads
from langarith.errors import InputError, did_you_mean
from langarith.study.blocks import hub_adapter
from langarith.study.experiments import all_cells, cells, subtracted
from langarith.study.schema import Study
from langarith.study.sources import is_ready_operand, layer_count, task_type


def _left_out_layers(study: Study) -> Iterator[str]:
    """Layers without an adapter must exist in base models and be in no experiment."""
    leave_out = study.adapters.language.leave_out
    if not leave_out:
        return  # without reading config.json
    for name in study.models:
        layers = layer_count(study, name)
        if layers is None:
            continue
        for layer in leave_out:
            if layer >= layers:
                yield (
                    f"adapters.language.leave_out: layer {layer} is beyond the {layers} layers of "
                    f"{name}, which are counted from 0; correct it"
                )
        if leave_out == tuple(range(layers)):
            yield (
                f"adapters.language.leave_out: it names all {layers} layers of {name}, so there is "
                "nothing to train; keep at least one"
            )
    layers_shown = study.experiments["sparsity"].layers if "sparsity" in study.experiments else None
    for layer in sorted(set(layers_shown or ()) & set(leave_out)):
        yield (
            f"experiments.sparsity.layers: layer {layer} has no language adapter "
            "(adapters.language.leave_out); remove it"
        )


def _language_adapters(study: Study) -> Iterator[str]:
    """Ready-made language adapters: local folders must have the files."""
    for name, model in study.models.items():
        languages: dict[str, str] = {}
        for language, place in model.adapters.items():
            key = f"models.{name}.adapters.{language}"
            other = languages.setdefault(os.path.normpath(place), language)
            if other != language:
                yield f"{key}: {place} is also the adapter of '{other}'; name another one"
            if language not in study.languages:
                yield f"{key}: '{language}' is not in 'languages'; add it there"
            yield from _absent(key, place, ADAPTER_FILES)


def _task_adapters(study: Study) -> Iterator[str]:
    """Ready-made task adapters: local folders must have the files and a head of the task's type.

    The job `score_task_adapter` compares the labels of the head with the training data.
    """
    for name, model in study.models.items():
        for task, place in model.task_adapters.items():
            key = f"models.{name}.task_adapters.{task}"
            if task not in study.tasks:
                hint = did_you_mean(task, study.tasks)
                yield f"{key}: '{task}' has no entry under 'tasks'{hint}"
                continue
            absent = list(_absent(key, place, [*ADAPTER_FILES, *HEAD_FILES]))
            yield from absent
            kind = task_type(study, task)
            if absent or hub_adapter(place) or kind not in tasks.names():
                continue
            try:
                problem = heads.problem(heads.read(place), tasks.get(kind).head, None, place)
            except InputError as error:
                problem = str(error)
            if problem:
                yield f"{key}: {problem}"
    for task, spec in study.tasks.items():
        if spec.training and all(task in model.task_adapters for model in study.models.values()):
            yield (
                f"tasks.{task}.training: it has no effect, since models.*.task_adapters.{task} are "
                "ready-made; remove it"
            )


def _absent(key: str, place: str, files: Sequence[str]) -> Iterator[str]:
    """The first file that the folder of a ready-made adapter lacks."""
    if hub_adapter(place):
        return
    folder = Path(place)
    for file in sorted(files, key=lambda name: name not in PICKLES):
        if (folder / file).is_file():
            continue
        pickle = PICKLES.get(file, "")
        if pickle and (folder / pickle).is_file():
            yield (
                f"{key}: {place} has no {file}, only {pickle}, a pickle that can run code when "
                f"it is loaded; convert it: langarith convert {place} --to NEW_FOLDER"
            )
        else:
            yield (
                f"{key}: {place} has no {file}; name an adapter's folder, or repository@revision "
                "on the hub"
            )
        return


def _trained_elsewhere(study: Study) -> Iterator[str]:
    """Experiments that need θ_pre or the held-out text, which a ready-made adapter does not have.

    Language arithmetic needs neither: its weights sum to one, so that θ_pre cancels out.
    """
    if not any(model.adapters or model.task_adapters for model in study.models.values()):
        return  # without the related languages, which may not be known yet
    for name in study.experiments:
        merged = [
            (merging.get(cell.method), (cell.model, "language", operand.language))
            for cell in cells(study, name)
            for operand in cell.operands
        ]
        weighed = {adapter for method, adapter in merged if method.needs_fisher}
        for used, need, unknown in (
            (
                subtracted(study, name),
                "it subtracts the initialisation of the adapters",
                "from an unknown one",
            ),
            (weighed, "fisher needs text that was held out of the training", "on unknown text"),
        ):
            for model, kind, adapter in sorted(used & _ready(study)):
                key = "adapters" if kind == "language" else "task_adapters"
                yield (
                    f"experiments.{name}: {need}, and models.{model}.{key}.{adapter} was "
                    f"trained elsewhere {unknown}; remove it there, so that one is trained, or "
                    f"leave the model or the {kind} out of 'experiments.{name}'"
                )


def _ready(study: Study) -> set[tuple[str, str, str]]:
    """Model, kind and name of the adapters that are not trained here."""
    return {
        (model, kind, name)
        for model, spec in study.models.items()
        for kind, adapters in (("language", spec.adapters), ("task", spec.task_adapters))
        for name in adapters
    }


def _seeds_without_training(study: Study) -> Iterator[str]:
    """Several seeds if no number depends on them: they would all give the same numbers."""
    if len(study.seeds) < 2 or not all(m.task_adapters for m in study.models.values()):
        return
    needed = all_cells(study)
    trained = [
        cell
        for cell in needed
        if cell.task not in study.models[cell.model].task_adapters
        or not all(is_ready_operand(study, cell.model, o) for o in cell.operands)
    ]
    if needed and not trained:
        yield (
            "seeds: all adapters are ready-made, so every seed would give the same scores; name "
            "one seed"
        )


CHECKS: tuple[Callable[[Study], Iterator[str]], ...] = (
    _left_out_layers,
    _language_adapters,
    _task_adapters,
)

OF_CELLS: tuple[Callable[[Study], Iterator[str]], ...] = (
    _trained_elsewhere,
    _seeds_without_training,
)
"""Checks that list the cells of the study: its names must be right."""
