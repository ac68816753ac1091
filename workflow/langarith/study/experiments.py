"""The experiments as views on the grid, and the adapters that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langarith import merging
from langarith.errors import InputError
from langarith.layout import Cell, Run
from langarith.operands import Operand
from langarith.study import pool
from langarith.study.grid import cells_of, other_methods, related_operand

if TYPE_CHECKING:
    from langarith.study.schema import Study


def zero_shot(study: Study, name: str) -> list[Cell]:
    """LA_t(en, rel) for every target (section 4.2): both proxies are the ends of the sweep.

    Raises:
        InputError: a target without a related language, as in all functions that need one.
    """
    task_language = Operand(study.task_language)
    return cells_of(
        study, name, lambda target: [("la", (task_language, related_operand(study, target)))]
    )


def enhancement(study: Study, name: str) -> list[Cell]:
    """LA_t(en, t) and LA_t(rel, t) (section 4.3): MAD-X, only the target, is one of their ends."""
    task_language = Operand(study.task_language)
    return cells_of(
        study,
        name,
        lambda target: [
            ("la", (other, Operand(target)))
            for other in (task_language, related_operand(study, target))
        ],
    )


def low_resource(study: Study, name: str) -> list[Cell]:
    """LA_t(t@budget, en) for every budget of a target (section 4.4), in canonical order."""
    task_language = Operand(study.task_language)
    return cells_of(
        study,
        name,
        lambda target: [
            ("la", (task_language, Operand(target, budget)))
            for budget in study.budgets.get(target, ())
        ],
    )


def relatedness(study: Study, name: str) -> list[Cell]:
    """LA_t(t, l2) for every language l2 of the pool (section 5.2, Table 1), in canonical order."""
    pool = study.experiments[name].pool or ()
    return cells_of(
        study, name, lambda target: [("la", (Operand(other), Operand(target))) for other in pool]
    )


def ties(study: Study, name: str) -> list[Cell]:
    """TIES of the zero-shot pairs, with their language arithmetic (appendix E, Table 3)."""
    return _compare(study, name, other_methods(study, "ties"))


def methods(study: Study, name: str) -> list[Cell]:
    """Every method of the study on the zero-shot pairs, with their language arithmetic."""
    return _compare(study, name, other_methods(study))


def _compare(study: Study, name: str, others: list[str]) -> list[Cell]:
    task_language = Operand(study.task_language)
    return cells_of(
        study,
        name,
        lambda target: [
            (method, (task_language, related_operand(study, target))) for method in ("la", *others)
        ],
    )


def forgetting(study: Study, name: str) -> list[Cell]:
    """θ_pre − λ·τ_t evaluated in t, for every language t of the experiment that is a target."""
    negated = study.experiments[name].languages or study.languages
    return cells_of(
        study,
        name,
        lambda target: [("negation", (Operand(target),))] if target in negated else [],
    )


def forgotten_texts(study: Study, name: str) -> list[Cell]:
    """θ_pre − λ·τ of every language, on the text of every language."""
    view = study.experiments[name]
    languages = view.languages or study.languages
    return [
        Cell(model, "", text, "negation", (Operand(negated),), seed)
        for model in view.models or study.models
        for negated in languages
        for text in languages
        for seed in study.seeds
    ]


def analogy(study: Study, name: str) -> list[Cell]:
    """τ_c + λ(τ_b − τ_a) for the target of every quadruple.

    With LA(en, c), whose ends are both proxies; if c is the task language, its adapter is the only
    proxy.
    """
    quadruples = {q.target: q for q in study.experiments[name].quadruples or ()}

    def merges(target: str) -> list[tuple[str, tuple[Operand, ...]]]:
        if target not in quadruples:
            return []
        a, b, c = (Operand(language) for language in quadruples[target].operands)
        return [("analogy", (a, b, c)), ("la", (Operand(study.task_language), c))]

    return cells_of(study, name, merges)


@dataclass(frozen=True)
class View:
    """An experiment: its description, its cells of the grid, its keys."""

    about: str
    """One or two sentences for the report."""
    cells: Callable[[Study, str], list[Cell]] | None = None
    """None if it is not made of cells: language vectors, languages, the paper's numbers."""
    keys: frozenset[str] = frozenset({"models", "tasks", "targets", "caption"})
    figure: bool = True
    gains: bool = False
    """Whether it has gains, see `results.gains`."""
    choices: bool = False
    """Whether it shows chosen λ, whose certainty `results.choice_certainty` estimates."""
    chosen: bool = False
    """Whether it shows the points that the study's `selection` chose."""
    texts: Callable[[Study, str], list[Cell]] | None = None
    """The merges whose masked-LM losses it shows, see :func:`texts`."""


