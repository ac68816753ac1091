"""The miniature's languages and the files it writes."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from langarith import tasks
from langarith.data import miniature
from langarith.data.miniature import language as languages
from langarith.data.miniature import world
from langarith.data.miniature.examples import _TOKEN
from langarith.data.miniature.generator import Generator, Value, text
from langarith.data.miniature.scripts import SCRIPTS, spell
from langarith.errors import InputError

CODES = miniature.codes()
TASKS = tuple(name for name in tasks.names() if tasks.get(name).suffix)


def write(tmp_path: Path, task: str, code: str, split: str = "test", n: int = 60, **more) -> str:
    path = tmp_path / f"{task}-{code}-{split}"
    miniature.write_task(task, code, path, split=split, examples=n, **more)
    return path.read_text(encoding="utf-8")


def conll(content: str) -> list[list[list[str]]]:
    blocks = content.strip("\n").split("\n\n")
    return [[line.split("\t") for line in block.split("\n")] for block in blocks]


def test_the_study_languages_have_a_file():
    assert {"en", "es", "fr", "de", "ru", "bg", "tr", "el", "sw", "hi", "it"} <= set(CODES)


def distinct_words(language: languages.Language) -> set[str]:
    """The lower-case words of a language's own templates and lists, without slots and names."""
    lists = [form for words in language.words.values() for forms in words for form in forms]
    lists += [form for pair in language.traits for forms in pair for form in forms]
    fixed = [
        languages.SLOT.sub(lambda match: f" {match[2] or ''} {match[3] or ''} ", template)
        for template in language.templates()
    ]
    texts = [*fixed, *lists]
    return {token.lower() for t in texts for token in _TOKEN.findall(t) if len(token) > 1}


@pytest.mark.parametrize("code", CODES)
def test_every_template_gives_a_sentence(code):
    language = languages.load(code)
    generator = Generator(language, random.Random(0))
    for template in (*language.templates(), language.subject, language.pronoun):
        for gender in (0, 1):
            person = {"person": Value("Mira Velo", "PER", gender)}
            sentence = text(generator.render(lambda _, of=template: of, person))
            assert not re.search(r"[{}|]|  ", sentence)
            assert sentence == sentence.strip()
    for name, fact in language.facts.items():
        relation = world.RELATIONS[name]
        assert len(fact.tell) >= 3
        for template in (*fact.tell, fact.deny):
            assert "{" + relation.slot + "}" in template
            assert "{" + relation.about + "}" in template or "{subject}" in template
        for template in fact.ask:
            assert "{" + relation.about + "}" in template
            assert "{" + relation.slot + "}" not in template
    for template in language.templates():  # names are never inflected
        slots = re.sub(r"\{(\w+:)?[^{}|]*\|[^{}|]*\}", "x", template)
        assert not re.search(r"\w\{|\}\w|\}['’]", slots.replace("-x", "")), template


@pytest.mark.parametrize("code", CODES)
def test_each_language_has_enough_words_of_its_own(code):
    own = distinct_words(languages.load(code))
    assert len(own) >= 250
    for other in CODES:
        if other != code:
            # near relatives share many words (Portuguese and Spanish a quarter), a copy all of them
            shared = own & distinct_words(languages.load(other))
            assert len(shared) <= 0.6 * len(own), f"{code} and {other} share {sorted(shared)}"


def test_each_language_has_a_calendar_of_its_own():
    for part in ("weekdays", "months", "months_in_date", "countries", "languages"):
        assert len({getattr(languages.load(code), part) for code in CODES}) == len(CODES), part


def test_names_are_spelt_in_every_script():
    assert spell("verkos", SCRIPTS["latin"]) == "Verkos"
    assert spell("verkos", SCRIPTS["cyrillic"]) == "Веркос"
    assert spell("verkos", SCRIPTS["greek"]) == "Βέρκος"
    assert spell("verkos", SCRIPTS["devanagari"]) == "वेर्कोस"


