"""A merged adapter as a product: a folder in AdapterHub format with its recipe, lineage and scores.

Plain `adapters` loads it: `model.load_adapter(folder)`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langarith.audit import lineage
from langarith.audit.explain import selection
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError
from langarith.files import sha256, whole_folder, write_json, write_text
from langarith.layout import Operand

if TYPE_CHECKING:
    import torch

TRAINED, INITIALISED = "train_language_adapter", "initialise_adapters"
WEIGHTS = "adapter.safetensors"


@dataclass(frozen=True)
class Recipe:
    """What is merged: θ_pre + λ·τ_left + (1−λ)·τ_right, or TIES of both vectors, scaled by λ."""

    model: str
    left: Operand
    right: Operand
    weight: float
    seed: str
    method: str = "la"

    @property
    def name(self) -> str:
        """The adapter's name: a part of parameter names, so without dots and signs."""
        parts = (self.method, str(self.left), str(self.right), f"{self.weight:.2f}")
        return re.sub(r"\W", "_", "_".join(parts))

    @property
    def formula(self) -> str:
        if self.method == "la":
            return f"{self.weight:.2f} · {self.left} + {1 - self.weight:.2f} · {self.right}"
        return f"{self.method}({self.left}, {self.right}), scaled by {self.weight:.2f}"


def recipe_of(selected: Path) -> Recipe:
    """The recipe of a sweep's choice, from its `selected.json`."""
    if not selected.is_file():
        raise InputError(f"{selected}: no such file; name a sweep's selected.json")
    told = json.loads(selected.read_text(encoding="utf-8"))
    return Recipe(
        told["model"],
        Operand.parse(told["left"]),
        Operand.parse(told["right"]),
        float(told["selected"]),
        str(told["seed"]),
        told["method"],
    )


def export(graph: Lineage, recipe: Recipe, folder: Path) -> None:
    """Merge and write: weights, config, `recipe.json` and a model card (README.md).

    The weights are written twice: as safetensors, and as the `pytorch_adapter.bin` that
    `load_adapter` reads unless it is told `use_safetensors=True`.

    Raises:
        InputError: an operand was not trained in this study; the folder is there already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: there already; name a new folder")
    left, right = (_operand(graph, recipe, o) for o in (recipe.left, recipe.right))
    merged = _merge(graph, recipe, left, right)
    source = _folder(graph, left)
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    base = base_model(graph, recipe.model)
    scores = list(_scores(graph, recipe))
    jobs = graph.upstream([left, right])
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
                "left": str(recipe.left),
                "right": str(recipe.right),
                "lambda": recipe.weight,
                "seed": int(recipe.seed),
                "operands": {
                    side: _weights_of(job) for side, job in (("left", left), ("right", right))
                },
                "scores": scores,
                "lineage": [_told(graph, job) for job in jobs],
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
    known = {
        str(Operand(job.wildcards["language"], job.wildcards["budget"]))
        for job in trained
        if (job.wildcards["model"], job.wildcards["seed"]) == (recipe.model, recipe.seed)
    }
    raise InputError(
        f"{graph.results}: no adapter of {operand} with model {recipe.model} and seed "
        f"{recipe.seed}; there are {', '.join(sorted(known)) or 'none'}"
    )


def _folder(graph: Lineage, job: Job, part: str = "") -> Path:
    weights = next(name for name in job.outputs if name.endswith(f"{part}/{WEIGHTS}"))
    return graph.locate(weights).parent


def _weights_of(job: Job) -> dict[str, str]:
    name = next(name for name in job.outputs if name.endswith(WEIGHTS))
    return {"path": name, "sha256": job.outputs[name]["sha256"]}


def _merge(graph: Lineage, recipe: Recipe, left: Job, right: Job) -> dict[str, torch.Tensor]:
    from langarith.merging import ties
    from langarith.merging.tensors import apply_vector, interpolate, language_vector
    from langarith.models.adapters import read_adapter

    for job in (left, right):
        told = _weights_of(job)
        if sha256(graph.locate(told["path"])) != told["sha256"]:
            raise InputError(
                f"{told['path']}: not the file that its training wrote; `langarith audit verify` "
                "tells more"
            )
    first, second = (read_adapter(_folder(graph, job)) for job in (left, right))
    if recipe.method == "la":
        return interpolate(first, second, recipe.weight)
    initial = next(job for job in graph.parents(left) if job.rule == INITIALISED)
    origin = read_adapter(_folder(graph, initial, "language"))
    vectors = [language_vector(end, origin) for end in (first, second)]
    merged = ties.ties(vectors, int(recipe.method.removeprefix("ties")))
    return apply_vector(origin, merged, recipe.weight)


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
            # the library's own names lack the model's, which stands first
            tensor = merged[plain if plain in merged else plain.partition(".")[2]]
            tensors[raw.replace(f"adapters.{old}.", f"adapters.{new}.")] = tensor.contiguous()
    save_file(tensors, folder / WEIGHTS)
    torch.save(tensors, folder / "pytorch_adapter.bin")


def base_model(graph: Lineage, model: str) -> dict[str, str]:
    """What adapters of a model belong to: its `name` on the hub, or here; the revision."""
    spec = graph.study["models"][model]
    if spec["source"] == "hub":
        return {"name": spec["path"], "revision": spec["revision"]}
    if spec["source"] == "files":
        return {"name": spec["path"]}
    return {"name": f"{graph.study['results_dir']}/models/{model}/encoder"}


def _scores(graph: Lineage, recipe: Recipe) -> Iterable[dict[str, Any]]:
    """What the study's sweeps of this pair say of this lambda, per task, target and split."""
    for job in graph.jobs:
        if job.rule != f"sweep_{recipe.method}":
            continue
        told = selection(graph, job)
        if not told or recipe != Recipe(
            told["model"],
            Operand.parse(told["left"]),
            Operand.parse(told["right"]),
            recipe.weight,
            str(told["seed"]),
            told["method"],
        ):
            continue
        for split in ("validation", "test"):
            for point in told[split]:
                if point["lambda"] == recipe.weight:
                    yield {
                        "task": told["task"],
                        "target": told["target"],
                        "split": split,
                        "chosen": told["selected"] == recipe.weight,
                        "examples": told["examples"][split],
                        **point["metrics"],
                    }


