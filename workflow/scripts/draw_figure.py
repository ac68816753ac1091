"""The figure of an experiment, drawn from its tidy table alone."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures, intervals, tables

    draw = figures.DRAW[snakemake.wildcards.experiment]
    caption = dict(snakemake.params.caption)
    if snakemake.input.gains:
        caption["intervals"] = intervals.intervals(tables.read(Path(snakemake.input.gains[0])))
    figure = draw(tables.read(Path(snakemake.input.table)), caption)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
