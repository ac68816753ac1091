"""The initial language adapter and the initial task adapter, from which all trainings start."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith.models import encoders
    from langarith.models.adapters import (
        add_initialised,
        language_config,
        save_adapter,
        task_config,
    )

    model = encoders.load_encoder(Path(snakemake.input.encoder[0]).parent)
    shapes = snakemake.params.adapters
    for name, config, files in (
        ("language", language_config(shapes["language"]), snakemake.output.language),
        ("task", task_config(shapes["task"]), snakemake.output.task),
    ):
        add_initialised(model, name, config, shapes["init_seed"])
        save_adapter(model, name, Path(files[0]).parent, with_head=False)
