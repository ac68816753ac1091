"""How the modules of the library depend on each other, read from their imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from langarith.jobs.fingerprint import LIBRARY

ORDER = (
    "errors files operands adapter_format layout progress jobs data tasks merging study models "
    "evaluation training results audit publishing cluster planning commands cli __main__"
).split()
"""A module imports from its own package and from those before it, late imports included."""

HEAVY = {"adapters", "matplotlib", "numpy", "pandas", "pyarrow", "torch", "transformers"}
LIGHT = ["errors", "files", "operands", "adapter_format", "layout", "progress", "jobs", "study"]
"""Packages that the Snakefile imports: nothing heavy at the head of their modules."""

LONGEST = 420
LONGER = {"study/schema.py": "a class for each block of a study, and its JSON schema"}
"""Modules above that number of lines, with a reason."""


class Import(NamedTuple):
    module: str
    alias: str | None


def name_of(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def imports(path: Path) -> Iterator[Import]:
    """The modules of the library that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue  # annotations may go both ways: nothing is imported
        if isinstance(node, ast.Import):
            yield from (Import(a.name, a.asname) for a in node.names if a.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in MODULES:
                    yield Import(name, alias.asname)
                elif node.module in MODULES:
                    yield Import(node.module, None)


def package(module: str) -> str:
    """`langarith.study.grid` is in `study`."""
    return module.split(".")[1] if "." in module else ""


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package(module) for module in MODULES} - {""} == set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    if module == "langarith":
        assert not list(imports(MODULES[module]))
        return
    before = ORDER[: ORDER.index(package(module)) + 1]
    assert {name for name, _ in imports(MODULES[module]) if package(name) not in before} == set()


def test_no_modules_import_each_other() -> None:
    graph = {module: {name for name, _ in imports(path)} for module, path in MODULES.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the modules


@pytest.mark.parametrize("module", MODULES)
def test_modules_go_by_their_own_names(module: str) -> None:
    assert [entry for entry in imports(MODULES[module]) if entry.alias] == []


def test_modules_are_short() -> None:
    lengths = {
        path.relative_to(LIBRARY).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES.values()
    }
    assert {name for name, lines in lengths.items() if lines > LONGEST} == set(LONGER)


def run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(LIBRARY.parent)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) in LIGHT])
def test_what_the_snakefile_imports_is_light(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    heads = {
        alias.name.split(".")[0]
        for n in tree.body
        if isinstance(n, ast.Import)
        for alias in n.names
    }
    heads |= {(n.module or "").split(".")[0] for n in tree.body if isinstance(n, ast.ImportFrom)}
    assert heads & HEAVY == set()


def test_the_grid_needs_nothing_heavy() -> None:
    code = "import sys, langarith.study.grid, langarith.study.loading; print(*sys.modules)"
    assert HEAVY & set(run(code).split()) == set()


def test_the_command_line_needs_nothing_heavy_to_start() -> None:
    code = "import sys, langarith.cli; print(*sys.modules)"
    assert HEAVY & set(run(code).split()) == set()


def test_the_grid_is_imported_in_milliseconds() -> None:
    """CPU time, Python's own start included: 0.07 s on busy cores, where numpy alone takes 0.2.

    The least of several, because work beside it on the same cores only adds to it.
    """
    code = "import time, langarith.study.grid; print(time.process_time())"
    assert any(float(run(code)) < 0.15 for _ in range(5))
