"""Base models: encoders trained by masked language modelling on the corpora of their languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast, set_seed

from langarith.data.streams import Chunks, read_chunks
from langarith.models import devices, encoders
from langarith.training import language_model, mixing


def run(
    name: str,
    spec: Mapping[str, Any],
    folder: Path,
    *,
    start: Path | None,
    tokenizer: Sequence[Path],
    tokens: Sequence[Sequence[Path]],
    text: Mapping[str, Any],
    log: Path,
    checkpoints: Path,
    save_minutes: float,
) -> None:
    """Train one base model, from files to files.

    Args:
        name: of the model.
        spec: from :func:`langarith.study.sources.pretraining`.
        folder: of the encoder, to write.
        start: folder of the encoder whose weights are the first ones; None for random weights.
        tokenizer: its files, in one folder.
        tokens: for each language, in the order of `spec`, its token streams in order.
        text: from :func:`langarith.study.sources.text_parts`.
        log: the metrics log, to write.
        checkpoints: a folder for this training only, from which a killed one continues.
        save_minutes: time between checkpoints.

    Raises:
        InputError: a corpus is too short, `start` has other weights than its configuration says,
            the tokenizer or the chunks do not fit the model, or the training diverges.
    """
    recipe = spec["training"]
    loaded = encoders.load_tokenizer(tokenizer[0].parent)
    corpora = [
        read_chunks(paths, chunk_length=recipe["chunk_length"], budget=None, **text)
        for paths in tokens
    ]
    set_seed(spec["seed"])
    model = _untrained(spec, start, loaded).to(devices.device())
    language_model.train(
        model,
        loaded,
        # a killed run must not continue with another mixture or other frozen weights
        recipe | {key: spec[key] for key in ("alpha", "freeze") if key in spec},
        Chunks(
            np.concatenate([chunks.train for chunks in corpora]),
            np.concatenate([chunks.validation for chunks in corpora]),
        ),
        seed=spec["seed"],
        log=log,
        checkpoints=checkpoints,
        save_minutes=save_minutes,
        what=f"pretraining {name}",
        order=mixing.order(
            [len(chunks.train) for chunks in corpora], spec.get("alpha", 1.0), spec["seed"]
        ),
    )
    # config.json of a `start` is not the configuration of the saved model
    encoders.save_base(model, folder, [path for path in tokenizer if path.name != "config.json"])


def _untrained(
    spec: Mapping[str, Any], start: Path | None, tokenizer: PreTrainedTokenizerFast
) -> PreTrainedModel:
    """The model with its first weights."""
    if start is None:
        return encoders.new_masked_lm(spec, tokenizer)
    model = encoders.load_start(start, spec["freeze"])
    encoders.refuse_unfit(model, tokenizer, spec["training"]["chunk_length"])
    return model
