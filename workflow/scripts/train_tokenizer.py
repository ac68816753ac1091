"""A tokenizer with XLM-R's special tokens, trained on the shards of a model's languages."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.data import tokenizer

    tokenizer.train(
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output[0]).parent,
        vocabulary=snakemake.params.vocabulary,
        max_length=snakemake.params.max_length,
        **snakemake.params.reading,
    )
