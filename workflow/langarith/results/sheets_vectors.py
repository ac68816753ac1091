"""The tables of language vectors: comparison, subtraction, analogies."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from langarith.results import analogy, analysis, forgetting
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.names import BETTER_PROXY, START, ordered
from langarith.results.sheet import (
    MISSING,
    SCORES,
    Number,
    Row,
    Sheet,
    by,
    examples,
    gain,
    mean,
    panels,
    point,
    scores,
    sheet,
    task_title,
)


def forgotten(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Changes of masked-LM losses of each text, and test scores in the negated language."""
    return [*_losses(table, caption), *_scores(table, caption, beside)]


def _losses(table: pd.DataFrame, caption: Caption) -> list[Sheet]:
    sheets = []
    negated = ordered(forgetting.negated(table), caption.languages)
    for model, of_model in by(forgetting.losses(table), "model", caption.models):
        texts = ordered(of_model["text"], caption.languages)
        start = of_model[of_model["lambda"] == 0.0]
        blocks: list[list[Row]] = [
            [
                (
                    "0.00",
                    "none",
                    *(_mean(start[start["text"] == text], "loss", caption) for text in texts),
                )
            ]
        ]
        for weight, part in of_model[of_model["lambda"] != 0.0].groupby("lambda"):
            runs = dict(list(part.groupby(["negated", "text"])))
            blocks.append(
                [
                    (
                        f"{weight:.2f}",
                        language,
                        *(
                            _mean(runs[language, text], "change", caption)
                            if (language, text) in runs
                            else MISSING
                            for text in texts
                        ),
                    )
                    for language in negated
                ]
            )
        spread = forgetting.largest_spread(forgetting.changes(of_model))
        spreads = "" if math.isnan(spread) else f"; standard deviations at most {spread:.3f}"
        sheets.append(
            sheet(
                f"Forgetting, {model}: masked-LM loss of held-out text",
                "Nats per masked token, a column for each language of the text, means over seeds"
                f"{spreads}. First row: the common initialisation of the adapters. Below: what "
                "changes when λ times the vector of a language is subtracted from it; above zero "
                "the model predicts the text worse.",
                ("λ", "subtracted", *texts),
                blocks,
                caption,
            )
        )
    return sheets


def _mean(runs: pd.DataFrame, kind: str, caption: Caption) -> Number:
    """The mean over seeds; at λ = 0 every negated language has the same loss of a text."""
    each = runs.groupby("seed")[kind].mean()
    return Number(
        float(each.mean()),
        digits=3,
        signed=kind == "change",
        partial=len(each) < len(caption.seeds),
    )


def _scores(table: pd.DataFrame, caption: Caption, beside: Beside) -> list[Sheet]:
    sheets = []
    found = forgetting.scores(table)
    weights = forgetting.weights(found)
    scored = forgetting.scored(table)
    for model, task, part in panels(found, caption) if weights else ():
        last = forgetting.furthest(weights)
        rows: list[Row] = [
            (
                target,
                examples(runs, scored),
                *(mean(runs, weight, caption) for weight in weights),
                gain(
                    runs,
                    last,
                    ["0.00"],
                    caption,
                    beside,
                    target,
                    START,
                    method=forgetting.NEGATION,
                ),
            )
            for target, runs in by(part, "target", caption.languages)
        ]
        sheets.append(
            sheet(
                f"Forgetting, {model}, {task_title(task, scored)}",
                "Test scores in percent in the language whose vector was subtracted λ times, mean "
                "± standard deviation over seeds. λ = 0 is the common initialisation of the "
                f"adapters. The last column is λ = {last} minus λ = 0, in points.",
                ("t", "examples", *(f"λ = {weight}" for weight in weights), "change"),
                [rows],
                caption,
            )
        )
    return sheets


