"""Sentences and documents about the invented world in one language, or in several."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from langarith.data.miniature import world
from langarith.data.miniature.language import SLOT, Language
from langarith.data.miniature.scripts import spell

KINDS = ("person", "org", "city")
"""What facts are about."""

DENIED, ASKED = 0.35, 0.4
"""Shares of restated facts: a denial of another value; of the others, an answer to a question."""

MIXED = 0.5
"""Share of the sentences, of their parts and of the values whose language is drawn anew, in text
that mixes languages."""

_VALUE = re.compile(r"\{\w+\}")

Template = Callable[[Language], str]
"""Gives the template of one sentence in a language."""


@dataclass(frozen=True)
class Value:
    """What fills a slot: its text, its entity type ("" for none) and its gender (0 or 1)."""

    text: str
    tag: str = ""
    gender: int = 0


@dataclass(frozen=True)
class Piece:
    """A part of a sentence: fixed text, or the value of a slot."""

    text: str
    slot: str = ""
    tag: str = ""


Sentence = tuple[Piece, ...]


@dataclass(frozen=True)
class Statement:
    """A fact as a sentence; the template's number distinguishes paraphrases."""

    name: str
    template: int
    value: Value
    sentence: Sentence


def text(sentence: Sentence) -> str:
    """The sentence as plain text."""
    return "".join(piece.text for piece in sentence)


