"""The start of one job: from the start of its process to a loaded model.

The peer is a script that imports torch, transformers and adapters and builds the model with the
hub's class. Ours is a job as Snakemake starts it: warm, forked from the process that the run's
first job has started, or cold, as that first job. Both read the same folder, random weights of a
base model, and must count the same sum of its parameters.

    python benchmarks/start_job.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness

SIZES = {
    "miniature": {"vocab_size": 1500, "hidden_size": 64, "num_hidden_layers": 2}
    | {"num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 258},
    "XLM-R base": {"vocab_size": 250_002, "max_position_embeddings": 514},
}

READY = """
total = sum(parameter.double().sum().item() for parameter in model.parameters())
print(total, flush=True)
"""

OURS = """
import sys
from langarith.jobs import warm
warm.hand_over(start=True)
from langarith.models import encoders
model = encoders.load_encoder(sys.argv[1])
print("ready", flush=True)
"""

THEIRS = """
import sys
import torch, transformers, adapters
model = adapters.AutoAdapterModel.from_pretrained(sys.argv[1])
print("ready", flush=True)
"""


def start(code: str, model: str, owner: int | str) -> dict[str, Any]:
    """Seconds from the start of a script to its model, and the sum of the model's parameters."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.py"
        script.write_text(code + READY)
        begun = time.perf_counter()
        with subprocess.Popen(  # noqa: S603
            [sys.executable, str(script), model],
            env={**os.environ, "LANGARITH_WARM": str(owner)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as job:
            assert job.stdout
            if job.stdout.readline() != "ready\n":
                sys.exit("the job did not start")
            seconds = time.perf_counter() - begun
            return {"seconds": seconds, "answer": round(float(job.stdout.readline()), 6)}


def ours(given: harness.Given) -> dict[str, Any]:
    owner: int | str = "off"
    if given["warm"]:
        owner = os.getpid()
        start(OURS, given["model"], owner)
    return start(OURS, given["model"], owner)


def theirs(given: harness.Given) -> dict[str, Any]:
    return start(THEIRS, given["model"], "off")


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    for size in ("miniature",) if asked.tiny else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            XLMRobertaModel(XLMRobertaConfig(**SIZES[size], type_vocab_size=1)).save_pretrained(
                folder
            )
            for name, warm in (("", True), (", first job of a run", False)):
                yield harness.Case(
                    f"{size}{name}",
                    {"model": folder, "warm": warm},
                    bars={"seconds": 2.0 if warm else None},
                )


if __name__ == "__main__":
    harness.main(__doc__, "start a job", {"ours": ours, "hub class": theirs}, cases)
