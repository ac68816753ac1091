"""Merge methods: the registry, SLERP, and what one new file brings with it."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workspace
from langarith import merging
from langarith.errors import InputError
from langarith.merging.tensors import interpolate

weights = st.floats(0, 1)


def adapter(*numbers: float) -> dict[str, torch.Tensor]:
    """An adapter of two tensors, (2,) and the rest."""
    values = torch.tensor(numbers, dtype=torch.float32)
    return {"down": values[:2].clone(), "up": values[2:].clone()}


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensors["down"], tensors["up"]]).double()


# ---------------------------------------------------------------- the registry


def test_methods_are_the_files_of_the_package() -> None:
    assert {"la", "slerp", "ties"} <= set(merging.families())
    assert not set(merging.families()) & {"tensors", "compare"}


@pytest.mark.parametrize(
    ("name", "title", "part"),
    [("la", "LA", "merging.la"), ("ties20", "TIES (top-K% 20)", "merging.ties")],
)
def test_a_name_gives_a_method_and_its_module(name: str, title: str, part: str) -> None:
    assert merging.get(name).title == title
    assert merging.get(name).name == name
    assert merging.part(name) == part


@pytest.mark.parametrize(
    ("name", "point", "words"),
    [
        ("la", (0.5,), "0.50 · a + 0.50 · b"),
        ("la", (0.125,), "0.125 · a + 0.875 · b"),
        ("la", (0.333, 0.333), "0.333 · a + 0.333 · b + 0.334 · c"),
        ("slerp", (0.125,), "SLERP(a, b) at 0.125 of a"),
        (
            "layers",
            (0.125, 1),
            "λ · a + (1−λ) · b, λ from 0.125 at the embeddings to 1.00 at the top",
        ),
        ("ties20", (1.005,), "TIES(a, b), scaled by 1.005"),
    ],
)
def test_words_state_the_point(name: str, point: tuple[float, ...], words: str) -> None:
    operands = "abc"[: max(2, len(point) + (name == "la"))]
    assert merging.get(name).describe(operands, point) == words


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lerp", "unknown merge method 'lerp' (did you mean 'slerp'?)"),
        ("ties", "write ties and a number from 1 to 99, for example ties20"),
        ("ties100", "write ties and a number from 1 to 99"),
        ("la2", "la takes no number; write la"),
        ("tensors", "unknown merge method 'tensors'"),
        ("../la", "unknown merge method"),
    ],
)
def test_a_name_that_is_none_is_refused_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        merging.get(name)
    assert sentence in str(error.value)


def test_the_registry_imports_no_torch(root: Path) -> None:
    code = (
        "import sys; from langarith import merging; merging.get('ties20'); merging.examples(); "
        "print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_more_adapters_than_a_method_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="slerp does not merge 3 adapters"):
        merging.get("slerp").merger([adapter(1, 2, 3)] * 3, adapter(0, 0, 0))


# ---------------------------------------------------------------- language arithmetic


@given(st.lists(st.integers(-8, 8), min_size=12, max_size=12), st.data())
def test_three_operands_are_weighted_and_the_last_takes_the_rest(numbers, data) -> None:
    operands = [adapter(*numbers[i : i + 4]) for i in (0, 4, 8)]
    points = merging.get("la").points([0.0, 0.25, 0.5, 0.75, 1.0], 3)
    first, second = data.draw(st.sampled_from(points))
    merged = merging.get("la").merger(operands)((first, second))
    one, two, three = map(flat, operands)
    expected = first * one + second * two + (1 - first - second) * three
    torch.testing.assert_close(flat(merged), expected)


def test_points_of_three_operands_are_a_simplex() -> None:
    points = merging.get("la").points([0.0, 0.5, 1.0], 3)
    assert points == [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (0.5, 0.0), (0.5, 0.5), (1.0, 0.0)]
    assert merging.get("la").points([0.0, 0.5, 1.0], 2) == [(0.0,), (0.5,), (1.0,)]
    assert merging.get("ties20").points([0.8, 0.9], 3) == [(0.8,), (0.9,)]


# ---------------------------------------------------------------- SLERP

ORIGIN = adapter(0.5, -0.25, 1.0, 2.0)
LEFT, RIGHT = adapter(1.5, 0.25, -1.0, 2.5), adapter(0.25, 1.0, 3.0, -1.0)


def slerp(left, right, weight: float, origin=ORIGIN) -> dict[str, torch.Tensor]:
    return merging.get("slerp").merger([left, right], origin)((weight,))


@given(weights)
def test_slerp_agrees_with_the_textbook(weight: float) -> None:
    """Shoemake's formula in double precision on flat vectors, 1 - weight being his t."""
    start, one, two = map(flat, (ORIGIN, LEFT, RIGHT))
    p, q = one - start, two - start
    angle = math.acos(float(p @ q / (p.norm() * q.norm())))
    expected = start + (
        math.sin(weight * angle) * p + math.sin((1 - weight) * angle) * q
    ) / math.sin(angle)
    torch.testing.assert_close(flat(slerp(LEFT, RIGHT, weight)), expected, rtol=1e-5, atol=1e-6)


