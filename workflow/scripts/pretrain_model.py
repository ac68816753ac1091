"""Train an encoder by masked language modelling on the corpora of its languages.

It starts from random weights (a small encoder of XLM-R's type) or from the weights of another one.
"""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    import torch

    from langarith.training import base_model

    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    streams = map(Path, inputs.tokens)
    base_model.run(
        snakemake.wildcards.model,
        params.model,
        Path(snakemake.output[0]).parent,
        start=Path(inputs.start[0]).parent if "start" in params.model else None,
        tokenizer=[Path(path) for path in inputs.tokenizer],
        tokens=[[next(streams) for _ in range(count)] for count in params.shards.values()],
        text=params.text,
        log=Path(snakemake.output.metrics),
        checkpoints=Path(params.checkpoints),
        save_minutes=snakemake.resources.checkpoint_minutes,
    )
