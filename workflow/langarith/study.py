"""The grid: reads and validates a study, enumerates its cells and the experiments as views on them.

Pure Python that imports in milliseconds, because the Snakefile reads it at every start. A study is
one YAML file; `extends:` names another whose top-level keys it replaces whole, never key by key.
"""

from __future__ import annotations

import glob
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from langarith import hub
from langarith.errors import InputError, did_you_mean
from langarith.provenance import read_study

SPLITS = ("validation", "test")
_BUDGET = re.compile(r"^([1-9]\d*)([kMB]?)$")
_LANGUAGE = re.compile(r"^[A-Za-z-]+$")
_METHOD = re.compile(r"^(la|ties[1-9]\d?)$")
_HUB_ADAPTER = re.compile(r"^([\w.-]+/[\w.-]+)@(.+)$")
_UNIT = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}


# --- the file -----------------------------------------------------------------------------------


class Strict(BaseModel):
    """A block of the study that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            known = {f.alias or name for name, f in cls.model_fields.items()}
            unknown = [
                f"unknown key '{k}'{did_you_mean(k, known)}" for k in values if k not in known
            ]
            if unknown:
                raise ValueError("; ".join(unknown))
        return values


class Training(Strict):
    """How one kind of module is trained (paper section 4.1.2). Exactly one of `steps`, `epochs`."""

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(ge=1)
    accumulation: int = Field(1, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, ge=0)
    evaluate_every: int | None = Field(None, ge=1)
    chunk_length: int = Field(512, ge=8)
    mask_probability: float = Field(0.15, gt=0, lt=1)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    torch_compile: bool = False
    threads: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs'")
        return self


class AdapterShape(Strict):
    """A bottleneck adapter after the output block (Pfeiffer)."""

    reduction_factor: float = Field(16.0, gt=0)
    non_linearity: str = "gelu_new"


class LanguageAdapterShape(AdapterShape):
    """The same with a NICE invertible adapter at the embeddings (MAD-X); null leaves that out."""

    reduction_factor: float = Field(2.0, gt=0)
    invertible_reduction_factor: float | None = Field(2.0, gt=0)


class Adapters(Strict):
    """Shapes of both adapters and the fixed seed of the initialisation they all start from."""

    init_seed: int = 2147483647
    language: LanguageAdapterShape = LanguageAdapterShape()
    task: AdapterShape = AdapterShape()


def _owner_and_name(repository: str) -> str:
    if not hub.is_repository(repository):
        raise ValueError(f"'{repository}' is no repository on the hub; write owner/name")
    return repository


Repository = Annotated[str, AfterValidator(_owner_and_name)]


class _Model(Strict):
    """`adapters`: language adapters that are there already, by language, instead of trained ones.

    Each is a folder, or `repository@revision` on the hub.
    """

    adapters: dict[str, str] = Field(default_factory=dict)


class HubModel(_Model):
    """A base model on the Hugging Face hub, pinned to a revision."""

    source: Literal["hub"]
    path: Repository
    revision: str


class FilesModel(_Model):
    """A base model in a local folder: config.json, model.safetensors, tokenizer.json."""

    source: Literal["files"]
    path: str


class PretrainModel(_Model):
    """A small XLM-R-type encoder, tokenizer included, trained here on the listed languages."""

    source: Literal["pretrain"]
    languages: list[str] = Field(min_length=1)
    vocabulary: int = Field(16000, ge=200)
    hidden_size: int = Field(256, ge=8)
    layers: int = Field(4, ge=1)
    attention_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(1024, ge=8)
    max_length: int = Field(512, ge=16)
    dropout: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0)
    seed: int = 0
    training: Training = Training(
        steps=10_000, batch_size=64, learning_rate=1e-3, warmup_steps=500, chunk_length=128
    )


ModelSpec = Annotated[HubModel | FilesModel | PretrainModel, Field(discriminator="source")]


class _Corpora(Strict):
    validation_documents: int = Field(1000, ge=1)
    text_column: str = "text"


class HubCorpora(_Corpora):
    """Parquet shards of a dataset on the hub, pinned to a revision; {language} in `config`.

    With `shard_tokens`, the least number of tokens that any shard holds, a token budget asks only
    for the first shards that it needs.
    """

    source: Literal["hub"]
    path: Repository
    config: str
    revision: str
    shard_tokens: int | None = Field(None, ge=1)


class FilesCorpora(_Corpora):
    """Files of raw text: a path with {language}, or a list of them; `*` matches several shards."""

    source: Literal["files"]
    path: str | list[str]


class MiniatureCorpora(_Corpora):
    """Raw text told by the miniature world, written as parquet shards."""

    source: Literal["miniature"]
    documents: int = Field(ge=10)
    shards: int = Field(1, ge=1)


CorporaSpec = Annotated[HubCorpora | FilesCorpora | MiniatureCorpora, Field(discriminator="source")]


class _Task(Strict):
    type: str | None = None
    targets: list[str] = Field(min_length=1)
    max_length: int = Field(128, ge=16)
    stride: int = Field(128, ge=1)
    cut: Literal["half", "articles"] | None = None
    training: Training | None = None


class FilesPlaces(Strict):
    """Where a task's files of one language lie, instead of where the task says."""

    train: str | None = None
    validation: str | None = None
    test: str | None = None
    path: str | None = None


