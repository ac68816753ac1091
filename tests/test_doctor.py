"""GPUs that torch cannot use, and `langarith doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from langarith import cli
from langarith.commands import doctor
from langarith.errors import InputError
from langarith.jobs import gpus, warm
from langarith.models import devices


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch, tmp_path):
    """A machine without a GPU, a driver or SLURM; a CPU build of torch."""
    for name in (*gpus.GIVEN_BY_SLURM, "CUDA_VISIBLE_DEVICES", gpus.ALLOW_CPU, "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    gpus.listed_by_driver.cache_clear()
    yield
    gpus.listed_by_driver.cache_clear()


def driver(folder: Path, name: str = "NVIDIA H100", code: int = 0) -> None:
    """A command `nvidia-smi` that lists a GPU."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\necho '{name}, 550.54.15'\nexit {code}\n")
    path.chmod(0o755)


# --- a GPU that torch cannot use ---


@pytest.mark.parametrize(
    ("name", "value"),
    [("SLURM_JOB_GPUS", "0"), ("SLURM_STEP_GPUS", "1"), ("CUDA_VISIBLE_DEVICES", "0,1")],
)
def test_a_job_with_a_gpu_does_not_compute_on_the_cpu(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"has a GPU \({name}={value}\).*built without CUDA") as e:
        devices.device()
    assert "\n" not in str(e.value) and "LANGARITH_ALLOW_CPU=1" in str(e.value)
    monkeypatch.setenv("LANGARITH_ALLOW_CPU", "1")
    assert devices.device().type == "cpu"


def test_a_gpu_that_the_driver_lists_counts(tmp_path):
    driver(tmp_path)
    with pytest.raises(InputError, match=r"nvidia-smi lists NVIDIA H100 \(driver 550.54.15\)"):
        devices.device()


def test_a_driver_that_fails_lists_nothing(tmp_path):
    driver(tmp_path, "No devices were found, 0", code=9)
    assert devices.device().type == "cpu"


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_hidden_gpus_are_not_missed(monkeypatch, tmp_path, hidden):
    driver(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert devices.device().type == "cpu"


def test_without_a_gpu_the_cpu_computes():
    assert devices.device().type == "cpu"


def test_a_driver_that_is_too_old_is_the_reason(monkeypatch):
    def refuse():
        raise RuntimeError("The NVIDIA driver on your system is too old (found 11040). Update it.")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    with pytest.raises(InputError, match=r"CUDA 13.0 says: The NVIDIA driver .* \(found 11040\);"):
        devices.device()


# --- langarith doctor ---


@pytest.fixture
def quick(monkeypatch):
    """No network, no warm process; the lock as it is installed."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(warm.OWNER_VARIABLE, "off")


def states(lines: list[str]) -> dict[str, str]:
    return {line[7:17].strip(): line[:5].strip() for line in lines}


def test_a_machine_that_will_do_is_one_screen_and_exit_code_0(quick, capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 15 and all(len(line) < 160 for line in lines)
    found = states(lines)
    assert found["hub"] == found["SLURM"] == found["warm start"] == "note"
    assert found["Python"] == found["torch"] == found["GPU"] == found["disk"] == "ok"


def test_a_gpu_that_torch_cannot_use_is_exit_code_1(quick, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    assert cli.main(["doctor"]) == 1
    assert states(capsys.readouterr().err.splitlines())["GPU"] == "fails"


def test_missing_packages_fail_and_other_versions_are_noted(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"torch=={torch.__version__.partition('+')[0]}\n")
    assert doctor._packages(lock).state == "ok"
    lock.write_text("torch==1.0\n")
    assert doctor._packages(lock).state == "note"
    lock.write_text("torch==1.0\nno-such-package==2\n")
    found = doctor._packages(lock)
    assert found.state == "fails" and "missing: no-such-package" in found.text


def test_a_partition_that_the_cluster_lacks_fails(tmp_path):
    path = tmp_path / "sinfo"
    path.write_text("#!/bin/sh\nprintf 'cpu\\ngpu\\n'\n")
    path.chmod(0o755)
    profile = tmp_path / "config.yaml"
    profile.write_text("default-resources:\n  slurm_partition: cpu\n")
    assert [finding.state for finding in doctor._slurm(profile)] == ["ok"]
    profile.write_text("default-resources:\n  slurm_partition: long\n")
    (found,) = doctor._slurm(profile)
    assert found.state == "fails" and "no partition long; this cluster has cpu, gpu" in found.text


def test_slurm_that_is_installed_and_not_configured_is_no_failure(tmp_path):
    path = tmp_path / "sinfo"
    for message, state in (
        ("sinfo: fatal: Could not establish a configuration source", "note"),
        ("slurm_load_partitions: Unable to contact slurm controller", "fails"),
    ):
        path.write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 1\n")
        path.chmod(0o755)
        (found,) = doctor._slurm()
        assert found.state == state


@pytest.mark.skipif(sys.platform != "linux", reason="the warm start needs Linux")
def test_the_warm_start_is_tried(monkeypatch):
    monkeypatch.delenv(warm.OWNER_VARIABLE, raising=False)
    monkeypatch.setattr(warm, "launch", lambda owner: launched(f"serve({owner})"))
    assert doctor._warm().state == "ok"
    monkeypatch.setattr(warm, "launch", lambda owner: launched("raise SystemExit(1)"))
    assert doctor._warm().state == "note"


def launched(code: str):
    """A process in the place of the warm one, which imports no library."""
    import subprocess

    setup = "from langarith.jobs.warm import *; import langarith.jobs.warm as w; "
    code = f"{setup}w.MODULES = w.MODEL_CLASSES = (); {code}"
    return subprocess.Popen([sys.executable, "-c", code])
