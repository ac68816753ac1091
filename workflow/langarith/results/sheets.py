"""Tables in the paper's form: a function per experiment makes sheets from its tidy table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from langarith import merging
from langarith.results import (
    analysis,
    intervals,
    searches,
    sheets_choices,
    sheets_label_free,
    sheets_methods,
    sheets_pool,
    sheets_vectors,
)
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.names import BETTER_PROXY, CHOSEN_PROXY, DIRECT, LABELS, MADX
from langarith.results.paper import stated
from langarith.results.sheet import (
    MISSING,
    SCORES,
    Number,
    Row,
    Sheet,
    best,
    by,
    evaluations,
    examples,
    gain,
    mean,
    panels,
    scores,
    sheet,
    task_title,
    weight,
)

EXAMPLES = "Examples: of the test split."


AVERAGE = "The average is that of each seed over its targets; its gain is that of the averages."


def zero_shot(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Figures 2 and 6 in numbers: both proxies, their language arithmetic, its gain."""
    task_language = caption.task_language
    proxies = ["task_language", "related"]
    kinds = [*proxies, "merged"]
    compared = ((proxies, BETTER_PROXY), (["chosen"], CHOSEN_PROXY))
    adapters = (f"{task_language} adapter", "related adapter", f"LA({task_language}, related)")
    sheets = []
    for model, task, part in panels(analysis.zero_shot(table), caption):
        rows: list[Row] = [
            (
                target,
                str(runs["right"].iloc[0]),
                examples(runs, table),
                mean(runs, "none", caption),
                *scores(runs, kinds, caption),
                weight(runs, caption, beside),
                *(
                    gain(runs, "merged", one, caption, beside, target, over)
                    for one, over in compared
                ),
            )
            for target, runs in by(part, "target", caption.languages)
        ]
        of_averages = [
            gain(part, "merged", one, caption, beside, analysis.AVERAGE, over)
            for one, over in compared
        ]
        mean_gain = gain(part, "merged", proxies, caption, beside, analysis.MEAN_GAIN, BETTER_PROXY)
        average: list[Row] = [
            (
                "average",
                "",
                examples(part, table),
                mean(part, "none", caption),
                *scores(part, kinds, caption, together=True),
                weight(part, caption, beside),
                *of_averages,
            ),
            ("mean of gains", *[""] * 7, mean_gain, ""),
        ]
        sheets.append(
            sheet(
                f"Zero-shot, {model}, {task_title(task, table)}",
                f"{SCORES} {EXAMPLES} {AVERAGE} No adapter: the task adapter without a language "
                f"adapter. λ weighs {task_language}. The gain, in points, is over the better of "
                "the two single adapters on test data; the gain over the chosen one is over that "
                "with the higher score on validation data.",
                (
                    "target",
                    "related",
                    "examples",
                    "no adapter",
                    *adapters,
                    "λ",
                    "gain",
                    "over the chosen",
                ),
                [rows, average],
                caption,
            )
        )
    return sheets


