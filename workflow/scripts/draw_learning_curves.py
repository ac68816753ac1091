"""Held-out values over steps of every adapter that was trained."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures

    figure = figures.learning_curves(list(snakemake.input.logs), snakemake.params.caption)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
