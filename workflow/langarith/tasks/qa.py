"""Extractive question answering on SQuAD files (SQuAD v1.1 and XQuAD in the paper)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.data.readers import read_all
from langarith.errors import InputError, did_you_mean, warn, warn_of_loss
from langarith.tasks.shared.base import Encoding, Features, Task, model_columns
from langarith.tasks.shared.squad import QaExample, read_articles

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

CUTS = ("half", "articles")
SPLITS = ("validation", "test")
N_BEST = 20
ENCODE_BATCH = 1000
"""Examples tokenised at once: offsets of SQuAD's 88k windows together would take gigabytes."""


class Qa(Task[QaExample, str]):
    """Span extraction; a prediction is a string, '' without an answer."""

    metrics = ("f1", "exact_match")
    head = "qa"
    prediction, reference = "string", "strings"
    own_keys = frozenset({"cut", "stride", "max_answer_length"})
    suffix = "json"
    typical_examples = (87_599, 595, 595)  # SQuAD, XQuAD

    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[QaExample]:
        """Questions of a SQuAD file in file order, or of one part of it; questions without an
        answer are dropped, with a warning (:mod:`langarith.tasks.shared.squad`).

        JSON or, by its suffix, `.parquet`, as SQuAD and XQuAD on the hub: a question per row, with
        id, question, context, answers {text, answer_start} and optionally the title of its article.
        Without titles, rows of one context are an article.

        cut 'half': validation is the first half of the questions, the odd one included, test the
        second (XQuAD: 595 and 595, as the authors do; the cut may fall inside a paragraph).
        cut 'articles': the cut falls between two articles, as near to half of the questions as
        possible, the earlier of two equally near; then no paragraph is in both parts.

        The whole file is always checked.

        Raises:
            InputError: broken JSON, a missing key, an empty text, an id used twice, an answer that
                is not at `answer_start` of its context, a file without an answer, and one too small
                to cut.
        """
        if cut is not None and cut not in CUTS:
            raise InputError(f"{path}: cut '{cut}' is unknown{did_you_mean(cut, CUTS)}.")
        if cut is not None and split not in SPLITS:
            raise InputError(
                f"{path}: split '{split}' of a cut file is unknown; ask for validation or test."
            )
        articles = read_articles(path)
        examples = [example for article in articles for example in article]
        if not examples:
            raise InputError(f"{path} contains no question with an answer; give SQuAD v1.1 JSON.")
        if cut is None:
            return examples
        count = _validation_count(articles, cut)
        if not 0 < count < len(examples):
            raise InputError(
                f"{path} has {len(examples)} questions in {len(articles)} articles, too few for "
                f"the cut '{cut}'; give separate validation and test files."
            )
        return examples[:count] if split == "validation" else examples[count:]

    def labels(self, examples: Sequence[QaExample]) -> tuple[str, ...]:
        """(): positions are no labels."""
        return ()

    def check_lengths(
        self,
        examples: Sequence[QaExample],
        tokenizer: Tokenizer | None,
        encoding: Encoding,
        where: str,
    ) -> None:
        """Warn of questions with no answer in a window; in training only the first answer counts.

        For other splits also of questions whose answers are all longer than predictions can be.

        Raises:
            InputError: also for a question that leaves no space for its context.
        """
        unanswerable = too_long = 0
        longest = self.max_answer_length

        def check(example: QaExample) -> None:
            nonlocal unanswerable, too_long
            unanswerable += not _fits(example, tokenizer, encoding)
            if not encoding.training:
                too_long += not any(_is_within(a, longest, tokenizer) for a in example.answers)

        read_all(examples, check)
        if too_long:  # not lost: a part of an answer has some F1
            warn(
                where,
                f"{too_long:,} of {len(examples):,} questions have no answer of at most {longest} "
                "subwords; raise 'max_answer_length'",
            )
        warn_of_loss(
            where,
            unanswerable,
            len(examples),
            "questions have no answer within one window of the context",
            "raise 'max_length' or 'stride', or drop them",
        )

    def encode(
        self,
        examples: Sequence[QaExample],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
    ) -> Features:
        """Question and window of the context; long contexts give several windows (features).

        Neighbouring windows share `stride` subwords. For training, the first answer's first and
        last subword are the positions; a window without the whole answer has the position of
        the CLS token (as in transformers' run_qa). Training features cannot be decoded.

        Raises:
            InputError: a question so long that no window of more than `stride` context subwords
                fits with it.
        """
        parts = [
            self._encode(examples[i : i + ENCODE_BATCH], tokenizer, encoding, first=i)
            for i in range(0, len(examples), ENCODE_BATCH)
        ]
        names = parts[0].columns if parts else {}
        return Features(
            {name: [row for part in parts for row in part.columns[name]] for name in names},
            [index for part in parts for index in part.example_index],
            encoding.labels,
            [offsets for part in parts for offsets in part.alignment],
        )

    def _encode(
        self,
        examples: Sequence[QaExample],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
        *,
        first: int,
    ) -> Features:
        import numpy as np

        max_length, stride = encoding.max_length, encoding.stride
        # Some questions begin with many spaces, which "only_second" could not truncate.
        questions = [example.question.lstrip() for example in examples]
        available = max_length - tokenizer.num_special_tokens_to_add(pair=True) - stride
        lengths = map(len, tokenizer(questions, add_special_tokens=False)["input_ids"])
        for example, length in zip(examples, lengths, strict=True):
            _check_question(example, length, available, encoding)
        encoded = tokenizer(
            questions,
            [example.context for example in examples],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        columns = model_columns(encoded)
        owners: list[int] = encoded["overflow_to_sample_mapping"]
        alignment: list[np.ndarray] = []
        positions: list[tuple[int, int]] = []
        for i, owner in enumerate(owners):
            offsets = np.array(encoded["offset_mapping"][i], dtype=np.int32)
            in_context = np.array([part == 1 for part in encoded.sequence_ids(i)])
            if encoding.training:
                cls = encoded["input_ids"][i].index(tokenizer.cls_token_id)
                positions.append(_positions(examples[owner], offsets, in_context, cls))
            else:
                alignment.append(np.where(in_context[:, None], offsets, -1))
        if encoding.training:
            columns["start_positions"] = [start for start, _ in positions]
            columns["end_positions"] = [end for _, end in positions]
        return Features(columns, [first + owner for owner in owners], (), alignment)

    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[QaExample]
    ) -> list[str]:
        """The best span over all windows of each question, as in transformers' run_qa.

        Per window, the 20 best starts and the 20 best ends are paired, of equal logits the earlier;
        a pair is valid if both are in the context and it spans at most `max_answer_length`
        subwords; its score is the sum of the two logits. Among equal scores the earlier window,
        then the earlier start, then the earlier end wins.
        White space at the edges of an answer is dropped. '' if no window has a valid pair.
        """
        import numpy as np

        if len(features.alignment) != len(features):
            raise ValueError("features encoded for training cannot be decoded")
        best = [-np.inf] * len(examples)
        answers = [""] * len(examples)
        rows = zip(features.example_index, features.alignment, outputs, strict=True)
        for index, offsets, logits in rows:
            span = _best_span(
                np.asarray(logits)[:, : len(offsets)], offsets, self.max_answer_length
            )
            if span is not None and span[0] > best[index]:
                best[index] = span[0]
                answers[index] = examples[index].context[span[1] : span[2]].strip()
        return answers

    def gold(self, example: QaExample) -> list[str]:
        """All answers of the annotators."""
        return list(example.answers)

    def entropy(
        self, features: Features, outputs: Sequence[Any], entropies: Sequence[Any]
    ) -> float:
        """Mean over the windows of the mean entropy of start and end.

        The distributions of a window are over the positions of its context. Windows without context
        are ignored; if there are no others, the entropy is 0.
        """
        import numpy as np

        values = []
        for offsets, logits in zip(features.alignment, outputs, strict=True):
            admissible = np.flatnonzero(offsets[:, 0] >= 0)
            if len(admissible):
                rows = np.asarray(logits, dtype=np.float64)[:, admissible]
                rows = rows - rows.max(axis=1, keepdims=True)
                mass = np.exp(rows)
                total = mass.sum(axis=1)
                values.append(np.mean(np.log(total) - (mass * rows).sum(axis=1) / total))
        return float(np.mean(values)) if values else 0.0

    def counts(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """`f1` and `exact_match` of each question, 0 to 1: the maximum over its answers."""
        import numpy as np

        pairs = list(zip(predictions, references, strict=True))
        functions = {"f1": token_f1, "exact_match": exact_match}
        return {
            name: np.array([max(function(p, a) for a in gold) for p, gold in pairs], dtype=float)
            for name, function in functions.items()
        }

    def scores(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """SQuAD v1.1 F1 and exact match in percent: means over the questions."""
        return {name: 100 * sums[name] / sums["examples"] for name in self.metrics}

    def majority(self, train_examples: Sequence[QaExample]) -> str:
        """The empty answer."""
        return ""

    def constant(self, answer: str, examples: Sequence[QaExample]) -> list[str]:
        """One answer to every question."""
        return [answer] * len(examples)


def _validation_count(articles: list[list[QaExample]], cut: str) -> int:
    """The number of questions, from the start of the file, that are validation."""
    import numpy as np

    total = sum(map(len, articles))
    if cut == "half":
        return (total + 1) // 2
    borders = np.cumsum([0, *map(len, articles)])
    return int(min(borders, key=lambda border: abs(2 * int(border) - total)))


# ---------------------------------------------------------------- windows


def _check_question(example: QaExample, length: int, available: int, encoding: Encoding) -> None:
    """Refuse a question of `length` subwords if `available` fit with the shared context."""
    if length >= available:
        raise InputError(
            f"{example.file}: question '{example.id}' has {length} subwords, too many for windows "
            f"of {encoding.max_length} that share {encoding.stride}; shorten it."
        )


def _fits(example: QaExample, tokenizer: Tokenizer | None, encoding: Encoding) -> bool:
    """Whether a window contains one of the answers or, in training, the first answer.

    Without a tokenizer a word counts as one subword, so that False is certain.
    """
    question = example.question.lstrip()
    answers = list(zip(example.starts, example.answers, strict=True))
    answers = answers[:1] if encoding.training else answers
    if tokenizer is None:
        length = len(question.split())
        _check_question(example, length, encoding.max_length - encoding.stride, encoding)
        shortest = min(len(answer.split()) for _, answer in answers)
        return shortest <= encoding.max_length - length
    available = encoding.max_length - tokenizer.num_special_tokens_to_add(True)
    # no text has more subwords than bytes, plus a start marker
    if len(question.encode()) + 1 >= available - encoding.stride:
        length = len(tokenizer.encode(question, add_special_tokens=False).ids)
        _check_question(example, length, available - encoding.stride, encoding)
    # neighbouring windows share `stride` subwords, so a shorter answer is whole in one of them
    if any(len(answer.encode()) + 1 <= encoding.stride for _, answer in answers):
        return True
    window = available - len(tokenizer.encode(question, add_special_tokens=False).ids)
    offsets = tokenizer.encode(example.context, add_special_tokens=False).offsets
    step = window - encoding.stride
    for start, answer in answers:
        covering = [i for i, (a, b) in enumerate(offsets) if b > start and a < start + len(answer)]
        begin = min(
            covering[0] // step * step if covering else 0, _last_window(len(offsets), window, step)
        )
        if covering and covering[-1] < begin + window:
            return True
    return False


def _is_within(answer: str, longest: int, tokenizer: Tokenizer | None) -> bool:
    """Whether an answer has at most so many subwords; without a tokenizer, words."""
    if len(answer.encode()) + 1 <= longest:  # no text has more subwords than bytes
        return True
    if tokenizer is None:
        return len(answer.split()) <= longest
    return len(tokenizer.encode(answer, add_special_tokens=False).ids) <= longest


def _last_window(length: int, window: int, step: int) -> int:
    """The first subword of the last window of a context of `length` subwords."""
    return max(0, -(-(length - window) // step) * step)


def _positions(
    example: QaExample, offsets: np.ndarray, in_context: np.ndarray, cls: int
) -> tuple[int, int]:
    """First and last subword of the first answer, or (cls, cls) if the window lacks a part.

    The shortest run of subwords that covers the answer. run_qa searches from the other side, with
    the same result except for XLM-R's empty piece: it has the same offset as the next subword, and
    run_qa then ends a one-character answer before its start.
    """
    import numpy as np

    start, end = example.starts[0], example.starts[0] + len(example.answers[0])
    inside = np.flatnonzero(in_context)
    if len(inside) == 0 or offsets[inside[0], 0] > start or offsets[inside[-1], 1] < end:
        return cls, cls
    covering = inside[(offsets[inside, 1] > start) & (offsets[inside, 0] < end)]
    return (int(covering[0]), int(covering[-1])) if len(covering) else (cls, cls)


def _best_span(
    logits: np.ndarray, offsets: np.ndarray, longest: int
) -> tuple[float, int, int] | None:
    """(score, first character, end character) of the best span of one window, of at most `longest`
    subwords, or None."""
    import numpy as np

    starts, ends = _top(logits[0]), _top(logits[1])
    starts, ends = starts[offsets[starts, 0] >= 0], ends[offsets[ends, 0] >= 0]
    distance = ends[None, :] - starts[:, None]
    scores = np.where(
        (distance >= 0) & (distance < longest),
        logits[0, starts][:, None] + logits[1, ends][None, :],
        -np.inf,
    )
    if scores.size == 0:
        return None
    row, column = divmod(int(scores.argmax()), len(ends))
    score = float(scores[row, column])
    if score == -np.inf:
        return None
    return score, int(offsets[starts[row], 0]), int(offsets[ends[column], 1])


def _top(values: np.ndarray) -> np.ndarray:
    """Positions of the `N_BEST` largest values, of equal ones the first, in order of position."""
    import numpy as np

    return np.sort(np.argsort(-values, kind="stable")[:N_BEST])


# ---------------------------------------------------------------- metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """SQuAD v1.1: lower case, no ASCII punctuation, no a, an, the, single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1.0 if both are equal after normalisation, else 0.0."""
    return float(normalise(prediction) == normalise(answer))


def token_f1(prediction: str, answer: str) -> float:
    """F1 of the two bags of normalised words, 0 to 1; 0.0 if either is empty, as in v1.1."""
    predicted, gold = normalise(prediction).split(), normalise(answer).split()
    shared = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0
