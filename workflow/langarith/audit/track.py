"""`langarith track`: the trainings of a finished study for a tool that draws and compares them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langarith.errors import InputError, did_you_mean
from langarith.files import refuse_existing, whole_folder
from langarith.study.resolved import read_study
from langarith.training import logs

TOOLS = ("tensorboard",)
PACKAGE = "tensorboardX"


def export(results: Path, tool: str, folder: Path) -> list[str]:
    """Write the metrics logs of a study for a tool; what was written, in one line.

    Args:
        tool: one of `TOOLS`.

    Raises:
        InputError: the tool is unknown, its package is missing, the folder holds files, or there is
            no training.
    """
    if tool not in TOOLS:
        raise InputError(
            f"--to {tool}: no such tool{did_you_mean(tool, TOOLS)}; use {' or '.join(TOOLS)}"
        )
    if not (results / "study.json").is_file():
        raise InputError(f"{results}: no study.json there; name the results folder of a study")
    study = read_study(results / "study.json")
    found = list(logs.of_study(results))
    if not found:
        raise InputError(f"{results}: no training has written a metrics log there")
    refuse_existing(folder)
    _to_tensorboard(study, found, folder)
    return [f"{len(found)} trainings in {folder}; to look at them: tensorboard --logdir {folder}"]


def _to_tensorboard(study: dict[str, Any], found: list[logs.TrainingLog], folder: Path) -> None:
    """An event file per training, in the training's folder below `folder`.

    Scalars `train/loss`, `train/learning_rate`, ..., `validation/f1`, ... over steps; the recipe as
    the text `recipe`. A value that is no finite number is left out.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            f"{PACKAGE}, which writes TensorBoard's files, is not installed: "
            f"pip install {PACKAGE}, or '.[track]' in a clone"
        ) from error
    with whole_folder(folder) as staging:
        for log in found:
            # a training has no clock in its log: all of its values get the time of its end
            ended = log.path.stat().st_mtime
            with SummaryWriter(str(staging / log.folder)) as writer:
                writer.add_text("recipe", _recipe(study, log), walltime=ended)
                for tag, step, value in scalars(log.rows):
                    writer.add_scalar(tag, value, step, walltime=ended)


def scalars(rows: list[dict[str, Any]]) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value of every number in a metrics log, each once."""
    seen = set()
    for row in rows:
        for key, value in row.items():
            name = key.removeprefix("validation_")
            point = f"{'train' if name == key else 'validation'}/{name}", int(row["step"])
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and key != "step" and point not in seen:
                seen.add(point)  # rows of training and of validation both have the epoch
                yield *point, float(value)


def _recipe(study: dict[str, Any], log: logs.TrainingLog) -> str:
    """The study and the recipe of a training, as Markdown."""
    if log.kind == logs.BASE_MODEL:
        recipe = study["models"][log.model].get("training")
    else:
        recipe = study.get("training", {}).get(log.kind.replace(" ", "_"))
    shown = {"study": study["name"], "note": study.get("note", ""), "recipe": recipe}
    return f"{log.name}\n\n```json\n{json.dumps(shown, indent=1, ensure_ascii=False)}\n```"
