"""Results folders, and the resolved study that a run writes into each, read without the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langarith.errors import InputError
from langarith.files import read_json

LIMITED = "-limited"
"""The suffix of the name and the folders of a limited run."""


def study_of(results: Path) -> dict[str, Any]:
    """The content of the `study.json` of a results folder.

    Raises:
        InputError: it is no results folder of a study that has run.
    """
    if (results / "study.json").is_file():
        return read_study(results / "study.json")
    if not results.exists():
        wrong = "no such folder"
    else:
        wrong = "no study.json there" if results.is_dir() else "a file and no folder"
    raise InputError(f"{results}: {wrong}; {which_study(results)}")


def which_study(folder: Path) -> str:
    """The end of a refusal of a path that is no results folder: those near it that are."""
    around = folder if folder.is_dir() else folder.parent
    near = dict.fromkeys([around, *sorted(around.glob("*")), Path(f"{folder}{LIMITED}")])
    found = [str(place) for place in near if (place / "study.json").is_file()]
    if found:
        return f"name the results folder of a study: {' or '.join(found)}"
    return "name the results folder of a study that has run"


def read_study(path: Path) -> dict[str, Any]:
    """The content of a `study.json` that a run has written into its results folder.

    Raises:
        InputError: the file was not written by a run.
    """
    try:
        study = read_json(path)
        if {"name", "results_dir"} <= set(study):
            return dict(study)
    except (InputError, TypeError):
        pass
    raise InputError(
        f"{path} does not say which study the folder belongs to; delete it if it is yours: the "
        "next run writes it again"
    )
