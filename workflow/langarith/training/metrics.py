"""The metrics log of a training: JSON lines, one per logged step.

JSON has no NaN and no infinity: such a value is `null`. This is a mean loss if no token of its
steps was masked, and a gradient norm if the loss scaling of fp16 skipped the step.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from langarith.files import write_text


class MetricsLog:
    """JSON lines, one per logged step; an interrupted run appends to its log."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: list[dict[str, Any]] = []

    def write(self, **values: Any) -> None:
        row = {name: _json_value(value) for name, value in values.items()}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def drop_after(self, step: int) -> None:
        """Drop the rows that a killed attempt logged after its last checkpoint."""
        rows = read_metrics(self.path) if self.path.is_file() else []
        self.rows = [row for row in rows if row["step"] <= step]
        self.copy(self.path)

    def copy(self, path: Path) -> None:
        """Write the rows from memory: a cancelled job may have lost its log before it saves."""
        write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in self.rows))


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a metrics log."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
