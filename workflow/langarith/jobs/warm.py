"""The warm process: it imports the large libraries once, and jobs are forked from it.

Importing torch, transformers and adapters takes a job 4 s of CPU time; sweeping a cell of the
miniature takes 2 s. Snakemake starts each job as a process of its own. That process sends its
command line, folder and environment to the warm process and waits for the fork that runs them:

    Snakemake -> python script.py --hand_over--> warm process --fork--> the script

A script requests this in its first line, `warm.hand_over(start=...)`. The warm process starts with
a run that has jobs with models, or with the first of these jobs, and ends with the run.

If the warm process ends early, a job that it has not started imports the libraries itself; one that
it has started ends at once, with a sentence, and its fork with it.

Results do not depend on where a job runs. This needs Linux; elsewhere, and with LANGARITH_WARM=off,
each job imports the libraries itself.
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

OWNER_VARIABLE = "LANGARITH_WARM"
"""Environment variable: process id of the Snakemake run that jobs belong to, or `off`."""

SLURM_JOB_VARIABLE = "LANGARITH_WARM_JOB"
"""Environment variable: the SLURM job in which the owner runs."""

MODULES = (
    "langarith.evaluation.sweep",
    "langarith.training.loop",
    "langarith.results.tables",
    "langarith.tasks.shared.metrics",
    "matplotlib.pyplot",
    "seqeval.metrics",
    "seqeval.scheme",
)
"""Modules that the warm process imports; with what they import, nearly all that jobs need."""

MODEL_CLASSES = tuple(
    f"{library}.models.{kind}.modeling_{kind}"
    for kind in ("xlm_roberta", "bert")
    for library in ("transformers", "adapters")
)
"""Modules that both libraries import only when a model is loaded."""

START_TIMEOUT = 600.0
"""Seconds that a job waits for the warm process; imports from a file server can be slow."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""

FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGURG, signal.SIGCONT)
"""Signals that a waiting job sends on to its fork."""


