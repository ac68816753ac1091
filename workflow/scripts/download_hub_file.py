"""One file of the Hugging Face hub, whole and as the hub states it."""

from pathlib import Path

from langarith import hub, progress, provenance

with provenance.job(snakemake):
    place = snakemake.wildcards
    hub.download(
        place.kind,
        place.repository,
        place.revision,
        place.file,
        Path(snakemake.output.file),
        say=progress.say,
    )
