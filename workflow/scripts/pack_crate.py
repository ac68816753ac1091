"""The study as a Workflow Run RO-Crate: workflow, results and their provenance in one zip."""

from pathlib import Path

from langarith import progress
from langarith.audit import crate, lineage

progress.redirect_to(snakemake.log[0])
crate.write(
    lineage.Lineage(Path(snakemake.params.results)),
    Path(snakemake.params.project),
    Path(snakemake.params.study),
    Path(snakemake.input.graph).parent,
    Path(snakemake.output.crate),
)