class FilesTask(_Task):
    """Task data in files. Paths may hold {language} and {split}.

    Either `validation` and `test`, or one `path` that `cut` divides into both; then `validation`,
    if given, is the task language's development file alone (for the choice of the checkpoint).
    """

    source: Literal["files"]
    train: str
    validation: str | None = None
    test: str | None = None
    path: str | None = None
    languages: dict[str, FilesPlaces] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _all_splits(self) -> FilesTask:
        _one_way(self)
        return self


class HubFile(Strict):
    """One file of a repository that is not the task's own."""

    repository: Repository
    revision: str
    file: str


class HubPlaces(Strict):
    """The same for files on the hub; another repository comes with its own revision."""

    repository: Repository | None = None
    revision: str | None = None
    train: str | HubFile | None = None
    validation: str | HubFile | None = None
    test: str | HubFile | None = None
    path: str | HubFile | None = None

    @model_validator(mode="after")
    def _together(self) -> HubPlaces:
        if (self.repository is None) != (self.revision is None):
            raise ValueError("give 'repository' and 'revision' together")
        return self


class HubTask(_Task):
    """Task data on the hub, pinned: files of `repository`, or each of a repository of its own.

    Files are given as in :class:`FilesTask`.
    """

    source: Literal["hub"]
    repository: Repository
    revision: str
    train: str | HubFile
    validation: str | HubFile | None = None
    test: str | HubFile | None = None
    path: str | HubFile | None = None
    languages: dict[str, HubPlaces] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _all_splits(self) -> HubTask:
        _one_way(self)
        return self


def _one_way(task: FilesTask | HubTask) -> None:
    if task.path and (task.test or not task.cut):
        raise ValueError("with 'path' give 'cut: half' or 'cut: articles' and no 'test'")
    if not task.path and not (task.validation and task.test):
        raise ValueError("give 'validation' and 'test', or one 'path' with 'cut'")
    if task.cut and not task.path:
        raise ValueError("'cut' divides one 'path'; name it, or remove 'cut'")
    for language, places in task.languages.items():
        for key in places.model_fields_set - {"repository", "revision"}:
            if getattr(task, key) is None:
                raise ValueError(
                    f"languages.{language} names '{key}', which the task does not; the languages "
                    "of a task differ in where their files lie, not in which there are"
                )


class MiniatureTask(_Task):
    """Task data told by the miniature world; `examples` gives the number per split.

    `difficulty` holds the knobs of :func:`langarith.miniature.write_task`.
    """

    source: Literal["miniature"]
    difficulty: dict[str, float] = Field(default_factory=dict)
    examples: dict[Literal["train", "validation", "test"], int]

    @field_validator("examples")
    @classmethod
    def _all_splits(cls, value: dict[str, int]) -> dict[str, int]:
        missing = {"train", *SPLITS} - set(value)
        if missing:
            raise ValueError(f"no number for {', '.join(sorted(missing))}; give all three splits")
        return value

    @field_validator("examples", "difficulty", mode="after")
    @classmethod
    def _one_order(cls, value: dict[str, Any]) -> dict[str, Any]:
        # Snakemake compares parameters as text: the order of keys in a file must not matter
        return dict(sorted(value.items()))


TaskSpec = Annotated[HubTask | FilesTask | MiniatureTask, Field(discriminator="source")]


class Lambdas(Strict):
    """An evenly spaced lambda grid: both ends are in it."""

    start: float = 0.0
    stop: float = 1.0
    step: float = Field(gt=0)

    def values(self) -> tuple[float, ...]:
        count = round((self.stop - self.start) / self.step)
        return tuple(round(self.start + i * self.step, 2) for i in range(count + 1))

    @model_validator(mode="after")
    def _divides(self) -> Lambdas:
        if self.stop < self.start:
            raise ValueError(f"stop {self.stop} lies below start {self.start}; swap them")
        parts = (self.stop - self.start) / self.step
        if not math.isclose(parts, round(parts), abs_tol=1e-6):
            raise ValueError(
                f"step {self.step} does not divide the range {self.start} to {self.stop}; "
                "take one that does, for example 0.05 or 0.1"
            )
        if any(abs(v * 100 - round(v * 100)) > 1e-6 for v in (self.start, self.stop, self.step)):
            raise ValueError("lambdas are written with two decimals; round start, stop and step")
        return self


