"""Two sides of one question, run in turn, each in a process of its own.

A benchmark is a script with two functions, ours and the peer's, and a generator of cases:

    def ours(given): ...      # does the work; gives {"seconds": ..., "answer": ...} and more
    def theirs(given): ...

    def cases(asked): yield harness.Case("4 x 512 tokens", {"rows": 4}, bars={"seconds": 2.2})

    if __name__ == "__main__":
        harness.main(__doc__, "step", {"ours": ours, "peer": theirs}, cases)

`main` runs both sides `--repeats` times, the first to run changing from repeat to repeat, and makes
the benchmark fail (exit code 1) where the sides' answers disagree. Whatever number a side returns
beside `answer` is a quantity, and so is the peak memory of its process, `peak_mb`. Each quantity
that the case has a bar for is a row: medians of both sides, the ratio peer / ours of each repeat
(above 1 we are ahead), its median and spread, the bar. A bar that is missed is shown, no error.

`operations` (floating-point) or `bytes` that a side returns are set against what the machine does:
a product of two matrices and a copy of memory, measured in the same run.

Lines go to benchmarks/results.jsonl with the hardware, the versions and the commit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results.jsonl"
sys.path.insert(0, str(ROOT / "workflow"))

Given = Mapping[str, Any]
Side = Callable[[Given], dict[str, Any]]
UNITS = {"seconds": ("s", 1.0), "peak_mb": ("GB", 1e-3), "added_mb": ("MB", 1.0)}


@dataclass(frozen=True)
class Case:
    """One size of the question.

    Attributes:
        name: as in the table.
        given: what both sides are called with, and the number of the `repeat` from 0; JSON.
        bars: by quantity (`seconds`, `peak_mb`, or what the sides return), the ratio peer / ours
            that is to be reached; None shows the quantity without a bar.
        environment: variables for both sides.
        environments: variables for only one side, by its name.
        note: what a reader of the row must know.
        repeats: at most so many, for a case that is slow.
    """

    name: str
    given: dict[str, Any]
    bars: dict[str, float | None]
    environment: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    note: str = ""
    repeats: int | None = None


Agree = Callable[[list[Any], list[Any]], str | None]
"""Of our answers and the peer's, by repeat: None where they agree, else how they differ."""


def each(same: Callable[[Any, Any], str | None]) -> Agree:
    """Two sides agree where they agree in every repeat."""

    def agree(ours: list[Any], theirs: list[Any]) -> str | None:
        return next(filter(None, map(same, ours, theirs)), None)

    return agree


@each
def equal(ours: Any, theirs: Any) -> str | None:
    """None where both answers are equal, else how they differ."""
    return None if ours == theirs else f"{str(ours)[:200]} and {str(theirs)[:200]}"