def analogies(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Each analogy, with the task language's adapter and that of c."""
    task_language = caption.task_language
    kinds = [*analogy.PROXIES, "merged"]
    sheets = []
    for model, task, part in panels(analogy.scores(table, task_language), caption):
        rows: list[Row] = [
            (
                target,
                analogy.formula(str(runs["operands"].iloc[0])),
                examples(runs, table),
                *scores(runs, kinds, caption),
                _without_interval(point(runs, caption, beside)),
                _gain(runs, caption, beside, target),
            )
            for target, runs in by(part, "target", caption.languages)
        ]
        blocks = [rows]
        if len(rows) > 1:
            numbers = scores(part, kinds, caption, together=True)
            gain_of_averages = _gain(part, caption, beside, analysis.AVERAGE)
            blocks.append([("average", "", examples(part, table), *numbers, "", gain_of_averages)])
        sheets.append(
            sheet(
                f"Analogies, {model}, {task_title(task, table)}",
                f"{SCORES} An analogy c + b − a adds λ times the difference of the vectors of b "
                "and a to the adapter of c. Examples: of the test split. The gain, in points, is "
                f"over the better of two single adapters, that of {task_language} and that of c.",
                (
                    "target",
                    "analogy",
                    "examples",
                    f"{task_language} adapter",
                    "c alone",
                    "merged",
                    "λ",
                    "gain",
                ),
                blocks,
                caption,
            )
        )
    return sheets


def _gain(runs: pd.DataFrame, caption: Caption, beside: Beside, target: str) -> Number:
    over = BETTER_PROXY
    return gain(runs, "merged", analogy.PROXIES, caption, beside, target, over, method="analogy")


def _without_interval(weight: Number | str) -> Number | str:
    """λ without an interval of choices, which this experiment does not estimate."""
    return replace(weight, interval=None) if isinstance(weight, Number) else weight


def similarity(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> list[Sheet]:
    """Figure 10: cosines of all pairs of language vectors, and of task vectors for contrast."""
    sheets: list[Sheet] = []
    extremes: list[Row] = []
    for model, of_model in by(analysis.cosines(table), "model", caption.models):
        for kind, part in by(of_model, "kind"):
            names = ordered([*part["left"], *part["right"]], caption.languages)
            pairs = {
                frozenset({str(left), str(right)}): mean(runs, "cosine", caption)
                for (left, right), runs in part.groupby(["left", "right"], sort=False)
            }
            cosines = {pair: replace(number, spread=math.nan) for pair, number in pairs.items()}
            cosines |= {frozenset({name}): Number(1.0) for name in names}
            rows: list[Row] = [
                (left, *(cosines.get(frozenset({left, right}), MISSING) for right in names))
                for left in names
            ]
            spreads = [number.spread for number in pairs.values() if not math.isnan(number.spread)]
            largest = f", standard deviations at most {max(spreads):.3f}" if spreads else ""
            sheets.append(
                sheet(
                    f"Cosine of {kind} vectors, {model}",
                    f"Means over seeds{largest}.",
                    ("", *names),
                    [rows],
                    caption,
                )
            )
            present = {pair: number for pair, number in pairs.items() if not number.missing}
            for name, pick in (("least", min), ("greatest", max)):
                if present:
                    pair = pick(present, key=lambda pair: present[pair].value)
                    names_of_pair = " and ".join(sorted(pair, key=names.index))
                    extremes.append(
                        (
                            model,
                            f"{kind} vectors",
                            name,
                            names_of_pair,
                            replace(present[pair], digits=3),
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
    ]


def sparsity(table: pd.DataFrame, caption: Caption, _: Beside = NOTHING) -> list[Sheet]:
    """Figure 9 in numbers: the share of a language vector's weights below each threshold."""
    shares = table[table["quantity"] == "share_below"].assign(percent=100 * table["value"])
    thresholds = sorted(shares["x"].dropna().unique())
    sheets = []
    for model, of_model in by(shares, "model", caption.models):
        blocks: list[list[Row]] = []
        for language, of_language in by(of_model, "language", caption.languages):
            blocks.append([])
            for layer, part in by(of_language, "layer"):
                numbers = [
                    replace(mean(part[part["x"] == x], "percent", caption), digits=1)
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
    return sheets
