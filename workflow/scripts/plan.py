"""Print the jobs that a run of the whole study would execute, why and for how long."""

import sys
from pathlib import Path

from langarith import cli
from langarith.planning import plan

study, overrides = Path(snakemake.params.study), snakemake.params.overrides
at_once, cluster = snakemake.params.at_once, snakemake.params.cluster
sys.exit(
    cli.answer(
        lambda: plan.of_study(study, ["all"], at_once, overrides, cluster=cluster),
        snakemake.log[0],
    )
)
