"""Raw text of one language, told by the miniature world, as parquet shards."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.data import miniature
from langarith.jobs import record

with record.job(snakemake):
    miniature.write_corpus(
        snakemake.wildcards.language,
        [Path(path) for path in snakemake.output.shards],
        documents=snakemake.params.documents,
    )