_VECTORS = frozenset({"models", "languages", "caption"})


EXPERIMENTS: dict[str, View] = {
    "zero_shot": View(
        "Test scores per target with the task language's adapter, the related language's adapter, "
        "and their language arithmetic (section 4.2, Figures 2 and 6). The number above a group is "
        "the gain over the better proxy.",
        zero_shot,
        gains=True,
        choices=True,
        chosen=True,
    ),
    "enhancement": View(
        "The target's own adapter (MAD-X) against its language arithmetic with the task language, "
        "with the related language, and with the better of both on validation (section 4.3, "
        "Figures 3 and 7). The number above a group is the gain of the latter over MAD-X.",
        enhancement,
        gains=True,
        chosen=True,
    ),
    "low_resource": View(
        "Adapters trained on token budgets of the target, used directly and in language "
        "arithmetic with the task language (section 4.4, Figure 4).",
        low_resource,
        gains=True,
        choices=True,
        chosen=True,
    ),
    "lambda_impact": View(
        "Validation score over lambda; dashed lines are the single adapters, the ends of the "
        "curve (section 5.1, Figures 5 and 8). Bars below a curve: how often resampled validation "
        "examples choose each lambda.",
        zero_shot,
        gains=True,
        choices=True,
    ),
    "relatedness": View(
        "Language arithmetic of the target's adapter with each language of a pool (section 5.2, "
        "Table 1).",
        relatedness,
        frozenset({"models", "tasks", "targets", "pool", "caption"}),
        chosen=True,
    ),
    "ties": View(
        "Language arithmetic against TIES merging on the zero-shot pairs (appendix E, Table 3). "
        "The number above a group is language arithmetic minus the best TIES.",
        ties,
        gains=True,
        choices=True,
        chosen=True,
    ),
    "methods": View(
        "Every merge method of the study on the zero-shot pairs, with both single adapters: the "
        "gain over the better of them and over the one that validation chooses, per target and on "
        "average.",
        methods,
        gains=True,
        choices=True,
        chosen=True,
    ),
    pool.NAME: View(
        "Language arithmetic of the task language and the k nearest relatives of each target, and "
        "the plain average of the same adapters (soup): the gain over language arithmetic of two, "
        "k = 1.",
        pool.cells,
        frozenset({"models", "tasks", "targets", "pool_size", "caption"}),
        gains=True,
        chosen=True,
    ),
    "forgetting": View(
        "Adapters from which a language vector was subtracted: how much the masked-LM loss on "
        "held-out text of every language changes against the common initialisation, and the test "
        "score in the language that was subtracted.",
        forgetting,
        _VECTORS | {"tasks"},
        gains=True,
        texts=forgotten_texts,
    ),
    "analogy": View(
        "Analogies of language vectors, c + (b − a), for targets without an adapter of their own, "
        "against the task language's adapter and that of c.",
        analogy,
        frozenset({"models", "tasks", "quadruples", "caption"}),
        gains=True,
    ),
    "related_languages": View(
        "Languages that URIEL relates equally closely to each target, the proposal, the study's "
        "choice and the paper's (section 4.1.1, Table 2).",
        keys=frozenset(),
        figure=False,
    ),
    "similarity": View(
        "Cosine similarity of language vectors, the difference of an adapter and its "
        "initialisation, and for contrast of task vectors (appendix E, Figure 10).",
        keys=_VECTORS | {"tasks"},
    ),
    "sparsity": View(
        "Kernel density of the weights of language vectors (appendix E, Figure 9).",
        keys=_VECTORS | {"layers"},
    ),
    "label_free": View(
        "Test score of language arithmetic on the zero-shot pairs with lambda chosen by rules that "
        "need no labels of the target, and what they lose against the choice on its labelled "
        "validation data.",
        zero_shot,
        frozenset({"models", "tasks", "targets", "rules", "caption"}),
        gains=True,
    ),
    "reproduction": View(
        "Every claim and every number of the paper, compared with this study's results.",
        keys=frozenset(),
        figure=False,
        chosen=True,
    ),
}


GAINS = tuple(name for name, view in EXPERIMENTS.items() if view.gains)
"""Experiments that have gains, whose intervals are estimated."""


def claimed(study: Study) -> list[str]:
    """Experiments of a study whose gains are compared with the paper's claims."""
    names = ["zero_shot", "enhancement", "low_resource", "lambda_impact"]
    # the comparison with TIES-Merging is a part of `methods`, too
    names.append("ties" if "ties" in study.experiments else "methods")
    return [name for name in names if name in study.experiments]


