"""What every rule chooses in every zero-shot cell, with and without labels of the target."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

import json
from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import label_free, tables

    cells, losses = (
        [json.loads(Path(path).read_text("utf-8")) for path in paths]
        for paths in (snakemake.input.selected, snakemake.input.losses)
    )
    tables.write(
        label_free.rows(cells, snakemake.params.missing, snakemake.params.rules, losses),
        Path(snakemake.output.table),
        label_free.COLUMNS,
    )
