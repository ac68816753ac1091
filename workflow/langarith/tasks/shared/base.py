"""The interface of all task types, which training and evaluation use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from langarith.errors import InputError, warn

if TYPE_CHECKING:
    import evaluate
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


class Example(Protocol):
    """One labelled example of a file; `id` is unique in that file."""

    @property
    def id(self) -> str: ...


ExampleT = TypeVar("ExampleT", bound=Example)
PredictionT = TypeVar("PredictionT")


@dataclass(frozen=True)
class Encoding:
    """How examples become model inputs.

    max_length: subwords per feature, at most.
    labels: the label set of the trained head; () for QA.
    stride: subwords that neighbouring windows share (only QA splits texts into windows).
    training: add the columns that only training needs.
    """

    max_length: int
    labels: tuple[str, ...] = ()
    stride: int = 32
    training: bool = False


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded examples, unpadded, ready to be batched in any order.

    columns: model inputs by name, one entry per feature. `input_ids` (and `token_type_ids` if
        the tokenizer makes them) are lists as long as the feature. When encoded for training also
        `labels`, a list for tagging (-100 is ignored) and an int for classification, or
        `start_positions` and `end_positions`, ints, for QA.
    example_index: for each feature, the position of its example. In order of examples.
    labels: the label set; a class id of the model is a position in it. () for QA.
    alignment: maps outputs back in `decode`, one array per feature; tagging: (words,) index of each
        word's first subword or -1; QA: (length, 2) start and end character of each subword in the
        context, -1 outside of it (empty list when encoded for training); classification: none.
    dropped_words: number of words cut off by truncation, over all examples (tagging).
    """

    columns: dict[str, list[Any]]
    example_index: list[int]
    labels: tuple[str, ...] = ()
    alignment: list[np.ndarray] = field(default_factory=list)
    dropped_words: int = 0

    def __len__(self) -> int:
        return len(self.example_index)


