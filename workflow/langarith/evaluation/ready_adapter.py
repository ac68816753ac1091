"""Ready-made task adapters: whether they fit, and their scores in the task language."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langarith.errors import gathered_warnings
from langarith.evaluation import scoring, task_data
from langarith.files import whole_folder, write_json
from langarith.models import encoders, ready_task


def run(
    names: Mapping[str, str],
    reading: Mapping[str, Any],
    folder: Path,
    *,
    language: str,
    encoder: Path,
    tokenizer: Path,
    language_adapter: Path,
    task_adapter: Sequence[Path],
    files: Mapping[str, Path],
    batches: Mapping[str, Any],
) -> None:
    """Check, copy and score one adapter, from files to files: its copies and `task.json`.

    Args:
        names: `model`, `task` and `seed`: the job's wildcards.
        reading: from :func:`langarith.study.sources.task_reading`.
        folder: of the copy, to write.
        language: the task language.
        encoder, tokenizer, language_adapter: folders; `language_adapter` is that of the task
            language.
        task_adapter: the files of adapter and head, in one folder.
        files: of the task, by split.
        batches: `tokens_per_batch` and `precision`.

    Raises:
        InputError: the adapter does not fit the base model or the task, a file of the task is not
            in its format, or more than half of a split does not fit into `max_length`.
    """
    with gathered_warnings() as warnings:
        data = task_data.read(names, language, files, reading)
        labels = ready_task.fitting_labels(
            f"models.{names['model']}.task_adapters.{names['task']}",
            task_adapter[0].parent,
            encoder,
            data.task,
            data.task.labels(data.examples["train"]),
        )
        loaded = encoders.load_tokenizer(tokenizer, masked_lm=False)
        validation, test = data.held_out(loaded, labels, batches)
    with whole_folder(folder) as staging:
        for file in task_adapter:
            shutil.copyfile(file, staging / file.name)
    model = scoring.load_stack(encoder, language_adapter, folder)
    encoders.refuse_unfit(model, loaded, reading["max_length"])
    write_json(
        folder / "task.json",
        scoring.adapter_summary(
            names,
            language,
            labels,
            data.examples,
            model,
            validation,
            test,
            [str(warning) for warning in warnings],
        ),
    )
