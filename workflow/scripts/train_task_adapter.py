"""A task adapter and its head on top of the task language's frozen adapter (section 3.2.2)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from dataclasses import replace
from pathlib import Path

from langarith.files import write_json
from langarith.jobs import record

with record.job(snakemake) as warnings:
    import torch
    from adapters import Stack
    from transformers import set_seed

    from langarith import tasks
    from langarith.evaluation import scoring
    from langarith.models import devices, encoders
    from langarith.models.adapters import load_adapter, save_adapter
    from langarith.tasks.shared.base import Encoding
    from langarith.tasks.shared.checks import untruncated
    from langarith.training import batching, identity, loop, metrics

    recipe, reading = snakemake.params.recipe, snakemake.params.reading
    seed = int(snakemake.wildcards.seed)
    torch.set_num_threads(snakemake.threads)
    task = tasks.reader(reading)
    examples = {
        split: task.read_split(Path(snakemake.input[split]), split, reading)
        for split in reading["cuts"]
    }
    labels = task.labels(examples["train"])
    folder = Path(snakemake.input.tokenizer[0]).parent
    tokenizer = encoders.load_tokenizer(folder, masked_lm=False)
    encoding = Encoding(reading["max_length"], labels, reading["stride"])
    for split, rows in examples.items():
        task.check_lengths(
            rows,
            untruncated(tokenizer),
            replace(encoding, training=split == "train"),
            f"{snakemake.wildcards.task}, {snakemake.params.language}, {split} "
            f"({snakemake.input[split]}), model {snakemake.wildcards.model}",
        )
    encoded = task.encode(examples["train"], tokenizer, replace(encoding, training=True))
    data, dropped_words = batching.task_dataset(encoded.columns), encoded.dropped_words
    del encoded  # lists take several times the memory of the dataset
    held_out, test = (
        scoring.EncodedSplit(task, examples[split], tokenizer, encoding, **snakemake.params.batches)
        for split in ("validation", "test")
    )

    model = encoders.load_encoder(Path(snakemake.input.encoder[0]).parent)
    encoders.refuse_unfit(model, tokenizer, reading["max_length"])
    load_adapter(
        model,
        Path(snakemake.input.language_adapter[0]).parent,
        scoring.LANGUAGE,
        with_head=False,
    )
    load_adapter(model, Path(snakemake.input.initial[0]).parent, scoring.TASK, with_head=False)
    set_seed(seed)
    encoders.add_head(model, scoring.TASK, task.head, labels)
    model.train_adapter(scoring.TASK)
    model.set_active_adapters(Stack(scoring.LANGUAGE, scoring.TASK))
    model.to(devices.device())
    outcome = loop.train(
        model,
        recipe,
        data=data,
        collate=batching.PadRows(
            int(tokenizer.pad_token_id),
            multiple=batching.length_multiple(recipe["precision"], devices.device()),
            at_most=reading["max_length"],
        ),
        loss=batching.task_loss,
        validate=lambda: held_out.score(model).metrics,
        validated_on=identity.of_held_out_examples(
            held_out.features, held_out.gold, reading, snakemake.params.batches["precision"]
        ),
        metric=task.metrics[0],
        larger_is_better=True,
        seed=seed,
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=metrics.MetricsLog(snakemake.output.metrics),
        what=f"{snakemake.wildcards.task} adapter, seed {seed}",
        group_by_length=True,
    )
    save_adapter(model, scoring.TASK, Path(snakemake.output.adapter[0]).parent, with_head=True)
    write_json(
        snakemake.output.task,
        scoring.adapter_summary(
            dict(snakemake.wildcards.items()),
            snakemake.params.language,
            labels,
            examples,
            model,
            held_out,
            test,
            [str(warning) for warning in warnings],
            dropped_words=dropped_words,
            best_step=outcome.best_step,
            steps=outcome.steps,
        ),
    )