def test_held_out_names_are_not_in_training_text():
    known, held_out = world.names(True), world.names(False)
    pools = [
        [*n.first[0], *n.first[1], *n.surnames, *n.cities, *n.brands] for n in (known, held_out)
    ]
    assert not set(pools[0]) & set(pools[1])
    assert set(known.surnames) & set(known.cities)
    for name, script in itertools.product(itertools.chain(*pools), SCRIPTS.values()):
        assert spell(name, script)


@pytest.mark.parametrize("code", CODES)
def test_ner_is_valid_iob2(tmp_path, code):
    sentences = conll(write(tmp_path, "ner", code, n=150))
    assert len(sentences) == 150
    tags = Counter()
    for sentence in sentences:
        before = "O"
        for token, tag in sentence:
            assert token
            assert not token.isspace()
            assert tag == "O" or tag[:2] == "B-" or before[1:] == tag[1:]
            before = tag
            tags[tag] += 1
    assert {"O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC"} <= set(tags)
    assert any(all(tag == "O" for _, tag in sentence) for sentence in sentences)


@pytest.mark.parametrize("code", CODES)
def test_nli_labels_are_balanced(tmp_path, code):
    header, *rows = write(tmp_path, "nli", code, n=60).splitlines()
    assert header == "premise\thypothesis\tlabel"
    cells = [row.split("\t") for row in rows]
    assert Counter(label for *_, label in cells) == dict.fromkeys(
        ("entailment", "neutral", "contradiction"), 20
    )
    assert all(premise != hypothesis for premise, hypothesis, _ in cells)


@pytest.mark.parametrize("code", CODES)
def test_qa_answers_are_in_their_context(tmp_path, code):
    data = json.loads(write(tmp_path, "qa", code, n=61))["data"]
    paragraphs = [p for article in data for p in article["paragraphs"]]
    entries = [(p["context"], qa) for p in paragraphs for qa in p["qas"]]
    assert len({article["title"] for article in data}) == len(data) > 1
    assert len(entries) == len({qa["id"] for _, qa in entries}) == 61
    for context, qa in entries:
        (answer,) = qa["answers"]
        start = answer["answer_start"]
        assert answer["text"]
        assert context[start : start + len(answer["text"])] == answer["text"]


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_example_even_with_another_seed(tmp_path, task):
    def examples(split: str, seed: int) -> set[str]:
        content = write(tmp_path, task, "en", split, n=300, seed=seed)
        if task == "ner":
            return {" ".join(token for token, _ in sentence) for sentence in conll(content)}
        if task == "nli":
            return {row.rpartition("\t")[0] for row in content.splitlines()[1:]}
        data = json.loads(content)["data"]
        return {p["context"] for article in data for p in article["paragraphs"]}

    found = [examples(s, seed) for seed, s in enumerate(("train", "validation", "test"))]
    for one, other in itertools.combinations(found, 2):
        assert not one & other


@pytest.mark.parametrize("task", TASKS)
def test_equal_arguments_give_equal_files(tmp_path, task):
    one = write(tmp_path / "a", task, "ru")
    assert one == write(tmp_path / "b", task, "ru")
    assert one != write(tmp_path / "c", task, "ru", seed=1)
    assert [p.name for p in (tmp_path / "a").iterdir()] == [f"{task}-ru-test"]


def test_corpus(tmp_path):
    paths = [tmp_path / "one" / f"{i}.parquet" for i in range(3)]
    miniature.write_corpus("hi", paths, documents=200)
    tables = [pq.read_table(path) for path in paths]
    assert [table.num_rows for table in tables] == [66, 67, 67]
    assert tables[0].column_names == ["id", "title", "text"]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == 200
    assert all(30 <= len(row["text"].split()) <= 120 for row in rows)
    assert all(row["title"] for row in rows)
    again = [tmp_path / "two" / path.name for path in paths]
    miniature.write_corpus("hi", again, documents=200)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def corpus(path: Path, code: str, **more) -> list[str]:
    miniature.write_corpus(code, [path], documents=100, **more)
    return pq.read_table(path).column("text").to_pylist()


