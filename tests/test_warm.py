"""The warm start: jobs forked from one process that has imported the libraries."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langarith.jobs import warm

LIBRARY = Path(__file__).parent.parent / "workflow"
HAND_OVER = "from langarith.jobs import warm\nwarm.hand_over(start=True)\n"


@pytest.fixture(scope="module")
def run():
    """A process that stands for a Snakemake run."""
    with subprocess.Popen(["sleep", "600"]) as owner:
        yield owner
        owner.kill()


def job(folder, run, work, *arguments, **environment):
    """A job of the run that hands over its script, started."""
    script = folder / "script.py"
    script.write_text(HAND_OVER + work)
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(LIBRARY), "LANGARITH_WARM": str(run.pid)}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(pid):
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid, patience=10.0):
    until = time.monotonic() + patience
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_a_job_finds_the_libraries_imported_and_its_own_folder_arguments_and_environment(
    tmp_path, run
):
    work = """
import os, sys
print("torch" in sys.modules, "adapters" in sys.modules, __name__)
print(os.getcwd(), sys.argv[1:], os.environ["HUE"], os.environ["LANGARITH_WARM"])
print("to the other stream", file=sys.stderr)
"""
    told, errors = job(tmp_path, run, work, "a", "b c", HUE="blue").communicate()
    assert told.splitlines() == [
        "True True __main__",
        f"{tmp_path} ['a', 'b c'] blue off",
    ]
    assert errors == "to the other stream\n"


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('a sentence')", 1),
        ("raise ValueError", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_a_job_ends_as_its_script_ends(tmp_path, run, work, status):
    started = job(tmp_path, run, work)
    errors = started.communicate()[1]
    assert started.returncode == status, errors
    assert ("ValueError" in errors) == (work == "raise ValueError")


def at_work(started):
    """The process id of a fork that says that it works."""
    return int(started.stdout.readline())


WAIT = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_is_killed_leaves_no_fork_at_work(tmp_path, run, number):
    started = job(tmp_path, run, WAIT)
    fork = at_work(started)
    assert fork != started.pid
    started.send_signal(number)
    assert started.wait(10) == -number
    assert gone(fork)


@pytest.mark.parametrize("said", ["nothing", "half", "all"])
def test_a_job_that_dies_in_asking_harms_no_other(tmp_path, run, said):
    beside = job(tmp_path, run, WAIT)
    at_work(beside)
    (tmp_path / "asking.py").write_text("import os\nprint(os.getpid(), flush=True)")
    request = {"argv": [str(tmp_path / "asking.py")], "path": sys.path, "folder": str(tmp_path)}
    line = json.dumps({**request, "environment": dict(os.environ)}) + "\n"
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(warm.address(run.pid))
        if said != "nothing":
            with open(os.devnull, "r+") as null:
                socket.send_fds(asking, [b"\n"], [null.fileno()] * 3)
            asking.sendall(line.encode()[: None if said == "all" else len(line) // 2])
    told, errors = job(tmp_path, run, "print('done')").communicate()
    assert (told, errors) == ("done\n", "")
    assert beside.poll() is None
    beside.kill()


def test_a_signal_reaches_the_script(tmp_path, run):
    work = "import signal\nsignal.signal(signal.SIGURG, lambda *_: print('saved', flush=True))\n"
    started = job(tmp_path, run, work + WAIT.replace("600", "1"))
    at_work(started)
    started.send_signal(signal.SIGURG)
    assert started.communicate()[0] == "saved\n"
    assert started.returncode == 0


def test_everything_ends_with_the_run(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as owner:
        started = job(tmp_path, owner, WAIT)
        fork = at_work(started)
        owner.kill()
    assert started.wait(10) != 0
    assert "ended before its job" in started.stderr.read()
    assert gone(fork)


def test_a_job_without_a_model_starts_no_warm_process(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as owner:
        script = tmp_path / "light.py"
        script.write_text(
            "import sys\nfrom langarith.jobs import warm\nwarm.hand_over(start=False)\n"
            "print('torch' in sys.modules)"
        )
        told = subprocess.check_output(
            [sys.executable, script],
            env={**os.environ, "PYTHONPATH": str(LIBRARY), "LANGARITH_WARM": str(owner.pid)},
            text=True,
        )
        owner.kill()
    assert told == "False\n"


def test_it_can_be_switched_off(tmp_path, run):
    work = "import sys; print('torch' in sys.modules)"
    told, _ = job(tmp_path, run, work, LANGARITH_WARM="off").communicate()
    assert told == "False\n"


SCRIPTS = sorted((LIBRARY / "scripts").glob("*.py"))
WITHOUT = {"download_hub_file"}
"""Jobs with a record that must not run in the warm process, and say why."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_hand_over_before_all_other_imports(script):
    """Those that need a model start the warm process; other jobs use it where it is ready."""
    text = script.read_text()
    _, *lines = ast.parse(text).body
    calls = [line for line in map(ast.unparse, lines) if "hand_over" in line]
    if "record.job(snakemake)" not in text or script.stem in WITHOUT:
        assert calls == []
        return
    models = (
        r"(import|from) (torch|adapters|transformers|langarith\.(models|training|evaluation))\b"
    )
    start = bool(re.search(models, text))
    assert [ast.unparse(line) for line in lines[:2]] == [
        "from langarith.jobs import warm",
        f"warm.hand_over(start={start})",
    ]
    assert len(calls) == 1


def test_the_warm_process_is_all_that_is_imported_before_a_hand_over():
    """A waiting process holds none of the library's other modules."""
    code = "import sys\nfrom langarith.jobs import warm\nprint(*sys.modules)"
    modules = subprocess.check_output(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(LIBRARY)}, text=True
    ).split()
    own = {module for module in modules if module.startswith("langarith.")}
    assert own == {"langarith.jobs", "langarith.jobs.warm"}


def test_the_first_snakemake_of_a_slurm_job_owns_the_warm_process(monkeypatch):
    """Those that it starts for the members of a group find its process; another job's do not."""
    owner, job = (
        monkeypatch.setenv(name, "") or name
        for name in (warm.OWNER_VARIABLE, warm.SLURM_JOB_VARIABLE)
    )
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(owner, "1")  # of the Snakemake that submitted the job, on another machine
    assert warm.claim() and os.environ[owner] == str(os.getpid())
    monkeypatch.setenv(owner, "4711")  # as in a member, whose parent is 4711
    assert not warm.claim() and os.environ[owner] == "4711"
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert warm.claim() and os.environ[job] == "8"
    monkeypatch.setenv(owner, "off")
    assert not warm.claim() and os.environ[owner] == "off"
