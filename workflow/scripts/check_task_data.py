"""Read a task's files of one language to their end, before anything is trained on them."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

import json
from pathlib import Path

from langarith import tasks
from langarith.errors import InputError
from langarith.files import copies, write_json
from langarith.jobs import record
from langarith.tasks.shared.checks import Trained, check_split

with record.job(snakemake) as warnings:
    reading, files = snakemake.params.reading, snakemake.params.files
    task = tasks.reader(reading)
    where = f"{snakemake.wildcards.task}, {snakemake.wildcards.language}"
    for first, second in copies(map(Path, files.values())):
        raise InputError(f"{second} is a copy of {first}; give each split data of its own.")
    trained = None  # from the check of the task language
    for path in snakemake.input.source:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        trained = Trained(found["classes"], found["texts"])
    counts = {}
    for split, path in files.items():
        counts[split], trained = check_split(task, Path(path), split, reading, trained, where)
    write_json(
        snakemake.output.check,
        {**counts, **vars(trained), "warnings": [str(warning) for warning in warnings]},
    )
