"""Gains of an experiment with bootstrap intervals, from the counts of every example."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith import layout
    from langarith.results import estimates, gains, tables

    experiment = snakemake.wildcards.experiment
    table = tables.read(Path(snakemake.input.table))
    tables.write(
        estimates.estimate(
            experiment,
            gains.gains(
                experiment, table, snakemake.params.task_language, snakemake.params.selection
            ),
            layout.cell_paths(snakemake.input.outcomes),
            snakemake.params.types,
            snakemake.params.parallel,
        ).to_dict("records"),
        Path(snakemake.output.table),
        estimates.COLUMNS,
    )
