"""Cosine similarity of language vectors, and of task vectors for contrast (Figure 10)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.merging import compare
    from langarith.models.adapters import read_adapters
    from langarith.results import tables

    adapters, origins = (read_adapters(snakemake.params[name]) for name in ("adapters", "initial"))
    rows = compare.similarity(adapters, origins)
    tables.write(
        [{"experiment": "similarity", **row} for row in rows],
        Path(snakemake.output.table),
        tables.OWN_COLUMNS["similarity"],
    )
