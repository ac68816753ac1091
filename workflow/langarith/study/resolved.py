"""The resolved study that a run writes into its results folder, read without the study's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langarith.errors import InputError
from langarith.files import read_json


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
