"""Reading of questions in SQuAD files.

Questions without an answer (SQuAD v2) are dropped, and byte offsets (TyDiQA) are converted to
Unicode characters, both with a warning.
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
    """One question; `id` as in the file; `starts` count Unicode code points from 0.

    `file` is its source, for messages."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]
    file: str


Entry = tuple[int, str, Any, Any]
"""A question of a file: number of its article, its position, its node, the node of its context."""


def read_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article of a JSON or, by its suffix, `.parquet` file.

    Raises:
        InputError: as for :meth:`langarith.tasks.qa.Qa.read`.
    """
    return (_parquet_articles if path.suffix == ".parquet" else _json_articles)(path)


def _json_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article; nodes of the JSON are named like data[0].paragraphs[2]."""
    file = parse_json("\n".join(line for _, line in read_lines(path)), path, "the file")
    entries: list[Entry] = []
    for number, (position, article) in enumerate(_nodes(file, "data", "", path)):
        for location, paragraph in _nodes(article, "paragraphs", position, path):
            _text(paragraph, "context", location, path)
            for where, question in _nodes(paragraph, "qas", location, path):
                entries.append((number, where, question, paragraph))
    return _articles(entries, path)


def _parquet_articles(path: Path) -> list[list[QaExample]]:
    """The questions of each article: consecutive rows of one title, or else of one context."""
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


def _articles(entries: Sequence[Entry], path: Path) -> list[list[QaExample]]:
    """The checked questions of each article."""
    seen: set[str] = set()
    in_bytes = _count_bytes(entries)

    def read(item: Entry) -> tuple[int, QaExample] | None:
        number, where, node, paragraph = item
        context = _text(paragraph, "context", where, path)
        example = _question(node, context, where, path, in_bytes)
        if example.id in seen:
            raise InputError(f"{path}: the id '{example.id}' is used twice; make it unique.")
        seen.add(example.id)
        return (number, example) if example.answers else None

    numbered = [pair for pair in read_all(entries, read) if pair]
    if in_bytes:
        warn(str(path), "its answer starts count bytes; they are converted to Unicode characters")
    if numbered and len(numbered) < len(entries):
        warn(
            str(path),
            f"{len(entries) - len(numbered):,} of {len(entries):,} questions have no answer, as in "
            "SQuAD v2, and are dropped",
        )
    return [[e for _, e in group] for _, group in groupby(numbered, key=lambda pair: pair[0])]


def _count_bytes(entries: Sequence[Entry]) -> bool:
    """Whether the answer starts of a file count bytes and not characters."""
    return not _all_found(entries, lambda context: context) and _all_found(entries, str.encode)


def _all_found(entries: Sequence[Entry], code: Callable[[str], str | bytes]) -> bool:
    """Whether there are answers, all well-formed and at their starts."""
    last: Any = None
    coded: Any = ""
    answers = 0
    for _, _, node, paragraph in entries:
        context = paragraph.get("context") if isinstance(paragraph, dict) else None
        if not isinstance(context, str) or not isinstance(node, dict):
            return False
        if context is not last:
            last, coded = context, code(context)
        try:
            for _, answer in _answers(node, "", Path()):
                text, start = (answer[key] for key in ANSWER)
                if start < 0 or not coded.startswith(code(text), start):
                    return False
                answers += 1
        except (InputError, TypeError, KeyError, AttributeError):
            return False
    return answers > 0


def _nodes(node: Any, key: str, position: str, path: Path) -> Iterator[tuple[str, Any]]:
    name = f"{position}.{key}".lstrip(".")
    values = node.get(key) if isinstance(node, dict) else None
    if not isinstance(values, list):
        raise InputError(f"{path}: no list '{name}'; give SQuAD v1.1 JSON.")
    for i, value in enumerate(values):
        yield f"{name}[{i}]", value


def _text(node: Any, key: str, position: str, path: Path) -> str:
    text = node.get(key) if isinstance(node, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{path}: no text under {position}.{key}; write it or drop the entry.")
    return text


def _question(node: Any, context: str, position: str, path: Path, in_bytes: bool) -> QaExample:
    """A question, also if it has no answers.

    Args:
        in_bytes: whether answer starts count bytes of the context.
    """
    if isinstance(node, dict) and type(node.get("id")) is int:  # as in GermanQuAD
        node = {**node, "id": str(node["id"])}
    identity = _text(node, "id", position, path)
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
            _answer(answer, context, where, location, path)
            for location, answer in _answers(node, where, path)
        ]
    texts, starts = zip(*answers, strict=True) if answers else ((), ())
    return QaExample(identity, question, context, texts, starts, str(path))


def _answers(node: Any, where: str, path: Path) -> Iterator[tuple[str, Any]]:
    """The answers of a question: objects, or, as in `datasets`, lists of texts and starts."""
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


def _answer(answer: Any, context: str, where: str, location: str, path: Path) -> tuple[str, int]:
    text = _text(answer, "text", location, path)
    start = answer.get("answer_start")
    if type(start) is not int:
        raise InputError(
            f"{path}: {where} has the answer_start {start!r}, which is not an integer; write a "
            "number without a point or quotes."
        )
    if start < 0 or not context.startswith(text, start):
        raise InputError(
            f"{path}: {where} has the answer '{text}' at {start}, but the context"
            f" does not; {_correction(context, text)}."
        )
    return text, start


def _correction(context: str, text: str) -> str:
    first = context.find(text)
    if first < 0:
        return "correct the text, which is not in the context"
    return f"set answer_start to its position in Unicode characters from 0 (first at {first})"
