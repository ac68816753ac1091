"""A merged adapter as a product: a folder in AdapterHub format with its recipe, lineage and scores.

Plain `adapters` loads it: `model.load_adapter(folder)`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith import merging
from langarith.audit import lineage
from langarith.audit.explain import selection
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError
from langarith.files import read_json, sha256, whole_folder, write_json, write_text
from langarith.operands import Operand, Point, parse_operands, parse_point, point_text, point_value

if TYPE_CHECKING:
    import torch

TRAINED, INITIALISED = "train_language_adapter", "initialise_adapters"
WEIGHTS = "adapter.safetensors"


@dataclass(frozen=True)
class Recipe:
    """What is merged: adapters of a study's operands by a method at a point."""

    model: str
    operands: tuple[Operand, ...]
    point: Point
    seed: str
    method: str = "la"

    @property
    def name(self) -> str:
        """The adapter's name: a part of parameter names, so without dots and signs."""
        parts = (self.method, *map(str, self.operands), point_text(self.point))
        return re.sub(r"\W", "_", "_".join(parts))

    @property
    def formula(self) -> str:
        """The merge in words, such as `0.65 · en + 0.35 · fr`."""
        return merging.get(self.method).describe([str(o) for o in self.operands], self.point)


def recipe_of(selected: Path) -> Recipe:
    """The recipe of a sweep's choice, from its `selected.json`."""
    if not selected.is_file():
        raise InputError(f"{selected}: no such file; name a sweep's selected.json")
    return _recipe(read_json(selected))


def _recipe(cell: Mapping[str, Any], point: Point | None = None) -> Recipe:
    """The recipe of a sweep's content at a point, by default at the chosen one."""
    return Recipe(
        cell["model"],
        parse_operands(cell["operands"]),
        point or parse_point(cell["selected"]),
        str(cell["seed"]),
        cell["method"],
    )


def export(graph: Lineage, recipe: Recipe, folder: Path) -> None:
    """Merge and write: weights, config, `recipe.json` and a model card (README.md).

    The weights are written twice: as safetensors, and as the `pytorch_adapter.bin` that
    `load_adapter` reads unless `use_safetensors=True` is passed.

    Raises:
        InputError: an operand was not trained in this study; the folder exists already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: exists already; name a new folder")
    operands = [_operand(graph, recipe, operand) for operand in recipe.operands]
    merged = _merge(graph, recipe, operands)
    source = _folder(graph, operands[0])
    config = read_json(source / "adapter_config.json")
    base = base_model(graph, recipe.model)
    scores = list(_scores(graph, recipe))
    jobs = graph.upstream(operands)
    with whole_folder(folder) as staging:
        _write_weights(source / WEIGHTS, config["name"], recipe.name, merged, staging)
        config |= {"name": recipe.name, "model_name": base["name"]}
        write_json(staging / "adapter_config.json", config)
        write_json(
            staging / "recipe.json",
            {
                "recipe": recipe.formula,
                "model": recipe.model,
                "base_model": base,
                "method": recipe.method,
                "lambda": point_value(recipe.point),
                "seed": int(recipe.seed),
                "operands": [
                    {"operand": str(operand), **_weights_of(job)}
                    for operand, job in zip(recipe.operands, operands, strict=True)
                ],
                "scores": scores,
                "lineage": [_lineage_entry(graph, job) for job in jobs],
                "sha256": {WEIGHTS: sha256(staging / WEIGHTS)},
            },
        )
        card = _card(graph, recipe, base, scores, jobs, folder.name)
        write_text(staging / "README.md", card)


def _operand(graph: Lineage, recipe: Recipe, operand: Operand) -> Job:
    names = {
        "model": recipe.model,
        "language": operand.language,
        "budget": operand.budget,
        "seed": recipe.seed,
    }
    trained = [job for job in graph.jobs if job.rule == TRAINED]
    for job in trained:
        if job.wildcards == names:
            return job
    trained_operands = {
        str(Operand(job.wildcards["language"], job.wildcards["budget"]))
        for job in trained
        if (job.wildcards["model"], job.wildcards["seed"]) == (recipe.model, recipe.seed)
    }
    raise InputError(
        f"{graph.results}: no adapter of {operand} with model {recipe.model} and seed "
        f"{recipe.seed}; there are {', '.join(sorted(trained_operands)) or 'none'}"
    )


def _folder(graph: Lineage, job: Job, part: str = "") -> Path:
    weights = next(name for name in job.outputs if name.endswith(f"{part}/{WEIGHTS}"))
    return graph.locate(weights).parent


def _weights_of(job: Job) -> dict[str, str]:
    name = next(name for name in job.outputs if name.endswith(WEIGHTS))
    return {"path": name, "sha256": job.outputs[name]["sha256"]}


def _merge(graph: Lineage, recipe: Recipe, operands: Sequence[Job]) -> dict[str, torch.Tensor]:
    from langarith.models.adapters import read_adapter

    for job in operands:
        recorded = _weights_of(job)
        if sha256(graph.locate(recorded["path"])) != recorded["sha256"]:
            raise InputError(
                f"{recorded['path']}: not the file that its training wrote; `langarith audit "
                "verify` gives details"
            )
    method, origin = merging.get(recipe.method), None
    if method.needs_origin:
        initial = next(job for job in graph.parents(operands[0]) if job.rule == INITIALISED)
        origin = read_adapter(_folder(graph, initial, "language"))
    adapters = [read_adapter(_folder(graph, job)) for job in operands]
    return method.merger(adapters, origin, seed=int(recipe.seed))(recipe.point)


def _write_weights(
    like: Path, old: str, new: str, merged: dict[str, torch.Tensor], folder: Path
) -> None:
    """Write tensors by the names that `adapters` gave those of another file, renamed."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors = {}
    with safe_open(like, "pt") as file:
        for raw in file.keys():  # noqa: SIM118  it is no dict
            plain = raw.replace(f"adapters.{old}.", "adapters.")
            # the library's own names lack the prefix with the model's name
            tensor = merged[plain if plain in merged else plain.partition(".")[2]]
            tensors[raw.replace(f"adapters.{old}.", f"adapters.{new}.")] = tensor.contiguous()
    save_file(tensors, folder / WEIGHTS)
    torch.save(tensors, folder / "pytorch_adapter.bin")


