"""The columns of CoNLL files: layouts that are recognised, and refused, since they say otherwise.

A file has its words in the first column and IOB2 tags in the last one. Public data sets come in
other layouts, and to read their first and last columns would give wrong words or tags.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langarith.data.readers import read_all
from langarith.errors import InputError

TAG = re.compile(r"O|[BI]-\S+")
PREFIX = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
# A token may hold a no-break or ideographic space, which str.split() would take for a separator.
SPACES = re.compile(r"[ \t]+")
CHUNKS = frozenset("NP VP PP ADVP ADJP SBAR PRT CONJP INTJ LST UCP".split())
"""Types of the chunk column of CoNLL-2003, the one column of IOB tags that stands before theirs."""
HEAD = 2000
"""Lines that show a layout."""


def split_columns(line: str) -> list[str]:
    """The columns of a line, parted by tabs, or by spaces where the line has no tab."""
    return line.rstrip(" ").split("\t") if "\t" in line else SPACES.split(line.strip(" "))


@dataclass
class _Lines:
    """The first lines of words of a file, by sentence."""

    sentences: list[list[list[str]]] = field(default_factory=lambda: [[]])
    tabs: bool = False
    comments: bool = False


def check_columns(
    path: Path, rows: Sequence[tuple[int, str]], ends_sentence: Callable[[str], bool]
) -> None:
    """Check that a file can have its words in the first column and its tags in the last one.

    Errors: InputError for a layout that is recognised (WikiNEuRal, UNER, MultiCoNER, GermEval, the
    archives of WikiANN), with a command that turns it into this one, and for lines of words that
    have more or fewer columns than the others.

    Args:
        rows: the numbered lines of the file.
        ends_sentence: whether a line stands between sentences.
    """
    lines = _Lines()
    for _, line in rows[:HEAD]:
        columns = split_columns(line)
        if ends_sentence(line):
            lines.sentences += [[]] if lines.sentences[-1] else []
        elif line.startswith("#") and not TAG.fullmatch(columns[-1]):
            lines.comments = True
        elif len(columns) > 1:
            lines.tabs = lines.tabs or "\t" in line
            lines.sentences[-1].append(columns)
    layout = _layout(lines)
    if layout is not None:
        reasons, command = layout
        raise InputError(
            f"{path}: {', '.join(reasons)}; give lines of a token, a tab and a tag, for example "
            f"by {command}."
        )
    widths = Counter(_width(line) for _, line in rows)
    if len(widths.keys() - {0, 1}) > 1:
        words = Counter(_width(line) for _, line in rows if not ends_sentence(line))
        usual = words.most_common(1)[0][0]

        def check(row: tuple[int, str]) -> None:
            width = _width(row[1])
            if width not in (usual, 1) and not ends_sentence(row[1]):
                raise InputError(
                    f"{path}, line {row[0]} has {width} columns, and others have {usual}; put a "
                    "tab between the columns, since a token that holds a space is not one column "
                    "where spaces part them."
                )

        read_all(rows, check)


def _width(line: str) -> int:
    """How many columns a line has; 0 for an empty one."""
    tabs = line.count("\t")
    return tabs + 1 if tabs else len(SPACES.split(line.strip(" "))) if line else 0


def _layout(lines: _Lines) -> tuple[list[str], str] | None:
    """What shows another layout, and the command that converts it; None for this layout."""
    widths = Counter(len(row) for rows in lines.sentences for row in rows)
    if not widths:
        return None
    width = widths.most_common(1)[0][0]
    sentences = [[row for row in rows if len(row) == width] for rows in lines.sentences]
    columns = list(zip(*(row for rows in sentences for row in rows), strict=True))
    numbered = width > 2 and _counts(sentences)
    of_tags = [i for i, column in enumerate(columns) if _has_entities(column)]
    last = width - 1
    words = next(i for i in range(width) if i not in of_tags and not (i == 0 and numbered))
    tags = of_tags[0] if of_tags else words + 1 if _is_tags(columns[words + 1]) else last
    prefix = _common_prefix(columns[words])

    reasons = []
    if numbered:
        reasons.append("the first column numbers the words, as in WikiNEuRal and UNER")
    if lines.comments:
        reasons.append("lines of comments begin with #, as in MultiCoNER and UNER")
    if of_tags and of_tags[0] != last:
        reasons.append(
            f"columns {of_tags[0] + 1} and {width} hold tags, as in GermEval"
            if _is_tags(columns[last])
            else f"column {of_tags[0] + 1} holds the tags, not the last one"
        )
    if prefix:
        reasons.append(f"every token begins with '{prefix}', as in the archives of WikiANN")
    if not reasons:
        return None
    separator = "-F'\\t' " if lines.tabs else ""
    strip = f'sub(/^{prefix}/, "", ${words + 1}); ' if prefix else ""
    print_both = f'{strip}print ${words + 1} "\\t" ${tags + 1}'
    pattern = f"${tags + 1} ~ /^(O|[BI]-.+)$/"
    program = f"""NF == 0 {{print ""}} {pattern} {{{print_both}}}"""
    return reasons, f"awk {separator}'{program}' FILE > NEW"


def _counts(sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first column counts the words of each sentence, from 0 or 1."""
    firsts = [[row[0] for row in rows] for rows in sentences if rows]
    return any(len(column) > 1 for column in firsts) and all(
        column == [str(start + i) for i in range(len(column))]
        for column in firsts
        for start in [1 if column[0] == "1" else 0]
    )


def _is_tags(column: Sequence[str]) -> bool:
    return all(TAG.fullmatch(value) for value in column)


def _has_entities(column: Sequence[str]) -> bool:
    """Whether a column is one of tags with types, but not those of chunks."""
    types = {value[2:] for value in column if value != "O"}
    return _is_tags(column) and bool(types) and not {t.upper() for t in types} <= CHUNKS


def _common_prefix(words: Sequence[str]) -> str:
    """`en:` where every word begins with it and there are several, else ''."""
    start = PREFIX.match(words[0]) if len(words) > 1 else None
    return start[0] if start and all(word.startswith(start[0]) for word in words) else ""
