"""Rows of unequal length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def pad(rows: Sequence[Sequence[int]], value: int, length: int | None = None) -> torch.Tensor:
    """(rows, length) int64, short rows filled with `value`; `length`: of the longest, or more."""
    length = length or max(len(row) for row in rows)
    table = np.full((len(rows), length), value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(table)


def pad_mask(lengths: Sequence[int], length: int | None = None) -> torch.Tensor:
    """(rows, length) int64: 1 where a padded row has a token; `length` as in :func:`pad`."""
    return torch.from_numpy((np.arange(length or max(lengths)) < np.c_[lengths]).astype(np.int64))
