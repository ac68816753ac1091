"""Refuse ready-made language adapters that could not be merged, before anything is trained."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.files import write_json
from langarith.jobs import record

with record.job(snakemake):
    from langarith.models import ready_made

    files = [Path(path) for path in snakemake.input.adapters]
    folders = {
        f"models.{snakemake.wildcards.model}.adapters.{language}": files[2 * i].parent
        for i, language in enumerate(snakemake.params.languages)
    }
    ready_made.refuse_mismatched(
        folders,
        Path(snakemake.input.initial[0]).parent,
        Path(snakemake.input.encoder[0]).parent,
        trained=snakemake.params.trained,
    )
    write_json(snakemake.output.check, {key: str(path) for key, path in folders.items()})
