"""Every number that the paper states beside this study's, with a verdict."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import tables
    from langarith.results.paper import reproduction

    tidy = {Path(path).stem: tables.read(Path(path)) for path in snakemake.input.tables}
    compared = reproduction.compare(
        tidy, snakemake.params.study, task_language=snakemake.params.task_language
    )
    tables.write(compared.to_dict("records"), Path(snakemake.output.table), reproduction.COLUMNS)
