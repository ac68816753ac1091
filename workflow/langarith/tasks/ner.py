"""Named-entity recognition on CoNLL or parquet files with IOB2 tags (WikiANN in the paper)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langarith.data.readers import open_parquet, read_lines
from langarith.errors import InputError
from langarith.tasks.base import Features, Task, model_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
TAG = re.compile(r"O|[BI]-\S+")
# A token may hold a no-break or ideographic space, which str.split() would take for a separator.
COLUMNS = re.compile(r"[ \t]+")
WIKIANN_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
"""What the numbers of a parquet file mean that does not name its tags."""


@dataclass(frozen=True)
class NerExample:
    """One sentence; `id` is the line number (from 1) of its first word, in parquet its row."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


class Ner(Task[NerExample, list[str]]):
    """Tagging of first subwords; a prediction is one tag per word."""

    kind = "ner"
    metrics = ("f1", "f1_strict")
    head = "tagging"
    label_columns = ("labels",)
    max_length = 128

    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[NerExample]:
        """Sentences of a CoNLL or, by its suffix, `.parquet` file.

        CoNLL: word first, tag last on a line, blank line between sentences. Columns are parted by
        tabs, or by spaces where the line has no tab. `-DOCSTART-` lines are skipped. Parquet, as
        WikiANN has it: a sentence per row, lists `tokens` and `ner_tags`, the tags as words or as
        numbers that the file's own metadata names (else `WIKIANN_TAGS`).

        Errors: InputError for a word without a tag, a tag that is not O, B-X or I-X, an I-X that
        continues no X, and a file without sentences.
        """
        self._refuse_cut(path, cut)
        parquet = path.suffix == ".parquet"
        sentences = list(_parquet_sentences(path) if parquet else _conll_sentences(path))
        if not sentences:
            raise InputError(
                f"{path} holds no sentence; give "
                + (
                    "rows of tokens and ner_tags."
                    if parquet
                    else "lines of a token, a tab and a tag."
                )
            )
        return sentences

    def labels(self, examples: Sequence[NerExample]) -> tuple[str, ...]:
        """O, then B-X and I-X of every type X in the tags, types in alphabetical order."""
        types = {tag[2:] for example in examples for tag in example.tags if tag != "O"}
        return ("O", *(f"{mark}-{kind}" for kind in sorted(types) for mark in "BI"))

    def encode(
        self,
        examples: Sequence[NerExample],
        tokenizer: PreTrainedTokenizerFast,
        *,
        max_length: int,
        labels: tuple[str, ...],
        stride: int = 128,
        training: bool,
    ) -> Features:
        """One feature per sentence, truncated; the first subword of a word carries its label.

        All other subwords are ignored (-100), as is a word whose type `labels` lacks.
        `dropped_words` counts the words beyond the truncation (paper appendix: 128 subwords).
        """
        encoding = tokenizer(
            [list(example.words) for example in examples],
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
        )
        columns = model_columns(encoding)
        class_of = {label: i for i, label in enumerate(labels)}
        starts: list[np.ndarray] = []
        targets: list[list[int]] = []
        dropped = 0
        for i, example in enumerate(examples):
            word_ids = encoding.word_ids(i)
            start = np.full(len(example.words), -1, dtype=np.int64)
            for position in range(len(word_ids) - 1, -1, -1):
                if word_ids[position] is not None:
                    start[word_ids[position]] = position
            starts.append(start)
            if encoding.encodings[i].overflowing:
                kept = np.flatnonzero(start >= 0)
                dropped += len(start) - (int(kept[-1]) + 1 if len(kept) else 0)
            if training:
                target = [IGNORED] * len(word_ids)
                for position, tag in zip(start.tolist(), example.tags, strict=True):
                    if position >= 0:
                        target[position] = class_of.get(tag, IGNORED)
                targets.append(target)
        if training:
            columns["labels"] = targets
        return Features(columns, list(range(len(examples))), labels, starts, dropped)

    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[NerExample]
    ) -> list[list[str]]:
        """One tag per word from class ids per subword.

        A word without a subword, because truncation cut it off or the tokenizer deletes its
        characters, is predicted O.
        """
        predictions = []
        for start, classes in zip(features.alignment, outputs, strict=True):
            ids = np.asarray(classes)[start]
            predictions.append(
                [
                    features.labels[label] if position >= 0 else "O"
                    for position, label in zip(start, ids, strict=True)
                ]
            )
        if len(predictions) != len(examples):
            raise ValueError(f"{len(predictions)} features for {len(examples)} sentences")
        return predictions

    def gold(self, example: NerExample) -> list[str]:
        """The tags of the file."""
        return list(example.tags)

    def score(
        self, predictions: Sequence[list[str]], examples: Sequence[NerExample]
    ) -> dict[str, float]:
        """Entity F1 (micro), see `entity_f1`."""
        return entity_f1(predictions, [self.gold(example) for example in examples])

    def majority(self, train_examples: Sequence[NerExample]) -> str:
        """The most frequent training tag, in practice O."""
        counts = Counter(tag for example in train_examples for tag in example.tags)
        return max(self.labels(train_examples), key=lambda label: counts[label])

    def constant(self, answer: str, examples: Sequence[NerExample]) -> list[list[str]]:
        """One tag for every word."""
        return [[answer] * len(example.words) for example in examples]


