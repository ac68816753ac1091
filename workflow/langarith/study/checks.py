"""Checks across keys of a study: names and files that must agree with each other.

Each check yields one sentence for each mistake of its kind. `NAMES`, `OF_CELLS` and `OTHERS` list
them in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from langarith import merging, tasks
from langarith.data import readers
from langarith.errors import InputError, did_you_mean
from langarith.layout import LANGUAGE, NAME
from langarith.merging.search import COARSE
from langarith.operands import budget_tokens
from langarith.study import (
    adapter_checks,
    checks_of_vectors,
    experiment_checks,
    file_checks,
    pool,
)
from langarith.study.grid import MOST_POINTS, places
from langarith.study.mistakes import repeated, unknown_languages
from langarith.study.schema import (
    FilesCorpora,
    FilesTask,
    HubTask,
    MiniatureTask,
    PretrainModel,
    Study,
)
from langarith.study.sources import corpus_files, model_lengths, shard_name, task_type


def problems(study: Study) -> Iterator[str]:
    """Every mistake that involves more than one key, one sentence each."""
    wrong_names = [sentence for check in NAMES for sentence in check(study)]
    yield from wrong_names
    for check in OTHERS if wrong_names else (*OF_CELLS, *OTHERS):
        try:
            yield from check(study)
        except InputError as error:  # cells without the related languages that they need
            yield str(error)


def _languages(study: Study) -> Iterator[str]:
    yield from repeated("languages", study.languages)
    for language in study.languages:
        if not re.fullmatch(LANGUAGE, language):
            yield (
                f"languages: '{language}' is no language code; begin it with a letter and use "
                "letters, digits, - and _ (zh-Hant, sr_Latn)"
            )
    yield from unknown_languages(study.languages, "task_language", [study.task_language])


def _names(study: Study) -> Iterator[str]:
    """Names of models and tasks are folders of the results; the study's name is a part of paths."""
    if not study.name.strip() or set(study.name) & set("/{}\n"):
        yield f"name: {study.name!r} is no name of a file; leave out slashes and braces"
    for key, names in (("models", study.models), ("tasks", study.tasks)):
        for name in names:
            if not re.fullmatch(NAME, name) or not name.strip("."):
                yield (
                    f"{key}: '{name}' is no name of a folder; use letters, digits, '.', '_' and '-'"
                )


def _methods(study: Study) -> Iterator[str]:
    """Methods that do not exist, and grids that do not span the range that a method needs."""
    for name, grid in study.lambdas.items():
        try:
            method = merging.get(name)
        except InputError as error:
            yield f"lambdas.{name}: {error}"
            continue
        plain = f"{re.sub('[0-9]+$', '', name)}{method.parameter}"
        if method.parameter is not None and name != plain:
            yield f"lambdas.{name}: {name} and {plain} are one method; write {plain}"
        if method.ends and (grid.start, grid.stop) != method.ends:
            first, last = (f"{end:g}" for end in method.ends)
            yield (
                f"lambdas.{name}: {method.title} runs from {first} to {last}; set start: {first} "
                f"and stop: {last}"
            )
        elif problem := method.misfit(grid.start):
            yield f"lambdas.{name}.start: {problem}"
        points = len(method.points(grid.values(), 2))
        if points > MOST_POINTS:
            yield (
                f"lambdas.{name}: step {grid.step:g} makes {points} points; take a larger step, so "
                f"that there are at most {MOST_POINTS}"
            )
        values = grid.values()
        if grid.search == "refine" and method.search(values, 2, "refine").first == (
            method.search(values, 2).grid
        ):
            yield (
                f"lambdas.{name}.search: refine starts with steps of about {COARSE:g}, so with "
                f"step {grid.step:g} it leaves out no point; take a smaller step, or leave out "
                "search"
            )


def _lambdas_of_la(study: Study) -> Iterator[str]:
    if "la" not in study.lambdas:
        yield "lambdas.la is missing; add it, for example {start: 0, stop: 1, step: 0.05}"
    elif study.lambdas["la"].stop == 1.0 and 0.5 not in study.lambdas["la"].values():
        yield (
            f"lambdas.la.step: {study.lambdas['la'].step} leaves out lambda 0.5, which every table "
            "reports; take a step that divides 0.5"
        )


def _seeds(study: Study) -> Iterator[str]:
    yield from repeated("seeds", study.seeds)


