"""The schema of a study: the keys of its YAML file.

Pure Python that imports in milliseconds, because the Snakefile imports it at every start. A class
has a key only if the key has an effect: Snakemake repeats a job whose parameters have changed, so
a key without effect must never be a parameter.

    langarith schema > workflow/schemas/study.schema.json

writes the JSON schema with which editors complete and check studies.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from langarith.operands import has_two_decimals
from langarith.study.blocks import (
    Bool,
    Expanded,
    License,
    LimitSpec,
    LocalPath,
    OfLanguage,
    OfSplit,
    OwnFolder,
    Repository,
    Seed,
    Strict,
    adapter_place,
)
from langarith.study.recipes import Adapters, LanguageModelRecipe, TaskRecipe, TrainingPlan

SPLITS = ("validation", "test")


AdapterPlace = Annotated[str, AfterValidator(adapter_place)]


class _Model(Strict):
    """`adapters`: ready-made language adapters, by language, instead of trained ones.

    `task_adapters`: the same for task adapters with their heads, by task. Each is a folder, or
    `repository@revision` on the hub.
    """

    adapters: dict[str, AdapterPlace] = {}
    task_adapters: dict[str, AdapterPlace] = {}


class HubModel(_Model):
    """A base model on the Hugging Face hub, pinned to a revision."""

    what = "models with 'source: hub'"

    source: Literal["hub"]
    path: Repository
    revision: str


class FilesModel(_Model):
    """A base model in a local folder: config.json, model.safetensors, tokenizer.json."""

    what = "models with 'source: files'"

    source: Literal["files"]
    path: LocalPath


Alpha = Annotated[float, Field(gt=0, le=1, exclude_if=lambda value: value == 1)]
"""The share of a language in the batches is proportional to (its tokens) ** alpha."""


class PretrainModel(_Model):
    """A small XLM-R-type encoder, tokenizer included, trained here on the listed languages."""

    what = "models with 'source: pretrain'"

    source: Literal["pretrain"]
    languages: list[str] = Field(min_length=1)
    vocabulary: int = Field(16000, ge=200)
    hidden_size: int = Field(256, ge=8)
    layers: int = Field(4, ge=1)
    attention_heads: int = Field(4, ge=1)
    intermediate_size: int = Field(1024, ge=8)
    max_length: int = Field(512, ge=16)
    dropout: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0, le=1)
    seed: Seed = 0
    training: LanguageModelRecipe = LanguageModelRecipe(
        steps=10_000, batch_size=64, learning_rate=1e-3, warmup_steps=500, chunk_length=128
    )
    alpha: Alpha = 1.0


class ContinuedModel(_Model):
    """Another encoder, with continued masked language modelling on the listed languages.

    `start` is a folder, or `repository@revision` on the hub. Tokenizer, size and weights are those
    of `start`; a masked-LM head is added if it has none.
    """

    what = "models with 'source: pretrain' and 'start'"

    source: Literal["pretrain"]
    start: Annotated[str, AfterValidator(adapter_place)]
    languages: list[str] = Field(min_length=1)
    freeze: list[Literal["embeddings"]] = []
    seed: Seed = 0
    training: LanguageModelRecipe = LanguageModelRecipe(
        steps=10_000, batch_size=64, learning_rate=1e-4, warmup_steps=500, chunk_length=128
    )
    alpha: Alpha = 1.0

    @classmethod
    def _refusal(cls, key: str, known: set[str]) -> str:
        if key in PretrainModel.model_fields:
            return f"'{key}' has no effect with 'start', whose value is kept; remove '{key}'"
        return super()._refusal(key, known)


def _from_a_start(spec: Any) -> str:
    """The kind of pretraining that a block describes: with `start`, or without."""
    has_start = "start" in spec if isinstance(spec, dict) else isinstance(spec, ContinuedModel)
    return "pretrain with start" if has_start else "pretrain"


PretrainSpec = Annotated[
    Annotated[PretrainModel, Tag("pretrain")]
    | Annotated[ContinuedModel, Tag("pretrain with start")],
    Discriminator(_from_a_start),
]
ModelSpec = Annotated[HubModel | FilesModel | PretrainSpec, Field(discriminator="source")]


class _Corpora(Strict):
    validation_documents: int = Field(1000, ge=1)


Documents = Annotated[int, Field(ge=2)]
"""The number of documents of a language that are read, the first ones: at least one to hold out
and one to train on."""


class HubCorpora(_Corpora):
    """Parquet shards of a dataset on the hub, pinned to a revision; {language} in `config`.

    With `shard_tokens`, the least number of tokens in any shard, a token budget needs only as many
    of the first shards as contain it and the held-out documents. With `documents` only the first
    shard is read.
    """

    what = "corpora with 'source: hub'"

    source: Literal["hub"]
    path: Repository
    config: Annotated[str, OfLanguage]
    revision: str
    text_column: str = "text"
    documents: Documents | None = None
    shard_tokens: int | None = Field(None, ge=1)


class FilesCorpora(_Corpora):
    """Files of raw text: a path with {language}, or a list of them; `*` matches several shards."""

    what = "corpora with 'source: files'"

    source: Literal["files"]
    path: Annotated[str | list[str], Expanded, OfLanguage]
    text_column: str = "text"
    documents: Documents | None = None


class MiniatureCorpora(_Corpora):
    """Raw text of the miniature world, written as parquet shards."""

    what = "corpora with 'source: miniature'"
    text_column: ClassVar[str] = "text"

    source: Literal["miniature"]
    documents: int = Field(ge=10)
    shards: int = Field(1, ge=1)
    seed: int = Field(0, ge=0)
    restated: float = Field(0.0, ge=0, le=1)
    translations: list[str] = []
    mixed: float = Field(0.0, ge=0, le=1)


CorporaSpec = Annotated[HubCorpora | FilesCorpora | MiniatureCorpora, Field(discriminator="source")]


def _integer_as_text(label: Any) -> Any:
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else label


Label = Annotated[str, BeforeValidator(_integer_as_text)]


class _Task(Strict):
    type: str | None = None
    targets: list[str] = Field(min_length=1)
    max_length: int = Field(128, ge=16)
    stride: int = Field(32, ge=1)  # an answer of more may be cut in every window
    # left out if it is the default, so that `study.json` does not change
    max_answer_length: int = Field(30, ge=1, exclude_if=lambda value: value == 30)
    parallel: Bool = Field(False, exclude_if=lambda value: not value)
    labels: tuple[Label, ...] = ()
    training: TaskRecipe | None = None

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value) or len(value) == 1:
            raise ValueError("give at least two labels, each once")
        return value


Cut = Literal["half", "articles"]

Split = Literal["train", "validation", "test"]

Examples = Annotated[
    dict[Split, Annotated[int, Field(ge=1)]],
    # Snakemake compares parameters as text: the order of keys in a file must not matter
    AfterValidator(lambda value: dict(sorted(value.items()))),
]
"""The number of examples of each split that are read; without a number all are read."""


def _column(value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if number or (isinstance(value, str) and value):
        return value
    raise ValueError(f"{value!r} is no column; write its name, or its number from 1")


Column = Annotated[
    Any,
    BeforeValidator(_column),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}),
]

Columns = Annotated[
    dict[str, Column],
    # Snakemake compares parameters as text: the order of keys in a file must not matter
    AfterValidator(lambda value: dict(sorted(value.items()))),
    # left out if there are none, so that `study.json` does not change
    Field(exclude_if=lambda value: not value),
]
"""The columns of a task's files, by their content."""

