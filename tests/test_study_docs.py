"""docs/studies.md against the schema: every key is documented with its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from langarith.study import loading, recipes, schema
from langarith.study.experiments import EXPERIMENTS

REQUIRED = object()


def tables(text: str, section: str) -> list[list[dict[str, str]]]:
    """The tables of a section, each row by the names of its columns."""
    (body,) = re.findall(rf"^## {re.escape(section)}[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    found = []
    for lines in re.findall(r"(?:^\|.*\n)+", body, re.M):
        cells = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in lines.splitlines()
        ]
        found.append([dict(zip(cells[0], row, strict=True)) for row in cells[2:]])
    return found


def words(cell: str) -> list[str]:
    """What is in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def documented(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """By group (the first column, if it is not the key) the default of each key as written."""
    found: dict[str, dict[str, str]] = {}
    group = ""
    for row in rows:
        first = next(iter(row))
        if first != "key":
            group = row[first].strip("`") or group
        keys, default = words(row["key"]), row["default"]
        each = (
            default.split(", ") if len(default.split(", ")) == len(keys) else [default] * len(keys)
        )
        for key, value in zip(keys, each, strict=True):
            assert key not in found.setdefault(group, {}), f"{group} {key} is documented twice"
            found[group][key] = value
    return found


def _as_in_yaml(field: Any) -> Any:
    default = field.get_default(call_default_factory=True)
    return list(default) if isinstance(default, tuple) else default


def fields(model: type[BaseModel], base: type[BaseModel] | None = None) -> dict[str, Any]:
    """Defaults of a block's keys, without those of a base; `REQUIRED` for none."""
    return {
        name: REQUIRED if field.is_required() else _as_in_yaml(field)
        for name, field in model.model_fields.items()
        if base is None or name not in base.model_fields
    }


# section | group | class | class whose keys are in the group "all"
BLOCKS = [
    ("Top level", "", schema.Study, None),
    ("`models", "files", schema.FilesModel, schema._Model),
    ("`models", "pretrain", schema.PretrainModel, schema._Model),
    ("`models", "pretrain with start", schema.ContinuedModel, schema._Model),
    ("`models", "hub", schema.HubModel, schema._Model),
    ("`models", "all", schema._Model, None),
    ("`corpora", "files", schema.FilesCorpora, schema._Corpora),
    ("`corpora", "hub", schema.HubCorpora, schema._Corpora),
    ("`corpora", "miniature", schema.MiniatureCorpora, schema._Corpora),
    ("`corpora", "all", schema._Corpora, None),
    ("`tasks", "files", schema.FilesTask, schema._Task),
    ("`tasks", "hub", schema.HubTask, schema._Task),
    ("`tasks", "miniature", schema.MiniatureTask, schema._Task),
    ("`tasks", "all", schema._Task, None),
    ("`lambdas", "", schema.Lambdas, None),
    ("Recipes", "all", recipes.TaskRecipe, None),
    ("Recipes", "base models, language adapters", recipes.LanguageModelRecipe, recipes.Recipe),
    ("Recipes", "language adapters", recipes.LanguageAdapterRecipe, recipes.LanguageModelRecipe),
    ("`evaluation`", "", schema.Evaluation, None),
]


@pytest.fixture
def text(root: Path) -> str:
    return (root / "docs" / "studies.md").read_text(encoding="utf-8")


def differences(said: dict[str, str], true: dict[str, Any], parse: Any) -> Iterator[str]:
    for key in sorted(said.keys() ^ true.keys()):
        yield f"{key} is {'documented and no key' if key in said else 'not documented'}"
    for key in said.keys() & true.keys():
        default, cell = true[key], said[key]
        if default is REQUIRED:
            right = not cell or key == "name"  # the file's
        elif default is None or isinstance(default, BaseModel) or key == "lambdas":
            right = bool(cell)  # words say what follows from the rest of the study
        elif default == "":
            right = cell == "empty"
        else:
            right = parse(cell.strip("`")) == default
        if not right:
            yield f"{key}: '{cell}' is documented and {default!r} is the default"


@pytest.mark.parametrize(("section", "group", "model", "base"), BLOCKS)
def test_every_key_is_documented_with_its_default(
    tmp_path: Path, text: str, section: str, group: str, model: type[BaseModel], base: Any
) -> None:
    def parse(cell: str) -> Any:
        path = tmp_path / "cell.yaml"
        path.write_text(f"cell: {cell}\n")
        return loading.read_yaml(path)["cell"]

    (rows,) = tables(text, section)
    said, true = documented(rows).get(group, {}), fields(model, base)
    if section == "Top level":
        assert said.pop("extends") == "none"  # no key of the study that is left
    elif group == "all" and model is not recipes.TaskRecipe:
        assert said.pop("source") == ""
    else:
        true.pop("source", None)
    assert not list(differences(said, true, parse))


def test_keys_of_adapters_are_documented(tmp_path: Path, text: str) -> None:
    (rows,) = tables(text, "`adapters`")
    adapters = recipes.Adapters()
    true = {"init_seed": str(adapters.init_seed)}
    for kind in ("language", "task"):
        for key, value in getattr(adapters, kind).model_dump().items():
            written = list(value) if isinstance(value, tuple) else value
            words = isinstance(written, str | list)
            true[f"{kind}.{key}"] = f"`{written}`" if words else f"{written:g}"
    assert documented(rows)[""] == true


def test_no_group_is_documented_that_does_not_exist(text: str) -> None:
    for section in {section for section, *_ in BLOCKS}:
        (rows,) = tables(text, section)
        assert set(documented(rows)) == {group for s, group, *_ in BLOCKS if s == section}


def test_experiments_and_their_keys_are_documented(text: str) -> None:
    listed, keys = tables(text, "`experiments")
    assert {words(row["name"])[0]: set(words(row["keys"])) for row in listed} == {
        name: set(view.keys) for name, view in EXPERIMENTS.items()
    }
    assert set(documented(keys)[""]) == set(schema.Experiment.model_fields)
    assert {key for view in EXPERIMENTS.values() for key in view.keys} == set(
        schema.Experiment.model_fields
    )


def test_recipes_say_the_names_of_hugging_face(text: str) -> None:
    (rows,) = tables(text, "Recipes")
    meanings = {words(row["key"])[0]: row["meaning"] for row in rows}
    for key, name in {
        "accumulation": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
        "schedule": "lr_scheduler_type",
    }.items():
        assert f"`{name}`" in meanings[key]


def test_default_recipes_are_documented(text: str) -> None:
    """In words: each number of them stands there."""
    plan, pretrain = recipes.TrainingPlan(), schema.PretrainModel.model_fields["training"].default
    said = " ".join(text.split())
    language, task = plan.language_adapter, plan.task_adapter
    assert (
        f"{language.steps:,} steps of {language.batch_size} chunks times {language.accumulation} "
        f"accumulated batches at 1e-4, validated every {language.evaluate_every}; "
        f"`training.task_adapter` is {task.epochs} epochs of batches of {task.batch_size} at 1e-4."
    ) in said
    assert language.learning_rate == task.learning_rate == 1e-4
    assert (
        f"{pretrain.steps:,} steps of {pretrain.batch_size} chunks of {pretrain.chunk_length} "
        f"subwords at 1e-3, {pretrain.warmup_steps} of them warm-up"
    ) in said
    assert pretrain.learning_rate == 1e-3
    started = schema.ContinuedModel.model_fields["training"].default
    assert started == pretrain.model_copy(update={"learning_rate": 1e-4})
    assert "128 subwords at 1e-4, 500 of them warm-up" in said
