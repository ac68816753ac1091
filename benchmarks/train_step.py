"""One step of training a language adapter: ours against the stock forward with dense logits.

Both sides train the same MAD-X adapter in the same model with random weights, in the shapes of
XLM-R base (250,002 words) and of mBERT (119,547), on the same masked batch of 512 tokens a row:
forward, backward, clipping, AdamW. The peer hands labels to the model, which computes logits for
every position, as `run_mlm` does; ours gathers the masked positions first. A short step runs before
the clock starts. Loss and gradients must be equal to 1e-4.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness

LAYERS, WIDTH, INNER, HEADS = 12, 768, 3072, 12
MASKED = 0.15
TOLERANCE = 1e-4


def ours(given: harness.Given) -> dict[str, Any]:
    from langarith.models import masked_lm

    return _step(given, masked_lm.masked_lm_loss)


def theirs(given: harness.Given) -> dict[str, Any]:
    import torch

    def loss(model: Any, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return model(
            input_ids=input_ids, attention_mask=torch.ones_like(input_ids), labels=labels
        ).loss

    return _step(given, loss)


def _step(given: harness.Given, loss_of: Callable[..., Any]) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file

    from langarith.models.adapters import (
        add_initialised,
        language_config,
        named_parameters,
        train_only,
    )
    from langarith.study.recipes import LanguageAdapterShape

    model = _model(given)
    shape = LanguageAdapterShape().model_dump()
    add_initialised(model, "language", language_config(shape), seed=1)
    train_only(model, "language")
    model.train()
    trained = named_parameters(model, "language")
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-4, weight_decay=0.0, fused=True)

    def step(rows: int, length: int) -> tuple[float, dict[str, torch.Tensor]]:
        torch.manual_seed(rows)
        input_ids = torch.randint(5, given["vocabulary"], (rows, length))
        labels = torch.where(torch.rand(rows, length) < MASKED, input_ids, -100)
        loss = loss_of(model, input_ids, labels)
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in trained.items()}
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach()), gradients

    step(1, 32)
    start = time.perf_counter()
    loss, gradients = step(given["rows"], given["length"])
    seconds = time.perf_counter() - start
    kept = Path(given["scratch"]) / f"{os.getpid()}.safetensors"
    save_file(gradients, kept)
    tokens = given["rows"] * given["length"]
    layers = harness.forward_operations(given["layers"], WIDTH, INNER, given["length"])
    return {
        "seconds": seconds,
        "operations": 2 * tokens * (layers + MASKED * 2 * WIDTH * given["vocabulary"]),
        "tokens": tokens,
        "answer": {"loss": loss, "gradients": str(kept)},
    }


def _model(given: harness.Given) -> Any:
    """A base model with random weights; no dropout, so that both sides compute the same."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

    from langarith.models import encoders

    config, kind, positions = {
        "xlm-r": (XLMRobertaConfig, XLMRobertaForMaskedLM, 514),
        "mbert": (BertConfig, BertForMaskedLM, 512),
    }[given["model"]]
    torch.manual_seed(0)
    model = kind(
        config(
            vocab_size=given["vocabulary"],
            hidden_size=WIDTH,
            num_hidden_layers=given["layers"],
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            max_position_embeddings=positions,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    return encoders.with_inverse(model)


@harness.each
def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """Loss, and each tensor's gradient by the norm of the difference."""
    from safetensors.torch import load_file

    if abs(ours["loss"] - theirs["loss"]) > TOLERANCE * abs(theirs["loss"]):
        return f"losses {ours['loss']} and {theirs['loss']}"
    gradients, others = load_file(ours["gradients"]), load_file(theirs["gradients"])
    for name, gradient in gradients.items():
        difference = float((gradient - others[name]).norm() / others[name].norm())
        if not difference <= TOLERANCE:
            return f"gradients of {name} differ by {difference:.1e} of their norm"
    return None


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    length, layers = (32, 1) if asked.tiny else (512, LAYERS)
    with TemporaryDirectory() as scratch:
        for model, vocabulary, rows, bars in (
            ("xlm-r", 250_002, 4, {"seconds": 2.2, "peak_mb": 2.0}),
            ("mbert", 119_547, 2, {"seconds": 1.5, "peak_mb": None}),
        ):
            yield harness.Case(
                f"{model}, {rows} x {length} tokens",
                {
                    "model": model,
                    "vocabulary": 300 if asked.tiny else vocabulary,
                    "rows": rows,
                    "length": length,
                    "layers": layers,
                    "scratch": scratch,
                },
                bars=bars,
                repeats=2,
            )


if __name__ == "__main__":
    harness.main(__doc__, "train_step", {"ours": ours, "dense logits": theirs}, cases, agree=agree)