def _related(study: Study) -> Iterator[str]:
    for target, related in study.related.items():
        yield from unknown_languages(study.languages, "related", [target])
        yield from unknown_languages(study.languages, f"related.{target}", [related])
        if target == related:
            yield f"related.{target}: a language is not related to itself; name another"


def _related_to_task_language(study: Study) -> Iterator[str]:
    """Experiments that merge the task language with the related one need two languages."""
    merging_it = ("zero_shot", "lambda_impact", "ties", "methods", "pool", "label_free")
    merged = [name for name in merging_it if name in study.experiments]
    for target, related in study.related.items():
        for name in merged:
            if related == study.task_language and any(
                place[2] == target for place in places(study, name)
            ):
                yield (
                    f"related.{target}: {related} is the task language, with which {name} merges "
                    "the related language; name another language"
                )
                break


def _budgets(study: Study) -> Iterator[str]:
    yield from unknown_languages(study.languages, "budgets", study.budgets)
    for language, budgets in study.budgets.items():
        key = f"budgets.{language}"
        written: dict[int | None, str] = {}
        yield from repeated(key, budgets)
        for budget in budgets:
            try:
                first = written.setdefault(budget_tokens(budget), budget)
            except InputError as error:
                yield f"{key}: {error}"
                continue
            if first != budget:
                yield f"{key}: '{first}' and '{budget}' are the same budget; remove one"


def _pretrained_models(study: Study) -> Iterator[str]:
    """Base models that are trained here: their languages and sizes."""
    for name, model in study.models.items():
        if model.source != "pretrain":
            continue
        yield from unknown_languages(study.languages, f"models.{name}.languages", model.languages)
        yield from repeated(f"models.{name}.languages", model.languages)
        if not isinstance(model, PretrainModel):
            continue  # its size is in the files of `start`
        for key, length in model_lengths(study, name).items():
            if length > model.max_length:
                yield (
                    f"{key}: {length} subwords do not fit into models.{name}.max_length "
                    f"{model.max_length}; lower it or raise that"
                )
        if model.hidden_size % model.attention_heads:
            yield (
                f"models.{name}.attention_heads: {model.attention_heads} does not divide "
                f"hidden_size {model.hidden_size}"
            )


def _bottlenecks(study: Study) -> Iterator[str]:
    """Adapters in base models that are trained here have at least one dimension."""
    shapes = study.adapters
    for name, model in study.models.items():
        if not isinstance(model, PretrainModel):
            continue
        width = model.hidden_size
        for key, most, factor in (
            ("language.reduction_factor", width, shapes.language.reduction_factor),
            (
                "language.invertible_reduction_factor",
                width // 2,
                shapes.language.invertible_reduction_factor,
            ),
            ("task.reduction_factor", width, shapes.task.reduction_factor),
        ):
            if factor and factor > most:
                yield (
                    f"adapters.{key}: {factor:g} leaves no dimension of models.{name}.hidden_size "
                    f"{width}; take at most {most}"
                )


def _task_types(study: Study) -> Iterator[str]:
    for name in study.tasks:
        kind = task_type(study, name)
        if kind not in tasks.names():
            hint = did_you_mean(kind, tasks.names())
            yield f"tasks.{name}.type: unknown task type '{kind}'{hint}"


def _keys_of_other_task_types(study: Study) -> Iterator[str]:
    """Keys that have no effect on a task of this type."""
    for name, task in study.tasks.items():
        kind = task_type(study, name)
        if kind not in tasks.names():
            continue
        task_class = tasks.get(kind)
        for key in ("cut", "stride", "max_answer_length", "labels", "columns", "tags"):
            if key in task.model_fields_set and key not in task_class.own_keys:
                yield (
                    f"tasks.{name}.{key}: it has no effect on a task of type {kind}; remove '{key}'"
                )
        if isinstance(task, MiniatureTask) and not task_class.suffix:
            yield (
                f"tasks.{name}.source: the miniature has no data for tasks of type {kind}; use "
                "files or hub"
            )


SPECIAL_TOKENS = 4
"""Of a pair of texts, at most: XLM-R has four, BERT three."""

SHORTEST_QUESTION = 8
"""Subwords of a question that must fit into every window in addition to `stride`."""


