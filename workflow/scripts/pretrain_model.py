"""A small XLM-R-type encoder by masked language modelling on the corpora of its languages."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import numpy as np
    import torch
    from transformers import set_seed

    from langarith.data.streams import read_chunks
    from langarith.models import devices, encoders
    from langarith.training import batching, loop, masking, metrics

    spec = snakemake.params.model
    recipe = spec["training"]
    torch.set_num_threads(snakemake.threads)
    tokenizer = encoders.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    streams = iter(snakemake.input.tokens)
    corpora = [
        read_chunks(
            [Path(next(streams)) for _ in range(count)],
            validation_documents=snakemake.params.validation_documents,
            chunk_length=recipe["chunk_length"],
            budget=None,
        )
        for count in snakemake.params.shards.values()
    ]
    set_seed(spec["seed"])
    model = encoders.new_masked_lm(spec, tokenizer).to(devices.device())
    dtype = devices.precision(recipe["precision"], devices.device())
    loop.train(
        model,
        recipe,
        data=batching.chunk_dataset(np.concatenate([chunks.train for chunks in corpora])),
        collate=batching.stack,
        loss=masking.masked_loss(tokenizer, recipe["mask_probability"]),
        validate=masking.masked_validation(
            model,
            np.concatenate([chunks.validation for chunks in corpora]),
            tokenizer,
            recipe["mask_probability"],
            recipe["batch_size"],
            dtype,
        ),
        metric="loss",
        larger_is_better=False,
        seed=spec["seed"],
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=metrics.MetricsLog(snakemake.output.metrics),
        what=f"pretraining {snakemake.wildcards.model}",
    )
    encoders.save_base(model, Path(snakemake.output[0]).parent, snakemake.input.tokenizer)
