"""Where the files of a study are: raw shards, base models, adapters and task data."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langarith import layout, tasks
from langarith.data import compression, hub
from langarith.operands import Operand, budget_tokens
from langarith.study.blocks import hub_adapter
from langarith.study.recipes import TaskRecipe
from langarith.study.schema import (
    LANGUAGES,
    SPLITS,
    ContinuedModel,
    FilesCorpora,
    FilesModel,
    FilesTask,
    HubCorpora,
    HubFile,
    HubModel,
    HubPlaces,
    HubTask,
    MiniatureCorpora,
    MiniatureTask,
    PretrainModel,
    Study,
    TaskSpec,
)


def corpus_files(corpora: FilesCorpora, language: str) -> list[str]:
    """The raw files of one language, in their order; in a path only `*` and `?` are patterns."""
    paths = [corpora.path] if isinstance(corpora.path, str) else corpora.path
    files: list[str] = []
    for path in paths:
        files += sorted(glob.glob(path.replace("{language}", language).replace("[", "[[]")))
    return files


def synthetic_text(study: Study, language: str) -> dict[str, Any]:
    """Arguments of the miniature's `write_corpus` for a language, without the files."""
    options = study.corpora.model_dump(exclude={"source", "shards", "validation_documents"})
    others = [other for other in options["translations"] if other != language]
    return options | {"translations": others}


def text_reading(study: Study) -> dict[str, Any]:
    """How raw text is read: parameters of the jobs that read shards."""
    return {"text_column": study.corpora.text_column, **first_documents(study)}


def text_parts(study: Study) -> dict[str, int]:
    """Documents that are held out and that are read: parameters of the jobs that train on text."""
    held_out = study.corpora.validation_documents
    return {"validation_documents": held_out, **first_documents(study)}


def first_documents(study: Study) -> dict[str, int]:
    """The number of documents of a language that are read, as `documents`; empty if all are.

    The miniature writes only documents that are read.
    """
    corpora = study.corpora
    if isinstance(corpora, MiniatureCorpora) or corpora.documents is None:
        return {}
    return {"documents": corpora.documents}


def shard_name(path: str) -> str:
    """A shard's file name without its suffixes: the name of its token stream."""
    name = Path(path).name
    for suffix in (*compression.ENDS, ".txt", ".jsonl", ".parquet"):
        name = name.removesuffix(suffix)
    return name


def shards(study: Study, language: str, budget: str = "full") -> list[str]:
    """Paths of the raw shards of one language that a budget reads, in its order of reading."""
    return _shards(study, language, budget_tokens(budget))


def held_out_shards(study: Study, language: str) -> list[str]:
    """Paths of the first raw shards of a language, which contain its held-out documents."""
    return _shards(study, language, 0)