def _told(graph: Lineage, job: Job) -> dict[str, Any]:
    keys = ("rule", "wildcards", "seed", "revisions", "git", "start", "seconds", "host", "device")
    told = {key: job.told.get(key) for key in keys} | {"parameters": job.parameters}
    for side, files in (("inputs", job.inputs), ("outputs", job.outputs)):
        told[side] = {name: file["sha256"] for name, file in files.items()}
    return told


def _card(
    graph: Lineage,
    recipe: Recipe,
    base: dict[str, str],
    scores: Sequence[dict[str, Any]],
    jobs: Sequence[Job],
    folder: str,
) -> str:
    languages = dict.fromkeys([recipe.left.language, recipe.right.language])
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
        f"- method: `{recipe.method}`, λ = {recipe.weight:.2f}",
        f"- left: `{recipe.left}`, right: `{recipe.right}`, both of seed {recipe.seed}",
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
        lines += ["The study has evaluated this pair at no such λ."]
    lines += ["", "## Lineage", "", "What the adapter stands on; `recipe.json` has every hash.", ""]
    lines += ["| job | of | seed | code | commit | gave (SHA-256) |", "|---|---|---|---|---|---|"]
    for job in jobs:
        git = job.told.get("git") or {}
        given = next(iter(job.outputs.items()))
        lines.append(
            f"| {job.rule} | {' '.join(job.wildcards.values())} | "
            f"{'' if job.told.get('seed') is None else job.told['seed']} | "
            f"{job.parameters.get('code', '')} | {git.get('commit', '')[:12]} | "
            f"`{given[0]}` {given[1]['sha256'][:12]} |"
        )
    sources = graph.sources(jobs)
    lines += [f"- `{name}`, made by no job" for name in sources]
    return "\n".join([*lines, ""])


def _only(what: str, found: Iterable[str], asked: str | None) -> str:
    """What was asked for, or the only one there is."""
    known = sorted(set(found))
    if asked is not None:
        return asked
    if len(known) != 1:
        raise InputError(
            f"--{what}: name one of {', '.join(known) or 'none, for nothing is there'}"
        )
    return known[0]


def main(arguments: Sequence[str]) -> int:
    """`langarith export`: 0 if the adapter was written, 1 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="langarith export", description="Write a merged adapter that `adapters` loads."
    )
    parser.add_argument("--selected", type=Path, help="selected.json of a sweep, in place of:")
    parser.add_argument("--left", help="operand, like en or en@10k")
    parser.add_argument("--right")
    parser.add_argument("--lambda", dest="weight", type=float, help="weight of the left operand")
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
            missing = [key for key in ("left", "right", "weight") if getattr(chosen, key) is None]
            if missing:
                raise InputError(
                    f"--{missing[0].replace('weight', 'lambda')} is missing; give --left, --right "
                    "and --lambda, or --selected"
                )
            if not re.fullmatch(r"la|ties[1-9]\d?", chosen.method):
                raise InputError(f"--method {chosen.method}: write la, or like ties20")
            graph = lineage.of(chosen.results)
            trained = [job.wildcards for job in graph.jobs if job.rule == TRAINED]
            recipe = Recipe(
                _only("model", (names["model"] for names in trained), chosen.model),
                Operand.parse(chosen.left),
                Operand.parse(chosen.right),
                chosen.weight,
                _only("seed", (names["seed"] for names in trained), chosen.seed),
                chosen.method,
            )
        export(graph, recipe, chosen.to)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{chosen.to}: {recipe.formula}, as adapter '{recipe.name}'")
    return 0
