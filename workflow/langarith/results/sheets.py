"""Tables in the paper's form: a tidy table to sheets.

A sheet is what a reader sees as one table. What its numbers mean is defined in `analysis`; here
they get a place, a format and a mark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from langarith import merging
from langarith.results import analysis
from langarith.results.names import metric_title
from langarith.results.paper import stated

MISSING = "--"


@dataclass(frozen=True)
class Number:
    """A number in a sheet, with what a reader must know of it.

    `value` is NaN where it is missing; `spread` is one standard deviation over seeds (ddof 1), NaN
    where there is one seed, or none is meant. `partial` marks a number of fewer runs than the study
    has, `best` the best of those it is compared with.
    """

    value: float
    spread: float = math.nan
    digits: int = 2
    signed: bool = False
    partial: bool = False
    best: bool = False

    @property
    def missing(self) -> bool:
        """Whether there is no value."""
        return math.isnan(self.value)

    def written(self) -> str:
        """The value alone, with the digits that are printed."""
        if self.missing:
            return MISSING
        rounded = round(self.value, self.digits) + 0.0  # never "-0.00"
        return f"{rounded:{'+' if self.signed else ''}.{self.digits}f}"


Cell = str | Number


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """One table: rows in blocks, between which LaTeX draws a line, and a note below them.

    An `aside` is for whoever runs the study and no part of a paper: LaTeX has it as a comment.
    """

    title: str
    note: str
    header: tuple[str, ...]
    blocks: tuple[tuple[Row, ...], ...]
    aside: bool = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of all blocks."""
        return tuple(row for block in self.blocks for row in block)


SCORES = "Test scores in percent, mean ± standard deviation over seeds; the best in bold."


AVERAGE = "The average is that of each seed over its targets."


