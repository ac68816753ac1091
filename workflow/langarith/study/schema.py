"""The schema of a study: what its YAML file may say.

Pure Python that imports in milliseconds, because the Snakefile reads it at every start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from langarith.data import hub
from langarith.errors import did_you_mean

SPLITS = ("validation", "test")


LANGUAGE_CODE = re.compile(r"^[A-Za-z-]+$")


HUB_ADAPTER = re.compile(r"^([\w.-]+/[\w.-]+)@(.+)$")


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


def _integer_as_text(label: Any) -> Any:
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else label


Label = Annotated[str, BeforeValidator(_integer_as_text)]


class _Task(Strict):
    type: str | None = None
    targets: list[str] = Field(min_length=1)
    max_length: int = Field(128, ge=16)
    stride: int = Field(128, ge=1)
    cut: Literal["half", "articles"] | None = None
    labels: tuple[Label, ...] = ()
    training: Training | None = None

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value) or len(value) == 1:
            raise ValueError("give two labels at least, each once")
        return value


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
