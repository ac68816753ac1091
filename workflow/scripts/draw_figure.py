"""The figure of an experiment, drawn only from its tidy tables."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures, intervals, tables

    draw = figures.DRAW[snakemake.wildcards.experiment]
    gains = [tables.read(Path(path)) for path in snakemake.input.gains]
    choices = [tables.read(Path(path)) for path in snakemake.input.choices]
    caption = snakemake.params.caption | {
        "intervals": intervals.intervals(gains),
        "choices": intervals.choices(choices),
    }
    figure = draw(tables.read(Path(snakemake.input.table)), caption)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
