"""Whole runs through `--profile slurm` on a real SLURM: two emulated nodes with pretended GPUs.

`envs/slurm-sandbox/start` (make slurm-sandbox) installs and starts it; without that, or root, these
tests are skipped. A finished nano study is copied for each way in which a training is
interrupted, and all of these run beside each other: they mostly wait.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml

import workspace

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SANDBOX = ROOT / "envs/slurm-sandbox"
GPU_RULES = {"pretrain_model", "train_language_adapter", "train_task_adapter", "sweep_la"}
ADAPTER = "results/nano/adapters/tiny/language/fr@full/seed1"
CHECKPOINTS = "results/nano/checkpoints/tiny/language/fr@full/seed1"
LOG = "results/nano/logs/train_language_adapter/tiny-fr@full-seed1.log"


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """SLURM, as it runs already or started for these tests alone."""
    # tests in the background ignore Ctrl-C, and so would the runs that they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if shutil.which("slurmctld") is None:
        pytest.skip("no SLURM on this machine; envs/slurm-sandbox/start installs and starts one")
    if subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0:
        yield
        return
    if os.geteuid() != 0:
        pytest.skip("SLURM does not run; root can start it: envs/slurm-sandbox/start")
    subprocess.run([SANDBOX / "start"], check=True, timeout=60)
    yield
    subprocess.run([SANDBOX / "stop"], check=True, timeout=60)


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run through the profile; jobs are asked for their state every second or two."""
    command = [Path(sys.executable).with_name("snakemake"), "--profile", "slurm", *arguments]
    options = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
    return subprocess.Popen(
        [str(word) for word in [*command, *options, "--configfile", "studies/nano.yaml"]],
        cwd=project,
        env={**os.environ, "PYTHONPATH": "", "LANGARITH_SLURM_PAUSE": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def console(started: subprocess.Popen[str], patience: float = 420) -> str:
    """What a run said until its end. One that does not end is ended, with its jobs."""
    try:
        return started.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        started.send_signal(signal.SIGINT)
        try:
            output = started.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            output = started.communicate()[0]
        return f"did not end within {patience} s\n{output}"


def jobs_of(output: str) -> list[str]:
    """SLURM ids of the jobs that a run submitted, in order."""
    return re.findall(r"has been submitted with SLURM jobid (\d+)", output)


def record_of_slurm(job: str) -> dict[str, str]:
    """What SLURM wrote down when a job had ended."""
    lines = Path("/var/log/slurm/sandbox-jobs.log").read_text().splitlines()
    line = [line for line in lines if line.startswith(f"JobId={job} ")][-1]
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def queued(job: str) -> str:
    """State of a job in the queue; empty once it has left."""
    command = ["squeue", "-h", "-j", job, "-o", "%T"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """A project in which nano's zero-shot figure was made on the cluster, and the output."""
    project = workspace.copy_project(ROOT, tmp_path_factory.mktemp("cluster") / "project")
    (project / "slurm").symlink_to("profiles/slurm")
    # --configfile takes all words that follow
    run = start(project, "results/nano/figures/zero_shot.pdf")
    output = console(run, 900)
    assert run.returncode == 0, output
    return project, output


def records(project: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in (project / "results").rglob("*provenance.json")]


def test_the_zero_shot_figure_is_made_on_the_cluster(finished):
    project, output = finished
    assert (project / "results/nano/figures/zero_shot.pdf").stat().st_size > 1000
    on_slurm = [record for record in records(project) if record["slurm_job"]]
    assert {record["slurm_job"] for record in on_slurm} == set(jobs_of(output))
    assert {record["rule"] for record in on_slurm} > GPU_RULES
    # 21 jobs in 12 of SLURM: raw text and examples are one, each language's tokens, all sweeps
    assert len(on_slurm) == 21 and len(jobs_of(output)) == 12
    # the GPUs are pretended, so none of them computed
    assert "21 jobs in 12 of SLURM, 0.00 GPU-hours" in output
    assert "jobs held a GPU and computed on the CPU" in output
    assert "Figures in results/nano/figures (.pdf, .png):\n    zero_shot\n" in output


def test_every_job_holds_a_gpu_or_none_as_its_rule_says(finished):
    """Read back from SLURM's own record of each job."""
    project, _ = finished
    for record in records(project):
        if record["slurm_job"]:
            held = record_of_slurm(record["slurm_job"])
            gpu = record["rule"] in GPU_RULES
            assert held.get("JOB_GRES") == ("gpu:pretended:1" if gpu else "(null)"), record["rule"]
            assert held["Partition"] == ("gpu" if gpu else "cpu")
            assert held["JobName"].startswith("nano_")
            assert held["Comment"].startswith(("rule_", "group_", "rule"))
            assert held["JobState"] == "COMPLETED"


def test_a_group_asks_for_the_time_of_all_and_the_rest_of_one(finished):
    """Two sweeps do not ask for two GPUs and twice the memory; members take turns."""
    project, _ = finished
    members = defaultdict(list)
    for record in records(project):
        if record["slurm_job"]:
            members[record["slurm_job"]].append(record)
    sizes = Counter(len(jobs) for jobs in members.values())
    assert sizes == {1: 7, 2: 4, 6: 1}  # tokens of three languages and the sweeps; raw text
    for job, group in members.items():
        held, asked = record_of_slurm(job), [record["requested"] for record in group]
        minutes = sum(one["runtime"] for one in asked)
        assert held["TimeLimit"] == f"{minutes // 60:02}:{minutes % 60:02}:00"
        megabytes = max(one["mem_mb"] for one in asked)
        assert held["MinMemoryNode"] in {f"{megabytes}M", f"{megabytes / 1000:g}G"}
        assert held["NumCPUs"] == "1"
        assert held.get("TresPerJob") == ("gres:gpu:1" if "gpu" in asked[0] else None)
        times = sorted((record["start"], record["end"]) for record in group)
        assert all(one[1] <= other[0] for one, other in pairwise(times))


def test_every_log_names_its_job(finished):
    project, output = finished
    for record in records(project):
        if record["slurm_job"]:
            log = (project / record["log"]).read_text()
            assert f"--- SLURM job {record['slurm_job']} on node" in log
    of_slurm = {path.stem for path in (project / "results/nano/logs/slurm").rglob("*.log")}
    assert of_slurm == set(jobs_of(output))


# --- a training is interrupted ------------------------------------------------------------------


@dataclass
class Interrupted:
    """A run whose training was interrupted: where, how it ended, what it said."""

    project: Path
    code: int
    output: str

    def job(self) -> str:
        return jobs_of(self.output)[0]

    def went_on(self) -> int:
        """The step from which the last attempt went on."""
        said = "\n".join(p.read_text() for p in (self.project / "results/nano/logs").rglob("*.log"))
        found = re.findall(r"continues at step (\d+)", said)
        assert found, self.output + said
        return int(found[-1])


def slow_project(finished: Path, folder: Path, pace: float) -> Path:
    """A copy without the adapter of French, in which a step of its training takes longer.

    The file `pace` holds the seconds of a step and may be changed on the way; while there is a file
    `hoard`, the fifth step takes a gigabyte.
    """
    project = Path(shutil.copytree(finished, folder, symlinks=True))
    shutil.rmtree(project / ADAPTER)
    shutil.rmtree(project / "results/nano/logs")
    (project / "pace").write_text(str(pace))
    progress = project / "workflow/langarith/progress.py"
    head = '    def update(self, done: int, note: str = "") -> None:\n'
    assert head in progress.read_text()
    wait = (
        "        time.sleep(float(Path('pace').read_text()))\n"
        "        if done == 5 and Path('hoard').exists():\n"
        "            hoard = b'1' * 10**9\n"
        "            time.sleep(len(hoard) / 10**8)\n"
    )
    progress.write_text(progress.read_text().replace(head, head + wait))
    return project


def until(what: Callable[[], object], patience: float = 240) -> bool:
    """Wait for something; whether it came."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.3)
    return False


def at_step(project: Path, step: int) -> Callable[[], bool]:
    """Whether a training has left a checkpoint of a step, or a later one."""

    def there() -> bool:
        found = (project / CHECKPOINTS).glob("checkpoint-*")
        return any(int(path.name.split("-")[1]) >= step for path in found)

    return there


def set_up(project: Path, **settings: object) -> None:
    """Edit the profile as a user does: how language adapters are trained on this cluster."""
    profile = project / "profiles/slurm/config.yaml"
    keys = yaml.safe_load(profile.read_text())
    gpu = keys["set-resources"]["train_language_adapter"]
    keys["set-resources"]["train_language_adapter"] = gpu | settings
    profile.write_text(yaml.safe_dump(keys))


def train(project: Path, *options: str, **settings: object) -> subprocess.Popen[str]:
    """Train the adapter of French on the cluster, on the node that no test takes down."""
    set_up(project, **{"constraint": "first"} | settings)
    return start(project, f"{ADAPTER}/adapter.safetensors", *options)


def submitted(project: Path) -> str:
    """Id of the first job that has an output file."""
    until(lambda: list((project / "results/nano/logs/slurm").rglob("*.log")))
    return min((p.stem for p in (project / "results/nano/logs/slurm").rglob("*.log")), key=int)


def time_limit(project: Path) -> Interrupted:
    """Three minutes are too short for 20 steps of 12 seconds. No clock saves here, only signals."""
    # the start alone takes a minute and more on a busy machine
    run = train(project, runtime="3 if attempt == 1 else 6", slurm_extra="'--signal=URG@20'")
    # SLURM looks at time limits every half minute
    first = submitted(project)
    until(lambda: queued(first) in {"", "TIMEOUT", "COMPLETING"}, 360)
    (project / "pace").write_text("0")
    output = console(run)
    return Interrupted(project, run.returncode, output)


def requeue(project: Path) -> Interrupted:
    run = train(project, checkpoint_minutes=0)
    until(at_step(project, 3))
    subprocess.run(["scontrol", "requeue", submitted(project)], check=True)
    until(lambda: queued(submitted(project)) == "PENDING", 30)
    (project / "pace").write_text("0")
    return Interrupted(project, output=console(run), code=run.wait())


def node_down(project: Path) -> Interrupted:
    """The node of the job is lost; nothing else runs there."""
    run = train(project, checkpoint_minutes=0, constraint="second")
    until(at_step(project, 3))
    subprocess.run(
        ["scontrol", "update", "nodename=node2", "state=down", "reason=a test"], check=True
    )
    # a lost node takes its processes along; here one would stay, asleep
    for process in psutil.process_iter(["cmdline"]):
        if f"{project}/Snakefile" in (process.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    until(lambda: queued(submitted(project)) == "PENDING", 30)
    (project / "pace").write_text("0")
    # it may have come back by itself
    subprocess.run(
        ["scontrol", "update", "nodename=node2", "state=resume"], check=False, capture_output=True
    )
    return Interrupted(project, output=console(run), code=run.wait())


def memory(project: Path) -> Interrupted:
    """The fifth step takes more memory than the job has asked for."""
    (project / "hoard").touch()
    run = train(project, checkpoint_minutes=0, mem_mb=1000)
    until(lambda: queued(submitted(project)) not in {"PENDING", "RUNNING"})
    (project / "hoard").unlink()
    (project / "pace").write_text("0")
    return Interrupted(project, output=console(run), code=run.wait())


def cancelled(project: Path) -> Interrupted:
    """Somebody cancels the job; it is not tried again."""
    run = train(project, "--retries", "0")
    until((project / LOG).is_file)
    subprocess.run(["scancel", submitted(project)], check=True)
    return Interrupted(project, output=console(run, 60), code=run.wait())


def ctrl_c(project: Path) -> Interrupted:
    run = train(project, checkpoint_minutes=0)
    until(at_step(project, 2))
    run.send_signal(signal.SIGINT)
    return Interrupted(project, output=console(run, 60), code=run.wait())


@pytest.fixture(scope="module")
def interrupted(finished, tmp_path_factory) -> dict[str, Interrupted]:
    """All of these at once."""
    ways = {
        time_limit: 12.0,
        requeue: 1.5,
        node_down: 1.5,
        memory: 1.0,
        cancelled: 6.0,
        ctrl_c: 1.5,
    }
    folder = tmp_path_factory.mktemp("interrupted")
    with ThreadPoolExecutor(len(ways)) as pool:
        started = {
            way.__name__: pool.submit(way, slow_project(finished[0], folder / way.__name__, pace))
            for way, pace in ways.items()
        }
        return {name: run.result() for name, run in started.items()}


@pytest.mark.parametrize("way", ["time_limit", "requeue", "node_down", "memory"])
def test_training_goes_on_to_the_same_adapter(finished, interrupted, way):
    """Bit by bit that of the run that nothing interrupted; and its checkpoints are gone."""
    found = interrupted[way]
    assert found.code == 0, found.output
    assert found.went_on() >= 3
    whole, resumed = (h / ADAPTER / "adapter.safetensors" for h in (finished[0], found.project))
    assert whole.read_bytes() == resumed.read_bytes()
    assert not (found.project / CHECKPOINTS).exists()
    rows = [json.loads(line) for line in (resumed.parent / "metrics.jsonl").open()]
    assert [row["step"] for row in rows if "validation_loss" in row] == [10, 20]


def test_time_limit_is_met_and_the_next_attempt_finishes(interrupted):
    found = interrupted["time_limit"]
    first, second = jobs_of(found.output)
    assert record_of_slurm(first)["JobState"] == "TIMEOUT"
    assert "TIMEOUT" in found.output and "DUE TO TIME LIMIT" in found.output
    record = json.loads((found.project / ADAPTER / "provenance.json").read_text())
    assert (record["slurm_job"], record["attempt"]) == (second, 2)
    assert "1 job needed more than one attempt" in found.output


def test_a_job_killed_for_memory_is_tried_again(interrupted):
    found = interrupted["memory"]
    assert len(jobs_of(found.output)) == 2
    assert "exceeded memory limit" in found.output


@pytest.mark.parametrize("way", ["requeue", "node_down"])
def test_a_job_that_slurm_starts_again_is_waited_for(interrupted, way):
    found = interrupted[way]
    (job,) = set(jobs_of(found.output))
    assert int(record_of_slurm(job)["Restarts"]) == 1


def test_a_job_that_is_cancelled_from_outside_ends_the_run(interrupted):
    found = interrupted["cancelled"]
    assert found.code == 1
    assert "did not end" not in found.output
    assert "CANCELLED" in found.output
    # the console names the log and shows its end
    assert f"Last lines of {LOG}:" in found.output
    assert f"--- SLURM job {found.job()} on node" in found.output


def test_ctrl_c_leaves_no_job_behind(interrupted):
    found = interrupted["ctrl_c"]
    assert found.code != 0
    assert "did not end" not in found.output
    assert until(lambda: queued(found.job()) == "", 20)
    assert record_of_slurm(found.job())["JobState"] == "CANCELLED"


def test_ctrl_c_names_the_training_that_was_saved(interrupted):
    output = interrupted["ctrl_c"].output
    assert "Interrupted: waiting for jobs to save and end, up to four minutes" in output
    kept = "Stopped and kept in checkpoints: language adapter fr@full, seed 1 at step "
    assert re.search(rf"^{kept}\d+\n", output, re.M)
    assert "To continue, run the same command\n" in output


# --- what SLURM would not take ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            {"slurm_account": "nobody"},
            "slurm_account is 'nobody', and this cluster has no database",
        ),
        (
            {"slurm_partition": "fast"},
            "slurm_partition is 'fast', which SLURM does not know; use one",
        ),
        ({"gpu_model": "a100"}, "1 GPU a100, which no node of partition 'gpu' has"),
        ({"constraint": "nvlink"}, "constraint is 'nvlink', which no node of partition 'gpu' has"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_slurm_would_not_take_is_a_sentence_before_anything_is_queued(
    finished, tmp_path, setting, sentence
):
    project = Path(shutil.copytree(finished[0], tmp_path / "project", symlinks=True))
    shutil.rmtree(project / ADAPTER)
    run = train(project, **setting)
    output = console(run, 60)
    assert run.returncode == 1
    assert sentence in output and "Traceback" not in output
    assert not jobs_of(output)
    # and the folder is not left locked
    assert not list((project / ".snakemake/locks").glob("*"))


def states() -> list[str]:
    """The states of all jobs in the queue."""
    squeue = ["squeue", "-h", "-o", "%t"]
    return subprocess.run(
        squeue, capture_output=True, text=True, check=True, timeout=20
    ).stdout.split()


def test_a_sandbox_that_was_killed_starts_again_with_no_job():
    """The last test of this module: it ends the daemons that the others use."""
    subprocess.run(
        ["sbatch", "--output", "/dev/null", "--wrap", "sleep 30"], check=True, timeout=20
    )
    assert until(lambda: states() == ["R"], 20)
    for pid in Path("/run/slurm-sandbox").glob("*.pid"):
        os.kill(int(pid.read_text()), signal.SIGKILL)
    again = subprocess.run(
        [SANDBOX / "start"], capture_output=True, text=True, check=True, timeout=60
    )
    assert again.stdout.count(" idle ") == 4  # two nodes in two partitions
    assert not states()
