"""An epoch of training a task adapter on NER: ours against the stock AdapterTrainer.

The same sentences of very mixed length, model, adapters, recipe and seed; the peer draws random
batches of 16 padded to their longest, ours batches of near-equal length. A model of three layers
with random weights, frozen, as task adapters are trained: on top of a language adapter. Each repeat
is another seed. Timed is the training; the scores on held-out sentences must be equal within what
seeds change: the means differ by no more than the larger range over the seeds, or 3 points of F1.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import _parts
import harness

SIZE = {"hidden_size": 256, "layers": 3, "attention_heads": 4, "intermediate_size": 1024}
LONGEST = 256
RECIPE = {"batch_size": 16, "learning_rate": 1e-2}
LEAST = 3.0  # points of F1 that count as equal


def _prepared(given: harness.Given) -> tuple[Any, Any, Any, Any]:
    """(model, tokenizer, features, held-out split), the same for both sides."""
    import torch
    from transformers import set_seed

    from langarith import tasks
    from langarith.evaluation.scoring import TASK, EncodedSplit, load_stack, use_language_adapter
    from langarith.models import encoders
    from langarith.tasks.shared.base import Encoding

    torch.set_num_threads(given["threads"])
    task = tasks.get("ner")
    tokenizer = encoders.load_tokenizer(given["tokenizer"])
    examples = task.read(Path(given["train"]))
    encoding = Encoding(LONGEST, task.labels(examples))
    features = task.encode(examples, tokenizer, replace(encoding, training=True))
    held_out = EncodedSplit(
        task,
        task.read(Path(given["validation"])),
        tokenizer,
        encoding,
        tokens_per_batch=4096,
        precision="fp32",
    )
    model = load_stack(given["encoder"], given["language"], given["task"])
    set_seed(given["repeat"])
    for parameter in model.heads[TASK].parameters():
        torch.nn.init.normal_(parameter, 0, 0.02)
    model.train_adapter(TASK)
    use_language_adapter(model, True)
    return model, tokenizer, features, held_out


class _Counted:
    """A collator that counts the tokens of its batches, padding included."""

    def __init__(self, collate: Any, features: Any) -> None:
        self.collate, self.padded = collate, 0
        self.lengths = [len(ids) for ids in features.columns["input_ids"]]

    def __call__(self, rows: Any) -> Any:
        batch = self.collate(rows)
        self.padded += batch["input_ids"].numel()
        return batch

    @property
    def padding(self) -> float:
        return 1 - sum(self.lengths) / self.padded


def ours(given: harness.Given) -> dict[str, Any]:
    from langarith.study.recipes import TaskRecipe
    from langarith.training import batching, loop
    from langarith.training.metrics import MetricsLog

    model, tokenizer, features, held_out = _prepared(given)
    recipe = TaskRecipe(**RECIPE, epochs=1, steps=None).model_dump()
    scored: list[float] = []
    scoring: list[float] = []
    collate = _Counted(batching.PadRows(int(tokenizer.pad_token_id)), features)

    def validate() -> dict[str, float]:
        start = time.perf_counter()
        metrics = held_out.score(model).metrics
        scored.append(metrics["f1"])
        scoring.append(time.perf_counter() - start)
        return metrics

    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        loop.train(
            model,
            recipe,
            data=batching.task_dataset(features.columns),
            collate=collate,
            loss=batching.task_loss,
            validate=validate,
            validated_on="",
            metric="f1",
            larger_is_better=True,
            seed=given["repeat"],
            checkpoints=Path(folder) / "checkpoints",
            log=MetricsLog(Path(folder) / "metrics.jsonl"),
            what="epoch",
            group_by_length=True,
        )
        seconds = time.perf_counter() - start - sum(scoring)
    size = (SIZE["layers"], SIZE["hidden_size"], SIZE["intermediate_size"])
    return {
        "seconds": seconds,
        "operations": sum(2 * n * harness.forward_operations(*size, n) for n in collate.lengths),
        "padding": collate.padding,
        "answer": scored[-1],
    }


def theirs(given: harness.Given) -> dict[str, Any]:
    from adapters import AdapterTrainer
    from transformers import DataCollatorForTokenClassification, TrainingArguments

    from langarith.training import batching

    model, tokenizer, features, held_out = _prepared(given)
    collate = _Counted(DataCollatorForTokenClassification(tokenizer), features)
    with TemporaryDirectory() as folder:
        trainer = AdapterTrainer(
            model=model,
            args=TrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=RECIPE["batch_size"],
                learning_rate=RECIPE["learning_rate"],
                seed=given["repeat"],
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=batching.task_dataset(features.columns),
            data_collator=collate,
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "padding": collate.padding,
        "answer": held_out.score(model).metrics["f1"],
    }


def agree(ours: list[float], theirs: list[float]) -> str | None:
    """Mean scores of the seeds."""
    spread = max(LEAST, *(max(scores) - min(scores) for scores in (ours, theirs)))
    if abs(statistics.mean(ours) - statistics.mean(theirs)) <= spread:
        return None
    return f"F1 {ours} and {theirs}"


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    train, held_out = (24, 12) if asked.tiny else (asked.count, 200)
    with TemporaryDirectory() as place:
        folder = Path(place)
        tokens = _parts.tokenizer(folder / "tokenizer", max_length=LONGEST)
        files = {"train": asked.sentences or folder / "train.conll"}
        files["validation"] = folder / "validation.conll"
        if not asked.sentences:
            _parts.sentences(files["train"], train, mixed=True, split="train")
        _parts.sentences(files["validation"], held_out, mixed=True)
        encoder = _parts.base_model(
            folder / "encoder", SIZE, tokens, max_length=LONGEST, vocabulary=None
        )
        made = _parts.adapters(encoder, folder, ["en"])
        yield harness.Case(
            f"{train} sentences",
            {
                **{split: str(path) for split, path in files.items()},
                "tokenizer": str(tokens),
                "encoder": str(encoder),
                "language": str(made["en"]),
                "task": str(made["task"]),
                "threads": 1,
            },
            bars={"seconds": 1.5},
        )


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=1000, help="training sentences")
    parser.add_argument("--sentences", type=Path, help="CoNLL file to train on instead")


if __name__ == "__main__":
    harness.main(
        __doc__,
        "train_epoch",
        {"ours": ours, "AdapterTrainer": theirs},
        cases,
        agree=agree,
        options=options,
    )
