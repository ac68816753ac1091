"""Masking of tokens, in training and validation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from langarith.errors import InputError
from langarith.models import devices, masked_lm

MASK_SEED = 0


class MaskTokens(DataCollatorForLanguageModeling):
    """The 80/10/10 masking of transformers for full chunks, without its slow row-by-row padding."""

    def mask(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """`input_ids` and `labels` of rows of token ids, both (rows, length).

        Training calls it in every step. A collator cannot mask: batches are prefetched, so a
        checkpoint would contain the random state after the masks of a later step.
        """
        special = torch.isin(rows, torch.tensor(self.tokenizer.all_special_ids))
        ids, labels = self.torch_mask_tokens(rows.clone(), special_tokens_mask=special)
        return {"input_ids": ids, "labels": labels}


def masked_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean loss over the masked tokens of a batch of `MaskTokens.mask`."""
    ids = devices.to_device(batch["input_ids"], model.device)
    return masked_lm.masked_lm_loss(model, ids, batch["labels"])


def masked_held_out(
    chunks: np.ndarray, tokenizer: PreTrainedTokenizerFast, probability: float
) -> dict[str, torch.Tensor]:
    """`input_ids` and `labels` of held-out text, both (rows, length), masked from a fixed seed.

    Raises:
        InputError: the text is so short that no token of it is masked.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(MASK_SEED)
        masked = MaskTokens(tokenizer, mlm_probability=probability).mask(
            torch.from_numpy(chunks.astype(np.int64))
        )
    if not (masked["labels"] != -100).any():
        raise InputError(
            f"none of the {chunks.size} held-out subwords is masked, so there is no held-out loss; "
            "raise 'validation_documents' or 'mask_probability'"
        )
    return masked


def masked_validation(
    model: PreTrainedModel,
    chunks: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    probability: float,
    batch_size: int,
    precision: str,
) -> Callable[[], dict[str, float]]:
    """A function that gives `loss`: mean cross-entropy in nats over masked tokens of held-out text.

    Args:
        chunks: (rows, length) token ids. Their masks are drawn once from a fixed seed, the same
            for every checkpoint, seed and language adapter.

    Raises:
        InputError: the text is so short that no token of it is masked.
    """
    masked = masked_held_out(chunks, tokenizer, probability)

    @torch.inference_mode()
    def validate() -> dict[str, float]:
        model.eval()
        on = next(model.parameters()).device
        total, count = torch.zeros((), dtype=torch.float64, device=on), 0
        for start in range(0, len(chunks), batch_size):
            ids = devices.to_device(masked["input_ids"][start : start + batch_size], on)
            labels = masked["labels"][start : start + batch_size]
            masked_count = int((labels != -100).sum())
            if masked_count:
                with devices.autocast(precision, on):
                    loss = masked_lm.masked_lm_loss(model, ids, labels)
                total += loss.double() * masked_count
                count += masked_count
        return {"loss": float(total) / count}

    return validate
