"""A merged adapter as a product: a folder in AdapterHub format with its recipe, lineage and scores.

Plain `adapters` loads it: `model.load_adapter(folder)`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from langarith import layout, merging
from langarith.adapter_format import ADAPTER_FILES
from langarith.audit import lineage
from langarith.audit.lineage import Job, Lineage
from langarith.data import hub
from langarith.errors import InputError
from langarith.files import read_json, refuse_existing, sha256
from langarith.models.merge_recipe import (
    MergeOperand,
    MergeRecipe,
    Parameters,
    numbers,
    point_problem,
)
from langarith.operands import Operand, Point, parse_operands, parse_point, point_value
from langarith.publishing.card import card
from langarith.publishing.scores import Choice, evaluation
from langarith.study.resolved import which_study

TRAINED = "train_language_adapter"
INITIALISED = ("initialise_adapters", "leave_out_layers")
ESTIMATED = "estimate_fisher"

METHOD, RESULTS = "la", Path("results")
"""Defaults of options."""

INSTEAD_OF = {
    "selected": ("left", "right", "operands", "lambda", "method", "model", "seed", "results"),
    "operands": ("left", "right"),
}
"""The options that another one replaces."""


def choice_of(selected: Path) -> Choice:
    """The choice of a sweep, from its `selected.json`.

    Raises:
        InputError: there is no such file, or it is another one.
    """
    if not selected.is_file():
        raise InputError(f"{selected}: no such file; name a sweep's selected.json")
    cell = read_json(selected)
    try:
        words = [cell[key] for key in ("model", "task", "target", "operands", "method")]
        choice = Choice.of(cell) if all(isinstance(word, str) for word in words) else None
    except (KeyError, TypeError, ValueError):
        choice = None
    if choice is None:
        raise InputError(f"{selected}: not the selected.json of a sweep; name one")
    method = merging.get(choice.method)
    if problem := point_problem(method, len(choice.operands), choice.point):
        raise InputError(f"{selected}: {problem}")
    return choice


def chosen_by(graph: Lineage, selected: Path) -> str:
    """Which rule chose the λ of a `selected.json`: validation, whatever the study's rule."""
    cell = read_json(selected)
    found = f"λ chosen with validation labels of {cell['target']} ({cell['task']})"
    if graph.selection != "validation":
        found += f", not by the study's rule, {graph.selection}"
    return found


def export(graph: Lineage, choice: Choice, folder: Path, facts: Sequence[str] = ()) -> str:
    """Merge and write: weights, configuration, recipe, `lineage.json` and a card (README.md).

    Args:
        facts: further entries of the list at the head of the card.

    Returns:
        The merge in words, and the adapter's name.

    Raises:
        InputError: an operand was not trained in this study; the folder exists already.
    """
    from langarith.models import merged

    refuse_existing(folder)
    method = merging.get(choice.method)
    method.refuse_unwritable()
    operands = [_operand(graph, choice, operand) for operand in choice.operands]
    fishers = [_estimated(graph, job) for job in operands if method.needs_fisher]
    for job in [*operands, *fishers]:
        _refuse_other_bytes(graph, job)
    result = merged.merge(_recipe(graph, choice, operands, fishers))
    known = evaluation(graph, choice)
    jobs = graph.upstream([*operands, *fishers])
    facts = [*facts, f"study: `{graph.study['name']}`, model `{choice.model}`, seed {choice.seed}"]
    name = folder.resolve().name
    lineage_entries = {
        "recipe": result.formula,
        "model": choice.model,
        "base_model": base_model(graph, choice.model),
        "method": choice.method,
        "lambda": point_value(choice.point),
        "seed": int(choice.seed),
        "operands": [
            {"operand": str(operand), **_weights_of(job)}
            for operand, job in zip(choice.operands, operands, strict=True)
        ],
        "scores": [asdict(score) for score in known.scores],
        "gains": [asdict(gain) for gain in known.gains],
        "lineage": [_lineage_entry(graph, job) for job in jobs],
    }
    documents = {
        "lineage.json": json.dumps(lineage_entries, indent=1, ensure_ascii=False) + "\n",
        "README.md": card(result, name, known, facts, _lineage(graph, jobs)),
    }
    merged.write(result, folder, documents)
    return f"{result.formula}, as adapter '{result.name}'"


