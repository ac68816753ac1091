"""Compare every number and claim of the paper with this study, each with a verdict."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from functools import partial
from pathlib import Path

from langarith.jobs import record

with record.job(snakemake):
    from langarith import layout
    from langarith.results import estimates, tables
    from langarith.results.paper import certainty, claims, reproduction

    tidy = {Path(path).stem: tables.read(Path(path)) for path in snakemake.input.tables}
    of_gains = {
        Path(path).stem.removesuffix("_gains"): tables.read(Path(path))
        for path in snakemake.input.gains
    }
    compared = reproduction.compare(
        tidy,
        snakemake.params.study,
        task_language=snakemake.params.task_language,
        estimate=partial(
            certainty.estimate,
            tables=tidy,
            gains=of_gains,
            score_interval=partial(
                estimates.score_interval,
                cells=layout.cell_paths(snakemake.input.outcomes),
                types=snakemake.params.types,
                parallel=snakemake.params.parallel,
            ),
        ),
    )
    tables.write(compared.to_dict("records"), Path(snakemake.output.table), reproduction.COLUMNS)
    judged = claims.judge(of_gains, tidy)
    tables.write(judged.to_dict("records"), Path(snakemake.output.claims), claims.COLUMNS)
