"""A MAD-X language adapter by masked language modelling; the encoder is frozen (section 3.2.1)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.training import language_adapter

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    language_adapter.run(
        dict(snakemake.wildcards.items()),
        params.recipe,
        Path(snakemake.output.adapter[0]).parent,
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        initial=Path(inputs.initial[0]).parent,
        tokens=[Path(path) for path in inputs.tokens],
        budget=params.budget,
        text=params.text,
        log=Path(snakemake.output.metrics),
        checkpoints=Path(params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
    )
