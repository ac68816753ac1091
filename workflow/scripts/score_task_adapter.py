"""Check that a ready-made task adapter fits, and score it on the task language's splits."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.evaluation import ready_adapter

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    ready_adapter.run(
        dict(snakemake.wildcards.items()),
        params.reading,
        Path(snakemake.output.task).parent,
        language=params.language,
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        language_adapter=Path(inputs.language_adapter[0]).parent,
        task_adapter=[Path(file) for file in inputs.task_adapter],
        files={split: Path(inputs[split]) for split in ("train", "validation", "test")},
        batches=params.batches,
    )
