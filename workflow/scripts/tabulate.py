"""The tidy table of an experiment, one row per cell, lambda, split and metric."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import tables

    chosen = [tables.chosen(Path(path)) for path in snakemake.input.choices]
    rows = tables.rows(
        snakemake.wildcards.experiment,
        [Path(path) for path in snakemake.input.selected],
        [Path(path) for path in snakemake.input.task_scores],
        snakemake.params.missing,
        next(iter(chosen), None),  # or else the sweeps' own choice, on validation
        [Path(path) for path in snakemake.input.losses],
    )
    tables.write(rows, Path(snakemake.output.table))
