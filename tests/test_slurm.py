"""What jobs ask a scheduler for, what is refused, what is said; and the plan of a cluster run.

Real runs are in test_slurm_cluster.py. Here scripts replace SLURM's commands.
"""

import ast
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

import workspace
from langarith.cluster import slurm
from langarith.errors import InputError
from langarith.planning import costs
from langarith.study import loading, schema


@pytest.fixture(scope="module")
def paper(root) -> costs.Needs:
    return costs.Needs(loading.load(root / "config.yaml"))


# --- what a job asks for ---


def test_time_of_the_papers_language_adapter_follows_from_its_steps(paper):
    """By hand: 250,000 steps of 64 chunks of 512, two passes, XLM-R base, at 100 TFLOP/s."""
    layer = 8 * 768**2 + 4 * 768 * 3072 + 4 * 512 * 768
    head = 0.15 * 2 * 768 * 250_002
    seconds = 2 * 250_000 * 64 * 512 * (12 * layer + head) / 1e14
    need = paper.language_adapter("xlm-roberta-base", "sw", "full")
    assert need.seconds == pytest.approx(seconds)
    assert need.minutes(1) == pytest.approx((300 + 2 * seconds) / 60, abs=1)
    # mBERT has half the vocabulary, and so a smaller head
    assert paper.language_adapter("mbert", "sw", "full").seconds < seconds


def test_memory_of_a_language_adapter_follows_from_its_tokens(paper):
    small = paper.language_adapter("xlm-roberta-base", "fr", "10k").megabytes
    large = paper.language_adapter("xlm-roberta-base", "fr", "1B").megabytes
    assert large - small == pytest.approx(8 * 1e9 / 1e6, rel=0.01)
    assert small > 3000 + 2 * 4 * 192  # the libraries, and twice the word embeddings alone


def test_each_attempt_asks_for_more(paper):
    need = paper.task_adapter("mbert", "nli")
    assert need.minutes(2) == pytest.approx(2 * need.minutes(1), abs=1)
    assert need.memory(1) < need.memory(2) < 2 * need.memory(1)


def test_a_sweep_of_a_finer_grid_takes_longer(root):
    study = loading.load(root / "config.yaml")
    finer = study.model_copy(update={"lambdas": {"la": schema.Lambdas(start=0, stop=1, step=0.01)}})
    coarse, fine = (costs.Needs(s).sweep("mbert", "ner", "la").seconds for s in (study, finer))
    # 101 lambdas for 21 on both splits of 10,000 sentences, and test without a language adapter
    assert fine / coarse == pytest.approx((2 * 101 + 1) / (2 * 21 + 1))


# --- the plan of a run on a cluster ---


@pytest.mark.slow
def test_the_papers_study_is_hundreds_of_slurm_jobs(root, tmp_path):
    """`snakemake --profile slurm -n`, where no SLURM is installed: the counts of docs/slurm.md."""
    project = workspace.copy_project(root, tmp_path / "project")
    shutil.copy(root / "config.yaml", project)
    (project / "slurm").symlink_to("profiles/slurm")
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "bash", "sh", "which"):
        (bare / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--profile", "slurm", "-n"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": "", "PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    groups = Counter(re.findall(r"Group job (sweeps|tokens)_", output))
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.M | re.S)
    jobs = {name: int(n) for name, n in (line.split() for line in table[1].splitlines())}
    alone = ("train_language_adapter", "train_task_adapter", "initialise_adapters")
    counted = {rule: jobs[rule] for rule in (*alone, "rank_related_languages")} | dict(groups)
    assert counted == {
        "train_language_adapter": 138,
        "train_task_adapter": 18,
        "initialise_adapters": 2,
        "rank_related_languages": 1,
        "tokens": 58,
        "sweeps": 84,
    }
    assert sum(counted.values()) == 301
    page = (root / "docs/slurm.md").read_text()
    assert "**301**" in page
    for count in counted.values():
        assert re.search(rf"\| {count} \|", page)


