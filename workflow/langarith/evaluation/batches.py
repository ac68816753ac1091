"""Forward passes over encoded examples in length-bucketed batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from langarith.models import devices
from langarith.models.padding import pad, pad_mask


def buckets(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices of features in batches of near-equal length, longest first.

    Of all ways to split the sorted features into batches within the bound, the one with the fewest
    tokens to compute, padding included. Starting a batch counts as 1/32 of the bound in tokens:
    both are proportional to the speed of the device.

    Args:
        lengths: tokens per feature.
        tokens_per_batch: bound on rows x longest row of a batch, padding included; a single row
            may be longer.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    widths = [max(1, lengths[i]) for i in order]
    # by first feature: the cost from there to the end, and the end of the batch that starts there
    cost = np.zeros(len(order) + 1)
    end = np.zeros(len(order), dtype=np.int64)
    for first in range(len(order) - 1, -1, -1):
        rows = max(1, min(tokens_per_batch // widths[first], len(order) - first))
        costs = cost[first + 1 : first + rows + 1] + widths[first] * np.arange(1, rows + 1)
        best = int(costs.argmin())
        cost[first] = costs[best] + tokens_per_batch / 32
        end[first] = first + best + 1
    start = 0
    while start < len(order):
        yield order[start : end[start]]
        start = end[start]


class Batches:
    """Encoded examples, padded and moved to the device once for many models.

    A sweep runs the same examples through 21 merges: everything that does not depend on the weights
    is done here, once.
    """

    def __init__(
        self,
        columns: dict[str, list[list[int]]],
        pad_token: int,
        tokens_per_batch: int,
        on: torch.device,
    ) -> None:
        rows = columns["input_ids"]
        lengths = [len(row) for row in rows]
        self.count = len(rows)
        self.batches: list[tuple[list[int], dict[str, torch.Tensor]]] = []
        padded = 0
        for chosen in buckets(lengths, tokens_per_batch):
            ids = pad([rows[i] for i in chosen], pad_token)
            mask = pad_mask([lengths[i] for i in chosen])
            padded += ids.numel()
            inputs = {"input_ids": ids.to(on), "attention_mask": mask.to(on)}
            if "token_type_ids" in columns:
                inputs["token_type_ids"] = pad(
                    [columns["token_type_ids"][i] for i in chosen], 0
                ).to(on)
            self.batches.append((chosen, inputs))
        self.lengths = lengths
        self.padding = 1 - sum(lengths) / padded if padded else 0.0


@torch.inference_mode()
def run(
    model: PreTrainedModel, batches: Batches, head: str, precision: str
) -> tuple[list[Any], list[Any]]:
    """The outputs of a model with its current weights, and their entropies.

    All batches are queued on a GPU before the first output is copied back, so that it is never
    idle.

    Returns:
        Two lists in the order of the features. Outputs: tagging: int arrays (length,) of class
        ids; classification: ints; qa: float32 arrays (2, length) of start and end logits.
        Entropies in nats: tagging: float32 arrays (length,); classification: floats; qa: None,
        because the task decides which positions are admissible.
    """
    model.eval()
    on = next(model.parameters()).device
    results: list[tuple[list[int], torch.Tensor, torch.Tensor | None]] = []
    for indices, inputs in batches.batches:
        with devices.autocast(precision, on):
            out = model(**inputs)
        if head == "qa":
            results.append(
                (indices, torch.stack([out.start_logits, out.end_logits], dim=1).float(), None)
            )
        else:
            log_mass = out.logits.float().log_softmax(-1)
            entropy = -(log_mass.exp() * log_mass).sum(-1)
            results.append((indices, out.logits.argmax(-1), entropy))
    outputs: list[Any] = [None] * batches.count
    entropies: list[Any] = [None] * batches.count
    for indices, result, entropy in results:
        for target, values in ((outputs, result), (entropies, entropy)):
            if values is not None:
                for i, row in zip(indices, values.cpu().numpy(), strict=True):
                    target[i] = row.item() if row.ndim == 0 else row[..., : batches.lengths[i]]
    return outputs, entropies
