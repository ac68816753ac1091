"""Read a task's files of one language to their end, before anything is trained on them."""

from pathlib import Path

from langarith import provenance, tasks

with provenance.job(snakemake):
    reading = snakemake.params.reading
    task = tasks.get(reading["type"])
    counts = {}
    for path in snakemake.input:
        for split, cut in reading["cuts"].items():
            counts[f"{path}:{split}"] = len(task.read(Path(path), cut=cut, split=split))
    provenance.write_json(snakemake.output.check, counts)
