"""The token stream of one raw shard."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    from tokenizers import Tokenizer

    from langarith import corpora

    corpora.tokenize_documents(
        corpora.read_documents(
            Path(snakemake.input.shard), text_column=snakemake.params.text_column
        ),
        Tokenizer.from_file(snakemake.input.tokenizer[0]),
        Path(snakemake.output.tokens),
    )
