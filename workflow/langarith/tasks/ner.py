"""Named-entity recognition on CoNLL or parquet files with IOB2 tags (WikiANN in the paper)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.data.readers import open_parquet
from langarith.errors import InputError
from langarith.tasks.shared.tagging import TaggedSentence, TaggingTask

if TYPE_CHECKING:
    import numpy as np

TAG = re.compile(r"O|[BI]-\S+")
# A token may hold a no-break or ideographic space, which str.split() would take for a separator.
COLUMNS = re.compile(r"[ \t]+")
WIKIANN_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
"""What the numbers of a parquet file mean that does not name its tags."""


class Ner(TaggingTask):
    """Entities as IOB2 tags; a prediction is one tag per word."""

    metrics = ("f1", "f1_strict")
    suffix = "conll"
    typical_examples = (20_000, 10_000, 10_000)  # WikiANN, large languages

    def sentences(self, path: Path) -> Iterator[TaggedSentence]:
        """Sentences of a CoNLL or, by its suffix, `.parquet` file.

        CoNLL: word first, tag last on a line, blank line between sentences. Columns are parted by
        tabs, or by spaces where the line has no tab. `-DOCSTART-` lines are skipped. Parquet, as
        WikiANN has it: a sentence per row, lists `tokens` and `ner_tags`, the tags as words or as
        numbers that the file's own metadata names (else `WIKIANN_TAGS`).

        Errors: InputError for a word without a tag, a tag that is not O, B-X or I-X, and an I-X
        that continues no X.
        """
        return _parquet_sentences(path) if path.suffix == ".parquet" else super().sentences(path)

    def ends_sentence(self, line: str) -> bool:
        """Blank and `-DOCSTART-` lines do."""
        return super().ends_sentence(line) or line.startswith("-DOCSTART-")

    def word(self, line: str, where: str, previous: str) -> tuple[str, str]:
        """First and last column."""
        word, tag = _columns(line, where)
        _check_tag(tag, previous or "O", where)
        return word, tag

    def expected(self, path: Path) -> str:
        """By the format that the suffix names."""
        if path.suffix == ".parquet":
            return "rows of tokens and ner_tags"
        return "lines of a token, a tab and a tag"

    def labels(self, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """O, then B-X and I-X of every type X in the tags, types in alphabetical order."""
        types = {tag[2:] for example in examples for tag in example.tags if tag != "O"}
        return ("O", *(f"{mark}-{entity}" for entity in sorted(types) for mark in "BI"))

    def counts(
        self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """See `entity_counts`."""
        return entity_counts(predictions, references)

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Entity F1 (micro), see `entity_f1`."""
        return entity_f1(sums)


def _parquet_sentences(path: Path) -> Iterator[TaggedSentence]:
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
        yield TaggedSentence(str(number), tuple(map(str, words)), tuple(tags))


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


MODES = ("f1", "f1_strict")
"""seqeval's default mode, as the authors and XTREME report, which forgives a span that starts with
I-; and IOB2, which does not."""


def entity_counts(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, np.ndarray]:
    """Correct, predicted and annotated entities of each sentence in each of `MODES`, by seqeval."""
    import numpy as np

    counts = np.zeros((len(references), len(MODES), 3), dtype=np.int64)
    for row, (predicted, gold) in zip(
        counts, zip(predictions, references, strict=True), strict=True
    ):
        sides = zip(_entities(tuple(predicted)), _entities(tuple(gold)), strict=True)
        for mode, (p, g) in enumerate(sides):
            row[mode] = len(p & g), len(p), len(g)
    return {
        f"{name} {kind}": counts[:, mode, column]
        for mode, name in enumerate(MODES)
        for column, kind in enumerate(("correct", "predicted", "gold"))
    }


def entity_f1(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Micro-averaged entity F1 in percent in each of `MODES`; 0 where no side has an entity."""
    import numpy as np

    found = {}
    for mode in MODES:
        correct = np.asarray(sums[f"{mode} correct"], dtype=float)
        total = np.asarray(sums[f"{mode} predicted"], dtype=float) + sums[f"{mode} gold"]
        found[mode] = np.divide(200 * correct, total, out=np.zeros_like(total), where=total > 0)
    return found


@lru_cache(maxsize=1 << 15)
def _entities(tags: tuple[str, ...]) -> tuple[frozenset[Any], frozenset[Any]]:
    """Entities of a sentence as seqeval finds them in its default mode and by IOB2.

    A sweep scores most sentences again and again: what is tagged alike at the last lambda, and
    the annotators' tags.
    """
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB2, Entities

    strict = Entities([list(tags)], IOB2).entities[0]
    return frozenset(get_entities(list(tags))), frozenset(e.to_tuple()[1:] for e in strict)
