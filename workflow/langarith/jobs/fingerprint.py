"""Hash of the code that decides the results of a job."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from langarith.files import sha256

LIBRARY = Path(__file__).parent.parent


SCRIPTS = LIBRARY.parent / "scripts"


def fingerprint(script: str, *parts: str) -> str:
    """Hash of what a script does: its own code and that of the library rooms it imports.

    Comments, docstrings and formatting do not move it, nor does the Python version. It is a
    parameter of the script's rule, so that an edit reruns what it can change and nothing else.

    Args:
        script: name of a script in workflow/scripts, without suffix.
        parts: modules that the script chooses while it runs, such as `merging.ties`.
    """
    seen: set[Path] = set()
    queue = [SCRIPTS / f"{script}.py"]
    queue += [LIBRARY.joinpath(*part.split(".")).with_suffix(".py") for part in parts]
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += _rooms(path)
    digest = hashlib.sha256()
    for path in sorted(seen):
        digest.update(f"{path.name}:{_digest(path)}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _digest(path: Path) -> str:
    if path.suffix == ".py":
        return hashlib.sha256(normal_form(_tree(path)).encode()).hexdigest()
    return sha256(path)


@cache
def _rooms(path: Path) -> tuple[Path, ...]:
    """Files of the library that a file imports."""
    if path.suffix != ".py":
        return ()
    modules: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files: set[Path] = set()
    for module in modules:
        head, *rest = module.split(".")
        # provenance and progress describe a job and leave its numbers alone
        if head != "langarith" or (rest in (["progress"],) or rest[:1] == ["jobs"]):
            continue
        place = LIBRARY.joinpath(*rest)
        if place.with_suffix(".py").is_file():
            files.add(place.with_suffix(".py"))
        elif rest and place.is_dir():
            # a language of the miniature is data of its own: its file is a parameter of its jobs
            files |= {*place.rglob("*.py"), *place.glob("*.yaml")}
    return tuple(sorted(files))


def normal_form(node: Any) -> str:
    """A syntax tree as text without docstrings, positions and fields of some Pythons alone."""
    if isinstance(node, list):
        return "[" + ",".join(normal_form(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in {"type_comment", "type_ignores", "type_params", "kind", "ctx"} or value in (
            None,
            [],
        ):
            continue
        told = value
        if name == "body" and isinstance(value, list):
            told = [item for item in value if not _is_text(item)]
        if isinstance(node, ast.JoinedStr):
            # Python 3.12 puts empty texts into nested formats
            told = [i for i in value if not (isinstance(i, ast.Constant) and i.value == "")]
        fields.append(f"{name}={normal_form(told)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_text(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