def base_model(graph: Lineage, model: str) -> dict[str, str]:
    """The base model of adapters: its `name` on the hub or its local path, and its revision."""
    spec = graph.study["models"][model]
    if spec["source"] == "hub":
        return {"name": spec["path"], "revision": spec["revision"]}
    if spec["source"] == "files":
        return {"name": spec["path"]}
    return {"name": f"{graph.study['results_dir']}/models/{model}/encoder"}


def _scores(graph: Lineage, recipe: Recipe) -> Iterable[dict[str, Any]]:
    """Scores of the study's sweeps of this pair at this lambda, per task, target and split."""
    for job in graph.jobs:
        if job.parameters.get("method") != recipe.method:
            continue
        cell = selection(graph, job)
        if not cell or recipe != _recipe(cell, recipe.point):
            continue
        for split in ("validation", "test"):
            for entry in cell[split]:
                if parse_point(entry["lambda"]) == recipe.point:
                    yield {
                        "task": cell["task"],
                        "target": cell["target"],
                        "split": split,
                        "chosen": parse_point(cell["selected"]) == recipe.point,
                        "examples": cell["examples"][split],
                        **entry["metrics"],
                    }


def _lineage_entry(graph: Lineage, job: Job) -> dict[str, Any]:
    keys = ("rule", "wildcards", "seed", "revisions", "git", "start", "seconds", "host", "device")
    entry = {key: job.record_data.get(key) for key in keys} | {"parameters": job.parameters}
    for side, files in (("inputs", job.inputs), ("outputs", job.outputs)):
        entry[side] = {name: file["sha256"] for name, file in files.items()}
    return entry


