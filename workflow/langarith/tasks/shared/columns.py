"""Files with a word per line: finds the columns of the words and of their tags.

Public data sets number the words (WikiNEuRal, UNER), have comment lines (MultiCoNER, UNER), more
columns after the tags (UNER), several columns of tags (GermEval), or the code of the language
before every word (the archives of WikiANN).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from langarith.data.readers import read_all
from langarith.errors import InputError, warn

TAG = re.compile(r"O|[BIESLU]-\S+")
"""A tag of any scheme (:mod:`langarith.tasks.shared.spans`)."""
PREFIX = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
# A token may contain a no-break or ideographic space, at which str.split() would split.
SPACES = re.compile(r"[ \t]+")
CHUNKS = frozenset("NP VP PP ADVP ADJP SBAR PRT CONJP INTJ LST UCP".split())
"""Types of the chunk column of CoNLL-2003, also IOB tags, which precedes the column of entities."""
HEAD = 2000
"""Lines from which the layout is detected."""
MOST = 0.9
"""The share of these that must agree, so that single mistakes do not matter."""
NUMBER = re.compile(r"\d+(?:[-.]\d+)?")
"""Number of a word; 1-2 and 1.1 are ranges and empty nodes of CoNLL-U, not words."""

Line = tuple[int, str]
"""A line with its number from 1."""


def split_columns(line: str) -> list[str]:
    """The columns of a line, separated by tabs, or by spaces if the line has no tab."""
    return line.rstrip(" ").split("\t") if "\t" in line else SPACES.split(line.strip(" "))


def words_and_tags(
    path: Path,
    rows: Sequence[Line],
    ends_sentence: Callable[[str], bool],
    study_columns: Mapping[str, int | str],
    *,
    recognise: bool = True,
) -> Iterator[Line]:
    """The lines of a file without comments; lines of words as the word, a tab and its tag.

    A line that lacks a column is not changed. If every word begins with the code of a language
    (`en:`), the code is removed, with a warning.

    Args:
        ends_sentence: whether a line separates sentences.
        study_columns: numbers of the columns `token` and `tag` from 1, if the study names them.
        recognise: detect the other columns by their content, which are tags of entities; otherwise
            the first and the last column are used.

    Raises:
        InputError: several possible columns of tags, a column that the file does not have, a word
            without the code that others have, and lines of words with more or fewer columns than
            the others.
    """
    for name, column in study_columns.items():
        if isinstance(column, str):
            raise InputError(
                f"{path} has columns without names, but the study's 'columns' gives '{column}' "
                f"for the {name}; give its number instead, from 1."
            )
    comments = Comments(line for _, line in rows[:HEAD] if not ends_sentence(line))
    _check_widths(path, rows, ends_sentence, comments)
    sentences: list[list[list[str]]] = [[]]
    for _, line in rows[:HEAD]:
        if ends_sentence(line):
            sentences.append([])
        elif not comments.has(line) and len(columns := split_columns(line)) == comments.usual:
            sentences[-1].append(columns)
    word, tag, prefix, numbered = _layout(path, sentences, study_columns, recognise)
    if prefix:
        warn(str(path), f"every token begins with '{prefix}', which is removed")
    for number, line in rows:
        if ends_sentence(line):
            yield number, ""
        elif not comments.has(line):
            columns = split_columns(line)
            if numbered and _is_not_a_word(columns[0]):
                continue
            if len(columns) > max(word, tag, 1):
                text = columns[word]
                if not text.startswith(prefix):
                    raise InputError(
                        f"{path}, line {number}: '{text}' does not begin with '{prefix}' as other "
                        "tokens do; write it before all tokens or before none."
                    )
                line = f"{text.removeprefix(prefix)}\t{columns[tag]}"  # noqa: PLW2901
            yield number, line


class Comments:
    """Distinguishes comments from lines with the word #."""

    def __init__(self, lines: Iterable[str]) -> None:
        lines = list(lines)
        words = [line for line in lines if not line.startswith("#")] or lines
        widths = Counter(width for width in map(_width, words) if width > 1)
        self.usual = widths.most_common(1)[0][0] if widths else 2
        """Number of columns of most lines of words."""
        self.tabs = all("\t" in line for line in words)

    def has(self, line: str) -> bool:
        """Whether a line is a comment."""
        if not line.startswith("#"):
            return False
        columns = split_columns(line)
        if len(columns) < 2 or (self.tabs and "\t" not in line):
            return len(columns) > 1
        if TAG.fullmatch(columns[-1]):
            return False
        if len(columns) == self.usual:
            return line[1] in " \t" and not any(map(TAG.fullmatch, columns))
        return True


