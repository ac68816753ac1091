"""Reading of weights from files, which must be complete and finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from langarith.errors import InputError
from langarith.files import refusal

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        InputError: the file cannot be opened, is incomplete or not safetensors, or has numbers that
            cannot be merged.
    """
    try:
        with open(path, "rb"):  # errors of safetensors name neither the file nor the reason
            pass
    except OSError as error:
        raise InputError(refusal(error) or error) from error
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a complete safetensors file ({error}); copy it again (for a git-lfs "
            "pointer, run `git lfs pull`)"
        ) from error
    refuse_other_numbers(tensors, path)
    return tensors


def refuse_other_numbers(
    tensors: Mapping[str, torch.Tensor], where: str | Path, fix: str = "train or copy them again"
) -> None:
    """Refuse tensors that are not of floating-point numbers, NaN and infinities.

    Raises:
        InputError: names the first tensors that have any.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(
                f"{where}: {name} is of type {kind}; only weights in float16, bfloat16, float32 "
                "and float64 are read: save them as one of these"
            )
    bad = [name for name, t in tensors.items() if not t.isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{where}: {', '.join(bad[:3])}{more} have NaN or infinite values and "
            f"cannot be used; {fix}"
        )
