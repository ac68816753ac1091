"""Reading of questions in SQuAD v1.1 files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from langarith.data.readers import open_parquet, parse_json, read_all, read_lines
from langarith.errors import InputError

ANSWER = ("text", "answer_start")
"""The keys of an answer."""


@dataclass(frozen=True)
class QaExample:
    """One question; `id` is the file's own; `starts` count Unicode code points from 0.

    `file` is where it was read, for messages."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]
    file: str


Place = tuple[int, str, Any, Any]
"""A question in its file: number of its article, where it is, its entry, that of its context."""


def read_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article of a JSON or, by its suffix, `.parquet` file.

    Errors: see `langarith.tasks.qa.Qa.read`.
    """
    return (_parquet_articles if path.suffix == ".parquet" else _json_articles)(path)


def _json_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article; a node of the JSON is named like data[0].paragraphs[2]."""
    file = parse_json("\n".join(line for _, line in read_lines(path)), path, "the file")
    places: list[Place] = []
    for number, (at, article) in enumerate(_nodes(file, "data", "", path)):
        for place, paragraph in _nodes(article, "paragraphs", at, path):
            _text(paragraph, "context", place, path)
            for where, question in _nodes(paragraph, "qas", place, path):
                places.append((number, where, question, paragraph))
    return _articles(places, path)


def _parquet_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article: neighbouring rows of one title, or else of one context."""
    names = ["id", "question", "context", "answers"]
    file = open_parquet(path, names)
    title = "title" if "title" in file.schema_arrow.names else "context"
    rows = file.read(columns=[*dict.fromkeys([*names, title])]).to_pylist()
    groups = groupby(rows, key=lambda row: row[title])
    return _articles(
        [
            (number, f"the row of question '{row['id']}'", row, row)
            for number, (_, group) in enumerate(groups)
            for row in group
        ],
        path,
    )


def _articles(places: Sequence[Place], path: Path) -> list[list[QaExample]]:
    """The questions of each article, all of them checked."""
    seen: set[str] = set()

    def read(place: Place) -> tuple[int, QaExample]:
        number, where, entry, paragraph = place
        example = _question(entry, _text(paragraph, "context", where, path), where, path)
        if example.id in seen:
            raise InputError(f"{path}: the id '{example.id}' is used twice; make it unique.")
        seen.add(example.id)
        return number, example

    read_places = read_all(places, read)
    return [[e for _, e in group] for _, group in groupby(read_places, key=lambda pair: pair[0])]


def _nodes(node: Any, key: str, at: str, path: Path) -> Iterator[tuple[str, Any]]:
    name = f"{at}.{key}".lstrip(".")
    values = node.get(key) if isinstance(node, dict) else None
    if not isinstance(values, list):
        raise InputError(f"{path}: no list '{name}'; give SQuAD v1.1 JSON.")
    for i, value in enumerate(values):
        yield f"{name}[{i}]", value


def _text(node: Any, key: str, at: str, path: Path) -> str:
    text = node.get(key) if isinstance(node, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{path}: no text under {at}.{key}; write it or drop the entry.")
    return text


def _question(node: Any, context: str, at: str, path: Path) -> QaExample:
    if isinstance(node, dict) and type(node.get("id")) is int:  # as GermanQuAD has them
        node = {**node, "id": str(node["id"])}
    identity = _text(node, "id", at, path)
    question = _text(node, "question", f"question '{identity}'", path)
    where = f"question '{identity}'"
    answers = [
        _answer(answer, context, where, place, path)
        for place, answer in _answers(node, where, path)
    ]
    if not answers:
        raise InputError(
            f"{path}: {where} has no answer; SQuAD v1.1 has no unanswerable questions, so drop it."
        )
    texts, starts = zip(*answers, strict=True)
    return QaExample(identity, question, context, texts, starts, str(path))


def _answers(node: Any, where: str, path: Path) -> Iterator[tuple[str, Any]]:
    """The answers of a question: objects, or as `datasets` has them, lists of their parts."""
    lists = node.get("answers")
    if not isinstance(lists, dict):
        yield from _nodes(node, "answers", where, path)
        return
    texts, starts = (lists.get(key) for key in ANSWER)
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise InputError(
            f"{path}: {where} has answers whose lists 'text' and 'answer_start' differ in length; "
            "give one start for each text."
        )
    for i, pair in enumerate(zip(texts, starts, strict=True)):
        yield f"{where}.answers[{i}]", dict(zip(ANSWER, pair, strict=True))


def _answer(answer: Any, context: str, where: str, place: str, path: Path) -> tuple[str, int]:
    text = _text(answer, "text", place, path)
    start = answer.get("answer_start")
    if type(start) is not int:
        raise InputError(
            f"{path}: {where} has the answer_start {start!r}, which is no integer; write a number "
            "without a point or quotes."
        )
    if start < 0 or not context.startswith(text, start):
        raise InputError(
            f"{path}: {where} has the answer '{text}' at {start}, but the context"
            f" does not; {_correction(context, text)}."
        )
    return text, start


def _correction(context: str, text: str) -> str:
    at = context.find(text)
    if at < 0:
        return "correct the text, which is nowhere in the context"
    return f"set answer_start to where it is in Unicode characters from 0 (first at {at})"
