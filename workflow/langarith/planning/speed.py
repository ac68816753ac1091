"""The speed of this machine on a model of some shape, measured on one layer of it.

Matrix products alone would overestimate the speed of small models, whose time goes into what lies
between them. So a layer is measured as it is computed in jobs: projections, attention,
feed-forward, normalisations, adapters, and for trainings the gradients. Operations of adapters are
not counted, so they make a layer slower: by a few per cent at the width of XLM-R, by a third and
more in a small model.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.errors import InputError
from langarith.files import read_json, write_text
from langarith.jobs import gpus
from langarith.planning import costs

if TYPE_CHECKING:
    import torch

SECONDS = 2.0
"""For all measurements of a plan, imports not counted."""

AT_ONCE = 4e9
"""Operations of one pass at most: fewer rows than a batch has do for large models."""


CPUINFO = Path("/proc/cpuinfo")

FILE = "logs/speeds.json"
"""Below the results folder: what plans have measured, and on which machine."""

VOCABULARY = 8000
"""Pieces of a measured head at most; a larger vocabulary means more masked rows instead."""


@dataclass(frozen=True)
class Case:
    """What is measured: a layer of a shape on batches of `rows` x `length`.

    passes: 1 forward, 2 with gradients of the inputs, 3 with those of the weights, too.
    masked: share of the tokens that pass the head of masked language modelling; 0 without it.
    bottlenecks: widths of the adapters of the layer; with `passes` 2 the last one is trained.
    """

    shape: costs.Shape
    rows: int
    length: int
    passes: int
    masked: float
    threads: int
    precision: str
    bottlenecks: tuple[int, ...] = ()


def has_gpu() -> bool:
    """Whether torch can use a GPU here; imports torch only where a driver lists one."""
    if not gpus.listed_by_driver():
        return False
    import torch

    return torch.cuda.is_available()


def cpu_has_bf16() -> bool:
    """Whether the CPU has instructions for products of bf16 matrices; only Linux says so."""
    with suppress(OSError):
        words = set(CPUINFO.read_text(encoding="utf-8").split())
        return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
    return False


def measure_all(cases: Sequence[Case], device: str, file: Path) -> dict[Case, float]:
    """Operations per second of this machine by case, which `file` keeps for :func:`read`.

    Args:
        device: where :func:`measure` computes, `cuda` or `cpu`.
    """
    speeds = {case: measure(case, SECONDS / len(cases)) for case in cases}
    if speeds:
        rows = [[asdict(case), value] for case, value in (read(device, file) | speeds).items()]
        with suppress(OSError, InputError):  # a full disk, which the plan is to warn of
            write_text(file, json.dumps({"on": _machine(device), "speeds": rows}) + "\n")
    return speeds


def read(device: str, file: Path) -> dict[Case, float]:
    """What :func:`measure_all` has kept for a device of this machine; empty if there is none."""
    try:
        kept = read_json(file)
        if kept["on"] != _machine(device):
            return {}
        return {_case(fields): float(value) for fields, value in kept["speeds"]}
    except (OSError, InputError, LookupError, TypeError, ValueError):
        return {}  # of another version; the next plan writes it anew


def _machine(device: str) -> list[str]:
    return [socket.gethostname(), device]


def _case(fields: Mapping[str, Any]) -> Case:
    shape, bottlenecks = (tuple(fields[name]) for name in ("shape", "bottlenecks"))
    return Case(**{**fields, "shape": shape, "bottlenecks": bottlenecks})


def measure(case: Case, seconds: float) -> float:
    """Operations per second, as :mod:`langarith.planning.costs` counts them: a median.

    Args:
        seconds: for this case; two passes are made at least.
    """
    # threads that spin at every barrier would be many times slower beside other jobs
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from langarith.models import devices

    layers, width, _, vocabulary = case.shape
    head = case.masked / layers * 2 * width * vocabulary
    row = case.passes * case.length * (costs.forward((1, *case.shape[1:]), case.length) + head)
    rows = max(1, min(case.rows, int(AT_ONCE / row)))
    gpu = torch.cuda.is_available()
    # other work on a busy machine would be counted by any other clock
    clock = time.process_time if case.threads == 1 and not gpu else time.perf_counter
    on = torch.device("cuda" if gpu else "cpu")
    precision = devices.precision(case.precision, on)
    before = torch.get_num_threads()
    torch.set_num_threads(case.threads)
    layer = _Layer(case, rows, on)
    times: list[float] = []
    try:
        end = time.perf_counter() + seconds
        while len(times) < 2 or time.perf_counter() < end:
            start = clock()
            with devices.autocast(precision, on):
                layer.run()
            if gpu:
                torch.cuda.synchronize()
            times.append(clock() - start)
    finally:
        torch.set_num_threads(before)
    times = sorted(times[1:])  # the first one allocates
    return row * rows / times[len(times) // 2]


class _Layer:
    """One transformer layer, and its share of the head, with random weights and input."""

    def __init__(self, case: Case, rows: int, device: torch.device) -> None:
        import torch

        def weights(out: int, into: int, *, trained: bool = case.passes == 3) -> torch.Tensor:
            drawn = torch.randn(out, into, device=device) / into**0.5
            return drawn.requires_grad_(trained)

        layers, width, inner, pieces = case.shape
        self.trains = case.passes > 1
        self.heads = max(1, width // 64)
        self.input = torch.randn(rows, case.length, width, device=device)
        self.square = [weights(width, width) for _ in range(4)]
        self.up, self.down = weights(inner, width), weights(width, inner)
        self.adapters = [
            (weights(narrow, width, trained=trained), weights(width, narrow, trained=trained))
            for i, narrow in enumerate(case.bottlenecks, 1)
            for trained in [case.passes == 2 and i == len(case.bottlenecks)]
        ]
        if case.masked:
            measured = min(pieces, VOCABULARY)
            share = case.masked / layers * pieces / measured
            self.head = weights(measured, width)
            self.labels = torch.randint(
                measured, (max(1, int(rows * case.length * share)),), device=device
            )
        else:
            self.labels = torch.empty(0)

    def run(self) -> None:
        import torch
        from torch.nn import functional

        with torch.set_grad_enabled(self.trains):
            given = self.input.clone().requires_grad_(self.trains)
            linear, norm = functional.linear, functional.layer_norm
            query, key, value = (self._split(linear(given, w)) for w in self.square[:3])
            mixed = functional.scaled_dot_product_attention(query, key, value)
            mixed = mixed.transpose(1, 2).reshape(given.shape)
            width = given.shape[-1:]
            attended = norm(given + linear(mixed, self.square[3]), width)
            inner = functional.gelu(linear(attended, self.up))
            output = norm(attended + linear(inner, self.down), width)
            for into, out_of in self.adapters:
                output = output + linear(functional.gelu(linear(output, into)), out_of)
            total = output.sum()
            if len(self.labels):
                tokens = output.flatten(0, 1)
                index = torch.arange(len(self.labels), device=tokens.device) % len(tokens)
                logits = linear(tokens[index], self.head)
                total = total + functional.cross_entropy(logits, self.labels)
            if self.trains:
                total.backward()

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        rows, length, width = states.shape
        heads = self.heads if width % self.heads == 0 else 1
        return states.view(rows, length, heads, -1).transpose(1, 2)
