"""Task adapters with their heads, on top of the task language's frozen adapter (section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast, set_seed

from langarith.errors import gathered_warnings
from langarith.evaluation import scoring, task_data
from langarith.files import write_json
from langarith.models import devices, encoders
from langarith.models.adapters import LANGUAGE, TASK, load_adapter, save_adapter
from langarith.tasks.shared.checks import untruncated
from langarith.training import batching, identity, loop
from langarith.training.metrics import MetricsLog


def run(
    names: Mapping[str, str],
    recipe: Mapping[str, Any],
    reading: Mapping[str, Any],
    folder: Path,
    *,
    language: str,
    encoder: Path,
    tokenizer: Path,
    language_adapter: Path,
    initial: Path,
    files: Mapping[str, Path],
    batches: Mapping[str, Any],
    log: Path,
    checkpoints: Path,
    save_minutes: float,
) -> None:
    """Train and score one task adapter, from files to files: adapter, head and `task.json`.

    Args:
        names: `model`, `task` and `seed`: the job's wildcards.
        recipe: the fields of a :class:`langarith.study.recipes.TaskRecipe`.
        reading: from :func:`langarith.study.sources.task_reading`.
        folder: of the adapter, to write.
        language: the task language.
        encoder, tokenizer, language_adapter, initial: folders; `language_adapter` is that of the
            task language, `initial` the task adapter to start from.
        files: of the task, by split.
        batches: `tokens_per_batch` and `precision` of scoring.
        log: the metrics log, to write.
        checkpoints: a folder for this training only, from which a killed one continues.
        save_minutes: time between checkpoints.

    Raises:
        InputError: a file of the task is not in its format, more than half of a split does not fit
            into `max_length`, the tokenizer does not fit the model, or the training diverges.
    """
    loaded = encoders.load_tokenizer(tokenizer, masked_lm=False)
    with gathered_warnings() as warnings:
        data = task_data.read(names, language, files, reading)
        labels = data.task.labels(data.examples["train"])
        rows, dropped_words = _rows(data, loaded, labels)
        validation, test = data.held_out(loaded, labels, batches)
    seed = int(names["seed"])
    model = encoders.load_encoder(encoder)
    encoders.refuse_unfit(model, loaded, reading["max_length"])
    load_adapter(model, language_adapter, LANGUAGE, with_head=False)
    load_adapter(model, initial, TASK, with_head=False)
    set_seed(seed)
    encoders.add_head(model, TASK, data.task.head, labels)
    model.train_adapter(TASK)
    scoring.use_language_adapter(model, True)
    model.to(devices.device())
    outcome = loop.train(
        model,
        recipe,
        data=rows,
        collate=batching.PadRows(
            int(loaded.pad_token_id),
            multiple=batching.length_multiple(recipe["precision"], devices.device()),
            at_most=reading["max_length"],
        ),
        loss=batching.task_loss,
        validate=lambda: validation.score(model).metrics,
        validated_on=identity.of_held_out_examples(
            validation.features, validation.gold, reading, batches["precision"]
        ),
        metric=data.task.metrics[0],
        larger_is_better=True,
        seed=seed,
        checkpoints=checkpoints,
        save_minutes=save_minutes,
        log=MetricsLog(log),
        what=f"{names['task']} adapter, seed {seed}",
        group_by_length=True,
    )
    save_adapter(model, TASK, folder, with_head=True)
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
            dropped_words=dropped_words,
            best_step=outcome.best_step,
            steps=outcome.steps,
        ),
    )


def _rows(
    data: task_data.TaskData, tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]
) -> tuple[Dataset, int]:
    """The training split, checked and encoded, and the number of its words beyond `max_length`.

    Lists of an encoding take several times the memory of the dataset, and are freed here.
    """
    examples, encoding = data.examples["train"], replace(data.encoding(labels), training=True)
    data.task.check_lengths(examples, untruncated(tokenizer), encoding, data.places["train"])
    encoded = data.task.encode(examples, tokenizer, encoding)
    return batching.task_dataset(encoded.columns), encoded.dropped_words
