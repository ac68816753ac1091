"""Provenance records of a study's jobs, read from its results folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(results: Path, since: float = 0.0) -> Iterator[tuple[dict[str, Any], Path]]:
    """Every record of a study's results, with its path.

    Results of other studies below, in folders with a `study.json` of their own, do not count, and
    neither do files that are no record: `langarith audit verify` says what is wrong with them.

    Args:
        since: seconds since 1970; older records are left out.
    """
    for folder, subfolders, files in os.walk(results):
        if folder != str(results) and "study.json" in files:
            subfolders.clear()
            continue
        subfolders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if name.endswith("provenance.json") and path.stat().st_mtime >= since:
                try:
                    record = json.loads(path.read_text(encoding="utf-8"))
                except ValueError:
                    continue
                if isinstance(record, dict) and "rule" in record:
                    yield record, path
