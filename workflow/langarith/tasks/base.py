"""What every task offers, so that training and evaluation need to know none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from langarith.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Example(Protocol):
    """One labelled example of a file; `id` tells it from the others of that file."""

    @property
    def id(self) -> str: ...


ExampleT = TypeVar("ExampleT", bound=Example)
PredictionT = TypeVar("PredictionT")


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded examples, unpadded, ready to be batched in any order.

    columns: model inputs by name, one entry per feature. `input_ids` (and `token_type_ids` where
        the tokenizer makes them) are lists as long as the feature; when encoded for training also
        the task's `label_columns`: lists for NER (-100 is ignored), plain ints for NLI and QA.
    example_index: for each feature, the position of its example. In order of examples.
    labels: the label set; a class id of the model is a position in it. () for QA.
    alignment: what `decode` needs to map outputs back, one array per feature; NER: (words,) index
        of each word's first subword or -1; QA: (length, 2) start and end character of each
        subword in the context, -1 outside of it (empty list when encoded for training); NLI: none.
    dropped_words: number of words cut off by truncation, over all examples (NER).
    """

    columns: dict[str, list[Any]]
    example_index: list[int]
    labels: tuple[str, ...] = ()
    alignment: list[np.ndarray] = field(default_factory=list)
    dropped_words: int = 0

    def __len__(self) -> int:
        return len(self.example_index)

    def lengths(self) -> np.ndarray:
        """Number of subwords of each feature, shape (features,)."""
        return np.fromiter(map(len, self.columns["input_ids"]), dtype=np.int64, count=len(self))


class Task(ABC, Generic[ExampleT, PredictionT]):
    """A downstream task: its files, its encoding, its metric.

    A new task is a subclass in a file of its own and a line in `tasks/__init__.py`. Predictions
    are plain JSON values. Scores are in percent, unrounded.
    """

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """Names of the scores; the first selects lambda and the best checkpoint."""
    head: ClassVar[str]
    """'tagging', 'classification' or 'qa': the head of `adapters` that the task takes."""
    label_columns: ClassVar[tuple[str, ...]]
    """Columns of `Features` that only training needs."""
    max_length: ClassVar[int]
    """Subwords per feature in the paper's runs."""

    @abstractmethod
    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[ExampleT]:
        """All examples of a file, checked to its end; never an empty list.

        `cut` and `split` ('validation' or 'test') take one part of a file that holds both; only
        QA knows cuts. Errors: InputError that names the file, the place and the mend.
        """

    @abstractmethod
    def labels(self, examples: Sequence[ExampleT]) -> tuple[str, ...]:
        """The label set of training examples in a fixed order; () where the task has none."""

    @abstractmethod
    def encode(
        self,
        examples: Sequence[ExampleT],
        tokenizer: PreTrainedTokenizerFast,
        *,
        max_length: int,
        labels: tuple[str, ...],
        stride: int = 128,
        training: bool,
    ) -> Features:
        """Tokenise each example once, at most `max_length` subwords to a feature.

        Only QA uses `stride`, the subwords that neighbouring windows share. With `training` the
        label columns are added.
        """

    @abstractmethod
    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[ExampleT]
    ) -> list[PredictionT]:
        """Predictions, one per example, from the model's outputs, one per feature, in order.

        NER: int array of class ids, shape (length,). NLI: one class id. QA: float array, shape
        (2, length): start logits, end logits. Positions beyond a feature's length (padding on
        the right) are not looked at.
        """

    @abstractmethod
    def gold(self, example: ExampleT) -> Any:
        """What the annotators say: NER a list of tags, NLI a label, QA a list of answers."""

    @abstractmethod
    def score(
        self, predictions: Sequence[PredictionT], examples: Sequence[ExampleT]
    ) -> dict[str, float]:
        """Each of `metrics`, in percent, unrounded."""

    @abstractmethod
    def majority(self, train_examples: Sequence[ExampleT]) -> str:
        """The answer of the simplest reference: the most frequent class of the training data."""

    @abstractmethod
    def constant(self, answer: str, examples: Sequence[ExampleT]) -> list[PredictionT]:
        """Predictions of a reference that gives one answer everywhere."""

    def _refuse_cut(self, path: Path, cut: str | None) -> None:
        if cut is not None:
            raise InputError(
                f"{path}: cut '{cut}' asked of a {self.kind} file, but only qa files can be cut; "
                "give one file per split."
            )


def model_columns(encoding: Any) -> dict[str, list[Any]]:
    """The columns of a transformers encoding that a model takes, less the attention mask.

    The mask follows from the lengths once a batch is padded. Segment ids are kept where the
    tokenizer makes them: mBERT tells premise and hypothesis apart by them, XLM-R has none.
    """
    names = ("input_ids", "token_type_ids")
    return {name: list(encoding[name]) for name in names if name in encoding}
