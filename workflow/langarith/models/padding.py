"""Rows of unequal length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """(rows, longest) int64, short rows filled with `value`."""
    table = np.full((len(rows), max(len(row) for row in rows)), value, dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(table)


def pad_mask(lengths: Sequence[int]) -> torch.Tensor:
    """(rows, longest) int64: 1 where a padded row has a token."""
    return torch.from_numpy((np.arange(max(lengths)) < np.c_[lengths]).astype(np.int64))
