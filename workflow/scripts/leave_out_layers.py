"""The initial language adapter without the left-out layers (MAD-X 2.0)."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

from pathlib import Path

from langarith.files import read_json
from langarith.jobs import record

with record.job(snakemake):
    from langarith.models import left_out

    inputs = snakemake.input
    left_out.write(
        Path(inputs.initial[0]).parent,
        Path(snakemake.output.adapter[0]).parent,
        snakemake.params.layers,
        read_json(inputs.encoder[0])["num_hidden_layers"],
    )
