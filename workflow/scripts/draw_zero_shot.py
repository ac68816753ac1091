"""Figure 2 and 6 of the paper: language arithmetic against both proxies, by target."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    from langarith import figures, tables

    figure = figures.zero_shot(tables.read(Path(snakemake.input.table)), snakemake.params.caption)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
