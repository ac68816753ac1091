"""Read the study and every file that it names, and print all problems at once."""

import sys
from pathlib import Path

from langarith import cli

study, overrides = Path(snakemake.params.study), snakemake.params.overrides
sys.exit(cli.answer(lambda: cli.check_study(study, overrides), snakemake.log[0]))
