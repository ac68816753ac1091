"""Which language is related to which, by URIEL through lang2vec (section 4.1.1, Table 2).

The more nodes of URIEL's family tree (the `fam` features) two languages share, the closer they
are. Often several candidates share equally many. Such ties are broken by the typological distance
(normalised Hamming distance over the `syntax_knn` features), then alphabetically. All 13 choices of
the paper's Table 2 are in the sets of tied candidates, but no tie-break that we tried selects
exactly them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from langarith.errors import InputError

# URIEL's entry of a macrolanguage stops at the family node that all its members share (zho: only
# Sino-Tibetan), and some entries have no family at all (nob, lvs, que, twi). We take the standard
# variety or, if that entry has no family, the macrolanguage.
VARIETIES = {
    "ara": "arb",
    "aym": "ayr",
    "aze": "azj",
    "fas": "pes",
    "grn": "gug",
    "kur": "kmr",
    "ltg": "lav",
    "lvs": "lav",
    "mlg": "plt",
    "mon": "khk",
    "msa": "zsm",
    "nep": "npi",
    "nno": "nor",
    "nob": "nor",
    "orm": "gaz",
    "que": "quy",
    "sqi": "als",
    "swa": "swh",
    "twi": "aka",
    "uzb": "uzn",
    "yid": "ydd",
    "zho": "cmn",
}
"""URIEL's code for an ISO 639-3 code whose own entry has few family nodes."""

EXTENDED = frozenset("ar ms sw uz zh".split())
"""Languages whose code may be followed by a variety: `zh-yue` is yue (BCP 47)."""

LOCK_COMMENT = """\
Related languages by URIEL: most shared family nodes, ties by syntactic distance.
Proposed by `snakemake related_languages`; `related:` in the study overrides it."""

LockEntry = str | list[str]
"""Entry of a target in a lock file: its related language, or several, the nearest first."""


@dataclass(frozen=True)
class UrielFeatures:
    """URIEL's features of one language."""

    family: frozenset[str]
    """Nodes of the family tree above the language; empty for isolates such as Basque."""
    syntax: tuple[float, ...]
    """The 103 binary `syntax_knn` features, gaps filled by URIEL's nearest-neighbour prediction."""


@dataclass(frozen=True)
class Candidate:
    """A candidate related language of a target, and how close it is."""

    language: str
    shared_family: int
    """Family nodes in common with the target."""
    distance: float
    """Share, in [0, 1], of the syntactic features on which the two differ."""


@dataclass(frozen=True)
class RankedCandidate:
    """One candidate of one target in the table of relatedness."""

    target: str
    candidate: str
    shared_family: int
    distance: float
    rank: int
    """1 for the closest."""
    tie_set: bool
    """Whether it is one of the candidates that share the most family nodes with the target."""
    chosen: bool


def uriel_codes(languages: Collection[str]) -> dict[str, str]:
    """URIEL's code (ISO 639-3) of each language.

    A code is one of ISO 639-1 or 639-3, optionally followed by a script, a region or a variety:
    `sr`, `srp`, `sr_Latn`, `zho_Hans`, `es-419`, `zh-yue`.

    Raises `InputError` for the first language that URIEL does not have.
    """
    codes = available_codes(languages)
    for language in languages:
        if language not in codes:
            plain = _plain(language)
            name = f"'{language}'" + (f" (as '{plain}')" if plain != language else "")
            raise InputError(
                f"URIEL does not have the language {name}: give its ISO 639-1 or 639-3 code, or "
                "name its related language in the study under 'related'."
            )
    return codes


def available_codes(languages: Iterable[str]) -> dict[str, str]:
    """As :func:`uriel_codes`, but only of those languages that URIEL has."""
    # Read from lang2vec's files: importing its module takes seconds, its letter lookup raises a
    # bare Exception, and its own list of languages lacks English.
    import numpy

    # Found by the distribution, because the scripts of an environment include a lang2vec.py that
    # hides the package.
    data = Path(str(distribution("lang2vec").locate_file("lang2vec/data")))
    letters = json.loads((data / "letter_codes.json").read_text(encoding="utf-8"))
    with (data / "family_features.npz").open("rb") as file:
        available = set(numpy.load(file)["langs"].tolist())
    codes = {}
    for language in languages:
        plain = _plain(language)
        code = letters.get(plain, plain)
        codes[language] = VARIETIES.get(code, code)
    return {language: code for language, code in codes.items() if code in available}


