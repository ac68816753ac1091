"""Mistakes of users, which stop the work, and warnings, which do not."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class InputError(ValueError):
    """A mistake in a config or data file.

    The message is one sentence that names the file or key, states what is wrong and gives the fix.
    Scripts and the Snakefile print it without a traceback and exit with 1.
    """


KNOWN = 40
"""Known words that a message lists."""


def count(text: str) -> int:
    """A number of at least 1: the type of options of commands, as for argparse."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number of at least 1")
    return int(text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if a known word is close to `word`, else the known words."""
    known = sorted(str(k) for k in known)
    close = difflib.get_close_matches(str(word), known, n=1)
    if close:
        return f" (did you mean '{close[0]}'?)"
    more = f" and {len(known) - KNOWN} more" if len(known) > KNOWN else ""
    return f" (known: {', '.join(known[:KNOWN])}{more})" if known else ""


@dataclass(frozen=True)
class InputWarning:
    """Something in the data that is possible but suspicious.

    `where` names what it is about (`ner, sw, test`), `what` says it, with counts.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


_gathering: list[Callable[[InputWarning], None]] = []


def warn(where: str, what: str) -> None:
    """Pass a warning to every `gathered_warnings` that is open."""
    for receive in _gathering:
        receive(InputWarning(where, what))


def warn_of_loss(where: str, count: int, total: int, what: str, fix: str) -> None:
    """Warn of a part of the data that is lost, with its share: "3 of 40 (7.5 %) words ...".

    Args:
        what: what happens to the part, as the end of a sentence.
        fix: how to keep it.

    Raises:
        InputError: above one half.
    """
    share = f"{count:,} of {total:,} ({100 * count / max(total, 1):.1f} %) {what}"
    if 2 * count > total:
        raise InputError(f"{where}: {share}; {fix}.")
    if count:
        warn(where, f"{share}; {fix}")


@contextmanager
def gathered_warnings(
    report: Callable[[InputWarning], None] = lambda _: None,
) -> Iterator[list[InputWarning]]:
    """The warnings of a block, each once, in a list that grows; each is reported when it comes."""
    found: list[InputWarning] = []

    def receive(warning: InputWarning) -> None:
        if warning not in found:
            found.append(warning)
            report(warning)

    _gathering.append(receive)
    try:
        yield found
    finally:
        _gathering.remove(receive)
