"""Tokenising and packing a corpus: ours against `datasets.map` as in the authors' script.

Both sides read the same parquet file, tokenise each document with its special tokens, concatenate
and cut into chunks of 512, in one process each, runs taken in turn. The chunks must be equal. The
corpus is told by the miniature and repeated 1, 4 and 16 times, to show how memory grows.

    python benchmarks/tokenize_corpus.py [--repeats 3] [--documents 3000]

prints a table and appends JSON lines to benchmarks/tokenize_corpus.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHUNK = 512
HELD_OUT = 20  # documents
SIZES = (1, 4, 16)
# `map` cuts each thousand documents for itself and drops what is left: the first chunks must agree.
CHUNKS_COMPARED = 50


def ours(corpus: Path, tokenizer: Path, scratch: Path) -> Any:
    """Parquet to a token stream on disk, and that to chunks."""
    from tokenizers import Tokenizer

    from langarith import corpora

    stream = scratch / "stream.arrow"
    documents = corpora.read_documents(corpus)
    corpora.tokenize_documents(
        documents, Tokenizer.from_file(str(tokenizer / "tokenizer.json")), stream
    )
    split = corpora.read_stream(
        [stream], validation_documents=HELD_OUT, chunk_length=CHUNK, budget=None
    )
    return split.train


def theirs(corpus: Path, tokenizer: Path, scratch: Path) -> Any:
    """`load_dataset`, `map` to tokens, `map` to groups, as `run_mlm` and the authors do it."""
    import datasets
    import numpy as np
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    fast = AutoTokenizer.from_pretrained(tokenizer)
    raw = datasets.load_dataset(
        "parquet", data_files=str(corpus), split="train", cache_dir=str(scratch)
    )
    raw = raw.select(range(HELD_OUT, len(raw)))
    tokens = raw.map(
        lambda rows: fast(rows["text"], return_special_tokens_mask=True),
        batched=True,
        remove_columns=raw.column_names,
    )

    def group(rows: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(chain(*column)) for name, column in rows.items()}
        total = len(joined["input_ids"]) // CHUNK * CHUNK
        return {
            name: [values[i : i + CHUNK] for i in range(0, total, CHUNK)]
            for name, values in joined.items()
        }

    grouped = tokens.map(group, batched=True, batch_size=1000)
    return np.array(grouped["input_ids"], dtype=np.int32)


def measure(side: str, corpus: Path, tokenizer: Path, scratch: Path) -> dict[str, Any]:
    """One run in this process: seconds without imports, peak memory, tokens, digest."""
    import datasets  # noqa: F401  so that neither side's clock counts an import
    import tokenizers  # noqa: F401
    import transformers  # noqa: F401

    from langarith import corpora  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    chunks = {"ours": ours, "datasets.map": theirs}[side](corpus, tokenizer, scratch)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "added_mb": (peak - before) / 1024,
        "tokens": int(chunks.size),
        "digest": hashlib.sha256(chunks[:CHUNKS_COMPARED].tobytes()).hexdigest()[:16],
    }


def run(side: str, corpus: Path, tokenizer: Path) -> dict[str, Any]:
    """One run in a process of its own, with one thread for the tokenizer."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--side", side, str(corpus), str(tokenizer), scratch],
            env={
                **os.environ,
                "TOKENIZERS_PARALLELISM": "false",
                "PYTHONPATH": str(HERE.parent / "workflow"),
                "HF_HUB_OFFLINE": "1",
                "HF_HOME": scratch,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=4, metavar=("SIDE", "CORPUS", "TOKENIZER", "SCRATCH"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--documents", type=int, default=3000)
    asked = parser.parse_args()
    if asked.side:
        side, *paths = asked.side
        print(json.dumps(measure(side, *map(Path, paths))))
        return
    compare(asked.repeats, asked.documents)


def compare(repeats: int, documents: int) -> None:
    """Runs of both sides in turn, at each size; a table, and JSON lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from langarith import miniature, tokenizer

    with tempfile.TemporaryDirectory() as place:
        told, trained = Path(place) / "told.parquet", Path(place) / "tokenizer"
        miniature.write_corpus("en", [told], documents=documents)
        tokenizer.train([told], trained, vocabulary=5000, max_length=CHUNK, text_column="text")
        table = pq.read_table(told)
        rows = []
        for size in SIZES:
            corpus = Path(place) / f"{size}.parquet"
            pq.write_table(pa.concat_tables([table] * size), corpus, row_group_size=1000)
            found: dict[str, list[dict[str, Any]]] = {"ours": [], "datasets.map": []}
            for _ in range(repeats):
                for side, runs in found.items():
                    runs.append(run(side, corpus, trained))
            digests = {r["digest"] for runs in found.values() for r in runs}
            if len(digests) != 1:
                sys.exit(f"the two sides made different chunks at size {size}: {digests}")
            rows.append((size, found))
    print(f"{'size':>4}  {'tokens':>9}  {'ours':>15}  {'datasets.map':>15}  ratio  memory added")
    with (HERE / "tokenize_corpus.jsonl").open("a", encoding="utf-8") as log:
        for size, found in rows:
            rates = {
                side: [r["tokens"] / r["seconds"] / 1e6 for r in runs]
                for side, runs in found.items()
            }
            ratios = [a / b for a, b in zip(rates["ours"], rates["datasets.map"], strict=True)]
            added = {side: max(r["added_mb"] for r in runs) for side, runs in found.items()}
            ours_rate, their_rate = (statistics.median(rates[side]) for side in found)
            print(
                f"{size:>3}x  {found['ours'][0]['tokens']:>9,}  {ours_rate:>8.2f} Mtok/s"
                f"  {their_rate:>8.2f} Mtok/s  {statistics.median(ratios):>4.1f}x"
                f"  {added['ours']:.0f} MB, {added['datasets.map']:.0f} MB"
            )
            record = {
                "benchmark": "tokenize_corpus",
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "size": size,
                "runs": found,
                "ratio": statistics.median(ratios),
                "ratios": ratios,
            }
            log.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