@dataclass(frozen=True)
class Generator:
    """Generates sentences in `language` with draws from `rng`. `unseen` is the share of names that
    never occur in training text. With `mixed`, the language of half of the sentences, of the parts
    of each sentence and of the values is drawn from these languages."""

    language: Language
    rng: random.Random
    unseen: float = 0.0
    mixed: tuple[Language, ...] = ()

    def chance(self, share: float) -> bool:
        """True in `share` of the calls."""
        return self.rng.random() < share

    def _random_language(self) -> Generator:
        """This generator or, in half of the draws, one for a language of `mixed` if any."""
        if self.mixed and self.chance(MIXED):
            return replace(self, language=self.rng.choice(self.mixed))
        return self

    # Values -------------------------------------------------------------------------------

    def _names(self) -> world.Names:
        return world.names(known=not self.chance(self.unseen))

    def _spell(self, name: str) -> str:
        return spell(name, self.language.script)

    def person(self) -> Value:
        """A person by first name and surname."""
        gender = self.rng.randrange(2)
        first = self.rng.choice(self._names().first[gender])
        last = self.rng.choice(self._names().surnames)
        return Value(f"{self._spell(first)} {self._spell(last)}", "PER", gender)

    def organisation(self) -> Value:
        """An organisation, called after a city, a person or nobody."""
        names = self._names()
        kind = self.rng.choice(world.ORGANISATIONS)
        pool = names.brands if kind == "brand" else self.rng.choice((names.cities, names.surnames))
        pattern = self.language.organisations[kind]
        return Value(pattern.replace("{name}", self._spell(self.rng.choice(pool))), "ORG")

    def value(self, slot: str, gender: int = 0) -> Value:
        """A random value for a slot; words that agree take `gender`."""
        generator = self._random_language()
        if slot in self.language.words and slot not in generator.language.words:
            generator = self  # the other language has no such list of words
        return generator._value(slot, gender)

    def _value(self, slot: str, gender: int) -> Value:  # noqa: PLR0911
        rng, language = self.rng, self.language
        match slot:
            case "person" | "friend" | "founder" | "mayor":
                return self.person()
            case "surname":
                return Value(self._spell(rng.choice(self._names().surnames)), "PER")
            case "city" | "place":
                return Value(self._spell(rng.choice(self._names().cities)), "LOC")
            case "org":
                return self.organisation()
            case "country":
                return Value(rng.choice(language.countries), "LOC")
            case "language":
                return Value(rng.choice(language.languages))
            case "month":
                return Value(rng.choice(language.months))
            case "weekday":
                return Value(rng.choice(language.weekdays))
            case "year":
                return Value(str(rng.randrange(1850, 2015)))
            case "number":
                return Value(str(rng.randrange(5, 21)))
            case "date":
                # From the 2nd, as some languages write the 1st as an ordinal.
                parts = {"day": rng.randrange(2, 29), "month": rng.choice(language.months_in_date)}
                return Value(language.date.format(**parts, year=rng.randrange(1930, 2005)))
            case "trait":
                return Value(rng.choice(rng.choice(language.traits))[gender], gender=gender)
        return Value(rng.choice(language.words[slot])[gender], gender=gender)

    def other_value(self, slot: str, value: Value) -> Value:
        """Another value for the slot; for a trait, its opposite."""
        gender = value.gender
        languages = (self.language, *self.mixed) if slot == "trait" else ()
        for pair in (pair for language in languages for pair in language.traits):
            forms = [word[gender] for word in pair]
            if value.text in forms:
                return replace(value, text=forms[1 - forms.index(value.text)])
        while True:
            drawn = self.value(slot, 0 if value.tag else gender)
            if drawn.text != value.text:
                return drawn

    # Sentences ----------------------------------------------------------------------------

    def render(
        self, template: Template, values: Mapping[str, Value], pronoun: bool = False
    ) -> Sentence:
        """The template's sentence; slots that are not in `values` get random values."""
        filled = dict(values)
        form = self._form(template, pronoun)
        pieces: list[Piece] = []
        end = 0
        for match in SLOT.finditer(form):
            pieces.append(Piece(form[end : match.start()]))
            end = match.end()
            slot = match[4] or match[1] or "person"
            if slot not in filled:
                gender = filled["person"].gender if "person" in filled else 0
                filled[slot] = self._unused_value(slot, gender, filled)
            value = filled[slot]
            if match[4]:
                pieces.append(Piece(value.text, slot, value.tag))
            else:
                pieces.append(Piece(match[2 + value.gender]))
        pieces.append(Piece(form[end:]))
        sentence = [piece for piece in pieces if piece.text]
        first = sentence[0].text
        sentence[0] = replace(sentence[0], text=first[0].upper() + first[1:])
        return tuple(sentence)

    def _form(self, template: Template, pronoun: bool) -> str:
        """The template in this language. In text that mixes languages, the language of half of its
        parts is drawn from those whose templates have the same slots in the same order: words that
        can replace each other in a sentence, so that a language model represents them alike.
        """
        own, *others = (
            template(language).replace(
                "{subject}", language.pronoun if pronoun else language.subject
            )
            for language in (self.language, *self.mixed)
        )
        slots = _VALUE.findall(own)
        same = [_VALUE.split(other) for other in others if _VALUE.findall(other) == slots]
        parts = [
            self.rng.choice(same)[i] if same and self.chance(MIXED) else part
            for i, part in enumerate(_VALUE.split(own))
        ]
        return "".join(part + slot for part, slot in zip_longest(parts, slots, fillvalue=""))

    def _unused_value(self, slot: str, gender: int, filled: Mapping[str, Value]) -> Value:
        taken = {value.text for value in filled.values()}
        while (value := self.value(slot, gender)).text in taken:
            pass
        return value

    def fact(
        self,
        name: str,
        subject: Value,
        value: Value | None = None,
        exclude: int | None = None,
        pronoun: bool = False,
    ) -> Statement:
        """State a fact; `exclude` is the number of a template not to use."""
        generator = self._random_language()
        return generator._fact(
            name, subject, value, exclude if generator is self else None, pronoun
        )

    def _fact(
        self, name: str, subject: Value, value: Value | None, exclude: int | None, pronoun: bool
    ) -> Statement:
        relation, templates = world.RELATIONS[name], self.language.facts[name].tell
        number = self.rng.choice([i for i in range(len(templates)) if i != exclude])
        if value is None:
            value = self.value(relation.slot, subject.gender)
        values = {relation.about: subject, relation.slot: value}
        sentence = self.render(lambda other: other.facts[name].tell[number], values, pronoun)
        return Statement(name, number, value, sentence)

    def facts_about(self, kind: str, count: int) -> list[str]:
        """Names of up to `count` different relations of a kind of subject, in random order."""
        names = [name for name, relation in world.RELATIONS.items() if relation.about == kind]
        self.rng.shuffle(names)
        return names[:count]

    def filler(self) -> Sentence:
        """A sentence without names."""
        generator = self._random_language()
        return generator._filler(self.rng.randrange(len(generator.language.filler)))

    def _filler(self, number: int) -> Sentence:
        return self.render(lambda other: other.filler[number], {})

    def story(self) -> Sentence:
        """A sentence with several names."""
        generator = self._random_language()
        number = self.rng.randrange(len(generator.language.stories))
        return generator.render(lambda other: other.stories[number], {})

    # Documents ----------------------------------------------------------------------------

    def document(self) -> tuple[str, str]:
        """Title and text of a document of 30 to 120 words."""
        kind = self.rng.choice((*KINDS, "filler"))
        subject = self.filler() if kind == "filler" else None
        entity = None if subject else self.value(kind)
        facts = [] if entity is None else self.facts_about(kind, 10)
        sentences = [subject] if subject else []
        filler = list(range(len(self.language.filler)))
        self.rng.shuffle(filler)
        goal = self.rng.randrange(30, 100)
        while sum(len(text(s).split()) for s in sentences) < goal:
            if entity and facts and (not sentences or self.chance(0.7)):
                pronoun = bool(sentences) and self.chance(0.4)
                sentences.append(self.fact(facts.pop(), entity, pronoun=pronoun).sentence)
            elif self.chance(0.25):
                sentences.append(self.story())
            else:
                sentences.append(self._filler(filler.pop()))
        title = entity.text if entity else text(sentences[0]).rstrip(".।")
        return title, " ".join(map(text, sentences))

    def restated_document(self, other: Generator) -> tuple[str, str]:
        """Title and text of a document that states facts about one subject twice.

        `other` restates them in random order, in other words or in its own language. It puts a
        question before some of them, and denies another value instead of stating others.
        """
        kind = self.rng.choice((*KINDS, "person"))
        subject, same_subject = self._parallel_values(other, kind)
        names = self.facts_about(kind, self.rng.randrange(2, 5))
        first, second = list[str](), list[str]()
        for name in names:
            value, same_value = self._parallel_values(
                other, world.RELATIONS[name].slot, subject.gender
            )
            statement = self.fact(name, subject, value, pronoun=bool(first) and self.chance(0.3))
            first.append(text(statement.sentence))
            exclude = statement.template if other.language is self.language else None
            second.append(other._restate(name, same_subject, same_value, exclude))
        self.rng.shuffle(second)
        halves = [first, second]
        self.rng.shuffle(halves)
        between = [text(self.filler())] if self.chance(0.3) else []
        return subject.text, " ".join([*halves[0], *between, *halves[1]])

    def _parallel_values(self, other: Generator, slot: str, gender: int = 0) -> tuple[Value, Value]:
        """A random value for a slot in the languages of both generators: word lists have the same
        order in all languages, so equal draws have the same meaning."""
        state = other.rng.getstate()
        same = other.value(slot, gender)
        self.rng.setstate(state)
        return self.value(slot, gender), same

    def _restate(self, name: str, subject: Value, value: Value, exclude: int | None) -> str:
        """The fact with a template other than `exclude`, as a statement, an answer or a denial."""
        relation = world.RELATIONS[name]
        values = {relation.about: subject, relation.slot: value}
        if relation.single and self.chance(DENIED):
            values[relation.slot] = self.other_value(relation.slot, value)
            return text(self.render(lambda other: other.facts[name].deny, values))
        statement = text(self.fact(name, subject, value, exclude).sentence)
        if self.chance(ASKED):
            number = self.rng.randrange(len(self.language.facts[name].ask))
            question = self.render(
                lambda other: other.facts[name].ask[number], {relation.about: subject}
            )
            return f"{text(question)} {statement}"
        return statement
