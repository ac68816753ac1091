"""Raw text of one language, told by the miniature world, as parquet shards."""

from pathlib import Path

from langarith import miniature, provenance

with provenance.job(snakemake):
    miniature.write_corpus(
        snakemake.wildcards.language,
        [Path(path) for path in snakemake.output.shards],
        documents=snakemake.params.documents,
    )
