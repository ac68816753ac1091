"""The task types: every module of this folder is one; `shared` has the code that they share.

A type is imported only when it is needed: :func:`names` lists the folder, and a type's module
imports numpy, pyarrow and transformers inside the functions that use them. So the study, the cost
model and the rules can read the attributes of a type (:class:`langarith.tasks.shared.base.Task`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from langarith.tasks.shared.base import Task

__all__ = ["get", "names", "part", "reader"]


@cache
def names() -> tuple[str, ...]:
    """The task types in alphabetical order, without importing them."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(file.stem for file in files if not file.stem.startswith("_")))


def part(name: str) -> str:
    """The name of the type's module in fingerprints: `tasks.ner`.

    Raises:
        InputError: an unknown type.
    """
    if name not in names():
        raise InputError(f"task type '{name}' is unknown{did_you_mean(name, names())}.")
    return f"tasks.{name}"


def get(name: str, labels: Sequence[str] = ()) -> Task[Any, Any]:
    """The task of a type; imports only its module.

    Args:
        name: the type, a module of this folder.
        labels: the label set that a study names, for a type that has `labels` among its
            `own_keys`.

    Raises:
        InputError: an unknown type.
    """
    return _class(part(name))(labels)


def reader(reading: Mapping[str, Any]) -> Task[Any, Any]:
    """The task that reads files as configured in a study.

    Args:
        reading: from :func:`langarith.study.sources.task_reading`.

    Raises:
        InputError: an unknown type.
    """
    optional = ("columns", "tags", "language", "max_answer_length")
    given = {key: reading[key] for key in optional if key in reading}
    return _class(part(reading["type"]))(reading["labels"], **given)


@cache
def _class(part: str) -> type[Task[Any, Any]]:
    """The subclass of `Task` that a type's module defines."""
    from langarith.tasks.shared.base import Task

    module = import_module(f"langarith.{part}")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TypeError(f"{module.__name__} defines {len(classes)} subclasses of Task instead of 1")
    return classes[0]
