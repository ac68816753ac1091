"""Sentences and examples about the invented world in one language."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from langarith.data.miniature import world
from langarith.data.miniature.language import SLOT, Language
from langarith.data.miniature.scripts import spell

LABELS = ("entailment", "neutral", "contradiction")

# Combining signs (Devanagari) are no \w in Python, so tokens are cut at marks, not made of \w.
_TOKEN = re.compile(r"[.,:;!?()«»\"“”„—–।¿¡]|[^\s.,:;!?()«»\"“”„—–।¿¡]+")

_KINDS = ("person", "org", "city")

DENIED, ASKED = 0.2, 0.4
"""Shares of facts told again: another value denied; of the others, after a question."""

MIXED = 0.5
"""Share of the sentences and of the values in another language, in text that mixes languages."""


@dataclass(frozen=True)
class Value:
    """What fills a slot: its text, its entity type ("" for none) and its gender (0 or 1)."""

    text: str
    tag: str = ""
    gender: int = 0


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence: fixed text, or the value of a slot."""

    text: str
    slot: str = ""
    tag: str = ""


Sentence = tuple[Piece, ...]


@dataclass(frozen=True)
class Told:
    """A fact as a sentence; the template's number distinguishes paraphrases."""

    name: str
    template: int
    value: Value
    sentence: Sentence


@dataclass(frozen=True)
class Question:
    """A question about a context, with the answer and its start in Unicode code points."""

    text: str
    answer: str
    start: int


def text(sentence: Sentence) -> str:
    """The sentence as plain text."""
    return "".join(piece.text for piece in sentence)


