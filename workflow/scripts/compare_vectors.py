"""Cosine similarity of language vectors, and of task vectors for contrast (Figure 10)."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    from langarith import models, tables, vectors

    there = set(snakemake.input.adapters)
    adapters = {
        tuple(key): models.read_adapter(Path(path).parent) if path in there else None
        for key, path in snakemake.params.adapters
    }
    origins = {
        tuple(key): models.read_adapter(Path(path).parent) for key, path in snakemake.params.initial
    }
    rows = vectors.similarity(adapters, origins)
    tables.write(
        [{"experiment": "similarity", **row} for row in rows],
        Path(snakemake.output.table),
        tables.OWN_COLUMNS["similarity"],
    )
