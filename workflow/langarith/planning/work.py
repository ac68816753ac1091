"""What jobs compute: counted for planned jobs from the study and its files, for recorded jobs from
their records.

The operations are those of :mod:`langarith.planning.costs`. Seconds per operation of recorded jobs
times the operations of a planned one are its time, so that a change of steps, examples or points
changes the plan.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from langarith import layout, tasks
from langarith.errors import InputError
from langarith.layout import is_sweep
from langarith.operands import parse_operands
from langarith.planning import costs
from langarith.planning.speed import Case
from langarith.study import grid, recipes, schema, sources

TEXT = ("words", "text", "text_pair", "question", "context")
"""Fields of examples that hold text: a string, or a list of words."""

CHARACTERS, WORD = 4.0, 1.25
"""Characters of a subword, and subwords of a word at least: of many languages, on average."""

SPECIAL = 4
"""Special tokens of a sequence, at most."""

Sizes = tuple[int, float]
"""Examples of a split, and subwords of one on average, windows of long texts included."""


@dataclass(frozen=True)
class Work:
    """What a job computes.

    case: how, on batches of which size.
    operations: floating-point operations of the model.
    steps: steps of an optimiser, micro-batches counted one by one.
    scored: examples whose predictions are decoded and scored, each as often as they are.
    """

    model: str
    case: Case
    operations: float
    steps: float
    scored: float


def kind(rule: str) -> str:
    """Rules that compute alike: the sweeps of all merge methods are one."""
    return "sweep" if is_sweep(rule) else rule


KINDS = frozenset(
    (
        "pretrain_model train_language_adapter train_task_adapter score_task_adapter sweep "
        "score_masked_lm estimate_fisher"
    ).split()
)
"""Rules whose operations are counted: those that take a GPU."""


class Counter:
    """Counts the work of jobs of a study; what it reads from files it reads once."""

    def __init__(self, study: schema.Study) -> None:
        self.study = study
        self.results = Path(study.results_dir)

    # --- planned jobs ---

    def planned(self, rule: str, path: str) -> Work | None:
        """The work of a job, by the path of its record; None if a size is unknown."""
        names = _names(path)
        shape = costs.shape(self.study, names["model"])
        if shape is None:
            return None
        if "task" in names:
            return self._planned_for_task(rule, names, shape)
        if rule == "pretrain_model":
            spec = self.study.models[names["model"]]
            assert spec.source == "pretrain"
            corpus = sum(costs.corpus_tokens(self.study, language) for language in spec.languages)
            return _language_model(names["model"], shape, spec.training, 3, corpus)
        if rule == "score_masked_lm":
            operands = len(parse_operands(names["operands"]))
            points = grid.search(self.study, names["method"], operands).first
            tokens = costs.held_out_tokens(self.study, names["target"])
            return self._masked_lm(names["model"], shape, len(points), tokens)
        if rule == "estimate_fisher":
            tokens = costs.fisher_tokens(self.study, names["language"])
            return self._fisher(names["model"], shape, tokens)
        corpus = costs.corpus_tokens(self.study, names["language"], names["budget"])
        recipe = self.study.training.language_adapter
        adapters = self._bottlenecks(shape)[:1]
        return _language_model(names["model"], shape, recipe, 2, corpus, adapters)

    def _bottlenecks(self, shape: costs.Shape) -> tuple[int, int]:
        """Widths of the language adapter and the task adapter in a layer."""
        shapes = self.study.adapters
        factors = (shapes.language.reduction_factor, shapes.task.reduction_factor)
        language, task = (max(1, int(shape[1] / factor)) for factor in factors)
        return language, task

    def _planned_for_task(
        self, rule: str, names: Mapping[str, str], shape: costs.Shape
    ) -> Work | None:
        task, model = names["task"], names["model"]
        counted = self._counts(task, names.get("target", self.study.task_language))
        if counted is None:
            return None
        if rule == "train_task_adapter":
            recipe = sources.task_training(self.study, task)
            return _task_adapter(model, shape, recipe, *counted, self._bottlenecks(shape))
        if rule == "score_task_adapter":
            return self._sweep(model, shape, 1, *counted)
        method, operands = names["method"], len(parse_operands(names["operands"]))
        points = grid.search(self.study, method, operands).most_points
        return self._sweep(model, shape, points, *counted)

    def _sweep(
        self,
        model: str,
        shape: costs.Shape,
        points: int,
        counts: costs.Counts,
        length: float,
    ) -> Work:
        passes, how = costs.sweep_passes(points, counts), self.study.evaluation
        rows = max(1, int(how.tokens_per_batch / length))
        adapters = self._bottlenecks(shape)
        case = Case(shape, rows, math.ceil(length), 1, 0.0, how.threads, how.precision, adapters)
        return Work(model, case, passes * costs.example(shape, length), 0, passes)

    def _masked_lm(self, model: str, shape: costs.Shape, points: int, tokens: float) -> Work:
        recipe, how = self.study.training.language_adapter, self.study.evaluation
        case = Case(
            shape,
            rows=max(1, how.tokens_per_batch // recipe.chunk_length),
            length=recipe.chunk_length,
            passes=1,
            masked=recipe.mask_probability,
            threads=how.threads,
            precision=how.precision,
            bottlenecks=self._bottlenecks(shape)[:1],
        )
        return Work(model, case, costs.masked_lm(self.study, shape, points, tokens), 0, 0)

    def _fisher(self, model: str, shape: costs.Shape, tokens: float) -> Work:
        recipe = self.study.training.language_adapter
        case = Case(
            shape,
            rows=1,
            length=recipe.chunk_length,
            passes=2,
            masked=recipe.mask_probability,
            threads=self.study.evaluation.threads,
            precision="fp32",
            bottlenecks=self._bottlenecks(shape)[:1],
        )
        return Work(model, case, costs.fisher(self.study, shape, tokens), 0, 0)

    @cache  # noqa: B019  a plan has one counter
    def _counts(self, task: str, language: str) -> tuple[costs.Counts, float] | None:
        """Examples of each split, and the length of one; None where they are not counted yet."""
        typical = costs.typical_length(self.study, task)
        if not isinstance(self.study.tasks[task], schema.FilesTask):
            counts = costs.examples(self.study, task)
            return None if counts is None else (counts, typical)
        splits = {}
        for split in sources.needed_splits(self.study, language):
            splits[split] = self._split(task, language, split)
        found = [size for size in splits.values() if size is not None]
        if len(found) < len(splits):
            return None
        examples = sum(n for n, _ in found)
        length = sum(n * length for n, length in found) / examples
        train, validation, test = (
            (splits.get(s) or (0, 0.0))[0] for s in ("train", *schema.SPLITS)
        )
        return (train, validation, test), length or typical

    @cache  # noqa: B019
    def _split(self, task: str, language: str, split: str) -> Sizes | None:
        """The size of one split of source `files`; None if its file cannot be read."""
        spec = self.study.tasks[task]
        reading = sources.task_reading(self.study, task, language)
        path = Path(sources.task_file(self.study, task, language, split))
        try:
            reader = tasks.reader(reading)
            found = reader.read_split(path, split, reading)
        except InputError:  # `langarith check` says what is wrong
            return None
        windows = reader.head == "qa"
        stride = spec.stride if windows else None
        return len(found), sum(length_of(e, spec.max_length, stride) for e in found) / len(found)

    # --- recorded jobs ---

    def recorded(self, record: Mapping[str, Any], path: Path) -> Work | None:
        """The work of a job that has run, by its record; None if the record does not say enough."""
        try:
            return self._recorded(record, path)
        except (KeyError, TypeError, ValueError, OSError, InputError):
            return None  # of another version, or its results are gone

    def _recorded(self, record: Mapping[str, Any], path: Path) -> Work | None:
        rule, parameters = kind(record["rule"]), record["parameters"]
        names = _names(str(path))
        model = names["model"]
        # a model that the study has changed since is another one on disk
        trained = costs.config_shape(self.results / layout.ENCODER.format(model=model) / CONFIG)
        shape = trained or costs.shape(self.study, model)
        if shape is None:
            return None
        if rule in ("pretrain_model", "train_language_adapter"):
            given, passes = parameters.get("recipe"), 2
            if rule == "pretrain_model":
                given, passes = parameters["model"]["training"], 3
            recipe = recipes.LanguageModelRecipe.model_construct(**_done(given, path))
            streams = [f["size"] for name, f in record["inputs"].items() if name.endswith(".arrow")]
            corpus = sum(streams) / 4  # int32, one column
            return _language_model(model, shape, recipe, passes, corpus)
        if rule == "score_masked_lm":
            scored = json.loads((path.parent / "losses.json").read_text(encoding="utf-8"))
            return self._masked_lm(model, shape, len(scored["losses"]), scored["tokens"])
        if rule == "estimate_fisher":
            return self._fisher(model, shape, _estimated_tokens(path.parent / layout.FISHER_FILE))
        return self._recorded_of_task(rule, names, shape, parameters, path)

    def _recorded_of_task(
        self,
        rule: str,
        names: dict[str, str],
        shape: costs.Shape,
        parameters: Mapping[str, Any],
        path: Path,
    ) -> Work:
        model, reading = names["model"], parameters["reading"]
        known = self._counts(names["task"], names.get("target", self.study.task_language))
        share = costs.TYPICAL_LENGTH
        length = known[1] if known else reading["max_length"] * share
        if rule in ("train_task_adapter", "score_task_adapter"):
            counts = json.loads((path.parent / "task.json").read_text(encoding="utf-8"))["examples"]
            sizes = (counts["train"], counts["validation"], counts["test"])
            if rule == "score_task_adapter":
                return self._sweep(model, shape, 1, sizes, length)
            recipe = recipes.TaskRecipe.model_construct(**_done(parameters["recipe"], path))
            return _task_adapter(model, shape, recipe, sizes, length)
        chosen = json.loads((path.parent / "selected.json").read_text(encoding="utf-8"))
        counts = (0, chosen["examples"]["validation"], chosen["examples"]["test"])
        points = len(chosen["validation"])
        return self._sweep(model, shape, points, counts, length)


CONFIG = layout.ENCODER_FILES[0]


def _done(recipe: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """A recipe with the steps that a recorded training took: `patience` may have ended it."""
    if not recipe.get("patience"):
        return recipe
    lines = (path.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    every, steps = (json.loads(line)["step"] for line in (lines[0], lines[-1]))
    return {**recipe, "steps": steps, "epochs": None, "evaluate_every": every}


def _names(path: str) -> dict[str, str]:
    """The wildcards of a job with a model, by the path of its record."""
    patterns = (
        layout.ENCODER,
        layout.LANGUAGE_ADAPTER,
        layout.TASK_ADAPTER,
        layout.READY_TASK,
        layout.CELL,
        layout.MASKED_LM,
        layout.FISHER,
    )
    return next(filter(None, (layout.parse(pattern, path) for pattern in patterns)))


def _estimated_tokens(file: Path) -> int:
    """Tokens that a Fisher information was estimated on."""
    from safetensors import safe_open

    with safe_open(file, "np") as opened:
        return int(opened.metadata()["tokens"])


def _language_model(
    model: str,
    shape: costs.Shape,
    recipe: recipes.LanguageModelRecipe,
    passes: int,
    corpus: float,
    adapters: tuple[int, ...] = (),
) -> Work:
    rows = costs.step_rows(recipe)
    steps = recipe.steps or (recipe.epochs or 0) * corpus / (rows * recipe.chunk_length)
    case = Case(
        shape,
        rows=recipe.batch_size,
        length=recipe.chunk_length,
        passes=passes,
        masked=recipe.mask_probability,
        threads=recipe.threads,
        precision=recipe.precision,
        bottlenecks=adapters,
    )
    operations = costs.language_modelling(recipe, shape, passes, corpus)
    return Work(model, case, operations, steps * recipe.accumulation, 0)


def _task_adapter(
    model: str,
    shape: costs.Shape,
    recipe: recipes.TaskRecipe,
    counts: costs.Counts,
    length: float,
    adapters: tuple[int, ...] = (),
) -> Work:
    seen, scored = costs.task_passes(recipe, counts)
    case = Case(
        shape,
        rows=recipe.batch_size,
        length=math.ceil(length),
        passes=2,
        masked=0.0,
        threads=recipe.threads,
        precision=recipe.precision,
        bottlenecks=adapters,
    )
    operations = (2 * seen + scored) * costs.example(shape, length)
    return Work(model, case, operations, seen / recipe.batch_size, scored)


def length_of(example: Any, max_length: int, stride: int | None) -> float:
    """Subwords of an example, estimated from its text; 0 if it has no field of `TEXT`.

    Args:
        stride: subwords that neighbouring windows share, where long texts are cut into windows;
            None where they are cut off.
    """
    parts = [_subwords(value) for value in (getattr(example, name, None) for name in TEXT) if value]
    if not parts:
        return 0.0
    total = sum(parts) + SPECIAL
    if total <= max_length:
        return total
    if stride is None:
        return float(max_length)
    # each window repeats the question and shares `stride` with the one before
    head = min(sum(parts[:-1]) + SPECIAL, max_length / 2)
    room = max(1.0, max_length - head - stride)
    windows = math.ceil(max(1.0, (parts[-1] - stride) / room))
    return parts[-1] + (windows - 1) * stride + windows * head


def _subwords(text: str | tuple[str, ...]) -> float:
    words = text.split() if isinstance(text, str) else text
    characters = sum(map(len, words)) + len(words)
    return max(characters / CHARACTERS, WORD * len(words))
