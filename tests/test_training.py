"""The training loop: best checkpoint, seeds, interrupted runs, accumulation, masks and padding."""

from __future__ import annotations

import gc
import json
import math
import signal
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import PreTrainedModel, TrainerState, set_seed

import helpers
from langarith import tasks
from langarith.errors import InputError
from langarith.models import encoders, masked_lm, masking
from langarith.models.adapters import add_initialised, named_parameters, task_config
from langarith.study.recipes import LanguageModelRecipe
from langarith.tasks.shared.base import Encoding, Features
from langarith.tasks.shared.squad import QaExample
from langarith.training import batching, divergence, identity, loop, memory, metrics

# Reached where file times are coarse; the checkpoints are then sorted by their number.
pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable")

ROWS, LENGTH = 24, 16
# 24 rows in batches of 4: six steps are an epoch, and the ninth lies in the second
RECIPE = LanguageModelRecipe(
    steps=9,
    batch_size=4,
    learning_rate=1e-3,
    warmup_steps=2,
    weight_decay=0.01,
    evaluate_every=3,
    chunk_length=LENGTH,
).model_dump()
Tensors = dict[str, torch.Tensor]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the library catches it."""


@dataclass
class Run:
    """What a finished run leaves, and what it was fed on the way."""

    adapter: Tensors
    outcome: loop.Outcome
    log: list[dict[str, Any]]
    batches: list[dict[str, torch.Tensor]]
    start: Tensors
    checkpoints: Path

    def validation(self) -> list[dict[str, Any]]:
        return [row for row in self.log if "validation_loss" in row]


@pytest.fixture(scope="module", autouse=True)
def _imports_are_no_garbage():
    """The Trainer collects garbage at each start: half of a run, with all that is imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Shallower than elsewhere: it is trained some forty times here."""
    return helpers.make_base(tmp_path_factory.mktemp("base") / "shallow", layers=1)


@pytest.fixture(scope="module")
def wobbly(tmp_path_factory) -> Path:
    """A base model with dropout: its random state is part of what a rerun must repeat."""
    return helpers.make_base(tmp_path_factory.mktemp("base") / "wobbly", layers=1, dropout=0.1)


def copies(model: PreTrainedModel) -> Tensors:
    return {n: p.detach().clone() for n, p in named_parameters(model, "es").items()}


def same(left: Tensors, right: Tensors) -> bool:
    return list(left) == list(right) and all(torch.equal(left[n], right[n]) for n in left)


def every_other(features: Any) -> dict[str, torch.Tensor]:
    """Asks for every other token and hides none: a collator without a random number."""
    ids = torch.from_numpy(np.stack([row["input_ids"] for row in features]))
    labels = ids.clone()
    labels[:, 1::2] = -100
    return {"input_ids": ids, "labels": labels}


def train(
    base: Path,
    folder: Path,
    *,
    seed: int = 1,
    kill_at: int | None = None,
    values: list[float] | None = None,
    validated_on: str = "held-out text",
    rows: int = ROWS,
    larger_is_better: bool = False,
    snapshots: list[Tensors] | None = None,
    save: bool = False,
    masked: bool = False,
    collate: Callable[[Any], dict[str, torch.Tensor]] = every_other,
    loss_of: Callable[[PreTrainedModel, dict[str, torch.Tensor]], torch.Tensor] | None = None,
    signal_at: tuple[int, signal.Signals] | None = None,
    save_minutes: float | None = None,
    **recipe: Any,
) -> Run:
    """Train one language adapter from the same initialisation, as the script does.

    Args:
        folder: holds the run's checkpoints and log; call again with the same to continue.
        kill_at: the step in which the run dies.
        values: what validation is to find, in order; the real loss where not given.
        masked: mask in the step, as language adapters are trained; else `collate` gives labels.
        save: leave a checkpoint after every step, as a run that is killed does here.
        signal_at: a step in which the process gets a signal.
        loss_of: the loss of a batch, instead of that of masked language modelling.
    """
    model = encoders.load_masked_lm(base)
    helpers.add_adapter(model, "es", seed=3)
    model.train_adapter("es")
    set_seed(seed)
    start, batches = copies(model), []
    given = iter(values or ())
    held_out = masking.masked_validation(
        model, helpers.chunks(8, seed=5).numpy(), helpers.make_tokenizer(), 0.15, 4, "fp32"
    )

    def loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(batches) + 1 == kill_at:
            raise Killed
        if signal_at and len(batches) + 1 == signal_at[0]:
            signal.raise_signal(signal_at[1])
        batches.append(batch)
        if loss_of:
            return loss_of(model, batch)
        return masked_lm.masked_lm_loss(model, batch["input_ids"], batch["labels"])

    def validate() -> dict[str, float]:
        if snapshots is not None:
            snapshots.append(copies(model))
        return {"loss": next(given)} if values else held_out()

    outcome = loop.train(
        model,
        RECIPE | recipe,
        data=batching.chunk_dataset(helpers.chunks(rows, LENGTH).numpy()),
        collate=batching.stack if masked else collate,
        mask=mask_tokens().mask if masked else None,
        loss=loss,
        validate=validate,
        validated_on=validated_on,
        metric="loss",
        larger_is_better=larger_is_better,
        seed=seed,
        checkpoints=folder / "checkpoints",
        log=metrics.MetricsLog(folder / "metrics.jsonl"),
        what="a test",
        save_minutes=save_minutes
        if save_minutes is not None
        else (0.0 if save or kill_at else 10.0),
    )
    log = metrics.read_metrics(folder / "metrics.jsonl")
    return Run(copies(model), outcome, log, batches, start, folder / "checkpoints")


def tag(
    base: Path, folder: Path, kill_at: int | None = None, *, grouped: bool = True, **recipe: Any
) -> Run:
    """Train one task adapter with its head for two epochs.

    Args:
        grouped: rows of many lengths, similar ones in a batch; else all of one length.
    """
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "es", 1, task_config(helpers.TASK_SHAPE))
    set_seed(1)
    encoders.add_head(model, "es", "tagging", ["O", "B-LOC", "I-LOC"])
    model.train_adapter("es")
    start, batches = copies(model), []
    rows = helpers.chunks(ROWS, LENGTH)
    words = [row[: 4 + i % 9 if grouped else None].tolist() for i, row in enumerate(rows)]

    def loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(batches) + 1 == kill_at:
            raise Killed
        batches.append(batch)
        return model(**batch).loss

    outcome = loop.train(
        model,
        RECIPE | {"steps": None, "epochs": 2, "evaluate_every": 12} | recipe,
        data=batching.task_dataset(
            {"input_ids": words, "labels": [[i % 3 for i in row] for row in words]}
        ),
        collate=batching.PadRows(1),
        loss=loss,
        validate=lambda: {"f1": 50.0},
        validated_on="the same score each time",
        metric="f1",
        larger_is_better=True,
        seed=1,
        checkpoints=folder / "checkpoints",
        log=metrics.MetricsLog(folder / "metrics.jsonl"),
        what="a test",
        group_by_length=grouped,
        save_minutes=0.0 if kill_at else 10.0,
    )
    log = metrics.read_metrics(folder / "metrics.jsonl")
    return Run(copies(model), outcome, log, batches, start, folder / "checkpoints")


def mask_tokens() -> masking.MaskTokens:
    return masking.MaskTokens(helpers.make_tokenizer(), mlm_probability=0.15)


# ---------------------------------------------------------------- the best checkpoint


@pytest.mark.parametrize(
    ("values", "larger", "best"),
    [
        pytest.param([3.0, 1.0, 2.0], False, 1, id="lowest loss"),
        pytest.param([1.0, 3.0, 2.0], True, 1, id="highest score"),
        pytest.param([0.0, 0.0, 0.0], True, 0, id="first of equals"),
        pytest.param([math.nan, 2.0, 1.0], False, 2, id="never one that is no number"),
    ],
)
def test_model_is_left_at_its_best_checkpoint(
    base: Path, tmp_path: Path, values: list[float], larger: bool, best: int
) -> None:
    snapshots: list[Tensors] = []
    run = train(base, tmp_path, values=values, larger_is_better=larger, snapshots=snapshots)
    assert len(snapshots) == 3
    assert same(run.adapter, snapshots[best])
    assert not same(snapshots[0], snapshots[1])
    assert run.outcome == loop.Outcome(3 * (best + 1), 9)
    logged = [row["validation_loss"] for row in run.validation()]
    assert logged == [None if math.isnan(value) else value for value in values]


def test_last_step_is_evaluated_even_between_two_evaluations(base: Path, tmp_path: Path) -> None:
    run = train(base, tmp_path, values=[3.0, 2.0, 1.0], evaluate_every=4)
    assert [row["step"] for row in run.validation()] == [4, 8, 9]
    assert run.outcome.best_step == 9


def test_an_epoch_sees_every_row_once(base: Path, tmp_path: Path) -> None:
    # 9 rows make batches of 4, 4 and 1; two of them are a step
    run = train(base, tmp_path, rows=9, steps=None, epochs=2, accumulation=2, evaluate_every=None)
    seen = Counter(tuple(row.tolist()) for batch in run.batches for row in batch["input_ids"])
    assert len(seen) == 9
    assert set(seen.values()) == {2}
    assert run.outcome.steps == 4
    assert [row["step"] for row in run.validation()] == [2, 4]
    # six micro-batches: the second epoch has an order of its own
    orders = [
        torch.cat([b["input_ids"] for b in part]) for part in (run.batches[:3], run.batches[3:])
    ]
    assert not torch.equal(*orders)


def test_log_holds_training_and_held_out_values(base: Path, tmp_path: Path) -> None:
    run = train(base, tmp_path)
    assert [row["step"] for row in run.log] == [3, 3, 6, 6, 9, 9]
    assert {"step", "loss", "learning_rate", "grad_norm"} <= run.log[0].keys()
    assert run.log[0]["learning_rate"] == pytest.approx(RECIPE["learning_rate"])


# ---------------------------------------------------------------- numbers that are not finite


def test_training_that_diverges_ends_with_a_sentence_and_keeps_its_checkpoint(
    base: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(base, tmp_path, kill_at=4)
    (kept,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    before = {path.name: path.read_bytes() for path in kept.iterdir()}

    def poisoned(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = masked_lm.masked_lm_loss(model, batch["input_ids"], batch["labels"])
        return loss * math.nan

    with pytest.raises(
        InputError, match=r"a test: the training diverged: weights .* at step 4 \(loss nan\)"
    ) as error:
        train(base, tmp_path, save=True, loss_of=poisoned)
    assert f"kept in {kept}" in str(error.value)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_learning_rate_beyond_all_numbers_ends_the_training(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not finite at step 1 .*learning_rate' \(1e\+300\)"):
        train(base, tmp_path, learning_rate=1e300, steps=1, warmup_steps=0, evaluate_every=1)
    assert not list((tmp_path / "checkpoints").glob("*/trainable.safetensors"))


def test_held_out_values_that_stay_without_a_number_end_the_training(
    base: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="validation loss of nan at step 9"):
        train(base, tmp_path, values=[1.0, math.nan, math.nan])
    with pytest.raises(InputError, match="validation loss of inf at step 3"):
        train(base, tmp_path / "short", values=[math.inf], steps=3)


def test_step_without_a_target_is_no_error_and_counts_for_nothing(
    base: Path, tmp_path: Path
) -> None:
    steps = iter(range(1, 100))

    def loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        none = next(steps) in (1, 4, 5, 6)
        labels = batch["labels"].fill_(-100) if none else batch["labels"]
        found = masked_lm.masked_lm_loss(model, batch["input_ids"], labels)
        assert math.isnan(found.detach()) == none
        return found

    run = train(base, tmp_path, loss_of=loss, accumulation=1)
    first, second, third = (row["loss"] for row in run.log if "loss" in row)
    assert (second, first > 0, third > 0) == (None, True, True)


def test_skipped_steps_are_counted_in_a_row() -> None:
    steps = divergence.Steps(total=1000)
    for value in (math.inf, 1.0, *[math.nan] * (divergence.PATIENCE - 1)):
        steps.add(torch.tensor(value))
    assert steps.fault([torch.ones(2)]) is None
    assert steps.fault([torch.ones(2), torch.tensor([math.inf, 1.0])]) is not None
    steps.add(torch.tensor(math.inf))
    assert steps.fault([torch.ones(2)]) == "no finite gradient in 32 steps in a row"
    steps.add(torch.tensor(1.0))
    assert steps.fault([torch.ones(2)]) is None


# ---------------------------------------------------------------- too little memory


def short_of_memory(fits: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From here on a training step of more rows fails, late, as on a GPU; rows of each try."""
    plain, tried = masked_lm.masked_lm_loss, []

    def loss(model: PreTrainedModel, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = plain(model, input_ids, labels)
        if not torch.is_inference_mode_enabled():
            tried.append(len(input_ids))
            if len(input_ids) > fits:
                (7 * found).backward()  # what the gradients hold by then must be taken back
                for generator in (torch.default_generator, *torch.cuda.default_generators):
                    torch.rand(3, generator=generator)
                raise torch.OutOfMemoryError
        return found

    monkeypatch.setattr(masked_lm, "masked_lm_loss", loss)
    return tried


def test_bf16_computes_in_half_and_keeps_the_weights_whole(base: Path, tmp_path: Path) -> None:
    half = train(base, tmp_path / "half", precision="bf16")
    whole = train(base, tmp_path / "whole", precision="fp32")
    assert {tensor.dtype for tensor in half.adapter.values()} == {torch.float32}
    assert not same(half.adapter, whole.adapter)
    for ours, exact in zip(half.validation(), whole.validation(), strict=True):
        assert ours["validation_loss"] == pytest.approx(exact["validation_loss"], rel=0.01)


def some(features: Any) -> dict[str, torch.Tensor]:
    """Asks for unequally many tokens of each row, and for none of some rows."""
    batch = every_other(features)
    counts = 2 * (batch["input_ids"][:, 0] % 4)
    batch["labels"][torch.arange(LENGTH) >= counts[:, None]] = -100
    return batch


@pytest.mark.parametrize(("fits", "sizes"), [(2, {2}), (1, {1})])
@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"collate": some}, id="unequally many labels"),
        pytest.param({"masked": True}, id="masks"),
    ],
)
def test_step_that_does_not_fit_goes_in_parts(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fits: int,
    sizes: set[int],
    how: dict[str, Any],
) -> None:
    """The batch of a step and its masks stay, and so does what it learns."""
    gpu = torch.Generator()
    start = gpu.get_state()
    monkeypatch.setattr(torch.cuda, "default_generators", (gpu,))
    whole = train(base, tmp_path / "whole", **how)
    tried = short_of_memory(fits, monkeypatch)
    parts = train(base, tmp_path / "parts", **how)
    assert set(tried[3:]) == sizes
    assert torch.equal(gpu.get_state(), start)
    assert parts.outcome.steps == whole.outcome.steps
    assert parts.log[0]["loss"] == pytest.approx(whole.log[0]["loss"], rel=1e-5)
    assert not same(whole.adapter, whole.start)
    for name, tensor in whole.adapter.items():
        torch.testing.assert_close(parts.adapter[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("head", ["tagging", "classification", "qa"])
def test_parts_of_a_batch_add_up_to_its_loss_and_gradients(base: Path, head: str) -> None:
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "task", 1, task_config(helpers.TASK_SHAPE))
    set_seed(1)
    encoders.add_head(model, "task", head, ["O", "B-LOC", "I-LOC"])
    model.train_adapter("task")
    model.eval()
    labels: dict[str, Callable[[int], dict[str, Any]]] = {
        "tagging": lambda n: {"labels": [i % 3 if i < n - 4 else -100 for i in range(n)]},
        "classification": lambda n: {"labels": n % 3},
        "qa": lambda n: {"start_positions": 1, "end_positions": n - 1},
    }
    batch = batching.PadRows(1)(
        [{"input_ids": list(range(5, 5 + n)), **labels[head](n)} for n in (4, 13, 9, 2, 6)]
    )
    found = []
    for rows in (5, 3, 2, 1):
        model.zero_grad()
        total = torch.zeros(())
        for part, weight in memory.parts(batch, rows):
            loss = weight * model(**part).loss
            loss.backward()
            total += loss.detach()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((total, torch.cat(gradients)))
    for loss, gradients in found[1:]:
        torch.testing.assert_close(loss, found[0][0], rtol=1e-5, atol=0)
        torch.testing.assert_close(gradients, found[0][1], rtol=1e-4, atol=1e-6)


def test_parts_of_a_batch_without_a_label_have_no_number_as_loss() -> None:
    batch = {"input_ids": torch.ones(4, 3), "labels": torch.full((4, 3), -100)}
    assert [math.isnan(weight) for _, weight in memory.parts(batch, 2)] == [True, True]


def test_row_that_does_not_fit_ends_the_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(0, monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        train(base, tmp_path)


# ---------------------------------------------------------------- seeds


def test_same_seed_repeats_a_run_bitwise(wobbly: Path, tmp_path: Path) -> None:
    first, second = (train(wobbly, tmp_path / n, masked=True) for n in ("a", "b"))
    assert same(first.adapter, second.adapter)
    assert first.log == second.log
    assert first.outcome == second.outcome


def test_another_seed_changes_order_masks_and_result(wobbly: Path, tmp_path: Path) -> None:
    first, second = (train(wobbly, tmp_path / str(s), seed=s, masked=True) for s in (1, 2))
    assert same(first.start, second.start)
    assert not same(first.adapter, second.adapter)
    orders = [
        [tuple(row) for b in run.batches for row in torch.where(b["labels"] < 0, 0, 1).tolist()]
        for run in (first, second)
    ]
    assert orders[0] != orders[1]


def test_seed_changes_the_head_and_not_the_initialisation(base: Path) -> None:
    found = []
    for seed in (1, 2):
        model = encoders.load_encoder(base)
        add_initialised(model, "task", task_config(helpers.TASK_SHAPE), seed=9)
        set_seed(seed)
        encoders.add_head(model, "task", "tagging", ["O", "B-LOC", "I-LOC"])
        head = {n: p.detach() for n, p in model.heads["task"].named_parameters()}
        found.append(({n: p.detach() for n, p in named_parameters(model, "task").items()}, head))
    (adapter, head), (other_adapter, other_head) = found
    assert same(adapter, other_adapter)
    assert not same(head, other_head)


def test_order_follows_seed_and_epoch_and_groups_by_length() -> None:
    lengths = [1 + i % 20 for i in range(400)]

    def order(seed: int, epoch: int, lengths: list[int] | None) -> list[int]:
        sampler = batching.Order(400, seed, 8, lengths)
        sampler.set_epoch(epoch)
        torch.manual_seed(epoch)  # not looked at
        return list(sampler)

    for grouping in (None, lengths):
        found = [order(1, 0, grouping), order(1, 1, grouping), order(2, 0, grouping)]
        assert all(sorted(rows) == list(range(400)) for rows in found)
        assert len({tuple(rows) for rows in found}) == 3
        assert order(1, 0, grouping) == found[0]
    spans = []
    for grouping in (None, lengths):
        rows = [lengths[i] for i in order(1, 0, grouping)]
        spans.append(sum(max(rows[i : i + 8]) - min(rows[i : i + 8]) for i in range(0, 400, 8)))
    assert spans[1] < spans[0] / 4


# ---------------------------------------------------------------- interrupted runs


@pytest.fixture(scope="module")
def whole(wobbly: Path, tmp_path_factory) -> Run:
    """A run that nothing interrupts."""
    return train(wobbly, tmp_path_factory.mktemp("whole"))


def interrupted(base: Path, folder: Path, kill_at: int, **how: Any) -> Run:
    """Killed in one step and called again."""
    with pytest.raises(Killed):
        train(base, folder, kill_at=kill_at, **how)
    return train(base, folder, **how)


# Right after the first epoch, and within the second; the next test's kill is within the first.
@pytest.mark.parametrize("kill_at", [7, 9])
def test_interrupted_run_goes_on_to_the_same_adapter(
    wobbly: Path, whole: Run, tmp_path: Path, kill_at: int
) -> None:
    resumed = interrupted(wobbly, tmp_path / "killed", kill_at)
    assert whole.outcome.best_step == 9  # or the comparison would miss the end of the run
    assert len(resumed.batches) == 9 - (kill_at - 1)
    assert same(whole.adapter, resumed.adapter)
    assert whole.outcome == resumed.outcome
    assert whole.validation() == resumed.validation()
    assert not resumed.checkpoints.exists()


def test_interrupted_run_draws_the_same_masks(wobbly: Path, tmp_path: Path) -> None:
    """As language adapters are trained: every epoch masks anew."""
    whole = train(wobbly, tmp_path / "whole", masked=True)
    resumed = interrupted(wobbly, tmp_path / "killed", 5, masked=True)
    for batch, again in zip(whole.batches[4:], resumed.batches, strict=True):
        assert torch.equal(batch["labels"], again["labels"])
    assert same(whole.adapter, resumed.adapter)


def test_interrupted_task_adapter_goes_on_in_the_same_order(wobbly: Path, tmp_path: Path) -> None:
    """As task adapters are trained: rows grouped by length, anew in every epoch."""
    whole = tag(wobbly, tmp_path / "whole")
    with pytest.raises(Killed):
        tag(wobbly, tmp_path / "killed", kill_at=9)  # in the second epoch
    resumed = tag(wobbly, tmp_path / "killed")
    assert len(resumed.batches) == 12 - 8
    for batch, again in zip(whole.batches[8:], resumed.batches, strict=True):
        assert torch.equal(batch["input_ids"], again["input_ids"])
    assert same(whole.adapter, resumed.adapter)


def test_run_killed_after_its_last_checkpoint_only_ends(
    wobbly: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "load_best", die)
        with pytest.raises(Killed):
            train(wobbly, tmp_path / "killed", save=True)
    resumed = train(wobbly, tmp_path / "killed")
    assert len(resumed.batches) == 1  # the last step is repeated, and none is added
    assert same(whole.adapter, resumed.adapter)
    assert whole.outcome == resumed.outcome
    assert whole.validation() == resumed.validation()


def test_checkpoint_that_the_kill_cut_short_is_passed_over(
    wobbly: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever file of it was the last: here the Trainer's state, of which half is there."""
    folder = tmp_path / "killed" / "checkpoints"

    def die(state: Any, path: str) -> None:
        if state.global_step == 5:
            Path(path).write_text('{"best_')
            raise Killed
        save(state, path)

    save = TrainerState.save_to_json
    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save_to_json", die)
        with pytest.raises(Killed):
            train(wobbly, tmp_path / "killed", save=True)
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-4"]
    assert (folder / "partial" / "checkpoint-5" / "trainable.safetensors").is_file()
    resumed = train(wobbly, tmp_path / "killed")
    assert len(resumed.batches) == 5  # from step 4, the last whole one
    assert same(whole.adapter, resumed.adapter)


def test_interrupted_run_finds_its_metrics_again(wobbly: Path, whole: Run, tmp_path: Path) -> None:
    """Snakemake removes the outputs of a failed job, the log of metrics among them."""
    with pytest.raises(Killed):
        train(wobbly, tmp_path, kill_at=8)
    (tmp_path / "metrics.jsonl").unlink()
    assert train(wobbly, tmp_path).log == whole.log


class Ended(Exception):
    """What SIGTERM does to a test instead of ending it."""


@pytest.mark.parametrize("number", [signal.SIGURG, signal.SIGTERM])
def test_signal_leaves_a_checkpoint_at_the_next_step(
    wobbly: Path, whole: Run, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGURG saves and goes on, SIGTERM saves and ends; the clock would save neither time."""

    def end(*_: Any) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        if number == signal.SIGTERM:
            with pytest.raises(Ended):
                train(wobbly, tmp_path, signal_at=(6, number))
        else:
            with pytest.raises(Killed):
                train(wobbly, tmp_path, signal_at=(6, number), kill_at=8, save_minutes=10.0)
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    assert checkpoint.name == "checkpoint-6"
    assert '"should_training_stop": true' not in (checkpoint / "trainer_state.json").read_text()
    resumed = train(wobbly, tmp_path)
    assert len(resumed.batches) == 9 - 6
    assert same(whole.adapter, resumed.adapter)
    assert whole.log == resumed.log


def test_signal_in_the_last_step_ends_nothing(wobbly: Path, whole: Run, tmp_path: Path) -> None:
    """All is computed then: there is only the adapter left to write."""
    last = train(wobbly, tmp_path, signal_at=(9, signal.SIGTERM))
    assert same(whole.adapter, last.adapter)
    assert not last.checkpoints.exists()


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"learning_rate": 2e-2, "steps": 8}, "has another recipe (learning_rate, steps)"),
        ({"patience": 9}, "has another recipe (patience)"),
        ({"rows": ROWS - 4}, "has other training data"),
        ({"validated_on": "other text"}, "has other validation data or scoring"),
        ({"seed": 2, "rows": 8}, "has another seed, other training data"),
    ],
)
def test_changed_training_starts_afresh_and_says_why(
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    differs: str,
) -> None:
    with pytest.raises(Killed):
        train(base, tmp_path / "changed", kill_at=5)
    assert "starts anew" not in capsys.readouterr().err
    changed = train(base, tmp_path / "changed", **change)
    line = f"    a test: starts anew, because the checkpoint of step 4 {differs}\n"
    assert line in capsys.readouterr().err
    fresh = train(base, tmp_path / "fresh", **change)
    assert len(changed.batches) == fresh.outcome.steps
    assert same(changed.adapter, fresh.adapter)
    assert changed.log == fresh.log


@pytest.mark.parametrize("note", [b'{"recipe": {}, "seed": 1, "start": "af"}', b"\xff", None])
def test_checkpoint_of_an_older_version_is_not_continued(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], note: bytes | None
) -> None:
    with pytest.raises(Killed):
        train(base, tmp_path, kill_at=5)
    file = tmp_path / "checkpoints" / "recipe.json"
    file.unlink() if note is None else file.write_bytes(note)
    assert len(train(base, tmp_path).batches) == 9
    assert "the checkpoint of step 4 is of another version of lang" in capsys.readouterr().err


def test_nothing_is_said_of_another_training_that_has_saved_nothing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        train(base, tmp_path, kill_at=1)
    assert (tmp_path / "checkpoints" / "recipe.json").is_file()
    train(base, tmp_path, steps=1, evaluate_every=1, warmup_steps=0)
    assert "starts anew" not in capsys.readouterr().err


def test_more_threads_continue_a_training(wobbly: Path, whole: Run, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(wobbly, tmp_path, kill_at=5)
    resumed = train(wobbly, tmp_path, threads=2)  # the script sets them, and here nothing does
    assert len(resumed.batches) == 5
    assert same(whole.adapter, resumed.adapter)


def test_run_on_another_base_model_starts_afresh(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Upstream was recomputed between the kill and the next call: the checkpoint is of the old."""
    with pytest.raises(Killed):
        train(base, tmp_path, kill_at=5)
    other = helpers.make_base(tmp_path / "other", layers=1, seed=1)
    assert len(train(other, tmp_path).batches) == 9
    assert "checkpoint of step 4 has other initial weights\n" in capsys.readouterr().err


def test_scores_of_other_held_out_data_choose_no_checkpoint(base: Path, tmp_path: Path) -> None:
    """Those of the killed run are better than all that the next one finds, and mean nothing."""
    with pytest.raises(Killed):
        train(base, tmp_path / "other", values=[0.5], kill_at=5)
    run = train(base, tmp_path / "other", values=[3.0, 1.0, 2.0], validated_on="other text")
    assert run.outcome.best_step == 6
    assert [row["validation_loss"] for row in run.validation()] == [3.0, 1.0, 2.0]


def qa_identity(
    *, longest: int = 3, answer: str = "w2 w3", precision: str = "fp32", **reading: Any
) -> str:
    """Of one held-out question; `longest` is `max_answer_length`."""
    example = QaExample("1", "w0 w1", "w1 w2 w3 w4", (answer,), (3,), "squad.json")
    task = tasks.get("qa")
    features = task.encode([example], helpers.make_tokenizer(), Encoding(16, (), 2))
    given = {"type": "qa", "max_length": 16, "max_answer_length": longest} | reading
    return identity.of_held_out_examples(features, [task.gold(example)], given, precision)


def test_identity_of_held_out_examples_follows_what_decides_their_scores() -> None:
    same = qa_identity()
    assert qa_identity(cuts={"test": "half"}, examples={"train": 9}) == same
    others = [qa_identity(longest=2), qa_identity(answer="w2"), qa_identity(precision="bf16")]
    assert len({same, *others}) == 4
    features = [
        Features({"input_ids": [[5, 6]]}, [0], ("O", "LOC"), [np.array([0, 1])]),
        Features({"input_ids": [[5, 7]]}, [0], ("O", "LOC"), [np.array([0, 1])]),
        Features({"input_ids": [[5, 6]]}, [0], ("LOC", "O"), [np.array([0, 1])]),
        Features({"input_ids": [[5, 6]]}, [0], ("O", "LOC"), [np.array([0, -1])]),
        Features({"input_ids": [[5], [6]]}, [0, 1], ("O", "LOC"), [np.array([0]), np.array([1])]),
    ]
    found = {identity.of_held_out_examples(f, [["O", "O"]], {}, "fp32") for f in features}
    assert len(found) == len(features)


def test_identity_of_held_out_text_follows_chunks_and_masks(tiny_tokenizer: Any) -> None:
    chunks = helpers.chunks(4).numpy()
    others = [(chunks, 0.15), (chunks, 0.3), (chunks[:3], 0.15), (chunks.reshape(8, -1), 0.15)]
    hashes = {identity.of_held_out_text(*given, tiny_tokenizer) for given in others}
    assert identity.of_held_out_text(chunks.copy(), 0.15, tiny_tokenizer) in hashes
    masks = deepcopy(tiny_tokenizer)
    masks.mask_token = masks.unk_token
    hashes.add(identity.of_held_out_text(chunks, 0.15, masks))
    assert len(hashes) == 5


def test_checkpoint_holds_what_is_trained_and_no_pickled_weights(
    base: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(base, tmp_path, kill_at=5)
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-*")  # one is kept
    assert checkpoint.name == "checkpoint-4"
    files = {path.name for path in checkpoint.iterdir()}
    assert files == {
        "trainable.safetensors",
        "best.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "metrics.jsonl",
        "window.json",
        "trainer_state.json",
    }
    model = encoders.load_masked_lm(base)
    helpers.add_adapter(model, "es", seed=3)
    model.train_adapter("es")
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    for name in ("trainable.safetensors", "best.safetensors"):
        with safe_open(checkpoint / name, "pt") as file:
            assert set(file.keys()) == set(trained)
        size = 4 * sum(p.numel() for p in trained.values())
        assert (checkpoint / name).stat().st_size < size + 4096
    # two moments per trained parameter, and loadable without unpickling code
    moments = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    assert len(moments) == len(trained)


# ---------------------------------------------------------------- accumulation


@pytest.mark.parametrize("kind", ["language", "task"])
def test_accumulated_batches_equal_one_large_batch(base: Path, tmp_path: Path, kind: str) -> None:
    """Micro-batches ask for equally many tokens here, so that their means can be averaged."""
    large, small = (
        train(base, tmp_path / str(size), batch_size=size, accumulation=8 // size)
        if kind == "language"
        else tag(
            base,
            tmp_path / str(size),
            grouped=False,
            batch_size=size,
            accumulation=8 // size,
            evaluate_every=6,
        )
        for size in (8, 4)
    )
    assert len(small.batches) == 2 * len(large.batches)
    rows = [
        torch.cat([batch["input_ids"] for batch in run.batches]).tolist() for run in (large, small)
    ]
    assert rows[0] == rows[1]
    for name, tensor in large.adapter.items():
        torch.testing.assert_close(small.adapter[name], tensor, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(tensor, large.start[name], atol=1e-3)
    # Adam hides a factor of the gradient: the loss and its gradient's norm in the log do not
    for wide, narrow in zip(large.log, small.log, strict=True):
        if "loss" in wide:
            assert narrow == pytest.approx(wide, rel=1e-3)


# ---------------------------------------------------------------- masks


def test_masks_spare_special_tokens_and_hide_one_token_in_seven() -> None:
    tokenizer = helpers.make_tokenizer()
    rows = helpers.chunks(600, 32).numpy().astype(np.uint16)
    rows[:, 0], rows[:, 15], rows[:, 31] = 0, 2, 1  # <s>, </s>, <pad>
    before = rows.copy()
    torch.manual_seed(0)
    batch = mask_tokens().mask(batching.stack([{"input_ids": row} for row in rows])["input_ids"])
    ids, labels, original = batch["input_ids"], batch["labels"], torch.from_numpy(before).long()
    asked = labels != -100
    special = torch.isin(original, torch.tensor(tokenizer.all_special_ids))
    assert not (asked & special).any()
    assert torch.equal(labels[asked], original[asked])
    assert torch.equal(ids[~asked], original[~asked])
    # four standard errors of the share of 17 400 tokens
    tokens = int((~special).sum())
    error = 4 * math.sqrt(0.15 * 0.85 / tokens)
    assert float(asked.sum()) / tokens == pytest.approx(0.15, abs=error)
    # 80 % become the mask, 10 % some token, 10 % stay
    hidden = (ids[asked] == tokenizer.mask_token_id).float().mean()
    kept = (ids[asked] == original[asked]).float().mean()
    assert float(hidden) == pytest.approx(0.8, abs=0.04)
    assert float(kept) == pytest.approx(0.1, abs=0.03)
    assert np.array_equal(rows, before)  # the token stream is shared between epochs


def test_masks_are_others_in_every_step(base: Path, tmp_path: Path) -> None:
    run = train(base, tmp_path, masked=True, rows=4, steps=3)
    rows = [
        torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])
        for batch in run.batches
    ]
    asked = [batch["labels"] != -100 for batch in run.batches]
    order = [row.argsort(0)[:, 0] for row in rows]
    for step in (1, 2):
        assert torch.equal(rows[step][order[step]], rows[0][order[0]])
        assert not torch.equal(asked[step][order[step]], asked[0][order[0]])


def test_layers_are_compiled_where_the_recipe_asks(base: Path, tmp_path: Path, monkeypatch) -> None:
    compiled: list[PreTrainedModel] = []
    monkeypatch.setattr(encoders, "compile_encoder", compiled.append)
    train(base, tmp_path / "plain")
    assert not compiled
    train(base, tmp_path / "compiled", torch_compile=True)
    assert len(compiled) == 1


def test_held_out_text_without_a_masked_token_is_refused(base: Path) -> None:
    model, chunks = encoders.load_masked_lm(base), helpers.chunks(1, 8).numpy()
    with pytest.raises(InputError, match="none of the 8 held-out subwords is masked"):
        masking.masked_validation(model, chunks, helpers.make_tokenizer(), 1e-9, 1, "fp32")


def test_held_out_loss_asks_every_time_the_same(base: Path) -> None:
    tokenizer = helpers.make_tokenizer()
    model = encoders.load_masked_lm(base)
    helpers.add_adapter(model, "es", seed=1)
    model.set_active_adapters("es")
    held_out = helpers.chunks(10).numpy().astype(np.uint16)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    validate = masking.masked_validation(model, held_out, tokenizer, 0.15, 4, "fp32")
    first = validate()
    assert torch.equal(torch.get_rng_state(), state)
    assert validate() == first

    # another seed and batch size: the same masks, and a mean over tokens, not over batches
    torch.manual_seed(2)
    other = masking.masked_validation(model, held_out, tokenizer, 0.15, 10, "fp32")()
    assert other["loss"] == pytest.approx(first["loss"], rel=1e-5)

    helpers.add_adapter(model, "fr", seed=2)
    model.set_active_adapters("fr")
    assert validate()["loss"] != pytest.approx(first["loss"], rel=1e-3)


# ---------------------------------------------------------------- rows of datasets

row_columns = st.lists(
    st.tuples(
        st.lists(st.integers(0, 250_000), min_size=1),
        st.lists(st.integers(0, 1), min_size=1),
        st.integers(-100, 9),
    ),
    min_size=1,
    max_size=9,
).map(
    lambda rows: dict(
        zip(("input_ids", "token_type_ids", "labels"), zip(*rows, strict=True), strict=True)
    )
)


@settings(max_examples=20, deadline=None)
@given(columns=row_columns, data=st.data())
def test_rows_are_those_of_the_dataset(columns: dict[str, Any], data: st.DataObject) -> None:
    dataset = batching.task_dataset(columns)
    assert dataset.cache_files == []  # in memory
    chosen = data.draw(st.lists(st.integers(0, len(dataset) - 1), min_size=1))
    # whole, as several tables, and as a selection
    for rows_of in (
        dataset,
        datasets.concatenate_datasets([dataset, dataset]),
        dataset.select(chosen, keep_in_memory=True),
    ):
        rows = batching.Rows(rows_of)
        assert len(rows) == len(rows_of)
        for i, expected in enumerate(rows_of):
            row = rows[i]
            assert {name: np.asarray(value).tolist() for name, value in row.items()} == expected
        assert rows.lengths() == [len(row) for row in rows_of["input_ids"]]


def test_chunks_share_the_memory_of_their_dataset() -> None:
    chunks = helpers.chunks(6).numpy().astype(np.int32)
    dataset = batching.chunk_dataset(chunks)
    assert dataset.cache_files == []
    assert dataset["input_ids"][:] == chunks.tolist()
    rows = batching.Rows(dataset)
    assert np.shares_memory(rows[3]["input_ids"], chunks[3])
    assert rows.lengths() == [16] * 6


def test_digest_follows_the_rows_and_not_how_they_are_stored() -> None:
    def digest(dataset: datasets.Dataset) -> str:
        return identity.digest(batching.Rows(dataset).arrays())

    ids, labels = [[5, 6], [7], [8, 9]], [0, 1, 2]
    whole = batching.task_dataset({"input_ids": ids, "labels": labels})
    parts = [whole.select(range(2)), whole.select(range(2, 3))]
    assert digest(whole) == digest(datasets.concatenate_datasets(parts))
    others = [
        batching.task_dataset({"input_ids": ids, "labels": [0, 1, 3]}),
        batching.task_dataset({"input_ids": [[5, 6], [7, 8], [9]], "labels": labels}),
        batching.task_dataset({"input_ids": ids[:2], "labels": labels[:2]}),
        batching.task_dataset({"input_ids": ids}),
        batching.task_dataset({"input_ids": ids, "start_positions": labels}),
        batching.chunk_dataset(np.array([[5, 6], [7, 8]], dtype=np.int32)),
        batching.chunk_dataset(np.array([[5, 6, 7, 8]], dtype=np.int32)),
    ]
    assert len({digest(dataset) for dataset in (whole, *others)}) == len(others) + 1


# ---------------------------------------------------------------- padding


def test_rows_are_padded_to_the_longest_of_the_batch() -> None:
    batch = batching.PadRows(pad_token=1)(
        [
            {"input_ids": [0, 7, 2], "labels": [-100, 3, -100], "token_type_ids": [0, 1, 1]},
            {"input_ids": [0, 2], "labels": [-100, -100], "token_type_ids": [0, 1]},
        ]
    )
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[0, 7, 2], [0, 2, 1]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "labels": [[-100, 3, -100], [-100, -100, -100]],  # padding is no class
        "token_type_ids": [[0, 1, 1], [0, 1, 0]],
    }


def test_labels_of_whole_examples_are_not_padded() -> None:
    batch = batching.PadRows(pad_token=1)(
        [{"input_ids": [0, 7, 2], "labels": 2}, {"input_ids": [0], "labels": 0}]
    )
    assert batch["labels"].tolist() == [2, 0]
    assert batch["attention_mask"].sum().item() == 4


def test_lengths_of_batches_in_half_precision_on_a_cpu_are_multiples() -> None:
    """Each further length costs some megabytes there; in fp32 no bit may change."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [batching.length_multiple(p, cpu) for p in ("auto", "fp32")] == [1, 1]
    half = [batching.length_multiple(p, cpu) for p in ("bf16", "fp16")]
    assert half == [batching.CPU_MULTIPLE] * 2
    assert batching.length_multiple("bf16", gpu) == 1
    rows = [{"input_ids": [5] * n, "labels": [3] * n} for n in (9, 4)]
    for at_most, length in ((None, 16), (20, 16), (12, 12), (8, 9)):
        batch = batching.PadRows(1, 8, at_most)(rows)
        assert {tuple(tensor.shape) for tensor in batch.values()} == {(2, length)}
        assert batch["attention_mask"].sum(1).tolist() == [9, 4]
        assert (batch["labels"][:, 9:] == -100).all() and (batch["input_ids"][:, 9:] == 1).all()


@pytest.mark.parametrize("head", ["tagging", "qa"])
def test_longer_padding_changes_losses_and_gradients_by_rounding_alone(
    base: Path, head: str
) -> None:
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "task", 1, task_config(helpers.TASK_SHAPE))
    set_seed(1)
    encoders.add_head(model, "task", head, ["O", "B-LOC", "I-LOC"])
    model.train_adapter("task")
    model.eval()  # without dropout, whose draws follow the shape
    labels = {
        "tagging": lambda n: {"labels": [i % 3 for i in range(n)]},
        "qa": lambda n: {"start_positions": 1, "end_positions": n - 1},
    }
    rows = [{"input_ids": list(range(5, 5 + n)), **labels[head](n)} for n in (9, 4)]
    found = []
    for multiple in (1, 8):
        model.zero_grad()
        loss = batching.task_loss(model, batching.PadRows(1, multiple)(rows))
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), torch.cat(gradients)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_metrics_log_forgets_what_came_after_a_checkpoint(tmp_path: Path) -> None:
    log = metrics.MetricsLog(tmp_path / "new" / "metrics.jsonl")
    for step in (1, 2, 3):
        log.write(step=step, loss=1 / 3)
    log.drop_after(2)
    assert metrics.read_metrics(log.path) == [{"step": s, "loss": 1 / 3} for s in (1, 2)]
    assert json.loads(log.path.read_text().splitlines()[0])["loss"] == 1 / 3


def test_metrics_are_copied_though_their_file_is_gone(tmp_path: Path) -> None:
    """Snakemake removes the outputs of a job that it cancels, while the job still saves."""
    log = metrics.MetricsLog(tmp_path / "metrics.jsonl")
    log.write(step=1, loss=2.0)
    log.path.unlink()
    log.copy(tmp_path / "kept.jsonl")
    assert metrics.read_metrics(tmp_path / "kept.jsonl") == [{"step": 1, "loss": 2.0}]
