"""Adapters as the first versions of `adapter-transformers` saved them, and AdapterHub has them.

A pickled state dict with the old names of parameters, in the file format of torch before 1.6, and
an `adapter_config.json` without a version, with a nested invertible adapter and keys of its time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from adapters import SeqBnConfig
from transformers import PreTrainedModel

import helpers
from langarith.models import encoders


def add_tagger(model: PreTrainedModel, labels: Sequence[str]) -> None:
    """A random task adapter `ner` with a head whose outputs differ from each other."""
    helpers.add_adapter(model, "ner", 3, SeqBnConfig(reduction_factor=4, non_linearity="relu"))
    torch.manual_seed(0)
    encoders.add_head(model, "ner", "tagging", labels)
    for parameter in model.heads["ner"].parameters():
        torch.nn.init.normal_(parameter)


OLD_ACTIVATIONS = {"gelu_new": "gelu", "gelu": "gelu_orig"}


def old_name(name: str, kind: str) -> str:
    """The name that a parameter had: `layer_text_lang_adapters`, `invertible_lang_adapters`."""
    name = name.replace("invertible_adapters.", "invertible_lang_adapters.")
    if ".attention.output.adapters." in name:
        return name.replace(".adapters.", f".attention_{kind}_adapters.")
    return name.replace(".output.adapters.", f".output.layer_{kind}_adapters.")


def old_config(config: dict[str, Any], kind: str) -> dict[str, Any]:
    """The configuration of an adapter, as it was written."""
    activation = config["non_linearity"]
    kept = ("reduction_factor", "mh_adapter", "output_adapter", "original_ln_before",
            "original_ln_after", "ln_before", "ln_after", "residual_before_ln",
            "adapter_residual_before_ln")  # fmt: skip
    return {
        **{key: config[key] for key in kept},
        "non_linearity": OLD_ACTIVATIONS.get(activation, activation),
        "attention_type": "sent-lvl-dynamic",
        "new_attention_norm": False,
        # task adapters described one, too, and had none
        "invertible_adapter": {
            "block_type": "nice",
            "non_linearity": "relu",
            "reduction_factor": config["inv_adapter_reduction_factor"] or 2,
        }
        if config["inv_adapter"] or kind == "text_task"
        else None,
    }


def write(
    model: PreTrainedModel,
    name: str,
    folder: Path,
    kind: str,
    *,
    labels: bool = False,
    **changes: Any,
) -> Path:
    """Save an adapter of a model in the old format; a `text_task` one with its head.

    Args:
        kind: `text_lang` or `text_task`.
        labels: whether the head's configuration has its label2id, which the oldest ones lack.
        changes: of adapter_config.json.
    """
    folder.mkdir(parents=True)
    about = {
        "hidden_size": model.config.hidden_size,
        "model_class": "XLMRobertaModelWithHeads",
        "model_name": "xlm-roberta-base",
        "model_type": model.config.model_type,
        "name": name,
    }
    part = f"adapters.{name}."
    state = {k: v for k, v in model.state_dict().items() if part in k}
    torch.save(
        type(model.state_dict())((old_name(k, kind), v) for k, v in state.items()),
        folder / "pytorch_adapter.bin",
        _use_new_zipfile_serialization=False,
    )
    config = old_config(model.adapters_config.get(name).to_dict(), kind)
    described = {"config": config, "config_id": "9076f36a74755ac4", "type": kind, **about}
    (folder / "adapter_config.json").write_text(json.dumps(described | changes, indent=2))
    if kind == "text_task":
        head = {k: v for k, v in model.state_dict().items() if f"heads.{name}." in k}
        torch.save(head, folder / "pytorch_model_head.bin", _use_new_zipfile_serialization=False)
        kept = dict(model.heads[name].config)
        kept["label2id"] = kept["label2id"] if labels else None
        described = {"config": kept, **about}
        (folder / "head_config.json").write_text(json.dumps(described, indent=2))
    return folder
