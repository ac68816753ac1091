"""Tagging of words: files of a word per line, first subwords, majority.

A task type defines the content of a line, the label set and the metric.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from langarith.data.readers import read_all, read_rows
from langarith.errors import InputError, warn_of_loss
from langarith.tasks.shared.base import Encoding, Features, Task, model_columns

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

IGNORED = -100


@dataclass(frozen=True)
class TaggedSentence:
    """One sentence; `id` is the line number (from 1) of its first word, in parquet the row."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


class TaggingTask(Task[TaggedSentence, list[str]]):
    """Tagging of first subwords; a prediction is one tag per word."""

    head = "tagging"
    prediction = reference = "strings"
    fallback: ClassVar[str] = "O"
    """The tag predicted for a word without a subword."""

    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[TaggedSentence]:
        """All sentences of a file: a word per line, a blank line between sentences.

        Raises:
            InputError: that of `rows`, `word` and `checked_tag`, and for a file without sentences.
        """
        self._refuse_cut(path, cut)
        sentences = list(self.sentences(path))
        if not sentences:
            raise InputError(f"{path} contains no sentence; give {self.expected_content(path)}.")
        return sentences

    def sentences(self, path: Path) -> Iterator[TaggedSentence]:
        """The sentences of a file of lines."""
        previous: str | None = ""
        converted = 0

        def read(numbered: tuple[int, str]) -> tuple[int, tuple[str, str]] | None:
            nonlocal previous, converted
            number, line = numbered
            if self.ends_sentence(line):
                previous = ""
                return number, ("", "")
            before, previous = previous, None  # None remains if this line is invalid
            where = f"{path}, line {number}"
            pair = self.word(line, where)
            if pair is None:
                previous = before
                return None
            word, tag = pair
            learnt = self.checked_tag(tag, before, where)
            previous = tag
            converted += learnt != tag
            return number, (word, learnt)

        words: list[str] = []
        tags: list[str] = []
        first = 0
        for number, (word, tag) in filter(None, read_all(self.rows(path), read)):
            if not tag:
                if words:
                    yield TaggedSentence(str(first), tuple(words), tuple(tags))
                words, tags = [], []
                continue
            if not words:
                first = number
            words.append(word)
            tags.append(tag)
        if words:
            yield TaggedSentence(str(first), tuple(words), tuple(tags))
        self.report_conversion(path, converted)

    def rows(self, path: Path) -> Iterable[tuple[int, str]]:
        """The lines of a file for `word`, with their numbers from 1."""
        return read_rows(path)

    def ends_sentence(self, line: str) -> bool:
        """Whether a line separates sentences: True for a blank line."""
        return not line.strip(" \t")

    @abstractmethod
    def word(self, line: str, where: str) -> tuple[str, str] | None:
        """The word of a line and its tag; None for a line to skip, such as a comment.

        Args:
            line: without its end.
            where: file and line number, for messages.
        """

    def checked_tag(self, tag: str, previous: str | None, where: str) -> str:
        """The tag to learn; a tag that cannot follow the previous one is refused.

        Args:
            tag: of a word, as in the file.
            previous: the tag of the previous word of the sentence, as in the file, '' for the first
                word, None if that word was invalid.
            where: file and line number, for messages.
        """
        return tag

    def report_conversion(self, path: Path, count: int) -> None:
        """Report how many tags `checked_tag` has changed."""

    @abstractmethod
    def expected_content(self, path: Path) -> str:
        """The content that a file should have, for the message about a file without sentences."""

    def check_lengths(
        self,
        examples: Sequence[TaggedSentence],
        tokenizer: Tokenizer | None,
        encoding: Encoding,
        where: str,
    ) -> None:
        """Warn of words beyond the truncation, which `Features.dropped_words` counts."""
        available = encoding.max_length
        if tokenizer is not None:
            available -= tokenizer.num_special_tokens_to_add(False)
        dropped = 0
        for example in examples:
            words = list(example.words)
            if tokenizer is None:
                dropped += max(0, len(words) - available)
            # no word has more subwords than bytes, plus a start marker
            elif sum(len(word.encode()) + 1 for word in words) > available:
                encoded = tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
                if len(encoded.word_ids) > available:
                    kept = [word for word in encoded.word_ids[:available] if word is not None]
                    dropped += len(words) - (kept[-1] + 1 if kept else 0)
        warn_of_loss(
            where,
            dropped,
            sum(len(example.words) for example in examples),
            f"words are beyond the first {encoding.max_length} subwords of their sentences and are "
            + ("not learnt from" if encoding.training else f"predicted as {self.fallback}"),
            "put a blank line after each sentence, or raise 'max_length'",
        )

    def encode(
        self,
        examples: Sequence[TaggedSentence],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
    ) -> Features:
        """One feature per sentence, truncated; the first subword of a word carries its label.

        All other subwords are ignored (-100), as is a word whose tag is not in the label set.
        `dropped_words` counts the words beyond the truncation (paper appendix: 128 subwords).
        """
        import numpy as np

        encoded = tokenizer(
            [list(example.words) for example in examples],
            is_split_into_words=True,
            truncation=True,
            max_length=encoding.max_length,
        )
        columns = model_columns(encoded)
        class_of = {label: i for i, label in enumerate(encoding.labels)}
        starts: list[np.ndarray] = []
        targets: list[list[int]] = []
        dropped = 0
        for i, example in enumerate(examples):
            word_ids = encoded.word_ids(i)
            start = np.full(len(example.words), -1, dtype=np.int64)
            for position in range(len(word_ids) - 1, -1, -1):
                if word_ids[position] is not None:
                    start[word_ids[position]] = position
            starts.append(start)
            if encoded.encodings[i].overflowing:
                kept = np.flatnonzero(start >= 0)
                dropped += len(start) - (int(kept[-1]) + 1 if len(kept) else 0)
            if encoding.training:
                target = [IGNORED] * len(word_ids)
                for position, tag in zip(start.tolist(), example.tags, strict=True):
                    if position >= 0:
                        target[position] = class_of.get(tag, IGNORED)
                targets.append(target)
        if encoding.training:
            columns["labels"] = targets
        return Features(columns, list(range(len(examples))), encoding.labels, starts, dropped)

    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[TaggedSentence]
    ) -> list[list[str]]:
        """One tag per word from class ids per subword.

        A word without a subword, because of truncation or because the tokenizer deletes its
        characters, is predicted as `fallback`.
        """
        import numpy as np

        predictions = []
        for start, classes in zip(features.alignment, outputs, strict=True):
            ids = np.asarray(classes)[start]
            predictions.append(
                [
                    features.labels[label] if position >= 0 else self.fallback
                    for position, label in zip(start, ids, strict=True)
                ]
            )
        if len(predictions) != len(examples):
            raise ValueError(f"{len(predictions)} features for {len(examples)} sentences")
        return predictions

    def entropy(
        self, features: Features, outputs: Sequence[Any], entropies: Sequence[Any]
    ) -> float:
        """Mean over the first subwords of all words that have one; 0 if there are none."""
        import numpy as np

        pairs = zip(entropies, features.alignment, strict=True)
        words = np.concatenate([np.asarray(row)[start[start >= 0]] for row, start in pairs])
        return float(words.mean(dtype=np.float64)) if len(words) else 0.0

    def gold(self, example: TaggedSentence) -> list[str]:
        """The tags of the file."""
        return list(example.tags)

    def majority(self, train_examples: Sequence[TaggedSentence]) -> str:
        """The most frequent training tag; among equals, the first of the label set."""
        counts = Counter(tag for example in train_examples for tag in example.tags)
        return max(self.labels(train_examples), key=lambda label: counts[label])

    def constant(self, answer: str, examples: Sequence[TaggedSentence]) -> list[list[str]]:
        """One tag for every word."""
        return [[answer] * len(example.words) for example in examples]
