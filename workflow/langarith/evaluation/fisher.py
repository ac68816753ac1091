"""The Fisher information of a language adapter on held-out raw text of its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.data import streams
from langarith.files import whole
from langarith.models import devices, encoders
from langarith.models.adapters import LANGUAGE, load_adapter, named_parameters, train_only
from langarith.models.masked_lm import masked_logits
from langarith.models.masking import masked_held_out
from langarith.progress import Progress


def estimate(
    model: PreTrainedModel,
    chunks: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    *,
    mask_probability: float,
    title: str,
) -> dict[str, torch.Tensor]:
    """The diagonal of the empirical Fisher information, in float32, by parameter name.

    The mean over chunks of the squared gradient of log p(masked tokens | the rest of the chunk), a
    sum over the masked tokens of one chunk. The tokens are those of the text (the empirical
    Fisher), not sampled from the model's predictions. Gradients are computed chunk by chunk,
    because the square of a batch's gradient is another quantity. Dropout is off, as in the authors'
    code.

    Args:
        model: a masked-language model in which only the adapter `LANGUAGE` is trainable.
        chunks: (rows, length) token ids. Their masks are drawn once, from a fixed seed.

    Raises:
        InputError: the text is so short that no token of it is masked.
    """
    masked = masked_held_out(chunks, tokenizer, mask_probability)
    model.eval()
    parameters = named_parameters(model, LANGUAGE)
    total = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in parameters.items()}
    progress = Progress(title, len(chunks), "chunk")
    for count, (ids, labels) in enumerate(zip(masked["input_ids"], masked["labels"], strict=True)):
        if (labels != -100).any():
            row = devices.to_device(ids[None], model.device)
            logits, wanted = masked_logits(model, row, labels[None])
            loss = nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            for name, gradient in zip(parameters, gradients, strict=True):
                total[name] += gradient.double().square()
        progress.update(count + 1, "")
    return {name: (sums / len(chunks)).float() for name, sums in total.items()}


def evenly_spaced(chunks: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, evenly spaced so that they come from many documents."""
    positions = np.linspace(0, len(chunks) - 1, min(count, len(chunks)))
    return np.asarray(chunks[positions.round().astype(int)])


def run(
    names: Mapping[str, str],
    file: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    adapter: Path,
    tokens: Sequence[Path],
    reading: Mapping[str, Any],
) -> None:
    """Estimate the Fisher information of one adapter, from files to a safetensors file.

    Args:
        names: the job's wildcards.
        file: to write: a tensor for each parameter, named as by `read_adapter`, with the numbers of
            `chunks` and `tokens` as metadata.
        encoder, tokenizer, adapter: folders.
        tokens: token streams of the adapter's language, in order.
        reading: `validation_documents`, `chunk_length`, `mask_probability`, and `chunks`, the
            largest number of chunks.
    """
    chunks = evenly_spaced(
        streams.read_held_out(
            tokens,
            validation_documents=reading["validation_documents"],
            chunk_length=reading["chunk_length"],
        ),
        reading["chunks"],
    )
    loaded = encoders.load_tokenizer(tokenizer)
    model = encoders.load_masked_lm(encoder)
    encoders.refuse_unfit(model, loaded, reading["chunk_length"])
    load_adapter(model, adapter, LANGUAGE, with_head=False)
    train_only(model, LANGUAGE)
    fisher = estimate(
        model.to(devices.device()),
        chunks,
        loaded,
        mask_probability=reading["mask_probability"],
        title="Fisher information of {language}@{budget}, seed {seed}".format(**names),
    )
    metadata = {"chunks": str(len(chunks)), "tokens": str(chunks.size)}
    with whole(file) as partial:
        save_file({name: tensor.cpu() for name, tensor in fisher.items()}, partial, metadata)
