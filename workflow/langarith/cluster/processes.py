"""Signals to the processes that this one has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def signal_descendants(number: int, *, of_group: bool = False) -> None:
    """Send a signal to the children of this process, their children, and so on.

    Args:
        of_group: only to those in the process group of this process, as a terminal does.
    """
    for process in _below(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            if not of_group or os.getpgid(process) == os.getpgrp():
                os.kill(process, number)


def _below(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                yield child
                yield from _below(child)
