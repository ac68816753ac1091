"""One file of the Hugging Face hub, complete and verified against the hub's hash."""

# No hand-over to the warm process: huggingface_hub is imported there with the settings of jobs that
# use no network, which it reads only once.
from pathlib import Path

from langarith import progress
from langarith.data import hub_download
from langarith.jobs import record

with record.job(snakemake):
    names = snakemake.wildcards
    hub_download.download(
        names.kind,
        names.repository,
        names.revision,
        names.file,
        Path(snakemake.output.file),
        say=progress.say,
    )
