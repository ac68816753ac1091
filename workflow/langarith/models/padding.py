"""Rows of unequal length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def pad(rows: Sequence[Sequence[int]], value: int, length: int | None = None) -> torch.Tensor:
    """(rows, length) int64, padded with `value`; `length`: by default that of the longest row."""
    length = length or max(len(row) for row in rows)
    padded = np.full((len(rows), length), value, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(padded)


def pad_mask(lengths: Sequence[int], length: int | None = None) -> torch.Tensor:
    """(rows, length) int64: 1 where a padded row has a token; `length` as in :func:`pad`."""
    return torch.from_numpy((np.arange(length or max(lengths)) < np.c_[lengths]).astype(np.int64))