def _recipe(
    graph: Lineage, choice: Choice, operands: Sequence[Job], fishers: Sequence[Job]
) -> MergeRecipe:
    """The same merge as a recipe, which needs no study."""
    base = base_model(graph, choice.model)
    method, origin = merging.get(choice.method), None
    parameters: dict[str, Any] = {}
    # a method whose only point is fixed has no numbers
    if method.only_point(len(operands)) is None:
        parameters["lambda"] = list(choice.point)
    if method.draws:
        parameters["seed"] = int(choice.seed)
    if method.needs_origin:
        initial = next(job for job in graph.parents(operands[0]) if job.rule in INITIALISED)
        origin = _place(_folder(graph, initial, "language"))
    estimates: list[str | None] = [None] * len(operands)
    if fishers:
        estimates = [_place(graph.locate(_weights_of(job)["path"])) for job in fishers]
    return MergeRecipe(
        method=choice.method,
        parameters=Parameters.model_validate(parameters),
        operands=tuple(
            MergeOperand(
                adapter=_place(_folder(graph, job)),
                name=None if operand.budget == "full" else str(operand),
                language=operand.language,
                sha256=_weights_of(job)["sha256"],
                fisher=estimate,
            )
            for operand, job, estimate in zip(choice.operands, operands, estimates, strict=True)
        ),
        origin=origin,
        base_model="@".join(base.values()),
        license=graph.study.get("license"),
    )


def _place(folder: Path) -> str:
    """A folder or file relative to the current folder, where it lies in it."""
    path, here = Path(os.path.abspath(folder)), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _operand(graph: Lineage, choice: Choice, operand: Operand) -> Job:
    names = {
        "model": choice.model,
        "language": operand.language,
        "budget": operand.budget,
        "seed": choice.seed,
    }
    trained = [job for job in graph.jobs if job.rule == TRAINED]
    for job in trained:
        if job.wildcards == names:
            return job
    trained_operands = {
        str(Operand(job.wildcards["language"], job.wildcards["budget"]))
        for job in trained
        if (job.wildcards["model"], job.wildcards["seed"]) == (choice.model, choice.seed)
    }
    raise InputError(
        f"{graph.results}: no adapter of {operand} with model {choice.model} and seed "
        f"{choice.seed}; there are {', '.join(sorted(trained_operands)) or 'none'}"
    )


def _estimated(graph: Lineage, trained: Job) -> Job:
    """The job that estimated the Fisher information of an adapter."""
    for job in graph.jobs:
        if job.rule == ESTIMATED and job.wildcards == trained.wildcards:
            return job
    raise InputError(
        f"{graph.results}: there is no Fisher information of {trained.wildcards['language']}; run "
        "the study with 'fisher' in 'lambdas' first"
    )


def _folder(graph: Lineage, job: Job, part: str = "") -> Path:
    weights = next(name for name in job.outputs if name.endswith(f"{part}/{ADAPTER_FILES[1]}"))
    return graph.locate(weights).parent


def _weights_of(job: Job) -> dict[str, str]:
    name = next(name for name in job.outputs if name.endswith(".safetensors"))
    return {"path": name, "sha256": job.outputs[name]["sha256"]}


def _refuse_other_bytes(graph: Lineage, job: Job) -> None:
    recorded = _weights_of(job)
    if sha256(graph.locate(recorded["path"])) != recorded["sha256"]:
        raise InputError(
            f"{recorded['path']}: not the file that its job wrote; `langarith audit "
            "verify` gives details"
        )


def base_model(graph: Lineage, model: str) -> dict[str, str]:
    """The base model of adapters: its `name` on the hub or its local path, and its revision."""
    spec = graph.study["models"][model]
    if spec["source"] == "hub":
        key = hub.lock_key("models", spec["path"], spec["revision"])
        commit = graph.study.get("revisions", {}).get(key, spec["revision"])
        return {"name": spec["path"], "revision": commit}
    if spec["source"] == "files":
        return {"name": spec["path"]}
    return {"name": f"{graph.study['results_dir']}/models/{model}/encoder"}


def _lineage_entry(graph: Lineage, job: Job) -> dict[str, Any]:
    keys = ("rule", "wildcards", "seed", "revisions", "git", "start", "seconds", "host", "device")
    entry = {key: job.record_data.get(key) for key in keys} | {"parameters": job.parameters}
    for side, files in (("inputs", job.inputs), ("outputs", job.outputs)):
        entry[side] = {name: file["sha256"] for name, file in files.items()}
    return entry


def _lineage(graph: Lineage, jobs: Sequence[Job]) -> list[str]:
    """The jobs behind an adapter, as a section of its card."""
    lines = ["## Lineage", "", "Jobs behind this adapter; `lineage.json` has every hash.", ""]
    lines += ["| job | of | seed | code | commit | gave (SHA-256) |", "|---|---|---|---|---|---|"]
    for job in jobs:
        git = job.record_data.get("git") or {}
        given = next(iter(job.outputs.items()))
        lines.append(
            f"| {job.rule} | {' '.join(job.wildcards.values())} | "
            f"{'' if job.record_data.get('seed') is None else job.record_data['seed']} | "
            f"{job.parameters.get('code', '')} | {git.get('commit', '')[:12]} | "
            f"`{given[0]}` {given[1]['sha256'][:12]} |"
        )
    if sources := graph.sources(jobs):
        lines += ["", "Files behind it that no job has made:", ""]
        lines += [f"- `{name}`" for name in sources]
    return lines


