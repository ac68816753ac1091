"""What a checkpoint belongs to: a run resumes only from one of the same training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.training.batching import Rows, task_dataset

if TYPE_CHECKING:
    from langarith.tasks.shared.base import Features

OTHERS = {
    "recipe": "another recipe",
    "seed": "another seed",
    "weights": "other initial weights",
    "rows": "other training data",
    "validation": "other validation data or scoring",
}
"""The parts of an identity, and what a checkpoint has of which one is another."""


def of_training(
    model: PreTrainedModel, recipe: Mapping[str, Any], seed: int, rows: Rows, validated_on: str
) -> dict[str, Any]:
    """What a training is, as values of JSON: the `recipe` by key, `seed`, and hashes of the rest.

    Args:
        model: with its initial weights.
        validated_on: a hash, such as that of :func:`of_held_out_text`.
    """
    return {
        # another number of threads rounds sums in another way, no more than another machine does,
        # and --cores may already give a job fewer than its recipe names
        "recipe": {key: value for key, value in recipe.items() if key != "threads"},
        "seed": seed,
        "weights": digest(_weights(model)),
        "rows": digest(rows.arrays()),
        "validation": validated_on,
    }


def difference(saved: bytes, this: Mapping[str, Any]) -> str | None:
    """How a checkpoint differs from those of this training: the predicate of a sentence; else None.

    Args:
        saved: the identity that was written next to the checkpoint, as JSON.
        this: from :func:`of_training`.
    """
    this = json.loads(json.dumps(this))
    try:
        other = json.loads(saved)
    except ValueError:
        other = None
    if not isinstance(other, dict) or other.keys() != this.keys():
        return "is of another version of langarith"
    named = {part: OTHERS[part] for part in this if other[part] != this[part]}
    if "recipe" in named:
        old, new = other["recipe"], this["recipe"]
        keys = sorted(key for key in old.keys() | new if old.get(key, ...) != new.get(key, ...))
        named["recipe"] += f" ({', '.join(keys)})"
    return f"has {', '.join(named.values())}" if named else None


def digest(arrays: Iterable[tuple[str, np.ndarray]], settings: Any = None) -> str:
    """Hash of arrays, with their names, types and shapes, and of settings (values of JSON)."""
    hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, array in arrays:
        hashed.update(f"{name} {array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def of_held_out_text(
    chunks: np.ndarray, mask_probability: float, tokenizer: PreTrainedTokenizerFast
) -> str:
    """Hash of what decides the losses of masked-LM validation, besides the weights.

    Args:
        chunks: (rows, length) token ids.
        tokenizer: which ids it masks, and with what.
    """
    masks = [tokenizer.mask_token_id, tokenizer.all_special_ids, len(tokenizer)]
    return digest([("chunks", chunks)], [mask_probability, *masks])


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


def _weights(model: PreTrainedModel) -> Iterator[tuple[str, np.ndarray]]:
    for name, parameter in model.named_parameters():
        # an unused pooler is initialised at random at every start
        if ".pooler." not in name:
            yield name, parameter.detach().cpu().contiguous().view(torch.uint8).numpy()