CHOICES = tuple(name for name, view in EXPERIMENTS.items() if view.choices)
"""Experiments that show chosen λ."""

TABULATED = tuple(n for n, view in EXPERIMENTS.items() if view.cells and n != "label_free")
"""Experiments whose table has a row per cell, point, split and metric."""

VECTOR_EXPERIMENTS = ("similarity", "sparsity")
"""Experiments on adapters, without cells."""


def cells(study: Study, experiment: str) -> list[Cell]:
    """The cells of an experiment; empty if it is not made of cells."""
    view = EXPERIMENTS[experiment]
    return view.cells(study, experiment) if view.cells else []


def all_cells(study: Study) -> list[Cell]:
    """The cells of all experiments, each once."""
    return list(dict.fromkeys(c for name in study.experiments for c in cells(study, name)))


def sweeps(study: Study) -> list[tuple[str, int]]:
    """Every kind of sweep that a study has: its method and the number of its operands.

    Sweeps of the fewest operands are always included, even if no experiment has such cells, so that
    a file below `results/` can be requested by its name.
    """
    try:
        several = {(cell.method, len(cell.operands)) for cell in all_cells(study)}
    except InputError:  # no related languages yet: only required when cells are needed
        several = set()
    fewest = ((method, merging.get(method).fewest_operands) for method in study.lambdas)
    return list(dict.fromkeys([*fewest, *sorted(several)]))


def texts(study: Study, experiment: str) -> list[Cell]:
    """The merges whose masked-LM losses an experiment shows, and the languages of the texts.

    They are cells without a task, since these losses do not depend on one.
    """
    view = EXPERIMENTS[experiment]
    return view.texts(study, experiment) if view.texts and experiment in study.experiments else []


def vectors(study: Study, experiment: str) -> list[Run]:
    """The adapters that `similarity` or `sparsity` compares.

    Languages are those of the view, or all of the study; only `similarity` has tasks, likewise.
    """
    view = study.experiments[experiment]
    places = [(model, seed) for model in view.models or study.models for seed in study.seeds]
    languages = [
        Run(model, "language", language, seed)
        for model, seed in places
        for language in view.languages or study.languages
    ]
    tasks = [
        Run(model, "task", task, seed)
        for model, seed in places
        for task in view.tasks or study.tasks
        if experiment == "similarity"
    ]
    return languages + tasks


def runs(study: Study, experiment: str) -> list[Run]:
    """The adapters that an experiment needs, each once; task adapters need the task language's."""
    if experiment in VECTOR_EXPERIMENTS:
        compared = vectors(study, experiment)
        return list(dict.fromkeys([*_task_language_runs(study, compared), *compared]))
    return runs_of(study, [*cells(study, experiment), *texts(study, experiment)])


def runs_of(study: Study, cells: Iterable[Cell]) -> list[Run]:
    """The adapters that some cells need, each once, in the order in which they must be trained."""
    languages, tasks = [], []
    for cell in cells:
        for operand in cell.operands:
            languages.append(Run(cell.model, "language", str(operand), cell.seed))
        if cell.task:
            tasks.append(Run(cell.model, "task", cell.task, cell.seed))
    return list(dict.fromkeys([*_task_language_runs(study, tasks), *languages, *tasks]))


def _task_language_runs(study: Study, runs: Iterable[Run]) -> list[Run]:
    """The task language's adapters that the task adapters of some runs are trained on."""
    return [
        Run(run.model, "language", study.task_language, run.seed)
        for run in runs
        if run.kind == "task"
    ]


def subtracted(study: Study, experiment: str) -> set[tuple[str, str, str]]:
    """Model, kind and name of the adapters from which an experiment subtracts θ_pre."""
    if experiment in VECTOR_EXPERIMENTS:
        return {(run.model, run.kind, run.name) for run in vectors(study, experiment)}
    return {
        (cell.model, "language", operand.language)
        for cell in [*cells(study, experiment), *texts(study, experiment)]
        if merging.get(cell.method).needs_origin
        for operand in cell.operands
    }


def languages_of(study: Study, experiment: str) -> list[str]:
    """The languages of an experiment, in the study's order."""
    if experiment in VECTOR_EXPERIMENTS:
        languages = {run.name for run in vectors(study, experiment)}
    elif EXPERIMENTS[experiment].cells:
        merged = [*cells(study, experiment), *texts(study, experiment)]
        operands = {o.language for cell in merged for o in cell.operands}
        languages = operands | {cell.target for cell in merged}
    else:
        languages = set(study.languages)
    return [language for language in study.languages if language in languages]
