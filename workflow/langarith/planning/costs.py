"""Cost model of jobs: operations, time and memory, from the sizes given in a study.

**Operations.** A transformer layer passes a token forward in 8H² + 4HI + 4TH operations (H width, I
inner width, T length of the sequence); the head of masked language modelling adds 2HV for each
masked token (V vocabulary). With a frozen base model a training step is a forward pass and as much
again for the gradients of the inputs; gradients of the weights, for pretraining alone, add the same
once more. A sequence of a task is taken to be a third as long as `max_length`, one of the miniature
0.6 of it; the plan counts those of files (:mod:`langarith.planning.work`). A sweep is a forward
pass over validation and test per point, and one over test without a language adapter; of a refined
search the greatest number of points is assumed.

**Time.** Operations at `RATE` a second. A job requests `SLACK` times the
operations plus `BEGIN`; twice as much on its second attempt, and so on. A training that reaches its
limit resumes from its checkpoint, so no job requests more than the longest time that a partition
allows (`runtime` in the profile).

**Memory** of the machine, not of the GPU: `SNAKEMAKE` for the two Snakemake processes of a SLURM
job, `LIBRARIES` for torch, transformers and what CUDA keeps, the base model twice (as read, as
built) and four times more where all of it is trained (gradients, two moments, the best state); the
corpus of a language adapter at 8 bytes a token (mapped and copied); encoded examples at 100 bytes
a token. Half as much more on each further attempt.

Pure Python: the Snakefile calls this for each planned job.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from langarith import layout, tasks
from langarith.data import hub
from langarith.operands import budget_tokens
from langarith.study import grid, recipes, schema, sources

RATE = 1e14
"""Operations per second: a third of the bf16 peak of an A100."""

START = 10.0
"""Seconds from the submission of a job on a cluster until its script begins."""

BEGIN, BEGIN_MEMBER = 300.0, 60.0
"""Seconds until a job computes, at most, on a busy network file system: for a job of its own, which
starts Snakemake twice, and for a member of a group."""

SLACK = 2.0
"""Factor between the requested and the modelled time, for slower GPUs."""

TOKENIZED = 3e5
"""Tokens per second and core."""

SNAKEMAKE, LIBRARIES = 1000, 3000
"""Megabytes."""

SHARD_TOKENS = 120_000_000
"""Tokens of a shard of the hub; the study's `shard_tokens` is a third of that, a lower bound."""

SHAPES = {
    "FacebookAI/xlm-roberta-base": (12, 768, 3072, 250_002),
    "google-bert/bert-base-multilingual-cased": (12, 768, 3072, 119_547),
}
"""Layers, width, inner width and vocabulary of the base models of the paper."""

LARGE = (24, 1024, 4096, 250_002)
"""The shape that a base model of unknown shape is assumed to have: XLM-R large."""

TYPICAL_LENGTH, MINIATURE_LENGTH = 1 / 3, 0.6
"""Subwords of an example, windows of long texts included, as a share of `max_length`."""

MANY_EXAMPLES = (392_702, 2_490, 5_010)
"""Training, validation and test examples that a task of unknown size is assumed to have: XNLI's."""

Shape = tuple[int, int, int, int]
"""Layers, width, inner width and vocabulary."""

Counts = tuple[int, int, int]
"""Training, validation and test examples."""


# --- operations ---------------------------------------------------------------------------------


def shape(study: schema.Study, model: str) -> Shape | None:
    """Layers, width, inner width and vocabulary of a base model; None if unknown."""
    spec = study.models[model]
    if isinstance(spec, schema.PretrainModel):
        return spec.layers, spec.hidden_size, spec.intermediate_size, spec.vocabulary
    folder = str(sources.given_folder(study, model))
    known = (SHAPES[name] for name in SHAPES if folder.startswith(f"{hub.FOLDER}/models/{name}/"))
    return next(known, None) or config_shape(Path(folder, "config.json"))


