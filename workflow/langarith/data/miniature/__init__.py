"""Synthetic text about an invented world in real languages: raw text, NER, NLI, QA, offline.

The facts are drawn at random (`world`), the words and templates of a language are one file
(`languages/{code}.yaml`, read by `language`), `generator` makes sentences and documents of them,
and `examples` those of tasks. Equal arguments give files that are equal byte by byte.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from langarith.data.miniature.examples import LABELS, Question, ner, nli, paragraph
from langarith.data.miniature.generator import Generator
from langarith.data.miniature.language import FOLDER, codes, load, refuse_unequal, refuse_unknown
from langarith.errors import InputError, did_you_mean
from langarith.files import whole, write_text

__all__ = ["codes", "refuse_unknown", "words", "write_corpus", "write_task"]

SPLITS = ("train", "validation", "test")

_PATIENCE = 5000  # repeated candidates in a row before giving up

T = TypeVar("T")


def words(language: str) -> str:
    """A hash of a language's file, the only one that its text depends on; "" without a file."""
    path = FOLDER / f"{language}.yaml"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def knobs(task: str) -> dict[str, float]:
    """The knobs of a task type, see :func:`write_task`, with their defaults; none if unknown."""
    return {"unseen": 0.3, **_TASKS[task][1]} if task in _TASKS else {}