def _shards(study: Study, language: str, wanted: int | None) -> list[str]:
    """The first raw shards that contain the held-out documents and `wanted` tokens after them.

    If only the first documents are read, the first shards that contain these, whatever is wanted.
    """
    corpora = study.corpora
    if documents := first_documents(study).get("documents"):
        wanted = documents * TOKENS_OF_A_DOCUMENT
    if isinstance(corpora, HubCorpora):
        return _hub_shards(study, corpora, language, wanted)
    if isinstance(corpora, FilesCorpora):
        paths = corpus_files(corpora, language)
    else:
        folder = f"{study.results_dir}/{layout.SYNTHETIC_CORPUS.format(language=language)}"
        count = corpora.shards
        paths = [f"{folder}/train-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    return paths if wanted is None else paths[: _enough(study, paths, wanted)]


def _enough(study: Study, paths: Sequence[str], wanted: int) -> int:
    """A number of shards that surely contain a budget and the held-out text before it.

    The tokens of a shard are only known after tokenisation, so this assumes few tokens per byte:
    too many shards cost time, with too few the run would fail.
    """
    if isinstance(study.corpora, MiniatureCorpora):
        # each document is generated with at least `words` words, and a word has at least one token
        words = 10 if study.corpora.restated else 30
        tokens = [study.corpora.documents // study.corpora.shards * words] * len(paths)
        wanted += study.corpora.validation_documents * words
    else:
        tokens = [Path(path).stat().st_size // _bytes_of_a_token(path) for path in paths]
        wanted += study.corpora.validation_documents * TOKENS_OF_A_DOCUMENT
    return next((n for n in range(1, len(paths)) if sum(tokens[:n]) >= wanted), len(paths))


def _bytes_of_a_token(path: str) -> int:
    """More bytes than a token of any multilingual tokenizer has on average."""
    return 16 if path.endswith((".txt", ".jsonl")) else 8  # compressed


TOKENS_OF_A_DOCUMENT = 4000
"""More than held-out documents have on average; the first articles of Wikipedia are long."""


FISHER_CHUNKS = 1024
"""The most chunks of held-out text that the Fisher information of an adapter is estimated on."""


def _hub_shards(study: Study, corpora: HubCorpora, language: str, wanted: int | None) -> list[str]:
    files = hub.shard_files(corpora.path, corpora.config.replace("{language}", language))
    if corpora.documents is not None:
        files = files[:1]
    elif wanted is not None and corpora.shard_tokens is not None:
        # the budget comes after the held-out documents
        tokens = wanted + corpora.validation_documents * TOKENS_OF_A_DOCUMENT
        files = files[: math.ceil(tokens / corpora.shard_tokens)]
    return [hub_file(study, "datasets", corpora.path, corpora.revision, file) for file in files]


def hub_file(study: Study, kind: hub.Kind, repository: str, revision: str, file: str) -> str:
    """The local path of a file of the hub, below the commit that the lock has for its revision."""
    return hub.local_file(kind, repository, locked(study, kind, repository, revision), file)


def locked(study: Study, kind: hub.Kind, repository: str, revision: str) -> str:
    """The commit that the lock has for a revision, or else the revision."""
    return study.revisions.get(hub.lock_key(kind, repository, revision), revision)


def model_file(study: Study, name: str, file: str) -> str | None:
    """One file of a base model that is not trained here; None if it is trained here."""
    model = study.models[name]
    if isinstance(model, HubModel):
        return hub_file(study, "models", model.path, model.revision, file)
    return f"{model.path}/{file}" if isinstance(model, FilesModel) else None


def given_file(study: Study, name: str, file: str) -> str | None:
    """One file of a base model that is not trained here, or else of its `start`.

    The tokenizer of `start` is that of the model. None for a model without `start`.
    """
    model = study.models[name]
    if not isinstance(model, ContinuedModel):
        return model_file(study, name, file)
    return _at(study, model.start, file)


def given_folder(study: Study, name: str) -> Path | None:
    """The folder of :func:`given_file`."""
    file = given_file(study, name, "config.json")
    return Path(file).parent if file else None


def pretraining(study: Study, name: str) -> dict[str, Any]:
    """Parameters of a pretraining job: its model's block; a `start` on the hub by its commit."""
    model = study.models[name]
    spec = model.model_dump(exclude={"adapters", "task_adapters"})
    if isinstance(model, ContinuedModel) and (on_hub := hub_adapter(model.start)):
        spec["start"] = {
            "repository": on_hub[0],
            "revision": locked(study, "models", *on_hub),
        }
    return spec


def _at(study: Study, place: str, file: str) -> str:
    """One file of a folder, or of `repository@revision` on the hub."""
    on_hub = hub_adapter(place)
    return hub_file(study, "models", *on_hub, file) if on_hub else f"{place}/{file}"


def layer_count(study: Study, name: str) -> int | None:
    """The number of layers of a base model; None if it has no readable config.json yet."""
    model = study.models[name]
    if isinstance(model, PretrainModel):
        return model.layers
    path = Path(str(given_file(study, name, "config.json")))
    try:
        return int(json.loads(path.read_bytes())["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # another check reports what is wrong with the file


def sequence_lengths(study: Study) -> dict[str, int]:
    """Subwords of the longest sequences, by the keys that set them."""
    return {
        "training.language_adapter.chunk_length": study.training.language_adapter.chunk_length,
        **{f"tasks.{name}.max_length": task.max_length for name, task in study.tasks.items()},
    }


def model_lengths(study: Study, name: str) -> dict[str, int]:
    """The sequence lengths of one base model, with those of its own pretraining."""
    model, lengths = study.models[name], sequence_lengths(study)
    if model.source != "pretrain":
        return lengths
    return {f"models.{name}.training.chunk_length": model.training.chunk_length, **lengths}


def trains_language_adapters(study: Study, name: str) -> bool:
    """Whether a base model needs its masked-LM head: not if all its adapters are ready-made."""
    return any(study.budgets.values()) or not set(study.languages) <= set(
        study.models[name].adapters
    )


def is_ready_operand(study: Study, model: str, operand: Operand) -> bool:
    """Whether an operand is a ready-made adapter; a token budget always needs a trained one."""
    return operand.budget == "full" and operand.language in study.models[model].adapters


def ready_adapter(study: Study, model: str, operand: Operand, file: str) -> str | None:
    """One file of the ready-made adapter that an operand names; None if one is trained."""
    if not is_ready_operand(study, model, operand):
        return None
    return _at(study, study.models[model].adapters[operand.language], file)


def ready_task_adapter(study: Study, model: str, task: str, file: str) -> str | None:
    """One file of a ready-made task adapter, for all seeds; None if it is trained."""
    place = study.models[model].task_adapters.get(task)
    return None if place is None else _at(study, place, file)


def is_ready(study: Study, run: layout.Run) -> bool:
    """Whether an adapter is ready-made, so that it needs no training."""
    if run.kind == "task":
        return run.name in study.models[run.model].task_adapters
    return is_ready_operand(study, run.model, Operand.parse(run.name))


def hub_branches(study: Study) -> dict[str, tuple[hub.Kind, str, str]]:
    """Repositories of the hub that a study names by a branch or tag, by the key of the lock."""
    references: list[tuple[hub.Kind, str, str]] = []
    for model in study.models.values():
        if isinstance(model, HubModel):
            references.append(("models", model.path, model.revision))
        starts = [model.start] if isinstance(model, ContinuedModel) else []
        for place in [*starts, *model.adapters.values(), *model.task_adapters.values()]:
            if on_hub := hub_adapter(place):
                references.append(("models", *on_hub))
    if isinstance(study.corpora, HubCorpora):
        references.append(("datasets", study.corpora.path, study.corpora.revision))
    for task in study.tasks.values():
        if isinstance(task, HubTask):
            references += [("datasets", *place) for place in _hub_places(task)]
    return {hub.lock_key(*place): place for place in references if not hub.is_commit(place[2])}


def _hub_places(task: HubTask) -> Iterator[tuple[str, str]]:
    everywhere: list[HubTask | HubPlaces] = [task, *task.languages.values()]
    for places in everywhere:
        if places.repository and places.revision:
            yield places.repository, places.revision
        for file in (places.train, places.validation, places.test, places.path):
            if isinstance(file, HubFile):
                yield file.repository, file.revision


def task_file(study: Study, name: str, language: str, split: str) -> str:
    """The file with one split of one language of a task."""
    task = study.tasks[name]
    if isinstance(task, MiniatureTask):
        suffix = tasks.get(task_type(study, name)).suffix
        folder = layout.SYNTHETIC_TASK.format(task=name, language=language)
        return f"{study.results_dir}/{folder}/{split}.{suffix}"
    own = task.languages.get(language)
    if own is not None:
        task = task.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
    file: str | HubFile | None
    if split == "train":
        file = task.train
    elif task.path and not _own_development_file(study, task, language, split):
        file = task.path
    else:
        file = task.validation if split == "validation" else task.test
    if isinstance(task, FilesTask):
        return _filled(str(file), language, split)
    if not isinstance(file, HubFile):
        file = HubFile(repository=task.repository, revision=task.revision, file=str(file))
    return hub_file(
        study, "datasets", file.repository, file.revision, _filled(file.file, language, split)
    )


def _filled(path: str, language: str, split: str) -> str:
    return path.replace("{language}", language).replace("{split}", split)


def task_cut(study: Study, name: str, language: str, split: str) -> str | None:
    """How the split's file is cut; None if the whole file is the split."""
    task = study.tasks[name]
    if split == "train" or _own_development_file(study, task, language, split):
        return None
    return task.cut


def _own_development_file(study: Study, task: TaskSpec, language: str, split: str) -> bool:
    has_file = getattr(task, "validation", None) is not None
    return has_file and split == "validation" and language == study.task_language


def needed_splits(study: Study, language: str) -> tuple[str, ...]:
    """The splits of a task that a study reads in a language: `train` only in the task language."""
    return ("train", *SPLITS) if language == study.task_language else SPLITS


def task_languages(study: Study, name: str) -> list[str]:
    """The languages whose data a task has: the task language and the targets."""
    return list(dict.fromkeys([study.task_language, *study.tasks[name].targets]))


def task_reading(study: Study, name: str, language: str) -> dict[str, Any]:
    """How a task's files of one language are read: parameters of the jobs that read them."""
    spec = study.tasks[name]
    return {
        "type": task_type(study, name),
        "max_length": spec.max_length,
        "stride": spec.stride,
        "labels": list(spec.labels),
        "cuts": {s: task_cut(study, name, language, s) for s in needed_splits(study, language)},
        **_fewer_examples(study, name, language),
        **_layout(study.tasks[name], language),
        # left out if it is the default, so that jobs keep their parameters
        **spec.model_dump(include={"max_answer_length"}),
    }


def _layout(task: TaskSpec, language: str) -> dict[str, Any]:
    """Differences of files from the usual layout, as `columns`, `tags` and `language`."""
    differences: dict[str, Any] = {"columns": task.columns} if task.columns else {}
    if task.tags != "iob2":
        differences["tags"] = task.tags
    if LANGUAGES in task.columns:
        differences["language"] = language
    return differences


def _fewer_examples(study: Study, name: str, language: str) -> dict[str, Any]:
    """The number of examples that are read of each limited split, as `examples`."""
    task = study.tasks[name]
    if isinstance(task, MiniatureTask):
        return {}  # it writes only examples that are read
    needed = needed_splits(study, language)
    counts = {split: count for split, count in task.examples.items() if split in needed}
    return {"examples": counts} if counts else {}


def task_type(study: Study, name: str) -> str:
    """The task's `type` (a module of `langarith.tasks`), or else its name."""
    return study.tasks[name].type or name


def task_training(study: Study, name: str) -> TaskRecipe:
    """The task's own recipe, or the study's for all tasks."""
    return study.tasks[name].training or study.training.task_adapter
