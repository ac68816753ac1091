"""Choose the point of every cell of an experiment by the study's rule."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

import json
from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.results import choice_of_study, tables

    inputs, params = snakemake.input, snakemake.params
    selected, others, losses = (
        [json.loads(Path(path).read_text("utf-8")) for path in paths]
        for paths in (inputs.selected, inputs.others, inputs.losses)
    )
    rows = choice_of_study.rows(
        snakemake.wildcards.experiment,
        params.rule,
        choice_of_study.read_swept(selected, losses),
        choice_of_study.read_swept(others, losses),
        params.task_language,
        params.related,
    )
    tables.write(rows, Path(snakemake.output.table), choice_of_study.COLUMNS)
