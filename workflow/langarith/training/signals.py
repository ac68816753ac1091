"""Signals that request a training to save or to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SAVED = "{what}: saved at step {step}, ends because of a signal"
"""The line of a training that a signal has stopped, in the log of its job."""


class SignalRequests:
    """Requests of signals to a training for its next step.

    SIGURG requests to save and continue: SLURM sends it before a job's time limit (profiles/slurm),
    and a process without a handler ignores it. SIGTERM and SIGINT (Ctrl-C) request to save and end:
    SLURM sends SIGTERM at the limit, on preemption, requeueing and cancelling, some seconds before
    it kills the job.
    """

    def __init__(self) -> None:
        self.save = self.stop = False

    def _handle(self, number: int, _: Any) -> None:
        self.save = True
        self.stop = self.stop or number != signal.SIGURG

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals within the block, and restore the previous handlers after it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGURG, signal.SIGTERM, signal.SIGINT)
        previous = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler or signal.SIG_DFL)
