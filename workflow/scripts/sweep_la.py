"""LA_t(left, right) at each lambda: validation curve, chosen lambda, test scores (3.2.4)."""

import json
from pathlib import Path

from langarith import provenance

with provenance.job(snakemake):
    import torch

    from langarith import arithmetic, evaluation, models, selection, tasks

    cell = dict(snakemake.wildcards.items()) | {"method": "la"}
    reading = snakemake.params.reading
    torch.set_num_threads(snakemake.threads)
    task = tasks.get(reading["type"])
    tokenizer = models.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent)
    adapter = Path(snakemake.input.task_adapter[0]).parent
    validation, test = (
        evaluation.Split(
            task,
            task.read(Path(snakemake.input[split]), cut=reading["cuts"][split], split=split),
            tokenizer,
            labels=json.loads((adapter / "task.json").read_text())["labels"],
            max_length=reading["max_length"],
            stride=reading["stride"],
            **snakemake.params.batches,
        )
        for split in ("validation", "test")
    )
    left, right = (Path(snakemake.input[side][0]).parent for side in ("left", "right"))
    ends = models.read_adapter(left), models.read_adapter(right)
    model = evaluation.load_stack(Path(snakemake.input.encoder[0]).parent, left, adapter)
    swept = evaluation.sweep(
        model,
        lambda weight: arithmetic.interpolate(*ends, weight),
        snakemake.params.lambdas,
        validation,
        test,
        always=(0.0, 0.5, 1.0),
        centre=selection.centre("la"),
        coarse_steps=selection.COARSE_STEPS,
        what=f"sweep {cell['task']} {cell['target']} {cell['left']}+{cell['right']}, "
        f"seed {cell['seed']}",
    )
    evaluation.use_language_adapter(model, False)
    references = {
        "none": test.score(model).metrics,
        "majority": task.score(
            task.majority(task.read(Path(snakemake.input.train)), test.examples), test.examples
        ),
    }
    evaluation.write(snakemake.output, cell, swept, validation, test, references)
