"""Related languages from URIEL, held against the paper's Table 2."""

from __future__ import annotations

import warnings

import pytest

from langarith.data import relatedness
from langarith.errors import InputError

PAPER = ["ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "tr", "ur", "vi", "zh"]
RELATED = ["sw", "ru", "fr", "es", "fr", "es", "ur", "bg", "ar", "bg", "hi", "ru", "ar"]
TABLE_2 = dict(zip(PAPER, RELATED, strict=True))
INDO_EUROPEAN = {"bg", "de", "el", "es", "fr", "hi", "ru", "ur"}


@pytest.fixture(scope="module")
def features() -> dict[str, relatedness.UrielFeatures]:
    # lang2vec takes seconds: one question for all tests.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return relatedness.query([*PAPER, "en", "as", "nb", "eu", "ceb"])


@pytest.fixture
def asked_once(features, monkeypatch) -> None:
    monkeypatch.setattr(relatedness, "query", lambda languages: {x: features[x] for x in languages})


@pytest.fixture
def rows(asked_once) -> list[relatedness.RankedCandidate]:
    return relatedness.relatedness_table([*PAPER, "en"])


def tie_set(rows: list[relatedness.RankedCandidate], target: str) -> set[str]:
    return {row.candidate for row in rows if row.target == target and row.tie_set}


def test_a_script_that_hides_the_package_of_uriel_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "lang2vec.py").write_text("raise SystemExit('a script, not the package')\n")
    monkeypatch.syspath_prepend(tmp_path)  # as the folder of scripts is for the command langarith
    assert relatedness.available_codes(["es"]) == {"es": "spa"}


def test_every_language_is_found_in_the_family_tree(features):
    assert [name for name, found in features.items() if not found.family] == ["eu"]
    assert "F_Sinitic" in features["zh"].family
    assert {len(found.syntax) for found in features.values()} == {103}


@pytest.mark.parametrize(
    ("target", "related"),
    [("bg", "ru"), ("ru", "bg"), ("es", "fr"), ("fr", "es"), ("hi", "ur"), ("ur", "hi")],
)
def test_pairs_with_a_unique_partner(rows, target, related):
    assert tie_set(rows, target) == {related}


@pytest.mark.parametrize("target", ["de", "el"])
def test_tied_among_the_indo_european_languages(rows, target):
    assert tie_set(rows, target) == INDO_EUROPEAN - {target}


@pytest.mark.parametrize("target", ["ar", "sw", "tr", "vi", "zh"])
def test_tied_among_all(rows, target):
    assert tie_set(rows, target) == set(PAPER) - {target}


def test_the_papers_choices_lie_in_the_tie_sets(rows):
    assert {t for t, related in TABLE_2.items() if related not in tie_set(rows, t)} == set()


def test_the_table_is_whole_and_ranked(rows):
    for target in [*PAPER, "en"]:
        own = [row for row in rows if row.target == target]
        assert {row.candidate for row in own} == set(PAPER) - {target}
        assert [row.rank for row in own] == list(range(1, len(own) + 1))
        assert [row.chosen for row in own] == [True] + [False] * (len(own) - 1)
        keys = [(-row.shared_family, row.distance, row.candidate) for row in own]
        assert keys == sorted(keys)
        assert all(0 <= row.distance <= 1 for row in own)


def choices(languages: list[str], **options: object) -> dict[str, str]:
    rows = relatedness.relatedness_table(languages, **options)
    return {row.target: row.candidate for row in rows if row.chosen}


def test_choices(asked_once):
    chosen = choices([*PAPER, "as"])
    agreeing = {target for target in PAPER if chosen[target] == TABLE_2[target]}
    assert agreeing >= {"bg", "ru", "es", "fr"}
    assert chosen["as"] in {"hi", "ur"}
    assert "en" not in choices([*PAPER, "en"]).values()
    assert choices(["de", "en"], exclude=()) == {"de": "en", "en": "de"}


def made_up(family: str, syntax: str) -> relatedness.UrielFeatures:
    return relatedness.UrielFeatures(frozenset(family), tuple(float(x) for x in syntax))


def test_rank_takes_family_then_distance_then_alphabet():
    world = {
        "t": made_up("ABC", "0000"),
        "far cousin": made_up("AB", "1111"),
        "near stranger": made_up("A", "0000"),
        "b": made_up("A", "0001"),
        "a": made_up("A", "1000"),
    }
    assert relatedness.rank("t", world, world) == [
        relatedness.Candidate("far cousin", 2, 1.0),
        relatedness.Candidate("near stranger", 1, 0.0),
        relatedness.Candidate("a", 1, 0.25),
        relatedness.Candidate("b", 1, 0.25),
    ]


@pytest.mark.parametrize(
    ("code", "uriel"),
    [
        ("sr_Latn", "srp"),
        ("sr-Cyrl-RS", "srp"),
        ("es-419", "spa"),
        ("pt_BR", "por"),
        ("zho_Hans", "cmn"),
        ("zh-Hant", "cmn"),
        ("zh-yue", "yue"),
        ("zh-min-nan", "nan"),
        ("nob_Latn", "nor"),
        ("lvs_Latn", "lav"),
        ("EN", "eng"),
    ],
)
def test_scripts_regions_and_varieties_are_resolved(code, uriel):
    assert relatedness.uriel_codes([code]) == {code: uriel}


def test_a_code_that_cannot_be_resolved_is_one_sentence():
    with pytest.raises(InputError) as caught:
        relatedness.uriel_codes(["en", "bat-smg"])
    assert str(caught.value) == (
        "URIEL does not have the language 'bat-smg' (as 'bat'): give its ISO 639-1 or "
        "639-3 code, or name its related language in the study under 'related'."
    )


def test_codes():
    assert relatedness.uriel_codes(["en", "zh", "ar", "sw", "ceb"]) == {
        "en": "eng",
        "zh": "cmn",
        "ar": "arb",
        "sw": "swh",
        "ceb": "ceb",
    }
    assert set(relatedness.uriel_codes(relatedness.VARIETIES)) == set(relatedness.VARIETIES)
    with pytest.raises(InputError, match="does not have the language 'qq'"):
        relatedness.uriel_codes(["en", "qq"])


def test_a_target_without_candidates_is_refused(asked_once):
    with pytest.raises(InputError, match="'de' could be related to"):
        relatedness.relatedness_table(["de", "en"])
