"""Train an encoder by masked language modelling on the corpora of its languages.

It starts from random weights (a small encoder of XLM-R's type) or from the weights of another one.
"""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import numpy as np
    import torch
    from transformers import set_seed

    from langarith.data.streams import read_chunks
    from langarith.models import devices, encoders, masking
    from langarith.training import batching, identity, loop, metrics, mixing

    spec = snakemake.params.model
    recipe = spec["training"]
    torch.set_num_threads(snakemake.threads)
    tokenizer = encoders.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    streams = iter(snakemake.input.tokens)
    corpora = [
        read_chunks(
            [Path(next(streams)) for _ in range(count)],
            chunk_length=recipe["chunk_length"],
            budget=None,
            **snakemake.params.text,
        )
        for count in snakemake.params.shards.values()
    ]
    set_seed(spec["seed"])
    if "start" in spec:
        model = encoders.load_start(Path(snakemake.input.start[0]).parent, spec["freeze"])
        encoders.refuse_unfit(model, tokenizer, recipe["chunk_length"])
    else:
        model = encoders.new_masked_lm(spec, tokenizer)
    model.to(devices.device())
    dtype = devices.precision(recipe["precision"], devices.device())
    held_out = np.concatenate([chunks.validation for chunks in corpora])
    loop.train(
        model,
        # a killed run must not continue with another mixture or other frozen weights
        recipe | {key: spec[key] for key in ("alpha", "freeze") if key in spec},
        data=batching.chunk_dataset(np.concatenate([chunks.train for chunks in corpora])),
        collate=batching.stack,
        mask=masking.MaskTokens(tokenizer, mlm_probability=recipe["mask_probability"]).mask,
        loss=masking.masked_loss,
        validate=masking.masked_validation(
            model,
            held_out,
            tokenizer,
            recipe["mask_probability"],
            recipe["batch_size"],
            dtype,
        ),
        validated_on=identity.of_held_out_text(held_out, recipe["mask_probability"]),
        metric="loss",
        larger_is_better=False,
        seed=spec["seed"],
        checkpoints=Path(snakemake.params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
        log=metrics.MetricsLog(snakemake.output.metrics),
        order=mixing.order(
            [len(chunks.train) for chunks in corpora], spec.get("alpha", 1.0), spec["seed"]
        ),
        what=f"pretraining {snakemake.wildcards.model}",
    )
    # config.json of a `start` is not the configuration of the saved model
    tokenizer_files = [
        path for path in snakemake.input.tokenizer if Path(path).name != "config.json"
    ]
    encoders.save_base(model, Path(snakemake.output[0]).parent, tokenizer_files)
