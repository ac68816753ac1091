"""Which language is related to which, by URIEL through lang2vec (section 4.1.1, Table 2).

The more nodes of URIEL's family tree (the `fam` features) two languages share, the closer they
are. Many languages share equally many with several candidates: such ties are broken by the
typological distance (normalised Hamming distance over the `syntax_knn` features), and then by the
alphabet. All 13 choices of the paper's Table 2 lie in the sets of tied candidates, but no
tie-break that we know of picks exactly them.
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

# Where a code names a macrolanguage, URIEL's entry for it stops at the family node that all its
# members share (zho: Sino-Tibetan alone), and some entries have no family at all (nob, lvs, que,
# twi). We take the standard variety or, where it is that which is bare, the macrolanguage.
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
"""URIEL's code for a code of ISO 639-3 whose own entry says little."""

EXTENDED = frozenset("ar ms sw uz zh".split())
"""Languages whose varieties are written behind them: `zh-yue` is yue (BCP 47)."""

LOCK_COMMENT = """\
Related languages by URIEL: most shared family nodes, ties by syntactic distance.
Proposed by `snakemake related_languages`; `related:` in the study overrides it."""

Locked = str | list[str]
"""What a lock file says of a target: its related language, or several, the nearest first."""


@dataclass(frozen=True)
class Features:
    """What URIEL knows of one language."""

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
class Row:
    """One candidate of one target in the table of relatedness."""

    target: str
    candidate: str
    shared_family: int
    distance: float
    rank: int
    """1 for the closest."""
    tie_set: bool
    """Among the candidates that share the most family nodes with the target."""
    chosen: bool


def uriel_codes(languages: Collection[str]) -> dict[str, str]:
    """URIEL's code (ISO 639-3) of each language.

    A code is one of ISO 639-1 or 639-3, with or without a script, a region or a variety behind it:
    `sr`, `srp`, `sr_Latn`, `zho_Hans`, `es-419`, `zh-yue`.

    Raises `InputError` for the first language that URIEL does not have.
    """
    found = known(languages)
    for language in languages:
        if language not in found:
            asked = _plain(language)
            shown = f"'{language}'" + (f" (asked for '{asked}')" if asked != language else "")
            raise InputError(
                f"URIEL does not know the language {shown}: give its ISO 639-1 or 639-3 code, or "
                "name its related language in the study under 'related'."
            )
    return found


def known(languages: Iterable[str]) -> dict[str, str]:
    """The same of those languages that URIEL has."""
    # Read from lang2vec's files, since importing its module takes seconds, since its letter
    # lookup raises a bare Exception, and since its own list of languages lacks English.
    import numpy

    # Found by the distribution: for the scripts of an environment, a script lang2vec.py beside
    # them hides the package.
    data = Path(str(distribution("lang2vec").locate_file("lang2vec/data")))
    letters = json.loads((data / "letter_codes.json").read_text(encoding="utf-8"))
    with (data / "family_features.npz").open("rb") as file:
        there = set(numpy.load(file)["langs"].tolist())
    codes = {}
    for language in languages:
        plain = _plain(language)
        code = letters.get(plain, plain)
        codes[language] = VARIETIES.get(code, code)
    return {language: code for language, code in codes.items() if code in there}


def _plain(language: str) -> str:
    """A code without script and region, in small letters; of `zh-yue` the variety."""
    first, *others = re.split("[-_]", language.lower())
    varieties = [part for part in others if len(part) == 3 and part.isalpha()]
    return varieties[-1] if varieties and first in EXTENDED else first


def query(languages: Collection[str]) -> dict[str, Features]:
    """The features of all `languages`, in one question to lang2vec (several seconds).

    Raises `InputError` for a language that URIEL does not have.
    """
    codes = uriel_codes(languages)
    with warnings.catch_warnings():
        # lang2vec 1.1.2 imports pkg_resources; the lock pins a setuptools that still has it.
        warnings.filterwarnings("ignore", message=".*pkg_resources")
        from lang2vec import lang2vec

    answer = lang2vec.get_features(sorted(set(codes.values())), "fam+syntax_knn", header=True)
    names = [str(name) for name in answer["CODE"]]

    def features(code: str) -> Features:
        values = dict(zip(names, answer[code], strict=True))
        return Features(
            family=frozenset(name for name in names if name.startswith("F_") and values[name] == 1),
            syntax=tuple(float(values[name]) for name in names if name.startswith("S_")),
        )

    return {language: features(code) for language, code in codes.items()}


def rank(target: str, pool: Iterable[str], features: Mapping[str, Features]) -> list[Candidate]:
    """The languages of `pool` but for `target` itself, the closest first.

    Most shared family nodes first, then the smaller distance, then the alphabet.
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


def relatedness_table(languages: Sequence[str], exclude: Sequence[str] = ("en",)) -> list[Row]:
    """Every candidate of every target in `languages`, ranked; the first of each target is chosen.

    Candidates are `languages` without `exclude`: the task language is the other operand of the sum
    already, and in Table 2 no language is paired with it.

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
            Row(
                target=target,
                candidate=candidate.language,
                shared_family=candidate.shared_family,
                distance=candidate.distance,
                rank=place,
                tie_set=candidate.shared_family == ranked[0].shared_family,
                chosen=place == 1,
            )
            for place, candidate in enumerate(ranked, start=1)
        ]
    return rows


def proposal(rows: Iterable[Row], count: int) -> dict[str, Locked]:
    """The `count` nearest candidates of each target; as many as there are, if fewer."""
    nearest: dict[str, list[str]] = {}
    for row in rows:
        if row.rank <= count:
            nearest.setdefault(row.target, []).append(row.candidate)
    return {target: found[0] if count == 1 else found for target, found in nearest.items()}


def listed(locked: Locked) -> list[str]:
    """The related languages of a target, the nearest first."""
    return [locked] if isinstance(locked, str) else list(locked)


def accepted(earlier: Mapping[str, Locked], proposed: Mapping[str, Locked]) -> dict[str, Locked]:
    """What a lock file holds next: its earlier choices, and of a proposal what is new.

    A target that has fewer languages than are proposed gets the nearest of the others behind them.
    """
    found = dict(proposed) | dict(earlier)
    for target, languages in proposed.items():
        wanted = len(listed(languages))
        both = dict.fromkeys([*listed(found[target]), *listed(languages)])
        if len(listed(found[target])) < wanted:
            found[target] = list(both)[:wanted]
    return found


def _hamming(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x != y for x, y in zip(a, b, strict=True)) / len(a)
