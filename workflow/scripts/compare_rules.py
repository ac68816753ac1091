"""The choice of every rule in every zero-shot cell, with and without labels of the target."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

import json
from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import label_free, tables

    inputs, params = snakemake.input, snakemake.params
    cells, losses, others = (
        [json.loads(Path(path).read_text("utf-8")) for path in paths]
        for paths in (inputs.selected, inputs.losses, inputs.others)
    )
    rows = label_free.rows(
        cells,
        params.task_language,
        params.related,
        params.missing,
        params.rules,
        losses,
        others,
        params.missing_others,
    )
    tables.write(rows, Path(snakemake.output.table), label_free.COLUMNS)
