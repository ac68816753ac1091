"""The tasks, by kind. Importing them is cheap: heavy packages are imported where they are used."""

from __future__ import annotations

from typing import Any

from langarith.errors import InputError, did_you_mean
from langarith.tasks.base import Features, Task
from langarith.tasks.ner import Ner
from langarith.tasks.nli import Nli
from langarith.tasks.qa import Qa

__all__ = ["TASKS", "Features", "Task", "get"]

TASKS: dict[str, Task[Any, Any]] = {task.kind: task for task in (Ner(), Nli(), Qa())}


def part(kind: str) -> str:
    """The module of a task type as fingerprints name it: `tasks.ner`."""
    return f"tasks.{kind}"


def get(kind: str) -> Task[Any, Any]:
    """The task of this kind. Errors: InputError for an unknown one."""
    if kind not in TASKS:
        raise InputError(f"task kind '{kind}' is unknown{did_you_mean(kind, TASKS)}.")
    return TASKS[kind]
