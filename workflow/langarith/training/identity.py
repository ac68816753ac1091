"""What a checkpoint belongs to: a run resumes only from one of the same training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from langarith.training.batching import Rows, task_dataset

if TYPE_CHECKING:
    from langarith.tasks.shared.base import Features


def digest(arrays: Iterable[tuple[str, np.ndarray]], settings: Any = None) -> str:
    """Hash of arrays, with their names, types and shapes, and of settings (values of JSON)."""
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, array in arrays:
        hashed.update(f"{name} {array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def of_held_out_text(chunks: np.ndarray, mask_probability: float) -> str:
    """Hash of what decides the losses of masked-LM validation, besides the weights.

    Args:
        chunks: (rows, length) token ids.
    """
    return digest([("chunks", chunks)], mask_probability)


def of_held_out_examples(
    features: Features, gold: Sequence[Any], reading: Mapping[str, Any], precision: str
) -> str:
    """Hash of what decides the scores of a task's validation, besides the weights.

    The size of batches is left out, so that a training whose validation did not fit into memory
    continues with smaller ones: padding changes outputs only by rounding errors.

    Args:
        features, gold: of the validation examples.
        reading: from :func:`langarith.study.sources.task_reading`.
        precision: as the study names it: with `auto` a run may continue on another kind of GPU.
    """
    # `cuts` and `examples` say which examples are read, also of other splits
    settings = {key: value for key, value in reading.items() if key not in ("cuts", "examples")}
    return digest(_arrays(features), [settings, list(features.labels), list(gold), precision])


def _arrays(features: Features) -> Iterator[tuple[str, np.ndarray]]:
    yield from Rows(task_dataset(features.columns)).arrays()
    if features.alignment:
        yield "alignment lengths", np.array([len(part) for part in features.alignment])
        yield "alignment", np.concatenate(features.alignment)
