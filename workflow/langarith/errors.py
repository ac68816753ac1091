"""The exception for user mistakes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in a config or data file.

    The message is one sentence that names the file or key, states what is wrong and gives the fix.
    Scripts and the Snakefile print it without a traceback and exit with 1.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` if a known word is close to `word`, else all known words."""
    known = sorted(str(k) for k in known)
    close = difflib.get_close_matches(str(word), known, n=1)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""
