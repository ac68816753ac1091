"""SLURM runs: request checks, signals, logs of failed jobs, and a summary of resource use.

Before anything is queued each kind of request is checked with `sbatch --test-only`. In a job the
signals that SLURM sends before a time limit are forwarded to all child processes. The last lines of
a failed job's logs are printed and, at the end, the resources that jobs used and requested.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langarith.cluster import processes
from langarith.errors import InputError
from langarith.jobs.records import records
from langarith.progress import aligned, duration

PROFILE = "profiles/slurm/config.yaml"
LONGEST_PAUSE = 180
"""Seconds between two job status queries, as in the executor plugin."""

# --- before anything is queued ------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """The request of jobs of a kind: the site's settings, and the largest time, memory, cores."""

    rules: str
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpu: int = 0
    gpu_model: str | None = None
    clusters: str | None = None
    minutes: int | None = None
    megabytes: int | None = None
    cores: int = 1

    def options(self) -> list[str]:
        """The request as options of sbatch."""
        gpus = f"{self.gpu_model}:{self.gpu or 1}" if self.gpu_model else self.gpu
        given = {
            "--partition": self.partition,
            "--account": self.account,
            "--qos": self.qos,
            "--constraint": self.constraint,
            "--clusters": self.clusters,
            "--gpus": gpus,
            "--time": self.minutes,
            "--mem": self.megabytes,
            "--cpus-per-task": self.cores,
        }
        return [f"{name}={value}" for name, value in given.items() if value]


