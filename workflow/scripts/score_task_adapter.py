"""Check that a ready-made task adapter fits, and score it on the task language's splits."""

from langarith.jobs import warm

warm.hand_over(start=True)  # run in the warm process, which has imported torch

import shutil
from pathlib import Path

from langarith.files import whole_folder, write_json
from langarith.jobs import record

with record.job(snakemake) as warnings:
    import torch

    from langarith import tasks
    from langarith.evaluation import scoring
    from langarith.models import encoders, ready_task
    from langarith.tasks.shared.base import Encoding

    names, reading = snakemake.wildcards, snakemake.params.reading
    torch.set_num_threads(snakemake.threads)
    task = tasks.reader(reading)
    examples = {
        split: task.read_split(Path(snakemake.input[split]), split, reading)
        for split in reading["cuts"]
    }
    encoder = Path(snakemake.input.encoder[0]).parent
    labels = ready_task.fitting_labels(
        f"models.{names.model}.task_adapters.{names.task}",
        Path(snakemake.input.task_adapter[0]).parent,
        encoder,
        task,
        task.labels(examples["train"]),
    )
    tokenizer = encoders.load_tokenizer(Path(snakemake.input.tokenizer[0]).parent, masked_lm=False)
    encoding = Encoding(reading["max_length"], labels, reading["stride"])
    validation, test = (
        scoring.checked_split(
            task,
            examples[split],
            tokenizer,
            encoding,
            f"{names.task}, {snakemake.params.language}, {split} "
            f"({snakemake.input[split]}), model {names.model}",
            snakemake.params.batches,
        )
        for split in ("validation", "test")
    )
    folder = Path(snakemake.output.task).parent
    with whole_folder(folder) as staging:
        for file in snakemake.input.task_adapter:
            shutil.copyfile(file, staging / Path(file).name)
    model = scoring.load_stack(encoder, Path(snakemake.input.language_adapter[0]).parent, folder)
    encoders.refuse_unfit(model, tokenizer, reading["max_length"])
    write_json(
        snakemake.output.task,
        scoring.adapter_summary(
            dict(names.items()),
            snakemake.params.language,
            labels,
            examples,
            model,
            validation,
            test,
            [str(warning) for warning in warnings],
        ),
    )
