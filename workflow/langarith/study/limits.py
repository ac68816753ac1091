"""A limited run: a study on a small part of its data and steps, to test it before the whole run.

`snakemake --config limit=small` runs the same jobs as the whole study, with the same models, seeds
and grids, and writes into separate folders. All limits are set here, in the usual keys of the
study, so that no other code depends on them.
"""

from __future__ import annotations

from typing import TypeVar

from langarith.study.blocks import Limit
from langarith.study.recipes import Recipe
from langarith.study.resolved import LIMITED
from langarith.study.schema import CorporaSpec, ModelSpec, Split, Study, TaskSpec

TRAINED = 10
"""Training examples of a task for each one that is evaluated."""

RecipeT = TypeVar("RecipeT", bound=Recipe)


def limited(study: Study) -> Study:
    """The study limited by its `limit`; the same study without one."""
    limit = study.limit
    if limit is None:
        return study
    folder = study.checkpoint_dir
    training = study.training
    return study.model_copy(
        update={
            "name": study.name + LIMITED,
            "note": f"{_note(limit)} {study.note}".strip(),
            "results_dir": limited_folder(study.results_dir),
            "checkpoint_dir": folder and limited_folder(folder),
            # figures always have the note on limits
            "caption": True,
            "experiments": {
                name: view.model_copy(update={"caption": True}) if view.caption is False else view
                for name, view in study.experiments.items()
            },
            "corpora": _corpora(study.corpora, limit),
            "models": {name: _model(model, limit) for name, model in study.models.items()},
            "tasks": {
                name: _task(
                    task, limit, ready=any(name in m.task_adapters for m in study.models.values())
                )
                for name, task in study.tasks.items()
            },
            "training": training.model_copy(
                update={
                    "language_adapter": _recipe(training.language_adapter, limit.steps),
                    "task_adapter": _recipe(training.task_adapter, limit.task_steps),
                }
            ),
        }
    )


def _note(limit: Limit) -> str:
    return (
        f"Limited run, whose scores mean nothing: at most {limit.documents:,} documents of each "
        f"language, {limit.examples:,} examples of validation and of test data, "
        f"{limit.task_steps:,} steps of each task adapter and {limit.steps:,} of other trainings."
    )


def limited_folder(folder: str) -> str:
    """The folder of the limited run of a study."""
    return folder.rstrip("/") + LIMITED


def _corpora(corpora: CorporaSpec, limit: Limit) -> CorporaSpec:
    documents = min(corpora.documents or limit.documents, limit.documents)
    held_out = min(corpora.validation_documents, limit.documents // 5)
    return corpora.model_copy(update={"documents": documents, "validation_documents": held_out})


def _model(model: ModelSpec, limit: Limit) -> ModelSpec:
    if model.source != "pretrain":
        return model
    return model.model_copy(update={"training": _recipe(model.training, limit.steps)})


def _task(task: TaskSpec, limit: Limit, *, ready: bool) -> TaskSpec:
    """A task with fewer examples; a ready-made adapter needs the labels of all training data."""
    most: dict[Split, int] = {"test": limit.examples, "validation": limit.examples}
    if not ready:
        most["train"] = TRAINED * limit.examples
    fewer = {split: min(task.examples.get(split, count), count) for split, count in most.items()}
    return task.model_copy(
        update={
            "examples": dict(sorted({**task.examples, **fewer}.items())),
            "training": task.training and _recipe(task.training, limit.task_steps),
        }
    )


def _recipe(recipe: RecipeT, most: int) -> RecipeT:
    """A recipe with at most `most` steps and two validations; batches are not changed."""
    steps = min(recipe.steps or most, most)
    half = max(1, steps // 2)
    return recipe.model_copy(
        update={
            "steps": steps,
            "epochs": None,
            "evaluate_every": min(recipe.evaluate_every or half, half),
            "warmup_steps": min(recipe.warmup_steps, half),
        }
    )