def config_shape(file: Path) -> Shape | None:
    """The same from a model's `config.json`; None without the file or one of its numbers."""
    if not file.is_file():
        return None
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        keys = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
        layers, width, inner, vocabulary = (int(config[key]) for key in keys)
    except (KeyError, TypeError, ValueError):
        return None
    return layers, width, inner, vocabulary


def forward(shape: Shape, length: float) -> float:
    """Operations of a forward pass, for one token."""
    layers, width, inner, _ = shape
    return layers * (8 * width**2 + 4 * width * inner + 4 * length * width)


def language_modelling(
    recipe: recipes.LanguageModelRecipe, shape: Shape, passes: int, corpus: float
) -> float:
    """Operations of a training on masked language modelling; 2 passes, 3 for all weights.

    Args:
        corpus: tokens of an epoch, for a recipe that counts in epochs.
    """
    if recipe.steps:
        tokens: float = recipe.steps * step_rows(recipe) * recipe.chunk_length
    else:
        tokens = (recipe.epochs or 0) * corpus
    head = recipe.mask_probability * 2 * shape[1] * shape[3]
    return passes * tokens * (forward(shape, recipe.chunk_length) + head)


def masked_lm(study: schema.Study, shape: Shape, points: int, tokens: float) -> float:
    """Operations of the masked-LM losses of a merge at every point, on so many tokens."""
    recipe = study.training.language_adapter
    head = recipe.mask_probability * 2 * shape[1] * shape[3]
    return points * tokens * (forward(shape, recipe.chunk_length) + head)


def fisher(study: schema.Study, shape: Shape, tokens: float) -> float:
    """Operations of the Fisher information of a language adapter, on so many tokens."""
    return 2 * masked_lm(study, shape, 1, tokens)  # a forward pass, and the gradients


def step_rows(recipe: recipes.Recipe) -> int:
    """Rows that one optimiser step sees."""
    return recipe.batch_size * recipe.accumulation


def task_passes(recipe: recipes.TaskRecipe, counts: Counts) -> tuple[float, float]:
    """Examples that the steps of a task adapter see, and those that its validations score."""
    train, validation, _ = counts
    epochs = recipe.epochs or (recipe.steps or 0) * step_rows(recipe) / train
    steps = epochs * train / step_rows(recipe)
    if recipe.evaluate_every:
        evaluations = steps / recipe.evaluate_every
    else:
        evaluations = epochs if recipe.epochs else min(10, steps)
    return epochs * train, evaluations * validation


def sweep_passes(points: int, counts: Counts) -> float:
    """Examples that a cell scores, each as often as it does."""
    _, validation, test = counts
    # on test also without a language adapter
    return points * validation + (points + 1) * test


def task_training(study: schema.Study, task: str, shape: Shape, counts: Counts) -> float:
    """Operations of a task adapter on so many examples."""
    seen, scored = task_passes(sources.task_training(study, task), counts)
    return (2 * seen + scored) * example(shape, typical_length(study, task))


def sweep(
    study: schema.Study, task: str, method: str, operands: int, shape: Shape, counts: Counts
) -> float:
    """Operations of one cell of a task with so many examples."""
    passes = sweep_passes(grid.search(study, method, operands).most_points, counts)
    return passes * example(shape, typical_length(study, task))


def example(shape: Shape, length: float) -> float:
    """Operations of a forward pass of an example of so many subwords."""
    return length * forward(shape, length)


def typical_length(study: schema.Study, task: str) -> float:
    """Subwords of an example of a task of which nothing is known but `max_length`."""
    spec = study.tasks[task]
    miniature = isinstance(spec, schema.MiniatureTask)
    return spec.max_length * (MINIATURE_LENGTH if miniature else TYPICAL_LENGTH)