def _card(
    graph: Lineage,
    recipe: Recipe,
    base: dict[str, str],
    scores: Sequence[dict[str, Any]],
    jobs: Sequence[Job],
    folder: str,
) -> str:
    languages = dict.fromkeys(operand.language for operand in recipe.operands)
    revision = f" at revision `{base['revision']}`" if "revision" in base else ""
    lines = [
        "---",
        "library_name: adapters",
        f"base_model: {base['name']}",
        f"language: [{', '.join(languages)}]",
        "tags: [adapter-transformers, language-arithmetic]",
        "---",
        "",
        f"# {recipe.formula}",
        "",
        "A language adapter merged without training by language arithmetic (Klimaszewski, "
        "Andruszkiewicz and Birch, *No Train but Gain*, COLING 2025).",
        "",
        f"- base model: `{base['name']}`{revision}",
        f"- method: `{recipe.method}`, λ = {point_text(recipe.point)}",
        f"- operands: {', '.join(f'`{o}`' for o in recipe.operands)}, all of seed {recipe.seed}",
        f"- study: `{graph.study['name']}`",
        "",
        "## Use",
        "",
        "```python",
        "from adapters import AutoAdapterModel, Stack",
        "",
        f'model = AutoAdapterModel.from_pretrained("{base["name"]}"'
        + (f', revision="{base["revision"]}")' if "revision" in base else ")"),
        f'language = model.load_adapter("{folder}")',
        'task = model.load_adapter("TASK_ADAPTER", use_safetensors=True)  # trained on top of one',
        "model.set_active_adapters(Stack(language, task))",
        "```",
        "",
        "## Scores",
        "",
    ]
    if scores:
        lines += ["| task | target | split | metric | score (%) | examples |"]
        lines += ["|---|---|---|---|---|---|"]
        shown = ("task", "target", "split", "chosen", "examples")
        lines += [
            f"| {row['task']} | {row['target']} | {row['split']} | {metric} | {score:.2f} | "
            f"{row['examples']} |"
            for row in scores
            for metric, score in row.items()
            if metric not in shown
        ]
    else:
        lines += ["The study has not evaluated this pair at this λ."]
    lines += ["", "## Lineage", "", "Jobs behind this adapter; `recipe.json` has every hash.", ""]
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
    sources = graph.sources(jobs)
    lines += [f"- `{name}`, made by no job" for name in sources]
    return "\n".join([*lines, ""])


def _only(what: str, candidates: Iterable[str], given: str | None) -> str:
    """The value given on the command line, or the only one in the study."""
    values = sorted(set(candidates))
    if given is not None:
        return given
    if len(values) != 1:
        raise InputError(f"--{what}: name one of {', '.join(values) or 'none'}")
    return values[0]


def _operands(chosen: argparse.Namespace) -> tuple[Operand, ...]:
    pair = [chosen.left, chosen.right]
    written = chosen.operands or ("+".join(pair) if all(pair) else "")
    if not written or not chosen.point:
        raise InputError(
            "give --left, --right (or --operands) and --lambda, or --selected; missing: "
            + ("--lambda" if written else "--operands")
        )
    return parse_operands(written)


def _point(text: str, method: str, operands: int) -> Point:
    try:
        point = parse_point(text)
    except ValueError as error:
        raise InputError(f"--lambda {text}: not a number, nor numbers joined by commas") from error
    wanted = len(merging.get(method).points([0.0], operands)[0])
    if len(point) != wanted:
        raise InputError(
            f"--lambda {text}: {method} of {operands} operands needs {wanted} "
            f"number{'s' if wanted > 1 else ''}, joined by commas"
        )
    return point


def main(arguments: Sequence[str]) -> int:
    """`langarith export`: 0 if the adapter was written, 1 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="langarith export", description="Write a merged adapter that `adapters` loads."
    )
    parser.add_argument("--selected", type=Path, help="selected.json of a sweep, instead of:")
    parser.add_argument("--left", help="first operand, like en or en@10k")
    parser.add_argument("--right", help="second operand")
    parser.add_argument("--operands", help="all operands, instead of both: en+fr+de")
    parser.add_argument(
        "--lambda", dest="point", help="λ, or the numbers of a point joined by commas: 0.5,0.3"
    )
    parser.add_argument("--method", default="la", help="la, or like ties20")
    parser.add_argument("--model", help="where the study has several")
    parser.add_argument("--seed", help="where the study has several")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.selected:
            graph, recipe = lineage.of(chosen.selected), recipe_of(chosen.selected)
        else:
            operands = _operands(chosen)
            merging.get(chosen.method)
            graph = lineage.of(chosen.results)
            trained = [job.wildcards for job in graph.jobs if job.rule == TRAINED]
            if not trained:
                raise InputError(
                    f"--results {chosen.results}: no language adapter was trained there; "
                    f"{lineage.which_study(chosen.results)}"
                )
            recipe = Recipe(
                _only("model", (names["model"] for names in trained), chosen.model),
                operands,
                _point(chosen.point, chosen.method, len(operands)),
                _only("seed", (names["seed"] for names in trained), chosen.seed),
                chosen.method,
            )
        export(graph, recipe, chosen.to)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{chosen.to}: {recipe.formula}, as adapter '{recipe.name}'")
    return 0
