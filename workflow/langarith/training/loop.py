"""The training loop of adapters and small base models, on the Hugging Face Trainer."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from langarith.errors import InputError
from langarith.files import whole, write_json
from langarith.models import devices, encoders
from langarith.progress import Progress, say
from langarith.training import divergence, identity
from langarith.training.batching import Order, Rows
from langarith.training.memory import Before, parts
from langarith.training.metrics import MetricsLog
from langarith.training.reporting import Reporter
from langarith.training.signals import SAVED, SignalRequests

_TRAINABLE, _BEST, _RECIPE = "trainable.safetensors", "best.safetensors", "recipe.json"
_METRICS, _WINDOW, _PARTIAL = "metrics.jsonl", "window.json", "partial"


@dataclass(frozen=True)
class Outcome:
    """How a training ended: the step of the chosen checkpoint, and the last step."""

    best_step: int
    steps: int


class _Trainer(Trainer):
    """Saves only trainable parameters in its checkpoints, and the best ones in a separate file.

    Checkpoints of Trainer contain the whole frozen model; those of AdapterTrainer contain every
    loaded adapter, and its loading of the best model silently skips missing folders.
    """

    def __init__(
        self,
        *args: Any,
        loss: Callable[[PreTrainedModel, dict[str, torch.Tensor]], torch.Tensor],
        mask: Callable[[torch.Tensor], dict[str, torch.Tensor]] | None,
        validate: Callable[[], dict[str, float]],
        metric: str,
        sign: int,
        patience: int | None,
        order: torch.utils.data.Sampler[int],
        metrics: MetricsLog,
        what: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.order, self.metrics, self.what, self.mask = order, metrics, what, mask
        self.loss, self.validate, self.metric, self.sign = loss, validate, metric, sign
        self.patience, self.stopped_early = patience, False
        self.evaluated = self.counted = -1
        self.bad_validations = 0
        self.window = divergence.LossWindow()
        self.steps = divergence.Steps(self.args.max_steps)
        self.rows_per_pass = self.args.per_device_train_batch_size
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        # losses are means over a micro-batch, so the Trainer must divide by the accumulation steps
        self.model_accepts_loss_kwargs = False
        # batches stay in main memory, where masks are drawn; losses move their inputs
        self.accelerator.device_placement = False
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        return self.order

    def training_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
        """A micro-batch; if it does not fit into memory, it is halved from then on.

        The gradients of its parts add up to that of the whole micro-batch of the recipe, whose
        masks are drawn before it is divided. Only dropout differs.
        """
        inputs = self.mask(inputs["input_ids"]) if self.mask else inputs
        rows = len(inputs["input_ids"])
        before = Before(self.trained)
        while True:
            try:
                divided = parts(inputs, self.rows_per_pass)
                losses = [self._micro_step(model, *part) for part in divided]
                loss = torch.stack(losses).sum() if len(losses) > 1 else losses[0]
                self.window.add(loss, 1 / self.current_gradient_accumulation_steps)
                return loss
            except torch.OutOfMemoryError:
                if self.rows_per_pass == 1:
                    raise
            # after `except`, because the error keeps the tensors of the step in memory
            self.rows_per_pass = (min(rows, self.rows_per_pass) + 1) // 2
            before.restore()

    def _micro_step(self, model: Any, inputs: Any, weight: float) -> torch.Tensor:
        """The same as the Trainer's own step, without its loop over all modules."""
        with self.compute_loss_context_manager():
            loss = self.loss(model, inputs) * weight
        loss = loss / self.current_gradient_accumulation_steps
        self.accelerator.backward(loss)
        return loss.detach()

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Check the step before it is logged, validated or saved."""
        if self.state.global_step > self.counted:
            self.counted = self.state.global_step
            self.steps.add(self.window.last if grad_norm is None else torch.as_tensor(grad_norm))
            waits = self.control.should_log or self.control.should_save
            if waits or self.steps.on_cpu() or self.counted % divergence.CHECK_EVERY == 0:
                self._refuse(self.steps.fault(self.trained))
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)

    def _refuse(self, fault: str | None) -> None:
        """Raise an InputError for a training that cannot recover; its last checkpoint is kept."""
        if fault:
            loss, rate = float(self.window.last), self.args.learning_rate
            checkpoint = last_checkpoint(Path(str(self.args.output_dir)))
            raise InputError(
                f"{self.what}: the training diverged: {fault} at step {self.state.global_step} "
                f"(loss {loss:g}); lower 'learning_rate' ({rate:g}) or raise 'warmup_steps'"
                + (f"; the last checkpoint before it is kept in {checkpoint}" if checkpoint else "")
            )

    def log(self, logs: dict[str, float], *args: Any) -> None:
        if "loss" in logs:
            # the Trainer loses the sum of a window when a run resumes within it
            logs["loss"] = round(self.window.close(), 4)
        super().log(logs, *args)

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # not used, and each step would count all parameters

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        if self.state.global_step == self.evaluated:
            return {}
        self.evaluated = self.state.global_step
        self._refuse(divergence.weights_fault(self.trained))
        values = self.validate()
        self.model.train()
        self.log({f"validation_{name}": value for name, value in values.items()})
        value = self.sign * values[self.metric]
        best = self.state.best_metric
        if not math.isfinite(value):
            self.bad_validations += 1
            last = self.state.global_step >= self.state.max_steps
            if self.bad_validations > 1 or (last and best is None):
                self._refuse(f"a validation {self.metric} of {values[self.metric]:g}")
            return {}
        self.bad_validations = 0
        if best is None or value > best:
            self.state.best_metric = value
            self.state.best_global_step = self.state.global_step
            self._write(Path(self.args.output_dir) / _BEST)
        elif self.patience and self._validations_since_best() >= self.patience:
            self._stop_early()
        return {f"eval_{name}": v for name, v in values.items()}

    def _validations_since_best(self) -> int:
        """Counted in the log, which a resumed run also has."""
        name, best = f"validation_{self.metric}", self.state.best_global_step or 0
        return sum(name in row and row["step"] > best for row in self.metrics.rows)

    def _stop_early(self) -> None:
        if self.state.global_step < self.state.max_steps:
            self.stopped_early = self.control.should_training_stop = True
            # as in the last step: a run that resumes from it would take one more step
            self.control.should_save = False

    def _write(self, path: Path) -> None:
        tensors = {
            n: p.detach().cpu().contiguous()
            for n, p in self.model.named_parameters()
            if p.requires_grad
        }
        with whole(path) as partial:
            save_file(tensors, partial)

    def _read(self, path: Path) -> None:
        tensors = load_file(path)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(tensors[name])

    def load_best(self) -> None:
        """Load the weights of the best checkpoint."""
        self._read(Path(self.args.output_dir) / _BEST)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        self._write(folder / _TRAINABLE)
        best = Path(str(self.args.output_dir)) / _BEST
        if best.is_file():
            shutil.copyfile(best, folder / _BEST)
        # Snakemake removes the log, an output of the job, before the next attempt
        self.metrics.copy(folder / _METRICS)
        write_json(folder / _WINDOW, self.window.state())

    def _get_output_dir(self, trial: Any) -> str:
        return str(Path(self.args.output_dir) / _PARTIAL)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write into a temporary folder, which then replaces the previous checkpoint."""
        self._refuse(divergence.weights_fault(self.trained))
        folder = Path(str(self.args.output_dir))
        shutil.rmtree(folder / _PARTIAL, ignore_errors=True)
        super()._save_checkpoint(model, trial)
        (new,) = (folder / _PARTIAL).iterdir()
        for path in new.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # no empty files if the node fails
        old = list(folder.glob("checkpoint-*"))
        shutil.rmtree(folder / new.name, ignore_errors=True)
        os.replace(new, folder / new.name)
        for path in old:
            if path.name != new.name:
                shutil.rmtree(path)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        self._read(folder / _TRAINABLE)
        if (folder / _BEST).is_file():
            shutil.copyfile(folder / _BEST, Path(str(self.args.output_dir)) / _BEST)
        if (folder / _METRICS).is_file():
            shutil.copyfile(folder / _METRICS, self.metrics.path)
        if (folder / _WINDOW).is_file():
            self.window.restore(json.loads((folder / _WINDOW).read_text(encoding="utf-8")))