def write_corpus(
    language: str,
    paths: Sequence[Path],
    *,
    documents: int,
    seed: int = 0,
    restated: float = 0.0,
    translations: Sequence[str] = (),
    mixed: float = 0.0,
) -> None:
    """Write raw text: parquet files with the columns id, title and text.

    `documents` counts the rows of all files together, which differ by one at most; a row has 30 to
    120 words. A share `restated` of them, of 10 to 160 words, states facts twice: half of these
    (all without `translations`) in other words, the others in a language of `translations`.
    A share `mixed` of all rows mixes languages, so that words of the same meaning have the same
    context: half of the sentences are in a language of `translations`, and the language of half of
    the parts of a sentence, and of its names, is drawn from these, too.
    Raises InputError for an unknown language, for languages whose files cannot be mixed, and for
    more documents than can be generated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(f"corpus/{language}/{seed}")
    pure = [Generator(load(code), rng) for code in (language, *translations)]
    for generator in pure[1:] if mixed else ():
        refuse_unequal(pure[0].language, generator.language)
    mixing = [replace(g, mixed=tuple(other.language for other in pure[1:])) for g in pure]

    def document() -> tuple[str, str]:
        # A share of 0 draws nothing, so that the text does not depend on the other keys.
        first, *rest = mixing if mixed and pure[0].chance(mixed) else pure
        if not restated or not first.chance(restated):
            return first.document()
        return first.restated_document(rng.choice(rest) if rest and first.chance(0.5) else first)

    generated = _distinct(document, lambda row: row[1], f"{language} documents")
    for shard, path in enumerate(map(Path, paths)):
        share = range(documents * shard // len(paths), documents * (shard + 1) // len(paths))
        rows = [
            {"id": str(i), "title": title, "text": text}
            for i, (title, text) in zip(share, generated, strict=False)
        ]
        schema = pa.schema([(column, pa.string()) for column in ("id", "title", "text")])
        table = pa.Table.from_pylist(rows, schema=schema)
        with whole(path) as partial:
            pq.write_table(table, partial, compression="zstd")


def write_task(
    task: str,
    language: str,
    path: Path,
    *,
    split: str,
    examples: int,
    seed: int = 0,
    **options: float,
) -> None:
    """Write one split of a task: CoNLL with IOB2 tags (ner), TSV (nli) or SQuAD JSON (qa).

    `examples` counts sentences, pairs or questions. Splits share no sentence, pair or paragraph,
    with any seeds. Knobs are shares from 0 to 1 unless stated otherwise; defaults:

    any task: `unseen` 0.3, names that never occur in training text (validation and test only).
    ner: `plain` 0.2, examples without names (fewer if they run out); `stories` 0.4, sentences
        with several names; `second` 0.3, examples of two sentences; `lowercase` 0.1, examples
        in lower case.
    nli: `second` 0.5, premises of two sentences; `negated_entailment` 0.2, `negated_neutral` 0.35
        and `negated_contradiction` 0.5, negated hypotheses.
    qa: `questions` 2 (a number) per paragraph at most; `crowd` 0.4, paragraphs about two subjects
        with the same kinds of facts, where only the name decides the answer; `pronouns` 0.3,
        later sentences with he or she; `reverse` 0.3, questions for the person if there is one.

    Raises InputError for an unknown task, split, language or knob, and for more examples than can
    be generated.
    """
    if task not in _TASKS:
        raise InputError(f"The miniature has no task '{task}'{did_you_mean(task, _TASKS)}.")
    if split not in SPLITS:
        raise InputError(f"The miniature has no split '{split}'{did_you_mean(split, SPLITS)}.")
    make, values = _TASKS[task][0], knobs(task)
    for knob in options:
        if knob not in values:
            raise InputError(f"The task {task} has no knob '{knob}'{did_you_mean(knob, values)}.")
    values.update(options)
    unseen = values.pop("unseen")
    rng = random.Random(f"{task}/{language}/{split}/{seed}")
    generator = Generator(load(language), rng, 0.0 if split == "train" else unseen)
    content = make(generator, split, examples, values)
    write_text(path, content)


def _ner(generator: Generator, split: str, examples: int, knobs: dict[str, float]) -> str:
    generated = _distinct(
        lambda: ner(generator, **knobs),
        lambda sentence: " ".join(token for token, _ in sentence),
        f"{generator.language.code} sentences for NER",
        split,
    )
    sentences = [next(generated) for _ in range(examples)]
    return "".join("".join(f"{t}\t{tag}\n" for t, tag in sentence) + "\n" for sentence in sentences)


def _nli(generator: Generator, split: str, examples: int, knobs: dict[str, float]) -> str:
    negated = {label: knobs[f"negated_{label}"] for label in LABELS}
    rows = []
    for label_number, label in enumerate(LABELS):
        pairs = _distinct(
            functools.partial(nli, generator, label, second=knobs["second"], negated=negated),
            "\t".join,
            f"{generator.language.code} pairs for NLI",
            split,
        )
        share = (examples + len(LABELS) - 1 - label_number) // len(LABELS)
        rows += ["\t".join((*next(pairs), label)) for _ in range(share)]
    generator.rng.shuffle(rows)
    return "\n".join(["premise\thypothesis\tlabel", *rows, ""])


def _qa(generator: Generator, split: str, examples: int, knobs: dict[str, float]) -> str:
    limit = int(knobs.pop("questions"))
    generated = _distinct(
        lambda: paragraph(generator, questions=limit, **knobs),
        lambda paragraph: paragraph[1],
        f"{generator.language.code} paragraphs for QA",
        split,
    )
    articles: list[dict[str, object]] = []
    paragraphs: list[dict[str, object]] = []
    count = 0
    while count < examples:
        title, context, questions = next(generated)
        if len(paragraphs) % _PARAGRAPHS == 0:
            paragraphs = []
            number = len(articles) + 1
            articles.append({"title": f"{title} ({number})", "paragraphs": paragraphs})
        questions = questions[: examples - count]
        prefix = f"{generator.language.code}-{split}"
        qas = [_qa_entry(f"{prefix}-{count + i}", q) for i, q in enumerate(questions)]
        paragraphs.append({"context": context, "qas": qas})
        count += len(questions)
    return json.dumps({"version": "1.1", "data": articles}, ensure_ascii=False, indent=1) + "\n"


def _qa_entry(identifier: str, question: Question) -> dict[str, object]:
    answer = {"text": question.answer, "answer_start": question.start}
    return {"id": identifier, "question": question.text, "answers": [answer]}


_PARAGRAPHS = 5  # per article

_Maker = Callable[[Generator, str, int, dict[str, float]], str]
_TASKS: dict[str, tuple[_Maker, dict[str, float]]] = {
    "ner": (_ner, {"plain": 0.2, "stories": 0.4, "second": 0.3, "lowercase": 0.1}),
    "nli": (
        _nli,
        {
            "second": 0.5,
            "negated_entailment": 0.2,
            "negated_neutral": 0.35,
            "negated_contradiction": 0.5,
        },
    ),
    "qa": (_qa, {"questions": 2, "crowd": 0.4, "pronouns": 0.3, "reverse": 0.3}),
}


def _split_of(content: str) -> str:
    """The only split that may contain an example: half of all examples are for training."""
    return ("train", "train", "validation", "test")[
        hashlib.sha256(content.encode()).digest()[0] % 4
    ]


def _distinct(
    draw: Callable[[], T], key: Callable[[T], str], what: str, split: str | None = None
) -> Iterator[T]:
    """Draws with different `key`, all of `split` if it is given."""
    seen: set[Hashable] = set()
    misses = 0
    while misses < _PATIENCE:
        candidate = draw()
        content = key(candidate)
        misses += 1
        if content not in seen and split in (None, _split_of(content)):
            seen.add(content)
            misses = 0
            yield candidate
    raise InputError(f"No more than {len(seen)} {what} can be generated: ask for fewer.")
