"""Devices and floating-point formats."""

from __future__ import annotations

import torch

from langarith.errors import InputError
from langarith.jobs import gpus


def device() -> torch.device:
    """The device to compute on: a GPU if there is one.

    Raises:
        InputError: the job has a GPU that torch cannot use, and the environment variable
            LANGARITH_ALLOW_CPU does not allow the CPU instead.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    gpu = None if gpus.allow_cpu() else gpus.given()
    if gpu:
        raise InputError(
            f"this job has a GPU ({gpu}) that torch cannot use: {why_no_gpu()}; install a torch "
            'that fits the driver (docs/slurm.md, "A torch for your GPUs"), or set '
            f"{gpus.ALLOW_CPU}=1 to compute on the CPU"
        )
    return torch.device("cpu")


def why_no_gpu() -> str:
    """Why torch cannot use a GPU: its build, or the error of the driver."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        return f"torch {torch.__version__} for CUDA {torch.version.cuda} says: {reason}"
    return f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no device"


def precision(name: str, on: torch.device) -> str:
    """fp32, fp16 or bf16; `auto`: bf16 on GPUs that have it, fp16 on older ones, fp32 on CPUs."""
    if name != "auto":
        return name
    if on.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(precision: str, on: torch.device) -> torch.autocast:
    """A context that computes in fp32, fp16 or bf16."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(on.type, dtype=half, enabled=half is not None)


def to_device(tensor: torch.Tensor, on: torch.device) -> torch.Tensor:
    """Copy to a GPU without waiting for its queue; a tensor for the CPU is not copied."""
    if on.type != "cuda" or tensor.is_cuda:
        return tensor.to(on)
    return tensor.pin_memory().to(on, non_blocking=True)