LANGUAGES = "language"
"""The key of `columns` for the column of languages, in files of several languages."""

Scheme = Annotated[
    Literal["iob2", "iob1", "bioes", "bilou"], Field(exclude_if=lambda value: value == "iob2")
]
"""How tags mark spans (:mod:`langarith.tasks.shared.spans`)."""


LocalPattern = Annotated[LocalPath, OfSplit]


class FilesPlaces(Strict):
    """The paths of a task's files of one language, which replace the task's own."""

    train: LocalPattern | None = None
    validation: LocalPattern | None = None
    test: LocalPattern | None = None
    path: LocalPattern | None = None


class FilesTask(_Task):
    """Task data in files. Paths may contain {language} and {split}.

    Either `validation` and `test`, or one `path` that `cut` divides into both; then `validation`,
    if given, is only the task language's development file (for the choice of the checkpoint).
    """

    what = "tasks with 'source: files'"

    source: Literal["files"]
    train: LocalPattern
    validation: LocalPattern | None = None
    test: LocalPattern | None = None
    path: LocalPattern | None = None
    cut: Cut | None = None
    columns: Columns = {}
    tags: Scheme = "iob2"
    examples: Examples = {}
    languages: dict[str, FilesPlaces] = {}

    @model_validator(mode="after")
    def _path_or_splits(self) -> FilesTask:
        _refuse_path_with_splits(self)
        _refuse_places_without_task_key(self)
        return self


class HubFile(Strict):
    """One file of another repository than the task's."""

    repository: Repository
    revision: str
    file: Annotated[str, OfSplit]


HubPattern = Annotated[str | HubFile, OfSplit]


