"""Checks of a training at each step: the mean loss, and whether its numbers are finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch

PATIENCE = 32
"""Steps in a row that may have a gradient that is not finite. The loss scaling of fp16 skips such
steps and halves its factor: 16 of them reduce the first factor, 65536, to 1."""

CHECK_EVERY = 100
"""Steps between checks that must wait for a GPU."""


class LossWindow:
    """The mean training loss since the last row of the metrics log.

    A micro-batch whose loss is not finite is ignored: one without a masked token has no loss.
    Sums stay on the device, so that no step waits for them.
    """

    def __init__(self) -> None:
        self.total = self.weight = torch.zeros((), dtype=torch.float64)
        self.last = torch.zeros(())

    def add(self, loss: torch.Tensor, weight: float) -> None:
        """Add a loss that is already multiplied by its weight."""
        self.last = loss / weight
        finite = torch.isfinite(loss)
        self.total = self.total.to(loss.device) + torch.where(finite, loss.double(), 0.0)
        self.weight = self.weight.to(loss.device) + finite.double() * weight

    def close(self) -> float:
        """The mean, NaN if all losses were ignored; the next window starts empty."""
        mean = float(self.total / self.weight)
        self.restore({"total": 0.0, "weight": 0.0})
        return mean

    def state(self) -> dict[str, float]:
        """The state to save in a checkpoint."""
        return {"total": float(self.total), "weight": float(self.weight)}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from a checkpoint."""
        self.total, self.weight = (
            torch.tensor(state[name], dtype=torch.float64) for name in ("total", "weight")
        )


class Steps:
    """Counts steps in a row whose gradient norm, or loss if there is no norm, is not finite."""

    def __init__(self, total: int) -> None:
        self.limit = min(PATIENCE, max(2, total))
        self.bad = torch.zeros((), dtype=torch.int64)

    def add(self, value: torch.Tensor) -> None:
        """Count one step by its gradient norm or loss."""
        self.bad = (self.bad.to(value.device) + 1) * ~torch.isfinite(value)

    def on_cpu(self) -> bool:
        """Whether the count can be read without waiting for a GPU."""
        return self.bad.device.type == "cpu"

    def fault(self, weights: Sequence[torch.Tensor]) -> str | None:
        """Why the training cannot recover, or None.

        A step that is not finite is not an error by itself: the loss scaling of fp16 skips it, and
        a batch without a masked token has no loss. Weights that are not finite never recover.
        """
        count = int(self.bad)
        if not count:
            return None
        if fault := weights_fault(weights):
            return fault
        return f"no finite gradient in {count} steps in a row" if count >= self.limit else None


def weights_fault(weights: Sequence[torch.Tensor]) -> str | None:
    """Why the weights cannot be used, or None if all are finite; waits for their device once."""
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in weights]).all()
    return None if finite else "weights that are not finite"
