"""Compare the tables of two results folders, apart from columns that one of them alone has.

    python tests/compare_results.py results/before results/after

Exits with 1 where a common column of a tidy table, or a table to read, differs in a byte.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def differences(before: Path, after: Path) -> list[str]:
    """A line for each table that is missing or differs."""
    names = {path.name for folder in (before, after) for path in (folder / "tables").iterdir()}
    lines = []
    for name in sorted(names):
        old, new = before / "tables" / name, after / "tables" / name
        if not old.is_file() or not new.is_file():
            lines.append(f"{name}: only in {before if old.is_file() else after}")
        elif name.endswith(".csv"):
            one, other = (list(csv.DictReader(path.open(encoding="utf-8"))) for path in (old, new))
            common = [column for column in one[0] if column in other[0]]
            if [[row[c] for c in common] for row in one] != [[r[c] for c in common] for r in other]:
                lines.append(f"{name}: the columns {', '.join(common)} differ")
        elif name.endswith((".md", ".tex")) and old.read_bytes() != new.read_bytes():
            lines.append(f"{name}: differs")
    return lines


if __name__ == "__main__":
    found = differences(*map(Path, sys.argv[1:3]))
    print("\n".join(found) or "All tables are equal.")
    sys.exit(bool(found))
