"""One cell: merges of language adapters at each point, validation scores, choice, test (3.2.4)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake, also="lambda=*.json"):
    import torch

    from langarith import merging
    from langarith.evaluation.merge_files import MergeFiles
    from langarith.evaluation.sweep import run_cell

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    run_cell(
        dict(snakemake.wildcards.items()) | {"method": params.method},
        merging.get(params.method),
        params.lambdas,
        params.search,
        Path(snakemake.output.selected).parent,
        encoder=Path(inputs.encoder[0]).parent,
        tokenizer=Path(inputs.tokenizer[0]).parent,
        merge_files=MergeFiles.of(inputs.operands, inputs.origin, inputs.fishers),
        task_adapter=Path(inputs.task_adapter[0]).parent,
        files={split: Path(inputs[split]) for split in ("validation", "test")},
        reading=params.reading,
        batches=params.batches,
    )
