"""MAD-X language adapters: masked language modelling on a frozen encoder (section 3.2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import set_seed

from langarith.data import streams
from langarith.models import devices, encoders
from langarith.models.adapters import load_adapter, save_adapter, train_only
from langarith.training import language_model


def run(
    names: Mapping[str, str],
    recipe: Mapping[str, Any],
    folder: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    initial: Path,
    tokens: Sequence[Path],
    budget: int | None,
    text: Mapping[str, Any],
    log: Path,
    checkpoints: Path,
    save_minutes: float,
) -> None:
    """Train one language adapter, from files to files.

    Args:
        names: `language`, `budget` and `seed`: the job's wildcards.
        recipe: the fields of a :class:`langarith.study.recipes.LanguageAdapterRecipe`.
        folder: of the adapter, to write.
        encoder, tokenizer, initial: folders; `initial` is the adapter to start from.
        tokens: token streams of the language, in order.
        budget: tokens of training text; None for all.
        text: from :func:`langarith.study.sources.text_parts`.
        log: the metrics log, to write.
        checkpoints: a folder for this training only, from which a killed one continues.
        save_minutes: time between checkpoints.

    Raises:
        InputError: the text is too short, the tokenizer or the chunks do not fit the model, or the
            training diverges.
    """
    language, seed = names["language"], int(names["seed"])
    chunks = streams.read_chunks(tokens, chunk_length=recipe["chunk_length"], budget=budget, **text)
    loaded = encoders.load_tokenizer(tokenizer)
    model = encoders.load_masked_lm(encoder)
    encoders.refuse_unfit(model, loaded, recipe["chunk_length"])
    load_adapter(model, initial, language, with_head=False)
    train_only(model, language, head=recipe.get("head") == "trained")
    model.to(devices.device())
    set_seed(seed)
    language_model.train(
        model,
        loaded,
        recipe,
        chunks,
        seed=seed,
        log=log,
        checkpoints=checkpoints,
        save_minutes=save_minutes,
        what=f"language adapter {language}@{names['budget']}, seed {seed}",
    )
    save_adapter(model, language, folder, with_head=False)
