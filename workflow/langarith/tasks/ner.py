"""Named-entity recognition on CoNLL or parquet files with IOB2 tags (WikiANN in the paper)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.data.readers import class_names, open_parquet, read_all
from langarith.errors import InputError, warn
from langarith.tasks.shared import spans
from langarith.tasks.shared.columns import split_columns, words_and_tags
from langarith.tasks.shared.tagging import TaggedSentence, TaggingTask

if TYPE_CHECKING:
    import numpy as np

WIKIANN_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
"""Tags by number of a parquet file that does not name its tags."""


class Ner(TaggingTask):
    """Entities as IOB2 tags; a prediction is one tag per word."""

    metrics = ("f1", "f1_strict")
    class_name, fewest_classes = "entity type", 1
    own_keys = frozenset({"columns", "tags"})
    column_names = ("token", "tag")
    suffix = "conll"
    typical_examples = (20_000, 10_000, 10_000)  # WikiANN, large languages

    def sentences(self, path: Path) -> Iterator[TaggedSentence]:
        """Sentences of a CoNLL or, by its suffix, `.parquet` file.

        CoNLL: a word and its tag per line, a blank line between sentences. Columns are separated by
        tabs, or by spaces if the line has no tab; `words_and_tags` selects the columns to read.
        `-DOCSTART-` lines and comments are skipped. Parquet, as in WikiANN: a sentence per row,
        lists `tokens` and `ner_tags`, the tags as words or as numbers that the file's metadata
        names (otherwise `WIKIANN_TAGS`, with a warning). Tags of another scheme are converted to
        IOB2, with a warning that counts them.

        Raises:
            InputError: that of `words_and_tags` and `spans.to_iob2`, for a word without a tag, and
                a token that is null.
        """
        if path.suffix == ".parquet":
            return _parquet_sentences(path, self.study_columns, self.tags)
        return super().sentences(path)

    def rows(self, path: Path) -> Iterable[tuple[int, str]]:
        """The lines of a file; lines of words as the word, a tab and its tag."""
        rows = list(super().rows(path))
        return words_and_tags(path, rows, self.ends_sentence, self.study_columns)

    def ends_sentence(self, line: str) -> bool:
        """True for blank and `-DOCSTART-` lines."""
        return super().ends_sentence(line) or line.startswith("-DOCSTART-")

    def word(self, line: str, where: str) -> tuple[str, str]:
        """Both columns of a line of `rows`."""
        columns = split_columns(line)
        word, tag = columns[0], columns[-1].strip(" ")
        if len(columns) < 2 or not word.strip(" ") or not tag:
            raise InputError(
                f"{where}: a column is missing (a line has a token and its tag); write the token, "
                "a tab, the tag."
            )
        return word, tag

    def checked_tag(self, tag: str, previous: str | None, where: str) -> str:
        """The tag in IOB2; refuses tags outside the scheme, and one that continues no span."""
        return spans.to_iob2(tag, previous, self.tags, where)

    def report_conversion(self, path: Path, count: int) -> None:
        """Give a warning."""
        _warn_of_conversion(path, count, self.tags)

    def expected_content(self, path: Path) -> str:
        """By the format of the suffix."""
        if path.suffix == ".parquet":
            return "rows of tokens and ner_tags"
        return "lines of a token, a tab and a tag"

    def labels(self, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """O, then B-X and I-X of every type X in the tags, types in alphabetical order."""
        types = {tag[2:] for example in examples for tag in example.tags if tag != "O"}
        return ("O", *(f"{mark}-{entity}" for entity in sorted(types) for mark in "BI"))

    def classes(self, examples: Sequence[TaggedSentence]) -> Counter[str]:
        """Entities by type."""
        tags = (tag for example in examples for tag in example.tags)
        return Counter(tag[2:] for tag in tags if tag.startswith("B-"))

    def counts(
        self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """See `entity_counts`."""
        return entity_counts(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Entity F1 (micro), see `entity_f1`."""
        return entity_f1(sums)


COLUMNS = {"token": "tokens", "tag": "ner_tags"}
"""Default columns of a parquet file."""


