"""Say what a run of the whole study would do, why and for how long."""

from pathlib import Path

from langarith.cluster import plan

lines = plan.of_study(
    Path(snakemake.params.study), ["all"], snakemake.params.at_once, snakemake.params.overrides
)
told = "\n".join(lines)
Path(snakemake.log[0]).write_text(f"{told}\n", encoding="utf-8")
print(told)