def main(
    description: str | None,
    benchmark: str,
    sides: Mapping[str, Side],
    cases: Callable[[argparse.Namespace], Iterable[Case]],
    *,
    agree: Agree = equal,
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """Run a benchmark's cases, print its rows and append its lines; in a child, run one side.

    Args:
        sides: ours, then the peer, by the names of the table.
        cases: a generator, so that it may hold temporary folders open while its cases run. It
            sees the parsed options; `asked.tiny` asks for sizes that are done in a second.
        agree: compares the answers of all repeats.
        options: adds the benchmark's own options.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", nargs=2, metavar=("NAME", "GIVEN"), help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--tiny", action="store_true", help="a trial that measures nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    options(parser)
    asked = parser.parse_args()
    if asked.side:
        name, given = asked.side
        print(json.dumps(_with_peak(sides[name], json.loads(given))))
        return
    lines: list[dict[str, Any]] = []
    for case in cases(asked):
        print(f"{benchmark}: {case.name}", file=sys.stderr, flush=True)
        measured = [] if asked.tiny else [child(Path(__file__), case.environment)]
        runs = in_turn(
            Path(sys.argv[0]), sides, case, min(case.repeats or asked.repeats, asked.repeats)
        )
        measured += [] if asked.tiny else [child(Path(__file__), case.environment)]
        machine = {key: max(m[key] for m in measured) for key in (measured or [{}])[0]}
        if wrong := agree(*([run.pop("answer") for run in found] for found in runs.values())):
            sys.exit(f"{benchmark}, {case.name}: the two sides disagree: {wrong}")
        found = [line(benchmark, case, quantity, runs, machine) for quantity in case.bars]
        lines += found
        if not (asked.tiny and asked.results == RESULTS):
            with asked.results.open("a", encoding="utf-8") as log:
                log.writelines(json.dumps(entry) + "\n" for entry in found)
    print("\n".join(table(lines)))


def in_turn(
    script: Path, sides: Iterable[str], case: Case, repeats: int
) -> dict[str, list[dict[str, Any]]]:
    """What each run of each side gave, by side, in order of the repeats."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side in list(runs) if repeat % 2 == 0 else reversed(runs):
            variables = case.environment | case.environments.get(side, {})
            given = json.dumps(case.given | {"repeat": repeat})
            runs[side].append(child(script, variables, "--side", side, given))
    return runs


def child(script: Path, variables: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a script in a process of its own and read the JSON of its last line; offline."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(script), *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "workflow"),
                "HF_HUB_OFFLINE": "1",
                "HF_HOME": home,
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{script.name} {' '.join(arguments)}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# ---------------------------------------------------------------- in the child


def _with_peak(side: Side, given: Given) -> dict[str, Any]:
    found = side(given)
    return {"peak_mb": peak_mb(), **found}


def peak_mb() -> float:
    """The most memory that this process ever had resident, in MB.

    Linux's count of this program only: `getrusage` starts with that of the parent.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        row = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(row.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_machine() -> dict[str, float]:
    """What this machine does at best: `operations` (2n³ of a float32 product) and `bytes` a second.

    A copy counts its bytes twice, read and written. With a GPU, `gpu_operations` (bf16) and
    `gpu_bytes` too. The best of several tries, since others may use the machine.
    """
    import torch

    def rate(work: float, once: Callable[[], Any], on: str, tries: int) -> float:
        once()
        best = float("inf")
        for _ in range(tries):
            start = time.perf_counter()
            once()
            if on == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
        return work / best

    found = {}
    for on, n, dtype in (("cpu", 2048, torch.float32), ("cuda", 8192, torch.bfloat16)):
        if on == "cuda" and not torch.cuda.is_available():
            continue
        a, b = (torch.ones(n, n, dtype=dtype, device=on) for _ in range(2))
        source = torch.ones(2**26, device=on)
        target = torch.empty_like(source)
        kind = "gpu_" if on == "cuda" else ""
        found[f"{kind}operations"] = rate(2 * n**3, lambda a=a, b=b: a @ b, on, 5)
        found[f"{kind}bytes"] = rate(
            2 * source.nbytes, lambda s=source, t=target: t.copy_(s), on, 5
        )
    return found


def in_process(script: str, function: str, given: Given) -> tuple[float, dict[str, Any]]:
    """(seconds from start to end, what it gives) of a function of a script, as a job of its own."""
    call = (
        "import json, sys; given = json.loads(sys.argv[1]); "
        f"from {Path(script).stem} import {function}; "
        f"print(json.dumps({function}(given)))"
    )
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", call, json.dumps(given)],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT / 'workflow'}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seconds, found


def forward_operations(layers: int, width: int, inner: int, length: int) -> float:
    """Operations of a forward pass through the layers for one token, as `langarith.costs` counts.

    With a frozen base a training step is a forward pass and as much again for the gradients of the
    inputs: no gradients of the base's weights. Adapters are left out of the count.
    """
    from langarith.planning import costs

    return costs.forward((layers, width, inner, 0), length)


# ---------------------------------------------------------------- lines and rows


def line(
    benchmark: str,
    case: Case,
    quantity: str,
    runs: Mapping[str, list[dict[str, Any]]],
    machine: Mapping[str, float],
) -> dict[str, Any]:
    """One JSON line: a quantity of a case, with everything that it depends on."""
    ours, theirs = runs
    ratios = [b[quantity] / a[quantity] for a, b in zip(runs[ours], runs[theirs], strict=True)]
    return {
        "benchmark": benchmark,
        "case": case.name,
        "quantity": quantity,
        "note": case.note,
        "sides": [ours, theirs],
        "medians": [statistics.median(run[quantity] for run in runs[s]) for s in runs],
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
        "bar": case.bars[quantity],
        "fraction": _fraction(runs[ours], machine) if quantity == "seconds" else None,
        "runs": dict(runs),
        "machine": dict(machine),
        **surroundings(),
    }


def _fraction(runs: Sequence[Mapping[str, Any]], machine: Mapping[str, float]) -> float | None:
    """The share of the machine's rate that our side's median run reaches, where it counted."""
    kind = "gpu_" if "gpu_operations" in machine else ""
    for count in ("operations", "bytes"):
        if count in runs[0] and f"{kind}{count}" in machine:
            rate = statistics.median(run[count] / run["seconds"] for run in runs)
            return rate / machine[f"{kind}{count}"]
    return None


def surroundings() -> dict[str, Any]:
    """When, on what hardware, with which versions and which commit."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "gpu": _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("torch", "transformers", "adapters", "datasets", "snakemake")
        },
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    rows = info.read_text().splitlines() if info.is_file() else []
    named = (row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def table(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows of one run as a Markdown table, the hardware below."""
    head = ("question", "ours", "peer", "ratio (spread)", "of the machine", "bar")
    rows = [head, *map(_row, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for i, row in enumerate(rows):
        yield "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        if i == 0:
            yield "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    for note in dict.fromkeys(f"{e['case']}: {e['note']}" for e in lines if e["note"]):
        yield f"\n{note}"
    if lines:
        last = lines[-1]
        best = {key: max(e["machine"][key] for e in lines) for key in last["machine"]}
        done = "".join(
            f"; {name} {best[key] / unit:.3g} {of}"
            for key, name, unit, of in (
                ("operations", "float32 matrix product", 1e9, "GFLOP/s"),
                ("bytes", "memory copy", 1e9, "GB/s"),
                ("gpu_operations", "bf16 matrix product on the GPU", 1e12, "TFLOP/s"),
                ("gpu_bytes", "copy there", 1e9, "GB/s"),
            )
            if key in best
        )
        yield (
            f"\n{last['cores']} cores of an {last['cpu']}, {last['memory_gb']} GB, "
            f"{last['gpu'] or 'no GPU'}{done}; commit {last['commit']}, {last['time'][:10]}"
        )


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    name, factor = UNITS.get(entry["quantity"], (entry["quantity"], 1.0))
    ours, theirs = (f"{value * factor:.3g} {name}" for value in entry["medians"])
    low, high = entry["spread"]
    bar = entry["bar"]
    verdict = "" if bar is None else f"{bar:.2g}x {'✓' if entry['ratio'] >= bar else 'missed'}"
    return (
        f"{entry['benchmark']}: {entry['case']}",
        ours,
        f"{theirs} ({entry['sides'][1]})",
        f"{entry['ratio']:.2f}x ({low:.2f}–{high:.2f})",
        "" if entry["fraction"] is None else f"{entry['fraction']:.0%}",
        verdict,
    )


if __name__ == "__main__":
    print(json.dumps(measure_machine()))