class HubPlaces(Strict):
    """The paths on the hub of files of one language; another repository needs its own revision."""

    repository: Repository | None = None
    revision: str | None = None
    train: HubPattern | None = None
    validation: HubPattern | None = None
    test: HubPattern | None = None
    path: HubPattern | None = None

    @model_validator(mode="after")
    def _repository_with_revision(self) -> HubPlaces:
        if (self.repository is None) != (self.revision is None):
            raise ValueError("give 'repository' and 'revision' together")
        return self


class HubTask(_Task):
    """Task data on the hub, pinned: files of `repository`, or of other repositories.

    Files are given as in :class:`FilesTask`.
    """

    what = "tasks with 'source: hub'"

    source: Literal["hub"]
    repository: Repository
    revision: str
    train: HubPattern
    validation: HubPattern | None = None
    test: HubPattern | None = None
    path: HubPattern | None = None
    cut: Cut | None = None
    columns: Columns = {}
    tags: Scheme = "iob2"
    examples: Examples = {}
    languages: dict[str, HubPlaces] = {}

    @model_validator(mode="after")
    def _path_or_splits(self) -> HubTask:
        _refuse_path_with_splits(self)
        _refuse_places_without_task_key(self)
        return self


def _refuse_path_with_splits(task: FilesTask | HubTask) -> None:
    if task.path and (task.test or not task.cut):
        raise ValueError("with 'path' give 'cut: half' or 'cut: articles' and no 'test'")
    if not task.path and not (task.validation and task.test):
        raise ValueError("give 'validation' and 'test', or one 'path' with 'cut'")
    if task.cut and not task.path:
        raise ValueError("'cut' divides one 'path'; name it, or remove 'cut'")


def _refuse_places_without_task_key(task: FilesTask | HubTask) -> None:
    for language, places in task.languages.items():
        for key in places.model_fields_set - {"repository", "revision"}:
            if getattr(task, key) is None:
                raise ValueError(
                    f"languages.{language} names '{key}', which the task does not; languages "
                    "may have other paths than the task, but not other keys"
                )


class MiniatureTask(_Task):
    """Task data of the miniature world; `examples` gives the number per split.

    `difficulty` has the knobs of :func:`langarith.data.miniature.write_task`.
    """

    what = "tasks with 'source: miniature'"
    cut: ClassVar[None] = None
    columns: ClassVar[dict[str, Any]] = {}
    tags: ClassVar[str] = "iob2"

    source: Literal["miniature"]
    difficulty: dict[str, Annotated[float, Field(ge=0)]] = {}
    examples: Examples

    @field_validator("examples")
    @classmethod
    def _number_for_each_split(cls, value: dict[str, int]) -> dict[str, int]:
        missing = {"train", *SPLITS} - set(value)
        if missing:
            raise ValueError(f"no number for {', '.join(sorted(missing))}; give all three splits")
        return value

    @field_validator("difficulty", mode="after")
    @classmethod
    def _sorted_by_key(cls, value: dict[str, Any]) -> dict[str, Any]:
        # Snakemake compares parameters as text: the order of keys in a file must not matter
        return dict(sorted(value.items()))


TaskSpec = Annotated[HubTask | FilesTask | MiniatureTask, Field(discriminator="source")]


_MOST_LAMBDAS = 1000


Kind = Literal["grid", "refine"]
"""The kind of search of a sweep."""


class Several(Strict):
    """The search over the weights of more than two operands."""

    step: float = Field(ge=0.01)
    search: Kind = "grid"


class Lambdas(Strict):
    """An evenly spaced lambda grid, both ends included, and how a sweep searches it.

    `several`: step and search for more than two operands, if they differ.
    """

    start: float = Field(0.0, ge=-100, le=100)
    stop: float = Field(1.0, ge=-100, le=100)
    step: float = Field(ge=0.01)
    search: Kind = "grid"
    several: Several | None = None

    def of(self, operands: int) -> Lambdas:
        """The grid of the weights of a number of operands."""
        if operands <= 2 or self.several is None:
            return self
        return Lambdas(start=self.start, stop=self.stop, **self.several.model_dump())

    def values(self) -> tuple[float, ...]:
        """Every lambda of the grid, in order."""
        count = round((self.stop - self.start) / self.step)
        return tuple(round(self.start + i * self.step, 2) for i in range(count + 1))

    @model_validator(mode="after")
    def _step_divides_range(self) -> Lambdas:
        if self.stop < self.start:
            raise ValueError(f"stop {self.stop} lies below start {self.start}; swap them")
        for step in [self.step, *([self.several.step] if self.several else [])]:
            _refuse_uneven(self.start, self.stop, step)
        return self


