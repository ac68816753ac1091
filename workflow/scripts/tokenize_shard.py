"""The token stream of one raw shard."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from tokenizers import Tokenizer

    from langarith.data import readers, streams

    streams.tokenize_documents(
        readers.read_documents(Path(snakemake.input.shard), **snakemake.params.reading),
        Tokenizer.from_file(snakemake.input.tokenizer[0]),
        Path(snakemake.output.tokens),
    )
