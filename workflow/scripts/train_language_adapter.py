"""A MAD-X language adapter by masked language modelling; the encoder is frozen (section 3.2.1)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch
    from transformers import set_seed

    from langarith.data import streams
    from langarith.models import devices, encoders, masking
    from langarith.models.adapters import load_adapter, save_adapter, train_only
    from langarith.training import batching, identity, loop, metrics

    recipe = snakemake.params.recipe
    language, seed = snakemake.wildcards.language, int(snakemake.wildcards.seed)
    torch.set_num_threads(snakemake.threads)
    chunks = streams.read_chunks(
        [Path(path) for path in snakemake.input.tokens],
        chunk_length=recipe["chunk_length"],
        budget=snakemake.params.budget,
        **snakemake.params.text,
    )
    tokenizer = encoders.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    model = encoders.load_masked_lm(Path(snakemake.input.encoder[0]).parent)
    encoders.refuse_unfit(model, tokenizer, recipe["chunk_length"])
    load_adapter(model, Path(snakemake.input.initial[0]).parent, language, with_head=False)
    train_only(model, language, head=recipe.get("head") == "trained")
    model.to(devices.device())
    set_seed(seed)
    loop.train(
        model,
        recipe,
        data=batching.chunk_dataset(chunks.train),
        collate=batching.stack,
        mask=masking.MaskTokens(tokenizer, mlm_probability=recipe["mask_probability"]).mask,
        loss=masking.masked_loss,
        validate=masking.masked_validation(
            model,
            chunks.validation,
            tokenizer,
            recipe["mask_probability"],
            recipe["batch_size"],
            devices.precision(recipe["precision"], devices.device()),
        ),
        validated_on=identity.of_held_out_text(chunks.validation, recipe["mask_probability"]),
        metric="loss",
        larger_is_better=False,
        seed=seed,
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=metrics.MetricsLog(snakemake.output.metrics),
        what=f"language adapter {language}@{snakemake.wildcards.budget}, seed {seed}",
    )
    save_adapter(model, language, Path(snakemake.output.adapter[0]).parent, with_head=False)
