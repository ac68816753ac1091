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
        """The lines of CoNLL-U; if the study names columns, lines of a word, a tab and its tag."""
        rows = super().rows(path)
        if not self.study_columns:
            return rows
        return words_and_tags(
            path, list(rows), self.ends_sentence, self.study_columns, recognise=False
        )

    def word(self, line: str, where: str) -> tuple[str, str] | None:
        """FORM and UPOS; None for comments, ranges like 1-2 and empty nodes like 1.1.

        Raises:
            InputError: a line without 10 columns, an id that is not a number, an empty FORM and an
                unknown UPOS; if the study names columns, for a line that lacks one.
        """
        if self.study_columns:
            columns = split_columns(line)
            if len(columns) < 2 or not columns[0].strip(" "):
                raise InputError(
                    f"{where}: a column is missing (a line has a token and its tag); write both."
                )
            return columns[0], self._upos(columns[1].strip(" "), where)
        if line.startswith("#"):
            return None
        columns = line.split("\t")
        if len(columns) != 10 or not columns[1]:
            raise InputError(
                f"{where} is not a word of CoNLL-U; give 10 columns separated by tabs, or name the "
                "columns in the study's task (columns: {token: 1, tag: 2})."
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

    def expected_content(self, path: Path) -> str:
        """CoNLL-U for any suffix, or columns if the study names them."""
        return "lines of a token and its tag" if self.study_columns else "sentences in CoNLL-U"

    def labels(self, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """All 17 tags, also those without examples."""
        return UPOS

    def classes(self, examples: Sequence[TaggedSentence]) -> Counter[str]:
        """Words by tag."""
        return Counter(tag for example in examples for tag in example.tags)

    def counts(
        self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Words with the correct tag, and all words."""
        import numpy as np

        pairs = zip(predictions, references, strict=True)
        correct = [sum(p == r for p, r in zip(*pair, strict=True)) for pair in pairs]
        return {CORRECT: np.array(correct), "words": np.array([len(tags) for tags in references])}

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Share of words with the correct tag."""
        return accuracy(sums, "words")