def zero_shot(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Figures 2 and 6 in numbers: both proxies, their language arithmetic, its gain."""
    source = caption["task_language"]
    proxies = ["task_language", "related"]
    kinds = [*proxies, "merged"]
    adapters = (f"{source} adapter", "related adapter", f"LA({source}, related)")
    sheets = []
    for model, task, part in _panels(analysis.zero_shot(table), caption):
        rows: list[Row] = [
            (
                target,
                str(runs["right"].iloc[0]),
                *_scores(runs, kinds, caption),
                _weight(runs, caption),
                _gain(runs, "merged", proxies, caption),
            )
            for target, runs in _by(part, "target", caption["languages"])
        ]
        average: Row = (
            "average",
            "",
            *_scores(part, kinds, caption, together=True),
            _weight(part, caption),
            _gain(part, "merged", proxies, caption),
        )
        sheets.append(
            sheet(
                f"Zero-shot, {model}, {_measured(task, table)}",
                f"{SCORES} {AVERAGE} λ weighs {source}. The gain, in points, is over the better of "
                "the two single adapters.",
                ("target", "related", *adapters, "λ", "gain"),
                [rows, [average]],
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def enhancement(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Figures 3 and 7 in numbers: the target's own adapter (MAD-X) and its enhancements."""
    source = caption["task_language"]
    kinds = ["madx", "la_task_language", "la_related", "la_better"]
    better = f"LA({source}/rel, t)"
    methods = ("MAD-X", f"LA({source}, t)", "LA(rel, t)", better)
    sheets = []
    for model, task, part in _panels(analysis.enhancement(table, source), caption):
        rows: list[Row] = [
            (
                target,
                str(runs["related"].iloc[0]) or source,
                *_scores(runs, kinds, caption),
                str(runs["better"].iloc[0]) or MISSING,
                _gain(runs, "la_better", ["madx"], caption),
            )
            for target, runs in _by(part, "target", caption["languages"])
        ]
        average: Row = (
            "average",
            "",
            *_scores(part, kinds, caption, together=True),
            "",
            _gain(part, "la_better", ["madx"], caption, kinds),
        )
        sheets.append(
            sheet(
                f"Enhancement, {model}, {_measured(task, table)}",
                f"{SCORES} {AVERAGE} MAD-X is the adapter of the target t alone. {better} is the "
                "pairing that is better on validation; the column after it names its other "
                f"language. The gain, in points, is that of {better} over MAD-X.",
                ("t", "rel", *methods, f"{source}/rel", "gain"),
                [rows, [average]],
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def low_resource(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Figure 4 in numbers: adapters of small budgets, alone and with the task language's."""
    source = caption["task_language"]
    sheets = []
    for model, task, part in _panels(analysis.low_resource(table), caption):
        blocks: list[list[Row]] = [
            [
                (
                    target,
                    budget,
                    *_scores(runs, ["direct", "merged"], caption),
                    _weight(runs, caption),
                    _gain(runs, "merged", ["direct"], caption),
                )
                for budget, runs in _by(budgets.sort_values("tokens", kind="stable"), "budget")
            ]
            for target, budgets in _by(part, "target", caption["languages"])
        ]
        sheets.append(
            sheet(
                f"Low resource, {model}, {_measured(task, table)}",
                f"{SCORES} Budgets are in tokens of the target t. Direct: the adapter of that "
                f"budget alone. λ weighs {source}. The gain is in points.",
                ("t", "budget", "direct", f"LA(t, {source})", "λ", "gain"),
                blocks,
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def lambda_impact(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Section 5.1 in numbers: what a coarser grid of λ costs on test, and what it saves."""
    sheets = []
    for model, of_model in _by(analysis.regret(table), "model", caption["models"]):
        parts = [(task.upper(), part) for task, part in _by(of_model, "task")]
        parts += [("all", of_model)] if len(parts) > 1 else []
        full = Number(float(of_model["full_evaluations"].max()), digits=0)
        blocks: list[list[Row]] = []
        for task, part in parts:
            blocks.append([])
            for grid, runs in _by(part, "grid"):
                cost = _mean(runs, "regret", caption)
                taken = replace(full, value=float(runs["evaluations"].max()))
                saved = replace(full, value=full.value - taken.value)
                worst = replace(cost, value=float(runs["regret"].max()), spread=math.nan)
                blocks[-1].append((task, grid, cost, worst, taken, saved))
        sheets.append(
            sheet(
                f"Lambda impact, {model}",
                "Regret: the test score of the λ that the full grid chooses on validation minus "
                "that of the coarser grid's choice, in points; below zero where the coarser one "
                "did better. Mean over targets ± standard deviation over seeds, and the worst of "
                f"all targets and seeds. The full grid takes {full.written()} evaluations.",
                ("task", "step", "mean regret", "worst regret", "evaluations", "saved"),
                blocks,
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def relatedness(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Table 1: the target's adapter with each of a pool of related languages."""
    sheets = []
    for model, of_model in _by(analysis.relatedness(table), "model", caption["models"]):
        pool = [other for other, _ in _by(of_model, "other", caption["languages"])]
        blocks: list[list[Row]] = []
        for task, part in _by(of_model, "task"):
            blocks.append([])
            for target, of_target in _by(part, "target", caption["languages"]):
                runs = dict(_by(of_target, "other"))
                numbers = _best([_mean(runs[other], "merged", caption) for other in runs])
                found = dict(zip(runs, numbers, strict=True))
                span = Number(
                    analysis.pool_range(number.value for number in numbers),
                    partial=any(number.partial or number.missing for number in numbers),
                )
                cells = (found.get(other, "" if other == target else MISSING) for other in pool)
                blocks[-1].append((_measured(task, table), target, *cells, span))
        sheets.append(
            sheet(
                f"Relatedness, {model}",
                f"{SCORES} LA(t, l) in t: the adapter of the evaluated language t with that of "
                "another, l, a column each. The range is best minus worst, in points.",
                ("task", "t", *pool, "range"),
                blocks,
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def ties(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Table 3: language arithmetic and TIES-Merging, averaged over targets."""
    return _compare_methods(table, caption, "TIES-Merging", "λ scales the sum in TIES-Merging; the")


def methods(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Table 3 for every merge method of the study."""
    return _compare_methods(table, caption, "Merge methods", "The")


def _compare_methods(
    table: pd.DataFrame, caption: Mapping[str, Any], title: str, note: str
) -> list[Sheet]:
    sheets = []
    for model, task, part in _panels(analysis.methods(table), caption):
        by_method = dict(_by(part, "method"))
        names = list(by_method)
        runs = part.pivot(index=["target", "seed"], columns="method", values="merged").reset_index()
        numbers = _scores(runs, names, caption, together=True)
        rows: list[Row] = [
            (
                merging.get(method).title,
                number,
                _weight(by_method[method], caption),
                ""
                if method == "la" or "la" not in names
                else _gain(runs, method, ["la"], caption, names),
            )
            for method, number in zip(names, numbers, strict=True)
        ]
        sheets.append(
            sheet(
                f"{title}, {model}, {_measured(task, table)}",
                f"{SCORES} Zero-shot, averaged over {part['target'].nunique()} targets. {note} "
                "last column is the distance to LA in points.",
                ("method", "average", "λ", "against LA"),
                [rows],
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


def related_languages(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Table 2: which languages URIEL cannot distinguish, and who chose which."""
    theirs = stated.related()

    def those(ranked: pd.DataFrame, column: str) -> list[str]:
        return [str(code) for code in ranked["candidate"][ranked[column].astype(str) == "True"]]

    rows: list[Row] = []
    for target, candidates in _by(table, "target", caption["languages"]):
        ranked = candidates.sort_values("rank")
        tied = those(ranked, "tie_set")
        rows.append(
            (
                target,
                "all" if len(tied) == len(ranked) > 1 else ", ".join(tied),
                ", ".join(those(ranked, "chosen")) or MISSING,
                ", ".join(those(ranked, "in_study")) or MISSING,
                theirs.get(target, MISSING),
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


def similarity(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Figure 10: cosines of all pairs of language vectors, and of task vectors for contrast."""
    sheets: list[Sheet] = []
    extremes: list[Row] = []
    for model, of_model in _by(analysis.cosines(table), "model", caption["models"]):
        for kind, part in _by(of_model, "kind"):
            names = _ordered([*part["left"], *part["right"]], caption["languages"])
            pairs = {
                frozenset({str(left), str(right)}): _mean(runs, "cosine", caption)
                for (left, right), runs in part.groupby(["left", "right"], sort=False)
            }
            found = {pair: replace(number, spread=math.nan) for pair, number in pairs.items()}
            found |= {frozenset({name}): Number(1.0) for name in names}
            rows: list[Row] = [
                (left, *(found.get(frozenset({left, right}), MISSING) for right in names))
                for left in names
            ]
            sheets.append(
                sheet(
                    f"Cosine of {kind} vectors, {model}",
                    "Means over seeds.",
                    ("", *names),
                    [rows],
                    caption,
                )
            )
            there = {pair: number for pair, number in pairs.items() if not number.missing}
            for name, pick in (("least", min), ("greatest", max)):
                if there:
                    pair = pick(there, key=lambda pair: there[pair].value)
                    names_of_pair = " and ".join(sorted(pair, key=names.index))
                    extremes.append(
                        (
                            model,
                            f"{kind} vectors",
                            name,
                            names_of_pair,
                            replace(there[pair], digits=3),
                        )
                    )
    return [
        *sheets,
        sheet(
            "Cosines of pairs: the least and the greatest",
            "Of means over seeds, ± standard deviation over seeds.",
            ("model", "of", "", "pair", "cosine"),
            [extremes],
            caption,
        ),
        *missing_cells(caption),
    ]


def sparsity(table: pd.DataFrame, caption: Mapping[str, Any]) -> list[Sheet]:
    """Figure 9 in numbers: the share of a language vector's weights below each threshold."""
    shares = table[table["quantity"] == "share_below"].assign(percent=100 * table["value"])
    thresholds = sorted(shares["x"].dropna().unique())
    sheets = []
    for model, of_model in _by(shares, "model", caption["models"]):
        blocks: list[list[Row]] = []
        for language, of_language in _by(of_model, "language", caption["languages"]):
            blocks.append([])
            for layer, part in _by(of_language, "layer"):
                numbers = [
                    replace(_mean(part[part["x"] == x], "percent", caption), digits=1)
                    for x in thresholds
                ]
                blocks[-1].append((language, layer, *numbers))
        sheets.append(
            sheet(
                f"Sparsity of language vectors, {model}",
                "Percent of weights whose magnitude lies below the threshold, mean ± standard "
                "deviation over seeds.",
                ("language", "layer", *(f"below {x:g}" for x in thresholds)),
                blocks,
                caption,
            )
        )
    return [*sheets, *missing_cells(caption)]


SHEETS: dict[str, Callable[[pd.DataFrame, Mapping[str, Any]], list[Sheet]]] = {
    "zero_shot": zero_shot,
    "enhancement": enhancement,
    "low_resource": low_resource,
    "lambda_impact": lambda_impact,
    "relatedness": relatedness,
    "ties": ties,
    "methods": methods,
    "related_languages": related_languages,
    "similarity": similarity,
    "sparsity": sparsity,
}
"""What makes the sheets of an experiment from its tidy table and a caption.

The caption has `study`, `note`, `models`, `seeds`, `task_language`, `languages` (the study's order,
which all sheets keep), and `missing`, a list of `{"cell": ..., "log": ...}`.
"""


def sheet(
    title: str,
    note: str,
    header: Sequence[str],
    blocks: Iterable[Iterable[Row]],
    caption: Mapping[str, Any],
) -> Sheet:
    """A sheet whose note also says which study it is of, and what its marks mean if it has any."""
    made = tuple(tuple(block) for block in blocks)
    cells = [cell for block in made for row in block for cell in row]
    numbers = [cell for cell in cells if isinstance(cell, Number) and not cell.missing]
    absent = MISSING in cells or any(isinstance(cell, Number) and cell.missing for cell in cells)
    parts = (
        note,
        f"{MISSING}: missing." if absent else "",
        "†: of fewer runs than the study has." if any(n.partial for n in numbers) else "",
        f"Study: {caption['study']}. Seeds: {', '.join(str(s) for s in caption['seeds'])}.",
        caption["note"],
    )
    return Sheet(title, " ".join(filter(None, parts)), tuple(header), tuple(filter(None, made)))


def missing_cells(caption: Mapping[str, Any]) -> list[Sheet]:
    """A sheet that names each missing cell and its log, if there are any."""
    rows = tuple((str(gone["cell"]), str(gone["log"])) for gone in caption["missing"])
    note = "These cells of the study have no result; their logs say why."
    return [Sheet("Missing cells", note, ("cell", "log"), (rows,), aside=True)] if rows else []


def _mean(
    runs: pd.DataFrame, kind: str, caption: Mapping[str, Any], of: Sequence[str] = ()
) -> Number:
    """The mean over seeds, of the averages over targets where `runs` has several.

    `of` names the kinds of score that a run must have to count, if more than this one.
    """
    averages = analysis.seed_averages(runs, of or [kind])[kind]
    there = len(runs.dropna(subset=list(of or [kind])))
    # missing runs are rows without scores; a seed that failed as a whole may have no rows at all
    wanted = runs.groupby("seed").size().max() * len(caption["seeds"])
    return Number(float(averages.mean()), float(averages.std(ddof=1)), partial=there < wanted)


def _scores(
    runs: pd.DataFrame,
    kinds: Sequence[str],
    caption: Mapping[str, Any],
    *,
    together: bool = False,
) -> list[Number]:
    """The mean of each kind, the best marked; `together`: all of them over the same runs."""
    return _best([_mean(runs, kind, caption, kinds if together else ()) for kind in kinds])


def _gain(
    runs: pd.DataFrame,
    merged: str,
    others: Sequence[str],
    caption: Mapping[str, Any],
    of: Sequence[str] = (),
) -> Number:
    """The gain over the runs that have all scores it compares, or all those that `of` names."""
    kinds = list(of or [merged, *others])
    value = analysis.gain(analysis.seed_averages(runs, kinds), merged, others)
    return Number(value, signed=True, partial=_mean(runs, merged, caption, kinds).partial)


def _weight(runs: pd.DataFrame, caption: Mapping[str, Any]) -> Number:
    return replace(_mean(runs, "lambda", caption), spread=math.nan)


def _best(numbers: Sequence[Number]) -> list[Number]:
    """The same numbers, the best of them marked: those that are printed as the greatest."""
    there = [float(number.written()) for number in numbers if not number.missing]
    return [
        replace(n, best=len(there) > 1 and not n.missing and float(n.written()) == max(there))
        for n in numbers
    ]


def _panels(
    scores: pd.DataFrame, caption: Mapping[str, Any]
) -> list[tuple[str, str, pd.DataFrame]]:
    return [
        (model, task, part)
        for model, of_model in _by(scores, "model", caption["models"])
        for task, part in _by(of_model, "task")
    ]


def _by(
    frame: pd.DataFrame, column: str, order: Sequence[str] = ()
) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each value of a column, as `_ordered`."""
    parts = {str(value): part for value, part in frame.groupby(column, sort=False)}
    return [(value, parts[value]) for value in _ordered(parts, order)]


def _ordered(values: Iterable[str], order: Sequence[str]) -> list[str]:
    """Each value once: those of `order` first and in that order, then the others as they come."""
    there = list(dict.fromkeys(values))
    return [v for v in order if v in there] + [v for v in there if v not in order]


def _measured(task: str, table: pd.DataFrame) -> str:
    metric = analysis.metrics(table)[task]
    return f"{task.upper()} ({metric_title(metric)})"
