"""Hash of the code that determines the results of a job.

What counts: the script, the modules of the library that it imports, directly or not, and the
modules that its rule names as parts because the script chooses them at run time. A module counts
with the `__init__.py` of the packages that contain it, since importing it runs them; the other
modules of a package do not count. `if TYPE_CHECKING:` imports nothing.

What does not count: the modules in `IGNORED`, which report what a job does, and files that are not
Python. A rule whose script reads such a file (a language of the miniature, the paper's numbers) has
its hash as another parameter.

A module is hashed in its normal form, see :func:`normal_form`.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

LIBRARY = Path(__file__).parent.parent

CHECKOUT = LIBRARY.parents[1] if (LIBRARY.parents[1] / "Snakefile").is_file() else None
"""The folder of the repository that the library is part of; None if it was installed by itself."""

SCRIPTS = LIBRARY.parent / "scripts"

REPORTING = ("langarith.errors", "langarith.progress", "langarith.jobs")
"""Modules and packages that report mistakes and progress, or describe jobs. Neither their code nor
what is passed to them affects results."""

IGNORED = (*REPORTING, "langarith.files", "langarith.data.code_keys")
"""These, and modules that write files atomically or refuse files: what is passed to them counts."""

_TYPING = {"__future__", "typing", "collections.abc"}


@cache
def fingerprint(script: str, *parts: str) -> str:
    """Hash of what a script does, a parameter of its rule: it changes when results may change.

    Args:
        script: name of a script in workflow/scripts/, without suffix.
        parts: modules below `langarith` that the script imports by a name it computes, and what
            they import, like `merging.ties`, `tasks.ner`.

    Returns:
        16 hexadecimal digits, followed by the parts, in order and separated by spaces.

    Raises:
        ValueError: a script or part that does not exist.
    """
    digest = hashlib.sha256()
    for name, path in modules(script, *parts).items():
        digest.update(f"{name}:{_parsed(_text(path))[0]}\n".encode())
    return " ".join([digest.hexdigest()[:16], *sorted(set(parts))])


def modules(script: str, *parts: str) -> dict[str, Path]:
    """The files that count for a script, by dotted name, sorted; see :func:`fingerprint`."""
    paths = {f"scripts.{script}": SCRIPTS / f"{script}.py"}
    if not paths[f"scripts.{script}"].is_file():
        raise ValueError(f"no script '{script}.py' in {SCRIPTS}")
    for part in parts:
        files = _files(f"langarith.{part}")
        if f"langarith.{part}" not in dict(files):
            raise ValueError(f"no module '{part}' in {LIBRARY}")
        paths.update(files)
    queue = list(paths.values())
    while queue:
        for imported in _parsed(_text(queue.pop()))[1]:
            for name, path in _files(imported):
                if name not in paths:
                    paths[name] = path
                    queue.append(path)
    return dict(sorted(paths.items()))


def forget() -> None:
    """Clear the caches, so that files are read again."""
    for cached in (fingerprint, _text, _files):
        cached.cache_clear()


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """Hash of the normal form of a module, and the names below `langarith` that it imports."""
    tree = ast.parse(text)
    names = {
        name
        for statement in _imports(tree)
        for module, member, _ in _bindings(statement)
        for name in (module, f"{module}.{member}".rstrip("."))
        if module.split(".")[0] == "langarith" and not _is_of(name, IGNORED)
    }
    return hashlib.sha256(normal_form(tree).encode()).hexdigest(), tuple(sorted(names))


@cache
def _files(name: str) -> tuple[tuple[str, Path], ...]:
    """A module and the packages that contain it, except the library itself; () for other names."""
    head, *rest = name.split(".")
    files: list[tuple[str, Path]] = []
    path_so_far = LIBRARY
    for depth, word in enumerate(rest, 2):
        path_so_far = path_so_far / word
        for path in (path_so_far / "__init__.py", path_so_far.with_suffix(".py")):
            if path.is_file():
                files.append((".".join([head, *rest][:depth]), path))
                break
    return tuple(files)


def _is_of(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _is_for_types(node: Any) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING"


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements below a node, those of functions included."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        if field == "body" and _is_for_types(node):
            continue
        children = getattr(node, field, None)
        for child in children if isinstance(children, list) else ():
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            else:
                yield from _imports(child)


def _bindings(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
    """(module, its member or "", the name bound in this file) of an import statement."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, alias.name, alias.asname or alias.name
        else:
            yield alias.name, "", alias.asname or alias.name.split(".")[0]