def test_gpu_settings_stand_once_in_the_profile(root):
    """The rules that hold a GPU are the keys of set-resources; `sweep` is every sweep_{method}."""
    profile = yaml.safe_load((root / "profiles/slurm/config.yaml").read_text())
    trainings = {"pretrain_model", "train_language_adapter", "train_task_adapter"}
    scored = {"sweep", "score_masked_lm", "score_task_adapter", "estimate_fisher"}
    assert set(profile["set-resources"]) == trainings | scored
    # one place: all of them are the same mapping
    assert len({id(keys) for keys in profile["set-resources"].values()}) == 1
    assert profile["resources"] == ["runtime=1440", "gpu=1", "turn=1"]
    assert profile["set-resource-scopes"] == ["gpu=local", "turn=local"]


@pytest.mark.slow
def test_methods_that_no_profile_names_get_the_settings_of_sweep(root, tmp_path):
    """In a dry run; an entry of one rule overrides key by key."""
    project = workspace.copy_project(root, tmp_path / "project")
    (project / "slurm").symlink_to("profiles/slurm")
    profile = project / "profiles/slurm/config.yaml"
    settings = yaml.safe_load(profile.read_text())
    settings["set-resources"]["sweep"] = {"slurm_partition": "gpus", "qos": "day", "mem_mb": 7000}
    settings["set-resources"]["sweep_ties80"] = {"mem_mb": 9000}
    profile.write_text(yaml.safe_dump(settings))
    with (project / "Snakefile").open("a") as snakefile:
        snakefile.write(
            "\nfor rule in workflow.rules:\n"
            "    print('resources of', rule.name, {key: resource.raw for key, resource in"
            " rule.resources.items() if key in ('slurm_partition', 'qos', 'mem_mb')},"
            " file=sys.stderr)\n"
        )
    study = workspace.overlay(
        project,
        "methods",
        lambdas={m: {"start": 0, "stop": 1, "step": 0.5} for m in ("la", "ties55", "ties80")},
        experiments={"ties": {}},
    )
    text = workspace.run(project, "-n", "--profile", "slurm", "--configfile", study)
    asked = {
        rule: ast.literal_eval(found)
        for rule, found in re.findall(r"^resources of (\w+) (.+)$", text, re.M)
    }
    shared = {"slurm_partition": "gpus", "qos": "day", "mem_mb": 7000}
    assert asked["sweep_la"] == asked["sweep_ties55"] == shared
    assert asked["sweep_ties80"] == shared | {"mem_mb": 9000}
    assert asked["train_task_adapter"]["slurm_partition"] == "gpu"
    assert asked["tokenize_shard"]["slurm_partition"] == "cpu"
    # all sweeps still share one job
    assert re.search(r"Group job sweeps_tiny_ner_1", text)