def enhancement(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Figures 3 and 7 in numbers: the target's own adapter (MAD-X) and its enhancements."""
    task_language = caption.task_language
    kinds = ["madx", "la_task_language", "la_related", "la_better"]
    better = f"LA({task_language}/rel, t)"
    methods = ("MAD-X", f"LA({task_language}, t)", "LA(rel, t)", better)
    sheets = []
    for model, task, part in panels(analysis.enhancement(table, task_language), caption):
        rows: list[Row] = [
            (
                target,
                str(runs["related"].iloc[0]) or task_language,
                examples(runs, table),
                *scores(runs, kinds, caption),
                str(runs["better"].iloc[0]) or MISSING,
                weight(runs, caption, beside),
                gain(runs, "la_better", ["madx"], caption, beside, target, MADX),
            )
            for target, runs in by(part, "target", caption.languages)
        ]
        average: list[Row] = [
            (
                "average",
                "",
                examples(part, table),
                *scores(part, kinds, caption, together=True),
                "",
                "",
                gain(
                    part,
                    "la_better",
                    ["madx"],
                    caption,
                    beside,
                    analysis.AVERAGE,
                    MADX,
                    kinds,
                ),
            )
        ]
        sheets.append(
            sheet(
                f"Enhancement, {model}, {task_title(task, table)}",
                f"{SCORES} {EXAMPLES} {AVERAGE} MAD-X is the adapter of the target t alone. "
                f"{better} is the pairing that is better on labelled validation data of the "
                "target, whatever rule chose λ; the next columns have its other language and λ, "
                "the weight of that one: 0 is MAD-X, 1 the other language's adapter alone. "
                f"The gain, in points, is that of {better} over MAD-X.",
                ("t", "rel", "examples", *methods, f"{task_language}/rel", "λ", "gain"),
                [rows, average],
                caption,
            )
        )
    return sheets


def low_resource(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Figure 4 in numbers: adapters of small budgets, alone and with the task language's."""
    task_language = caption.task_language
    sheets = []
    for model, task, part in panels(analysis.low_resource(table), caption):
        blocks: list[list[Row]] = [
            [
                (
                    target,
                    budget,
                    examples(runs, table),
                    *scores(runs, ["direct", "merged"], caption),
                    weight(runs, caption, beside),
                    gain(runs, "merged", ["direct"], caption, beside, target, DIRECT),
                )
                for budget, runs in by(budgets.sort_values("tokens", kind="stable"), "budget")
            ]
            for target, budgets in by(part, "target", caption.languages)
        ]
        sheets.append(
            sheet(
                f"Low resource, {model}, {task_title(task, table)}",
                f"{SCORES} {EXAMPLES} Budgets are in tokens of the target t. Direct: the "
                f"adapter of that budget alone. λ weighs {task_language}. The gain is in points.",
                ("t", "budget", "examples", "direct", f"LA(t, {task_language})", "λ", "gain"),
                blocks,
                caption,
            )
        )
    return sheets


def lambda_impact(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Section 5.1 in numbers: what a coarser grid of λ costs on test, and what it saves."""
    sheets = []
    for model, of_model in by(analysis.regret(table), "model", caption.models):
        parts = list(by(of_model, "task"))
        parts += [("all", of_model)] if len(parts) > 1 else []
        blocks: list[list[Row]] = []
        for task, part in parts:
            blocks.append([])
            for grid, runs in by(part, "grid"):
                cost = mean(runs, "regret", caption)
                place = intervals.key(model, task, analysis.AVERAGE, LABELS, rule=grid)
                count = evaluations(runs["evaluations"])
                saved = evaluations(runs["full_evaluations"] - runs["evaluations"])
                worst = replace(cost, value=float(runs["regret"].max()), spread=math.nan)
                cost = replace(cost, interval=intervals.of_regret(beside.intervals, place))
                name = "all" if task == "all" else task.upper()
                blocks[-1].append((name, examples(runs, table), grid, cost, worst, count, saved))
        sheets.append(
            sheet(
                f"Lambda impact, {model}",
                "Regret: the test score of the λ that the full grid chooses on validation minus "
                "that of the coarser grid's choice, in points; below zero where the coarser one "
                "did better. Mean over targets ± standard deviation over seeds, and the worst of "
                f"all targets and seeds. {searches.note(of_model)} {EXAMPLES}",
                ("task", "examples", "step", "mean regret", "worst regret", "evaluations", "saved"),
                blocks,
                caption,
            )
        )
    return [*sheets, *sheets_choices.choices(table, caption, beside)]


def relatedness(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> list[Sheet]:
    """Table 1: the target's adapter with each of a pool of related languages."""
    sheets = []
    for model, of_model in by(analysis.relatedness(table), "model", caption.models):
        pool = [other for other, _ in by(of_model, "other", caption.languages)]
        blocks: list[list[Row]] = []
        for task, part in by(of_model, "task"):
            blocks.append([])
            for target, of_target in by(part, "target", caption.languages):
                runs = dict(by(of_target, "other"))
                numbers = best([mean(runs[other], "merged", caption) for other in runs])
                by_other = dict(zip(runs, numbers, strict=True))
                span = Number(
                    analysis.pool_range(number.value for number in numbers),
                    partial=any(number.partial or number.missing for number in numbers),
                )
                cells = (by_other.get(other, "" if other == target else MISSING) for other in pool)
                count = examples(of_target, table)
                blocks[-1].append((task_title(task, table), target, count, *cells, span))
        sheets.append(
            sheet(
                f"Relatedness, {model}",
                f"{SCORES} {EXAMPLES} LA(t, l) in t: the adapter of the evaluated language t "
                "with that of another, l, a column each. The range is best minus worst, in points.",
                ("task", "t", "examples", *pool, "range"),
                blocks,
                caption,
            )
        )
    return sheets


def ties(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Table 3: language arithmetic and TIES-Merging, averaged over targets."""
    sheets = []
    for model, task, part in panels(analysis.methods(table), caption):
        by_method = dict(by(part, "method"))
        names = list(by_method)
        place = ["model", "task", "target", "seed"]
        runs = part.pivot(index=place, columns="method", values="merged").reset_index()
        numbers = scores(runs, names, caption, together=True)
        rows: list[Row] = [
            (
                merging.get(method).title,
                number,
                weight(by_method[method], caption, beside),
                ""
                if method == "la" or "la" not in names
                else gain(runs, "la", [method], caption, beside, analysis.AVERAGE, method, names),
            )
            for method, number in zip(names, numbers, strict=True)
        ]
        sheets.append(
            sheet(
                f"TIES-Merging, {model}, {task_title(task, table)}",
                f"{SCORES} Zero-shot, averaged over {_targets(part)}. Test examples of all "
                f"targets: {examples(part, table).written()}. λ scales the sum in TIES-Merging; "
                "the last column is LA minus the method, in points.",
                ("method", "average", "λ", "LA minus it"),
                [rows],
                caption,
            )
        )
    return sheets


def _targets(part: pd.DataFrame) -> str:
    count = part["target"].nunique()
    return f"{count} target{'s' if count != 1 else ''}"


def related_languages(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> list[Sheet]:
    """Table 2: languages that URIEL cannot distinguish, its proposal, and the choices."""
    of_paper = stated.related()

    def marked(ranked: pd.DataFrame, column: str) -> list[str]:
        return [str(code) for code in ranked["candidate"][ranked[column].astype(str) == "True"]]

    rows: list[Row] = []
    for target, candidates in by(table, "target", caption.languages):
        ranked = candidates.sort_values("rank")
        tied = marked(ranked, "tie_set")
        rows.append(
            (
                target,
                "all" if len(tied) == len(ranked) > 1 else ", ".join(tied),
                ", ".join(marked(ranked, "chosen")) or MISSING,
                ", ".join(marked(ranked, "in_study")) or MISSING,
                of_paper.get(target, MISSING),
            )
        )
    return [
        sheet(
            "Related languages",
            "Tie set: the candidates that share the most nodes of URIEL's family tree with the "
            "target, the closest in syntax first, which is the proposal; all: no candidate shares "
            "more than another.",
            ("target", "tie set", "proposal", "this study", "paper"),
            [rows],
            caption,
        )
    ]


SHEETS: dict[str, Callable[[pd.DataFrame, Caption, Beside], list[Sheet]]] = {
    "zero_shot": zero_shot,
    "enhancement": enhancement,
    "low_resource": low_resource,
    "lambda_impact": lambda_impact,
    "relatedness": relatedness,
    "ties": ties,
    "methods": sheets_methods.methods,
    "pool": sheets_pool.more_relatives,
    "label_free": sheets_label_free.compare_rules,
    "related_languages": related_languages,
    "similarity": sheets_vectors.similarity,
    "sparsity": sheets_vectors.sparsity,
    "forgetting": sheets_vectors.forgotten,
    "analogy": sheets_vectors.analogies,
}
"""The function that makes the sheets of an experiment, from its tidy table."""
