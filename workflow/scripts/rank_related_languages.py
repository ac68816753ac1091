"""The table of tie sets and the proposed related language of every language (section 4.1.1)."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from dataclasses import asdict

from langarith.files import whole, write_lock
from langarith.jobs import record

with record.job(snakemake):
    import pandas as pd

    from langarith.data import relatedness

    params = snakemake.params
    targets = [code for code in params.languages if code != params.task_language]
    rows = relatedness.relatedness_table(targets, exclude=(params.task_language,))
    table = pd.DataFrame([asdict(row) for row in rows])
    table["in_study"] = [params.related.get(row.target) == row.candidate for row in rows]
    with whole(snakemake.output.table) as partial:
        table.to_csv(partial, index=False)
    proposal = relatedness.proposal(rows, params.nearest)
    write_lock(snakemake.output.proposal, relatedness.LOCK_COMMENT, proposal)
