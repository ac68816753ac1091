"""LA_t(left, right) at each lambda: validation curve, chosen lambda, test scores (3.2.4)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.evaluation import selection
    from langarith.evaluation.sweep import sweep_cell
    from langarith.merging import tensors
    from langarith.models.adapters import read_adapter

    torch.set_num_threads(snakemake.threads)
    given, params = snakemake.input, snakemake.params
    # on the device: merging moves no weights there and back
    left, right = (
        read_adapter(Path(given[side][0]).parent, on="auto") for side in ("left", "right")
    )
    sweep_cell(
        dict(snakemake.wildcards.items()) | {"method": "la"},
        lambda weight: tensors.interpolate(left, right, weight),
        params.lambdas,
        snakemake.output,
        encoder=Path(given.encoder[0]).parent,
        tokenizer=Path(given.tokenizer[0]).parent,
        language_adapter=Path(given.left[0]).parent,
        task_adapter=Path(given.task_adapter[0]).parent,
        files={split: Path(given[split]) for split in ("validation", "test")},
        reading=params.reading,
        batches=params.batches,
        always=(0.0, 0.5, 1.0),
        coarse_steps=selection.COARSE_STEPS,
    )
