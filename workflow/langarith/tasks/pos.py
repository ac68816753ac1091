"""Part-of-speech tagging on CoNLL-U files (Universal Dependencies), or on columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError
from langarith.tasks.shared.columns import split_columns, words_and_tags
from langarith.tasks.shared.scores import CORRECT, accuracy
from langarith.tasks.shared.tagging import TaggedSentence, TaggingTask

if TYPE_CHECKING:
    import numpy as np

UPOS = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)


class Pos(TaggingTask):
    """Universal part-of-speech tags; a prediction is one tag per word."""

    metrics = ("accuracy",)
    class_name, fewest_classes = "tag", 2
    fallback = "X"
    own_keys = frozenset({"columns"})
    column_names = ("token", "tag")
    typical_examples = (12_543, 2_001, 2_077)  # UD English-EWT

    def rows(self, path: Path) -> Iterable[tuple[int, str]]:
        """The lines of CoNLL-U; where columns are given, those of words as word, tab and tag."""
        rows = super().rows(path)
        if not self.given:
            return rows
        return words_and_tags(path, list(rows), self.ends_sentence, self.given, recognise=False)

    def word(self, line: str, where: str) -> tuple[str, str] | None:
        """FORM and UPOS; None for comments, ranges like 1-2 and empty nodes like 1.1.

        Errors: InputError for a line that has not 10 columns, an id that is no number, an empty
        FORM and an unknown UPOS; where columns are given, for a line that lacks one.
        """
        if self.given:
            columns = split_columns(line)
            if len(columns) < 2 or not columns[0].strip(" "):
                raise InputError(
                    f"{where}: a column is missing (a token and its tag make a line); write both."
                )
            return columns[0], self._upos(columns[1].strip(" "), where)
        if line.startswith("#"):
            return None
        columns = line.split("\t")
        if len(columns) != 10 or not columns[1]:
            raise InputError(
                f"{where} is not a word of CoNLL-U; give 10 columns parted by tabs, or say in the "
                "study's task which columns hold what (columns: {token: 1, tag: 2})."
            )
        if not columns[0].isdecimal():
            if columns[0].replace("-", "").replace(".", "").isdecimal():
                return None
            raise InputError(
                f"{where}: '{columns[0]}' is not a word's number; write 1, 1-2 or 1.1."
            )
        return columns[1], self._upos(columns[3], where)

    def _upos(self, tag: str, where: str) -> str:
        if tag not in UPOS:
            raise InputError(f"{where}: '{tag}' is not a UPOS tag; write one of {', '.join(UPOS)}.")
        return tag

    def expected(self, path: Path) -> str:
        """CoNLL-U, whatever the suffix; or columns."""
        return "lines of a token and its tag" if self.given else "sentences in CoNLL-U"

    def labels(self, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """All 17 tags, whatever the examples hold."""
        return UPOS

    def classes(self, examples: Sequence[TaggedSentence]) -> Counter[str]:
        """Words by tag."""
        return Counter(tag for example in examples for tag in example.tags)

    def counts(
        self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Of words with the right tag, and of words."""
        import numpy as np

        pairs = zip(predictions, references, strict=True)
        right = [sum(p == r for p, r in zip(*pair, strict=True)) for pair in pairs]
        return {CORRECT: np.array(right), "words": np.array([len(tags) for tags in references])}

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of words with the right tag."""
        return accuracy(sums, "words")
