"""How AdapterHub names the files of an adapter, and what the names of tensors say."""

from __future__ import annotations

import re

ADAPTER_FILES = ("adapter_config.json", "adapter.safetensors")
HEAD_FILES = ("head_config.json", "model_head.safetensors")
PICKLES = {ADAPTER_FILES[1]: "pytorch_adapter.bin", HEAD_FILES[1]: "pytorch_model_head.bin"}
"""What older versions of `adapters` call the files of weights."""

_LAYER = re.compile(r"\blayer\.(\d+)\.")


def layer_of(tensor: str) -> int | None:
    """The layer of a tensor by its name, counted from 0; None for a tensor outside the layers."""
    match = _LAYER.search(tensor)
    return int(match[1]) if match else None
