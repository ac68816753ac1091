"""Synthetic examples of one task in one language, in the task's usual file format."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith.data import miniature
from langarith.jobs import record

with record.job(snakemake):
    for split, examples in snakemake.params.examples.items():
        miniature.write_task(
            snakemake.params.type,
            snakemake.wildcards.language,
            Path(snakemake.output[split]),
            split=split,
            examples=examples,
            **snakemake.params.difficulty,
        )