class Experiment(Strict):
    """Which part of the grid an experiment looks at; all models, tasks and targets if not said.

    `pool` is of `relatedness` alone: the languages that each target is paired with. `languages`
    and `layers` are of the experiments on language vectors, `similarity` and `sparsity`.
    """

    models: list[str] | None = Field(None, min_length=1)
    tasks: list[str] | None = Field(None, min_length=1)
    targets: list[str] | None = Field(None, min_length=1)
    pool: list[str] | None = Field(None, min_length=2)
    languages: list[str] | None = Field(None, min_length=1)
    layers: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)


class Evaluation(Strict):
    """How merges are evaluated: tokens in one length-bucketed batch, CPU threads of a job."""

    tokens_per_batch: int = Field(8192, ge=64)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    threads: int = Field(1, ge=1)


class TrainingPlan(Strict):
    """Recipes of both kinds of adapters, the paper's by default; a task may name its own."""

    language_adapter: Training = Training(
        steps=250_000, batch_size=16, accumulation=4, learning_rate=1e-4, evaluate_every=500
    )
    task_adapter: Training = Training(epochs=100, batch_size=16, learning_rate=1e-4)


class Study(Strict):
    """One study: everything that decides a number in its tables."""

    name: str
    note: str = ""
    results_dir: str = Field(min_length=1)
    checkpoint_dir: str | None = None
    languages: list[str] = Field(min_length=2)
    task_language: str
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    models: dict[str, ModelSpec] = Field(min_length=1)
    corpora: CorporaSpec
    tasks: dict[str, TaskSpec] = Field(min_length=1)
    related: dict[str, str] = Field(default_factory=dict)
    revisions: dict[str, str] = Field(default_factory=dict)
    budgets: dict[str, list[str]] = Field(default_factory=dict)
    lambdas: dict[str, Lambdas] = {"la": Lambdas(step=0.05)}
    adapters: Adapters = Adapters()
    training: TrainingPlan = TrainingPlan()
    evaluation: Evaluation = Evaluation()
    experiments: dict[str, Experiment] = Field(min_length=1)
    allow_missing: bool = False

    @field_validator("experiments", mode="before")
    @classmethod
    def _empty_means_all(cls, value: Any) -> Any:
        return {k: v or {} for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("budgets", mode="before")
    @classmethod
    def _written_budgets(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: [str(b) for b in v] if isinstance(v, list) else v for k, v in value.items()}


def _languages_are_words(data: Any, where: tuple[str, ...] = ()) -> Iterator[str]:
    """YAML 1.1 reads the code `no` as false: find such slips wherever languages are listed."""
    listed = {"languages", "targets"}
    if isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(key, bool):
                yield (
                    f"{'.'.join(where)}: the key {key!r} was read by YAML as a truth value; quote "
                    "the language code ('no' for Norwegian)"
                )
            yield from _languages_are_words(value, (*where, str(key)))
    elif isinstance(data, list) and where and where[-1] in listed:
        for item in data:
            if not isinstance(item, str):
                yield (
                    f"{'.'.join(where)}: {item!r} is not a language code (YAML reads no as false); "
                    "quote it ('no' for Norwegian)"
                )
    elif where and (where[-1] == "task_language" or "related" in where) and isinstance(data, bool):
        yield f"{'.'.join(where)}: {data!r} is not a language code; quote it ('no' for Norwegian)"


def read_yaml(path: Path, extended_by: Path | None = None) -> dict[str, Any]:
    """One YAML mapping, or an InputError that names the file."""
    if not path.is_file():
        where = f"'extends' in {extended_by}" if extended_by else "the path after --configfile"
        raise InputError(f"{path}: no such study file; check {where}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise InputError(
            f"{path}:{line} not valid YAML ({getattr(error, 'problem', error)}); correct it"
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: a study is a YAML mapping of keys; this file holds none")
    return data


def read_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The study file and those it extends, the file itself first."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    here: Path | None = path
    while here is not None:
        if here.resolve() in {p.resolve() for p, _ in chain}:
            raise InputError(f"{here}: 'extends' runs in a circle; remove one link")
        data = read_yaml(here, chain[-1][0] if chain else None)
        parent = data.pop("extends", None)
        chain.append((here, data))
        here = (here.parent / str(parent)) if parent else None
    return chain


def _sentence(file: Path, error: Mapping[str, Any]) -> str:
    tags = {"hub", "files", "pretrain", "miniature"}
    loc = [str(part) for part in error["loc"]]
    # pydantic puts the union's tag before the key: models.tiny.pretrain.vocabulary
    place = {"models": 2, "tasks": 2, "corpora": 1}.get(loc[0] if loc else "")
    if place is not None and len(loc) > place and loc[place] in tags:
        del loc[place]
    message = str(error["msg"]).removeprefix("Value error, ")
    value = error.get("input")
    if error["type"] == "missing":
        return f"{file}: {'.'.join(loc)} is missing; add it"
    if error["type"] == "union_tag_invalid":
        expected = error["ctx"]["expected_tags"]
        return f"{file}: {'.'.join(loc)}.source is {error['ctx']['tag']!r}; use one of {expected}"
    if error["type"] == "union_tag_not_found":
        return (
            f"{file}: {'.'.join(loc)}.source is missing; add it (hub, files, pretrain, miniature)"
        )
    shown = (
        "" if isinstance(value, dict | list) or error["type"] == "value_error" else f" {value!r}"
    )
    key = ".".join(loc) + ": " if loc else ""
    return f"{file}: {key}{message}{' (found' + shown + ')' if shown else ''}"


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read, extend and validate a study.

    Args:
        path: the YAML file.
        overrides: top-level keys given on the command line (`--config allow_missing=true`).

    Raises:
        InputError: one line for each thing that is wrong.
    """
    path = Path(path)
    chain = read_chain(path)
    data: dict[str, Any] = {}
    for _, part in reversed(chain):
        data |= part
    data = {"name": path.stem} | data | dict(overrides or {})
    problems = [f"{path}: {problem}" for problem in _languages_are_words(data)]
    if problems:
        raise InputError("\n".join(problems))
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        raise InputError("\n".join(_sentence(path, e) for e in error.errors())) from error
    study = study.model_copy(update=_with_locks(study, [p for p, _ in chain]))
    problems = [f"{path}: {problem}" for problem in _problems(study)]
    if problems:
        raise InputError("\n".join(problems))
    return study


def lock_file(study_file: Path) -> Path:
    """Where the accepted choice of related languages of a study lies: beside it."""
    return study_file.with_name(f"{study_file.stem}.related.yaml")


def revisions_file(study_file: Path) -> Path:
    """Where the commits lie to which a study's branches on the hub were resolved: beside it."""
    return study_file.with_name(f"{study_file.stem}.revisions.yaml")


def _locked(files: Iterable[Path], lock: Callable[[Path], Path]) -> dict[str, str]:
    """One kind of lock file of a study and those it extends, the nearest first."""
    found: dict[str, str] = {}
    for file in reversed(list(files)):
        if lock(file).is_file():
            found |= {str(k): str(v) for k, v in read_yaml(lock(file)).items()}
    return found


def _with_locks(study: Study, files: Sequence[Path]) -> dict[str, dict[str, str]]:
    known = set(study.languages)
    related = _locked(files, lock_file).items()
    branches = hub_branches(study)
    revisions = _locked(files, revisions_file).items()
    return {
        "related": {t: r for t, r in related if t in known and r in known} | study.related,
        "revisions": {key: r for key, r in revisions if key in branches} | study.revisions,
    }


def _problems(study: Study) -> Iterator[str]:  # noqa: PLR0912, PLR0915  one check after the other
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
        if not _LANGUAGE.match(language):
            yield f"languages: '{language}' is no language code; use letters and hyphens (zh-Hant)"
    for method in study.lambdas:
        if not _METHOD.match(method):
            yield f"lambdas: unknown method '{method}'; use la, or ties and a percentage (ties20)"
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
        if kind not in {"ner", "nli", "qa"}:
            yield (
                f"tasks.{name}.type: unknown task type '{kind}'"
                f"{did_you_mean(kind, ['ner', 'nli', 'qa'])}"
            )
        if task.cut and kind != "qa":
            yield f"tasks.{name}.cut: only qa divides one file; remove 'cut'"
        for language in getattr(task, "languages", {}):
            if language not in {study.task_language, *task.targets}:
                yield (
                    f"tasks.{name}.languages: '{language}' is neither the task language nor among "
                    "the targets; add it to the targets or remove it here"
                )
    for language, budgets in study.budgets.items():
        for budget in budgets:
            if budget != "full" and not _BUDGET.match(budget):
                yield (
                    f"budgets.{language}: '{budget}' is not a token budget; write 10k, 1M, 1B or "
                    "full"
                )
    if "la" not in study.lambdas:
        yield "lambdas.la is missing; add it, for example {start: 0, stop: 1, step: 0.05}"
    elif (study.lambdas["la"].start, study.lambdas["la"].stop) != (0.0, 1.0):
        yield "lambdas.la: language arithmetic runs from 0 to 1; set start: 0 and stop: 1"
    elif 0.5 not in study.lambdas["la"].values():
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
        if named and "targets" in view.keys and not list(_places(study, name)):
            yield f"experiments.{name}: no cell is left; name targets that its tasks have"
        elif name == "low_resource" and not set(study.budgets) & {
            place[2] for place in _places(study, name)
        }:
            yield (
                "experiments.low_resource: none of its targets has budgets; add one, for example "
                "budgets: {sw: [10k, 100k, full]}"
            )
        elif name == "ties" and not ties_methods(study):
            yield (
                "experiments.ties: no method in 'lambdas'; add one, for example "
                "lambdas: {ties20: {start: 0.8, stop: 1.8, step: 0.1}}"
            )
        elif name == "relatedness" and not experiment.pool:
            yield "experiments.relatedness.pool is missing; list the languages to pair targets with"
    yield from _hub_problems(study)
    yield from _adapter_problems(study)
    yield from _without_initialisation(study)
    yield from _missing_files(study)


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
            if _HUB_ADAPTER.match(place):
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
            if cell.method != "la"
            for operand in (cell.left, cell.right)
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


def corpus_files(corpora: FilesCorpora, language: str) -> list[str]:
    """The raw files of one language, in their order."""
    paths = [corpora.path] if isinstance(corpora.path, str) else corpora.path
    found: list[str] = []
    for path in paths:
        found += sorted(glob.glob(path.replace("{language}", glob.escape(language))))
    return found


def shard_name(path: str) -> str:
    """A shard's file name without its suffixes: what its token stream is called."""
    name = Path(path).name
    for suffix in (".gz", ".txt", ".jsonl", ".parquet"):
        name = name.removesuffix(suffix)
    return name


def shards(study: Study, language: str, budget: str = "full") -> list[str]:
    """Paths of the raw shards of one language that a budget reads, in its order of reading."""
    corpora, wanted = study.corpora, tokens(budget)
    if isinstance(corpora, HubCorpora):
        return _hub_shards(study, corpora, language, wanted)
    if isinstance(corpora, FilesCorpora):
        found = corpus_files(corpora, language)
    else:
        folder, count = f"{study.results_dir}/miniature/raw/{language}", corpora.shards
        found = [f"{folder}/train-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    return found if wanted is None else found[: _enough(study, found, wanted)]


def _enough(study: Study, found: Sequence[str], wanted: int) -> int:
    """How many shards surely hold a budget and the held-out text before it.

    What a shard holds is known only once it is tokenised, so this counts on few tokens to a byte:
    too many shards cost time, too few would cost the run.
    """
    if isinstance(study.corpora, MiniatureCorpora):
        # told with at least 30 words a document, and a word has at least one token
        rooms = [study.corpora.documents // study.corpora.shards * 30] * len(found)
        wanted += study.corpora.validation_documents * 30
    else:
        rooms = [Path(path).stat().st_size // _bytes_of_a_token(path) for path in found]
        wanted += study.corpora.validation_documents * TOKENS_OF_A_DOCUMENT
    return next((n for n in range(1, len(found)) if sum(rooms[:n]) >= wanted), len(found))


def _bytes_of_a_token(path: str) -> int:
    """More bytes than any tokenizer of many languages puts into a token on average."""
    return 16 if path.endswith((".txt", ".jsonl")) else 8  # compressed


TOKENS_OF_A_DOCUMENT = 4000
"""More than held-out documents have on average; the first articles of Wikipedia are long."""


def _hub_shards(study: Study, corpora: HubCorpora, language: str, wanted: int | None) -> list[str]:
    files = hub.shard_files(corpora.path, corpora.config.replace("{language}", language))
    if wanted is not None and corpora.shard_tokens is not None:
        # one more than the budget fills, for the documents held out before it
        files = files[: 1 + wanted // corpora.shard_tokens]
    return [hub_file(study, "datasets", corpora.path, corpora.revision, file) for file in files]


def hub_file(study: Study, kind: hub.Kind, repository: str, revision: str, file: str) -> str:
    """Where a file of the hub lies here: under the commit that the lock has for its revision."""
    locked = study.revisions.get(hub.lock_key(kind, repository, revision), revision)
    return hub.local_file(kind, repository, locked, file)


def model_file(study: Study, name: str, file: str) -> str | None:
    """One file of a base model that is not trained here; None for one that is."""
    model = study.models[name]
    if isinstance(model, HubModel):
        return hub_file(study, "models", model.path, model.revision, file)
    return f"{model.path}/{file}" if isinstance(model, FilesModel) else None


def ready_adapter(study: Study, model: str, operand: Operand, file: str) -> str | None:
    """One file of the ready-made adapter that an operand stands for; None where one is trained.

    A token budget always asks for a trained one.
    """
    place = study.models[model].adapters.get(operand.language)
    if place is None or operand.budget != "full":
        return None
    on_hub = _HUB_ADAPTER.match(place)
    return hub_file(study, "models", on_hub[1], on_hub[2], file) if on_hub else f"{place}/{file}"


def hub_branches(study: Study) -> dict[str, tuple[hub.Kind, str, str]]:
    """Repositories of the hub that a study names by a branch or tag, by the key of the lock."""
    named: list[tuple[hub.Kind, str, str]] = []
    for model in study.models.values():
        if isinstance(model, HubModel):
            named.append(("models", model.path, model.revision))
        for place in model.adapters.values():
            if on_hub := _HUB_ADAPTER.match(place):
                named.append(("models", on_hub[1], on_hub[2]))
    if isinstance(study.corpora, HubCorpora):
        named.append(("datasets", study.corpora.path, study.corpora.revision))
    for task in study.tasks.values():
        if isinstance(task, HubTask):
            named += [("datasets", *place) for place in _hub_places(task)]
    return {hub.lock_key(*place): place for place in named if not hub.is_commit(place[2])}


def _hub_places(task: HubTask) -> Iterator[tuple[str, str]]:
    everywhere: list[HubTask | HubPlaces] = [task, *task.languages.values()]
    for places in everywhere:
        if places.repository and places.revision:
            yield places.repository, places.revision
        for file in (places.train, places.validation, places.test, places.path):
            if isinstance(file, HubFile):
                yield file.repository, file.revision


def task_file(study: Study, name: str, language: str, split: str) -> str:
    """The file that holds one split of one language of a task."""
    task = study.tasks[name]
    if isinstance(task, MiniatureTask):
        suffix = {"ner": "conll", "nli": "tsv", "qa": "json"}[task_type(study, name)]
        return f"{study.results_dir}/miniature/{name}/{language}/{split}.{suffix}"
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
    """How the split's file is cut: None where the whole file is the split."""
    task = study.tasks[name]
    if split == "train" or _own_development_file(study, task, language, split):
        return None
    return task.cut


def _own_development_file(study: Study, task: _Task, language: str, split: str) -> bool:
    given = getattr(task, "validation", None) is not None
    return given and split == "validation" and language == study.task_language


def needed_splits(study: Study, language: str) -> tuple[str, ...]:
    """The splits that a study reads of a task in a language: only the task language trains."""
    return ("train", *SPLITS) if language == study.task_language else SPLITS


def task_reading(study: Study, name: str, language: str) -> dict[str, Any]:
    """How a task's files of one language are read: parameters of the jobs that do."""
    spec = study.tasks[name]
    return {
        "type": task_type(study, name),
        "max_length": spec.max_length,
        "stride": spec.stride,
        "cuts": {s: task_cut(study, name, language, s) for s in needed_splits(study, language)},
    }


def task_type(study: Study, name: str) -> str:
    """ner, nli or qa: the task's `type`, or its name."""
    return study.tasks[name].type or name


def task_training(study: Study, name: str) -> Training:
    """The task's own recipe, or the study's for all tasks."""
    return study.tasks[name].training or study.training.task_adapter


def tokens(budget: str) -> int | None:
    """A budget in tokens: `10k` is 10000; None for `full`."""
    if budget == "full":
        return None
    match = _BUDGET.match(budget)
    if not match:
        raise InputError(f"'{budget}' is not a token budget; write 10k, 1M, 1B or full")
    return int(match[1]) * _UNIT[match[2]]


# --- the grid -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operand:
    """A language adapter in a merge: its language and token budget. Written `fr` or `fr@10k`."""

    language: str
    budget: str = "full"

    def __str__(self) -> str:
        return self.language if self.budget == "full" else f"{self.language}@{self.budget}"

    @classmethod
    def parse(cls, text: str) -> Operand:
        language, _, budget = text.partition("@")
        return cls(language, budget or "full")


@dataclass(frozen=True)
class Cell:
    """One sweep of the grid: θ_pre + λ·τ_left + (1−λ)·τ_right for every λ of the method."""

    model: str
    task: str
    target: str
    method: str
    left: Operand
    right: Operand
    seed: int

    @property
    def wildcards(self) -> dict[str, str]:
        """The cell's place in the path patterns."""
        return {
            "model": self.model,
            "task": self.task,
            "target": self.target,
            "method": self.method,
            "left": str(self.left),
            "right": str(self.right),
            "seed": str(self.seed),
        }


Pair = tuple[str, Operand, Operand]
"""Method, left and right operand of a cell."""


def _places(study: Study, name: str) -> Iterator[tuple[str, str, str]]:
    """(model, task, target) of an experiment in the study's order, without the task language."""
    view = study.experiments[name]
    for model in view.models or study.models:
        for task in view.tasks or study.tasks:
            for target in study.tasks[task].targets:
                if target != study.task_language and target in (view.targets or study.languages):
                    yield model, task, target


def _related(study: Study, target: str) -> Operand:
    if target not in study.related:
        raise InputError(
            f"related.{target} is not set: name it in the study, or run `snakemake "
            "related_languages` and accept its proposal with `snakemake lock_related_languages`"
        )
    return Operand(study.related[target])


def _cells(study: Study, name: str, pairs: Callable[[str], Iterable[Pair]]) -> list[Cell]:
    """The cells of an experiment: its places times the pairs of each target times the seeds.

    A pair of an operand with itself is a single adapter, an end of another sweep, and no cell.
    """
    return [
        Cell(model, task, target, method, left, right, seed)
        for model, task, target in _places(study, name)
        for method, left, right in dict.fromkeys(pairs(target))
        if left != right
        for seed in study.seeds
    ]


def zero_shot(study: Study, name: str = "zero_shot") -> list[Cell]:
    """LA_t(en, rel) for every target (section 4.2): both proxies are the ends of the sweep.

    Raises:
        InputError: a target without a related language, here and wherever one is needed.
    """
    english = Operand(study.task_language)
    return _cells(study, name, lambda target: [("la", english, _related(study, target))])


def enhancement(study: Study, name: str) -> list[Cell]:
    """LA_t(en, t) and LA_t(rel, t) (section 4.3): MAD-X, the target alone, is one of their ends."""
    english = Operand(study.task_language)
    return _cells(
        study,
        name,
        lambda target: [
            ("la", other, Operand(target)) for other in (english, _related(study, target))
        ],
    )


def low_resource(study: Study, name: str) -> list[Cell]:
    """LA_t(t@budget, en) for every budget of a target (section 4.4), in canonical order."""
    english = Operand(study.task_language)
    return _cells(
        study,
        name,
        lambda target: [
            ("la", english, Operand(target, budget)) for budget in study.budgets.get(target, ())
        ],
    )


def relatedness(study: Study, name: str) -> list[Cell]:
    """LA_t(t, l2) for every language l2 of the pool (section 5.2, Table 1), in canonical order."""
    pool = study.experiments[name].pool or ()
    return _cells(
        study, name, lambda target: [("la", Operand(other), Operand(target)) for other in pool]
    )


def ties(study: Study, name: str) -> list[Cell]:
    """TIES of the zero-shot pairs beside their language arithmetic (appendix E, Table 3)."""
    english = Operand(study.task_language)
    return _cells(
        study,
        name,
        lambda target: [
            (method, english, _related(study, target)) for method in ("la", *ties_methods(study))
        ],
    )


def ties_methods(study: Study) -> list[str]:
    """The TIES methods that the study has a lambda grid for: `ties20` keeps the top 20 %."""
    return [method for method in study.lambdas if method.startswith("ties")]


@dataclass(frozen=True)
class View:
    """An experiment: what it shows, which cells of the grid it looks at, which keys it takes."""

    about: str
    """One or two sentences for the report."""
    cells: Callable[[Study, str], list[Cell]] | None = None
    """None for what is not made of cells: language vectors, languages, the paper's numbers."""
    keys: frozenset[str] = frozenset({"models", "tasks", "targets"})
    figure: bool = True


_VECTORS = frozenset({"models", "languages"})

EXPERIMENTS: dict[str, View] = {
    "zero_shot": View(
        "Test scores per target with the task language's adapter, the related language's adapter, "
        "and their language arithmetic with the lambda chosen on validation (section 4.2, Figures "
        "2 and 6). The number above a group is the gain over the better proxy.",
        zero_shot,
    ),
    "enhancement": View(
        "The target's own adapter (MAD-X) against its language arithmetic with the task language, "
        "with the related language, and with the better of both, chosen on validation (section "
        "4.3, Figures 3 and 7). The number above a group is the gain of the latter over MAD-X.",
        enhancement,
    ),
    "low_resource": View(
        "Adapters trained on token budgets of the target, used directly and in language "
        "arithmetic with the task language (section 4.4, Figure 4).",
        low_resource,
    ),
    "lambda_impact": View(
        "Validation score over lambda; dashed lines are the single adapters, the ends of the "
        "curve (section 5.1, Figures 5 and 8).",
        zero_shot,
    ),
    "relatedness": View(
        "Language arithmetic of the target's adapter with each language of a pool (section 5.2, "
        "Table 1).",
        relatedness,
        frozenset({"models", "tasks", "targets", "pool"}),
    ),
    "ties": View(
        "TIES merging of the zero-shot pairs against language arithmetic (appendix E, Table 3).",
        ties,
    ),
    "related_languages": View(
        "Languages that URIEL relates equally closely to each target, the proposal, the study's "
        "choice and the paper's (section 4.1.1, Table 2).",
        keys=frozenset(),
        figure=False,
    ),
    "similarity": View(
        "Cosine similarity of language vectors, the difference of an adapter and its "
        "initialisation, and for contrast of task vectors (appendix E, Figure 10).",
        keys=_VECTORS | {"tasks"},
    ),
    "sparsity": View(
        "Kernel density of the weights of language vectors (appendix E, Figure 9).",
        keys=_VECTORS | {"layers"},
    ),
    "reproduction": View(
        "Every number that the paper states beside this study's.", keys=frozenset(), figure=False
    ),
}
VECTOR_EXPERIMENTS = ("similarity", "sparsity")
"""Experiments that look at adapters and at no cells."""


def cells(study: Study, experiment: str) -> list[Cell]:
    """The cells that an experiment looks at; none where it looks at something else."""
    view = EXPERIMENTS[experiment]
    return view.cells(study, experiment) if view.cells else []


def all_cells(study: Study) -> list[Cell]:
    """Every cell that some experiment looks at, once."""
    return list(dict.fromkeys(c for name in study.experiments for c in cells(study, name)))


@dataclass(frozen=True)
class Run:
    """A trained adapter; `name` is a task, or a language adapter's operand (`fr`, `fr@10k`)."""

    model: str
    kind: Literal["language", "task"]
    name: str
    seed: int


def vectors(study: Study, experiment: str) -> list[Run]:
    """The adapters that `similarity` or `sparsity` looks at.

    Languages are those of the view, or all of the study; tasks, for `similarity` alone, likewise.
    """
    view = study.experiments[experiment]
    places = [(model, seed) for model in view.models or study.models for seed in study.seeds]
    languages = [
        Run(model, "language", language, seed)
        for model, seed in places
        for language in view.languages or study.languages
    ]
    tasks = [
        Run(model, "task", task, seed)
        for model, seed in places
        for task in view.tasks or study.tasks
        if experiment == "similarity"
    ]
    return languages + tasks


def runs(study: Study, experiment: str) -> list[Run]:
    """Every adapter below an experiment, once; a task adapter stands on its language's adapter."""
    if experiment in VECTOR_EXPERIMENTS:
        found = vectors(study, experiment)
        return list(dict.fromkeys([*_homes(study, found), *found]))
    return runs_of(study, cells(study, experiment))


def runs_of(study: Study, cells: Iterable[Cell]) -> list[Run]:
    """Every adapter below some cells, once, in the order in which they must be trained."""
    languages, tasks = [], []
    for cell in cells:
        for operand in (cell.left, cell.right):
            languages.append(Run(cell.model, "language", str(operand), cell.seed))
        tasks.append(Run(cell.model, "task", cell.task, cell.seed))
    return list(dict.fromkeys([*_homes(study, tasks), *languages, *tasks]))


def _homes(study: Study, found: Iterable[Run]) -> list[Run]:
    """The task language's adapters that task adapters are trained on."""
    home = study.task_language
    return [Run(r.model, "language", home, r.seed) for r in found if r.kind == "task"]


def languages_of(study: Study, experiment: str) -> list[str]:
    """The languages that an experiment shows, in the study's order."""
    if experiment in VECTOR_EXPERIMENTS:
        shown = {run.name for run in vectors(study, experiment)}
    elif EXPERIMENTS[experiment].cells:
        found = cells(study, experiment)
        operands = {o.language for cell in found for o in (cell.left, cell.right)}
        shown = operands | {cell.target for cell in found}
    else:
        shown = set(study.languages)
    return [language for language in study.languages if language in shown]


def identity(study: Study) -> str:
    """What `study.json` holds: the whole resolved study, with its name first."""
    return json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def refuse_foreign_results(study: Study) -> None:
    """Two studies never share a results folder: raise if `study.json` there has another name."""
    there = Path(study.results_dir) / "study.json"
    if there.is_file():
        name = read_study(there)["name"]
        if name != study.name:
            raise InputError(
                f"results_dir: {study.results_dir} belongs to the study '{name}', and this one is "
                f"'{study.name}'; give each study a results_dir of its own"
            )
