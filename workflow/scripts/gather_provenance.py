"""The records behind the study's results as W3C PROV, as a picture, and as a page with links."""

from pathlib import Path

from langarith import progress
from langarith.audit import lineage
from langarith.audit.page import targets, write

progress.redirect_to(snakemake.log[0])
graph = lineage.Lineage(Path(snakemake.params.results))
write(graph, targets(graph, list(snakemake.input)), Path(snakemake.output.graph).parent)
