"""Models and recipes of a drafted study, no larger than its text and this machine allow.

Steps are a few epochs of the text. Without a GPU, or with little text, models, batches and steps
are those that two CPU cores ran in docs/laptop_study.md and in the trial of docs/your_own_data.md.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median

from langarith.data import base_models
from langarith.planning import costs, speed
from langarith.study import recipes
from langarith.study.found_files import File

LITTLE_TEXT = 20_000_000
"""Subwords of all languages together that make a small study, whatever the machine is."""

EPOCHS, BASE_EPOCHS = 5, 10
"""Of the text at most: of a training from given weights, and of one from scratch."""

CORE_RATE = 2e10
"""Operations per second of a CPU core, in single precision: half of what the laptop study's encoder
reached with bf16 instructions (docs/laptop_study.md)."""

BF16_WIDTH = 384
"""Least width of a model that computes in bf16 where the CPU can; of narrower ones nobody measured
a gain."""

MAX_SECONDS = 1800.0
"""Seconds of one core that a language adapter may take, if that is enough for `MIN_STEPS`."""

MIN_STEPS = 100
"""Steps of a language adapter of a large model, which takes longer or needs a GPU."""


@dataclass(frozen=True)
class Training:
    """A training by masked language modelling. most: steps, however much text there is."""

    most: int
    batch: int
    rate: str
    chunk: int

    @property
    def step(self) -> int:
        """Subwords of a step."""
        return self.batch * self.chunk

    def steps(self, tokens: float, epochs: int, most: int | None = None) -> int:
        """Steps, in two digits, that see so many tokens so many times at most."""
        count = max(1, min(most or self.most, int(epochs * tokens / self.step)))
        return count - count % 10 ** max(0, len(str(count)) - 2)


@dataclass(frozen=True)
class TaskTraining:
    """A training of task adapters."""

    epochs: int
    rate: str
    warmup_steps: int = 0


@dataclass(frozen=True)
class Encoder:
    """An encoder that is trained from scratch, and how."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    initial: float
    training: Training

    @property
    def shape(self) -> costs.Shape:
        return self.layers, self.width, self.inner, self.vocabulary


@dataclass(frozen=True)
class Scale:
    """Sizes for a kind of machine.

    scratch: a base model of its own, adapted: the training of one that is given without a head.
    adapter, scratch_adapter: language adapters of a given base model, and of one from scratch.
    task, scratch_task: task adapters, in the same way. examples: that are read of a task's splits;
    window: subwords of question and context, and those that neighbours share.
    """

    scratch: Encoder
    adapted: Training
    adapter: Training
    scratch_adapter: Training
    task: TaskTraining
    scratch_task: TaskTraining
    examples: Mapping[str, Mapping[str, int]]
    window: tuple[int, int]
    seeds: tuple[int, ...]
    lambda_step: float


_SMALL_SPLITS = {"train": 5000, "validation": 400, "test": 1000}
SMALL = Scale(
    # little text teaches small models on short chunks, and larger ones hardly more than word
    # frequencies: docs/your_own_data.md
    Encoder(1500, 128, 2, 4, 512, 0.09, Training(3000, 128, "3.0e-3", 32)),
    adapted=Training(300, 32, "3.0e-4", 128),
    adapter=Training(250, 16, "1.0e-3", 128),
    scratch_adapter=Training(600, 64, "1.0e-3", 32),
    # at 1e-3 without warm-up an adapter of NLI was at chance after an epoch: docs/results.md
    task=TaskTraining(5, "4.0e-4", 100),
    scratch_task=TaskTraining(5, "1.0e-3"),
    examples=defaultdict(lambda: _SMALL_SPLITS, qa={"train": 2500, "validation": 200, "test": 300}),
    window=(256, 64),
    seeds=(1,),
    lambda_step=0.1,
)
LARGE = Scale(
    Encoder(16000, 384, 6, 6, 1536, 0.02, Training(20_000, 64, "5.0e-4", 128)),
    adapted=Training(10_000, 64, "1.0e-4", 128),
    adapter=Training(5000, 64, "1.0e-4", 128),
    scratch_adapter=Training(5000, 64, "1.0e-4", 128),
    task=TaskTraining(30, "1.0e-4"),
    scratch_task=TaskTraining(30, "1.0e-4"),
    examples=defaultdict(dict),
    window=(384, 128),
    seeds=(1, 2, 3),
    lambda_step=0.05,
)


