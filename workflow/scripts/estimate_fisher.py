"""The Fisher information of a language adapter, for merges that weigh parameters by it."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.evaluation import fisher

    torch.set_num_threads(snakemake.threads)
    given = snakemake.input
    fisher.run(
        dict(snakemake.wildcards.items()),
        Path(snakemake.output.fisher),
        encoder=Path(given.encoder[0]).parent,
        tokenizer=Path(given.tokenizer[0]).parent,
        adapter=Path(given.adapter[0]).parent,
        tokens=[Path(path) for path in given.tokens],
        reading=snakemake.params.reading,
    )
