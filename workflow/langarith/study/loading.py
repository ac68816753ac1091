"""Reads, extends and validates a study, with the lock files next to it.

A study is one YAML file; `extends:` names another one. A top-level key of the file replaces the
whole key of that one.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from langarith.errors import InputError
from langarith.study import file_checks, limits, mistakes
from langarith.study.blocks import expanded_path
from langarith.study.checks import problems
from langarith.study.resolved import read_study
from langarith.study.schema import Study
from langarith.study.sources import hub_branches


class _StudyLoader(yaml.SafeLoader):
    """The scalars of YAML 1.2: `no`, `1:30` and dates are text, `1e-3` is a number.

    YAML 1.1 of PyYAML reads the code of Norwegian as false, 1:30 as 90 and 010 as 8. Not supported
    of YAML 1.2 are .inf, .nan and other spellings of true, false and null.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = str(self.construct_scalar(node))
        return int(value, 0 if value.startswith(("0x", "0o")) else 10)


_StudyLoader.yaml_implicit_resolvers = {}  # none of the base class's
for _tag, _first, _form in (
    ("bool", "tf", r"true|false"),
    ("int", "-+0123456789", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    ("float", "-+.0123456789", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ("null", ["~", "n", ""], r"~|null|"),
    ("merge", "<", r"<<"),
):
    _StudyLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_form})$"), list(_first)
    )
_StudyLoader.add_constructor("tag:yaml.org,2002:int", _StudyLoader.construct_yaml_int)


