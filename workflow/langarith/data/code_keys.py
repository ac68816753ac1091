"""Keys of configuration files that make a library run or fetch code: they are refused.

`auto_map` names Python files of a repository. `_attn_implementation` and its variants may name a
repository whose compiled kernels transformers 4.56 to 5.2 loads if the package `kernels` is
installed, whatever `trust_remote_code` is (CVE-2026-4372). An `adapter_config.json` of PEFT makes
transformers load another base model than the folder's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langarith.errors import InputError

FILES = ("config.json", "tokenizer_config.json", "adapter_config.json", "head_config.json")

CODE = ("auto_map", "custom_pipelines", "quantization_config", "base_model_name_or_path")
"""Keys that are refused whatever their value."""

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Implementations of attention that are part of transformers."""

FILE_NAMES = ("tokenizer_file", "vocab_file", "merges_file", "sentencepiece_model_file")
"""Keys with which a tokenizer's configuration could read files outside its folder."""


def refused_keys(value: Any, where: str = "") -> Iterator[str]:
    """Keys of a parsed configuration, at any depth, that are refused: `text_config.auto_map`."""
    if isinstance(value, list):
        for item in value:
            yield from refused_keys(item, where)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        name = f"{where}.{key}".lstrip(".")
        if inner is None:
            continue
        if key in CODE or (key in FILE_NAMES and "/" in str(inner)):
            yield name
        elif "attn_implementation" in str(key):
            names = inner.values() if isinstance(inner, Mapping) else [inner]
            if any(isinstance(one, str) and one not in ATTENTION for one in names):
                yield name
        else:
            yield from refused_keys(inner, name)


def problems(folder: Path) -> Iterator[str]:
    """One sentence for each file of a model's or adapter's folder that has such keys."""
    for name in FILES:
        path = folder / name
        if path.is_file():
            try:
                keys = list(refused_keys(json.loads(path.read_text(encoding="utf-8"))))
            except (ValueError, RecursionError):
                continue  # its reader reports what is wrong
            if keys:
                yield (
                    f"{path}: {', '.join(map(repr, keys))} would make a library run or fetch code "
                    "from outside this folder, which is refused; remove it, or name another model"
                )


def refuse(folder: str | Path) -> None:
    """Raise the first of :func:`problems`; called before a library reads the folder.

    Raises:
        InputError: a file there has such a key.
    """
    for problem in problems(Path(folder)):
        raise InputError(problem)
