"""Files that a study names: whether they exist, and fit the keys that name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from langarith.data import base_models, hub
from langarith.errors import InputError
from langarith.study.blocks import HUB_ADAPTER
from langarith.study.schema import (
    FilesCorpora,
    FilesModel,
    FilesTask,
    HubCorpora,
    Study,
)
from langarith.study.sources import (
    corpus_files,
    model_folder,
    needed_splits,
    sequence_lengths,
    shard_name,
    task_file,
)


def shards_on_hub(study: Study) -> Iterator[str]:
    """What the committed table of shards shows without the hub."""
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


def revisions(study: Study) -> Iterator[str]:
    for key, revision in study.revisions.items():
        if not hub.is_commit(revision):
            yield f"revisions.{key}: '{revision}' is no commit; give its 40 hexadecimal digits"


def ready_made_adapters(study: Study) -> Iterator[str]:
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


def missing_model_files(study: Study) -> Iterator[str]:
    for name, model in study.models.items():
        if isinstance(model, FilesModel):
            yield from (f"models.{name}.path: {p}" for p in base_models.absent(model.path))


def base_models_described(study: Study) -> Iterator[str]:
    """What config.json of a base model shows: an architecture, positions, keys that run code."""
    for name in study.models:
        folder = model_folder(study, name)
        if folder:
            for problem in base_models.config_problems(folder, sequence_lengths(study)):
                yield f"models.{name}: {problem}"


def missing_shards(study: Study) -> Iterator[str]:
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


def missing_task_files(study: Study) -> Iterator[str]:
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
