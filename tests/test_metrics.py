"""The metrics against seqeval, sklearn, transformers and their `evaluate` modules."""

from __future__ import annotations

import random
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score as sklearn_f1
from transformers.data.metrics import squad_metrics

from langarith import tasks
from langarith.tasks.nli import LABELS
from langarith.tasks.pos import UPOS
from langarith.tasks.qa import QaExample, exact_match, normalise, token_f1
from langarith.tasks.shared.classification import LabelledText
from langarith.tasks.shared.tagging import TaggedSentence

TAGS = ["O", "O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
ARTICLES = ["a", "an", "the", "The", "A", "theatre", "another", "da"]
WORDS = [
    "Anna",
    "Straße",
    "STRASSE",
    "İstanbul",
    "东京",
    "हिन्दी",
    "naïve",
    "e\u0301",
    "1,000",
    "U.S.",
]
MARKS = ["", "", "!", "«", "、", "--", "'s", "。", "\u00a0", "  ", "$", "“x”"]


def tag_sequences(n: int, seed: int) -> list[list[str]]:
    """Any tags, so that spans starting with I- are among them."""
    rng, lengths = random.Random(seed), random.Random(0)
    return [rng.choices(TAGS, k=lengths.randint(1, 15)) for _ in range(n)]


def answers(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(rng.choice(ARTICLES + WORDS) + rng.choice(MARKS) for _ in range(rng.randint(1, 4)))
        for _ in range(n)
    ]


# ---------------------------------------------------------------- NER


def test_ner_equals_seqeval() -> None:
    gold, predicted = tag_sequences(200, 1), tag_sequences(200, 2)
    score = tasks.get("ner").compute(predicted, gold)
    assert score == pytest.approx(
        {
            "f1": 100 * f1_score(gold, predicted),
            "f1_strict": 100 * f1_score(gold, predicted, mode="strict", scheme=IOB2),
        }
    )
    assert tuple(score) == tasks.get("ner").metrics
    assert 0 < score["f1_strict"] < score["f1"] < 100


tags = st.sampled_from(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
sentence_pairs = st.lists(st.tuples(tags, tags), min_size=1, max_size=8)


@given(st.lists(sentence_pairs, min_size=1, max_size=4))
def test_ner_equals_seqeval_on_any_tags(pairs) -> None:
    gold, predicted = ([[pair[i] for pair in pairs_] for pairs_ in pairs] for i in (0, 1))
    assert tasks.get("ner").compute(predicted, gold) == pytest.approx(
        {
            "f1": 100 * f1_score(gold, predicted, zero_division=0),
            "f1_strict": 100
            * f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0),
        }
    )


def test_span_that_starts_inside_counts_in_default_mode_only() -> None:
    compute = tasks.get("ner").compute
    assert compute([["I-LOC"]], [["B-LOC"]]) == {"f1": 100.0, "f1_strict": 0.0}


def test_no_entities_anywhere_score_nothing_without_a_warning() -> None:
    compute = tasks.get("ner").compute
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compute([["O"]], [["O"]]) == {"f1": 0.0, "f1_strict": 0.0}
        assert compute([["O", "O"]], [["B-LOC", "O"]]) == {"f1": 0.0, "f1_strict": 0.0}
        assert compute([["B-LOC"]], [["O"]]) == {"f1": 0.0, "f1_strict": 0.0}


# ---------------------------------------------------------------- NLI


def test_accuracy_is_the_share_of_equal_labels() -> None:
    gold = [*LABELS, "neutral"]
    assert tasks.get("nli").compute(["neutral"] * 4, gold) == {"accuracy": 50.0}
    with pytest.raises(ValueError, match="longer"):
        tasks.get("nli").compute(["neutral"], ["neutral", "neutral"])


# ---------------------------------------------------------------- QA


def test_squad_equals_transformers() -> None:
    predicted = answers(600, 1)
    # Half of the gold answers are near their prediction, so that all kinds of scores occur.
    gold = [
        p.upper() if i % 2 else a
        for i, (p, a) in enumerate(zip(predicted, answers(600, 2), strict=True))
    ]
    compared = [
        (p, a) for p, a in zip(predicted, gold, strict=True) if normalise(p) or normalise(a)
    ]
    scores = set()
    for prediction, answer in compared:
        assert normalise(prediction) == squad_metrics.normalize_answer(prediction)
        assert exact_match(prediction, answer) == squad_metrics.compute_exact(answer, prediction)
        f1 = squad_metrics.compute_f1(answer, prediction)
        assert token_f1(prediction, answer) == pytest.approx(f1)
        scores.add(round(f1, 2))
    assert len(compared) > 500
    assert len(scores) > 5


@pytest.mark.parametrize(
    ("prediction", "answer", "exact", "f1"),
    [
        ("the  Anna!", "ANNA", 1, 1),
        ("a theatre", "theatre", 1, 1),
        ("«Anna»", "Anna", 0, 0),  # only ASCII punctuation is stripped
        ("1,000", "1000", 1, 1),
        ("东京都", "东京", 0, 0),  # one word each: no white space
        ("Anna Anna", "Anna", 0, 2 / 3),
        ("", "Anna", 0, 0),
        ("The", "a", 1, 0),  # both empty once normalised: v1.1 gives F1 0, v2.0 would give 1
    ],
)
def test_squad_by_hand(prediction: str, answer: str, exact: float, f1: float) -> None:
    assert exact_match(prediction, answer) == exact
    assert token_f1(prediction, answer) == pytest.approx(f1)


def test_best_gold_answer_counts() -> None:
    example = QaExample("1", "q", "c", ("Anna Old", "Anna"), (0, 0), "a.json")
    other = QaExample("2", "q", "c", ("Harbour",), (0,), "a.json")
    qa = tasks.get("qa")
    gold = [qa.gold(example), qa.gold(other)]
    assert qa.compute(["anna", "x"], gold) == {"f1": 50.0, "exact_match": 50.0}


# ---------------------------------------------------------------- POS and classification


def draw(choices: Sequence[str], n: int, seed: int) -> list[str]:
    return random.Random(seed).choices(choices, k=n)


def tagged(sequences: list[list[str]]) -> list[TaggedSentence]:
    return [TaggedSentence("1", ("x",) * len(tags), tuple(tags)) for tags in sequences]


def labelled(labels: list[str]) -> list[LabelledText]:
    return [LabelledText("1", "t", None, label) for label in labels]


def test_pos_accuracy_is_over_words_not_sentences() -> None:
    gold, predicted = (
        [draw(UPOS[:3], 1 + i % 7, 100 * side + i) for i in range(50)] for side in (0, 1)
    )
    flat = [[tag for tags in sequences for tag in tags] for sequences in (gold, predicted)]
    score = tasks.get("pos").compute(predicted, gold)
    assert score == pytest.approx({"accuracy": 100 * accuracy_score(*flat)})
    assert 10 < score["accuracy"] < 60


@pytest.mark.parametrize("choices", ["ab", "abcde", "aaaaab"])
def test_macro_f1_equals_sklearn(choices: str) -> None:
    gold, predicted = draw(choices, 60, 1), draw(choices + "z", 60, 2)
    expected = {
        "accuracy": 100 * accuracy_score(gold, predicted),
        "macro_f1": 100 * sklearn_f1(gold, predicted, average="macro", zero_division=0),
    }
    assert tasks.get("classification").compute(predicted, gold) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1))