def _check_widths(
    path: Path, rows: Sequence[Line], ends_sentence: Callable[[str], bool], comments: Comments
) -> None:
    """Refuse lines of words with more or fewer columns than most."""
    widths = Counter(_width(line) for _, line in rows)
    if len(widths.keys() - {0, 1}) < 2:
        return
    words = Counter(
        _width(line) for _, line in rows if not ends_sentence(line) and not comments.has(line)
    )
    usual = words.most_common(1)[0][0] if words else 0

    def check(row: Line) -> None:
        width = _width(row[1])
        if width not in (usual, 1) and not ends_sentence(row[1]) and not comments.has(row[1]):
            raise InputError(
                f"{path}, line {row[0]} has {width} columns, but others have {usual}; put a tab "
                "between the columns, because without tabs a token with a space is split into "
                "several columns."
            )

    read_all(rows, check)


def _width(line: str) -> int:
    """The number of columns of a line; 0 for an empty line."""
    tabs = line.count("\t")
    return tabs + 1 if tabs else len(SPACES.split(line.strip(" "))) if line else 0


def _layout(
    path: Path,
    sentences: Sequence[Sequence[Sequence[str]]],
    study_columns: Mapping[str, int | str],
    recognise: bool,
) -> tuple[int, int, str, bool]:
    """The columns of the words and of the tags, from 0.

    Also the code before every word, or '', and whether the first column numbers the words.
    """
    rows = [row for rows in sentences for row in rows]
    numbered = recognise and any(len(row) > 2 for row in rows) and _counts(sentences)
    rows = [row for row in rows if not (numbered and _is_not_a_word(row[0]))]
    columns = list(zip(*rows, strict=True))
    last = max(len(columns) - 1, 1)
    for name, number in study_columns.items():
        if columns and int(number) > len(columns):
            raise InputError(
                f"{path} has {len(columns)} columns, but the study's 'columns' names column "
                f"{number} for the {name}; correct it."
            )
    tag = int(study_columns["tag"]) - 1 if "tag" in study_columns else None
    word = int(study_columns["token"]) - 1 if "token" in study_columns else None
    if recognise and columns:
        if tag is None:
            tag = _tag_column(path, columns, numbered)
        if word is None:
            others = [i for i in range(int(numbered), len(columns)) if i != tag]
            word = next((i for i in others if not _has_entities(columns[i])), 0)
    tag = last if tag is None else tag
    word = 0 if word is None else word
    prefix = _common_prefix(columns[word]) if columns and recognise else ""
    return word, tag, prefix, numbered


def _tag_column(path: Path, columns: Sequence[Sequence[str]], numbered: bool) -> int:
    """The column of tags: if there are several, the one with entities, or the last one."""
    last = len(columns) - 1
    tags = [i for i, column in enumerate(columns) if _is_tags(column)]
    entities = [i for i in tags if _has_entities(columns[i])]
    if len(entities) > 1 or (entities and entities[0] != last and last in tags):
        numbers = dict.fromkeys([*entities, last] if last in tags else entities)
        word = next((i for i in range(int(numbered), last) if i not in numbers), 0)
        raise InputError(
            f"{path}: columns {' and '.join(str(i + 1) for i in numbers)} are tags, as in "
            "GermEval; name the columns to read in the study's task, for example "
            f"columns: {{token: {word + 1}, tag: {min(numbers) + 1}}}."
        )
    return entities[0] if entities else tags[0] if tags and last not in tags else last


def _counts(sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first column counts the words of each sentence, from 0 or 1."""
    columns = [[row[0] for row in rows] for rows in sentences if rows]
    return (
        any(len(column) > 1 for column in columns)
        and _most(re.split("[-.]", column[0])[0] in ("0", "1") for column in columns)
        and _most(NUMBER.fullmatch(number) for column in columns for number in column)
    )


def _is_not_a_word(number: str) -> bool:
    """Whether the first column is the number of a range or an empty node."""
    return NUMBER.fullmatch(number) is not None and not number.isdecimal()


def _is_tags(column: Sequence[str]) -> bool:
    return _most(TAG.fullmatch(value) for value in column)


def _has_entities(column: Sequence[str]) -> bool:
    """Whether a column contains tags with types other than those of chunks."""
    types = {value[2:].upper() for value in column if value != "O" and TAG.fullmatch(value)}
    return _is_tags(column) and bool(types) and not types <= CHUNKS


def _most(agrees: Iterable[object]) -> bool:
    values = [bool(value) for value in agrees]
    return sum(values) >= MOST * len(values)


def _common_prefix(words: Sequence[str]) -> str:
    """`en:` if there are several words and all begin with it, else ''."""
    match = PREFIX.match(words[0]) if len(words) > 1 else None
    return match[0] if match and all(word.startswith(match[0]) for word in words) else ""