@dataclass(frozen=True)
class Sizes:
    """The sizes of a drafted study.

    tokens: of the text, by language. models: folders of base models and whether each has the head
    of masked language modelling. bf16: whether the CPU computes faster in it.
    """

    tokens: Mapping[str, float]
    models: Mapping[str, bool]
    gpu: bool
    bf16: bool = False

    @property
    def scale(self) -> Scale:
        enough = sum(self.tokens.values()) >= LITTLE_TEXT
        return LARGE if self.gpu and enough else SMALL

    @property
    def threads(self) -> int:
        """CPU cores that the study is for."""
        return 4 if self.gpu else 2

    @property
    def typical(self) -> float:
        """Subwords of a language: the median."""
        return median(self.tokens.values())

    @property
    def shapes(self) -> list[costs.Shape]:
        """Of all models; one that cannot be read counts as large."""
        read = [costs.config_shape(Path(folder, "config.json")) for folder in self.models]
        return [shape or costs.LARGE for shape in read] or [self.scale.scratch.shape]

    @cached_property
    def adapter(self) -> tuple[Training, int]:
        """The training of language adapters, and its steps."""
        scale = self.scale
        training = scale.adapter if self.models else scale.scratch_adapter
        most = training.most
        if not self.gpu:
            each = max(_operations(training, shape) for shape in self.shapes)
            most = min(most, max(MIN_STEPS, int(MAX_SECONDS * CORE_RATE / each)))
        return training, training.steps(self.typical, EPOCHS, most)

    # --- blocks of the study ---

    def model_lines(self, languages: Sequence[str]) -> Iterator[str]:
        """The block `models`."""
        yield "models:"
        if not self.models:
            yield from self._scratch(languages)
        names = Counter[str]()
        for folder, head in self.models.items():
            plain = _model_name(folder)
            names[plain] += 1
            name = yaml_word(plain if names[plain] == 1 else f"{plain}-{names[plain]}")
            path = json.dumps(folder, ensure_ascii=False)
            if head:
                yield f"  {name}: {{source: files, path: {path}}}"
            else:
                yield from self._adapted(name, path, languages)

    def _scratch(self, languages: Sequence[str]) -> Iterator[str]:
        own = self.scale.scratch
        yield from [
            "  small:",
            "    # A small encoder, trained here on the raw text below. For one that you have",
            "    # (config.json, model.safetensors, tokenizer.json), or one of the hub, write:",
            "    #   {source: files, path: models/xlm-roberta-base}",
            "    #   {source: hub, path: FacebookAI/xlm-roberta-base, revision: main}",
            "    source: pretrain",
            f"    languages: [{', '.join(languages)}]",
            with_comment(f"    vocabulary: {own.vocabulary}", "pieces"),
            f"    hidden_size: {own.width}",
            f"    layers: {own.layers}",
            f"    attention_heads: {own.heads}",
            f"    intermediate_size: {own.inner}",
            f"    initializer_range: {own.initial}",
            with_comment("    max_length: 512", "subwords; the longest chunk or example must fit"),
            *self._base_training(own.training, BASE_EPOCHS),
        ]

    def _adapted(self, name: str, path: str, languages: Sequence[str]) -> Iterator[str]:
        yield from [
            f"  {name}:",
            "    # It has no masked-LM head, which language adapters need: it learns one here, on",
            "    # the raw text below.",
            "    source: pretrain",
            f"    start: {path}",
            f"    languages: [{', '.join(languages)}]",
            with_comment("    alpha: 0.5", "languages with little text are seen more often"),
            with_comment(
                "    freeze: [embeddings]", "most of its weights; too little text to train them"
            ),
            *self._base_training(self.scale.adapted, EPOCHS),
        ]

    def _base_training(self, training: Training, epochs: int) -> Iterator[str]:
        steps = training.steps(sum(self.tokens.values()), epochs)
        yield (
            f"    training: {{steps: {steps}, batch_size: {training.batch}, "
            f"learning_rate: {training.rate}, warmup_steps: {steps // 10},"
        )
        yield (
            f"               chunk_length: {training.chunk}, "
            f"evaluate_every: {max(1, steps // 10)}, threads: {self.threads}"
            f"{', precision: bf16' if self.bf16 else ''}}}"
        )

    def training_lines(self) -> Iterator[str]:
        """The blocks `adapters` and `training`, and what their numbers come from."""
        training, steps = self.adapter
        task = self.scale.task if self.models else self.scale.scratch_task
        paper = recipes.TrainingPlan()
        if self.scale is SMALL and not self.models:
            yield "adapters:"
            yield with_comment(
                "  task: {reduction_factor: 2}", "the model is narrow; the paper: 16"
            )
            yield ""
        machine = "a GPU" if self.gpu else "two CPU cores, since torch sees no GPU"
        yield f"# Sizes for {machine}; a language has about {_count(self.typical)} subwords."
        read = steps * training.step / self.typical
        yield f"# The steps read it {read:.1f} times. `langarith plan` says how long they take."
        if self.scale is SMALL:
            large = LARGE.adapter
            larger = "With more text" if self.gpu else "On a GPU, with more text"
            yield f"# {larger}: {large.most} steps, batch_size {large.batch},"
            yield f"# learning_rate {large.rate}, {LARGE.task.epochs} epochs, and no `examples`."
        precision = []
        if self.bf16:
            yield "# bf16: this CPU has instructions for it; they take two thirds of fp32's time."
            yield "# Leave `precision` out on CPUs without them, and on GPUs."
            precision = ["    precision: bf16"]
        yield from [
            "training:",
            "  language_adapter:",
            with_comment(
                f"    steps: {steps}",
                f"the paper: {paper.language_adapter.steps}, batches of 16 x 4 chunks of 512",
            ),
            with_comment(f"    batch_size: {training.batch}", "chunks"),
            with_comment(
                f"    learning_rate: {training.rate}",
                f"the paper: {paper.language_adapter.learning_rate}, with more steps",
            ),
            f"    warmup_steps: {steps // 10}",
            with_comment(f"    chunk_length: {training.chunk}", "subwords"),
            with_comment(f"    evaluate_every: {max(1, steps // 10)}", "steps"),
            *precision,
            "  task_adapter:",
            with_comment(f"    epochs: {task.epochs}", f"the paper: {paper.task_adapter.epochs}"),
            with_comment("    batch_size: 16", "examples"),
            with_comment(
                f"    learning_rate: {task.rate}",
                f"the paper: {paper.task_adapter.learning_rate}, with more steps",
            ),
            *([f"    warmup_steps: {task.warmup_steps}"] if task.warmup_steps else []),
            *precision,
            *(["", "evaluation: {precision: bf16}"] if self.bf16 else []),
        ]


