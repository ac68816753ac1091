"""The table of the experiment `pool`: more relatives in the sum."""

from __future__ import annotations

import pandas as pd

from langarith.operands import parse_point
from langarith.results import analysis, pool
from langarith.results.caption import NOTHING, Beside, Caption
from langarith.results.sheet import (
    MISSING,
    Cell,
    Row,
    Sheet,
    best,
    by,
    evaluations,
    gain,
    mean,
    panels,
    sheet,
    task_title,
)


def more_relatives(table: pd.DataFrame, caption: Caption, beside: Beside = NOTHING) -> list[Sheet]:
    """Language arithmetic and the average of the task language and k relatives, by target and k."""
    task_language = caption.task_language
    sheets = []
    for model, task, part in panels(pool.scores(table), caption):
        runs, merges = pool.wide(part), pool.names(part)
        blocks: list[list[Row]] = []
        parts = by(part, "target", caption.languages)
        if len(parts) > 1:
            parts.append((analysis.AVERAGE, part))
        for target, of_target in parts:
            average = target == analysis.AVERAGE
            seeds = runs if average else runs[runs["target"] == target]
            names = [name for name in merges if (of_target["name"] == name).any()]
            # only averages of the same runs can be compared
            together = names if average else ()
            numbers = best([mean(seeds, name, caption, together) for name in names])
            rows: list[Row] = []
            for name, number in zip(names, numbers, strict=True):
                chosen = of_target[of_target["name"] == name]
                rows.append(
                    (
                        "average" if average else target,
                        str(pool.relatives_of(name)),
                        _title(name, task_language),
                        "" if average else str(chosen["languages"].iloc[0]),
                        evaluations(chosen["evaluations"]),
                        number,
                        "" if average else _weights(chosen),
                        ""
                        if name == pool.BASE
                        else gain(
                            runs,
                            name,
                            [pool.BASE],
                            caption,
                            beside,
                            target,
                            pool.BASE,
                            together,
                            name,
                        ),
                    )
                )
            blocks.append(rows)
        sheets.append(
            sheet(
                f"Pool, {model}, {task_title(task, table)}",
                "Test scores in percent, mean ± standard deviation over seeds; the best of a "
                f"target in bold. k: relatives of the target t besides {task_language}, nearest "
                "first. Evaluations: points evaluated on validation to choose the weights, mean "
                "over cells; 0 where nothing is chosen. Soup: equal weights. Weights: of the "
                "operands, mean over seeds. The gain, in points, is over language arithmetic of "
                "two (LA, k = 1).",
                ("t", "k", "merge", "operands", "evaluations", "score", "weights", "gain"),
                blocks,
                caption,
            )
        )
    return sheets


def _title(name: str, task_language: str) -> str:
    if pool.relatives_of(name) == 0:
        return f"{task_language} adapter"
    return "soup" if name.startswith("soup") else "LA"


def _weights(chosen: pd.DataFrame) -> Cell:
    """The mean weight of each operand over seeds."""
    if (chosen["k"] == 0).any():
        return "1.00"
    if chosen["name"].iloc[0].startswith("soup"):
        return "equal"
    points = [parse_point(text) for text in chosen["point"] if isinstance(text, str) and text]
    # the last operand takes the rest
    shares = [[*point, 1.0 - sum(point)] for point in points]
    means = [round(sum(of) / len(points), 2) + 0.0 for of in zip(*shares, strict=True)]
    return ", ".join(f"{mean:.2f}" for mean in means) or MISSING
