"""Held-out values over steps of every adapter that was trained."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures
    from langarith.results.caption import Caption

    caption = Caption(**snakemake.params.caption)
    figure = figures.learning_curves(list(snakemake.input.logs), caption)
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
