"""`langarith track`: the trainings of a finished study for a tool that draws and compares them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langarith.errors import InputError, did_you_mean
from langarith.files import refuse_existing, whole_folder
from langarith.study.resolved import study_of
from langarith.training import logs


@dataclass(frozen=True)
class Tool:
    """A tool: the package that writes its files, the extra that installs it, what reads them.

    write: takes the package, the study, the metrics logs and a folder that exists.
    environment: variables that the package reads when it is imported.
    """

    package: str
    extra: str
    look: str
    write: Callable[[Any, dict[str, Any], list[logs.TrainingLog], Path], None]
    environment: Mapping[str, str] = field(default_factory=dict)


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
    study = study_of(results)
    found = list(logs.of_study(results))
    if not found:
        raise InputError(f"{results}: no training has written a metrics log there")
    refuse_existing(folder)
    chosen = TOOLS[tool]
    os.environ.update(chosen.environment)
    try:
        package = import_module(chosen.package)
    except ImportError as error:
        raise InputError(
            f"{chosen.package}, which writes the files of {tool}, is not installed: "
            f"pip install {chosen.package}, or '.[{chosen.extra}]' in a clone"
        ) from error
    with whole_folder(folder) as staging:
        chosen.write(package, study, found, staging)
    return [f"{len(found)} trainings in {folder}; {chosen.look.format(folder=folder)}"]


def _to_tensorboard(
    package: Any, study: dict[str, Any], found: list[logs.TrainingLog], folder: Path
) -> None:
    """An event file per training, in the training's folder below `folder`.

    Scalars `train/loss`, `train/learning_rate`, ..., `validation/f1`, ... over steps; the recipe as
    the text `recipe`. A value that is no finite number is left out.
    """
    for log in found:
        # a training has no clock in its log: all of its values get the time of its end
        ended = log.path.stat().st_mtime
        with package.SummaryWriter(str(folder / log.folder)) as writer:
            recipe = json.dumps(_recipe(study, log), indent=1, ensure_ascii=False)
            text = f"{log.name}\n\n```json\n{recipe}\n```"
            writer.add_text("recipe", text, walltime=ended)
            for tag, step, value in scalars(log.rows):
                writer.add_scalar(tag, value, step, walltime=ended)


def _to_wandb(
    package: Any, study: dict[str, Any], found: list[logs.TrainingLog], folder: Path
) -> None:
    """An offline run per training: the same scalars, the recipe as its configuration.

    Nothing is sent: the project is the study's name, the group what is trained.
    """
    with TemporaryDirectory() as cache:
        os.environ["WANDB_CACHE_DIR"] = cache  # for its own logs
        for log in found:
            _write_run(package, study, log, folder)
        package.teardown()


def _write_run(package: Any, study: dict[str, Any], log: logs.TrainingLog, folder: Path) -> None:
    """The offline run of one training."""
    points: dict[int, dict[str, float]] = defaultdict(dict)
    for tag, step, value in scalars(log.rows):
        points[step][tag] = value
    settings = package.Settings(
        console="off",
        disable_git=True,
        disable_code=True,
        silent=True,
        # this process and its machine say nothing about the training
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    with package.init(
        mode="offline",
        dir=str(folder),
        project=study["name"],
        group=log.kind,
        name=log.name,
        config=_recipe(study, log),
        settings=settings,
    ) as run:
        for step in sorted(points):
            run.log(points[step], step=step)


TOOLS = {
    "tensorboard": Tool(
        "tensorboardX",
        "track",
        "to look at them: tensorboard --logdir {folder}",
        _to_tensorboard,
    ),
    "wandb": Tool(
        "wandb",
        "wandb",
        "nothing was sent; to send them: wandb sync {folder}/wandb/offline-run-*",
        _to_wandb,
        {"WANDB_ERROR_REPORTING": "false"},  # it would send its crashes
    ),
}


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


def _recipe(study: dict[str, Any], log: logs.TrainingLog) -> dict[str, Any]:
    """The study and the recipe of a training."""
    if log.kind == logs.BASE_MODEL:
        recipe = study["models"][log.model].get("training")
    else:
        recipe = study.get("training", {}).get(log.kind.replace(" ", "_"))
    return {"study": study["name"], "note": study.get("note", ""), "recipe": recipe}