def sizes_for(text: Iterable[File], models: Mapping[str, bool]) -> Sizes:
    """The sizes for raw text and base models, on this machine."""
    tokens: dict[str, float] = defaultdict(float)
    for file in text:
        tokens[str(file.language)] += costs.text_tokens([file.path])
    sizes = Sizes(tokens, models, speed.has_gpu())
    wide = bool(models) and all(width >= BF16_WIDTH for _, width, *_ in sizes.shapes)
    return replace(sizes, bf16=wide and not sizes.gpu and speed.cpu_has_bf16())


def usable(folders: Iterable[str]) -> tuple[dict[str, bool], list[str]]:
    """Whether each base model has a masked-LM head; of those that no study can use, why."""
    models, lines = {}, []
    for folder in folders:
        problems = list(base_models.problems(folder, {}, masked_lm=True, head_needed=False))
        if problems:
            lines.append(f"left out the base model {folder}: {problems[0]}")
        else:
            models[folder] = not any(base_models.problems(folder, {}, masked_lm=True))
    return models, lines


def with_comment(line: str, comment: str) -> str:
    """A line of YAML with a comment, in one column with others where the line is short."""
    return f"{line:<26}  # {comment}"


def yaml_word(text: str) -> str:
    """Text as YAML, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", text) and text not in ("true", "false", "null")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _model_name(folder: str) -> str:
    """A name for the model of a folder, also of one in the hub's cache."""
    path = Path(os.path.abspath(folder))  # not resolved: the name of a link is the user's
    cached = re.search(r"models--(?:[^/]+--)?([^/]+)/snapshots/[^/]+$", path.as_posix())
    name = cached[1] if cached else path.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "model"


def _operations(training: Training, shape: costs.Shape) -> float:
    """Of one step of a language adapter."""
    recipe = recipes.LanguageModelRecipe(
        steps=1, batch_size=training.batch, chunk_length=training.chunk, learning_rate=1e-4
    )
    return costs.language_modelling(recipe, shape, 2, 0)


def _count(tokens: float) -> str:
    """A number in two digits: 250,000; 1.2 million."""
    rounded = float(f"{tokens:.1e}")
    return f"{rounded / 1e6:g} million" if rounded >= 1e6 else f"{rounded:,.0f}"
