"""Progress lines on the console: steps done and time left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

_console_fd: int | None = None


def redirect_to(log: str | Path) -> None:
    """Send this process's stdout and stderr to a log file, and keep the console for progress.

    Under SLURM the log begins with the job's id.
    """
    global _console_fd  # noqa: PLW0603  the process has one console
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    _console_fd = os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    if job := os.environ.get("SLURM_JOB_ID"):
        started, node = time.strftime("%Y-%m-%d %H:%M:%S"), os.environ.get("SLURMD_NODENAME", "?")
        print(f"--- SLURM job {job} on {node}, {started}", file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Print one line on the console, and to the log if there is one."""
    print(line, file=sys.stderr, flush=True)
    if _console_fd is not None:
        os.write(_console_fd, f"{line}\n".encode())


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2.5 h`, `12 days`: a unit in which the number is neither small nor long."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 86400:,.0f} days"


def aligned(rows: Sequence[Sequence[str]], right: Collection[int]) -> Iterator[str]:
    """Rows of text as lines with aligned columns; the columns `right` to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def size_of(count: float) -> str:
    """`12 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


class Progress:
    """Prints `what: done of total, time to go`, at most once in `every` seconds."""

    def __init__(self, what: str, total: int, unit: str, every: float = 5.0) -> None:
        self.what, self.total, self.unit, self.every = what, total, unit, every
        self.start = self.printed = time.monotonic()
        self.first: int | None = None

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if self.first is None:  # it may not be step 1, and also takes what is done once
            self.first, self.start = done, now
        if now - self.printed < self.every:
            return
        self.printed = now
        line = f"    {self.what}: {self.unit} {done} of {self.total}"
        line += f", {note}" if note else ""
        if done > self.first:
            left = (now - self.start) / (done - self.first) * (self.total - done)
            line += f", {duration(left)} to go"
        say(line)
