"""The density of the weights of language vectors (Figure 9)."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake, model=True):
    from langarith import tables, vectors

    adapters, origins = (vectors.read(snakemake.params[name]) for name in ("adapters", "initial"))
    rows = vectors.density(adapters, origins, snakemake.params.layers)
    tables.write(
        [{"experiment": "sparsity", **row} for row in rows],
        Path(snakemake.output.table),
        tables.OWN_COLUMNS["sparsity"],
    )