def test_macro_f1_equals_sklearn_on_any_labels(pairs) -> None:
    predicted, gold = ([pair[i] for pair in pairs] for i in (0, 1))
    expected = 100 * sklearn_f1(gold, predicted, average="macro", zero_division=0)
    found = tasks.get("classification").compute(predicted, gold)
    assert found["macro_f1"] == pytest.approx(expected)


# ---------------------------------------------------------------- evaluate

PREDICTED: dict[str, tuple[list[Any], list[Any]]] = {
    "ner": (tag_sequences(30, 1), tagged(tag_sequences(30, 2))),
    "pos": (tag_sequences(30, 1), tagged(tag_sequences(30, 2))),
    "nli": (draw(LABELS, 40, 1), labelled(draw(LABELS, 40, 2))),
    "classification": (draw("abc", 40, 1), labelled(draw("abc", 40, 2))),
    "qa": (
        answers(40, 1),
        [
            QaExample("1", "q", "c", pair, (0, 0), "a.json")
            for pair in zip(answers(40, 2), answers(40, 3), strict=True)
        ],
    ),
}
"""Predictions and examples of every task type."""


@pytest.mark.parametrize("name", tasks.names())
def test_reported_scores_are_those_of_an_evaluate_module_that_needs_no_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    import evaluate  # slow import

    task = tasks.get(name)
    predictions, examples = PREDICTED[name]
    references = [task.gold(example) for example in examples]
    score = task.compute(predictions, references)
    assert tuple(score) == task.metrics
    assert task.report(predictions, examples) == score
    assert list(tmp_path.glob("tmp*")) == []  # none of its folders is left behind

    module = task.metric(cache_dir=str(tmp_path))
    assert isinstance(module, evaluate.Metric)
    assert module.compute(predictions=predictions, references=references) == score
    module.add_batch(predictions=predictions[:15], references=references[:15])
    module.add_batch(predictions=predictions[15:], references=references[15:])
    assert module.compute() == score


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("name", tasks.names())
def test_scores_of_summed_counts_are_those_of_the_examples(name: str) -> None:
    """Any examples, some repeated, as a bootstrap draws them, and many draws in one call."""
    task = tasks.get(name)
    predictions, examples = PREDICTED[name]
    gold = [task.gold(example) for example in examples]
    counts = task.counts(predictions, gold)
    assert all(len(values) == len(gold) for values in counts.values())
    rng = np.random.default_rng(0)
    draws = rng.integers(len(gold), size=(5, len(gold)))
    sums = {n: np.array([values[draw].sum() for draw in draws]) for n, values in counts.items()}
    scores = task.scores(sums | {"examples": len(gold)})
    for at, draw in enumerate(draws):
        alone = task.compute([predictions[i] for i in draw], [gold[i] for i in draw])
        assert {n: values[at] for n, values in scores.items()} == pytest.approx(alone)
