"""Where every artefact of a study is stored, and what a path says.

Patterns are relative to the study's `results_dir` and hold wildcards in braces, as Snakemake's do.
The Snakefile, the cost model, figures and the audit read them from here; `parse` is the only code
that takes a path apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Literal

from langarith.operands import Operand, join_operands

TOKENIZER = "models/{model}/tokenizer"
ENCODER = "models/{model}/encoder"
TOKENS = "tokens/{model}/{language}/{shard}.arrow"
INITIAL = "adapters/{model}/initial/{kind}"
LEFT_OUT = "adapters/{model}/initial/left_out/language"
READY_CHECK = "adapters/{model}/ready.json"
LANGUAGE_ADAPTER = "adapters/{model}/language/{language}@{budget}/seed{seed}"
TASK_ADAPTER = "adapters/{model}/task/{task}/seed{seed}"
LANGUAGE_ADAPTER_LOG = "logs/train_language_adapter/{model}-{language}@{budget}-seed{seed}.log"
TASK_ADAPTER_LOG = "logs/train_task_adapter/{model}-{task}-seed{seed}.log"
READY_TASK = "adapters/{model}/task/{task}/ready/seed{seed}"
CELL = "evaluation/{model}/{task}/{target}/{method}/{operands}/seed{seed}"
MASKED_LM = "masked_lm/{model}/{target}/{method}/{operands}/seed{seed}"
FISHER = "fisher/{model}/{language}@{budget}/seed{seed}"
CHECK = "checks/{task}/{language}.json"
SYNTHETIC_CORPUS = "miniature/raw/{language}"
SYNTHETIC_TASK = "miniature/{task}/{language}"
TABLE = "tables/{experiment}.csv"
GAINS = "tables/{experiment}_gains.csv"
CHOICES = "tables/{experiment}_choices.csv"
LABEL_PRICE = "label_free_price"
CLAIMS = "tables/reproduction_claims.csv"
CHOSEN = "tables/{experiment}_chosen.csv"
FIGURE = "figures/{experiment}"

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
ENCODER_FILES = ("config.json", "model.safetensors")
FISHER_FILE = "fisher.safetensors"

LANGUAGE = r"[A-Za-z][A-Za-z0-9_-]*"
"""The code of a language: en, zh-Hant, sr_Latn, es-419."""

NAME = r"[A-Za-z0-9._-]+"
"""The name of a model or a task."""

_OPERAND = rf"{LANGUAGE}(?:@[1-9]\d*[kMB]?)?"


SWEEP = "sweep_"
"""The names of rules of sweeps begin so: `sweep_la`, `sweep_ties20`, `sweep_la_3`."""


def is_sweep(rule: str) -> bool:
    """Whether the jobs of a rule are sweeps."""
    return rule.startswith(SWEEP)


def operands_pattern(count: int) -> str:
    """The regular expression of so many operands joined by `+`."""
    return r"\+".join([_OPERAND] * count)


WILDCARDS = {
    "model": NAME,
    "task": NAME,
    "language": LANGUAGE,
    "target": LANGUAGE,
    "budget": r"full|\d+[kMB]?",
    "operands": rf"{_OPERAND}(?:\+{_OPERAND})*",
    "seed": r"\d+",
    "shard": r"[^/]+",
    "kind": r"language|task",
}
"""Regular expressions of wildcards; any other one matches a part of a path without a slash."""


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    for i in range(1, len(parts), 2):
        parts[i] = f"(?P<{parts[i]}>{WILDCARDS.get(parts[i], '[^/]+')})"
    parts[::2] = map(re.escape, parts[::2])
    return re.compile(rf"(?:.*/)?{''.join(parts)}(?:/(?P<file>[^/]+))?")


def parse(pattern: str, path: str | PurePath) -> dict[str, str] | None:
    """The wildcards of a path that follows a pattern of this module; None where it does not.

    The path may begin with folders above the pattern, such as a `results_dir`, and may name one
    file below it, which is then given as `file`.
    """
    match = _expression(pattern).fullmatch(str(path))
    return {k: v for k, v in match.groupdict().items() if v is not None} if match else None


def cell_paths(paths: Iterable[str]) -> dict[tuple[str, ...], Path]:
    """Files of cells by the wildcards of :data:`CELL`, in its order."""
    found: dict[tuple[str, ...], Path] = {}
    for path in paths:
        names = parse(CELL, path)
        if names is None:
            raise ValueError(f"{path} is not a file of a cell")
        names.pop("file", None)
        found[tuple(names.values())] = Path(path)
    return found


# --- what is trained and evaluated ----------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One sweep of the grid: a merge of operands at every point of the method."""

    model: str
    task: str
    target: str
    method: str
    operands: tuple[Operand, ...]
    seed: int

    @property
    def left(self) -> Operand:
        """The first operand."""
        return self.operands[0]

    @property
    def right(self) -> Operand:
        """The last operand."""
        return self.operands[-1]

    @property
    def wildcards(self) -> dict[str, str]:
        """The cell's wildcards in :data:`CELL`."""
        return {
            "model": self.model,
            "task": self.task,
            "target": self.target,
            "method": self.method,
            "operands": join_operands(self.operands),
            "seed": str(self.seed),
        }


@dataclass(frozen=True)
class Run:
    """A trained adapter; `name` is a task, or a language adapter's operand (`fr`, `fr@10k`)."""

    model: str
    kind: Literal["language", "task"]
    name: str
    seed: int

    @property
    def folder(self) -> str:
        """Where its training writes it."""
        return self._path(TASK_ADAPTER if self.kind == "task" else LANGUAGE_ADAPTER)

    @property
    def log(self) -> str:
        """The log of its training."""
        return self._path(TASK_ADAPTER_LOG if self.kind == "task" else LANGUAGE_ADAPTER_LOG)

    def _path(self, pattern: str) -> str:
        if self.kind == "task":
            return pattern.format(model=self.model, task=self.name, seed=self.seed)
        operand = Operand.parse(self.name)
        return pattern.format(
            model=self.model, language=operand.language, budget=operand.budget, seed=self.seed
        )
