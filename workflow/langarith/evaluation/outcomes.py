"""The counts behind the metrics of a sweep, per example and point: `outcomes.parquet` of a cell.

Intervals and tests of significance read this file, and no model or predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from langarith.files import whole
from langarith.operands import Point, parse_point, point_value

Counts = Mapping[str, np.ndarray]
"""`Task.counts` of one split at one point: by name an array, shape (examples,)."""

Scores = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""`Task.scores`: metrics from sums of counts."""

KEY_COLUMNS = ("split", "lambda", "example")
"""Columns besides the counts; `example` is the position in the split's file, from 0."""


def write(path: Path, outcomes: Mapping[str, Mapping[Point, Counts]]) -> None:
    """Write the counts by split and point, whole or not at all.

    Integers are stored in the smallest unsigned type that fits, shares in half precision, which is
    exact to 0.05 %. A count that some points lack (a label that they never predict) is 0 there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = [
        (split, point, counts)
        for split, points in outcomes.items()
        for point, counts in points.items()
    ]
    names = list(dict.fromkeys(name for _, _, counts in blocks for name in counts))
    sizes = [len(next(iter(counts.values()))) for _, _, counts in blocks]
    columns: dict[str, Any] = {
        "split": pa.array(np.repeat([split for split, _, _ in blocks], sizes)).dictionary_encode(),
        "lambda": pa.array(
            np.repeat([point_value(point) for _, point, _ in blocks], sizes)
        ).dictionary_encode(),
        "example": np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes]),
    }
    for name in names:
        values = [
            counts[name] if name in counts else np.zeros(size)
            for (_, _, counts), size in zip(blocks, sizes, strict=True)
        ]
        columns[name] = _small(np.concatenate(values))
    with whole(path) as partial:
        # consecutive positions take almost no space as differences, but half of the file as a
        # dictionary
        pq.write_table(
            pa.table(columns),
            partial,
            compression="zstd",
            use_dictionary=[name for name in columns if name != "example"],
            column_encoding={"example": "DELTA_BINARY_PACKED"},
        )


def read(path: Path) -> dict[str, dict[Point, dict[str, np.ndarray]]]:
    """The counts by split and point, in the order in which they were written, as float32."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    counts = {
        name: table[name].to_numpy().astype(np.float32)
        for name in table.column_names
        if name not in KEY_COLUMNS
    }
    # the rows of a split and point are one block that starts at example 0
    starts = np.flatnonzero(table["example"].to_numpy() == 0)
    keys = zip(*(table[name].take(starts).to_pylist() for name in ("split", "lambda")), strict=True)
    outcomes: dict[str, dict[Point, dict[str, np.ndarray]]] = {}
    for (split, point), start, end in zip(keys, starts, [*starts[1:], len(table)], strict=True):
        part = {name: values[start:end] for name, values in counts.items()}
        outcomes.setdefault(split, {})[parse_point(point)] = part
    return outcomes


def _small(values: np.ndarray) -> np.ndarray:
    if np.array_equal(values, np.rint(values)):
        return values.astype(np.min_scalar_type(int(values.max(initial=0))))
    return values.astype(np.float16)