def _only(what: str, candidates: Iterable[str], given: str | None) -> str:
    """The value given on the command line, or the only one in the study."""
    values = sorted(set(candidates))
    if given is None and len(values) == 1:
        return values[0]
    if given in values:
        return str(given)
    wrong = "" if given is None else f" {given}: the study has no adapter of this {what}"
    raise InputError(
        f"--{what}{wrong or ':'}{';' if wrong else ''} name one of {', '.join(values)}"
    )


def _refuse_without_effect(given: Mapping[str, object]) -> None:
    """Refuse options that have no effect beside others."""
    for option, others in INSTEAD_OF.items():
        useless = [f"--{other}" for other in others if given[other] is not None]
        if given[option] is not None and useless:
            has = "has" if len(useless) == 1 else "have"
            raise InputError(
                f"{', '.join(useless)} {has} no effect with --{option}; remove one or the other"
            )


def _operands(given: Mapping[str, str | None]) -> tuple[Operand, ...]:
    """Those of --operands, or of --left and --right."""
    names = ("operands",) if given["operands"] else ("left", "right")
    missing = [f"--{name}" for name in names if not given[name]]
    if missing:
        raise InputError(
            "give --left and --right (or --operands), or --selected; missing: " + ", ".join(missing)
        )
    return parse_operands("+".join(str(given[name]) for name in names))


def _point(text: str | None, method: merging.Method, operands: int) -> Point:
    """The point of --lambda."""
    if not method.takes(operands):
        raise InputError(
            f"--method {method.name} does not merge {operands} operand"
            f"{'s' if operands > 1 else ''}; give others by --operands"
        )
    if only := method.only_point(operands):
        if text is not None:
            raise InputError(f"--lambda has no effect with --method {method.name}; remove it")
        return only
    if not text:
        raise InputError("missing: --lambda; give λ, or use --selected")
    if numbers(method, operands) == 1 and re.fullmatch(r"[-+]?\d+,\d+", text):
        raise InputError(f"--lambda {text}: not one number; write {text.replace(',', '.')}")
    try:
        point = parse_point(text)
    except ValueError as error:
        raise InputError(
            f"--lambda {text}: not a number, nor numbers joined by commas; write for example 0.65"
        ) from error
    if problem := point_problem(method, operands, point):
        raise InputError(f"--lambda: {problem}")
    return point


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `langarith export` to a parser."""
    parser.add_argument("--selected", type=Path, help="selected.json of a sweep, instead of:")
    parser.add_argument("--left", help="first operand, like en or en@10k")
    parser.add_argument("--right", help="second operand")
    parser.add_argument("--operands", help="all operands, instead of both: en+fr+de")
    parser.add_argument("--lambda", help="λ, or the numbers of a point joined by commas: 0.5,0.3")
    parser.add_argument("--method", help=f"{METHOD} (the default), or like ties20")
    parser.add_argument("--model", help="where the study has several")
    parser.add_argument("--seed", help="where the study has several")
    parser.add_argument("--results", type=Path, help=f"of the study ({RESULTS})")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")


def run(chosen: argparse.Namespace) -> int:
    """`langarith export`: 0 if the adapter was written.

    Raises:
        InputError: with what cannot be exported.
    """
    given = vars(chosen)
    _refuse_without_effect(given)
    facts: list[str] = []
    if chosen.selected:
        choice = choice_of(chosen.selected)
        graph = lineage.of(chosen.selected)
        facts.append(chosen_by(graph, chosen.selected))
    else:
        operands = _operands(given)
        method = merging.get(chosen.method or METHOD)
        point = _point(given["lambda"], method, len(operands))
        results = chosen.results or RESULTS
        graph = lineage.of(results)
        trained = [job.wildcards for job in graph.jobs if job.rule == TRAINED]
        if not trained:
            raise InputError(
                f"--results {results}: no language adapter was trained there; "
                f"{which_study(results)}"
            )
        model = _only("model", (names["model"] for names in trained), chosen.model)
        seeds = (names["seed"] for names in trained if names["model"] == model)
        choice = Choice(model, operands, point, _only("seed", seeds, chosen.seed), method.name)
    summary = export(graph, choice, chosen.to, facts)
    print(f"{chosen.to}: {summary}")
    if facts and graph.selection != "validation":
        tables = _place(graph.results / layout.CHOSEN.format(experiment="*"))
        print(f"{facts[0]}; pass the λ of that rule, from {tables}, with --lambda")
    return 0