def normal_form(tree: ast.Module) -> str:
    """The part of a module that determines results, as text that is equal for all Python versions.

    Left out are comments, docstrings, formatting, annotations of functions and variables (those in
    classes stay: a dataclass is made of them), and the text of messages:

    * the arguments of an exception that is raised, and the message of an `assert`;
    * statements that call `print` (to the console), `logging`, `logger`, `warnings.warn`, or
      something of the modules in `REPORTING`, be it a method of an object: `progress.update(step)`;
    * the arguments of their other calls: those of `Progress` in `bar = Progress("sweep", 21)`.

    Imports are a sorted list at its head, as (module, member, name bound), wherever they are in
    the file: their order has no effect, but the origin of a name does. A file that binds one
    name to two things keeps its imports in place.
    """
    bindings = {binding for statement in _imports(tree) for binding in _bindings(statement)}
    reporting = {
        binding
        for binding in bindings
        if _is_of(binding[0], REPORTING) or _is_of(f"{binding[0]}.{binding[1]}", REPORTING)
    }
    counted = sorted(b for b in bindings - reporting if b[0] not in _TYPING)
    names = [name for _, member, name in counted if member]
    writer = _Writer(
        imported={name for _, _, name in reporting}, keep_imports=len(set(names)) < len(names)
    )
    if writer.imported:
        writer.held = set(_held(tree, writer.imported))
    writer.write(tree)
    return "".join([f"{' '.join(binding)}\n" for binding in counted] + writer.out)


def _held(tree: ast.AST, imported: set[str]) -> Iterator[str]:
    """Variables, attributes and parameters of a file that hold objects of imported classes.

    Those that are assigned what a call of a class gives, or are parameters annotated with one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            made = node.value.func
            if _root(made) in imported and (_last(made) or "")[:1].isupper():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from filter(None, map(_last, targets))
        elif isinstance(node, ast.arg) and node.annotation and _root(node.annotation) in imported:
            yield node.arg


def _root(node: Any) -> str | None:
    """`a` of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _last(node: Any) -> str | None:
    """`c` of `a.b.c`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


class _Writer:
    """Writes a syntax tree without what :func:`normal_form` leaves out.

    Args:
        imported: names that the file imports from the modules in `REPORTING`.
        keep_imports: write import statements in place.
    """

    # fields that not all versions of Python have, or that have no meaning here
    SKIPPED = frozenset({"type_comment", "type_ignores", "type_params", "kind", "ctx"})
    DROPPED: ClassVar[dict[type[ast.AST], tuple[str, ...]]] = {
        ast.Raise: ("cause",),
        ast.Assert: ("msg",),
        ast.arg: ("annotation",),
        ast.FunctionDef: ("returns",),
        ast.AsyncFunctionDef: ("returns",),
    }

    def __init__(self, *, imported: set[str], keep_imports: bool) -> None:
        self.imported, self.keep_imports = imported, keep_imports
        self.held: set[str] = set()
        self.out: list[str] = []

    def write(self, node: Any, in_class: bool = False) -> None:
        if isinstance(node, list):
            self.out.append("[")
            for item in node:
                self.write(item, in_class)
                self.out.append(",")
            self.out.append("]")
        elif isinstance(node, ast.AST):
            if isinstance(node, ast.AnnAssign) and node.value and not in_class:
                node = ast.Assign(targets=[node.target], value=node.value)
            self.out.append(f"{type(node).__name__}(")
            dropped = self._dropped(node, in_class)
            for name in node._fields:
                value = getattr(node, name, None)
                if name in self.SKIPPED or name in dropped:
                    continue
                if isinstance(value, list):
                    value = [item for item in value if not self._is_left_out(item, node)]
                elif isinstance(node, ast.Raise) and isinstance(value, ast.Call):
                    value = value.func
                if value is not None and value != []:
                    self.out.append(f"{name}=")
                    self.write(value, isinstance(node, ast.ClassDef))
                    self.out.append(",")
            self.out.append(")")
        else:
            self.out.append(repr(node))

    def _dropped(self, node: ast.AST, in_class: bool) -> tuple[str, ...]:
        """Names of the fields of a node that are left out."""
        if isinstance(node, ast.Call) and self._is_reporting(node.func):
            return ("args", "keywords")
        if isinstance(node, ast.AnnAssign) and not in_class:
            return ("annotation",)
        if _is_for_types(node):
            return ("body",)
        return self.DROPPED.get(type(node), ())

    def _is_left_out(self, node: Any, parent: ast.AST) -> bool:
        """Whether an item of a list is left out, most often a statement."""
        if isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Constant):
                return isinstance(node.value.value, str)
            return isinstance(node.value, ast.Call) and self._only_reports(node.value)
        if isinstance(node, ast.Import | ast.ImportFrom):
            return not self.keep_imports
        if isinstance(parent, ast.JoinedStr):
            # Python 3.12 puts empty texts into nested formats
            return isinstance(node, ast.Constant) and node.value == ""
        return _is_for_types(node) and not node.orelse

    def _is_reporting(self, function: ast.AST) -> bool:
        """Whether a function is of the modules in `REPORTING`, or a method of their objects."""
        if _root(function) in self.imported:
            return True
        return isinstance(function, ast.Attribute) and _last(function.value) in self.held

    def _only_reports(self, call: ast.Call) -> bool:
        """Whether a statement that is this call writes a message and does nothing else."""
        function, root = call.func, _root(call.func)
        if isinstance(function, ast.Name) and function.id == "print":
            files = [keyword.value for keyword in call.keywords if keyword.arg == "file"]
            return all(_root(file) == "sys" for file in files)
        if isinstance(function, ast.Attribute) and root in {"logging", "logger", "warnings"}:
            return root != "warnings" or function.attr == "warn"
        return self._is_reporting(function)