def _refuse_uneven(start: float, stop: float, step: float) -> None:
    """Raise a ValueError for a grid that is not even, not written exactly, or too fine."""
    if not all(map(has_two_decimals, (start, stop, step))):
        raise ValueError("lambdas are written with two decimals; round start, stop and step")
    parts = (stop - start) / step
    if not math.isclose(parts, round(parts), abs_tol=1e-6):
        raise ValueError(
            f"step {step} does not divide the range {start} to {stop}; "
            "take one that does, for example 0.05 or 0.1"
        )
    if parts > _MOST_LAMBDAS:
        raise ValueError(
            f"start {start} to stop {stop} by {step} are {round(parts) + 1} "
            f"lambdas; take at most {_MOST_LAMBDAS + 1}"
        )


class Quadruple(Strict):
    """An analogy: a is to b as c is to the target."""

    target: str
    a: str
    b: str
    c: str

    @property
    def operands(self) -> tuple[str, str, str]:
        """The languages whose adapters are merged."""
        return self.a, self.b, self.c


class Experiment(Strict):
    """The part of the grid that an experiment uses; by default all models, tasks and targets.

    `pool` is only for `relatedness`: the languages that each target is paired with. `languages` and
    `layers` are for the experiments on language vectors, `similarity` and `sparsity`. `caption`
    overrides the study's. `rules` is only for `label_free`: the rules that it compares. `pool_size`
    is only for `pool`: the largest number of relatives that are merged. `quadruples` is only for
    `analogy`. `forgetting` has `languages`, too.
    """

    models: list[str] | None = Field(None, min_length=1)
    tasks: list[str] | None = Field(None, min_length=1)
    targets: list[str] | None = Field(None, min_length=1)
    pool: list[str] | None = Field(None, min_length=2)
    pool_size: int | None = Field(None, ge=2)
    languages: list[str] | None = Field(None, min_length=1)
    layers: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    rules: list[str] | None = Field(None, min_length=1)
    quadruples: list[Quadruple] | None = Field(None, min_length=1)
    caption: Bool | None = None


class Evaluation(Strict):
    """The evaluation of merges: tokens in one length-bucketed batch, CPU threads of a job."""

    tokens_per_batch: int = Field(8192, ge=64)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    threads: int = Field(1, ge=1)


LAMBDAS_OF_EXPERIMENTS = {
    "forgetting": ("negation", {"start": 0.5, "stop": 1.0, "step": 0.5}),
    "analogy": ("analogy", {"start": 1.0, "stop": 1.0, "step": 1.0}),
}
"""The merge method of experiments that have their own, and its grid if `lambdas` has none."""

Budget = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"]}),
]
"""A token budget as it is written: 10k, 1M, full, or a plain number."""


class Study(Strict):
    """One study: everything that affects a number in its tables."""

    name: str
    note: str = ""
    license: License | None = None
    results_dir: OwnFolder
    checkpoint_dir: OwnFolder | None = None
    languages: list[str] = Field(min_length=2)
    task_language: str
    seeds: list[Seed] = Field(min_length=1)
    models: dict[str, ModelSpec] = Field(min_length=1)
    corpora: CorporaSpec
    tasks: dict[str, TaskSpec] = Field(min_length=1)
    related: dict[str, str] = {}
    relatives: dict[str, list[str]] = {}
    revisions: dict[str, str] = {}
    budgets: dict[str, list[Budget]] = {}
    lambdas: dict[str, Lambdas] = {"la": Lambdas(step=0.05)}
    adapters: Adapters = Adapters()
    training: TrainingPlan = TrainingPlan()
    evaluation: Evaluation = Evaluation()
    selection: str = "validation"
    experiments: dict[str, Experiment] = Field(min_length=1)
    caption: Bool = True
    allow_missing: Bool = False
    # left out if there is none, so that `study.json` of a whole study does not change
    limit: LimitSpec | None = Field(None, exclude_if=lambda value: value is None)

    @field_validator("experiments", mode="before")
    @classmethod
    def _empty_means_all(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {} if v is None else v for k, v in value.items()}

    @model_validator(mode="after")
    def _lambdas_of_experiments(self) -> Study:
        for experiment, (method, grid) in LAMBDAS_OF_EXPERIMENTS.items():
            if experiment in self.experiments:
                self.lambdas.setdefault(method, Lambdas.model_validate(grid))
        return self


def json_schema() -> dict[str, Any]:
    """The schema of a study's file, with which editors complete, explain and check keys.

    A file may extend another one, and may then leave out every other key.
    """
    schema = Study.model_json_schema()
    required = [key for key in schema.pop("required") if key != "name"]  # or the file's name
    schema["properties"]["extends"] = {
        "title": "Extends",
        "description": "Path of another study, relative to this file",
        "type": "string",
    }
    experiment = schema["properties"]["experiments"]["additionalProperties"]
    schema["properties"]["experiments"]["additionalProperties"] = {
        "anyOf": [experiment, {"type": "null"}]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "anyOf": [{"required": ["extends"]}, {"required": required}],
    }
