"""The table of an experiment as Markdown and as LaTeX with booktabs."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.files import write_text
from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import render, sheets, tables
    from langarith.results.caption import Beside, Caption
    from langarith.results.paper import reproduction
    from langarith.results.sheet import missing_cells

    inputs, params = snakemake.input, snakemake.params
    makers = sheets.SHEETS | {"reproduction": reproduction.sheets}
    make = makers[snakemake.wildcards.experiment]
    kinds = (inputs.gains, inputs.choices, inputs.price, inputs.claims)
    beside = Beside.of(*([tables.read(Path(path)) for path in paths] for paths in kinds))
    made = make(tables.read(Path(inputs.table)), Caption(**params.caption), beside)
    made += missing_cells(params.missing)
    write_text(snakemake.output.markdown, render.markdown(made))
    write_text(snakemake.output.latex, render.latex(made))
