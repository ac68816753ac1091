"""Cosine similarity of language vectors, and of task vectors for contrast (Figure 10)."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake, model=True):
    from langarith import tables, vectors

    adapters, origins = (vectors.read(snakemake.params[name]) for name in ("adapters", "initial"))
    rows = vectors.similarity(adapters, origins)
    tables.write(
        [{"experiment": "similarity", **row} for row in rows],
        Path(snakemake.output.table),
        tables.OWN_COLUMNS["similarity"],
    )
