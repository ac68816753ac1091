"""Masked-LM losses of the merges of a sweep on held-out raw text of the target."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith import merging
    from langarith.evaluation import raw_text
    from langarith.evaluation.merge_files import MergeFiles

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    raw_text.run(
        dict(snakemake.wildcards.items()),
        merging.get(snakemake.wildcards.method),
        params.lambdas,
        params.search,
        Path(snakemake.output.losses).parent,
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        merge_files=MergeFiles.of(inputs.operands, inputs.origin, inputs.fishers),
        tokens=[Path(path) for path in inputs.tokens],
        reading=params.reading,
        batches=params.batches,
    )
