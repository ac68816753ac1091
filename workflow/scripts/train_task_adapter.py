"""A task adapter and its head on top of the task language's frozen adapter (section 3.2.2)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.training import task_adapter

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    task_adapter.run(
        dict(snakemake.wildcards.items()),
        params.recipe,
        params.reading,
        Path(snakemake.output.adapter[0]).parent,
        language=params.language,
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        language_adapter=Path(inputs.language_adapter[0]).parent,
        initial=Path(inputs.initial[0]).parent,
        files={split: Path(inputs[split]) for split in ("train", "validation", "test")},
        batches=params.batches,
        log=Path(snakemake.output.metrics),
        checkpoints=Path(params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
    )
