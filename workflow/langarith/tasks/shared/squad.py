"""Reading of questions in SQuAD files.

Questions without an answer (SQuAD v2) are dropped, and offsets that count bytes (TyDiQA) become
those of Unicode characters; warnings say how many, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from langarith.data.readers import open_parquet, parse_json, read_all, read_lines
from langarith.errors import InputError, warn

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
    in_bytes = _count_bytes(places)

    def read(place: Place) -> tuple[int, QaExample] | None:
        number, where, entry, paragraph = place
        context = _text(paragraph, "context", where, path)
        example = _question(entry, context, where, path, in_bytes)
        if example.id in seen:
            raise InputError(f"{path}: the id '{example.id}' is used twice; make it unique.")
        seen.add(example.id)
        return (number, example) if example.answers else None

    found = [pair for pair in read_all(places, read) if pair]
    if in_bytes:
        warn(str(path), "its answers start at bytes, which are read as Unicode characters")
    if found and len(found) < len(places):
        warn(
            str(path),
            f"{len(places) - len(found):,} of {len(places):,} questions have no answer, as in "
            "SQuAD v2, and are dropped",
        )
    return [[e for _, e in group] for _, group in groupby(found, key=lambda pair: pair[0])]


def _count_bytes(places: Sequence[Place]) -> bool:
    """Whether the answers of a file are in their contexts at bytes, and not at characters."""
    return not _all_found(places, lambda context: context) and _all_found(places, str.encode)


def _all_found(places: Sequence[Place], code: Callable[[str], str | bytes]) -> bool:
    """Whether all well-formed answers, of which there are some, are where they start."""
    last: Any = None
    coded: Any = ""
    answers = 0
    for _, _, entry, paragraph in places:
        context = paragraph.get("context") if isinstance(paragraph, dict) else None
        if not isinstance(context, str) or not isinstance(entry, dict):
            return False
        if context is not last:
            last, coded = context, code(context)
        try:
            for _, answer in _answers(entry, "", Path()):
                text, start = (answer[key] for key in ANSWER)
                if start < 0 or not coded.startswith(code(text), start):
                    return False
                answers += 1
        except (InputError, TypeError, KeyError, AttributeError):
            return False
    return answers > 0


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


def _question(node: Any, context: str, at: str, path: Path, in_bytes: bool) -> QaExample:
    """A question; without answers, where it has none.

    Args:
        in_bytes: whether answers start at bytes of the context.
    """
    if isinstance(node, dict) and type(node.get("id")) is int:  # as GermanQuAD has them
        node = {**node, "id": str(node["id"])}
    identity = _text(node, "id", at, path)
    question = _text(node, "question", f"question '{identity}'", path)
    where = f"question '{identity}'"
    if in_bytes:
        coded = context.encode()
        answers = [
            (answer["text"], len(coded[: answer["answer_start"]].decode()))
            for _, answer in _answers(node, where, path)
        ]
    else:
        answers = [
            _answer(answer, context, where, place, path)
            for place, answer in _answers(node, where, path)
        ]
    texts, starts = zip(*answers, strict=True) if answers else ((), ())
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
