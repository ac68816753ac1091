"""The one language adapter and the one task adapter that all training starts from."""

from pathlib import Path

from langarith import provenance

with provenance.job(snakemake, model=True):
    from langarith import models

    model = models.load_encoder(Path(snakemake.input.encoder[0]).parent)
    shapes = snakemake.params.adapters
    for name, config, files in (
        ("language", models.language_config(shapes["language"]), snakemake.output.language),
        ("task", models.task_config(shapes["task"]), snakemake.output.task),
    ):
        models.add_initialised(model, name, config, shapes["init_seed"])
        models.save_adapter(model, name, Path(files[0]).parent, with_head=False)
