"""Tagging schemes for spans of entities, and their conversion to IOB2.

IOB2 begins each span with B-X and continues it with I-X. IOB1 (the original CoNLL-2003; Ramshaw and
Marcus 1995) also has I-X at the beginning, and B-X only after a span of the same type. BIOES marks
the last word with E-X and a single word with S-X; BILOU has L-X and U-X for these (Ratinov and Roth
2009).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from langarith.errors import InputError

SCHEMES = {"iob2": "BI", "iob1": "BI", "bioes": "BIES", "bilou": "BILU"}
"""The prefixes of each scheme, besides O."""

_MARKS = {"S": "B", "U": "B", "E": "I", "L": "I"}


def to_iob2(tag: str, previous: str | None, scheme: str, where: str) -> str:
    """A tag of a scheme in IOB2.

    Args:
        previous: the previous tag of the sentence, of the same scheme, '' for the first, None if it
            was invalid.
        where: file and line, for messages.

    Raises:
        InputError: a tag outside the scheme, and for a tag that continues a span that does not
            precede it, or that the previous tag has ended.
    """
    if not _fits(tag, scheme):
        other = next((name for name in ("bioes", "bilou") if _fits(tag, name)), None)
        hint = f"set 'tags: {other}' in the study if the files have it, or " if other else ""
        marks = ", ".join(f"{mark}-TYPE" for mark in SCHEMES[scheme][:-1])
        raise InputError(
            f"{where}: '{tag}' is not an {scheme.upper()} tag; {hint}write O, {marks} or "
            f"{SCHEMES[scheme][-1]}-TYPE."
        )
    mark, _, kind = tag.partition("-")
    mark = _MARKS.get(mark, mark)
    if mark == "I" and previous not in (f"B-{kind}", f"I-{kind}", None):
        if scheme != "iob1":
            hint = "set 'tags: iob1' in the study if the files have IOB1, or " * (scheme == "iob2")
            raise InputError(
                f"{where}: '{tag}' continues no {kind} span; {hint}begin the span with B-{kind}."
            )
        mark = "B"
    return f"{mark}-{kind}" if kind else tag


def scheme_of(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme of the tags of sentences; IOB2 if the tags fit several."""
    rows = [("", *tags) for tags in sentences]
    marks = {tag[0] for _, *tags in rows for tag in tags}
    for name in ("bioes", "bilou"):
        if marks & set(SCHEMES[name][2:]):
            return name
    continues_nothing = (
        tag.startswith("I-") and before[2:] != tag[2:]
        for tags in rows
        for before, tag in pairwise(tags)
    )
    return "iob1" if any(continues_nothing) else "iob2"


def _fits(tag: str, scheme: str) -> bool:
    return re.fullmatch(rf"O|[{SCHEMES[scheme]}]-\S+", tag) is not None