def _plain(language: str) -> str:
    """A code without script and region, in lower case; the variety of `zh-yue`."""
    first, *others = re.split("[-_]", language.lower())
    varieties = [part for part in others if len(part) == 3 and part.isalpha()]
    return varieties[-1] if varieties and first in EXTENDED else first


def query(languages: Collection[str]) -> dict[str, UrielFeatures]:
    """The features of all `languages`, in one call of lang2vec (several seconds).

    Raises `InputError` for a language that URIEL does not have.
    """
    codes = uriel_codes(languages)
    with warnings.catch_warnings():
        # lang2vec 1.1.2 imports pkg_resources; the lock pins a setuptools that still has it.
        warnings.filterwarnings("ignore", message=".*pkg_resources")
        from lang2vec import lang2vec

    table = lang2vec.get_features(sorted(set(codes.values())), "fam+syntax_knn", header=True)
    names = [str(name) for name in table["CODE"]]

    def features(code: str) -> UrielFeatures:
        values = dict(zip(names, table[code], strict=True))
        return UrielFeatures(
            family=frozenset(name for name in names if name.startswith("F_") and values[name] == 1),
            syntax=tuple(float(values[name]) for name in names if name.startswith("S_")),
        )

    return {language: features(code) for language, code in codes.items()}


def rank(
    target: str, pool: Iterable[str], features: Mapping[str, UrielFeatures]
) -> list[Candidate]:
    """The languages of `pool` except `target`, the closest first.

    Sorted by most shared family nodes, then the smaller distance, then alphabetically.
    """
    own = features[target]
    candidates = [
        Candidate(
            language=language,
            shared_family=len(own.family & features[language].family),
            distance=_hamming(own.syntax, features[language].syntax),
        )
        for language in set(pool) - {target}
    ]
    return sorted(candidates, key=lambda c: (-c.shared_family, c.distance, c.language))


def relatedness_table(
    languages: Sequence[str], exclude: Sequence[str] = ("en",)
) -> list[RankedCandidate]:
    """Every candidate of every target in `languages`, ranked; the first of each target is chosen.

    Candidates are `languages` without `exclude`: the task language is already the other operand,
    and in Table 2 no language is paired with it.

    Raises `InputError` for a language that URIEL does not have, and a target without candidates.
    """
    candidates = [language for language in languages if language not in exclude]
    features = query(languages)
    rows = []
    for target in dict.fromkeys(languages):
        ranked = rank(target, candidates, features)
        if not ranked:
            raise InputError(
                f"No language is left that '{target}' could be related to: "
                "add one to 'languages', or name one under 'related'."
            )
        rows += [
            RankedCandidate(
                target=target,
                candidate=candidate.language,
                shared_family=candidate.shared_family,
                distance=candidate.distance,
                rank=position,
                tie_set=candidate.shared_family == ranked[0].shared_family,
                chosen=position == 1,
            )
            for position, candidate in enumerate(ranked, start=1)
        ]
    return rows


def proposal(rows: Iterable[RankedCandidate], count: int) -> dict[str, LockEntry]:
    """The `count` nearest candidates of each target; as many as there are, if fewer."""
    nearest: dict[str, list[str]] = {}
    for row in rows:
        if row.rank <= count:
            nearest.setdefault(row.target, []).append(row.candidate)
    return {target: names[0] if count == 1 else names for target, names in nearest.items()}


def as_list(locked: LockEntry) -> list[str]:
    """The related languages of a target, the nearest first."""
    return [locked] if isinstance(locked, str) else list(locked)


def updated_lock(
    earlier: Mapping[str, LockEntry], proposed: Mapping[str, LockEntry]
) -> dict[str, LockEntry]:
    """The new content of a lock file: its earlier choices, and the new ones of a proposal.

    If more languages are proposed than a target has, the nearest others are appended.
    """
    locked = dict(proposed) | dict(earlier)
    for target, languages in proposed.items():
        wanted = len(as_list(languages))
        both = dict.fromkeys([*as_list(locked[target]), *as_list(languages)])
        if len(as_list(locked[target])) < wanted:
            locked[target] = list(both)[:wanted]
    return locked


def _hamming(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x != y for x, y in zip(a, b, strict=True)) / len(a)
