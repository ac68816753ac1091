"""What a training watches step by step: its mean loss, and whether its numbers are finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch

PATIENCE = 32
"""Steps in a row that may have a gradient that is not finite. Scaling of fp16 finds its factor by
such steps, which it skips: 16 of them bring the first factor, 65536, down to 1."""

CHECK_EVERY = 100
"""Steps after which a GPU is asked for numbers that nothing else waits for."""


class LossWindow:
    """The mean training loss since the last row of the metrics log.

    A micro-batch whose loss is not finite counts for nothing: one without a masked token has none.
    Sums stay on the device, so that no step waits for them.
    """

    def __init__(self) -> None:
        self.total = self.weight = torch.zeros((), dtype=torch.float64)
        self.last = torch.zeros(())

    def add(self, loss: torch.Tensor, weight: float) -> None:
        """Add a loss that is multiplied by its weight already."""
        self.last = loss / weight
        finite = torch.isfinite(loss)
        self.total = self.total.to(loss.device) + torch.where(finite, loss.double(), 0.0)
        self.weight = self.weight.to(loss.device) + finite.double() * weight

    def close(self) -> float:
        """The mean, NaN where nothing counts; the next window starts empty."""
        mean = float(self.total / self.weight)
        self.restore({"total": 0.0, "weight": 0.0})
        return mean

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"total": float(self.total), "weight": float(self.weight)}

    def restore(self, state: dict[str, float]) -> None:
        """Continue from a checkpoint."""
        self.total, self.weight = (
            torch.tensor(state[name], dtype=torch.float64) for name in ("total", "weight")
        )


class Steps:
    """Counts steps in a row whose gradient, or loss where no norm is taken, is not finite."""

    def __init__(self, total: int) -> None:
        self.limit = min(PATIENCE, max(2, total))
        self.bad = torch.zeros((), dtype=torch.int64)

    def add(self, value: torch.Tensor) -> None:
        """Count one step by its gradient norm or loss."""
        self.bad = (self.bad.to(value.device) + 1) * ~torch.isfinite(value)

    def cheap(self) -> bool:
        """Whether looking at the count waits for no GPU."""
        return self.bad.device.type == "cpu"

    def fault(self, weights: Sequence[torch.Tensor]) -> str | None:
        """Why the training cannot recover, or None.

        A step that is not finite is no error by itself: scaling of fp16 skips it, and a batch
        without a masked token has no loss. Weights that are not finite never recover.
        """
        count = int(self.bad)
        if not count:
            return None
        if fault := weights_fault(weights):
            return fault
        return f"no finite gradient in {count} steps in a row" if count >= self.limit else None


def weights_fault(weights: Sequence[torch.Tensor]) -> str | None:
    """Whether an element of the weights is not finite; waits for their device once."""
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in weights]).all()
    return None if finite else "weights that are not finite"
