"""Part-of-speech tagging on CoNLL-U files (Universal Dependencies)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError
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
    typical_examples = (12_543, 2_001, 2_077)  # UD English-EWT

    def word(self, line: str, where: str) -> tuple[str, str] | None:
        """FORM and UPOS; None for comments, ranges like 1-2 and empty nodes like 1.1.

        Errors: InputError for a line that has not 10 columns, an id that is no number, an empty
        FORM and an unknown UPOS.
        """
        if line.startswith("#"):
            return None
        columns = line.split("\t")
        if len(columns) != 10 or not columns[1]:
            raise InputError(f"{where} is not a word of CoNLL-U; give 10 columns parted by tabs.")
        if not columns[0].isdecimal():
            if columns[0].replace("-", "").replace(".", "").isdecimal():
                return None
            raise InputError(
                f"{where}: '{columns[0]}' is not a word's number; write 1, 1-2 or 1.1."
            )
        if columns[3] not in UPOS:
            raise InputError(
                f"{where}: '{columns[3]}' is not a UPOS tag; write one of {', '.join(UPOS)}."
            )
        return columns[1], columns[3]

    def expected(self, path: Path) -> str:
        """CoNLL-U, whatever the suffix."""
        return "sentences in CoNLL-U"

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