def _repeated_keys(
    node: yaml.Node, where: str = "", seen: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Sentences on equal keys with their lines; PyYAML would keep the last of them."""
    if id(node) in seen:
        return  # an anchor within itself
    seen = seen | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item, where, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, list[str]] = defaultdict(list)
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                lines[key.value].append(str(key.start_mark.line + 1))
                yield from _repeated_keys(value, f"{where}.{key.value}".lstrip("."), seen)
        for name, numbers in lines.items():
            if len(numbers) > 1:
                place = f" in '{where}'" if where else ""
                times = "twice" if len(numbers) == 2 else f"{len(numbers)} times"
                yield (
                    f"key '{name}' appears {times}{place} (lines {', '.join(numbers)}); "
                    "keep one of them"
                )


MOST_VALUES = 100_000
"""The most values of a file, with every alias written out: real studies have some hundred."""


def _values(node: yaml.Node, counted: dict[int, int]) -> int:
    """The number of values in a node, with every alias written out.

    Args:
        counted: the result by identity of each node.
    """
    if id(node) not in counted:
        counted[id(node)] = 1  # an anchor within itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inside = [part[-1] if isinstance(part, tuple) else part for part in parts]
        counted[id(node)] = 1 + sum(_values(part, counted) for part in inside)
    return counted[id(node)]


def parsed_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: it is no valid YAML, nested too deeply or too large, or a mapping in it has a
            key twice.
    """
    try:
        loader = _StudyLoader(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            values = _values(node, {}) if node else 0
            if values > MOST_VALUES:
                raise InputError(
                    f"{path}: {values:,} values if its aliases (*name) are written out; use fewer, "
                    f"at most {MOST_VALUES:,} values are read"
                )
            repeated = list(dict.fromkeys(_repeated_keys(node))) if node else []
            if repeated:
                raise InputError("\n".join(f"{path}: {sentence}" for sentence in repeated))
            return loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{path}: YAML nested too deeply; correct the file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise InputError(
            f"{path}:{line} not valid YAML ({getattr(error, 'problem', error)}); correct it"
        ) from error


def read_yaml(path: Path, extended_by: Path | None = None) -> dict[str, Any]:
    """The YAML mapping of a study, or an InputError that names the file."""
    if not path.is_file():
        where = f"'extends' in {extended_by}" if extended_by else "the path"
        if path.is_dir():
            fix = f"correct {where}" if extended_by else "name its YAML file"
            raise InputError(f"{path}: a folder and no study; {fix}")
        if path.is_symlink():
            raise InputError(
                f"{path}: a link to {path.readlink()}, which is no file; correct the link"
            )
        raise InputError(f"{path}: no such study file; check {where}")
    data = parsed_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: a study is a YAML mapping of keys; this file has none")
    return data


def read_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The study file and those it extends, the file itself first."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    file: Path | None = path
    while file is not None:
        if os.path.realpath(file) in {os.path.realpath(p) for p, _ in chain}:
            raise InputError(f"{file}: 'extends' runs in a circle; remove one link")
        data = read_yaml(file, chain[-1][0] if chain else None)
        parent = data.pop("extends", None)
        chain.append((file, data))
        try:
            file = (file.parent / expanded_path(str(parent))) if parent else None
        except ValueError as error:
            raise InputError(f"{file}: extends: {error}") from error
    return chain


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read, extend and validate a study.

    Args:
        path: the YAML file.
        overrides: top-level keys given on the command line (`--config allow_missing=true`).

    Raises:
        InputError: one line for each mistake.
    """
    path = Path(path)
    chain = read_chain(path)
    data: dict[str, Any] = {}
    for _, part in reversed(chain):
        data |= part
    # Snakemake reads the empty value of `limit=` as null, which would mean no limit
    given = {key: "" if value is None else value for key, value in (overrides or {}).items()}
    data = {"name": path.stem} | data | given
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        sentences = [*mistakes.sentences(data, error.errors()), *_replaced(chain, error)]
        raise InputError("\n".join(f"{path}: {sentence}" for sentence in sentences)) from error
    study = study.model_copy(update=_with_locks(study, [p for p, _ in chain]))
    study = limits.limited(study)
    sentences = [f"{path}: {problem}" for problem in dict.fromkeys(problems(study))]
    if sentences:
        raise InputError("\n".join(sentences))
    return study


def _replaced(chain: Sequence[tuple[Path, Mapping[str, Any]]], error: ValidationError) -> list[str]:
    """A sentence about each incomplete block that replaces one of an extended study."""
    sentences = {}
    for problem in error.errors():
        key, *inside = map(str, problem["loc"] or ("",))
        files = [(path, part[key]) for path, part in chain if key in part]
        if problem["type"] in ("missing", "union_tag_not_found") and len(files) > 1:
            (path, inherited), name = files[1], next(iter(inside), None)
            if isinstance(inherited, Mapping) and name in inherited:
                sentences[key] = (
                    f"the key '{key}' replaces the whole key '{key}' of {path.name}; copy the "
                    "parts that you still need from that file"
                )
    return list(sentences.values())


def lock_file(study_file: Path) -> Path:
    """The lock file of the accepted related languages of a study, next to it."""
    return study_file.with_name(f"{study_file.stem}.related.yaml")


def revisions_file(study_file: Path) -> Path:
    """The lock file of the commits of a study's branches on the hub, next to it."""
    return study_file.with_name(f"{study_file.stem}.revisions.yaml")


def _locked(files: Iterable[Path], lock: Callable[[Path], Path]) -> dict[str, Any]:
    """One kind of lock file of a study and those it extends, the nearest first."""
    entries: dict[str, Any] = {}
    for file in reversed(list(files)):
        path = lock(file)
        found = parsed_yaml(path) if path.is_file() else None
        if not isinstance(found, dict | None):
            raise InputError(f"{path}: a lock file is a YAML mapping; delete it and lock again")
        entries |= {str(key): value for key, value in (found or {}).items()}
    return entries


def _languages_of_study(study: Study, locked: list[str]) -> list[str]:
    """The languages of an entry of a lock file that are in this study.

    Other studies may share the lock file. In a list of several, the task language is skipped.
    """
    other = study.task_language if len(locked) > 1 else None
    return [language for language in locked if language in study.languages and language != other]


def _with_locks(study: Study, files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    nearest = {
        target: _languages_of_study(
            study, languages if isinstance(languages, list) else [str(languages)]
        )
        for target, languages in _locked(files, lock_file).items()
        if target in study.languages
    }
    related = {target: languages[0] for target, languages in nearest.items() if languages}
    several = {target: languages for target, languages in nearest.items() if len(languages) > 1}
    branches = hub_branches(study)
    revisions = _locked(files, revisions_file).items()
    return {
        "related": related | study.related,
        "relatives": several | study.relatives,
        "revisions": {key: str(r) for key, r in revisions if key in branches} | study.revisions,
    }


def identity(study: Study) -> str:
    """The content of `study.json`: the whole resolved study, with its name first."""
    return json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def load_for_run(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """See :func:`load`; its folders must be its own, and writable.

    Raises:
        InputError: also for a folder of another study, or one that cannot be written.
    """
    study = load(path, overrides)
    refuse_foreign_results(study)
    for key in ("results_dir", "checkpoint_dir"):
        place = getattr(study, key)
        existing = file_checks.nearest_existing(place) if place else None
        if existing and not os.access(existing, os.W_OK | os.X_OK):
            within = "" if existing == Path(place) else f", since {existing} cannot"
            raise InputError(
                f"{key}: {place} cannot be written{within}; change its permissions, or name "
                "another folder"
            )
    return study


def refuse_foreign_results(study: Study) -> None:
    """Raise if `study.json` in the results folder has the name of another study."""
    path = Path(study.results_dir) / "study.json"
    if path.is_file():
        name = read_study(path)["name"]
        if name != study.name:
            raise InputError(
                f"results_dir: {study.results_dir} belongs to the study '{name}', and this one is "
                f"'{study.name}'; give each study a results_dir of its own"
            )
