"""Kill processes of whole runs at random, and compare what the runs give with an undisturbed run.

    python benchmarks/kill_campaign.py --kills 200 --seed 1 --results results/kills

The nano study runs again and again in a copy of the project. In each run some processes, drawn by
the seed, get SIGKILL, SIGTERM or SIGINT: Snakemake, a job, the process that jobs are forked from,
or a fork. When Snakemake has ended early it is started again, as a user would do. Each complete run
is compared with the first, undisturbed one, byte by byte, and `langarith audit verify` is run. What
happened is in `kills.jsonl` and `runs.jsonl` of the results folder; the same command continues a
campaign that was stopped. Exit code 1 if a run differs, an audit fails, or a run does not end.

The seed decides kinds, signals and pauses; which line of code a signal meets depends on the
machine. Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "rules", "workflow", "profiles", "studies", "envs")
STUDY = "studies/nano.yaml"
OUTPUT = Path("results/nano")
TARGETS = ("zero_shot", "low_resource", "ties")
KINDS = ("snakemake", "job", "warm process", "fork")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MARK = "LANGARITH_KILL_CAMPAIGN"
KILLS_OF_A_RUN = (5, 12)
NOT_COMPARED = ("provenance.json", ".log", "metrics.jsonl")
"""Ends of names: records and logs hold times; a resumed training logs a mean over fewer steps."""


# --- processes ------------------------------------------------------------------------------------


def processes(mark: str) -> Iterator[tuple[int, int, str]]:
    """(id, parent's id, command line) of every process whose environment has the mark."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # none: it has ended
                    yield int(folder.name), parent, command
        except OSError:
            continue


def victims(mark: str, snakemake: int) -> dict[str, list[int]]:
    """The running processes of each kind."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    every = list(processes(mark))
    warm = {pid for pid, _, command in every if "langarith.jobs.warm" in command}
    for pid, parent, command in every:
        if pid == snakemake:
            found["snakemake"].append(pid)
        elif pid in warm:
            found["fork" if parent in warm else "warm process"].append(pid)
        elif ".snakemake/scripts/" in command and "python" in command.split()[0]:
            found["job"].append(pid)
    return {kind: sorted(pids) for kind, pids in found.items() if pids}


def end_all(mark: str, patience: float) -> None:
    """Wait for the end of everything that a run has started; kill what is left."""
    until = time.monotonic() + patience
    while left := [pid for pid, _, _ in processes(mark)]:
        if time.monotonic() > until:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


# --- runs -----------------------------------------------------------------------------------------


class Campaign:
    """Runs in one folder, and what happened in them."""

    def __init__(self, folder: Path, seed: int, patience: float) -> None:
        self.folder, self.seed, self.patience = folder, seed, patience
        self.project = folder / "project"
        self.log = folder / "snakemake.log"
        self.kills = read_lines(folder / "kills.jsonl")
        self.runs = read_lines(folder / "runs.jsonl")
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        self.environment = {**os.environ, "PYTHONPATH": "", MARK: self.mark}

    def prepare(self) -> None:
        """Copy the project, and run it once undisturbed."""
        reference = self.folder / "reference"
        if not reference.is_dir():
            shutil.rmtree(self.project, ignore_errors=True)
            self.project.mkdir(parents=True)
            for part in PARTS:
                copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
                copy(ROOT / part, self.project / part)
            started = time.monotonic()
            if self.start().wait() != 0:
                sys.exit(f"the undisturbed run failed; see {self.log}")
            (self.folder / "seconds").write_text(f"{time.monotonic() - started:.1f}")
            end_all(self.mark, 60)
            (self.project / OUTPUT).rename(reference)
        self.reference = hashes(reference)
        self.seconds = float((self.folder / "seconds").read_text())

    def snakemake(self, *options: str) -> list[str]:
        return [
            str(Path(sys.executable).with_name("snakemake")),
            *options,
            "--cores",
            "2",
            "--configfile",
            STUDY,
        ]

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                self.snakemake(*TARGETS),
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, most: int) -> None:
        """One complete run with some kills, compared and audited."""
        shutil.rmtree(self.project / OUTPUT, ignore_errors=True)
        shutil.rmtree(self.project / ".snakemake", ignore_errors=True)
        draw = random.Random(f"{self.seed} {len(self.kills)}")
        planned = min(most, draw.randint(*KILLS_OF_A_RUN))
        done, starts, started = 0, 1, time.monotonic()
        snakemake = self.start()
        while True:
            if done < planned:
                done += self.kill_one(snakemake, draw)
            else:
                try:
                    snakemake.wait(self.patience)
                except subprocess.TimeoutExpired:
                    return self.finish(done, starts, started, ended=False)
            if snakemake.poll() == 0:
                return self.finish(done, starts, started, ended=True)
            if snakemake.poll() is not None:
                end_all(self.mark, 60)
                if snakemake.returncode == -signal.SIGKILL:
                    self.unlock()
                snakemake, starts = self.start(), starts + 1

    def unlock(self) -> None:
        with self.log.open("ab") as log:
            subprocess.run(  # noqa: S603
                self.snakemake("--unlock"),
                cwd=self.project,
                env=self.environment,
                stdout=log,
                stderr=log,
                check=False,
            )

    def kill_one(self, snakemake: subprocess.Popen[bytes], draw: random.Random) -> int:
        """Pause, then signal one process; 0 if Snakemake ended in the pause, else 1."""
        try:
            snakemake.wait(draw.uniform(0.05, 0.3) * self.seconds)
            return 0
        except subprocess.TimeoutExpired:
            pass
        found = victims(self.mark, snakemake.pid)
        kind = draw.choice([kind for kind in KINDS if kind in found] or ["snakemake"])
        pid, number = draw.choice(found.get(kind, [snakemake.pid])), draw.choice(SIGNALS)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return 0
        self.note("kills", self.kills, kind=kind, signal=signal.Signals(number).name)
        return 1

    def finish(self, kills: int, starts: int, started: float, *, ended: bool) -> None:
        end_all(self.mark, 60 if ended else 0)
        seconds = time.monotonic() - started
        if not kills:  # the undisturbed run was slower than that, on a busier machine
            self.seconds = seconds
        now = hashes(self.project / OUTPUT)
        names = sorted({*now, *self.reference})
        audit = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "langarith", "audit", "verify", str(OUTPUT)],
            cwd=self.project,
            env={**self.environment, "PYTHONPATH": str(self.project / "workflow")},
            capture_output=True,
            text=True,
            check=False,
        )
        self.note(
            "runs",
            self.runs,
            kills=kills,
            starts=starts,
            seconds=round(seconds, 1),
            ended=ended,
            files=len(now),
            different=[name for name in names if now.get(name) != self.reference.get(name)],
            audit=audit.returncode,
            findings="" if audit.returncode == 0 else (audit.stdout + audit.stderr)[-2000:],
        )
        if not ended:
            sys.exit(f"a run did not end in {self.patience:.0f} s after its last kill: {self.log}")

    def note(self, name: str, lines: list[dict[str, Any]], **fields: Any) -> None:
        """Remember a line, and append it to a file at once."""
        lines.append(fields)
        with (self.folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
        print(json.dumps({name: fields}), flush=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file; none if it is missing."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every result below a folder, by its path there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.endswith(NOT_COMPARED)
        and path.relative_to(folder).parts[0] not in ("logs", "hashes")
    }


def table(kills: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[str]:
    """The campaign as lines of Markdown."""
    counts = Counter((kill["kind"], kill["signal"]) for kill in kills)
    names = [number.name for number in SIGNALS]
    lines = [f"| killed | {' | '.join(names)} | all |", "|---" * (len(names) + 2) + "|"]
    for kind in (*KINDS, "all"):
        row = [
            sum(n for (k, s), n in counts.items() if kind in (k, "all") and name in (s, "all"))
            for name in (*names, "all")
        ]
        lines.append(f"| {kind} | {' | '.join(map(str, row))} |")

    def share(what: str, good: Mapping[int, bool]) -> str:
        return f"{what}: {sum(good.values())} of {len(runs)} runs"

    return [
        *lines,
        "",
        share("ended", {i: run["ended"] for i, run in enumerate(runs)}),
        share("equal, byte by byte", {i: not run["different"] for i, run in enumerate(runs)}),
        share("as recorded (audit verify)", {i: run["audit"] == 0 for i, run in enumerate(runs)}),
        f"starts of Snakemake: {sum(run['starts'] for run in runs)}",
    ]


def main() -> int:
    """Run the campaign; 0 if no run differs, fails its audit or hangs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="how many (20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, required=True, help="a scratch folder")
    parser.add_argument(
        "--patience", type=float, default=1800, help="seconds that a run may take after its kills"
    )
    chosen = parser.parse_args()
    chosen.results.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(chosen.results.resolve(), chosen.seed, chosen.patience)
    campaign.prepare()
    while (left := chosen.kills - sum(run["kills"] for run in campaign.runs)) > 0:
        campaign.run(left)
    print("\n".join(table(campaign.kills, campaign.runs)))
    return int(any(run["different"] or run["audit"] or not run["ended"] for run in campaign.runs))


if __name__ == "__main__":
    sys.exit(main())
