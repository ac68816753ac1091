"""Devices and floating-point formats."""

from __future__ import annotations

import torch


def device(name: str = "auto") -> torch.device:
    """The device to compute on: a GPU where there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(asked: str, on: torch.device) -> str:
    """fp32, fp16 or bf16; `auto`: bf16 on GPUs that have it, fp16 on older ones, fp32 on CPUs."""
    if asked != "auto":
        return asked
    if on.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def to_device(tensor: torch.Tensor, on: torch.device) -> torch.Tensor:
    """Copy to a GPU without waiting for what it computes; a tensor for the CPU stays."""
    if on.type != "cuda" or tensor.is_cuda:
        return tensor.to(on)
    return tensor.pin_memory().to(on, non_blocking=True)
