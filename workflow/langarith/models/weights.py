"""Reading of weights from files, which must be complete and finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from langarith.errors import InputError


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        InputError: the file is incomplete, not safetensors, or has a value that is not finite.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a complete safetensors file ({error}); copy it again (for a git-lfs "
            "pointer, run `git lfs pull`)"
        ) from error
    refuse_non_finite(tensors, path)
    return tensors


def refuse_non_finite(tensors: Mapping[str, torch.Tensor], where: str | Path) -> None:
    """Refuse NaN and infinities.

    Raises:
        InputError: names the first tensors that have any.
    """
    bad = [name for name, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{where}: {', '.join(bad[:3])}{more} have NaN or infinite values and "
            "cannot be used; train or copy them again"
        )
