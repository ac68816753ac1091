"""Masked language modelling, by which base models and language adapters are trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.data.streams import Chunks
from langarith.models import devices, masking
from langarith.training import batching, identity, loop
from langarith.training.metrics import MetricsLog


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Mapping[str, Any],
    chunks: Chunks,
    *,
    seed: int,
    log: Path,
    checkpoints: Path,
    save_minutes: float,
    what: str,
    order: torch.utils.data.Sampler[int] | None = None,
) -> loop.Outcome:
    """Train the trainable parameters and load the checkpoint with the lowest held-out loss.

    The loss is the mean cross-entropy in nats over masked tokens; those of held-out text are masked
    once, those of training text in every step.

    Args:
        model: on the device to train on.
        recipe: the fields of a :class:`langarith.study.recipes.LanguageModelRecipe`. Other keys
            say what else a checkpoint belongs to.
        chunks: (rows, `chunk_length`) token ids of each part.
        seed: of the order of rows, masks and dropout.
        log: the metrics log to write.
        checkpoints, save_minutes, what, order: as for :func:`loop.train`.

    Raises:
        InputError: no token of the held-out text is masked, or the training diverges.
    """
    probability, precision = recipe["mask_probability"], recipe["precision"]
    return loop.train(
        model,
        recipe,
        data=batching.chunk_dataset(chunks.train),
        collate=batching.stack,
        mask=masking.MaskTokens(tokenizer, mlm_probability=probability).mask,
        loss=masking.masked_loss,
        validate=masking.masked_validation(
            model,
            chunks.validation,
            tokenizer,
            probability,
            recipe["batch_size"],
            devices.precision(precision, devices.device()),
        ),
        validated_on=identity.of_held_out_text(chunks.validation, probability, tokenizer),
        metric="loss",
        larger_is_better=False,
        seed=seed,
        checkpoints=checkpoints,
        save_minutes=save_minutes,
        log=MetricsLog(log),
        order=order,
        what=what,
    )