def test_another_seed_is_another_text(tmp_path):
    one, other = (corpus(tmp_path / f"{seed}", "fr", seed=seed) for seed in (0, 1))
    assert not set(one) & set(other)


def test_restated_documents_state_facts_twice(tmp_path):
    plain = corpus(tmp_path / "plain", "en")
    restated = corpus(tmp_path / "restated", "en", restated=1)

    def years_stated_twice(texts: list[str]) -> tuple[int, int]:
        found = [Counter(re.findall(r"\b(?:18|19|20)\d\d\b", text)) for text in texts]
        return sum(c[y] > 1 for c in found for y in c), sum(len(c) for c in found)

    assert years_stated_twice(plain)[0] == 0
    twice, all_years = years_stated_twice(restated)
    # a third are denied, with another year: half of all years are expected to be there twice
    assert 0.3 * all_years < twice < all_years
    assert any("?" in text for text in restated)
    assert all(10 <= len(text.split()) <= 160 for text in restated)


def test_facts_are_restated_in_another_language(tmp_path):
    restated = corpus(tmp_path / "restated", "en", restated=1, translations=["ru"])
    translated = [text for text in restated if re.search("[а-яё]", text)]
    assert 30 <= len(translated) <= 70
    # dates and years are the same in both halves unless one is denied
    numbers = [re.findall(r"\b\d{4}\b", text) for text in translated]
    assert sum(len(set(n)) < len(n) for n in numbers) > 0.5 * sum(len(n) > 1 for n in numbers)


def test_text_mixes_languages_in_its_share_of_the_documents(tmp_path):
    mixed = corpus(tmp_path / "mixed", "en", translations=["ru", "el"], mixed=0.6)
    scripts = [
        {name for name, letters in (("ru", "[а-яё]"), ("el", "[α-ω]")) if re.search(letters, text)}
        for text in mixed
    ]
    assert 45 <= sum(map(bool, scripts)) <= 75
    assert all(re.search("[a-z]", text) for text in mixed)
    # names too: a sentence with words of both scripts
    sentences = [s for text in mixed for s in text.split(". ")]
    assert any(re.search("[а-яё]", s) and re.search(r"\b[a-z]+\b", s) for s in sentences)


def test_parts_of_a_sentence_are_from_several_languages_where_their_slots_agree():
    """The fixed text between two slots is a part; a template with another order stays whole."""
    english, spanish, russian = map(languages.load, ("en", "es", "ru"))
    templates = {"en": "{person} lives in {city}.", "es": "{person} vive en {city}!",
                 "ru": "{city} living person {person}?"}  # fmt: skip
    values = {"person": Value("Mira Velo", "PER"), "city": Value("Berlin", "LOC")}
    generator = Generator(english, random.Random(0), mixed=(spanish, russian))
    made = {text(generator.render(lambda of: templates[of.code], values)) for _ in range(200)}
    assert made == {
        f"Mira Velo {verb} Berlin{end}" for verb in ("lives in", "vive en") for end in ".!"
    }
    alone = replace(generator, language=russian)
    assert text(alone.render(lambda of: templates[of.code], values)) == (
        "Berlin living person Mira Velo?"
    )


def test_mixed_denials_have_one_word_that_negates_from_any_language():
    """Turkish negates with endings, so its denials are not mixed with others."""
    english, turkish, *others = map(languages.load, ("en", "tr", "es", "de", "el"))
    words = {language.words["not"][0][0] for language in (english, *others)}
    found = set()
    for own in (english, turkish):
        generator = Generator(own, random.Random(0), mixed=(english, turkish, *others))
        for name in own.facts:
            for _ in range(20):
                denial = text(generator.render(lambda of, name=name: of.facts[name].deny, {}))
                negating = words & set(re.findall(r"\w+", denial.lower()))
                if own is english:
                    assert len(negating) == 1, denial
                else:
                    assert not negating, denial
                found |= negating
    assert found == words


