"""Every number that the paper states beside this study's, with a verdict."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    from langarith import reproduction, tables

    found = {Path(path).stem: tables.read(Path(path)) for path in snakemake.input.tables}
    compared = reproduction.compare(
        found, snakemake.params.study, task_language=snakemake.params.task_language
    )
    tables.write(compared.to_dict("records"), Path(snakemake.output.table), reproduction.COLUMNS)
