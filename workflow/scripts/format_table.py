"""The table of an experiment as Markdown and as LaTeX with booktabs."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.files import write_text
from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import intervals, render, sheets, tables
    from langarith.results.paper import reproduction

    makers = sheets.SHEETS | {"reproduction": reproduction.sheets}
    make = makers[snakemake.wildcards.experiment]
    gains = [tables.read(Path(path)) for path in snakemake.input.gains]
    choices = [tables.read(Path(path)) for path in snakemake.input.choices]
    caption = snakemake.params.caption | {
        "missing": snakemake.params.missing,
        "intervals": intervals.intervals(gains),
        "choices": intervals.choices(choices),
        "price": [tables.read(Path(path)) for path in snakemake.input.price],
        "claims": [tables.read(Path(path)) for path in snakemake.input.claims],
    }
    formatted = make(tables.read(Path(snakemake.input.table)), caption)
    write_text(snakemake.output.markdown, render.markdown(formatted))
    write_text(snakemake.output.latex, render.latex(formatted))
