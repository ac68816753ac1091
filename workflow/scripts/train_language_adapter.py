"""A MAD-X language adapter by masked language modelling, the base model frozen (section 3.2.1)."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake, model=True):
    import torch
    from transformers import set_seed

    from langarith import corpora, models, progress, training

    recipe = snakemake.params.recipe
    language, seed = snakemake.wildcards.language, int(snakemake.wildcards.seed)
    torch.set_num_threads(snakemake.threads)
    split = corpora.read_stream(
        [Path(path) for path in snakemake.input.tokens],
        validation_documents=snakemake.params.validation_documents,
        chunk_length=recipe["chunk_length"],
        budget=snakemake.params.budget,
    )
    tokenizer = models.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    model = models.load_masked_lm(Path(snakemake.input.encoder[0]).parent)
    models.load_adapter(model, Path(snakemake.input.initial[0]).parent, language, with_head=False)
    models.train_only(model, language)
    model.to(models.device())
    set_seed(seed)
    training.train(
        model,
        recipe,
        data=training.Rows({"input_ids": split.train}),
        collate=training.stack,
        loss=training.masked_loss(tokenizer, recipe["mask_probability"]),
        validate=training.masked_validation(
            model,
            split.validation,
            tokenizer,
            recipe["mask_probability"],
            recipe["batch_size"],
            models.precision(recipe["precision"], models.device()),
        ),
        metric="loss",
        larger_is_better=False,
        seed=seed,
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=progress.MetricsLog(snakemake.output.metrics),
        what=f"language adapter {language}@{snakemake.wildcards.budget}, seed {seed}",
    )
    models.save_adapter(model, language, Path(snakemake.output.adapter[0]).parent, with_head=False)