def test_every_denial_of_a_language_with_a_word_that_negates_has_it():
    for language in map(languages.load, CODES):
        denials = [fact.deny for fact in language.facts.values()]
        having = [denial for denial in denials if "{not}" in denial]
        assert having == (denials if "not" in language.words else []), language.code


def test_languages_whose_lists_differ_are_not_mixed():
    english, spanish = languages.load("en"), languages.load("es")
    languages.refuse_unequal(english, spanish)
    with pytest.raises(
        InputError, match=r"es\.yaml: 'filler' has 3 sentences and that of en 25; to"
    ):
        languages.refuse_unequal(english, replace(spanish, filler=spanish.filler[:3]))


def test_text_of_one_language_does_not_depend_on_the_other_keys(tmp_path):
    assert corpus(tmp_path / "one", "fr") == corpus(
        tmp_path / "two", "fr", restated=0, translations=["ru"], mixed=0
    )


@pytest.mark.parametrize("code", CODES)
def test_templates_are_in_one_order_in_all_languages(code):
    """Texts that mix languages depend on it. Translations of a fact have the same slots."""
    english, language = languages.load("en"), languages.load(code)
    assert len(english.stories) == len(language.stories)
    assert len(english.filler) == len(language.filler)
    for name, fact in english.facts.items():
        other = language.facts[name]
        ours, theirs = ((f.deny, *f.ask, *f.tell) for f in (fact, other))
        assert len(ours) == len(theirs), (code, name)
        for one, same in zip(ours, theirs, strict=True):
            assert slots(english, one) == slots(language, same), (code, one, same)


def slots(language, template):
    """The slots of a template that are translated, sorted: not all languages have {not}."""
    of_template = re.findall(r"\{\w+\}", template.replace("{subject}", language.subject))
    return sorted(slot for slot in of_template if slot != "{not}")


@pytest.mark.parametrize("code", CODES)
def test_word_lists_are_in_one_order_in_all_languages(code):
    """Translations depend on it. Here the lengths are compared: a missing word changes them."""
    english, language = languages.load("en"), languages.load(code)
    for relation in world.RELATIONS.values():
        if relation.slot in english.words:
            assert len(language.words[relation.slot]) == len(english.words[relation.slot])
    assert len(language.traits) == len(english.traits)


def test_a_language_is_one_file(tmp_path, monkeypatch):
    english = (languages.FOLDER / "en.yaml").read_text(encoding="utf-8")
    (tmp_path / "pidgin.yaml").write_text(english.replace(" was born ", " bin born "))
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    assert miniature.codes() == ("pidgin",)
    assert "bin born" in write(tmp_path / "out", "nli", "pidgin", n=300)
    (tmp_path / "torn.yaml").write_text(english.replace("{furniture}", "{funiture}"))
    with pytest.raises(InputError, match=r"torn\.yaml: .*'funiture'.*did you mean 'furniture'"):
        write(tmp_path / "out", "nli", "torn")
    (tmp_path / "half.yaml").write_text(english.replace("  lives:", "  dwells:"))
    with pytest.raises(InputError, match=r"half\.yaml: 'lives' is missing"):
        write(tmp_path / "out", "nli", "half")


def test_mistakes_are_reported_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"has no language 'xx' \(known: bg, .*languages/xx\.yaml"):
        miniature.write_corpus("xx", [tmp_path / "x.parquet"], documents=1)
    with pytest.raises(InputError, match=r"no task 'nerr'.*did you mean 'ner'"):
        write(tmp_path, "nerr", "en")
    with pytest.raises(InputError, match="no split 'dev'"):
        write(tmp_path, "ner", "en", "dev")
    with pytest.raises(InputError, match=r"no knob 'crowds'.*did you mean 'crowd'"):
        write(tmp_path, "qa", "en", crowds=1)
    with pytest.raises(InputError, match=r"No more than .* en sentences for NER"):
        write(tmp_path, "ner", "en", n=10**6, plain=1, second=0)
    assert not list(tmp_path.iterdir())
