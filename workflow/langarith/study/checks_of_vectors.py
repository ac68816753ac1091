"""Checks of the experiments `forgetting` and `analogy`: their needs and roles of languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from langarith.errors import did_you_mean
from langarith.study.experiments import cells
from langarith.study.grid import places
from langarith.study.schema import Quadruple, Study

KEY = "experiments.analogy.quadruples"


def forgetting(study: Study) -> Iterator[str]:
    """There must be something to evaluate and something to subtract."""
    if not cells(study, "forgetting"):
        yield (
            "experiments.forgetting: none of its languages is a target of its tasks; name one that "
            "is, so that there is a score"
        )
    if not any(study.lambdas["negation"].values()):
        yield (
            "lambdas.negation: λ = 0 subtracts nothing; take for example start: 0.5, stop: "
            "1 and step: 0.5"
        )
    if study.lambdas["negation"].search != "grid":
        yield (
            "lambdas.negation.search: every λ of the grid is shown, and none is searched; remove it"
        )


def quadruples(study: Study) -> Iterator[str]:
    """The mistakes in the quadruples of `analogy`, one sentence each."""
    view = study.experiments.get("analogy")
    if view is None:
        return
    if not view.quadruples:
        yield f"{KEY} is missing; list analogies, for example {{target: pt, a: fr, b: es, c: it}}"
        return
    evaluated = None
    if set(view.tasks or ()) <= set(study.tasks):
        evaluated = {target for _, _, target in places(study, "analogy")}
    for target, count in Counter(q.target for q in view.quadruples).items():
        if count > 1:
            yield f"{KEY}: target '{target}' has {count} quadruples; keep one of them"
    for number, quadruple in enumerate(view.quadruples, 1):
        unknown = list(_unknown(study, quadruple))
        yield from (f"{KEY}: quadruple {number}: {sentence}" for sentence in unknown)
        if not unknown:
            yield from (
                f"{KEY}: quadruple {number}: {sentence}"
                for sentence in _roles(study, quadruple, evaluated)
            )


def _unknown(study: Study, quadruple: Quadruple) -> Iterator[str]:
    for language in dict.fromkeys([quadruple.target, *quadruple.operands]):
        if language not in study.languages:
            hint = did_you_mean(language, study.languages)
            yield f"language '{language}' is not in 'languages'{hint}"


def _roles(study: Study, quadruple: Quadruple, evaluated: set[str] | None) -> Iterator[str]:
    a, b, c = quadruple.operands
    if len({a, b, c}) < 3:
        yield f"a, b and c are {a}, {b} and {c}; name three different languages"
    elif quadruple.target in quadruple.operands:
        yield (
            f"the target {quadruple.target} is also an operand, and an analogy is for a language "
            "without an adapter of its own; name another one"
        )
    elif evaluated is not None and quadruple.target not in evaluated:
        why = "the task language" if quadruple.target == study.task_language else "not evaluated"
        yield (f"{quadruple.target} is {why}; name a target that the tasks of the experiment have")
