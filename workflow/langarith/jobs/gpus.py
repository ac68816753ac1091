"""Whether this process has been given a GPU; without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

ALLOW_CPU = "LANGARITH_ALLOW_CPU"
"""Environment variable: with 1, jobs that have a GPU which torch cannot use compute on the CPU."""

GIVEN_BY_SLURM = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
HIDDEN = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide all GPUs: SLURM and users set them."""


def allow_cpu() -> bool:
    """Whether jobs may compute on the CPU of a machine whose GPU torch cannot use."""
    return os.environ.get(ALLOW_CPU, "0") not in ("", "0")


def given() -> str | None:
    """What says that this process has a GPU; None if nothing does, or GPUs are hidden from it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in HIDDEN:
        return None
    for name in (*GIVEN_BY_SLURM, "CUDA_VISIBLE_DEVICES"):
        value = os.environ.get(name, "").strip()
        if value not in HIDDEN:
            return f"{name}={value}"
    listed = listed_by_driver()
    return f"nvidia-smi lists {listed[0]}" if listed else None


@cache
def listed_by_driver() -> tuple[str, ...]:
    """The GPUs that `nvidia-smi` lists, with the version of the driver; () without one."""
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    rows = [row.split(", ") for row in done.stdout.splitlines() if ", " in row]
    if done.returncode:
        return ()
    return tuple(f"{row[0]} (driver {row[-1]})" for row in rows)