class Task(ABC, Generic[ExampleT, PredictionT]):
    """A downstream task: its files, its encoding, its metric.

    A new type is one module in `langarith/tasks`, with one subclass. Predictions are plain JSON
    values. Scores are in percent, unrounded. Modules of types import numpy, pyarrow and
    transformers inside functions, since the study reads the class attributes.
    """

    metrics: ClassVar[tuple[str, ...]]
    """Names of the scores; the first selects lambda and the best checkpoint (larger is better)."""
    head: ClassVar[str]
    """'tagging', 'classification' or 'qa': the head of `adapters` that the task uses."""
    prediction: ClassVar[Literal["string", "strings"]]
    reference: ClassVar[Literal["string", "strings"]]
    """Types of a prediction and of `gold`: a string or a list of strings."""
    own_keys: ClassVar[frozenset[str]] = frozenset()
    """The keys among `cut`, `stride`, `max_answer_length`, `labels`, `columns` and `tags` of a
    study that have an effect."""
    column_names: ClassVar[tuple[str, ...]] = ()
    """The names that the study's key `columns` may have."""
    suffix: ClassVar[str] = ""
    """Suffix of the files of the synthetic data set, without the dot; '' if it has none."""
    class_name: ClassVar[str] = "class"
    """The word for a class of `classes` in messages."""
    fewest_classes: ClassVar[int] = 0
    """The least number of classes in training data."""
    typical_examples: ClassVar[tuple[int, int, int] | None] = None
    """Training, validation and test examples of the usual data set, for estimates of run time."""

    def __init__(
        self,
        labels: Sequence[str] = (),
        columns: Mapping[str, int | str] | None = None,
        tags: str = "iob2",
        language: str | None = None,
        max_answer_length: int = 30,
    ) -> None:
        self.label_set = tuple(labels)
        """The label set if it is known before files are read, else ()."""
        self.study_columns = dict(columns or {})
        """The study's key `columns`: a number from 1 or a name, by name of `column_names`."""
        self.tags = tags
        """The tagging scheme of spans (:mod:`langarith.tasks.shared.spans`)."""
        self.language = language
        """The language whose rows are read in files with a column of languages."""
        self.max_answer_length = max_answer_length
        """Subwords of a predicted answer, at most (QA)."""

    @property
    def type(self) -> str:
        """The name of the type: that of its module."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[ExampleT]:
        """All examples of a file, which is checked to its end; never an empty list.

        `cut` and `split` ('validation' or 'test') select one part of a file with both; only QA has
        cuts.

        Raises:
            InputError: a mistake in the file; it names the file, the position and the fix.
        """

    def read_split(self, path: Path, split: str, reading: Mapping[str, Any]) -> list[ExampleT]:
        """The examples of a split that a study reads: all, or a limited number.

        A limited number is evenly spaced, so that a file sorted by label keeps its labels. The
        whole file is always checked.

        Raises:
            InputError: as for `read`.

        Args:
            reading: from :func:`langarith.study.sources.task_reading`.
        """
        examples = self.read(path, cut=reading["cuts"][split], split=split)
        count = reading.get("examples", {}).get(split, len(examples))
        if count >= len(examples):
            return examples
        return [examples[i * len(examples) // count] for i in range(count)]

    @abstractmethod
    def labels(self, examples: Sequence[ExampleT]) -> tuple[str, ...]:
        """The label set of training examples in a fixed order; () if the task has none."""

    def classes(self, examples: Sequence[ExampleT]) -> Counter[str]:
        """Counts of the classes that a model can predict only if the training data have them.

        Entity types, tags or labels; empty if a task has none.
        """
        return Counter()

    def check_trained(self, trained: Mapping[str, int], where: str) -> None:
        """Refuse training data with too few classes to learn from.

        Args:
            trained: `classes` of the training data.
            where: their name in messages.
        """
        if len(trained) < self.fewest_classes:
            content = (
                f"one {self.class_name} ({', '.join(trained)})"
                if trained
                else (f"no {self.class_name}")
            )
            raise InputError(
                f"{where}: it has {content}, but training needs at least "
                f"{self.fewest_classes}; give other training data."
            )

    def check_classes(
        self, trained: Mapping[str, int], found: Mapping[str, int], where: str
    ) -> None:
        """Warn of classes that a model cannot predict, because its training data lack them.

        Args:
            trained, found: `classes` of the training data and of the data to score.
            where: name of the data to score in messages.

        Raises:
            InputError: the two have no class in common.
        """
        if not self.fewest_classes:
            return
        unknown = {name: count for name, count in found.items() if name not in trained}
        if not found:
            warn(where, f"it has no {self.class_name}, so its scores mean nothing")
        elif len(unknown) == len(found):
            raise InputError(
                f"{where}: none of its {self.class_name}s ({', '.join(sorted(found))}) is among "
                f"those of the training data ({', '.join(sorted(trained))}); use the same names "
                "in both."
            )
        elif unknown:
            counts = ", ".join(f"{name} ({count:,})" for name, count in sorted(unknown.items()))
            warn(
                where,
                f"{len(unknown)} of {len(found)} {self.class_name}s cannot be predicted, since the "
                f"training data have none of them: {counts}",
            )

    def texts(self, examples: Sequence[ExampleT]) -> tuple[str, ...]:
        """Columns of text that all of these examples have, if files may lack some; else ()."""
        return ()

    def check_texts(self, trained: Sequence[str], found: Sequence[str], where: str) -> None:
        """Refuse data that lack a column of text of the training data, or have one more.

        Args:
            trained, found: `texts` of the training data and of the data to score.
            where: name of the data to score in messages.
        """
        for name in sorted({*trained} ^ {*found}):
            here, there = ("have", "lack") if name in found else ("lack", "have")
            raise InputError(
                f"{where}: its rows {here} '{name}', but those of the training data {there} it; "
                "give it in the files of all languages and splits or in none."
            )

    def check_lengths(
        self,
        examples: Sequence[ExampleT],
        tokenizer: Tokenizer | None,
        encoding: Encoding,
        where: str,
    ) -> None:
        """Warn of examples, or words, that do not fit into the model's inputs.

        Args:
            tokenizer: the base model's; None if it is not available: then a word counts as one
                subword, so that reported losses are certain.
            where: name of the examples in messages.

        Raises:
            InputError: more than half of them are lost, or one cannot be encoded at all.
        """

    @abstractmethod
    def encode(
        self,
        examples: Sequence[ExampleT],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
    ) -> Features:
        """Tokenise each example once, with at most `encoding.max_length` subwords per feature."""

    @abstractmethod
    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[ExampleT]
    ) -> list[PredictionT]:
        """Predictions, one per example, from the model's outputs, one per feature, in order.

        Tagging: int array of class ids, shape (length,). Classification: one class id. QA: float
        array, shape (2, length): start logits, end logits. Positions beyond a feature's length
        (padding on the right) are ignored.
        """

    @abstractmethod
    def gold(self, example: ExampleT) -> Any:
        """The annotation: a list of tags (tagging), a label (classification), answers (QA)."""

    @abstractmethod
    def counts(
        self, predictions: Sequence[PredictionT], references: Sequence[Any]
    ) -> dict[str, np.ndarray]:
        """Counts by name, arrays of shape (examples,); the metrics are functions of their sums.

        Not negative. `references` come from `gold`. A missing name is 0 for all examples.
        """

    @abstractmethod
    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Each of `metrics`, in percent, from sums of `counts` over examples.

        Sums are arrays of one shape, and so are the scores; `sums["examples"]` is the number of
        examples. Sums over resampled examples give intervals without predictions.
        """

    @abstractmethod
    def entropy(
        self, features: Features, outputs: Sequence[Any], entropies: Sequence[Any]
    ) -> float:
        """Mean entropy of the predictions in nats, from the outputs of a model for each feature.

        Args:
            outputs: as in `decode`.
            entropies: tagging: float arrays (length,), of each subword's tags; classification: one
                float per feature; QA: nothing, because the logits are in `outputs`.
        """

    def compute(
        self, predictions: Sequence[PredictionT], references: Sequence[Any]
    ) -> dict[str, float]:
        """Each of `metrics`, in percent, unrounded; `references` come from `gold`."""
        return self.total(self.counts(predictions, references), len(references))

    def total(self, counts: Mapping[str, np.ndarray], examples: int) -> dict[str, float]:
        """Each of `metrics`, in percent, unrounded, from the `counts` of all examples."""
        sums = {name: float(values.sum(dtype=float)) for name, values in counts.items()}
        scores = self.scores(sums | {"examples": examples})
        return {name: float(score) for name, score in scores.items()}

    @abstractmethod
    def majority(self, train_examples: Sequence[ExampleT]) -> str:
        """The prediction of the majority baseline: the most frequent class of the training data."""

    @abstractmethod
    def constant(self, answer: str, examples: Sequence[ExampleT]) -> list[PredictionT]:
        """Predictions of a baseline that gives one answer for all examples."""

    def report(
        self, predictions: Sequence[PredictionT], examples: Sequence[ExampleT]
    ) -> dict[str, float]:
        """The numbers of `compute` by `metric`, for results."""
        from langarith.tasks.shared.metrics import report

        return report(self, predictions, [self.gold(example) for example in examples])

    def metric(self, **options: Any) -> evaluate.Metric:
        """`compute` as a module of `evaluate`, without the hub; options are those of its class.

        Importing `evaluate` takes seconds.
        """
        from langarith.tasks.shared.metrics import TaskMetric

        return TaskMetric(self, **options)

    def _refuse_cut(self, path: Path, cut: str | None) -> None:
        if cut is not None:
            raise InputError(
                f"{path}: 'cut: {cut}' is set, but a {self.type} file cannot be cut; give one "
                "file per split."
            )


def model_columns(encoded: Any) -> dict[str, list[Any]]:
    """The input columns of a model from a transformers encoding, without the attention mask.

    The mask follows from the lengths when a batch is padded. Segment ids are kept if the tokenizer
    makes them: mBERT distinguishes premise and hypothesis by them, XLM-R has none.
    """
    names = ("input_ids", "token_type_ids")
    return {name: list(encoded[name]) for name in names if name in encoded}
