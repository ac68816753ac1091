"""The figure of test scores over the number of labelled examples used to choose lambda."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import figures, tables
    from langarith.results.caption import Caption

    price, rules = (tables.read(Path(snakemake.input[name])) for name in ("price", "rules"))
    figure = figures.label_price(price, rules, Caption(**snakemake.params.caption))
    figures.save(figure, [snakemake.output.pdf, snakemake.output.png])
