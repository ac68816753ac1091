"""Memory of training a task adapter in bf16 on a CPU, on batches of many lengths.

Both sides train the same question-answering adapter, with the project's loop, on rows whose lengths
are drawn evenly up to `--length`. oneDNN compiles kernels for each shape of a matrix product and
keeps them. Ours pads batches to a multiple of `batching.CPU_MULTIPLE` subwords, so that there are
few shapes; the peer pads to the longest row. The environment is that of a job: see
`rules/runtime.smk`.
Mean losses must agree within bf16.

`peak_mb` is of the process, `grown_mb` what it has at the end beyond a quarter of the steps.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness

SIZE = {"hidden_size": 384, "layers": 6, "attention_heads": 6, "intermediate_size": 1536}
"""The small encoder of studies/own_files.yaml."""
VOCABULARY, ROWS = 5000, 16
TOLERANCE = 0.02
JOB = {
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "OMP_WAIT_POLICY": "passive",
}
"""What `rules/runtime.smk` sets."""


def resident_mb() -> float:
    """Memory of this process that is resident now."""
    row = next(r for r in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in r)
    return int(row.split()[1]) / 1024


def ours(given: harness.Given) -> dict[str, Any]:
    from langarith.training import batching

    return _train(given, batching.CPU_MULTIPLE)


def theirs(given: harness.Given) -> dict[str, Any]:
    return _train(given, 1)


def _train(given: harness.Given, multiple: int) -> dict[str, Any]:
    import torch
    from adapters import AutoAdapterModel
    from transformers.models.xlm_roberta import XLMRobertaConfig

    from langarith.models import encoders
    from langarith.models.adapters import add_initialised, task_config
    from langarith.study.recipes import TaskAdapterShape, TaskRecipe
    from langarith.training import batching, loop
    from langarith.training.metrics import MetricsLog

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = AutoAdapterModel.from_config(
        XLMRobertaConfig(
            vocab_size=VOCABULARY,
            hidden_size=given["hidden_size"],
            num_hidden_layers=given["layers"],
            num_attention_heads=given["attention_heads"],
            intermediate_size=given["intermediate_size"],
            max_position_embeddings=given["length"] + 2,
            type_vocab_size=1,
        )
    )
    add_initialised(model, "task", task_config(TaskAdapterShape().model_dump()), seed=1)
    encoders.add_head(model, "task", "qa", ())
    model.train_adapter("task")
    draw = random.Random(given["repeat"])
    lengths = [draw.randint(given["shortest"], given["length"]) for _ in range(given["rows"])]
    rows = [[draw.randrange(5, VOCABULARY) for _ in range(length)] for length in lengths]
    data = batching.task_dataset(
        {
            "input_ids": rows,
            "start_positions": [draw.randrange(length) for length in lengths],
            "end_positions": [draw.randrange(length) for length in lengths],
        }
    )
    resident: list[float] = []
    losses: list[float] = []
    shapes: set[int] = set()

    def loss(model: Any, batch: Any) -> torch.Tensor:
        shapes.add(batch["input_ids"].shape[1])
        value = batching.task_loss(model, batch)
        losses.append(float(value.detach()))
        resident.append(resident_mb())
        return value

    recipe = TaskRecipe(
        steps=given["steps"], batch_size=ROWS, learning_rate=1e-4, precision="bf16"
    ).model_dump()
    with TemporaryDirectory() as folder:
        start = time.process_time()
        loop.train(
            model,
            recipe,
            data=data,
            collate=batching.PadRows(1, multiple),
            loss=loss,
            validate=lambda: {"f1": 0.0},
            validated_on="",
            metric="f1",
            larger_is_better=True,
            seed=given["repeat"],
            checkpoints=Path(folder) / "checkpoints",
            log=MetricsLog(Path(folder) / "metrics.jsonl"),
            what="memory",
            group_by_length=True,
        )
        seconds = time.process_time() - start
    return {
        "seconds": seconds,
        "grown_mb": resident[-1] - resident[len(resident) // 4],
        "shapes": len(shapes),
        "resident_mb": [round(mb) for mb in resident[:: max(1, len(resident) // 8)]],
        "answer": sum(losses) / len(losses),
    }


@harness.each
def agree(ours: float, theirs: float) -> str | None:
    """Mean losses over all steps."""
    return None if abs(ours - theirs) <= TOLERANCE * theirs else f"loss {ours} and {theirs}"


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    steps, length = (4, 32) if asked.tiny else (asked.steps, asked.length)
    size = dict(SIZE, hidden_size=32, layers=1, attention_heads=2) if asked.tiny else SIZE
    yield harness.Case(
        f"{steps} steps of {ROWS} x up to {length} subwords",
        {**size, "steps": steps, "rows": ROWS * steps, "shortest": length // 4, "length": length},
        bars={"peak_mb": None, "grown_mb": None, "seconds": None},
        environment={name: os.environ.get(name, value) for name, value in JOB.items()},
    )


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--length", type=int, default=256, help="subwords of the longest row")


if __name__ == "__main__":
    harness.main(
        __doc__,
        "train_memory",
        {"ours": ours, "any length": theirs},
        cases,
        agree=agree,
        options=options,
    )
