"""Spelling of coined Latin names in other scripts."""

from __future__ import annotations

from dataclasses import dataclass, field

_VOWELS = "aeiou"


@dataclass(frozen=True)
class Script:
    """How the letters of coined names are spelt; every table maps Latin letters to strings."""

    vowels: dict[str, str]
    consonants: dict[str, str]
    stressed: dict[str, str] = field(default_factory=dict)  # the second to last vowel, if marked
    final: dict[str, str] = field(default_factory=dict)  # other letters at the end of a word
    after: dict[str, str] = field(default_factory=dict)  # vowel signs that follow a consonant
    joiner: str = ""  # between two consonants


def _table(latin: str, other: str) -> dict[str, str]:
    return dict(zip(latin.split(), other.split(), strict=True))


_CONSONANTS = "b d f g k l m n p r s t v z"

SCRIPTS = {
    "latin": Script(_table("a e i o u", "a e i o u"), _table(_CONSONANTS, _CONSONANTS)),
    "cyrillic": Script(
        _table("a e i o u", "а е и о у"), _table(_CONSONANTS, "б д ф г к л м н п р с т в з")
    ),
    "greek": Script(
        _table("a e i o u", "α ε ι ο ου"),
        _table(_CONSONANTS, "μπ ντ φ γκ κ λ μ ν π ρ σ τ β ζ"),
        stressed=_table("a e i o u", "ά έ ί ό ού"),
        final={"s": "ς"},
    ),
    "devanagari": Script(
        _table("a e i o u", "आ ए ई ओ ऊ"),
        _table(_CONSONANTS, "ब द फ़ ग क ल म न प र स त व ज़"),
        after=_table("a e i o u", "ा े ी ो ू"),
        joiner="्",
    ),
}


def spell(name: str, script: Script) -> str:
    """A coined name in `script`, with a capital letter if the script has them."""
    vowels = [i for i, letter in enumerate(name) if letter in _VOWELS]
    stress = vowels[-2] if len(vowels) > 1 else None
    spelling = ""
    for i, letter in enumerate(name):
        previous = name[i - 1] if i else "a"
        if letter in _VOWELS:
            table = script.after if script.after and previous not in _VOWELS else script.vowels
            spelling += script.stressed.get(letter, table[letter]) if i == stress else table[letter]
        else:
            spelling += "" if previous in _VOWELS else script.joiner
            consonant = script.consonants[letter]
            spelling += script.final.get(letter, consonant) if i == len(name) - 1 else consonant
    return spelling[0].upper() + spelling[1:]