def requests(units: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Request]:
    """One request per combination of the site's settings, with the largest request of its jobs.

    Args:
        units: rules and resources of each job or group that will be submitted.
    """
    kinds: dict[tuple[Any, ...], list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    site = ("slurm_partition", "slurm_account", "qos", "constraint", "gpu", "gpu_model")
    for rules, resources in units:
        cluster = (
            resources.get("slurm_cluster") or resources.get("clusters") or resources.get("cluster")
        )
        kinds[*(resources.get(name) for name in site), cluster].append((rules, resources))

    def most(members: Sequence[tuple[str, Mapping[str, Any]]], name: str) -> int | None:
        return max(
            (v for _, resources in members if isinstance(v := resources.get(name), int)),
            default=None,
        )

    return [
        Request(
            ", ".join(sorted({rules for rules, _ in members})),
            partition=_text(kind[0]),
            account=_text(kind[1]),
            qos=_text(kind[2]),
            constraint=_text(kind[3]),
            gpu=kind[4] or 0,
            gpu_model=kind[5],
            clusters=kind[6],
            minutes=most(members, "runtime"),
            megabytes=most(members, "mem_mb"),
            cores=most(members, "_cores") or 1,
        )
        for kind, members in kinds.items()
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def refuse(planned: Sequence[Request]) -> None:
    """Check with SLURM that it accepts such jobs; nothing is queued.

    Raises:
        InputError: for the first rejected request: what is wrong, and the fix.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "sbatch is not on the PATH: start Snakemake on a login node of the cluster, or try the "
            "profile with a SLURM on this machine (make slurm-sandbox)"
        )
    known = partitions()
    for account in sorted({r.account for r in planned if r.account}):
        refuse_account(account)
    for request in planned:
        answer = _run(["sbatch", "--test-only", *request.options(), "--wrap=true"])
        if answer.returncode:
            raise InputError(_complaint(request, answer.stderr, known))


NOT_CONFIGURED = "Could not establish a configuration source"
"""What SLURM's commands answer where there is no slurm.conf."""


def partitions() -> list[str]:
    """The partitions of the cluster.

    Raises:
        InputError: SLURM does not answer.
    """
    up = _run(["sinfo", "--noheader", "--format=%R"])
    if up.returncode:
        raise InputError(f"SLURM does not answer: {_last_line(up.stderr)}")
    return sorted(set(up.stdout.split()))


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no answer"])[-1]


def wait_until_ended(name: str) -> None:
    """Wait until the queue has no job of this name, Ctrl-C, or 45 seconds have passed.

    A cancelled job has 30 seconds to end, unless the site has another `KillWait`. Its last line may
    come after it has left the queue, so the wait ends five seconds later.
    """
    if shutil.which("squeue") is None:
        return
    end = time.monotonic() + 45
    with suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            asked = _run(["squeue", "--noheader", "--name", name])
            if asked.returncode == 0 and not asked.stdout.strip():
                time.sleep(5)
                return
            time.sleep(1)


def refuse_account(account: str) -> None:
    """Raise if an account is none of the user's; nothing happens where SLURM lists none."""
    user = _run(["id", "-un"]).stdout.strip()
    listed = _run(["sacctmgr", "-nP", "list", "assoc", f"user={user}", "format=account"])
    if listed.returncode:
        raise InputError(
            f"{PROFILE}: slurm_account is '{account}', and this cluster has no database of "
            "accounts (sacctmgr does not answer): remove the key"
        )
    accounts = sorted({line for line in listed.stdout.split() if line})
    if accounts and account.lower() not in {name.lower() for name in accounts}:
        raise InputError(
            f"{PROFILE}: slurm_account is '{account}', which is no account of user {user}; use one "
            f"of {', '.join(accounts)}"
        )


def _complaint(request: Request, message: str, known: Sequence[str]) -> str:
    """One sentence that explains why a request is rejected, from the message of sbatch."""
    lower = message.lower()
    who = f"{PROFILE}: for {request.rules}"
    where = f"partition '{request.partition}'" if request.partition else "the default partition"
    if "partition" in lower and "account" not in lower and "invalid" in lower:
        return (
            f"{who} slurm_partition is '{request.partition}', which SLURM does not know; use one "
            f"of {', '.join(known)}"
        )
    if "account" in lower:
        return (
            f"{who} slurm_account is '{request.account}', which SLURM does not take for {where}; "
            "`sacctmgr show assoc user=$USER` lists yours"
        )
    if "qos" in lower:
        return f"{who} qos is '{request.qos}', which SLURM does not take for {where}"
    if "feature" in lower:
        return (
            f"{who} constraint is '{request.constraint}', which no node of {where} has; "
            "`sinfo -o '%P %f'` lists what they have"
        )
    if "time limit" in lower:
        return (
            f"{who} jobs ask for {request.minutes} minutes, longer than {where} allows; set "
            "`runtime` under `resources` to what it allows (trainings resume from checkpoints)"
        )
    requested = [f"{request.cores} cores", f"{request.megabytes} MB"]
    if request.gpu:
        requested.append(f"{request.gpu} GPU {request.gpu_model or ''}".strip())
    return (
        f"{who} jobs ask for {', '.join(requested)}, which no node of {where} has "
        f"({_last_line(message)}); `sinfo -o '%P %c %m %G'` lists what they have"
    )


def pauses(wanted: int) -> tuple[int, int]:
    """Seconds before the first job status query, and the longest interval between two.

    SLURM forgets a job `MinJobAge` seconds after its end. Snakemake would wait forever
    for a job forgotten between two queries, so the queries are frequent enough.

    LANGARITH_SLURM_PAUSE sets a shorter longest pause, for tests.

    Args:
        wanted: `slurm-init-seconds-before-status-checks` of the profile.
    """
    setting = re.search(
        r"^MinJobAge\s*=\s*(\d+)", _run(["scontrol", "show", "config"]).stdout, re.M
    )
    age = int(setting[1]) if setting else 300
    longest = min(int(os.environ.get("LANGARITH_SLURM_PAUSE", LONGEST_PAUSE)), max(1, age // 2))
    # from three times the first pause on, the executor plugin trusts squeue
    return max(1, min(wanted, age // 3, longest)), longest


# --- in a job -----------------------------------------------------------------------------------


def pass_signals_on() -> None:
    """Forward SIGURG, and SIGTERM as SIGURG, to all descendant processes.

    Where SLURM follows processes by cgroup it signals the first process of a job step alone, which
    is Snakemake; the script that can save a checkpoint does not receive it. A process without
    a handler ignores SIGURG. Python writes the number of each signal that has a
    handler to the wakeup descriptor, so Snakemake's own handler of SIGTERM is kept.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda *_: None)

    def listen() -> None:
        while numbers := os.read(read_end, 64):
            if signal.SIGURG in numbers or signal.SIGTERM in numbers:
                processes.signal_descendants(signal.SIGURG)

    threading.Thread(target=listen, daemon=True).start()


# --- console output -----------------------------------------------------------------------------


def last_lines(path: str | Path, count: int = 15, job: str | None = None) -> list[str]:
    """The last lines of a log, as printed on the console; empty if there is no log.

    Args:
        job: id of a SLURM job; then only what that job wrote.
    """
    if not Path(path).is_file():
        return []
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 100_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    if job is not None:
        begins = [i for i, line in enumerate(lines) if line.startswith(f"--- SLURM job {job} ")]
        lines = lines[begins[-1] :] if begins else []
    return [line for line in lines if line.strip()][-count:]


def last_words(path: str | Path) -> list[str]:
    """Errors that SLURM itself wrote to a job's output: time limit, memory, cancelled."""
    slurm_error = re.compile(r"(slurmstepd|srun)[\w.-]*: error")
    return list(dict.fromkeys(filter(slurm_error.match, last_lines(path, 200))))


def records_since(results: Path, started: float) -> list[dict[str, Any]]:
    """Records that jobs of SLURM wrote to a study's folder after a time (seconds since 1970)."""
    return [record for record, _ in records(results, started) if record.get("slurm_job")]


def summary(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Resources used and requested by jobs, by their records, per rule: lines for the console."""
    if not done:
        return []
    by_rule: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in sorted(done, key=lambda record: record["start"]):
        by_rule[record["rule"]].append(record)
    rows = [
        (
            "rule",
            "jobs",
            "of SLURM",
            "GPU-hours",
            "longest",
            "requested",
            "most memory",
            "requested",
        )
    ]
    for rule, members in by_rule.items():
        requested = [record.get("requested") or {} for record in members]
        rows.append(
            (
                rule,
                f"{len(members)}",
                f"{len({record['slurm_job'] for record in members})}",
                f"{_gpu_hours(members):.1f}" if any(map(_gpus, members)) else "-",
                duration(max(record["seconds"] for record in members)),
                duration(60 * max(a.get("runtime") or 0 for a in requested)),
                f"{max(record['peak_memory_mb'] for record in members):.0f} MB",
                f"{max(a.get('mem_mb') or 0 for a in requested)} MB",
            )
        )
    lines = list(aligned(rows, right=range(1, len(rows[0]))))
    again = sum((record.get("attempt") or 1) > 1 for record in done)
    slurm = len({record["slurm_job"] for record in done})
    hours = f"{_gpu_hours(done):.2f} GPU-hours of computing"
    lines.append(
        f"{_jobs(len(done))} in {slurm} of SLURM, {hours}"
        + (f"; {_jobs(again)} needed more than one attempt" if again else "")
    )
    idle = sum(bool(_gpus(record)) and record.get("device") != "cuda" for record in done)
    if idle:
        lines.append(
            f"{_jobs(idle)} held a GPU and computed on the CPU, which is not counted as GPU-hours"
        )
    return lines


def _jobs(count: int) -> str:
    return f"{count} job" + "s" * (count != 1)


def _gpus(record: Mapping[str, Any]) -> int:
    """GPUs that a job requested."""
    return (record.get("requested") or {}).get("gpu") or 0


def _gpu_hours(done: Iterable[Mapping[str, Any]]) -> float:
    """Hours of GPUs on which jobs computed: one that was held and not used does not count."""
    used = (record for record in done if record.get("device") == "cuda")
    return sum(record["seconds"] * _gpus(record) for record in used) / 3600
