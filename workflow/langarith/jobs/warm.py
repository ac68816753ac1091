"""A warm start: one process imports the libraries, and jobs are forked from it.

To import torch, transformers and adapters takes a job 4 seconds of computing, to sweep a cell of
the miniature 2. Snakemake starts each job as a process of its own; that process hands its script
over here and waits. The warm process starts with a run that has jobs with models, or with the
first of them, and ends with the run; jobs without a model use it where it is ready:

    Snakemake -> python script.py --hand_over--> warm process --fork--> the script

What a job computes does not depend on where it was started. Linux alone has what this needs;
elsewhere, and with LANGARITH_WARM=off, each job imports for itself.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

OWNER = "LANGARITH_WARM"
"""Environment variable: process id of the Snakemake run that jobs belong to, or `off`."""

JOB = "LANGARITH_WARM_JOB"
"""Environment variable: the SLURM job in which the owner runs."""

ROOMS = (
    "langarith.evaluation.sweep",
    "langarith.training.loop",
    "langarith.results.tables",
    "langarith.tasks.shared.metrics",
    "matplotlib.pyplot",
    "seqeval.metrics",
    "seqeval.scheme",
)
"""What the warm process imports, and with it nearly all that jobs need."""

MODELS = tuple(
    f"{library}.models.{kind}.modeling_{kind}"
    for kind in ("xlm_roberta", "bert")
    for library in ("transformers", "adapters")
)
"""Model classes, which both libraries import when a model is loaded."""

PATIENCE = 600.0
"""Seconds that a job waits for the libraries, which a file server can be slow to bring."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGURG, signal.SIGCONT)
"""Signals that a waiting job passes on to the fork that does its work."""


def own() -> bool:
    """Make this Snakemake the owner of its jobs' warm process; whether it is.

    In a SLURM job the first Snakemake is, and those that it starts for the members of a group are
    not: so the members share one process.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    if os.environ.get(OWNER) == "off" or (job and os.environ.get(JOB) == job):
        return False
    os.environ.update({OWNER: str(os.getpid()), JOB: job})
    return True


def address(owner: int) -> str:
    """Where the warm process of a run listens: an abstract socket, which is no file.

    Jobs of one run may use several Pythons (`--sdm conda`), and each has a process of its own.
    """
    python = hashlib.sha256(sys.executable.encode()).hexdigest()[:8]
    return f"\0langarith-{os.getuid()}-{owner}-{python}"


# --- the job's side -----------------------------------------------------------------------------


def hand_over(*, start: bool) -> None:
    """Let the warm process run this process's script, and end as it ends.

    Returns only where there is no warm process, or in the fork itself.

    Args:
        start: start the warm process where there is none yet, and wait until it is ready.
    """
    owner = os.environ.get(OWNER, "off")
    if owner == "off" or sys.platform != "linux":
        return
    server = _connect(int(owner), start)
    if server is None:
        return
    with server:
        request = {
            "argv": sys.argv,
            "path": sys.path,
            "folder": os.getcwd(),
            "environment": {**os.environ, OWNER: "off"},
        }
        sys.stdout.flush()
        sys.stderr.flush()
        # the request's end is told by the line's
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        replies = server.makefile("r")
        fork = int(replies.readline() or 0)
        if fork:
            for number in FORWARDED:
                signal.signal(number, lambda number, _: os.kill(fork, number))
        told = replies.readline()
    if not told:
        print("The warm process has ended before its job; run again.", file=sys.stderr)
        os._exit(1)
    status = os.waitstatus_to_exitcode(int(told))
    if status < 0:
        # end by the same signal, so that Snakemake and SLURM see what happened
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def launch(owner: int) -> subprocess.Popen[bytes]:
    """Start the warm process of a run, without waiting for it.

    Where there is one already, the second finds the address taken and ends.
    """
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "langarith.jobs.warm", str(owner)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # threads of a library that is only imported would be lost in the fork
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


def _connect(owner: int, start: bool) -> socket.socket | None:
    """A connection to the warm process of a run, which is started on demand."""
    until = time.monotonic() + PATIENCE
    launched: subprocess.Popen[bytes] | None = None
    while True:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(address(owner))
        except OSError:
            server.close()
            failed = launched and launched.poll()
            if not start or failed or time.monotonic() > until:
                return None  # the job imports for itself, and tells if that fails
            launched = launched or launch(owner)
            time.sleep(0.02)
        else:
            if _user(server) == os.getuid():
                return server
            server.close()
            raise PermissionError(f"another user listens at {address(owner)!r}")


def _user(connection: socket.socket) -> int:
    """The user at the other end."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(peer[4:8], sys.byteorder)


# --- the warm process ---------------------------------------------------------------------------


class Job:
    """A fork at work, and the connection of the job that waits for it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection, self.pid = connection, pid
        self.watch = os.pidfd_open(pid)

    def kill(self) -> None:
        """End the fork, its own children with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Tell the waiting job how the fork ended."""
        _, status = os.waitpid(self.pid, 0)
        with suppress(OSError):  # a job that was killed does not want to know
            self.connection.sendall(f"{status}\n".encode())
        self.connection.close()
        os.close(self.watch)


def serve(owner: int) -> None:
    """Fork jobs for a Snakemake run until it ends."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(address(owner))
        watch = os.pidfd_open(owner)
    except OSError:
        return  # another process serves this run, or the run is over
    for room in (*ROOMS, *MODELS):
        __import__(room)
    listening.listen()
    # what is there now stays: no fork copies its pages for the garbage collector's marks
    gc.collect()
    gc.freeze()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    jobs: list[Job] = []
    while True:
        watched: list[Any] = [watch, listening]
        for job in jobs:
            watched += [job.watch, job.connection]
        ready = select.select(watched, [], [])[0]
        if watch in ready:
            for job in jobs:
                job.kill()
            return
        for job in list(jobs):
            if job.watch in ready:
                job.end()
                jobs.remove(job)
            elif job.connection in ready:
                job.kill()  # nothing more is said but that the waiting job was killed
        if listening in ready:
            connection, _ = listening.accept()
            started = _fork(connection) if _user(connection) == os.getuid() else None
            if started:
                jobs.append(started)
            else:
                connection.close()


def _fork(connection: socket.socket) -> Job | None:
    """Start a job in a fork and tell its process id; None where its process died in asking."""
    streams: list[int] = []
    try:
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("r") as lines:
            request = json.loads(lines.readline())
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        return None
    pid = os.fork()
    if pid == 0:
        _work(request, streams)
    with suppress(OSError):
        os.setpgid(pid, pid)  # here and in the fork: whichever comes first
    for stream in streams:
        os.close(stream)
    with suppress(OSError):  # killed meanwhile: `serve` finds the connection closed
        connection.sendall(f"{pid}\n".encode())
    return Job(connection, pid)


def _work(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Become the job: its streams, folder, environment and script."""
    status = 1
    try:
        os.setpgid(0, 0)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 1024)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv[:], sys.path[:] = request["argv"], request["path"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
