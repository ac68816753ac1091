"""What a training reports while it runs: its metrics, its progress, and when to save."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from langarith.progress import Progress
from langarith.training.metrics import MetricsLog
from langarith.training.signals import SignalRequests


class Reporter(TrainerCallback):
    """Logs metrics, shows progress, saves checkpoints at an interval or on a signal."""

    def __init__(
        self, log: MetricsLog, progress: Progress, save_minutes: float, calls: SignalRequests
    ) -> None:
        self.log, self.progress, self.every = log, progress, save_minutes * 60
        self.calls = calls
        self.saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.log.forget_after(state.global_step)
        self.progress.total = state.max_steps
        self.progress.resume(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress.update(state.global_step)
        # the last step needs none: the Trainer would go on from it with one step more
        due = time.monotonic() - self.saved >= self.every or self.calls.save
        if due and state.global_step < state.max_steps:
            self.saved = time.monotonic()
            self.calls.save = False
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # only after saving: a checkpoint saved later would be marked as finished
        control.should_training_stop = control.should_training_stop or self.calls.stop

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "train_runtime" not in logs:
            self.log.write(step=state.global_step, **logs)