def test_slerp_at_its_ends_is_the_operands_bitwise() -> None:
    for weight, end in ((1.0, LEFT), (0.0, RIGHT)):
        merged = slerp(LEFT, RIGHT, weight)
        assert all(torch.equal(merged[name], end[name]) for name in end)


@given(weights)
def test_slerp_of_vectors_of_one_length_keeps_the_length(weight: float) -> None:
    left, right, zero = adapter(3, 0, 0, 4), adapter(0, 5, 0, 0), adapter(0, 0, 0, 0)
    assert float(flat(slerp(left, right, weight, zero)).norm()) == pytest.approx(5.0, rel=1e-5)


@pytest.mark.parametrize("factor", [1.0, 2.0, 1.0 + 1e-7, -1.0], ids=str)
def test_slerp_of_parallel_vectors_is_linear(factor: float) -> None:
    zero = adapter(0, 0, 0, 0)
    right = {name: factor * tensor for name, tensor in LEFT.items()}
    merged, line = slerp(LEFT, right, 0.3, zero), interpolate(LEFT, right, 0.3)
    assert all(torch.equal(merged[name], line[name]) for name in line)


def test_slerp_of_an_adapter_that_was_not_trained_is_linear() -> None:
    merged, line = slerp(LEFT, ORIGIN, 0.5), interpolate(LEFT, ORIGIN, 0.5)
    assert all(torch.equal(merged[name], line[name]) for name in line)


# ---------------------------------------------------------------- one new file

NEW = '''
"""The mean of two adapters, whatever the point."""
from langarith.merging import Method


def prepare(operands, *, device, **_):
    from langarith.merging.tensors import interpolate, on_device

    left, right = (on_device(operand, device) for operand in operands)
    return lambda point: interpolate(left, right, 0.5)


METHOD = Method(
    title="Middle",
    reference="none",
    prepare=prepare,
    describe=lambda operands, point: f"the middle of {' and '.join(operands)}",
)
'''


@pytest.mark.slow
def test_one_new_file_is_a_method(copy: Path) -> None:
    """Swept, tabulated, drawn, exported, planned, and sent to the GPUs of the profile."""
    (copy / "workflow/langarith/merging/middle.py").write_text(NEW)
    study = workspace.overlay(
        copy,
        "middle",
        name="nano",
        lambdas={
            "la": {"start": 0, "stop": 1, "step": 0.25},
            "middle": {"start": 0, "stop": 1, "step": 1},
        },
        experiments={"methods": {"targets": ["es"]}},
    )
    options = ("--cores", "2", "--configfile", study)
    plan = workspace.planned_jobs(copy, "methods", *options)
    drawn = {
        "tabulate": 1,
        "estimate_gains": 1,
        "estimate_choices": 1,
        "format_table": 1,
        "draw_figure": 1,
    }
    assert plan == {"sweep_middle": 1, **drawn}
    langarith = [sys.executable, "-m", "langarith"]
    environment = {**os.environ, "PYTHONPATH": str(copy / "workflow")}

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [*langarith, *arguments],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search(r"^sweep_middle +1 +\d+ s .*recorded", command("plan", study, "methods"), re.M)
    shutil.copytree(copy / "profiles/slurm", copy / "slurm")
    snakefile = (copy / "Snakefile").read_text()
    (copy / "Snakefile").write_text(
        snakefile
        + "\nfor rule in workflow.rules:\n"
        + "    if rule.name == 'sweep_middle':\n"
        + "        print('sent to', rule.resources['slurm_partition'].raw, file=sys.stderr)\n"
    )
    text = workspace.run(copy, "-n", "--profile", "slurm", "--configfile", study)
    assert "sent to gpu" in text
    (copy / "Snakefile").write_text(snakefile)

    workspace.run(copy, "methods", *options)
    rows = pd.read_csv(copy / "results/nano/tables/methods.csv", keep_default_na=False)
    by_method = {
        method: part[(part["split"] == "test") & (part["metric"] == "f1")]
        for method, part in rows.groupby("method")
    }
    half = by_method["la"][by_method["la"]["lambda"].astype(str).isin(["0.5"])]["value"]
    assert set(by_method["middle"]["value"]) == set(half)
    sheet = (copy / "results/nano/tables/methods.md").read_text()
    assert "| Middle |" in sheet
    assert (copy / "results/nano/figures/methods.png").stat().st_size > 10_000
    command("export", "--left", "en", "--right", "fr", "--lambda", "1", "--method", "middle",
            "--results", "results/nano", "--to", "exported")  # fmt: skip
    assert "the middle of en and fr" in (copy / "exported/README.md").read_text()
