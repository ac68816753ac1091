"""The Fisher information of a language adapter, for merges that weigh parameters by it."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.evaluation import fisher

    torch.set_num_threads(snakemake.threads)
    inputs = snakemake.input
    fisher.run(
        dict(snakemake.wildcards.items()),
        Path(snakemake.output.fisher),
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        adapter=Path(inputs.adapter[0]).parent,
        tokens=[Path(path) for path in inputs.tokens],
        reading=snakemake.params.reading,
    )
