"""The order of the rows of several corpora, mixed with a temperature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch


def shares(sizes: Sequence[int], alpha: float) -> list[float]:
    """The share of each corpus, in proportion to its size to the power of `alpha`.

    With `alpha` 1 shares are proportional to size; the nearer to 0, the more equal they are
    (Conneau and Lample 2019, section 3.1; Conneau et al. 2020, XLM-R, section 3.1: 0.3).

    Args:
        sizes: number of rows of each corpus; all rows have the same length.
    """
    weights = [size**alpha for size in sizes]
    return [weight / sum(weights) for weight in weights]


def counts(sizes: Sequence[int], alpha: float) -> list[int]:
    """Rows of each corpus in an epoch, which has as many rows as all corpora together.

    The shares are rounded down, and the remaining rows go to the largest remainders.
    """
    total = sum(sizes)
    exact = [share * total for share in shares(sizes, alpha)]
    floors = [int(value) for value in exact]
    rest = sorted(range(len(sizes)), key=lambda i: floors[i] - exact[i])[: total - sum(floors)]
    return [count + (i in rest) for i, count in enumerate(floors)]


def order(sizes: Sequence[int], alpha: float, seed: int) -> MixedOrder | None:
    """The order of rows for a training; None if each row occurs once in an epoch."""
    return None if alpha == 1 else MixedOrder(sizes, alpha, seed)


class MixedOrder(torch.utils.data.Sampler[int]):
    """The order of rows of concatenated corpora; depends only on seed and epoch.

    All rows of a corpus are used, each time in a new order, before one is repeated; an epoch
    continues where the last one ended. So all of a large corpus is used over several epochs, and a
    small one is repeated evenly.
    """

    def __init__(self, sizes: Sequence[int], alpha: float, seed: int) -> None:
        self.sizes, self.seed = list(sizes), seed
        self.counts = counts(sizes, alpha)
        self.epoch = 0

    def __len__(self) -> int:
        return sum(self.sizes)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        first, parts = 0, []
        for corpus, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True)):
            parts.append(first + self._rows(corpus, size, count))
            first += size
        mixed = self._generator(len(self.sizes), self.epoch).permutation(np.concatenate(parts))
        return iter(mixed.tolist())

    def _rows(self, corpus: int, size: int, count: int) -> np.ndarray:
        """Rows of one corpus in this epoch, as indices within the corpus."""
        begin = self.epoch * count
        passes = range(begin // size, -(-(begin + count) // size))
        orders = [self._generator(corpus, number).permutation(size) for number in passes]
        return np.concatenate([np.empty(0, dtype=np.int64), *orders])[begin % size :][:count]

    def _generator(self, corpus: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, corpus, number])
