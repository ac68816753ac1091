"""Micro-batches that do not fit into memory: their parts, and the state before a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def parts(
    batch: dict[str, torch.Tensor], rows: int
) -> Iterator[tuple[dict[str, torch.Tensor], float]]:
    """A batch in parts of at most `rows` rows, and the weight of each part's mean loss.

    The weighted losses add up to the mean loss of the batch: the mean over the labelled tokens, or
    over the rows if tokens have no labels. A part without a labelled token has no loss and is left
    out.
    """
    size = len(batch["input_ids"])
    if size <= rows:
        yield batch, 1.0
        return
    labels = batch.get("labels", torch.zeros(size))
    counts = (labels.reshape(size, -1) != -100).sum(1)
    for start in range(0, size, rows):
        # not a number, as is the loss, if no token of the batch has a label
        weight = float(counts[start : start + rows].sum() / counts.sum())
        if weight != 0:
            yield {name: column[start : start + rows] for name, column in batch.items()}, weight


class Before:
    """The gradients and the random states before a step, from which it can be repeated."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.gradients = [None if p.grad is None else p.grad.clone() for p in parameters]
        self.generators = (torch.default_generator, *torch.cuda.default_generators)
        self.states = [generator.get_state() for generator in self.generators]

    def restore(self) -> None:
        """Go back to them."""
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
        torch.cuda.empty_cache()