def last_checkpoint(folder: Path) -> str | None:
    """The latest checkpoint of a run; each is written whole or not at all."""
    folders = list(folder.glob("checkpoint-*"))
    return str(max(folders, key=lambda path: int(path.name.split("-")[1]))) if folders else None


def _checkpoint_of(this: Mapping[str, Any], folder: Path, what: str) -> str | None:
    """The checkpoint from which a training continues; a folder of another one is deleted.

    Args:
        this: what the training is, from :func:`identity.of_training`.
        what: its name, for the line that says why hours of another one are given up.
    """
    note, last = folder / _RECIPE, last_checkpoint(folder)
    differs = identity.difference(note.read_bytes() if note.is_file() else b"", this)
    if last and differs:
        step = last.rpartition("-")[2]
        say(f"    {what}: starts anew, because the checkpoint of step {step} {differs}")
    if folder.is_dir() and differs:
        shutil.rmtree(folder)
    write_json(note, this)
    return None if differs else last


def train(
    model: PreTrainedModel,
    recipe: Mapping[str, Any],
    *,
    data: Dataset,
    collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]],
    loss: Callable[[PreTrainedModel, dict[str, torch.Tensor]], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    validated_on: str,
    metric: str,
    larger_is_better: bool,
    seed: int,
    checkpoints: Path,
    log: MetricsLog,
    what: str,
    mask: Callable[[torch.Tensor], dict[str, torch.Tensor]] | None = None,
    order: torch.utils.data.Sampler[int] | None = None,
    group_by_length: bool = False,
    save_minutes: float = 10.0,
) -> Outcome:
    """Train the trainable parameters and load the best checkpoint on held-out data.

    A killed run continues from its last checkpoint when called again for the same training
    (:func:`identity.of_training`), to the same weights, bit by bit on a CPU with as many threads;
    the checkpoints are removed at the end. For another training it deletes them, says why and
    starts anew. With `patience` it ends after that many validations in a row without improvement,
    which is logged. SIGURG requests a checkpoint at the next step, SIGTERM one before the process
    ends.

    Args:
        recipe: the fields of a :class:`langarith.study.recipes.Recipe`.
        data: training rows: columns of ints or of lists of ints, `input_ids` among them. Their
            order, dropout and masks follow `seed`.
        loss: mean loss of one micro-batch, which is in main memory: over its labelled tokens, or
            over its rows if tokens have no labels.
        validate: held-out values; `metric` names the one that chooses the checkpoint.
        validated_on: hash of the held-out data and of how they are scored (:mod:`identity`).
        checkpoints: a folder for this run only.
        mask: masks the rows of a micro-batch, again in every step, as in `models.masking`.
        order: of the rows; None: all rows in each epoch, shuffled.
        save_minutes: time between checkpoints; with 0 there is one after each step.

    Raises:
        InputError: weights, gradients or held-out values are not finite and do not recover. The
            last checkpoint is kept, and none is written with such weights.
    """
    on = devices.device()
    dtype = devices.precision(recipe["precision"], on)
    rows = Rows(data)
    if recipe["torch_compile"]:
        encoders.compile_encoder(model)
    this = identity.of_training(model, recipe, seed, rows, validated_on)
    last = _checkpoint_of(this, checkpoints, what)
    epochs = recipe["epochs"]
    micro = recipe["batch_size"]
    steps_per_epoch = math.ceil(math.ceil(len(rows) / micro) / recipe["accumulation"])
    steps = recipe["steps"] or epochs * steps_per_epoch
    every = recipe["evaluate_every"] or (steps_per_epoch if epochs else max(1, steps // 10))
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=recipe["accumulation"],
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type=recipe["schedule"],
        warmup_steps=recipe["warmup_steps"],
        weight_decay=recipe["weight_decay"],
        max_grad_norm=recipe["clip"],
        optim="adamw_torch_fused",
        seed=seed,
        data_seed=seed,
        use_cpu=on.type == "cpu",
        bf16=dtype == "bf16",
        fp16=dtype == "fp16",
        eval_strategy="steps",
        eval_steps=every,
        logging_steps=every,
        logging_nan_inf_filter=False,  # it would wait for the device at every step
        save_strategy="no",
        save_total_limit=1,
        remove_unused_columns=False,
        dataloader_pin_memory=on.type == "cuda",
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    requests = SignalRequests()
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        # the Trainer requires one; `validate` uses its own
        eval_dataset=rows,
        data_collator=collate,
        callbacks=[Reporter(log, Progress(what, steps, "step"), save_minutes, requests)],
        loss=loss,
        mask=mask,
        validate=validate,
        metric=metric,
        sign=1 if larger_is_better else -1,
        patience=recipe.get("patience"),
        order=order
        or Order(
            len(rows),
            seed,
            micro * recipe["accumulation"],
            rows.lengths() if group_by_length else None,
        ),
        metrics=log,
        what=what,
    )
    if last:
        say(f"    {what}: continues at step {last.rpartition('-')[2]}")
    model.train()
    with requests.listening():
        trainer.train(resume_from_checkpoint=last)
    if requests.stop and trainer.state.global_step < steps and not trainer.stopped_early:
        say("    " + SAVED.format(what=what, step=trainer.state.global_step))
        signal.raise_signal(signal.SIGTERM)
    trainer.evaluate()
    trainer.load_best()
    outcome = Outcome(
        best_step=int(trainer.state.best_global_step or 0),
        steps=trainer.state.global_step,
    )
    if trainer.stopped_early:
        log.write(step=outcome.steps, stopped_early=True, best_step=outcome.best_step)
        say(
            f"    {what}: ends at step {outcome.steps} of {steps}, after {recipe['patience']} "
            f"validations that were not better than that of step {outcome.best_step}"
        )
    shutil.rmtree(checkpoints)
    return outcome
