"""The figure of an experiment, drawn only from its tidy tables."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures, tables
    from langarith.results.caption import Beside, Caption

    draw = figures.DRAW[snakemake.wildcards.experiment]
    kinds = (snakemake.input.gains, snakemake.input.choices)
    beside = Beside.of(*([tables.read(Path(path)) for path in paths] for paths in kinds))
    caption = Caption(**snakemake.params.caption)
    figure = draw(tables.read(Path(snakemake.input.table)), caption, beside)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
