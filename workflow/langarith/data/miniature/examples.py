"""Examples of NER, NLI and QA about the invented world."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from langarith.data.miniature import world
from langarith.data.miniature.generator import KINDS, Generator, Piece, Statement, Value, text

LABELS = ("entailment", "neutral", "contradiction")

# Python's \w does not match combining signs (Devanagari), so tokens are split at punctuation.
_TOKEN = re.compile(r"[.,:;!?()«»\"“”„—–।¿¡]|[^\s.,:;!?()«»\"“”„—–।¿¡]+")


@dataclass(frozen=True)
class Question:
    """A question about a context, with the answer and its start in Unicode code points."""

    text: str
    answer: str
    start: int


def ner(
    generator: Generator, *, plain: float, stories: float, second: float, lowercase: float
) -> list[tuple[str, str]]:
    """Tokens and IOB2 tags of a sentence or two."""
    draw = generator.rng.random()
    pieces: list[Piece] = []
    for _ in range(1 + generator.chance(second)):
        if draw < plain:
            pieces += generator.filler()
        elif draw < plain + stories:
            pieces += generator.story()
        else:
            kind = generator.rng.choice((*KINDS, "person"))
            pieces += generator.fact(
                generator.facts_about(kind, 1)[0], generator.value(kind)
            ).sentence
    lower = generator.chance(lowercase)
    tagged = []
    for piece in pieces:
        prefix = "B-"
        for token in _TOKEN.findall(piece.text.lower() if lower else piece.text):
            tagged.append((token, prefix + piece.tag if piece.tag else "O"))
            prefix = "I-"
    return tagged


def nli(
    generator: Generator, label: str, *, second: float, negated: Mapping[str, float]
) -> tuple[str, str]:
    """Premise and hypothesis with the given label."""
    kind = generator.rng.choice((*KINDS, "person"))
    subject = generator.value(kind)
    facts = generator.facts_about(kind, 3)
    premises = [generator.fact(name, subject) for name in facts[: 1 + generator.chance(second)]]
    target = generator.rng.choice(premises)
    name, relation = target.name, world.RELATIONS[target.name]
    deny = generator.chance(negated[label])
    if label == "neutral":
        name, relation = facts[-1], world.RELATIONS[facts[-1]]
        value = generator.value(relation.slot, subject.gender)
    elif label == "entailment":
        deny = deny and relation.single
        value = generator.other_value(relation.slot, target.value) if deny else target.value
    else:
        deny = deny or not relation.single
        value = target.value if deny else generator.other_value(relation.slot, target.value)
    if deny:
        values = {relation.about: subject, relation.slot: value}
        hypothesis = generator.render(lambda other: other.facts[name].deny, values)
    else:
        exclude = target.template if name == target.name else None
        hypothesis = generator.fact(name, subject, value, exclude).sentence
    return " ".join(text(statement.sentence) for statement in premises), text(hypothesis)


def paragraph(
    generator: Generator, *, questions: int, crowd: float, pronouns: float, reverse: float
) -> tuple[str, str, list[Question]]:
    """Title, context and questions of a paragraph about one subject or two of a kind."""
    kind = generator.rng.choice((*KINDS, "person"))
    crowded = generator.chance(crowd)
    names = generator.facts_about(kind, 2 if crowded else generator.rng.randrange(3, 6))
    subjects = [generator.value(kind)]
    if crowded:
        subjects.append(generator.other_value(kind, subjects[0]))
    context, candidates, stated = "", list[Question](), dict[str, Value]()
    for subject in subjects:
        for i, name in enumerate(names):
            pronoun = bool(i) and generator.chance(pronouns)
            statement = _distinct_fact(generator, name, subject, stated.get(name), pronoun)
            stated[name] = statement.value
            context += " " if context else ""
            candidates.append(_question(generator, statement, subject, len(context), reverse))
            context += text(statement.sentence)
    generator.rng.shuffle(candidates)
    return subjects[0].text, context, candidates[:questions]


def _distinct_fact(
    generator: Generator, name: str, subject: Value, before: Value | None, pronoun: bool
) -> Statement:
    """A fact whose value differs from `before`, the one stated about another subject."""
    slot = world.RELATIONS[name].slot
    value = generator.value(slot, subject.gender)
    while before and value.text == before.text:
        value = generator.value(slot, subject.gender)
    return generator.fact(name, subject, value, pronoun=pronoun)


def _question(
    generator: Generator, statement: Statement, subject: Value, offset: int, reverse: float
) -> Question:
    relation, fact = world.RELATIONS[statement.name], generator.language.facts[statement.name]
    slots = [piece.slot for piece in statement.sentence]
    ask_who = fact.who and relation.about in slots and generator.chance(reverse)
    template = fact.who if ask_who and fact.who else generator.rng.choice(fact.ask)
    index = slots.index(relation.about if ask_who else relation.slot)
    start = offset + len(text(statement.sentence[:index]))
    values = {relation.about: subject, relation.slot: statement.value}
    question = text(generator.render(lambda _: template, values))
    return Question(question, statement.sentence[index].text, start)