def _parquet_sentences(
    path: Path, study_columns: Mapping[str, int | str], scheme: str
) -> Iterator[TaggedSentence]:
    for name, column in study_columns.items():
        if isinstance(column, int):
            raise InputError(
                f"{path} has named columns, but the study's 'columns' gives {column} for the "
                f"{name}; give its name instead."
            )
    token_column, tag_column = (
        str(study_columns.get(name, usual)) for name, usual in COLUMNS.items()
    )
    file = open_parquet(path, [token_column, tag_column])
    try:
        names = class_names(file.schema_arrow, tag_column)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    columns = file.read(columns=[token_column, tag_column]).to_pydict()
    if names is None and any(isinstance(tag, int) for tags in columns[tag_column] for tag in tags):
        warn(
            str(path),
            "its tags are numbers without names, which are read in WikiANN's order "
            f"({', '.join(WIKIANN_TAGS)})",
        )
    order = WIKIANN_TAGS if names is None else names
    converted = 0

    def read(row: tuple[int, tuple[Any, Any]]) -> TaggedSentence:
        nonlocal converted
        number, (words, values) = row
        where = f"{path}, row {number}"
        original = _tags(where, words, values, order)
        tags = [
            spans.to_iob2(tag, previous, scheme, where)
            for previous, tag in pairwise(["", *original])
        ]
        converted += sum(old != new for old, new in zip(original, tags, strict=True))
        return TaggedSentence(str(number), tuple(map(str, words)), tuple(tags))

    rows = zip(columns[token_column], columns[tag_column], strict=True)
    sentences = read_all(enumerate(rows, start=1), read)
    if empty := sum(not word.strip() for sentence in sentences for word in sentence.words):
        warn(str(path), f"{empty:,} of its tokens are empty and are predicted as O")
    _warn_of_conversion(path, converted, scheme)
    yield from sentences


def _warn_of_conversion(path: Path, count: int, scheme: str) -> None:
    if count:
        warn(str(path), f"{count:,} of its tags are converted from {scheme.upper()} to IOB2")


def _tags(where: str, words: Any, values: Any, names: Sequence[str]) -> list[str]:
    """The tags of a row, as in the file."""
    if not words or not values or len(words) != len(values):
        raise InputError(
            f"{where} has {len(words or ())} tokens and {len(values or ())} tags; give one "
            "tag for each token, and one token at least."
        )
    for word, value in zip(words, values, strict=True):
        if word is None or value is None:
            raise InputError(
                f"{where}: a {'token' if word is None else 'tag'} is empty (null); write it or "
                "drop the row."
            )
        if isinstance(value, int) and not 0 <= value < len(names):
            raise InputError(
                f"{where}: the number {value} is not a tag (use 0 to {len(names) - 1}: "
                f"{', '.join(names)}); write the tags as words."
            )
    return [names[value] if isinstance(value, int) else str(value) for value in values]


MODES = ("f1", "f1_strict")
"""seqeval's default mode, as in the paper and XTREME, which accepts a span that starts with I-; and
its IOB2 mode, which does not."""


def entity_counts(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, np.ndarray]:
    """Correct, predicted and annotated entities of each sentence in each of `MODES`, by seqeval."""
    import numpy as np

    counts = np.zeros((len(references), len(MODES), 3), dtype=np.int64)
    for row, (predicted, gold) in zip(
        counts, zip(predictions, references, strict=True), strict=True
    ):
        modes = zip(_entities(tuple(predicted)), _entities(tuple(gold)), strict=True)
        for mode, (p, g) in enumerate(modes):
            row[mode] = len(p & g), len(p), len(g)
    return {
        f"{name} {kind}": counts[:, mode, column]
        for mode, name in enumerate(MODES)
        for column, kind in enumerate(("correct", "predicted", "gold"))
    }


def entity_f1(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Micro-averaged entity F1 in percent in each of `MODES`; 0 if there are no entities."""
    import numpy as np

    scores = {}
    for mode in MODES:
        correct = np.asarray(sums[f"{mode} correct"], dtype=float)
        total = np.asarray(sums[f"{mode} predicted"], dtype=float) + sums[f"{mode} gold"]
        scores[mode] = np.divide(200 * correct, total, out=np.zeros_like(total), where=total > 0)
    return scores


@lru_cache(maxsize=1 << 15)
def _entities(tags: tuple[str, ...]) -> tuple[frozenset[Any], frozenset[Any]]:
    """Entities of a sentence by seqeval in its default mode and in IOB2 mode.

    Cached, because a sweep scores the annotators' tags at every lambda, and most predictions do not
    change from one lambda to the next.
    """
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB2, Entities

    strict = Entities([list(tags)], IOB2).entities[0]
    return frozenset(get_entities(list(tags))), frozenset(e.to_tuple()[1:] for e in strict)
