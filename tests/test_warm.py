"""The warm start: jobs forked from one process that has imported the libraries."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from langarith.jobs import warm

LIBRARY = Path(__file__).parent.parent / "workflow"
HAND_OVER = "from langarith.jobs import warm\nwarm.hand_over(start=True)\n"


@contextmanager
def an_owner():
    """A process that stands for a Snakemake run; it ends with the block."""
    with subprocess.Popen(["sleep", "600"]) as owner:
        try:
            yield owner
        finally:
            owner.kill()


@pytest.fixture(scope="module")
def run():
    with an_owner() as owner:
        yield owner


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
    output, errors = job(tmp_path, run, work, "a", "b c", HUE="blue").communicate()
    assert output.splitlines() == [
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
    output, errors = job(tmp_path, run, "print('done')").communicate()
    assert (output, errors) == ("done\n", "")
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
    with an_owner() as owner:
        started = job(tmp_path, owner, WAIT)
        fork = at_work(started)
        owner.kill()
    assert started.wait(10) != 0
    assert "was killed, and this job with it; run again" in started.stderr.read()
    assert gone(fork)


LIGHT = """
from langarith.jobs import warm
warm.MODULES = warm.MODEL_CLASSES = ()
warm.serve({})
"""


@pytest.fixture
def light(tmp_path):
    """A run, and a process of it that forks jobs and has imported nothing."""
    with (
        an_owner() as owner,
        subprocess.Popen(
            [sys.executable, "-c", LIGHT.format(owner.pid)],
            env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        ) as process,
    ):
        until = time.monotonic() + 60
        while not warm._in_use(warm.address(owner.pid)) and time.monotonic() < until:
            time.sleep(0.02)
        yield owner, process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_job_whose_warm_process_is_killed_ends_with_a_sentence(tmp_path, light, number):
    owner, process = light
    started = job(tmp_path, owner, WAIT)
    fork = at_work(started)
    assert fork != started.pid
    process.send_signal(number)
    _, errors = started.communicate(timeout=20)
    assert started.returncode == 1
    assert gone(fork)
    assert errors.count("\n") == 1 and "run again" in errors


def test_ctrl_c_ends_a_job_without_a_traceback(tmp_path, light):
    started = job(tmp_path, light[0], WAIT)
    fork = at_work(started)
    started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=20)[1] == ""
    assert started.returncode == -signal.SIGINT
    assert gone(fork)


HOLD = """
import socket, sys, time
taken = socket.socket(socket.AF_UNIX)
taken.bind(sys.argv[1].replace("@", "\\0"))
if sys.argv[2] == "listen":
    taken.listen()
print(flush=True)
if sys.argv[2] == "listen":
    connection = taken.accept()
    print(flush=True)
time.sleep(600)
"""


def test_a_job_does_not_wait_for_a_warm_process_that_died_while_it_imported(monkeypatch):
    """It starts one of its own, and imports the libraries itself if that fails, too."""
    owner = os.getpid()
    address = warm.address(owner)
    launched = []

    def launch(_):
        launched.append(subprocess.Popen(["true"]))
        return launched[-1]

    monkeypatch.setattr(warm, "launch", launch)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, address.replace("\0", "@"), "bind"], stdout=subprocess.PIPE
    ) as dying:
        dying.stdout.readline()
        threading.Timer(0.3, dying.kill).start()
        server = warm._connect(owner, start=True)
    assert server is None and len(launched) == 1


def test_a_job_runs_in_its_own_process_if_the_warm_one_dies_before_it_forks(tmp_path):
    with an_owner() as owner:
        address = warm.address(owner.pid).replace("\0", "@")
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, address, "listen"], stdout=subprocess.PIPE
        ) as dying:
            dying.stdout.readline()
            started = job(tmp_path, owner, "print('done')")
            dying.stdout.readline()
            dying.kill()
            assert started.communicate(timeout=20) == ("done\n", "")
        owner.kill()


def test_a_file_of_the_working_directory_is_no_module_of_the_warm_process(tmp_path, monkeypatch):
    (tmp_path / "token.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(LIBRARY))
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda command, **_: command)
        python = warm.launch(0)[:-3]
    code = "import langarith.jobs.warm, token"
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_job_without_a_model_starts_no_warm_process(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as owner:
        script = tmp_path / "light.py"
        script.write_text(
            "import sys\nfrom langarith.jobs import warm\nwarm.hand_over(start=False)\n"
            "print('torch' in sys.modules)"
        )
        output = subprocess.check_output(
            [sys.executable, script],
            env={**os.environ, "PYTHONPATH": str(LIBRARY), "LANGARITH_WARM": str(owner.pid)},
            text=True,
        )
        owner.kill()
    assert output == "False\n"


def test_it_can_be_switched_off(tmp_path, run):
    work = "import sys; print('torch' in sys.modules)"
    output, _ = job(tmp_path, run, work, LANGARITH_WARM="off").communicate()
    assert output == "False\n"


SCRIPTS = sorted((LIBRARY / "scripts").glob("*.py"))
WITHOUT = {"download_hub_file"}
"""Jobs with a record that must not run in the warm process, and say why."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_hand_over_before_all_other_imports(script):
    """Those that need a model start the warm process; other jobs use it where it is ready."""
    text = script.read_text()
    _, *lines = ast.parse(text).body
    calls = [line for line in map(ast.unparse, lines) if "hand_over" in line]
    if "record.job(snakemake" not in text or script.stem in WITHOUT:
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
