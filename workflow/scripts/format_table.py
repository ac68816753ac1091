"""The table of an experiment as readers want it: Markdown, and LaTeX with booktabs."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    from langarith import reproduction, sheets, tables

    makers = sheets.SHEETS | {"reproduction": reproduction.sheets}
    make = makers[snakemake.wildcards.experiment]
    made = make(
        tables.read(Path(snakemake.input.table)),
        snakemake.params.caption | {"missing": snakemake.params.missing},
    )
    provenance.write_text(snakemake.output.markdown, sheets.markdown(made))
    provenance.write_text(snakemake.output.latex, sheets.latex(made))
