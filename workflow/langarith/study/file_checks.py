"""Checks of the files that a study names: they must exist and fit the keys that name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from langarith import tasks
from langarith.data import base_models, hub
from langarith.errors import InputError, did_you_mean
from langarith.layout import Run
from langarith.operands import Operand
from langarith.study import experiments
from langarith.study.blocks import hub_adapter
from langarith.study.schema import (
    LANGUAGES,
    ContinuedModel,
    FilesCorpora,
    FilesModel,
    FilesTask,
    HubCorpora,
    HubTask,
    Study,
)
from langarith.study.sources import (
    corpus_files,
    given_folder,
    is_ready,
    model_lengths,
    needed_splits,
    shard_name,
    task_cut,
    task_file,
    task_languages,
    task_type,
)


def shards_on_hub(study: Study) -> Iterator[str]:
    """The shards of each language must be in the committed table; the hub is not needed."""
    corpora = study.corpora
    if isinstance(corpora, HubCorpora):
        if "{language}" not in corpora.config:
            yield (
                "corpora.config: no {language} in it, so all languages would read one text; add it"
            )
        else:
            yield from missing_rows(study, _trained_on(study))


def missing_rows(study: Study, languages: Collection[str]) -> Iterator[str]:
    """The languages whose raw text is on the hub and whose shards are not in the table."""
    corpora = study.corpora
    if not isinstance(corpora, HubCorpora):
        return
    for language in study.languages:
        if language in languages:
            try:
                hub.shard_count(corpora.path, corpora.config.replace("{language}", language))
            except InputError as error:
                yield f"corpora.config: {error}"


def _trained_on(study: Study) -> set[str]:
    """The languages on whose raw text base models and language adapters are trained.

    While the cells are unknown for lack of related languages: all without a ready-made adapter.
    """
    try:
        runs = [run for name in study.experiments for run in experiments.runs(study, name)]
    except InputError:
        runs = [
            Run(model, "language", language, study.seeds[0])
            for model in study.models
            for language in study.languages
        ]
    read = {
        Operand.parse(run.name).language
        for run in runs
        if run.kind == "language" and not is_ready(study, run)
    }
    for name in {run.model for run in runs}:
        model = study.models[name]
        if model.source == "pretrain":
            read.update(model.languages)
    return read


def revisions(study: Study) -> Iterator[str]:
    for key, revision in study.revisions.items():
        if not hub.is_commit(revision):
            yield f"revisions.{key}: '{revision}' is no commit; give its 40 hexadecimal digits"


def missing_model_files(study: Study) -> Iterator[str]:
    for name, model in study.models.items():
        if isinstance(model, FilesModel):
            yield from (f"models.{name}.path: {p}" for p in base_models.missing_files(model.path))
        elif isinstance(model, ContinuedModel) and not hub_adapter(model.start):
            yield from (f"models.{name}.start: {p}" for p in base_models.missing_files(model.start))


def base_models_described(study: Study) -> Iterator[str]:
    """Check config.json of base models: architecture, positions, keys that run code."""
    for name in study.models:
        folder = given_folder(study, name)
        if folder:
            for problem in base_models.config_problems(folder, model_lengths(study, name)):
                yield f"models.{name}: {problem}"


def missing_shards(study: Study) -> Iterator[str]:
    """Raw files that are missing, not regular or of one name, or one file for two languages."""
    if isinstance(study.corpora, FilesCorpora):
        paths = study.corpora.path
        if not all("{language}" in p for p in ([paths] if isinstance(paths, str) else paths)):
            yield "corpora.path: no {language} in it, so all languages would read one text; add it"
            return
        read_as: dict[object, tuple[str, str]] = {}
        for language in study.languages:
            files = corpus_files(study.corpora, language)
            if not files:
                path = study.corpora.path if isinstance(study.corpora.path, str) else "the list"
                yield (
                    f"corpora.path: {path} matches no file for language '{language}'; "
                    "correct the path or remove the language"
                )
            for file in files:
                if not Path(file).is_file():
                    yield f"corpora.path: {file} is {_kind(file)}; only regular files are read"
                other, its_file = read_as.setdefault(_identity(file), (language, file))
                if other != language:
                    yield (
                        f"corpora.path: {file} of language '{language}' is the same file as "
                        f"{its_file} of '{other}'; give each language its own text"
                    )
            names = Counter(map(shard_name, files))
            for shard, count in names.items():
                if count > 1:
                    yield (
                        f"corpora.path: {count} files of language '{language}' are called {shard}; "
                        "give each shard a name of its own"
                    )


def _kind(file: str) -> str:
    return "a folder" if Path(file).is_dir() else "a pipe or another special file"


def _identity(file: str) -> object:
    """An identity that two names (links) of one file share; the file may not exist yet."""
    try:
        stat = Path(file).stat()
    except OSError:
        return str(Path(file).resolve())
    return stat.st_dev, stat.st_ino


def columns(study: Study) -> Iterator[str]:
    """Columns that a task type does not have, and columns that are named twice."""
    for name, task in study.tasks.items():
        kind = task_type(study, name)
        known = tasks.get(kind).column_names if kind in tasks.names() else ()
        if not known:
            continue  # another check refuses the key
        for column, of_file in task.columns.items():
            key = f"tasks.{name}.columns.{column}"
            if column not in known:
                hint = did_you_mean(column, known)
                yield f"{key}: files of type {kind} have no such column{hint}"
            elif isinstance(of_file, int) and tasks.get(kind).head != "tagging":
                yield f"{key}: files of type {kind} have columns with names; write one"
        for of_file, count in Counter(task.columns.values()).items():
            if count > 1:
                yield f"tasks.{name}.columns: {of_file!r} is named twice; name each column once"


def missing_task_files(study: Study) -> Iterator[str]:
    for name, task in study.tasks.items():
        if isinstance(task, FilesTask):
            for language in task_languages(study, name):
                for split in needed_splits(study, language):
                    file = task_file(study, name, language, split)
                    if not Path(file).is_file():
                        wrong = f"is {_kind(file)}" if Path(file).exists() else "does not exist"
                        yield (
                            f"tasks.{name}: file {file} ({language}, {split}) {wrong}; "
                            + (
                                "correct the path"
                                if language == study.task_language
                                else f"correct the path or remove '{language}' from the targets"
                            )
                        )


def files_in_two_roles(study: Study) -> Iterator[str]:
    """Task files that are read for two splits, or for two languages; a cut file has two."""
    for name, task in study.tasks.items():
        if not isinstance(task, FilesTask | HubTask):
            continue
        several = LANGUAGES in task.columns  # rows of each language in one file
        kind = task_type(study, name)
        known = tasks.get(kind).column_names if kind in tasks.names() else ()
        roles: dict[object, tuple[str, str, str | None]] = {}
        for language in task_languages(study, name):
            for split in needed_splits(study, language):
                file = task_file(study, name, language, split)
                cut = task_cut(study, name, language, split)
                role = (study.task_language if several else language, split, cut)
                other = roles.setdefault(_identity(file), role)
                if other == role or (cut and other[0] == language and other[2] == cut):
                    continue
                of_rows = (
                    f", or name '{LANGUAGES}' under tasks.{name}.columns if a column says the "
                    "language of each row"
                )
                yield (
                    f"tasks.{name}: {file} is read for both {other[0]}, {other[1]} and {language}, "
                    f"{split}; give each language and split a file of its own, with {{language}} "
                    "and {split} in the path or under "
                    f"tasks.{name}.languages.{language}{of_rows * (LANGUAGES in known)}"
                )


def folders(study: Study) -> Iterator[str]:
    """Folders that are written to: no part of their path may be a file."""
    for key in ("results_dir", "checkpoint_dir"):
        place = getattr(study, key)
        if place:
            existing = nearest_existing(place)
            if existing and not existing.is_dir():
                yield f"{key}: {existing} is a file; name a folder"


def nearest_existing(place: str) -> Path | None:
    """A path, or the nearest of the folders above it that exists."""
    path = Path(place)
    return next((p for p in (path, *path.parents) if p.exists()), None)
