"""TIES of two language vectors at each lambda (appendix E, Table 3; Yadav et al. 2023)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.evaluation.sweep import sweep_cell
    from langarith.merging import ties
    from langarith.merging.tensors import apply_vector, language_vector
    from langarith.models import devices
    from langarith.models.adapters import read_adapter

    torch.set_num_threads(snakemake.threads)
    given, params = snakemake.input, snakemake.params
    origin = read_adapter(Path(given.initial[0]).parent)
    vectors = [
        language_vector(read_adapter(Path(given[side][0]).parent), origin)
        for side in ("left", "right")
    ]
    # merged once on the CPU, then scaled on the device for each lambda
    merged, origin = (
        {name: tensor.to(devices.device()) for name, tensor in tensors.items()}
        for tensors in (ties.ties(vectors, params.keep), origin)
    )
    sweep_cell(
        dict(snakemake.wildcards.items()) | {"method": params.method},
        lambda scale: apply_vector(origin, merged, scale),
        params.lambdas,
        snakemake.output,
        encoder=Path(given.encoder[0]).parent,
        tokenizer=Path(given.tokenizer[0]).parent,
        language_adapter=Path(given.left[0]).parent,
        task_adapter=Path(given.task_adapter[0]).parent,
        files={split: Path(given[split]) for split in ("validation", "test")},
        reading=params.reading,
        batches=params.batches,
        always=(),
    )
