"""Signals that ask a training to save or to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SignalRequests:
    """What signals ask of a training at its next step.

    SIGURG asks to save and continue: SLURM sends it ahead of a job's time limit (profiles/slurm),
    and it does no harm to a process without a handler for it. SIGTERM and SIGINT (Ctrl-C) ask to
    save and end: SLURM sends SIGTERM at the limit, on preemption, requeueing and cancelling, some
    seconds before it kills.
    """

    def __init__(self) -> None:
        self.save = self.stop = False

    def _hear(self, number: int, _: Any) -> None:
        self.save = True
        self.stop = self.stop or number != signal.SIGURG

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen within; afterwards signals do what they did before."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGURG, signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
