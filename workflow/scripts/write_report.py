"""The report of the study: every figure and table, run times and missing cells on one page."""

from pathlib import Path

from langarith import progress
from langarith.audit import lineage, report

progress.redirect_to(snakemake.log[0])
report.write(
    lineage.Lineage(Path(snakemake.params.results)),
    report.parts_of(snakemake.params.parts),
    Path(snakemake.output.page),
)