def _windows(study: Study) -> Iterator[str]:
    """QA: a window has space for special tokens, a question, and more than `stride` subwords."""
    for name, task in study.tasks.items():
        kind = task_type(study, name)
        if kind in tasks.names() and "stride" in tasks.get(kind).own_keys:
            space = task.max_length - task.stride - SPECIAL_TOKENS - SHORTEST_QUESTION
            if space < 1:
                yield (
                    f"tasks.{name}.stride: windows of {task.max_length} subwords (max_length) that "
                    f"share {task.stride} leave no space for a question; set stride to "
                    f"{task.max_length // 3} or less, or raise max_length"
                )


def _difficulty(study: Study) -> Iterator[str]:
    """The knobs of `difficulty` must be those of the task type: shares, or counts from 1."""
    for name, task in study.tasks.items():
        if isinstance(task, MiniatureTask) and task.difficulty:
            from langarith.data import miniature  # imported only if it is used

            known = miniature.knobs(task_type(study, name))
            for knob, value in task.difficulty.items():
                key = f"tasks.{name}.difficulty.{knob}"
                if isinstance(known.get(knob), float) and value > 1:
                    yield f"{key} is {value:g}; write a share from 0 to 1"
                elif isinstance(known.get(knob), int) and (value < 1 or value % 1):
                    yield f"{key} is {value:g}; write a whole number of at least 1"
                elif known and knob not in known:
                    yield (
                        f"tasks.{name}.difficulty: {task_type(study, name)} has no knob '{knob}'"
                        f"{did_you_mean(knob, known)}"
                    )


def _targets(study: Study) -> Iterator[str]:
    for name, task in study.tasks.items():
        yield from unknown_languages(study.languages, f"tasks.{name}.targets", task.targets)
        yield from repeated(f"tasks.{name}.targets", task.targets)


def _files_of_one_language(study: Study) -> Iterator[str]:
    """`languages` of a task: only its own languages, and only files that are read for them."""
    for name, task in study.tasks.items():
        if not isinstance(task, FilesTask | HubTask):
            continue
        for language, own in task.languages.items():
            key = f"tasks.{name}.languages"
            if language not in {study.task_language, *task.targets}:
                yield (
                    f"{key}: '{language}' is neither the task language nor among the targets; add "
                    "it to the targets or remove it here"
                )
            elif language != study.task_language:
                if own.train is not None:
                    yield (
                        f"{key}.{language}.train: only the task language's training data is read; "
                        "remove it"
                    )
                if task.path and own.validation is not None:
                    yield (
                        f"{key}.{language}.validation: with 'path' only the task language has a "
                        "'validation' of its own; remove it"
                    )


def _shard_names(study: Study) -> Iterator[str]:
    """Token streams have the names of their shards, and braces in a path are placeholders."""
    if not isinstance(study.corpora, FilesCorpora):
        return
    for language in study.languages:
        for path in corpus_files(study.corpora, language):
            if set(shard_name(path)) & set("{}") or not shard_name(path):
                yield f"corpora.path: {path}: rename the file; its name has braces, or no letter"


def _text_column(study: Study) -> Iterator[str]:
    corpora = study.corpora
    if isinstance(corpora, FilesCorpora) and "text_column" in corpora.model_fields_set:
        paths = [corpora.path] if isinstance(corpora.path, str) else corpora.path
        if all(path.endswith(readers.TEXT_SUFFIXES) for path in paths):
            yield "corpora.text_column: .txt files have no columns; remove it"


Checks = tuple[Callable[[Study], Iterator[str]], ...]

NAMES: Checks = (
    _languages,
    _names,
    _methods,
    _seeds,
    _budgets,
    _related,
    _pretrained_models,
    _task_types,
    _targets,
    _lambdas_of_la,
    experiment_checks.names,
    checks_of_vectors.quadruples,
    pool.problems,
)
"""Whether the names in a study are those of something: only then can its cells be listed."""

OF_CELLS: Checks = (
    experiment_checks.needs,
    _related_to_task_language,
    *adapter_checks.OF_CELLS,
    file_checks.shards_on_hub,
)

OTHERS: Checks = (
    _bottlenecks,
    _keys_of_other_task_types,
    _windows,
    _difficulty,
    _files_of_one_language,
    _shard_names,
    _text_column,
    file_checks.revisions,
    *adapter_checks.CHECKS,
    file_checks.columns,
    file_checks.missing_shards,
    file_checks.missing_task_files,
    file_checks.files_in_two_roles,
    file_checks.missing_model_files,
    file_checks.base_models_described,
    file_checks.folders,
)
