"""Trainings that end early: after so many validations without improvement."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import helpers
from langarith.planning import work
from langarith.study.recipes import TaskRecipe
from test_training import Ended, Killed, Run, Tensors, same, tag, train

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return helpers.make_base(tmp_path_factory.mktemp("base") / "wobbly", layers=1, dropout=0.1)


def steps(run: Run) -> list[int]:
    return [row["step"] for row in run.validation()]


def test_training_ends_after_validations_without_improvement(base: Path, tmp_path: Path) -> None:
    values = [3.0, 2.0, 2.5, 2.0, 1.0]  # equal is no improvement
    snapshots: list[Tensors] = []
    run = train(base, tmp_path, values=values, snapshots=snapshots, evaluate_every=1, patience=2)
    assert steps(run) == [1, 2, 3, 4]
    assert same(run.adapter, snapshots[1])
    assert (run.outcome.best_step, run.outcome.steps) == (2, 4)
    assert run.log[-1] == {"step": 4, "stopped_early": True, "best_step": 2}
    assert len(run.batches) == 4
    assert not run.checkpoints.exists()


def test_an_improvement_begins_the_count_anew(base: Path, tmp_path: Path) -> None:
    values = [3.0, 4.0, 2.0, 4.0, 1.0, 4.0, 0.5, 4.0, 4.0]
    run = train(base, tmp_path, values=values, evaluate_every=1, patience=2)
    assert steps(run) == list(range(1, 10))
    assert run.outcome.steps == 9
    # the last step ends the run anyway
    assert not any("stopped_early" in row for row in run.log)


def test_without_patience_a_training_takes_all_its_steps(base: Path, tmp_path: Path) -> None:
    values = [1.0, *[2.0] * 8]
    run = train(base, tmp_path, values=values, evaluate_every=1)
    assert run.outcome.steps == 9
    assert run.outcome.best_step == 1


@pytest.mark.parametrize("kill_at", [3, 5])
def test_interrupted_run_ends_at_the_same_step(base: Path, tmp_path: Path, kill_at: int) -> None:
    """Before and after the validations that count; the count is found again in the log."""
    values = [2.0, 1.0, 3.0, 3.0, 3.0, 0.0]
    how = {"evaluate_every": 1, "patience": 3, "masked": True}
    whole = train(base, tmp_path / "whole", values=values, **how)
    with pytest.raises(Killed):
        train(base, tmp_path / "killed", values=values, kill_at=kill_at, **how)
    resumed = train(base, tmp_path / "killed", values=values[kill_at - 1 :], **how)
    assert whole.outcome.steps == 5
    assert resumed.outcome == whole.outcome
    assert same(resumed.adapter, whole.adapter)
    assert resumed.log == whole.log


def test_run_killed_after_its_early_end_only_ends(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint is left of the last step, from which a run would go on."""
    from langarith.training import loop

    values = [1.0, 3.0, 3.0]
    how = {"evaluate_every": 1, "patience": 2}
    whole = train(base, tmp_path / "whole", values=values, **how)

    def die(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "load_best", die)
        with pytest.raises(Killed):
            train(base, tmp_path / "killed", values=values, save=True, **how)
    names = [path.name for path in (tmp_path / "killed/checkpoints").glob("checkpoint-*")]
    assert names == ["checkpoint-2"]
    resumed = train(base, tmp_path / "killed", values=values[2:], **how)
    assert resumed.outcome == whole.outcome
    assert same(resumed.adapter, whole.adapter)


def test_signal_in_the_step_of_an_early_end_ends_nothing(base: Path, tmp_path: Path) -> None:
    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        run = train(
            base,
            tmp_path,
            values=[1.0, 3.0, 3.0],
            evaluate_every=1,
            patience=2,
            signal_at=(3, signal.SIGTERM),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.outcome.steps == 3
    assert not run.checkpoints.exists()


def test_task_adapter_ends_by_epochs(base: Path, tmp_path: Path) -> None:
    """Its validations, one an epoch, find the same score each time."""
    run = tag(base, tmp_path, epochs=5, evaluate_every=None, patience=2)
    assert run.outcome.best_step == 6
    assert run.outcome.steps == 18
    assert run.log[-1] == {"step": 18, "stopped_early": True, "best_step": 6}


def test_recorded_training_counts_the_steps_that_it_took(tmp_path: Path) -> None:
    """Or a plan would take its time for that of all steps."""
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 6, "loss": 1.0}\n{"step": 6, "validation_f1": 2.0}\n'
        '{"step": 18, "validation_f1": 2.0}\n'
        '{"step": 18, "stopped_early": true, "best_step": 6}\n'
    )
    recipe = TaskRecipe(epochs=5, batch_size=4, learning_rate=1e-3)
    path = tmp_path / "provenance.json"
    assert work._done(recipe.model_dump(), path) == recipe.model_dump()
    done = work._done(recipe.model_copy(update={"patience": 2}).model_dump(), path)
    assert (done["steps"], done["epochs"], done["evaluate_every"]) == (18, None, 6)
