"""Callback of a training: logs metrics, shows progress, and decides when to save."""

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
        self, log: MetricsLog, progress: Progress, save_minutes: float, requests: SignalRequests
    ) -> None:
        self.log, self.progress, self.every = log, progress, save_minutes * 60
        self.requests = requests
        self.saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.log.drop_after(state.global_step)
        self.progress.total = state.max_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress.update(state.global_step)
        # not at the last step: the Trainer would resume from it with one more step
        due = time.monotonic() - self.saved >= self.every or self.requests.save
        if due and state.global_step < state.max_steps:
            self.saved = time.monotonic()
            self.requests.save = False
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # only after saving: a checkpoint saved later would be marked as finished
        control.should_training_stop = control.should_training_stop or self.requests.stop

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "train_runtime" not in logs:
            self.log.write(step=state.global_step, **logs)