def examples(study: schema.Study, name: str) -> Counts | None:
    """Training, validation and test examples of a task; None where they are not counted yet."""
    task = study.tasks[name]
    if isinstance(task, schema.MiniatureTask):
        return task.examples["train"], task.examples["validation"], task.examples["test"]
    if isinstance(task, schema.HubTask):
        typical = tasks.get(sources.task_type(study, name)).typical_examples
        return typical and at_most(task, typical)
    counted = Path(study.results_dir, layout.CHECK.format(task=name, language=study.task_language))
    if not counted.is_file():
        return None
    counts: Mapping[str, int] = json.loads(counted.read_text(encoding="utf-8"))
    return counts["train"], counts["validation"], counts["test"]


def most_examples(study: schema.Study, name: str) -> Counts:
    """The same, or a bound where they are not counted yet."""
    return examples(study, name) or at_most(study.tasks[name], MANY_EXAMPLES)


def at_most(task: schema.TaskSpec, counts: Counts) -> Counts:
    """So many examples of each split, or as many as the study reads of them."""
    given, (train, validation, test) = task.examples, counts
    return (
        min(train, given.get("train", train)),
        min(validation, given.get("validation", validation)),
        min(test, given.get("test", test)),
    )


# --- resource requests of jobs ------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """Cost of one job: seconds of work, seconds to start, megabytes of its process."""

    seconds: float
    begin: float
    megabytes: float

    def minutes(self, attempt: int) -> int:
        """Time to request."""
        return math.ceil((self.begin + SLACK * self.seconds) * attempt / 60)

    def memory(self, attempt: int) -> int:
        """Megabytes to request, rounded up to 500 MB."""
        return math.ceil((SNAKEMAKE + self.megabytes) * (1 + attempt) / 2 / 500) * 500


SMALL = Need(10.0, BEGIN_MEMBER, 1000.0)
"""A member of a group with little computation."""


class Needs:
    """Cost of each kind of job of a study, computed once for equal jobs.

    Unknown sizes are assumed large: those of XLM-R large for a model, of XNLI for a task.
    """

    def __init__(self, study: schema.Study) -> None:
        self.study = study

    @cache  # noqa: B019  a Snakefile has one study, and it lives as long as the process
    def pretraining(self, model: str) -> Need:
        spec = self.study.models[model]
        assert spec.source == "pretrain"
        size = self._shape(model)
        tokens = sum(corpus_tokens(self.study, language) for language in spec.languages)
        # gradients, both moments and the best weights, if there is no GPU to hold them
        memory = LIBRARIES + 6 * _weights(size) + 8 * tokens / 1e6
        work = language_modelling(spec.training, size, 3, tokens)
        return Need(work / RATE, BEGIN, memory)

    @cache  # noqa: B019
    def language_adapter(self, model: str, language: str, budget: str) -> Need:
        size = self._shape(model)
        tokens = corpus_tokens(self.study, language, budget)
        work = language_modelling(self.study.training.language_adapter, size, 2, tokens)
        memory = LIBRARIES + 2 * _weights(size) + 8 * tokens / 1e6
        return Need(work / RATE, BEGIN, memory)

    @cache  # noqa: B019
    def task_adapter(self, model: str, task: str) -> Need:
        size = self._shape(model)
        counts = most_examples(self.study, task)
        work = task_training(self.study, task, size, counts)
        return Need(work / RATE, BEGIN, self._task_memory(size, task, sum(counts)))

    @cache  # noqa: B019
    def sweep(self, model: str, task: str, method: str, operands: int = 2) -> Need:
        size, counts = self._shape(model), most_examples(self.study, task)
        work = sweep(self.study, task, method, operands, size, counts)
        return Need(work / RATE, BEGIN_MEMBER, self._task_memory(size, task, sum(counts[1:])))

    @cache  # noqa: B019
    def scoring(self, model: str, task: str) -> Need:
        """One point of a sweep, on the task language."""
        size, counts = self._shape(model), most_examples(self.study, task)
        work = sweep_passes(1, counts) * example(size, typical_length(self.study, task))
        return Need(work / RATE, BEGIN, self._task_memory(size, task, sum(counts)))

    @cache  # noqa: B019
    def masked_lm(self, model: str, target: str, method: str, operands: int) -> Need:
        size, tokens = self._shape(model), held_out_tokens(self.study, target)
        points = len(grid.search(self.study, method, operands).first)
        work = masked_lm(self.study, size, points, tokens)
        memory = LIBRARIES + 2 * _weights(size) + 8 * tokens / 1e6
        return Need(work / RATE, BEGIN_MEMBER, memory)

    @cache  # noqa: B019
    def fisher(self, model: str, language: str) -> Need:
        size, tokens = self._shape(model), fisher_tokens(self.study, language)
        work = fisher(self.study, size, tokens)
        memory = LIBRARIES + 2 * _weights(size) + 8 * held_out_tokens(self.study, language) / 1e6
        return Need(work / RATE, BEGIN_MEMBER, memory)

    @cache  # noqa: B019
    def tokens(self, language: str) -> Need:
        """One shard of a language becomes a token stream."""
        shards = max(1, len(sources.shards(self.study, language)))
        work = corpus_tokens(self.study, language) / shards
        return Need(work / TOKENIZED, BEGIN_MEMBER, 2000)

    @cache  # noqa: B019
    def tokenizer(self, model: str) -> Need:
        spec = self.study.models[model]
        assert isinstance(spec, schema.PretrainModel)
        tokens = sum(corpus_tokens(self.study, language) for language in spec.languages)
        return Need(tokens / TOKENIZED, BEGIN, 2000 + 16 * tokens / 1e6)

    def _shape(self, model: str) -> Shape:
        return shape(self.study, model) or LARGE

    def _task_memory(self, size: Shape, task: str, sequences: int) -> float:
        length = typical_length(self.study, task)
        return LIBRARIES + 2 * _weights(size) + 100 * sequences * length / 1e6