@dataclass(frozen=True)
class Teller:
    """Draws from `rng` and speaks `language`. `unseen` is the share of drawn names that training
    text never holds; half of the sentences and values are in one of the languages `mixed`."""

    language: Language
    rng: random.Random
    unseen: float = 0.0
    mixed: tuple[Language, ...] = ()

    def chance(self, share: float) -> bool:
        """True in `share` of the calls."""
        return self.rng.random() < share

    def _speaker(self) -> Teller:
        """This teller, or in half of the draws, where languages are mixed, one of another."""
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
        speaker = self._speaker()
        if slot in self.language.words and slot not in speaker.language.words:
            speaker = self  # a list of words that the other language does without
        return speaker._value(slot, gender)

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

    def other(self, slot: str, value: Value) -> Value:
        """Another value for the slot, which for a trait is its opposite."""
        gender = value.gender
        for pair in self.language.traits if slot == "trait" else ():
            forms = [word[gender] for word in pair]
            if value.text in forms:
                return replace(value, text=forms[1 - forms.index(value.text)])
        while True:
            drawn = self.value(slot, 0 if value.tag else gender)
            if drawn.text != value.text:
                return drawn

    # Sentences ----------------------------------------------------------------------------

    def say(self, template: str, values: Mapping[str, Value], pronoun: bool = False) -> Sentence:
        """The template's sentence; slots that `values` leaves open are drawn."""
        filled = dict(values)
        form = self.language.pronoun if pronoun else self.language.subject
        template = template.replace("{subject}", form)
        pieces: list[Piece] = []
        at = 0
        for match in SLOT.finditer(template):
            pieces.append(Piece(template[at : match.start()]))
            at = match.end()
            slot = match[4] or match[1] or "person"
            if slot not in filled:
                gender = filled["person"].gender if "person" in filled else 0
                filled[slot] = self._fresh(slot, gender, filled)
            value = filled[slot]
            if match[4]:
                pieces.append(Piece(value.text, slot, value.tag))
            else:
                pieces.append(Piece(match[2 + value.gender]))
        pieces.append(Piece(template[at:]))
        said = [piece for piece in pieces if piece.text]
        first = said[0].text
        said[0] = replace(said[0], text=first[0].upper() + first[1:])
        return tuple(said)

    def _fresh(self, slot: str, gender: int, filled: Mapping[str, Value]) -> Value:
        taken = {value.text for value in filled.values()}
        while (value := self.value(slot, gender)).text in taken:
            pass
        return value

    def fact(
        self,
        name: str,
        subject: Value,
        value: Value | None = None,
        besides: int | None = None,
        pronoun: bool = False,
    ) -> Told:
        """State a fact; `besides` is the number of a template not to use."""
        speaker = self._speaker()
        return speaker._fact(name, subject, value, besides if speaker is self else None, pronoun)

    def _fact(
        self, name: str, subject: Value, value: Value | None, besides: int | None, pronoun: bool
    ) -> Told:
        relation, templates = world.RELATIONS[name], self.language.facts[name].tell
        number = self.rng.choice([i for i in range(len(templates)) if i != besides])
        if value is None:
            value = self.value(relation.slot, subject.gender)
        values = {relation.about: subject, relation.slot: value}
        return Told(name, number, value, self.say(templates[number], values, pronoun))

    def facts_about(self, kind: str, count: int) -> list[str]:
        """Names of up to `count` different relations of a kind of subject, in random order."""
        names = [name for name, relation in world.RELATIONS.items() if relation.about == kind]
        self.rng.shuffle(names)
        return names[:count]

    def filler(self) -> Sentence:
        """A sentence without names."""
        speaker = self._speaker()
        return speaker.say(self.rng.choice(speaker.language.filler), {})

    def story(self) -> Sentence:
        """A sentence with several names."""
        speaker = self._speaker()
        return speaker.say(self.rng.choice(speaker.language.stories), {})

    # Examples -----------------------------------------------------------------------------

    def document(self) -> tuple[str, str]:
        """Title and text of a document of 30 to 120 words."""
        kind = self.rng.choice((*_KINDS, "filler"))
        subject = self.filler() if kind == "filler" else None
        entity = None if subject else self.value(kind)
        facts = [] if entity is None else self.facts_about(kind, 10)
        sentences = [subject] if subject else []
        filler = list(self.language.filler)
        self.rng.shuffle(filler)
        goal = self.rng.randrange(30, 100)
        while sum(len(text(s).split()) for s in sentences) < goal:
            if entity and facts and (not sentences or self.chance(0.7)):
                pronoun = bool(sentences) and self.chance(0.4)
                sentences.append(self.fact(facts.pop(), entity, pronoun=pronoun).sentence)
            elif self.chance(0.25):
                sentences.append(self.story())
            else:
                sentences.append(self.say(filler.pop(), {}))
        title = entity.text if entity else text(sentences[0]).rstrip(".।")
        return title, " ".join(map(text, sentences))

    def retold(self, other: Teller) -> tuple[str, str]:
        """Title and text of a document that states facts about one subject twice.

        `other` tells them again, in other words or, where it speaks another language, in that one.
        It shuffles them, asks a question before some, and denies another value instead of others.
        """
        kind = self.rng.choice((*_KINDS, "person"))
        subject, same_subject = self._alike(other, kind)
        names = self.facts_about(kind, self.rng.randrange(2, 5))
        first, again = list[str](), list[str]()
        for name in names:
            value, same_value = self._alike(other, world.RELATIONS[name].slot, subject.gender)
            told = self.fact(name, subject, value, pronoun=bool(first) and self.chance(0.3))
            first.append(text(told.sentence))
            besides = told.template if other.language is self.language else None
            again.append(other._again(name, same_subject, same_value, besides))
        self.rng.shuffle(again)
        halves = [first, again]
        self.rng.shuffle(halves)
        between = [text(self.filler())] if self.chance(0.3) else []
        return subject.text, " ".join([*halves[0], *between, *halves[1]])

    def _alike(self, other: Teller, slot: str, gender: int = 0) -> tuple[Value, Value]:
        """A random value for a slot, by both tellers: lists of words are in one order in all
        languages, so equal draws mean the same."""
        state = other.rng.getstate()
        same = other.value(slot, gender)
        self.rng.setstate(state)
        return self.value(slot, gender), same

    def _again(self, name: str, subject: Value, value: Value, besides: int | None) -> str:
        """A fact by another template than `besides`, perhaps as an answer, or another denied."""
        relation, fact = world.RELATIONS[name], self.language.facts[name]
        values = {relation.about: subject, relation.slot: value}
        if relation.single and self.chance(DENIED):
            values[relation.slot] = self.other(relation.slot, value)
            return text(self.say(fact.deny, values))
        said = text(self.fact(name, subject, value, besides).sentence)
        if self.chance(ASKED):
            return f"{text(self.say(self.rng.choice(fact.ask), {relation.about: subject}))} {said}"
        return said

    def ner(
        self, *, plain: float, stories: float, second: float, lowercase: float
    ) -> list[tuple[str, str]]:
        """Tokens and IOB2 tags of a sentence or two."""
        draw = self.rng.random()
        pieces: list[Piece] = []
        for _ in range(1 + self.chance(second)):
            if draw < plain:
                pieces += self.filler()
            elif draw < plain + stories:
                pieces += self.story()
            else:
                kind = self.rng.choice((*_KINDS, "person"))
                pieces += self.fact(self.facts_about(kind, 1)[0], self.value(kind)).sentence
        lower = self.chance(lowercase)
        tagged = []
        for piece in pieces:
            prefix = "B-"
            for token in _TOKEN.findall(piece.text.lower() if lower else piece.text):
                tagged.append((token, prefix + piece.tag if piece.tag else "O"))
                prefix = "I-"
        return tagged

    def nli(self, label: str, *, second: float, negated: Mapping[str, float]) -> tuple[str, str]:
        """Premise and hypothesis with the given label."""
        kind = self.rng.choice((*_KINDS, "person"))
        subject = self.value(kind)
        facts = self.facts_about(kind, 3)
        premises = [self.fact(name, subject) for name in facts[: 1 + self.chance(second)]]
        target = self.rng.choice(premises)
        name, relation = target.name, world.RELATIONS[target.name]
        deny = self.chance(negated[label])
        if label == "neutral":
            name, relation = facts[-1], world.RELATIONS[facts[-1]]
            value = self.value(relation.slot, subject.gender)
        elif label == "entailment":
            deny = deny and relation.single
            value = self.other(relation.slot, target.value) if deny else target.value
        else:
            deny = deny or not relation.single
            value = target.value if deny else self.other(relation.slot, target.value)
        if deny:
            values = {relation.about: subject, relation.slot: value}
            hypothesis = self.say(self.language.facts[name].deny, values)
        else:
            besides = target.template if name == target.name else None
            hypothesis = self.fact(name, subject, value, besides).sentence
        return " ".join(text(told.sentence) for told in premises), text(hypothesis)

    def paragraph(
        self, *, questions: int, crowd: float, pronouns: float, reverse: float
    ) -> tuple[str, str, list[Question]]:
        """Title, context and questions of a paragraph about one subject or two of a kind."""
        kind = self.rng.choice((*_KINDS, "person"))
        crowded = self.chance(crowd)
        names = self.facts_about(kind, 2 if crowded else self.rng.randrange(3, 6))
        subjects = [self.value(kind)]
        if crowded:
            subjects.append(self.other(kind, subjects[0]))
        context, asked, given = "", list[Question](), dict[str, Value]()
        for subject in subjects:
            for i, name in enumerate(names):
                told = self._told(name, subject, given.get(name), bool(i) and self.chance(pronouns))
                given[name] = told.value
                context += " " if context else ""
                asked.append(self._question(told, subject, len(context), reverse))
                context += text(told.sentence)
        self.rng.shuffle(asked)
        return subjects[0].text, context, asked[:questions]

    def _told(self, name: str, subject: Value, before: Value | None, pronoun: bool) -> Told:
        """A fact whose value differs from `before`, the one stated of somebody else."""
        slot = world.RELATIONS[name].slot
        value = self.value(slot, subject.gender)
        while before and value.text == before.text:
            value = self.value(slot, subject.gender)
        return self.fact(name, subject, value, pronoun=pronoun)

    def _question(self, told: Told, subject: Value, offset: int, reverse: float) -> Question:
        relation, fact = world.RELATIONS[told.name], self.language.facts[told.name]
        slots = [piece.slot for piece in told.sentence]
        ask_who = fact.who and relation.about in slots and self.chance(reverse)
        template = fact.who if ask_who and fact.who else self.rng.choice(fact.ask)
        index = slots.index(relation.about if ask_who else relation.slot)
        start = offset + len(text(told.sentence[:index]))
        values = {relation.about: subject, relation.slot: told.value}
        return Question(text(self.say(template, values)), told.sentence[index].text, start)
