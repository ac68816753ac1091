"""Sentences on mistakes in a study, which name the key, its value and the fix: pydantic's errors.

Also mistakes of several keys: languages that the study does not have, values that are repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langarith.errors import did_you_mean

EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number with fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "list_type": "a list, such as [a, b]",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
}
"""The expected value, by pydantic's type of error; {name} is a key of the error's context."""

PATTERNS = {
    "license": "the hub's identifier of a licence, such as apache-2.0",
    "language": "letters, digits, - and _, such as sr_Latn",
    "sha256": "64 digits of 0-9 and a-f",
}
"""The expected text in words, by the last part of a key that has a pattern."""

SOURCES = frozenset({"hub", "files", "pretrain", "pretrain with start", "miniature"})
"""Pydantic puts the `source` of a block before its keys: models.tiny.pretrain.vocabulary."""

BLOCK = "function-wrap"
FORMS: dict[str, tuple[type, str]] = {
    "str": (str, "text"),
    "list[str]": (list, "a list of texts"),
    BLOCK: (dict, "a block of keys"),
}
"""Pydantic also adds the form that a value may have: corpora.files.path.list[str]. A block has the
name of its validator."""

Place = tuple[str | int, ...]
"""Keys, and positions in lists, from the outside in."""


def sentences(data: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> list[str]:
    """One sentence for each mistake, without repetitions.

    Args:
        data: the study as it was read.
        errors: the result of `ValidationError.errors()`.
    """
    messages: dict[str, None] = {}
    forms: dict[Place, set[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # a tuple with wrong entries, each of which has its own sentence
        parts, form, place = _place(data, error["loc"])
        if form:
            forms.setdefault(place, set()).add(form)
        # only the form that the value has gives a useful error
        if form is None or isinstance(_value(data, place), FORMS[form][0]):
            messages[_sentence(_key(data, parts), error)] = None
    for place, names in forms.items():
        value = _value(data, place)
        if not any(isinstance(value, FORMS[form][0]) for form in names):
            words = " or ".join(FORMS[form][1] for form in FORMS if form in names)
            messages[f"{_key(data, place)} is {short_text(value)}; write {words}"] = None
    return list(messages)


def short_text(value: Any) -> str:
    """A value as a short text, as it looks in the file."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a block of keys"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sentence(  # noqa: PLR0911  one answer to each kind of mistake
    key: str, error: Mapping[str, Any]
) -> str:
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "missing":
        return f"{key} is missing; add it"
    if kind == "union_tag_invalid":
        return (
            f"{key}.source is {short_text(_source(value))}; use one of {context['expected_tags']}"
        )
    if kind == "union_tag_not_found":
        third = "pretrain" if key.startswith("models.") else "miniature"
        return f"{key}.source is missing; add it (hub, files or {third})"
    if error["loc"] and error["loc"][-1] == "[key]":
        if "expected" in context:
            return f"{key}: the key {short_text(value)} is unknown; write {context['expected']}"
        return f"{key}: the key {short_text(value)} is no text; put it into quotes"
    if kind == "string_type" and isinstance(value, bool | int | float):
        noun = "truth value" if isinstance(value, bool) else "number"
        return f"{key}: {short_text(value)} is a {noun} and no text; put it into quotes"
    if kind in ("too_short", "string_too_short"):
        if isinstance(value, str):
            return f"{key} is empty; write text"
        noun = "keys" if isinstance(value, Mapping) else "entries"
        state = f"has too few {noun} ({len(value)})" if value else "is empty"
        return f"{key} {state}; give at least {context['min_length']}"
    if kind in EXPECTED:
        wanted = EXPECTED[kind]
        if kind == "string_pattern_mismatch":
            wanted = PATTERNS.get(key.rpartition(".")[2], wanted)
        # limits of floats are floats: 1.0
        limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
        expected = wanted.format(**limits)
        return f"{key} is {short_text(value)}; write {expected}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _place(data: Any, loc: Sequence[str | int]) -> tuple[Place, str | None, Place]:
    """The keys of an error, without additions of pydantic; a form, and its place."""
    parts: list[str | int] = []
    form: str | None = None
    place: Place = ()
    for part in loc:
        block = _value(data, parts)
        inside = isinstance(block, Mapping) and part in block
        name = BLOCK if str(part).startswith(BLOCK) else str(part)
        if inside or not (
            name in FORMS or (part in SOURCES and str(part).split()[0] == _source(block))
        ):
            parts.append(part)
        elif name in FORMS:
            form, place = name, tuple(parts)
    return tuple(parts[:-2] if parts[-1:] == ["[key]"] else parts), form, place


def _source(block: Any) -> Any:
    return block.get("source") if isinstance(block, Mapping) else None


def _value(data: Any, parts: Iterable[str | int]) -> Any:
    """The value at some keys, None if there is none."""
    for part in parts:
        if isinstance(data, list):
            data = dict(enumerate(data))
        if not isinstance(data, Mapping) or part not in data:
            return None
        data = data[part]
    return data


def _key(data: Any, parts: Sequence[str | int]) -> str:
    return ".".join(_words(data, parts))


def _words(data: Any, parts: Sequence[str | int]) -> Iterator[str]:
    """Keys as words; positions in lists count from 1 and follow the list: seeds (entry 2)."""
    last = ""
    for i, part in enumerate(parts):
        if isinstance(part, int) and isinstance(_value(data, parts[:i]), list):
            last = f"{last} (entry {part + 1})"
            continue
        if last:
            yield last
        last = str(part)
    if last:
        yield last


def unknown_languages(known: Collection[str], key: str, languages: Iterable[str]) -> Iterator[str]:
    """A sentence for each language that is not among the study's."""
    for language in languages:
        if language not in known:
            hint = did_you_mean(language, known)
            yield f"{key}: language '{language}' is not in 'languages'{hint}"


def repeated(key: str, values: Iterable[Any]) -> Iterator[str]:
    """A sentence for each value that a list has twice."""
    for value, count in Counter(values).items():
        if count > 1:
            yield f"{key}: '{value}' is listed twice; remove one"