def _conll_sentences(path: Path) -> Iterator[NerExample]:
    words: list[str] = []
    tags: list[str] = []
    first = 0
    for number, line in read_lines(path):
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            if words:
                yield NerExample(str(first), tuple(words), tuple(tags))
            words, tags = [], []
            continue
        word, tag = _columns(line, f"{path}, line {number}")
        _check_tag(tag, tags[-1] if tags else "O", f"{path}, line {number}")
        if not words:
            first = number
        words.append(word)
        tags.append(tag)
    if words:
        yield NerExample(str(first), tuple(words), tuple(tags))


def _parquet_sentences(path: Path) -> Iterator[NerExample]:
    file = open_parquet(path, ["tokens", "ner_tags"])
    names = _tag_names(file.schema_arrow.metadata or {})
    columns = file.read(columns=["tokens", "ner_tags"]).to_pydict()
    rows = zip(columns["tokens"], columns["ner_tags"], strict=True)
    for number, (words, numbers) in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if not words or not numbers or len(words) != len(numbers):
            raise InputError(
                f"{where} has {len(words or ())} tokens and {len(numbers or ())} tags; give one "
                "tag for each token, and one token at least."
            )
        tags: list[str] = []
        for value in numbers:
            if isinstance(value, int) and not 0 <= value < len(names):
                raise InputError(
                    f"{where}: the number {value} stands for no tag (0 to {len(names) - 1} do: "
                    f"{', '.join(names)}); write the tags as words."
                )
            tag = names[value] if isinstance(value, int) else str(value)
            _check_tag(tag, tags[-1] if tags else "O", where)
            tags.append(tag)
        yield NerExample(str(number), tuple(map(str, words)), tuple(tags))


def _tag_names(metadata: dict[bytes, bytes]) -> Sequence[str]:
    """The class names that `datasets` writes into a parquet file's schema."""
    try:
        tags = json.loads(metadata[b"huggingface"])["info"]["features"]["ner_tags"]
        return [str(name) for name in tags["feature"]["names"]]
    except (KeyError, TypeError, ValueError):
        return WIKIANN_TAGS


def _columns(line: str, where: str) -> tuple[str, str]:
    columns = line.rstrip(" ").split("\t") if "\t" in line else COLUMNS.split(line.strip(" "))
    word, tag = columns[0], columns[-1].strip(" ")
    if len(columns) < 2 or not word.strip(" ") or not tag:
        raise InputError(
            f"{where}: a column is missing (a token and its tag make a line); write the token, "
            "a tab, the tag."
        )
    return word, tag


def _check_tag(tag: str, previous: str, where: str) -> None:
    if not TAG.fullmatch(tag):
        raise InputError(f"{where}: '{tag}' is not an IOB2 tag; write O, B-TYPE or I-TYPE.")
    if tag.startswith("I-") and previous[2:] != tag[2:]:
        raise InputError(
            f"{where}: '{tag}' continues no {tag[2:]} span; convert the file to IOB2, where a span "
            f"starts with B-{tag[2:]}."
        )


def entity_f1(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Micro-averaged entity F1 in percent, by seqeval.

    `f1`: seqeval's default mode, as the authors and XTREME report, which forgives a span that
    starts with I-. `f1_strict`: IOB2, which does not. 0 where neither side has an entity.
    """
    sides = [
        [_entities(tuple(tags)) for tags in sequences] for sequences in (references, predictions)
    ]
    scores = {}
    for mode, name in enumerate(("f1", "f1_strict")):
        gold, predicted = ([found[mode] for found in side] for side in sides)
        total = sum(map(len, gold)) + sum(map(len, predicted))
        correct = sum(len(g & p) for g, p in zip(gold, predicted, strict=True))
        scores[name] = 200 * correct / total if total else 0.0
    return scores


@lru_cache(maxsize=1 << 15)
def _entities(tags: tuple[str, ...]) -> tuple[frozenset[Any], frozenset[Any]]:
    """Entities of a sentence as seqeval finds them in its default mode and by IOB2.

    A sweep asks for most sentences again and again: what is tagged alike at the last lambda, and
    the annotators' tags.
    """
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB2, Entities

    strict = Entities([list(tags)], IOB2).entities[0]
    return frozenset(get_entities(list(tags))), frozenset(e.to_tuple()[1:] for e in strict)