def claim() -> bool:
    """Make this Snakemake process the owner of its jobs' warm process; return whether it is.

    Within a SLURM job the first Snakemake process is the owner. Those that it starts for the
    members of a group are not, so that all members share one warm process.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    if os.environ.get(OWNER_VARIABLE) == "off" or (
        job and os.environ.get(SLURM_JOB_VARIABLE) == job
    ):
        return False
    os.environ.update({OWNER_VARIABLE: str(os.getpid()), SLURM_JOB_VARIABLE: job})
    return True


def address(owner: int) -> str:
    """Address of a run's warm process: an abstract Unix socket, which is no file.

    It depends on the Python executable, since jobs of one run may use several (`--sdm conda`).
    """
    python = hashlib.sha256(sys.executable.encode()).hexdigest()[:8]
    return f"\0langarith-{os.getuid()}-{owner}-{python}"


# --- in the job's own process -------------------------------------------------------------------


def hand_over(*, start: bool) -> None:
    """Let the warm process run this process's script, and exit as that fork exits.

    Returns only if there is no warm process, or within the fork. Call it before other imports:
    they would be made twice.

    Args:
        start: start the warm process if there is none, and wait until it is ready. False: use the
            warm process only if it is ready.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a job without a traceback
    owner = os.environ.get(OWNER_VARIABLE, "off")
    if owner == "off" or sys.platform != "linux":
        return
    server = _connect(int(owner), start)
    if server is None:
        return
    fork, status = 0, ""
    with server, suppress(ConnectionError):
        request = {
            "argv": sys.argv,
            "path": sys.path,
            "folder": os.getcwd(),
            "environment": {**os.environ, OWNER_VARIABLE: "off"},
        }
        sys.stdout.flush()
        sys.stderr.flush()
        # one byte carries the file descriptors; the request is one line
        socket.send_fds(server, [b"\n"], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        replies = server.makefile("r")
        fork = int(replies.readline() or 0)
        if fork:
            for number in FORWARDED_SIGNALS:
                signal.signal(number, lambda number, _: os.kill(fork, number))
        status = replies.readline()
    if not fork:
        return  # the warm process ended before it started the job
    if not status:
        print(
            "The process that jobs are forked from (langarith.jobs.warm) was killed, and this job "
            "with it; run again.",
            file=sys.stderr,
        )
        os._exit(1)
    code = os.waitstatus_to_exitcode(int(status))
    if code < 0:
        # end by the same signal, so that Snakemake and SLURM see what happened
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def launch(owner: int) -> subprocess.Popen[bytes]:
    """Start the warm process of a run and return at once.

    A second one for the same run finds the address in use and exits.
    """
    return subprocess.Popen(  # noqa: S603
        # -P: a file such as token.py in the working directory is no module
        [sys.executable, "-P", "-m", "langarith.jobs.warm", str(owner)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # OpenBLAS starts its threads on import, and a fork would lose them
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


def _connect(owner: int, start: bool) -> socket.socket | None:
    """A connection to the warm process of a run; None if there is none or it failed to start.

    Raises:
        PermissionError: a process of another user listens at the address.
    """
    deadline = time.monotonic() + START_TIMEOUT
    launched: subprocess.Popen[bytes] | None = None
    while True:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(address(owner))
        except OSError:
            server.close()
            if not start or time.monotonic() > deadline:
                return None
            if not _in_use(address(owner)):
                if launched and launched.poll() is not None:
                    return None  # the job imports the libraries itself, and shows any error in that
                launched = launched or launch(owner)
            time.sleep(0.02)
        else:
            if _peer_user(server) == os.getuid():
                return server
            server.close()
            raise PermissionError(f"another user listens at {address(owner)!r}")


def _in_use(name: str) -> bool:
    """Whether a process holds an abstract address, listening or not; True if that is unknown."""
    try:
        with open("/proc/net/unix", "rb") as sockets:
            return name.replace("\0", "@").encode() in {line.split()[-1] for line in sockets}
    except OSError:
        return True


def _peer_user(connection: socket.socket) -> int:
    """User id of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


# --- in the warm process ------------------------------------------------------------------------


class ForkedJob:
    """A fork that runs a job's script, and the connection to the process that waits for it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection, self.pid = connection, pid
        self.watch = os.pidfd_open(pid)

    def kill(self) -> None:
        """Kill the fork and its child processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def report_exit(self) -> None:
        """Send the wait status of the ended fork to the waiting process."""
        _, status = os.waitpid(self.pid, 0)
        with suppress(OSError):  # the waiting process may have been killed
            self.connection.sendall(f"{status}\n".encode())
        self.connection.close()
        os.close(self.watch)


def serve(owner: int) -> None:
    """Fork jobs of a Snakemake run until that run ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(address(owner))
        watch = os.pidfd_open(owner)
    except OSError:
        return  # this run has a warm process already, or is over
    for module in (*MODULES, *MODEL_CLASSES):
        __import__(module)
    listening.listen()
    # the garbage collector writes to all objects that it tracks, which would copy their pages
    gc.collect()
    gc.freeze()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    jobs: list[ForkedJob] = []
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
                job.report_exit()
                jobs.remove(job)
            elif job.connection in ready:
                job.kill()  # a waiting process sends nothing more: it has been killed
        if listening in ready:
            connection, _ = listening.accept()
            forked = _fork(connection) if _peer_user(connection) == os.getuid() else None
            if forked:
                jobs.append(forked)
            else:
                connection.close()


def _fork(connection: socket.socket) -> ForkedJob | None:
    """Read a request, fork its job and reply with the process id; None for half a request."""
    streams: list[int] = []
    try:
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("r") as lines:
            request = json.loads(lines.readline())
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        return None
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _end_with(parent)
        _run_script(request, streams)
    with suppress(OSError):
        os.setpgid(pid, pid)  # here and in the fork: whichever comes first
    for stream in streams:
        os.close(stream)
    with suppress(OSError):  # killed meanwhile: `serve` sees that the connection is closed
        connection.sendall(f"{pid}\n".encode())
    return ForkedJob(connection, pid)


def _end_with(parent: int) -> None:
    """In the fork: be killed when the warm process ends, so that no second job writes its files."""
    import ctypes  # only here: a waiting process needs none

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run_script(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """In the fork: take over the job's streams, folder and environment, and run its script."""
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
