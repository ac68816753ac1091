"""The invented world: people, organisations, cities, and the facts about them.

Names are coined in lower-case Latin letters that every script of `scripts` can spell. They begin
with a consonant, so that no language has to elide or contract a word before them.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

KNOWN_SHARE = 0.7
"""Share of names that may occur in training text; the others are in validation and test only."""

# How many names of each kind are coined.
_FIRST_NAMES, _SURNAMES, _CITIES, _BRANDS = 24, 60, 50, 30

# Language and country codes whose CLDR names fit into every language's templates: a French
# country must follow "en", a German one must have no article, a Russian language be an adjective.
_LANGUAGES = "fr de es it pt ru zh ja ar tr ko pl el hu fi sv"
_COUNTRIES = (
    "FR DE IT ES BE AT PL GR NO SE FI IE HU RO BG HR RU CN IN AR CO BO DZ TN EG ZM TZ EE LT TH "
    "ID MY AU AL"
)
LANGUAGES = tuple(_LANGUAGES.split())
COUNTRIES = tuple(_COUNTRIES.split())


@dataclass(frozen=True)
class Relation:
    """A kind of fact. `about` and `slot` name the template slots of its subject and its value;
    a `single` one has one value per subject, so that another value contradicts it."""

    about: str
    slot: str
    single: bool = True


RELATIONS = {
    "born": Relation("person", "date"),
    "birthplace": Relation("person", "city"),
    "lives": Relation("person", "city"),
    "works": Relation("person", "org"),
    "profession": Relation("person", "profession"),
    "speaks": Relation("person", "language"),
    "pet": Relation("person", "pet", single=False),
    "food": Relation("person", "food"),
    "friend": Relation("person", "friend"),
    "trait": Relation("person", "trait"),
    "based": Relation("org", "city"),
    "founded": Relation("org", "year"),
    "founder": Relation("org", "founder"),
    "buys": Relation("org", "product", single=False),
    "country": Relation("city", "country"),
    "mayor": Relation("city", "mayor"),
    "sight": Relation("city", "sight", single=False),
}

ORGANISATIONS = ("bank", "university", "museum", "radio", "factory", "club", "brand")


@dataclass(frozen=True)
class Names:
    """Names to draw from. Some surnames are names of cities too, and organisations are named after
    cities, surnames and brands, so that only the context distinguishes the kinds."""

    first: tuple[tuple[str, ...], tuple[str, ...]]
    surnames: tuple[str, ...]
    cities: tuple[str, ...]
    brands: tuple[str, ...]


def _coin(rng: random.Random, taken: set[str], count: int, endings: Sequence[str]) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        stem = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(2))
        name = stem + rng.choice(endings)
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


@functools.cache
def names(known: bool) -> Names:
    """The names of training text or, if not `known`, those held out from it."""
    rng, taken = random.Random("names"), set[str]()

    def coin(count: int, endings: str) -> tuple[str, ...]:
        coined = _coin(rng, taken, count, endings.split())
        cut = round(count * KNOWN_SHARE)
        return tuple(coined[:cut] if known else coined[cut:])

    first = (coin(_FIRST_NAMES, "n r l s k"), coin(_FIRST_NAMES, "na ra la ta lia"))
    surnames = coin(_SURNAMES, "lder rtin lsen ro ski mov nko rdi t ga")
    cities = coin(_CITIES, "nia rdo burg lsk ntes polis vik grad mar ston ga ro")
    brands = coin(_BRANDS, "tek luk ro mat rda go spor t")
    return Names(first, surnames + cities[: len(cities) // 3], cities, brands)