def corpus_tokens(study: schema.Study, language: str, budget: str = "full") -> float:
    """Tokens of a corpus that a budget reads, or a bound.

    Where only the first documents are read, as many as they have at most on average.
    """
    files, wanted = sources.shards(study, language, budget), budget_tokens(budget)
    if isinstance(study.corpora, schema.HubCorpora):
        available = float(len(files) * SHARD_TOKENS)
    elif isinstance(study.corpora, schema.MiniatureCorpora):
        available = 160.0 * study.corpora.documents
    else:
        available = text_tokens(file for file in files if os.path.isfile(file))
    if documents := sources.first_documents(study).get("documents"):
        available = min(available, float(documents * sources.TOKENS_OF_A_DOCUMENT))
    return available if wanted is None else min(wanted, available)


def text_tokens(files: Iterable[str]) -> float:
    """Tokens of files of raw text, by their sizes.

    Four bytes of text are a token; compressed text is three times as long.
    """
    return sum(
        os.path.getsize(file) / 4 * (1 if file.endswith((".txt", ".jsonl")) else 3)
        for file in files
    )


def held_out_tokens(study: schema.Study, language: str) -> float:
    """Tokens of the documents of a language that no adapter is trained on, or a bound."""
    documents = study.corpora.validation_documents
    if isinstance(study.corpora, schema.MiniatureCorpora):
        return 160.0 * min(documents, study.corpora.documents)
    return min(corpus_tokens(study, language), documents * sources.TOKENS_OF_A_DOCUMENT)


def fisher_tokens(study: schema.Study, language: str) -> float:
    """Tokens that the Fisher information of an adapter is estimated on, or a bound."""
    most = sources.FISHER_CHUNKS * study.training.language_adapter.chunk_length
    return min(held_out_tokens(study, language), most)


def _weights(size: Shape) -> float:
    """Megabytes of the weights of an encoder in single precision."""
    return 4 * weights(size) / 1e6


def weights(size: Shape) -> float:
    """Weights of an encoder."""
    layers, width, inner, vocabulary = size
    return layers * (4 * width**2 + 2 * width * inner) + width * vocabulary
