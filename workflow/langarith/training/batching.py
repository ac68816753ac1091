"""Rows of training data, their order, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from torch.nn import functional
from transformers import (
    PreTrainedModel,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

from langarith.models import devices
from langarith.models.padding import pad, pad_mask


def task_dataset(columns: Mapping[str, Sequence[Any]]) -> Dataset:
    """Encoded examples as a dataset: `input_ids` int32, segment ids int8, labels int64.

    Args:
        columns: by name, for each example a list of ints as long as the example, or one int.
    """
    return Dataset.from_dict(dict(columns))


def chunk_dataset(chunks: np.ndarray) -> Dataset:
    """Chunks of a corpus, an array (chunks, length), as a dataset that shares its memory."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(chunks.reshape(-1)), chunks.shape[1])
    # a fingerprint by content would copy and hash the corpus
    return Dataset(pa.table({"input_ids": column}), fingerprint=generate_random_fingerprint())


class Rows(torch.utils.data.Dataset):
    """Rows of a dataset by index, as numpy views of its Arrow memory.

    `Dataset.__getitems__` copies rows into Python lists or arrays and takes two to seven times as
    long per batch.
    """

    def __init__(self, dataset: Dataset) -> None:
        # copies the rows of a selection once
        table = dataset.with_format("arrow")[:]
        self.columns = {name: _column(table.column(name)) for name in table.column_names}
        self.rows = len(dataset)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}

    def lengths(self) -> list[int]:
        """Tokens of each row."""
        column = self.columns["input_ids"]
        if isinstance(column, _Lists):
            return np.diff(column.offsets).tolist()
        return [column.shape[1]] * self.rows

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Arrays by name for a hash of the rows; equal rows give equal arrays."""
        for name, column in self.columns.items():
            if isinstance(column, _Lists):
                yield f"{name} lengths", np.diff(column.offsets)
                yield name, column.values[column.offsets[0] : column.offsets[-1]]
            else:
                yield name, column


class _Lists:
    """Lists of unequal length: concatenated `values`, list i from offset i to offset i + 1."""

    def __init__(self, column: pa.ListArray) -> None:
        self.values = column.values.to_numpy()
        self.offsets = column.offsets.to_numpy()

    def __getitem__(self, index: int) -> np.ndarray:
        return self.values[self.offsets[index] : self.offsets[index + 1]]


def _column(column: pa.ChunkedArray) -> np.ndarray | _Lists:
    """A column of ints, (rows,), of lists of one length, (rows, length), or of any lists."""
    # `combine_chunks` copies a single chunk as well
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten().to_numpy().reshape(-1, array.type.list_size)
    return _Lists(array) if pa.types.is_list(array.type) else array.to_numpy()


def stack(features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of full chunks: `input_ids` (rows, length), int64."""
    rows = np.stack([row["input_ids"] for row in features])
    return {"input_ids": torch.from_numpy(rows.astype(np.int64))}


def task_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of the active head."""
    batch = {k: devices.to_device(v, model.device) for k, v in batch.items()}
    if model.device.type == "cpu" and "start_positions" in batch:
        return _span_loss(model, batch)
    return model(**batch).loss


def _span_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of a question-answering head, computed without columns that contain only padding.

    The softmax is over all positions of the batch, so those columns would change the loss.
    """
    ends = [batch[name] for name in ("start_positions", "end_positions")]
    longest = int(batch["attention_mask"].sum(1).max())
    out = model(**{k: v for k, v in batch.items() if not k.endswith("_positions")})
    losses = [
        functional.cross_entropy(logits[:, :longest], end.clamp(0, longest), ignore_index=longest)
        for logits, end in zip((out.start_logits, out.end_logits), ends, strict=True)
    ]
    return (losses[0] + losses[1]) / 2


class Order(torch.utils.data.Sampler[int]):
    """The order of rows; depends only on seed and epoch, so that a resumed run repeats it.

    With lengths, rows of similar length are grouped, as by the Trainer.
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


CPU_MULTIPLE = 8
"""Lengths of batches in bf16 or fp16 on a CPU are multiples of this number of subwords."""


def length_multiple(precision: str, on: torch.device) -> int:
    """The multiple to which lengths of batches are rounded up; 1 for no rounding.

    On a CPU oneDNN compiles and caches kernels for every shape of a product in half precision,
    about 4 MB for each length of a batch (`benchmarks/train_memory.py`). MKL, used for fp32,
    compiles none. Multiples of 8 add 2 % of subwords for lengths from 64 to 256.
    """
    half = devices.precision(precision, on) != "fp32"
    return CPU_MULTIPLE if half and on.type == "cpu" else 1


class PadRows:
    """Pads a batch of encoded examples to its longest row; labels are padded with -100.

    Args:
        multiple: the length is rounded up to a multiple of it. The mask excludes these subwords, so
            that losses differ only by rounding errors.
        at_most: largest rounded length: the positions of the model.
    """

    def __init__(self, pad_token: int, multiple: int = 1, at_most: int | None = None) -> None:
        self.pad_token, self.multiple, self.at_most = pad_token, multiple, at_most

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [len(row["input_ids"]) for row in features]
        rounded = -(-max(lengths) // self.multiple) * self.multiple
        length = max(*lengths, min(rounded, self.at_most or rounded))
        batch = {"attention_mask": pad_mask(lengths, length)}
        for name in features[0]:
            rows = [row[name] for row in features]
            if np.ndim(rows[0]) == 0:
                batch[name] = torch.from_numpy(np.array(rows, dtype=np.int64))
            else:
                fill = {"input_ids": self.pad_token, "labels": -100}.get(name, 0)
                batch[name] = pad(rows, fill, length)
        return batch