# --- what SLURM would not take ---


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts a script in the place of a command of SLURM: what it prints, and its exit code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, out: str = "", error: str = "", code: int = 0) -> Path:
        path = folder / name
        path.write_text(
            f"#!/bin/sh\necho \"$@\" >> {folder}/calls\ncat <<'END'\n{out}\nEND\n"
            f"cat >&2 <<'END'\n{error}\nEND\nexit {code}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        return folder / "calls"

    put("sinfo", "cpu\ngpu\n")
    put("sacctmgr", "lab\nteaching\n")
    return put


KIND = {"slurm_partition": "gpu", "gpu": 1, "runtime": 90, "mem_mb": 6500, "_cores": 2}


def test_jobs_of_a_kind_are_asked_about_once_with_the_most_they_need():
    found = slurm.requests(
        [
            ("sweep_la", KIND | {"runtime": 30, "mem_mb": 4500}),
            ("train_task_adapter", KIND),
            ("tokenize_shard", {"slurm_partition": "cpu", "runtime": 12, "mem_mb": "<TBD>"}),
        ]
    )
    assert len(found) == 2
    gpu, cpu = sorted(found, key=lambda request: -request.gpu)
    assert (gpu.rules, gpu.minutes, gpu.megabytes) == ("sweep_la, train_task_adapter", 90, 6500)
    assert gpu.options() == [
        "--partition=gpu",
        "--gpus=1",
        "--time=90",
        "--mem=6500",
        "--cpus-per-task=2",
    ]
    assert cpu.options() == ["--partition=cpu", "--time=12", "--cpus-per-task=1"]


@pytest.mark.parametrize(
    ("setting", "output", "sentence"),
    [
        (
            {"slurm_partition": "gpus"},
            "sbatch: error: invalid partition specified: gpus\n"
            "allocation failure: Invalid partition name specified",
            "slurm_partition is 'gpus', which SLURM does not know; use one of cpu, gpu",
        ),
        (
            {"slurm_account": "lab"},
            "allocation failure: Invalid account or account/partition combination specified",
            "slurm_account is 'lab', which SLURM does not take for partition 'gpu'",
        ),
        ({"qos": "long"}, "allocation failure: Invalid qos specification", "qos is 'long', which"),
        (
            {"constraint": "v100"},
            "allocation failure: Invalid feature specification",
            "constraint is 'v100', which no node of partition 'gpu' has",
        ),
        (
            {"runtime": 9000},
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            "ask for 9000 minutes, longer than partition 'gpu' allows; set `runtime` under",
        ),
        (
            {"gpu_model": "b300"},
            "allocation failure: Requested node configuration is not available",
            "ask for 2 cores, 6500 MB, 1 GPU b300, which no node of partition 'gpu' has",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_refused_request_is_one_sentence(commands, setting, output, sentence):
    commands("sbatch", error=output, code=1)
    with pytest.raises(InputError) as error:
        slurm.refuse(slurm.requests([("train_task_adapter", KIND | setting)]))
    assert sentence in str(error.value)
    assert str(error.value).startswith("profiles/slurm/config.yaml: for train_task_adapter")
    assert "\n" not in str(error.value)


def test_what_slurm_takes_is_asked_about_and_not_queued(commands):
    calls = commands("sbatch", "Job 7 to start at once")
    slurm.refuse(slurm.requests([("sweep_la", KIND | {"slurm_account": "Lab"})]))
    asked = [line for line in calls.read_text().splitlines() if "--partition" in line]
    assert asked == [
        "--test-only --partition=gpu --account=Lab --gpus=1 --time=90 --mem=6500 "
        "--cpus-per-task=2 --wrap=true"
    ]


def test_an_unknown_account_is_refused(commands):
    commands("sbatch", "Job 7 to start at once")
    with pytest.raises(InputError, match=r"'mine', which is no account .* use one of lab, t"):
        slurm.refuse(slurm.requests([("sweep_la", KIND | {"slurm_account": "mine"})]))


def test_an_account_where_none_are_kept_is_refused(commands):
    commands("sbatch", "Job 7 to start at once")
    commands("sacctmgr", error="You are not running a supported accounting_storage", code=1)
    with pytest.raises(InputError, match=r"no database of accounts .* remove the key"):
        slurm.refuse(slurm.requests([("sweep_la", KIND | {"slurm_account": "mine"})]))


def test_a_machine_without_slurm_gets_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sbatch is not on the PATH"):
        slurm.refuse([])


def test_a_controller_that_does_not_answer_is_reported(commands):
    commands("sbatch")
    commands("sinfo", error="sinfo: error: Unable to contact slurm controller", code=1)
    with pytest.raises(InputError, match=r"SLURM does not answer: .*Unable to contact"):
        slurm.refuse([])


@pytest.mark.parametrize(
    ("age", "wanted", "pauses"),
    [(300, 20, (20, 150)), (1000, 20, (20, 180)), (30, 20, (10, 15)), (2, 20, (1, 1))],
)
def test_jobs_are_asked_for_before_slurm_forgets_them(commands, monkeypatch, age, wanted, pauses):
    monkeypatch.delenv("LANGARITH_SLURM_PAUSE", raising=False)
    commands("scontrol", f"Configuration data\nMinJobAge               = {age} sec\n")
    assert slurm.pauses(wanted) == pauses
    first, longest = slurm.pauses(wanted)
    assert first <= age and longest <= max(age - 1, 1)


# --- in a job ---


@pytest.mark.parametrize("number", [signal.SIGURG, signal.SIGTERM])
def test_signals_reach_a_script_below_snakemake(tmp_path, number):
    """As under cgroups: the process at the top alone is signalled; its own handler runs, too."""
    heard = tmp_path / "heard"
    script = (
        "import signal, time\n"
        f"signal.signal(signal.SIGURG, lambda *_: open({str(heard)!r}, 'w').close())\n"
        "print('ready', flush=True)\n"
        "time.sleep(30)\n"
    )
    top = (
        "import signal, subprocess, sys, time\n"
        "from langarith.cluster import slurm\n"
        "slurm.pass_signals_on()\n"
        # set later, as Snakemake sets its own
        "signal.signal(signal.SIGTERM, lambda *_: print('ready', flush=True))\n"
        "shells = ['sh', '-c', '\"$@\"; true', 'sh'] * 2\n"
        f"subprocess.Popen([*shells, sys.executable, '-c', {script!r}])\n"
        "time.sleep(30)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", top], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        end = time.monotonic() + 10
        while not heard.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert heard.exists()
        if number == signal.SIGTERM:
            assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# --- what is said ---


def test_last_lines_are_those_of_the_job(tmp_path):
    log = tmp_path / "log"
    attempts = [f"--- SLURM job {job} on node1, now\nwork of {job}\n\n" for job in (11, 12)]
    log.write_text("".join(attempts))
    assert slurm.last_lines(log, job="11")[:2] == ["--- SLURM job 11 on node1, now", "work of 11"]
    assert slurm.last_lines(log, job="12") == ["--- SLURM job 12 on node1, now", "work of 12"]
    assert slurm.last_lines(log, job="13") == slurm.last_lines(tmp_path / "none") == []
    log.write_text("\n".join(map(str, range(100))))
    assert slurm.last_lines(log) == [str(i) for i in range(85, 100)]


def test_slurms_own_words_are_found_among_snakemakes(tmp_path):
    log = tmp_path / "7.log"
    limit = "slurmstepd-node1: error: *** STEP 7.0 ON node1 CANCELLED AT now DUE TO TIME LIMIT ***"
    log.write_text(f"Building DAG of jobs...\nsrun: got SIGCONT\n{limit}\nElapsed time: 1\n")
    assert slurm.last_words(log) == [limit]


def record(rule: str, job: str, seconds: float, **more: object) -> dict[str, object]:
    asked = {"runtime": 90, "mem_mb": 6500} | ({"gpu": 1} if "train" in rule else {})
    return {
        "rule": rule,
        "slurm_job": job,
        "start": f"2026-01-01T00:00:0{job}",
        "seconds": seconds,
        "device": "cuda" if "train" in rule else "cpu",
        "peak_memory_mb": 1000.0 + float(job),
        "attempt": 1,
        "requested": asked,
    } | more


def test_the_summary_sets_what_was_used_against_what_was_asked():
    output = slurm.summary(
        [
            record("train_task_adapter", "3", 3600.0, attempt=2),
            record("train_task_adapter", "4", 1800.0),
            record("tokenize_shard", "1", 60.0),
            record("tokenize_shard", "1", 70.0),
        ]
    )
    rows = [re.split(r"  +", line) for line in output[:-1]]
    assert rows[1] == ["tokenize_shard", "2", "1", "-", "70 s", "1.5 h", "1001 MB", "6500 MB"]
    assert rows[2] == [
        "train_task_adapter", "2", "2", "1.5", "60 min", "1.5 h", "1004 MB", "6500 MB",
    ]  # fmt: skip
    assert output[-1] == (
        "4 jobs in 3 of SLURM, 1.50 GPU-hours of computing; 1 job needed more than one attempt"
    )
    assert slurm.summary([]) == []


def test_a_gpu_that_a_job_held_and_did_not_use_is_no_gpu_hour():
    output = slurm.summary(
        [
            record("train_task_adapter", "3", 3600.0),
            record("train_task_adapter", "4", 1800.0, device="cpu"),
        ]
    )
    assert re.split(r"  +", output[1])[3] == "1.0"
    assert output[-2] == "2 jobs in 2 of SLURM, 1.00 GPU-hours of computing"
    assert output[-1].startswith("1 job held a GPU and computed on the CPU")
