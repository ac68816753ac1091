"""Reads, extends and validates a study, with the lock files beside it.

A study is one YAML file; `extends:` names another whose top-level keys it replaces whole, never key
by key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    ValidationError,
)

from langarith.errors import InputError
from langarith.study.checks import problems
from langarith.study.resolved import read_study
from langarith.study.schema import Study
from langarith.study.sources import hub_branches


def _languages_are_words(data: Any, where: tuple[str, ...] = ()) -> Iterator[str]:
    """YAML 1.1 reads the code `no` as false: find such slips wherever languages are listed."""
    listed = {"languages", "targets"}
    if isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(key, bool):
                yield (
                    f"{'.'.join(where)}: the key {key!r} was read by YAML as a truth value; quote "
                    "the language code ('no' for Norwegian)"
                )
            yield from _languages_are_words(value, (*where, str(key)))
    elif isinstance(data, list) and where and where[-1] in listed:
        for item in data:
            if not isinstance(item, str):
                yield (
                    f"{'.'.join(where)}: {item!r} is not a language code (YAML reads no as false); "
                    "quote it ('no' for Norwegian)"
                )
    elif where and (where[-1] == "task_language" or "related" in where) and isinstance(data, bool):
        yield f"{'.'.join(where)}: {data!r} is not a language code; quote it ('no' for Norwegian)"


def read_yaml(path: Path, extended_by: Path | None = None) -> dict[str, Any]:
    """One YAML mapping, or an InputError that names the file."""
    if not path.is_file():
        where = f"'extends' in {extended_by}" if extended_by else "the path after --configfile"
        raise InputError(f"{path}: no such study file; check {where}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise InputError(
            f"{path}:{line} not valid YAML ({getattr(error, 'problem', error)}); correct it"
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: a study is a YAML mapping of keys; this file holds none")
    return data


def read_chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The study file and those it extends, the file itself first."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    here: Path | None = path
    while here is not None:
        if here.resolve() in {p.resolve() for p, _ in chain}:
            raise InputError(f"{here}: 'extends' runs in a circle; remove one link")
        data = read_yaml(here, chain[-1][0] if chain else None)
        parent = data.pop("extends", None)
        chain.append((here, data))
        here = (here.parent / str(parent)) if parent else None
    return chain


def _sentence(file: Path, error: Mapping[str, Any]) -> str:
    tags = {"hub", "files", "pretrain", "miniature"}
    loc = [str(part) for part in error["loc"]]
    # pydantic puts the union's tag before the key: models.tiny.pretrain.vocabulary
    place = {"models": 2, "tasks": 2, "corpora": 1}.get(loc[0] if loc else "")
    if place is not None and len(loc) > place and loc[place] in tags:
        del loc[place]
    message = str(error["msg"]).removeprefix("Value error, ")
    value = error.get("input")
    if error["type"] == "missing":
        return f"{file}: {'.'.join(loc)} is missing; add it"
    if error["type"] == "union_tag_invalid":
        expected = error["ctx"]["expected_tags"]
        return f"{file}: {'.'.join(loc)}.source is {error['ctx']['tag']!r}; use one of {expected}"
    if error["type"] == "union_tag_not_found":
        return (
            f"{file}: {'.'.join(loc)}.source is missing; add it (hub, files, pretrain, miniature)"
        )
    shown = (
        "" if isinstance(value, dict | list) or error["type"] == "value_error" else f" {value!r}"
    )
    key = ".".join(loc) + ": " if loc else ""
    return f"{file}: {key}{message}{' (found' + shown + ')' if shown else ''}"


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read, extend and validate a study.

    Args:
        path: the YAML file.
        overrides: top-level keys given on the command line (`--config allow_missing=true`).

    Raises:
        InputError: one line for each thing that is wrong.
    """
    path = Path(path)
    chain = read_chain(path)
    data: dict[str, Any] = {}
    for _, part in reversed(chain):
        data |= part
    data = {"name": path.stem} | data | dict(overrides or {})
    mistakes = [f"{path}: {problem}" for problem in _languages_are_words(data)]
    if mistakes:
        raise InputError("\n".join(mistakes))
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        raise InputError("\n".join(_sentence(path, e) for e in error.errors())) from error
    study = study.model_copy(update=_with_locks(study, [p for p, _ in chain]))
    mistakes = [f"{path}: {problem}" for problem in problems(study)]
    if mistakes:
        raise InputError("\n".join(mistakes))
    return study


def lock_file(study_file: Path) -> Path:
    """Where the accepted choice of related languages of a study lies: beside it."""
    return study_file.with_name(f"{study_file.stem}.related.yaml")


def revisions_file(study_file: Path) -> Path:
    """Where the commits lie to which a study's branches on the hub were resolved: beside it."""
    return study_file.with_name(f"{study_file.stem}.revisions.yaml")


def _locked(files: Iterable[Path], lock: Callable[[Path], Path]) -> dict[str, str]:
    """One kind of lock file of a study and those it extends, the nearest first."""
    found: dict[str, str] = {}
    for file in reversed(list(files)):
        if lock(file).is_file():
            found |= {str(k): str(v) for k, v in read_yaml(lock(file)).items()}
    return found


def _with_locks(study: Study, files: Sequence[Path]) -> dict[str, dict[str, str]]:
    known = set(study.languages)
    related = _locked(files, lock_file).items()
    branches = hub_branches(study)
    revisions = _locked(files, revisions_file).items()
    return {
        "related": {t: r for t, r in related if t in known and r in known} | study.related,
        "revisions": {key: r for key, r in revisions if key in branches} | study.revisions,
    }


def identity(study: Study) -> str:
    """What `study.json` holds: the whole resolved study, with its name first."""
    return json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def refuse_foreign_results(study: Study) -> None:
    """Two studies never share a results folder: raise if `study.json` there has another name."""
    there = Path(study.results_dir) / "study.json"
    if there.is_file():
        name = read_study(there)["name"]
        if name != study.name:
            raise InputError(
                f"results_dir: {study.results_dir} belongs to the study '{name}', and this one is "
                f"'{study.name}'; give each study a results_dir of its own"
            )
