"""Tokenising and packing a corpus: ours against `datasets.map` as in the authors' script.

Both sides read the same parquet file, tokenise each document with its special tokens, concatenate
and cut into chunks of 512, with as many processes on either side. The chunks must be equal. The
corpus is told by the miniature and repeated 1, 4 and 16 times, to show how memory grows.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness

CHUNK = 512
HELD_OUT = 20  # documents
# `map` cuts each thousand documents for itself and drops what is left: the first chunks must agree.
CHUNKS_COMPARED = 50


def ours(given: harness.Given) -> dict[str, Any]:
    """Parquet to a token stream on disk, and that to chunks."""
    from tokenizers import Tokenizer

    from langarith.data import readers, streams

    def chunks(scratch: Path) -> Any:
        stream = scratch / "stream.arrow"
        tokenizer = Tokenizer.from_file(str(Path(given["tokenizer"]) / "tokenizer.json"))
        streams.tokenize_documents(readers.read_documents(Path(given["corpus"])), tokenizer, stream)
        return streams.read_chunks(
            [stream], validation_documents=HELD_OUT, chunk_length=CHUNK, budget=None
        ).train

    return _measured(chunks)


def theirs(given: harness.Given) -> dict[str, Any]:
    """`load_dataset`, `map` to tokens, `map` to groups, as `run_mlm` and the authors do it."""
    import datasets
    import numpy as np
    from transformers import AutoTokenizer

    def group(rows: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(chain(*column)) for name, column in rows.items()}
        total = len(joined["input_ids"]) // CHUNK * CHUNK
        return {
            name: [values[i : i + CHUNK] for i in range(0, total, CHUNK)]
            for name, values in joined.items()
        }

    def chunks(scratch: Path) -> Any:
        fast = AutoTokenizer.from_pretrained(given["tokenizer"])
        raw = datasets.load_dataset(
            "parquet", data_files=given["corpus"], split="train", cache_dir=str(scratch)
        )
        raw = raw.select(range(HELD_OUT, len(raw)))
        workers = given["processes"] if given["processes"] > 1 else None
        tokens = raw.map(
            lambda rows: fast(rows["text"], return_special_tokens_mask=True),
            batched=True,
            remove_columns=raw.column_names,
            num_proc=workers,
        )
        grouped = tokens.map(group, batched=True, batch_size=1000, num_proc=workers)
        return np.array(grouped["input_ids"], dtype=np.int32)

    datasets.disable_progress_bars()
    return _measured(chunks)


def _measured(chunks: Any) -> dict[str, Any]:
    """Seconds without imports, memory added to what the imports take."""
    import transformers  # noqa: F401  so that neither side's clock counts an import
    from transformers import AutoTokenizer  # noqa: F401

    before = harness.peak_mb()
    with TemporaryDirectory() as scratch:
        start = time.perf_counter()
        found = chunks(Path(scratch))
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "added_mb": harness.peak_mb() - before,
        "tokens": int(found.size),
        "answer": hashlib.sha256(found[:CHUNKS_COMPARED].tobytes()).hexdigest()[:16],
    }


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from langarith.data import miniature
    from langarith.data.tokenizer import train

    documents = 200 if asked.tiny else asked.documents
    with TemporaryDirectory() as place:
        told, trained = Path(place) / "told.parquet", Path(place) / "tokenizer"
        miniature.write_corpus("en", [told], documents=documents)
        train([told], trained, vocabulary=5000, max_length=CHUNK, text_column="text")
        text = pq.read_table(told)
        for times, processes in ((1, 1),) if asked.tiny else ((1, 1), (4, 1), (16, 1), (16, 2)):
            corpus = Path(place) / f"{times}.parquet"
            pq.write_table(pa.concat_tables([text] * times), corpus, row_group_size=1000)
            yield harness.Case(
                f"{documents * times:,} documents, {processes} process"
                + ("es" if processes > 1 else ""),
                {"corpus": str(corpus), "tokenizer": str(trained), "processes": processes},
                # children of the peer's own are not in its memory
                bars={"seconds": 1.8} | ({"added_mb": None} if processes == 1 else {}),
                environment={"OMP_NUM_THREADS": "1"},
                environments={
                    "ours": {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(processes)},
                    "datasets.map": {"TOKENIZERS_PARALLELISM": "false"},
                },
            )


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--documents", type=int, default=1000)


if __name__ == "__main__":
    harness.main(
        __doc__, "tokenize_corpus", {"ours": ours, "datasets.map": theirs}, cases, options=options
    )
