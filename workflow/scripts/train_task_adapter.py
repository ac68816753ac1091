"""A task adapter and its head on top of the task language's frozen adapter (section 3.2.2)."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake, model=True):
    import torch
    from adapters import Stack
    from transformers import set_seed

    from langarith import evaluation, models, progress, tasks, training

    recipe, reading = snakemake.params.recipe, snakemake.params.reading
    seed = int(snakemake.wildcards.seed)
    torch.set_num_threads(snakemake.threads)
    task = tasks.get(reading["type"])
    examples = {
        split: task.read(Path(snakemake.input[split]), cut=cut, split=split)
        for split, cut in reading["cuts"].items()
    }
    labels = task.labels(examples["train"])
    tokenizer = models.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    shape = {"max_length": reading["max_length"], "labels": labels, "stride": reading["stride"]}
    encoded = task.encode(examples["train"], tokenizer, training=True, **shape)
    held_out, test = (
        evaluation.Split(
            task,
            examples[split],
            tokenizer,
            **snakemake.params.batches,
            **shape,
        )
        for split in ("validation", "test")
    )

    model = models.load_encoder(Path(snakemake.input.encoder[0]).parent)
    models.load_adapter(
        model,
        Path(snakemake.input.language_adapter[0]).parent,
        evaluation.LANGUAGE,
        with_head=False,
    )
    models.load_adapter(
        model, Path(snakemake.input.initial[0]).parent, evaluation.TASK, with_head=False
    )
    set_seed(seed)
    models.add_head(model, evaluation.TASK, task.head, labels)
    model.train_adapter(evaluation.TASK)
    model.set_active_adapters(Stack(evaluation.LANGUAGE, evaluation.TASK))
    model.to(models.device())
    outcome = training.train(
        model,
        recipe,
        data=training.Rows(encoded.columns),
        collate=training.PadRows(int(tokenizer.pad_token_id)),
        loss=training.task_loss,
        validate=lambda: held_out.score(model).metrics,
        metric=task.metrics[0],
        larger_is_better=True,
        seed=seed,
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=progress.MetricsLog(snakemake.output.metrics),
        what=f"{snakemake.wildcards.task} adapter, seed {seed}",
        group_by_length=True,
    )
    models.save_adapter(
        model, evaluation.TASK, Path(snakemake.output.adapter[0]).parent, with_head=True
    )
    provenance.write_json(
        snakemake.output.task,
        {
            "model": snakemake.wildcards.model,
            "task": snakemake.wildcards.task,
            "language": snakemake.params.language,
            "seed": seed,
            "labels": labels,
            "majority": task.majority(examples["train"]),
            "best_step": outcome.best_step,
            "steps": outcome.steps,
            "validation": held_out.score(model).metrics,
            "test": test.score(model).metrics,
            "examples": {split: len(rows) for split, rows in examples.items()},
            "dropped_words": {"train": encoded.dropped_words, "test": test.features.dropped_words},
        },
    )
