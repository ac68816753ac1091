"""How often resampled validation examples choose each lambda, from the counts of every example."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith import layout
    from langarith.results import choice_certainty, tables

    rows = choice_certainty.rows(
        snakemake.wildcards.experiment,
        layout.cell_paths(snakemake.input.outcomes),
        snakemake.params.types,
    )
    tables.write(rows, Path(snakemake.output.table), choice_certainty.COLUMNS)
