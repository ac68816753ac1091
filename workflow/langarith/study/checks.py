"""What no single key of a study shows: names and files that must agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from langarith import merging, tasks
from langarith.data import hub
from langarith.errors import InputError, did_you_mean
from langarith.layout import BUDGET
from langarith.study.experiments import EXPERIMENTS, VECTOR_EXPERIMENTS, cells, vectors
from langarith.study.grid import other_methods, places
from langarith.study.schema import (
    HUB_ADAPTER,
    LANGUAGE_CODE,
    FilesCorpora,
    FilesModel,
    FilesTask,
    HubCorpora,
    Lambdas,
    MiniatureTask,
    PretrainModel,
    Study,
    TaskSpec,
)
from langarith.study.sources import corpus_files, needed_splits, shard_name, task_file


def problems(study: Study) -> Iterator[str]:  # noqa: PLR0912, PLR0915  one check after the other
    """What no single key shows: names that must agree with other names."""
    known = set(study.languages)

    def languages(key: str, values: Iterable[str]) -> Iterator[str]:
        for value in values:
            if value not in known:
                yield f"{key}: language '{value}' is not in 'languages'{did_you_mean(value, known)}"

    def repeated(key: str, values: Sequence[Any]) -> Iterator[str]:
        for value, count in Counter(values).items():
            if count > 1:
                yield f"{key}: '{value}' is listed twice; remove one"

    yield from repeated("languages", study.languages)
    for language in study.languages:
        if not LANGUAGE_CODE.match(language):
            yield f"languages: '{language}' is no language code; use letters and hyphens (zh-Hant)"
    for method in study.lambdas:
        yield from _method_problems(method, study.lambdas[method])
    yield from repeated("seeds", study.seeds)
    yield from languages("task_language", [study.task_language])
    yield from languages("budgets", study.budgets)
    for target, related in study.related.items():
        yield from languages("related", [target])
        yield from languages(f"related.{target}", [related])
        if target == related:
            yield f"related.{target}: a language is not related to itself; name another"
    for name, model in study.models.items():
        if isinstance(model, PretrainModel):
            yield from languages(f"models.{name}.languages", model.languages)
            longest = {
                f"models.{name}.training.chunk_length": model.training.chunk_length,
                "training.language_adapter.chunk_length": (
                    study.training.language_adapter.chunk_length
                ),
                **{f"tasks.{t}.max_length": task.max_length for t, task in study.tasks.items()},
            }
            for key, length in longest.items():
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
    for name, task in study.tasks.items():
        yield from languages(f"tasks.{name}.targets", task.targets)
        yield from repeated(f"tasks.{name}.targets", task.targets)
        kind = task.type or name
        if kind not in tasks.names():
            yield (
                f"tasks.{name}.type: unknown task type '{kind}'{did_you_mean(kind, tasks.names())}"
            )
        else:
            yield from _task_type_problems(name, kind, task)
        for language in getattr(task, "languages", {}):
            if language not in {study.task_language, *task.targets}:
                yield (
                    f"tasks.{name}.languages: '{language}' is neither the task language nor among "
                    "the targets; add it to the targets or remove it here"
                )
    for language, budgets in study.budgets.items():
        for budget in budgets:
            if budget != "full" and not BUDGET.match(budget):
                yield (
                    f"budgets.{language}: '{budget}' is not a token budget; write 10k, 1M, 1B or "
                    "full"
                )
    if "la" not in study.lambdas:
        yield "lambdas.la is missing; add it, for example {start: 0, stop: 1, step: 0.05}"
    elif study.lambdas["la"].stop == 1.0 and 0.5 not in study.lambdas["la"].values():
        yield (
            f"lambdas.la.step: {study.lambdas['la'].step} leaves out lambda 0.5, which every table "
            "reports; take a step that divides 0.5"
        )
    for name, experiment in study.experiments.items():
        if name not in EXPERIMENTS:
            yield f"experiments: unknown experiment '{name}'{did_you_mean(name, EXPERIMENTS)}"
        for key, chosen, offered in (
            ("models", experiment.models, set(study.models)),
            ("tasks", experiment.tasks, set(study.tasks)),
        ):
            yield from repeated(f"experiments.{name}.{key}", chosen or ())
            for value in chosen or ():
                if value not in offered:
                    yield (
                        f"experiments.{name}.{key}: '{value}' has no entry under '{key}'"
                        f"{did_you_mean(value, offered)}"
                    )
        for key in ("targets", "pool", "languages"):
            yield from languages(f"experiments.{name}.{key}", getattr(experiment, key) or ())
            yield from repeated(f"experiments.{name}.{key}", getattr(experiment, key) or ())
        if name not in EXPERIMENTS:
            continue
        view = EXPERIMENTS[name]
        for key in experiment.model_fields_set - view.keys:
            yield (
                f"experiments.{name}.{key}: {name} has no such key; remove it "
                f"(known: {', '.join(sorted(view.keys)) or 'none'})"
            )
        named = set(experiment.tasks or ()) <= set(study.tasks)
        named = named and set(experiment.targets or ()) <= known
        if named and "targets" in view.keys and not list(places(study, name)):
            yield f"experiments.{name}: no cell is left; name targets that its tasks have"
        elif name == "low_resource" and not set(study.budgets) & {
            place[2] for place in places(study, name)
        }:
            yield (
                "experiments.low_resource: none of its targets has budgets; add one, for example "
                "budgets: {sw: [10k, 100k, full]}"
            )
        elif name in ("ties", "methods") and not other_methods(
            study, "ties" if name == "ties" else None
        ):
            yield (
                f"experiments.{name}: no method in 'lambdas'; add one, for example "
                "lambdas: {ties20: {start: 0.8, stop: 1.8, step: 0.1}}"
            )
        elif name == "relatedness" and not experiment.pool:
            yield "experiments.relatedness.pool is missing; list the languages to pair targets with"
    yield from _hub_problems(study)
    yield from _adapter_problems(study)
    yield from _without_initialisation(study)
    yield from _missing_files(study)


def _method_problems(name: str, grid: Lambdas) -> Iterator[str]:
    """Whether a method exists, and its grid spans the range that it needs."""
    try:
        method = merging.get(name)
    except InputError as error:
        yield f"lambdas: {error}"
        return
    if method.ends and (grid.start, grid.stop) != method.ends:
        first, last = (f"{end:g}" for end in method.ends)
        yield (
            f"lambdas.{name}: {method.title} runs from {first} to {last}; set start: {first} and "
            f"stop: {last}"
        )


def _task_type_problems(name: str, kind: str, task: TaskSpec) -> Iterator[str]:
    """Keys of a task that its type does not take, and data that nobody makes."""
    of = tasks.get(kind)
    for key in ("cut", "stride", "labels"):
        if key in task.model_fields_set and key not in of.own_keys:
            yield f"tasks.{name}.{key}: it has no effect on a task of type {kind}; remove '{key}'"
    if isinstance(task, MiniatureTask) and not of.suffix:
        yield (
            f"tasks.{name}.source: the miniature has no data for tasks of type {kind}; use files "
            "or hub"
        )


def _hub_problems(study: Study) -> Iterator[str]:
    """What the committed table of shards and the lock of revisions show without the hub."""
    corpora = study.corpora
    if isinstance(corpora, HubCorpora):
        if "{language}" not in corpora.config:
            yield (
                "corpora.config: no {language} in it, so all languages would read one text; add it"
            )
        else:
            for language in study.languages:
                try:
                    hub.shard_count(corpora.path, corpora.config.replace("{language}", language))
                except InputError as error:
                    yield f"corpora.config: {error}"
    for key, revision in study.revisions.items():
        if not hub.is_commit(revision):
            yield f"revisions.{key}: '{revision}' is no commit; give its 40 hexadecimal digits"


def _adapter_problems(study: Study) -> Iterator[str]:
    """Ready-made language adapters: those at hand are looked at, all must suffice for their use."""
    for name, model in study.models.items():
        for language, place in model.adapters.items():
            key = f"models.{name}.adapters.{language}"
            if language not in study.languages:
                yield f"{key}: '{language}' is not in 'languages'; add it there"
            if HUB_ADAPTER.match(place):
                continue
            folder = Path(place)
            if not (folder / "adapter.safetensors").is_file():
                pickled = (folder / "pytorch_adapter.bin").is_file()
                yield f"{key}: {place} holds no adapter.safetensors" + (
                    ", only pytorch_adapter.bin, a pickle that can run code when it is loaded; "
                    "convert it (docs/data.md)"
                    if pickled
                    else "; name an adapter's folder, or repository@revision on the hub"
                )
            elif not (folder / "adapter_config.json").is_file():
                yield f"{key}: {place} holds no adapter_config.json; name an adapter's folder"


def _without_initialisation(study: Study) -> Iterator[str]:
    """Experiments that subtract θ_pre, which nobody knows of an adapter that was trained elsewhere.

    Language arithmetic needs none: its weights sum to one, and θ_pre falls out.
    """
    if not any(model.adapters for model in study.models.values()):
        return  # and ask for no related languages, which may not be known yet
    for name in study.experiments:
        used = {
            (cell.model, operand.language)
            for cell in cells(study, name)
            if merging.get(cell.method).needs_origin
            for operand in cell.operands
        }
        if name in VECTOR_EXPERIMENTS:
            used = {(r.model, r.name) for r in vectors(study, name) if r.kind == "language"}
        for model, spec in study.models.items():
            for language in spec.adapters:
                if (model, language) in used:
                    yield (
                        f"experiments.{name}: it subtracts the initialisation of the adapters, and "
                        f"models.{model}.adapters.{language} was trained elsewhere from an unknown "
                        "one; remove it there, so that one is trained, or leave the model or the "
                        f"language out of 'experiments.{name}'"
                    )


def _missing_files(study: Study) -> Iterator[str]:
    yield from _missing_shards(study)
    yield from _missing_task_files(study)
    for name, model in study.models.items():
        if isinstance(model, FilesModel):
            for part in ("config.json", "model.safetensors", "tokenizer.json"):
                if not (Path(model.path) / part).is_file():
                    yield (
                        f"models.{name}.path: {model.path} holds no {part}; name a folder that does"
                    )


def _missing_shards(study: Study) -> Iterator[str]:
    if isinstance(study.corpora, FilesCorpora):
        paths = study.corpora.path
        if not all("{language}" in p for p in ([paths] if isinstance(paths, str) else paths)):
            yield "corpora.path: no {language} in it, so all languages would read one text; add it"
            return
        for language in study.languages:
            if not corpus_files(study.corpora, language):
                shown = study.corpora.path if isinstance(study.corpora.path, str) else "the list"
                yield (
                    f"corpora.path: {shown} matches no file for language '{language}'; "
                    "correct the path or remove the language"
                )
            names = Counter(shard_name(path) for path in corpus_files(study.corpora, language))
            for shard, count in names.items():
                if count > 1:
                    yield (
                        f"corpora.path: {count} files of language '{language}' are called {shard}; "
                        "give each shard a name of its own"
                    )


def _missing_task_files(study: Study) -> Iterator[str]:
    for name, task in study.tasks.items():
        if isinstance(task, FilesTask):
            for language in dict.fromkeys([study.task_language, *task.targets]):
                for split in needed_splits(study, language):
                    file = task_file(study, name, language, split)
                    if not Path(file).is_file():
                        yield (
                            f"tasks.{name}: file {file} ({language}, {split}) does not exist; "
                            + (
                                "correct the path"
                                if language == study.task_language
                                else f"correct the path or remove '{language}' from the targets"
                            )
                        )
