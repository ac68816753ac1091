"""Rows of training data, their order, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    PreTrainedModel,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

from langarith.models import devices
from langarith.models.padding import pad, pad_mask


class Rows(torch.utils.data.Dataset):
    """Rows of equal-length columns: token arrays (rows, length) or lists of ids."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.columns = dict(columns)

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}


def stack(features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of full chunks: `input_ids` (rows, length), int64."""
    rows = np.stack([row["input_ids"] for row in features])
    return {"input_ids": torch.from_numpy(rows.astype(np.int64))}


def task_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of the active head."""
    return model(**{k: devices.to_device(v, model.device) for k, v in batch.items()}).loss


class Order(torch.utils.data.Sampler[int]):
    """The order of rows, by seed and epoch alone, so that a resumed run finds it again.

    With lengths, rows of similar length come together, as in the Trainer's own grouping.
    """

    def __init__(self, rows: int, seed: int, batch: int, lengths: Sequence[int] | None) -> None:
        self.rows, self.seed, self.batch, self.lengths = rows, seed, batch, lengths
        self.epoch = 0

    def __len__(self) -> int:
        return self.rows

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.lengths is None:
            return iter(torch.randperm(self.rows, generator=generator).tolist())
        return iter(get_length_grouped_indices(self.lengths, self.batch, generator=generator))


class PadRows:
    """Pads a batch of encoded examples to its longest row; labels are padded with -100."""

    def __init__(self, pad_token: int) -> None:
        self.pad_token = pad_token

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        batch = {"attention_mask": pad_mask([len(row["input_ids"]) for row in features])}
        for name in features[0]:
            rows = [row[name] for row in features]
            if isinstance(rows[0], int):
                batch[name] = torch.tensor(rows)
            else:
                fill = {"input_ids": self.pad_token, "labels": -100}.get(name, 0)
                batch[name] = pad(rows, fill)
        return batch
