"""The density of the weights of language vectors (Figure 9)."""

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
    rows = vectors.density(adapters, origins, snakemake.params.layers)
    tables.write(
        [{"experiment": "sparsity", **row} for row in rows],
        Path(snakemake.output.table),
        tables.OWN_COLUMNS["sparsity"],
    )
