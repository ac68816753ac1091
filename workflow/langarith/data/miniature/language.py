"""A language: the words and templates of one file, with CLDR's names."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith.data.miniature import world
from langarith.data.miniature.scripts import SCRIPTS, Script
from langarith.errors import InputError, did_you_mean

FOLDER = Path(__file__).with_name("languages")

SLOT = re.compile(r"\{(?:(\w+):)?([^{}|]*)\|([^{}|]*)\}|\{(\w+)\}")
"""`{slot}`, or `{masculine|feminine}` with an optional `slot:` that names whose gender it is."""

_SLOTS = (
    "person subject surname friend founder mayor city place org country language month weekday "
    "date year number"
)
SLOTS = frozenset(_SLOTS.split())

Forms = tuple[str, str]
"""A word's masculine and feminine form, which are the same for most."""


@dataclass(frozen=True)
class Fact:
    """The templates of a relation."""

    tell: tuple[str, ...]
    deny: str
    ask: tuple[str, ...]
    who: str | None


@dataclass(frozen=True)
class Language:
    """All words and templates of a language. `traits` are pairs of opposites."""

    code: str
    script: Script
    date: str
    subject: str
    pronoun: str
    organisations: dict[str, str]
    facts: dict[str, Fact]
    stories: tuple[str, ...]
    filler: tuple[str, ...]
    words: dict[str, tuple[Forms, ...]]
    traits: tuple[tuple[Forms, Forms], ...]
    months: tuple[str, ...]
    months_in_date: tuple[str, ...]
    weekdays: tuple[str, ...]
    countries: tuple[str, ...]
    languages: tuple[str, ...]

    def templates(self) -> Iterator[str]:
        """Every sentence template."""
        for fact in self.facts.values():
            yield from (*fact.tell, fact.deny, *fact.ask)
            if fact.who:
                yield fact.who
        yield from self.stories
        yield from self.filler


def codes() -> tuple[str, ...]:
    """The codes of the languages that have a file, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def refuse_unknown(languages: Iterable[str]) -> None:
    """Raise InputError for a language without a file."""
    for code in languages:
        if code not in codes():
            raise InputError(
                f"The miniature has no language '{code}'{did_you_mean(code, codes())}: "
                f"name one that it has or write {FOLDER.name}/{code}.yaml."
            )


def refuse_unequal(one: Language, other: Language) -> None:
    """Raise InputError if the lists of templates of two languages differ in length."""
    theirs = _lengths(other)
    for key, length in _lengths(one).items():
        if length != theirs[key]:
            raise InputError(
                f"{FOLDER / f'{other.code}.yaml'}: '{key}' has {theirs[key]} sentences and that of "
                f"{one.code} {length}; to mix both languages, write them in the same order"
            )


def _lengths(language: Language) -> dict[str, int]:
    lengths = {"stories": len(language.stories), "filler": len(language.filler)}
    for name, fact in language.facts.items():
        lengths |= {f"facts.{name}.tell": len(fact.tell), f"facts.{name}.ask": len(fact.ask)}
    return lengths


def load(code: str) -> Language:
    """The language of `languages/{code}.yaml`.

    Raises InputError for a language without a file and for an incomplete file.
    """
    refuse_unknown([code])
    return _load(FOLDER / f"{code}.yaml")


def _forms(word: str) -> Forms:
    masculine, _, feminine = str(word).partition("|")
    return masculine, feminine or masculine


@functools.cache
def _load(path: Path) -> Language:
    import babel
    import yaml

    try:
        data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        locale = babel.Locale.parse(data["locale"])
        months, days = _calendar(str(locale))
        words = {name: tuple(map(_forms, data["words"][name])) for name in data["words"]
                 if name != "trait"}  # fmt: skip
        language = Language(
            code=path.stem,
            script=SCRIPTS[data["script"]],
            date=data["date"],
            subject=data["subject"],
            pronoun=data["pronoun"],
            organisations={kind: data["organisations"][kind] for kind in world.ORGANISATIONS},
            facts={name: _fact(data["facts"][name]) for name in world.RELATIONS},
            stories=tuple(data["stories"]),
            filler=tuple(data["filler"]),
            words=words,
            traits=tuple((_forms(one), _forms(other)) for one, other in data["words"]["trait"]),
            months=tuple(months["stand-alone"]["wide"][m] for m in range(1, 13)),
            months_in_date=tuple(months["format"]["wide"][m] for m in range(1, 13)),
            weekdays=tuple(days["stand-alone"]["wide"][d] for d in range(7)),
            countries=tuple(locale.territories[c] for c in world.COUNTRIES),
            languages=tuple(locale.languages[c] for c in world.LANGUAGES),
        )
    except KeyError as error:
        raise InputError(
            f"{path}: {error} is missing or unknown; en.yaml explains every key."
        ) from None
    known = SLOTS | {"trait"} | set(words)
    for template in language.templates():
        for match in SLOT.finditer(template):
            if match[4] and match[4] not in known:
                raise InputError(
                    f"{path}: no slot or word list is called '{match[4]}' in "
                    f"'{template}'{did_you_mean(match[4], known)}."
                )
    return language


def _calendar(locale: str) -> tuple[Any, Any]:
    """CLDR's months and weekdays.

    Babel writes resolved aliases into data that locales share (after Swahili, Turkish had Swahili
    weekdays), so the aliases are resolved in a copy.
    """
    from babel import localedata

    shared = localedata.load(locale)
    copied: dict[str | int | None, Any] = {}
    for part, value in shared.items():
        copied[part] = copy.deepcopy(value) if part in ("months", "days") else value
    data = localedata.LocaleDataDict(copied)
    return data["months"], data["days"]


def _fact(data: dict[str, Any]) -> Fact:
    return Fact(tuple(data["tell"]), data["deny"], tuple(data["ask"]), data.get("who"))
