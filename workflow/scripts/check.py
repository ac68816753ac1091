"""Read the study and every file that it names, and say all that is wrong at once."""

import sys
from pathlib import Path

from langarith.cluster import check
from langarith.study import loading

study = loading.load(Path(snakemake.params.study), snakemake.params.overrides)
problems = check.problems(study)
told = "\n".join(problems or [f"{snakemake.params.study}: every file can be read to its end"])
Path(snakemake.log[0]).write_text(f"{told}\n", encoding="utf-8")
print(told, file=sys.stderr if problems else sys.stdout)
if problems:
    sys.exit(1)
