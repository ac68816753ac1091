"""Read a task's files of one language to their end, before anything is trained on them."""

from langarith.jobs import warm

warm.hand_over(start=False)  # run in the warm process if there is one

from pathlib import Path

from langarith import tasks
from langarith.files import write_json
from langarith.jobs import record

with record.job(snakemake):
    reading = snakemake.params.reading
    task = tasks.get(reading["type"], reading["labels"])
    counts = {
        split: len(task.read(Path(path), cut=reading["cuts"][split], split=split))
        for split, path in snakemake.params.files.items()
    }
    write_json(snakemake.output.check, counts)
