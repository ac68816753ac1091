"""The grid: how a study is read, what it refuses and in which words, and which cells it has."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from langarith import cli, layout
from langarith.audit.lineage import Lineage
from langarith.errors import InputError
from langarith.layout import Cell
from langarith.operands import (
    Operand,
    budget_tokens,
    parse_operands,
    parse_point,
    point_text,
    point_value,
)
from langarith.study import experiments, loading, schema, sources
from langarith.study.schema import Lambdas, Study

# A whole study, small enough to see what a test changes in it.
LITTLE = yaml.safe_load(
    """
    name: little
    results_dir: results/little
    languages: [en, es, fr]
    task_language: en
    seeds: [1, 2]
    models:
      tiny:
        source: pretrain
        languages: [en, es, fr]
        vocabulary: 300
        hidden_size: 32
        layers: 2
        attention_heads: 2
        intermediate_size: 64
        training: {steps: 10, batch_size: 4, learning_rate: 1.0e-3}
    corpora: {source: miniature, documents: 50, shards: 2}
    tasks:
      ner:
        source: miniature
        targets: [es, fr]
        examples: {train: 20, validation: 10, test: 10}
      nli:
        source: miniature
        targets: [fr]
        examples: {train: 20, validation: 10, test: 10}
    related: {es: fr, fr: es}
    budgets: {es: [10k, 1M]}
    lambdas:
      la: {start: 0, stop: 1, step: 0.25}
    training:
      language_adapter: {steps: 10, batch_size: 4, learning_rate: 1.0e-3}
      task_adapter: {epochs: 1, batch_size: 4, learning_rate: 1.0e-3}
    experiments:
      zero_shot: {}
    """
)
REMOVED = object()
FILES_TASK = {"source": "files", "targets": ["fr"], "train": "{language}.train"}
HUB_CORPORA = {"source": "hub", "path": "wikimedia/wikipedia", "config": "20231101.{language}",
               "revision": "main"}  # fmt: skip
HUB_TASK = {"source": "hub", "repository": "facebook/xnli", "revision": "main", "targets": ["fr"],
            "train": "{language}/train.parquet", "validation": "{language}/{split}.parquet",
            "test": "{language}/{split}.parquet"}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    """LITTLE with other values, under keys that tell the way: `tasks__ner__targets`."""
    data = copy.deepcopy(LITTLE)
    if "tasks" in changes:  # some differ from a table above by a key that they lack
        tasks = changes["tasks"].items()
        changes["tasks"] = {
            name: {k: v for k, v in task.items() if v is not REMOVED} for name, task in tasks
        }
    for way, value in changes.items():
        *parents, last = way.split("__")
        place = data
        for key in parents:
            place = place.setdefault(key, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return data


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    return path


def read(tmp_path: Path, **changes: Any) -> Study:
    return loading.load(write(tmp_path / "study.yaml", changed(**changes)))


def refusal(path: Path, overrides: dict[str, Any] | None = None) -> list[str]:
    """The lines of the InputError that loading raises."""
    with pytest.raises(InputError) as caught:
        loading.load(path, overrides)
    return str(caught.value).splitlines()


# ---------------------------------------------------------------- the studies of this repository


def test_miniature_study(root: Path) -> None:
    study = loading.load(root / "studies" / "miniature.yaml")
    assert study.name == "miniature"
    assert {"en", "es", "fr", "de", "ru", "bg"} <= set(study.languages)
    assert len(study.languages) >= 8
    assert set(study.tasks) == {"ner", "nli", "qa"}
    cells = experiments.cells(study, "zero_shot")
    targets = sum(len(task.targets) for task in study.tasks.values())
    assert len(cells) == targets * len(study.seeds) * len(study.models)
    assert all(cell.left == Operand("en") and cell.right != cell.left for cell in cells)


def test_nano_study_replaces_the_keys_it_names_and_keeps_the_others(root: Path) -> None:
    nano = loading.load(root / "studies" / "nano.yaml")
    miniature = loading.load(root / "studies" / "miniature.yaml")
    assert list(nano.tasks) == ["ner"]  # nli and qa are gone: keys are replaced whole
    # not even a missing knob is taken over: miniature's ner has 'difficulty'
    assert miniature.tasks["ner"].difficulty
    assert not nano.tasks["ner"].difficulty
    assert nano.evaluation == miniature.evaluation
    assert nano.adapters == miniature.adapters
    assert nano.results_dir != miniature.results_dir
    assert nano.lambdas["la"].values() == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert len(experiments.cells(nano, "zero_shot")) == 2


# ---------------------------------------------------------------- extends


def test_extends_replaces_top_level_keys_whole(tmp_path: Path) -> None:
    write(tmp_path / "parent.yaml", LITTLE)
    ner = LITTLE["tasks"]["ner"] | {"targets": ["es"]}
    child = {"extends": "parent.yaml", "name": "child", "tasks": {"ner": ner}, "budgets": {}}
    study = loading.load(write(tmp_path / "child.yaml", child))
    assert list(study.tasks) == ["ner"]
    assert study.tasks["ner"].targets == ["es"]
    assert study.budgets == {}
    assert study.languages == LITTLE["languages"]


def test_a_part_of_a_block_that_extends_replaces_is_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "parent.yaml", LITTLE)
    study = write(tmp_path / "c.yaml", {"extends": "parent.yaml", "models": {"tiny": {"seed": 1}}})
    with pytest.raises(InputError) as caught:
        loading.load(study)
    assert str(caught.value).splitlines()[-1] == (
        f"{study}: the key 'models' replaces the whole key 'models' of parent.yaml; copy the parts "
        "that you still need from that file"
    )


def test_extends_is_looked_up_beside_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    write(tmp_path / "a.yaml", LITTLE)
    write(tmp_path / "studies" / "b.yaml", {"extends": "../a.yaml", "seeds": [3]})
    study = loading.load(write(tmp_path / "studies" / "c.yaml", {"extends": "b.yaml", "name": "c"}))
    assert (study.name, study.seeds) == ("c", [3])


def test_command_line_goes_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", LITTLE)
    assert loading.load(path, {"allow_missing": True}).allow_missing
    assert refusal(path, {"allow_mising": True}) == [
        f"{path}: unknown key 'allow_mising' (did you mean 'allow_missing'?)"
    ]


# ---------------------------------------------------------------- related languages


def test_lock_file_beside_the_study_is_read(tmp_path: Path) -> None:
    write(tmp_path / "study.related.yaml", '"es": "fr"\n"fr": "es"\n')
    assert loading.lock_file(tmp_path / "study.yaml") == tmp_path / "study.related.yaml"
    assert read(tmp_path, related={}).related == {"es": "fr", "fr": "es"}


def test_related_in_the_study_wins_over_the_lock(tmp_path: Path) -> None:
    write(tmp_path / "study.related.yaml", '"es": "en"\n"fr": "es"\n')
    assert read(tmp_path, related={"es": "fr"}).related == {"es": "fr", "fr": "es"}


def test_locks_of_extended_studies_are_read_the_own_one_last(tmp_path: Path) -> None:
    write(tmp_path / "parent.yaml", LITTLE | {"related": {}})
    write(tmp_path / "parent.related.yaml", '"es": "en"\n"fr": "es"\n"xx": "en"\n')
    write(tmp_path / "child.related.yaml", '"es": "fr"\n')
    study = loading.load(write(tmp_path / "child.yaml", {"extends": "parent.yaml"}))
    # xx is no language of this study: a lock may hold more than one study needs
    assert study.related == {"es": "fr", "fr": "es"}


def test_adding_a_language_keeps_the_pairs_there_were(tmp_path: Path) -> None:
    lock = write(tmp_path / "study.related.yaml", '"es": "fr"\n"fr": "es"\n')
    old = experiments.cells(read(tmp_path, related={}), "zero_shot")
    added = {
        "related": {},
        "languages": ["en", "es", "fr", "it"],
        "tasks__ner__targets": ["es", "fr", "it"],
    }
    study = read(tmp_path, **added)
    assert study.related == {"es": "fr", "fr": "es"}
    with pytest.raises(InputError, match=r"related\.it is not set: .*lock_related_languages"):
        experiments.cells(study, "zero_shot")

    lock.write_text(lock.read_text() + '"it": "es"\n')
    new = experiments.cells(read(tmp_path, **added), "zero_shot")
    assert [cell for cell in new if cell.target != "it"] == old
    assert {str(cell.right) for cell in new if cell.target == "it"} == {"es"}


# ---------------------------------------------------------------- the grid


def test_a_lock_file_may_be_empty_and_must_be_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", changed())
    lock = write(tmp_path / "study.related.yaml", "# nothing yet\n")
    loading.load(path)
    write(lock, "- es\n")
    assert refusal(path) == [f"{lock}: a lock file is a YAML mapping; delete it and lock again"]


def test_zero_shot_cells_in_canonical_order(tmp_path: Path) -> None:
    cells = experiments.cells(read(tmp_path), "zero_shot")
    assert len(cells) == 3 * 2  # three targets in two tasks, two seeds
    assert [(c.task, c.target, str(c.left), str(c.right), c.seed) for c in cells] == [
        ("ner", "es", "en", "fr", 1),
        ("ner", "es", "en", "fr", 2),
        ("ner", "fr", "en", "es", 1),
        ("ner", "fr", "en", "es", 2),
        ("nli", "fr", "en", "es", 1),
        ("nli", "fr", "en", "es", 2),
    ]
    assert {cell.method for cell in cells} == {"la"}
    assert len(set(cells)) == len(cells)


def test_grid_grows_with_models_and_shrinks_with_a_view(tmp_path: Path) -> None:
    two = {"models": LITTLE["models"] | {"other": LITTLE["models"]["tiny"]}}
    assert len(experiments.cells(read(tmp_path, **two), "zero_shot")) == 12
    view = {"models": ["other"], "tasks": ["ner"], "targets": ["fr"]}
    cells = experiments.cells(read(tmp_path, **two, experiments__zero_shot=view), "zero_shot")
    assert {(c.model, c.task, c.target) for c in cells} == {("other", "ner", "fr")}
    assert len(cells) == 2


def test_task_language_is_no_target_and_no_language_is_merged_with_itself(tmp_path: Path) -> None:
    # en is listed so that its own test set is used
    study = read(tmp_path, tasks__ner__targets=["en", "es"])
    assert {cell.target for cell in experiments.cells(study, "zero_shot")} == {"es", "fr"}
    with pytest.raises(InputError, match=r"related\.es: en is the task language, with which zero_"):
        read(tmp_path, related={"es": "en", "fr": "es"})


def test_cell_that_two_experiments_share_is_computed_once(tmp_path: Path) -> None:
    study = read(tmp_path)
    assert experiments.all_cells(study) == experiments.cells(study, "zero_shot")


def pairs(tmp_path: Path, experiment: str, **changes: Any) -> set[tuple[str, str]]:
    """`task/target`, `method/left+right` of the cells of an experiment in LITTLE with changes."""
    study = read(tmp_path, **changes)
    cells = experiments.cells(study, experiment)
    assert len(set(cells)) == len(cells)
    assert {cell.seed for cell in cells} == set(study.seeds)
    return {(f"{c.task}/{c.target}", f"{c.method}/{c.left}+{c.right}") for c in cells}


def test_enhancement_pairs_the_targets_own_adapter_with_english_and_the_relative(
    tmp_path: Path,
) -> None:
    assert pairs(tmp_path, "enhancement", experiments__enhancement={}) == {
        ("ner/es", "la/en+es"),
        ("ner/es", "la/fr+es"),
        ("ner/fr", "la/en+fr"),
        ("ner/fr", "la/es+fr"),
        ("nli/fr", "la/en+fr"),
        ("nli/fr", "la/es+fr"),
    }
    # a relative that is the task language makes one pair, not two
    alone = {"related": {"es": "en"}, "experiments": {"enhancement": {"targets": ["es"]}}}
    assert pairs(tmp_path, "enhancement", **alone) == {("ner/es", "la/en+es")}


def test_low_resource_pairs_english_with_each_budget(tmp_path: Path) -> None:
    changes = {"experiments__low_resource": {}, "budgets": {"es": ["10k", "1M", "full"]}}
    assert pairs(tmp_path, "low_resource", **changes) == {
        ("ner/es", "la/en+es@10k"),
        ("ner/es", "la/en+es@1M"),
        ("ner/es", "la/en+es"),
    }
    # without related languages, which this experiment does not ask for
    assert pairs(tmp_path, "low_resource", related={}, **changes)


def test_relatedness_pairs_targets_with_a_pool_and_never_with_themselves(tmp_path: Path) -> None:
    view = {"tasks": ["ner"], "pool": ["en", "es", "fr"]}
    assert pairs(tmp_path, "relatedness", experiments__relatedness=view) == {
        ("ner/es", "la/en+es"),
        ("ner/es", "la/fr+es"),
        ("ner/fr", "la/en+fr"),
        ("ner/fr", "la/es+fr"),
    }


def test_ties_is_compared_with_language_arithmetic_on_the_zero_shot_pairs(tmp_path: Path) -> None:
    lambdas = {"la": {"step": 0.25}, "ties20": {"start": 0.8, "stop": 1.8, "step": 0.1}}
    view = {"tasks": ["ner"], "targets": ["es"]}
    assert pairs(tmp_path, "ties", lambdas=lambdas, experiments__ties=view) == {
        ("ner/es", "la/en+fr"),
        ("ner/es", "ties20/en+fr"),
    }


def test_experiments_share_their_cells(tmp_path: Path) -> None:
    study = read(
        tmp_path,
        experiments={
            "zero_shot": {},
            "lambda_impact": {},
            "enhancement": {},
            "relatedness": {"pool": ["es", "fr"]},
        },
    )
    zero_shot, enhancement = (experiments.cells(study, n) for n in ("zero_shot", "enhancement"))
    assert experiments.cells(study, "lambda_impact") == zero_shot
    assert set(experiments.cells(study, "relatedness")) < set(enhancement)
    assert set(experiments.all_cells(study)) == {*zero_shot, *enhancement}


def test_vectors_are_adapters_of_all_languages_and_tasks_or_of_the_views(tmp_path: Path) -> None:
    views = {"similarity": {}, "sparsity": {"languages": ["es"], "layers": [0]}}
    study = read(tmp_path, experiments=views)
    names = {
        name: {(r.kind, r.name) for r in experiments.vectors(study, name)}
        for name in ("similarity", "sparsity")
    }
    assert names["similarity"] == {
        *(("language", code) for code in ("en", "es", "fr")),
        *(("task", task) for task in ("ner", "nli")),
    }
    assert names["sparsity"] == {("language", "es")}
    # a task adapter is trained on top of the task language's adapter, which must be there, too
    tasks = read(tmp_path, experiments={"similarity": {"languages": ["es"], "tasks": ["ner"]}})
    assert ("language", "en") in {(r.kind, r.name) for r in experiments.runs(tasks, "similarity")}


def test_adapters_below_an_experiment_are_listed_once_and_in_order(tmp_path: Path) -> None:
    runs = experiments.runs(read(tmp_path, seeds=[1]), "zero_shot")
    assert [(r.kind, r.name) for r in runs] == [
        ("language", "en"),
        ("language", "fr"),
        ("language", "es"),
        ("task", "ner"),
        ("task", "nli"),
    ]


def test_an_experiment_shows_its_own_languages_in_the_studys_order(tmp_path: Path) -> None:
    study = read(tmp_path, languages=["fr", "en", "es"], experiments__similarity={})
    assert experiments.languages_of(study, "zero_shot") == ["fr", "en", "es"]
    one = read(tmp_path, experiments__low_resource={"targets": ["es"]})
    assert experiments.languages_of(one, "low_resource") == ["en", "es"]


# ---------------------------------------------------------------- shards of a budget


def test_a_small_budget_asks_for_the_first_shard_alone(tmp_path: Path) -> None:
    study = read(tmp_path, corpora__documents=1000, corpora__shards=10)
    shards = sources.shards(study, "es")
    assert sources.shards(study, "es", "full") == shards
    # a shard of 100 documents of 30 words, of which 1000 documents are held out by default
    few = read(tmp_path, corpora__documents=1000, corpora__shards=10)
    few = few.model_copy(
        update={"corpora": few.corpora.model_copy(update={"validation_documents": 10})}
    )
    assert sources.shards(few, "es", "1k") == shards[:1]
    assert sources.shards(few, "es", "5k") == shards[:2]
    assert sources.shards(few, "es", "1M") == shards


def test_shards_of_files_are_counted_by_their_size(tmp_path: Path) -> None:
    for number in range(3):
        for language in ("en", "es", "fr"):
            (tmp_path / f"{language}-{number}.txt").write_bytes(b"x" * 160_000)
    corpora = {"source": "files", "path": f"{tmp_path}/{{language}}-*.txt"}
    study = read(tmp_path, corpora=corpora | {"validation_documents": 1})
    # 160,000 bytes hold 10,000 tokens at the very least; 4,000 are put by for what is held out
    assert len(sources.shards(study, "es", "5k")) == 1
    assert len(sources.shards(study, "es", "10k")) == 2
    assert len(sources.shards(study, "es", "full")) == 3


@pytest.mark.parametrize(
    "twice",
    [
        {"tasks__ner__targets": ["es", "fr", "es"]},
        {"experiments__zero_shot": {"tasks": ["ner", "ner"]}},
    ],
)
def test_no_cell_is_listed_twice(tmp_path: Path, twice: dict[str, Any]) -> None:
    """A repeated cell would be a repeated row of the table, and weigh twice in the average."""
    try:
        cells = experiments.cells(read(tmp_path, **twice), "zero_shot")
    except InputError:
        return  # refused, as a repeated language or seed is
    assert len(set(cells)) == len(cells)


@pytest.mark.parametrize(
    ("text", "operand"), [("fr", Operand("fr")), ("fr@10k", Operand("fr", "10k"))]
)
def test_operands_are_written_as_in_paths_and_tables(text: str, operand: Operand) -> None:
    assert str(operand) == text
    assert Operand.parse(text) == operand


@given(
    language=st.sampled_from(["fr", "sw", "ast", "zh-Hant"]),
    budget=st.just("full") | st.builds("{}{}".format, st.integers(1), st.sampled_from("kMB")),
)
def test_operand_survives_being_written(language: str, budget: str) -> None:
    operand = Operand(language, budget)
    assert Operand.parse(str(operand)) == operand


def test_cell_can_be_read_back_from_its_wildcards() -> None:
    operands = (Operand("en"), Operand("fr"), Operand("es", "10k"))
    cell = Cell("tiny", "ner", "fr", "la", operands, 7)
    assert (cell.left, cell.right) == (operands[0], operands[-1])
    path = layout.CELL.format(**cell.wildcards)
    assert path == "evaluation/tiny/ner/fr/la/en+fr+es@10k/seed7"
    names = layout.parse(layout.CELL, f"results/x/{path}/selected.json")
    assert names.pop("file") == "selected.json"
    assert names == cell.wildcards
    assert parse_operands(names["operands"]) == operands


@pytest.mark.parametrize(
    "path",
    [
        "evaluation/tiny/ner/fr/la/+en/seed7",
        "evaluation/tiny/ner/fr/la/en+fr/seedx",
        "evaluation/tiny/ner/fr/la/en+fr@tenk/seed7",
        "adapters/tiny/task/ner/seed7",
        "evaluation/tiny/ner/fr/la/en+fr/seed7/deeper/file.json",
    ],
)
def test_a_path_of_another_pattern_is_not_parsed(path: str) -> None:
    assert layout.parse(layout.CELL, path) is None


@given(st.lists(st.integers(0, 100), min_size=1, max_size=3))
def test_points_survive_being_written(hundredths: list[int]) -> None:
    point = tuple(number / 100 for number in hundredths)
    assert parse_point(point_text(point)) == point
    assert parse_point(point_value(point)) == point


@given(st.floats(0, 2))
def test_numbers_of_points_are_written_with_all_their_digits(number: float) -> None:
    text = point_text((number,))
    assert len(text.partition(".")[2]) >= 2
    assert parse_point(text) == pytest.approx((number,), abs=1e-9, rel=0)


@pytest.mark.parametrize(
    ("step", "count"), [(0.05, 21), (0.1, 11), (0.25, 5), (0.01, 101), (0.5, 3)]
)
def test_lambda_grid_holds_both_ends_and_exact_hundredths(step: float, count: int) -> None:
    values = Lambdas(start=0, stop=1, step=step).values()
    assert len(values) == count
    # equal to the number that its two decimals say: files are named by them
    assert values == tuple(float(f"{value:.2f}") for value in values)
    assert (values[0], values[-1]) == (0.0, 1.0)
    assert 0.5 in values or step == 0.4


def test_lambda_grid_may_start_elsewhere() -> None:
    assert Lambdas(start=0.5, stop=2, step=0.5).values() == (0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("budget", "tokens"),
    [("full", None), ("500", 500), ("10k", 10_000), ("1M", 10**6), ("2B", 2 * 10**9)],
)
def test_budgets_in_tokens(budget: str, tokens: int | None) -> None:
    assert budget_tokens(budget) == tokens


def test_what_is_no_budget_is_refused() -> None:
    for word in ("10K", "1.5M", "", "all", "k", "-1"):
        with pytest.raises(InputError, match=f"'{word}' is not a token budget; write 10k"):
            budget_tokens(word)


def test_identity_is_the_whole_study(tmp_path: Path) -> None:
    study = read(tmp_path)
    output = json.loads(loading.identity(study))
    assert next(iter(output)) == "name"
    assert Study.model_validate(output) == study


# ---------------------------------------------------------------- files that users bring


def files_study(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """LITTLE with raw text and NER from files, all of them there."""
    for language in LITTLE["languages"]:
        for name in ("1.txt", "2.txt", "train", "validation", "test"):
            write(tmp_path / f"{language}.{name}", "x")
    task = FILES_TASK | {
        "train": f"{tmp_path}/{{language}}.train",
        "validation": f"{tmp_path}/{{language}}.{{split}}",
        "test": f"{tmp_path}/{{language}}.{{split}}",
    }
    corpora = {"source": "files", "path": f"{tmp_path}/{{language}}.*.txt"}
    return changed(**{"corpora": corpora, "tasks": {"ner": task}} | changes)


def test_files_are_found_by_language_and_split(tmp_path: Path) -> None:
    study = loading.load(write(tmp_path / "study.yaml", files_study(tmp_path)))
    assert sources.shards(study, "fr") == [f"{tmp_path}/fr.1.txt", f"{tmp_path}/fr.2.txt"]
    assert sources.task_file(study, "ner", "fr", "test") == f"{tmp_path}/fr.test"
    assert sources.task_file(study, "ner", "en", "train") == f"{tmp_path}/en.train"
    assert sources.needed_splits(study, "en") == ("train", "validation", "test")
    assert sources.needed_splits(study, "fr") == ("validation", "test")


def test_how_files_are_laid_out_is_a_parameter_where_it_differs(tmp_path: Path) -> None:
    data = files_study(tmp_path)
    path = tmp_path / "study.yaml"

    def reading() -> dict[str, Any]:
        return sources.task_reading(loading.load(write(path, data)), "ner", "fr")

    usual = reading()
    assert not usual.keys() & {"columns", "tags", "language"}
    assert "tags" not in loading.identity(loading.load(path))
    data["tasks"]["ner"] |= {"tags": "iob1", "columns": {"token": 2, "tag": 1}}
    assert reading() == usual | {"tags": "iob1", "columns": {"tag": 1, "token": 2}}
    assert list(reading()["columns"]) == ["tag", "token"]


def test_one_file_of_all_languages_has_a_column_of_languages(tmp_path: Path) -> None:
    files = {s: f"{tmp_path}/fr.{s}" for s in ("train", "validation", "test")}
    data = files_study(tmp_path)
    data["tasks"]["ner"] |= {**files, "type": "nli"}
    said = refusal(write(tmp_path / "study.yaml", data))
    assert "is read for both en, validation and fr, validation" in said[0]
    assert "or name 'language' under tasks.ner.columns if a column says the language" in said[0]
    data["tasks"]["ner"]["columns"] = {"language": "language"}
    study = loading.load(write(tmp_path / "study.yaml", data))
    assert sources.task_reading(study, "ner", "fr")["language"] == "fr"
    data["tasks"]["ner"]["test"] = files["validation"]
    said = refusal(write(tmp_path / "study.yaml", data))
    assert "is read for both" in said[0]


def test_the_papers_study_names_files_of_the_hub(root: Path) -> None:
    study = loading.load(root / "config.yaml")
    wikipedia = (
        "resources/hub/datasets/wikimedia/wikipedia/b04c8d1ceb2f5cd4588862100d08de323dccfbaa"
    )
    assert sources.shards(study, "sw") == [f"{wikipedia}/20231101.sw/train-00000-of-00001.parquet"]
    assert len(sources.shards(study, "en")) == 41
    assert sources.model_file(study, "mbert", "config.json") == (
        "resources/hub/models/google-bert/bert-base-multilingual-cased/"
        "3f076fdb1ab68d5b2880cb87a0886f315b8146f8/config.json"
    )
    xquad, squad = (
        sources.task_file(study, "qa", *place) for place in (("de", "test"), ("en", "train"))
    )
    assert xquad.endswith("google/xquad/51adfef1c1287aab1d2d91b5bead9bcfb9c68583/"
                          "xquad.de/validation-00000-of-00001.parquet")  # fmt: skip
    assert squad.endswith("rajpurkar/squad/7b6d24c440a36b6815f21b70d25016731768db1f/"
                          "plain_text/train-00000-of-00001.parquet")  # fmt: skip
    assert sources.task_cut(study, "qa", "de", "test") == "half"


def test_a_budget_asks_for_the_shards_that_it_needs(root: Path) -> None:
    study = loading.load(root / "config.yaml")
    whole = sources.shards(study, "fr")
    assert len(whole) == 17
    for budget, count in {"10k": 1, "36M": 1, "37M": 2, "100M": 3, "1B": 17, "full": 17}.items():
        assert sources.shards(study, "fr", budget) == whole[:count]
    corpora = study.corpora.model_copy(update={"shard_tokens": None})
    assert sources.shards(study.model_copy(update={"corpora": corpora}), "fr", "10k") == whole


def test_a_language_without_a_row_in_the_table_of_shards_is_refused(tmp_path: Path) -> None:
    data = changed(
        corpora=HUB_CORPORA | {"config": "20231101_{language}"}, languages=["en", "es", "fr"]
    )
    lines = refusal(write(tmp_path / "study.yaml", data))
    assert len(lines) == 3
    assert lines[0].startswith(
        f"{tmp_path}/study.yaml: corpora.config: the table of shards has no row for configuration "
        "'20231101_en' of wikimedia/wikipedia (did you mean '20231101.en'?); add it with `langarith"
    )


def test_one_language_may_come_from_another_repository(tmp_path: Path) -> None:
    other = {"repository": "Divyanshu/indicxnli", "revision": "a" * 40, "test": "t/xnli_as.json"}
    task = HUB_TASK | {"targets": ["fr", "es"], "languages": {"es": other}}
    study = read(tmp_path, tasks={"nli": task})
    hub = "resources/hub/datasets"
    assert (
        sources.task_file(study, "nli", "fr", "test") == f"{hub}/facebook/xnli/main/fr/test.parquet"
    )
    indic = f"{hub}/Divyanshu/indicxnli/{'a' * 40}"
    assert sources.task_file(study, "nli", "es", "test") == f"{indic}/t/xnli_as.json"
    # what it does not name is where the task says, in the language's own repository
    assert sources.task_file(study, "nli", "es", "validation") == f"{indic}/es/validation.parquet"
    # what is pinned already needs no lock
    assert sources.hub_branches(study) == {
        "datasets/facebook/xnli@main": ("datasets", "facebook/xnli", "main")
    }


def test_one_language_may_lie_in_files_elsewhere(tmp_path: Path) -> None:
    data = files_study(tmp_path)
    data["tasks"]["ner"]["languages"] = {"fr": {"test": str(tmp_path / "own.{language}")}}
    (tmp_path / "own.fr").write_text("a\tO\n")
    study = loading.load(write(tmp_path / "study.yaml", data))
    assert sources.task_file(study, "ner", "fr", "test") == f"{tmp_path}/own.fr"
    assert sources.task_file(study, "ner", "fr", "validation") == f"{tmp_path}/fr.validation"


def test_a_branch_is_what_the_lock_beside_the_study_says(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", changed(tasks={"nli": HUB_TASK}))
    write(tmp_path / "study.revisions.yaml", {"datasets/facebook/xnli@main": "b" * 40,
                                              "datasets/gone/gone@main": "c" * 40})  # fmt: skip
    study = loading.load(path)
    assert study.revisions == {"datasets/facebook/xnli@main": "b" * 40}
    assert f"/{'b' * 40}/" in sources.task_file(study, "nli", "fr", "test")
    # an extending study takes it over; its own overrides it
    further = write(tmp_path / "more.yaml", {"extends": "study.yaml", "results_dir": "r"})
    assert loading.load(further).revisions == study.revisions
    write(tmp_path / "more.revisions.yaml", {"datasets/facebook/xnli@main": "d" * 40})
    assert f"/{'d' * 40}/" in sources.task_file(loading.load(further), "nli", "fr", "test")


def test_a_ready_made_adapter_has_the_full_budget_alone(tmp_path: Path) -> None:
    adapters = {"fr": "AdapterHub/fr-wiki@v1", "es": str(tmp_path)}
    for name in ("adapter_config.json", "adapter.safetensors"):
        (tmp_path / name).touch()
    study = read(tmp_path, models__tiny__adapters=adapters)
    assert sources.ready_adapter(study, "tiny", Operand("fr"), "a.json") == (
        "resources/hub/models/AdapterHub/fr-wiki/v1/a.json"
    )
    assert sources.ready_adapter(study, "tiny", Operand("es"), "a.json") == f"{tmp_path}/a.json"
    assert sources.ready_adapter(study, "tiny", Operand("es", "10k"), "a.json") is None
    assert sources.ready_adapter(study, "tiny", Operand("en"), "a.json") is None


@pytest.mark.parametrize(("name", "refused"), [("ties", ["fr"]), ("similarity", ["es", "fr"])])
def test_what_subtracts_the_initialisation_refuses_ready_made_adapters(
    tmp_path: Path, name: str, refused: list[str]
) -> None:
    adapters = {"es": "AdapterHub/es-wiki@v1", "fr": "AdapterHub/fr-wiki@v1"}
    changes = {
        "models__tiny__adapters": adapters,
        "lambdas": {"la": {"step": 0.25}, "ties20": {"start": 0.8, "stop": 1.8, "step": 0.1}},
        "tasks": {"ner": {**LITTLE["tasks"]["ner"], "targets": ["es"]}},
    }
    path = write(tmp_path / "study.yaml", changed(**changes, experiments={"zero_shot": {}}))
    assert loading.load(path)
    path = write(
        tmp_path / "study.yaml", changed(**changes, experiments={"zero_shot": {}, name: {}})
    )
    lines = refusal(path)
    # ties merges en and fr for the target es, and never touches the adapter of es
    assert len(lines) == len(refused)
    for line, language in zip(lines, refused, strict=True):
        assert f"adapters.{language} was trained elsewhere from an unknown one; remove it" in line


def test_adapters_in_pickles_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_adapter.bin").touch()
    data = changed(models__tiny__adapters={"fr": str(tmp_path)})
    (line,) = refusal(write(tmp_path / "study.yaml", data))
    assert "only pytorch_adapter.bin, a pickle that can run code when it is loaded" in line


def test_one_qa_file_is_cut_but_for_the_task_languages_own_development_file(
    tmp_path: Path,
) -> None:
    task = {
        "source": "files",
        "targets": ["fr"],
        "train": f"{tmp_path}/en.train",
        "validation": f"{tmp_path}/en.validation",
        "path": f"{tmp_path}/{{language}}.test",
        "cut": "half",
    }
    data = files_study(tmp_path, tasks={"qa": task})
    study = loading.load(write(tmp_path / "study.yaml", data))
    assert sources.task_file(study, "qa", "en", "validation") == f"{tmp_path}/en.validation"
    assert sources.task_file(study, "qa", "fr", "validation") == f"{tmp_path}/fr.test"
    cuts = {
        language: sources.task_reading(study, "qa", language)["cuts"] for language in ("en", "fr")
    }
    assert cuts == {
        "en": {"train": None, "validation": None, "test": "half"},
        "fr": {"validation": "half", "test": "half"},
    }


# ---------------------------------------------------------------- refusals

# what is changed | the key that the sentence names | what it says of it
REFUSED = [
    # keys
    ({"seed": 1}, "", "unknown key 'seed' (did you mean 'seeds'?)"),
    ({"zzz": 1}, "", "unknown key 'zzz' (known: adapters, allow_missing, budgets"),
    ({"models__tiny__vocabluary": 9}, "models.tiny", "'vocabluary' (did you mean 'vocabulary'?)"),
    ({"models__tiny__training__epoch": 9}, "models.tiny.training", "(did you mean 'epochs'?)"),
    ({"corpora__document": 9}, "corpora", "(did you mean 'documents'?)"),
    ({"tasks__ner__target": ["es"]}, "tasks.ner", "(did you mean 'targets'?)"),
    ({"tasks__ner__examples__dev": 9}, "tasks.ner.examples", "'validation'"),
    ({"lambdas__la__steps": 0.1}, "lambdas.la", "(did you mean 'step'?)"),
    ({"training__task_adapter__batchsize": 1}, "training.task_adapter", "'batch_size'?)"),
    ({"experiments__zero_shot": {"target": ["es"]}}, "experiments.zero_shot", "'targets'?)"),
    ({"languages": REMOVED}, "languages", "is missing; add it"),
    ({"models__tiny__training__batch_size": REMOVED}, "models.tiny.training.batch_size", "add it"),
    ({"corpora__source": REMOVED}, "corpora.source", "add it (hub, files or miniature)"),
    ({"corpora__source": "disk"}, "corpora.source", "'disk'; use one of 'hub', 'files',"),
    # values
    ({"models__tiny__vocabulary": 9}, "models.tiny.vocabulary", "is 9; write a number of at"),
    ({"seeds": ["one"]}, "seeds (entry 1)", "is 'one'; write a whole number"),
    ({"seeds": []}, "seeds", "is empty; give at least 1"),
    ({"models__tiny__attention_heads": 5}, "models.tiny.attention_heads", "does not divide"),
    ({"tasks__ner__type": "mer"}, "tasks.ner.type", "(did you mean 'ner'?)"),
    ({"budgets": {"es": ["lots"]}}, "budgets.es", "'lots' is not a token budget; write 10k"),
    ({"budgets": {"es": ["1k", 1000]}}, "budgets.es",
     "'1k' and '1000' are the same budget; remove one"),
    ({"budgets": {"es": ["1k", "full", "1k"]}}, "budgets.es", "'1k' is listed twice; remove one"),
    # misspelt languages, wherever one may stand
    ({"task_language": "em"}, "task_language", "'em' is not in 'languages' (known: en, es, fr)"),
    ({"models__tiny__languages": ["en", "frr"]}, "models.tiny.languages", "did you mean 'fr'?"),
    ({"tasks__ner__targets": ["ess"]}, "tasks.ner.targets", "'ess' is not in 'languages'"),
    ({"budgets": {"ess": ["1k"]}}, "budgets", "'ess' is not in 'languages'"),
    ({"related__ess": "fr"}, "related", "'ess' is not in 'languages'"),
    ({"related__es": "frr"}, "related.es", "'frr' is not in 'languages'"),
    ({"experiments__zero_shot": {"targets": ["ess"]}}, "experiments.zero_shot.targets", "'ess'"),
    # what stands without quotes
    ({"task_language": 1}, "task_language", "1 is a number and no text; put it into quotes"),
    ({"languages": ["en", "es", True]}, "languages (entry 3)", "true is a truth value and no"),
    ({"allow_missing": "yes"}, "allow_missing", "write true or false instead of 'yes'"),
    ({"training__task_adapter__torch_compile": 1}, "training.task_adapter.torch_compile",
     "write true or false instead of 1"),
    ({"training__task_adapter__learning_rate": float("inf")},
     "training.task_adapter.learning_rate", "is '.inf'; write a number"),
    # names that must agree
    ({"languages": ["en", "es", "fr", "es"]}, "languages", "is listed twice; remove one"),
    ({"seeds": [1, 2, 1]}, "seeds", "is listed twice; remove one"),
    ({"models__tiny__languages": ["en", "en", "es"]}, "models.tiny.languages", "'en' is listed tw"),
    ({"experiments__sparsity": {"layers": [1, 0, 1]}}, "experiments.sparsity.layers", "'1' is lis"),
    ({"lambdas__ties020": {"step": 0.1}}, "lambdas.ties020", "are one method; write ties20"),
    ({"related__es": "es"}, "related.es", "not related to itself; name another"),
    ({"experiments__zeroshot": {}}, "experiments", "'zeroshot' (did you mean 'zero_shot'?)"),
    ({"experiments__zero_shot": {"tasks": ["qa"]}}, "experiments.zero_shot.tasks", "'qa' has no"),
    ({"experiments__zero_shot": {"models": ["tny"]}}, "experiments.zero_shot.models", "'tiny'?)"),
    # lambdas
    ({"lambdas__la__step": 0.3}, "lambdas.la", "step 0.3 does not divide the range 0.0 to 1.0"),
    ({"lambdas__la__step": 0}, "lambdas.la.step", "is 0; write a number of at least 0.01"),
    ({"lambdas__la__stop": -1}, "lambdas.la", "stop -1.0 lies below start 0.0; swap them"),
    ({"lambdas__la__step": 0.125}, "lambdas.la", "written with two decimals"),
    ({"lambdas__la__stop": 2}, "lambdas.la", "runs from 0 to 1; set start: 0 and stop: 1"),
    ({"lambdas__la__start": 0.5}, "lambdas.la", "runs from 0 to 1; set start: 0 and stop: 1"),
    ({"lambdas__la__step": 0.2}, "lambdas.la.step", "leaves out lambda 0.5"),
    ({"lambdas__ties20": {"start": -5, "step": 0.5}}, "lambdas.ties20.start", "of at least 0"),
    ({"license": "foo: bar"}, "license", "write the hub's identifier of a licence"),
    ({"lambdas": {}}, "lambdas.la", "is missing; add it"),
    # lengths of training
    ({"training__task_adapter__steps": 5}, "training.task_adapter", "exactly one of 'steps' and"),
    ({"training__task_adapter__epochs": REMOVED}, "training.task_adapter", "exactly one of"),
    ({"tasks__ner__max_length": 513}, "tasks.ner.max_length", "do not fit into models.tiny."),
    ({"tasks": {"qa": HUB_TASK | {"stride": 128}}},
     "tasks.qa.stride", "windows of 128 subwords (max_length) that share 128 leave no space for a "
     "question; set stride to 42 or less"),
    ({"tasks": {"qa": HUB_TASK | {"max_length": 32}}}, "tasks.qa.stride", "or raise max_length"),
    # numbers and names that libraries refuse after hours
    ({"seeds": [2**32]}, "seeds (entry 1)", "write a number below 4294967296"),
    ({"models__tiny__seed": -1}, "models.tiny.seed", "is -1; write a number of at least 0"),
    ({"adapters": {"init_seed": 2**64}}, "adapters.init_seed", "write a number below 4294967296"),
    ({"adapters": {"language": {"non_linearity": "gelux"}}}, "adapters.language.non_linearity",
     "'gelu_new'"),
    # numbers without a meaning
    ({"tasks__ner__examples__train": -5}, "tasks.ner.examples.train", "a number of at least 1"),
    ({"tasks__ner__examples__test": 0}, "tasks.ner.examples.test", "is 0; write a number of at"),
    ({"tasks__ner__difficulty": {"unseen": -1}}, "tasks.ner.difficulty.unseen", "of at least 0"),
    ({"tasks__ner__difficulty": {"unseen": 1.5}}, "tasks.ner.difficulty.unseen",
     "is 1.5; write a share from 0 to 1"),
    ({"tasks__ner__type": "qa", "tasks__ner__difficulty": {"questions": 0.5}},
     "tasks.ner.difficulty.questions", "is 0.5; write a whole number of at least 1"),
    ({"training__task_adapter__learning_rate": 1e30}, "training.task_adapter.learning_rate",
     "is 1e+30; write a number of at most 1"),
    ({"training__task_adapter__weight_decay": 1e30}, "training.task_adapter.weight_decay", "100"),
    ({"models__tiny__initializer_range": 1e30}, "models.tiny.initializer_range", "at most 1"),
    ({"adapters": {"task": {"reduction_factor": 1e30}}}, "adapters.task.reduction_factor",
     "is 1e+30; write a number of at most 4096"),
    ({"adapters": {"language": {"reduction_factor": 1e-30}}}, "adapters.language.reduction_factor",
     "is 1e-30; write a number of at least 0.1"),
    ({"adapters": {"task": {"reduction_factor": 33}}}, "adapters.task.reduction_factor",
     "33 leaves no dimension of models.tiny.hidden_size 32; take at most 32"),
    ({"adapters": {"language": {"invertible_reduction_factor": 17}}},
     "adapters.language.invertible_reduction_factor", "take at most 16"),
    ({"lambdas__la__start": -1e308}, "lambdas.la.start", "write a number of at least -100"),
    # sources
    ({"corpora": HUB_CORPORA | {"path": "squad"}}, "corpora.path", "'squad' is no repository"),
    ({"corpora": HUB_CORPORA | {"config": "b"}}, "corpora.config", "no {language} in it"),
    ({"tasks": {"nli": HUB_TASK | {"path": "a"}}}, "tasks.nli", "with 'path' give 'cut: half'"),
    ({"tasks": {"nli": HUB_TASK | {"languages": {"es": {"path": "a"}}}}}, "tasks.nli",
     "languages.es names 'path', which the task does not"),
    ({"tasks": {"nli": HUB_TASK | {"languages": {"fr": {"repository": "a/b"}}}}},
     "tasks.nli.languages.fr", "give 'repository' and 'revision' together"),
    ({"tasks": {"nli": HUB_TASK | {"languages": {"es": {"test": "a"}}}}}, "tasks.nli.languages",
     "'es' is neither the task language nor among the targets"),
    ({"tasks": {"nli": HUB_TASK | {"languages": {"fr": {"tset": "a"}}}}}, "tasks.nli.languages.fr",
     "unknown key 'tset' (did you mean 'test'?)"),
    ({"revisions": {"datasets/a/b@main": "v2"}}, "revisions.datasets/a/b@main", "'v2' is no"),
    ({"models__tiny__adapters": {"de": "a/b@main"}}, "models.tiny.adapters.de", "is not in 'lang"),
    ({"models__tiny__adapters": {"fr": "nowhere"}}, "models.tiny.adapters.fr", "nowhere has no"),
    ({"models__tiny__adapters": {"es": "a/b@main", "fr": "a/b@main"}}, "models.tiny.adapters.fr",
     "a/b@main is also the adapter of 'es'; name another one"),
    ({"tasks": {"ner": FILES_TASK | {"validation": "a"}}}, "tasks.ner", "or one 'path' with 'cut'"),
    ({"tasks": {"qa": FILES_TASK | {"validation": "a", "test": "b", "cut": "half"}}}, "tasks.qa",
     "'cut' divides one 'path'; name it, or remove 'cut'"),
    ({"tasks": {"qa": FILES_TASK | {"path": "a"}}}, "tasks.qa", "give 'cut: half' or"),
    # keys without effect where they stand
    ({"training__task_adapter__chunk_length": 64}, "training.task_adapter",
     "'chunk_length' has no effect in the recipe of a task, only in recipes of base models and "
     "language adapters; remove it"),
    ({"tasks__ner__training": {"epochs": 1, "batch_size": 1, "learning_rate": 1,
                               "mask_probability": 0.1}}, "tasks.ner.training",
     "'mask_probability' has no effect in the recipe of a task"),
    ({"training__task_adapter__schedule": "constant", "training__task_adapter__warmup_steps": 5},
     "training.task_adapter", "'warmup_steps' has no effect with 'schedule: constant'; remove"),
    ({"adapters": {"task": {"invertible_reduction_factor": 2}}}, "adapters.task",
     "'invertible_reduction_factor' has no effect in the shape of task adapters, only in that of"),
    ({"tasks__ner__stride": 128}, "tasks.ner.stride", "no effect on a task of type ner"),
    ({"tasks__ner__max_answer_length": 9}, "tasks.ner.max_answer_length", "remove 'max_answer_l"),
    ({"tasks": {"ner": HUB_TASK | {"path": "{language}/a", "cut": "half", "test": REMOVED}}},
     "tasks.ner.cut", "no effect on a task of type ner; remove 'cut'"),
    ({"tasks__ner__cut": "half"}, "tasks.ner", "'cut' has no effect in tasks with 'source: mini"),
    ({"corpora__shard_tokens": 9}, "corpora", "'shard_tokens' has no effect in corpora with "
     "'source: miniature', only in corpora with 'source: hub'; remove it"),
    ({"corpora__text_column": "body"}, "corpora", "'text_column' has no effect in corpora with"),
    ({"models__tiny__revision": "main"}, "models.tiny", "'revision' has no effect in models with "
     "'source: pretrain', only in models with 'source: hub'; remove it"),
    ({"tasks": {"nli": HUB_TASK | {"difficulty": {}}}}, "tasks.nli", "'difficulty' has no effect"),
    ({"tasks__ner__difficulty": {"crowd": 0.1}}, "tasks.ner.difficulty", "ner has no knob 'crowd'"),
    ({"tasks": {"nli": HUB_TASK | {"languages": {"fr": {"train": "a"}}}}},
     "tasks.nli.languages.fr.train", "only the task language's training data is read; remove it"),
    ({"tasks": {"qa": HUB_TASK | {"path": "{language}/a", "cut": "half", "test": REMOVED,
                                  "languages": {"fr": {"validation": "a"}}}}},
     "tasks.qa.languages.fr.validation", "only the task language has a 'validation' of its own"),
    ({"tasks__nli__labels": ["a", "b"]}, "tasks.nli.labels", "no effect on a task of type nli"),
    ({"tasks__ner__type": "classification", "tasks__ner__labels": ["a"]}, "tasks.ner.labels",
     "give at least two labels, each once"),
    ({"tasks__ner__type": "classification", "tasks__ner__labels": ["a", "b", "a"]},
     "tasks.ner.labels", "each once"),
    ({"tasks__ner__type": "pos"}, "tasks.ner.source",
     "the miniature has no data for tasks of type pos; use files or hub"),
    ({"tasks": {"nli": HUB_TASK | {"columns": {"premis": "a"}}}}, "tasks.nli.columns.premis",
     "files of type nli have no such column (did you mean 'premise'?)"),
    ({"tasks": {"nli": HUB_TASK | {"columns": {"premise": 2}}}}, "tasks.nli.columns.premise",
     "files of type nli have columns with names; write one"),
    ({"tasks": {"ner": HUB_TASK | {"columns": {"token": 2, "tag": 2}}}}, "tasks.ner.columns",
     "2 is named twice; name each column once"),
    ({"tasks": {"ner": HUB_TASK | {"columns": {"token": 0}}}}, "tasks.ner.columns.token",
     "0 is no column; write its name, or its number from 1"),
    ({"tasks": {"ner": HUB_TASK | {"tags": "iob"}}}, "tasks.ner.tags",
     "is 'iob'; write 'iob2', 'iob1', 'bioes' or 'bilou'"),
    ({"tasks": {"nli": HUB_TASK | {"tags": "iob1"}}}, "tasks.nli.tags", "no effect on a task of"),
    ({"tasks": {"qa": HUB_TASK | {"columns": {"id": "a"}}}}, "tasks.qa.columns", "no effect on a"),
    ({"tasks__ner__tags": "iob1"}, "tasks.ner", "'tags' has no effect in tasks with 'source: mini"),
    # what would fail later, in Snakemake's words or in none
    ({"models": {"files": LITTLE["models"]["tiny"] | {"vocabulary": 9}}}, "models.files.vocabulary",
     "write a number of at least 200"),
    ({"seeds": [-1]}, "seeds", "-1"),  # no path pattern takes a sign
    ({"languages": ["en", "es", "fr", "zh@Hant"]}, "languages", "'zh@Hant' is no language code"),
    ({"languages": ["en", "es", "fr", "-"]}, "languages", "begin it with a letter and use letters"),
    ({"models": {"a/b": LITTLE["models"]["tiny"]}}, "models", "'a/b' is no name of a folder; use"),
    ({"tasks": {"n er": LITTLE["tasks"]["ner"] | {"type": "ner"}}}, "tasks", "'n er' is no name"),
    ({"tasks": {"..": LITTLE["tasks"]["ner"] | {"type": "ner"}}}, "tasks", "'..' is no name of a"),
    # paths
    ({"results_dir": "$NOWHERE_SET/r"}, "results_dir",
     "the environment variable $NOWHERE_SET is not set; set it or write a path"),
    ({"checkpoint_dir": "${NOWHERE_SET}/r"}, "checkpoint_dir", "$NOWHERE_SET is not set; set it"),
    ({"corpora": {"source": "files", "path": "$NOWHERE_SET/{language}.txt"}}, "corpora.path",
     "$NOWHERE_SET is not set"),
    ({"corpora": {"source": "files", "path": ["{lang}.txt"]}}, "corpora.path",
     "'{lang}.txt' has {lang}; braces mean placeholders, write {language}"),
    ({"tasks": {"ner": FILES_TASK | {"test": "{split}/{lang}.conll", "validation": "a"}}},
     "tasks.ner.test", "has {lang}; braces mean placeholders, write {language} or {split}"),
    ({"corpora": HUB_CORPORA | {"config": "{lang}"}}, "corpora.config", "{lang}; braces mean"),
    ({"tasks": {"nli": HUB_TASK | {"train": "{lang}.tsv"}}}, "tasks.nli.train",
     "'{lang}.tsv' has {lang}; braces mean placeholders, write {language} or {split}"),
    ({"tasks": {"nli": HUB_TASK | {"train": {"repository": "a/b", "revision": "main",
                                             "file": "{lang}.tsv"}}}},
     "tasks.nli.train", "'{lang}.tsv' has {lang}; braces mean"),
    ({"models": {"own": {"source": "files", "path": "~nobody-here/m"}}}, "models.own.path",
     "no user has the home folder ~nobody-here; write a path"),
    ({"models__tiny__adapters": {"fr": "$NOWHERE_SET/a"}}, "models.tiny.adapters.fr",
     "$NOWHERE_SET is not set"),
    ({"results_dir": ""}, "results_dir", ""),  # paths would begin at the root of the disk
    ({"budgets": {"es": ["0"]}}, "budgets.es", "'0'"),
    ({"lambdas__tise20": {"step": 0.1}}, "lambdas.tise20", "unknown merge method 'tise20'"),
    ({"lambdas__ties200": {"step": 0.1}}, "lambdas.ties200", "a number from 1 to 99, for example"),
    ({"lambdas__ties200": {"step": 0.1}, "experiments__ties": {}}, "lambdas.ties200", "write ties"),
    ({"tasks__ner__examples": {"train": 9}}, "tasks.ner.examples", ""),  # no validation, no test
    ({"experiments__zero_shot": {"tasks": ["nli"], "targets": ["es"]}}, "experiments.zero_shot",
     ""),  # no cell is left
    # keys of an experiment
    ({"experiments__zero_shot": {"pool": ["es", "fr"]}}, "experiments.zero_shot.pool",
     "zero_shot has no such key; remove it (known: caption, models, targets, tasks)"),
    ({"experiments__relatedness": {}}, "experiments.relatedness.pool", "is missing; list the"),
    ({"experiments__relatedness": {"pool": ["es", "ess"]}}, "experiments.relatedness.pool",
     "did you mean 'es'?"),
    ({"experiments__ties": {}}, "experiments.ties",
     "no method to compare in 'lambdas'; add one, for example"),
    ({"experiments__low_resource": {"targets": ["fr"]}}, "experiments.low_resource",
     "none of its targets has budgets; add one"),
    ({"experiments__sparsity": {"languages": ["frr"]}}, "experiments.sparsity.languages", "'fr'?"),
    # all languages would read one text
    ({"corpora": {"source": "files", "path": __file__}}, "corpora.path", "{language}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "key", "says"), REFUSED, ids=[f"{key}: {says}"[:60] for _, key, says in REFUSED]
)
def test_mistake_is_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], key: str, says: str
) -> None:
    path = write(tmp_path / "study.yaml", changed(**changes))
    (line,) = refusal(path)
    assert line.startswith(f"{path}: {key}")
    assert says in line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("experiment", experiments.EXPERIMENTS)
@pytest.mark.parametrize("key", ["tasks", "models", "targets"])
def test_an_unknown_name_in_an_experiment_is_refused_with_its_key(
    tmp_path: Path, experiment: str, key: str
) -> None:
    data = changed(experiments={experiment: {key: ["nope"]}})
    path = write(tmp_path / "study.yaml", data)
    lines = refusal(path)
    named = f"{path}: experiments.{experiment}.{key}: "
    assert any(line.startswith(named) and "'nope'" in line for line in lines)
    assert all(line.startswith(f"{path}: experiments.{experiment}") for line in lines)


def test_unknown_names_with_ready_made_adapters_are_refused(tmp_path: Path) -> None:
    """The checks of ready-made adapters list the cells of all experiments."""
    data = changed(models__tiny__adapters={"fr": "a/b@main"}, experiments__zero_shot__tasks=["qa"])
    path = write(tmp_path / "study.yaml", data)
    assert refusal(path) == [
        f"{path}: experiments.zero_shot.tasks: 'qa' has no entry under 'tasks' (known: ner, nli)"
    ]


def test_missing_files_are_named_one_by_one(tmp_path: Path) -> None:
    model = {"source": "files", "path": str(tmp_path / "model")}
    data = files_study(tmp_path, models={"own": model})
    for name in ("fr.test", "en.train", "es.1.txt", "es.2.txt"):
        (tmp_path / name).unlink()
    path = write(tmp_path / "study.yaml", data)
    parts = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    assert refusal(path)[-1] == (
        f"{path}: models.own.path: {tmp_path}/model is no folder; name one with {', '.join(parts)}"
    )
    (tmp_path / "model").mkdir()
    assert refusal(path) == [
        f"{path}: corpora.path: {tmp_path}/{{language}}.*.txt matches no file for language 'es'; "
        "correct the path or remove the language",
        f"{path}: tasks.ner: file {tmp_path}/en.train (en, train) does not exist; correct the path",
        f"{path}: tasks.ner: file {tmp_path}/fr.test (fr, test) does not exist; correct the path "
        "or remove 'fr' from the targets",
        *(
            f"{path}: models.own.path: {tmp_path}/model has no {part}; name a folder that has it"
            for part in parts
        ),
    ]


def test_no_is_norwegian_wherever_a_language_may_stand(tmp_path: Path) -> None:
    text = yaml.safe_dump(changed(budgets={"fr": ["1k"]}, experiments__enhancement={
        "targets": ["fr"]})).replace("fr", "no")  # fmt: skip
    study = loading.load(write(tmp_path / "study.yaml", text))
    assert "no" in study.languages
    assert study.related == {"es": "no", "no": "es"}
    assert study.tasks["nli"].targets == study.experiments["enhancement"].targets == ["no"]
    assert list(study.budgets) == ["no"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        *((word, word) for word in ["no", "yes", "on", "off", "y", "n", "True", "FALSE", "="]),
        *((word, word) for word in ["1:30", "2024-01-02", "1_000", "10k", "1e", ".inf", ".nan"]),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("~", None),
        ("null", None),
        ("", None),
        ("'true'", "true"),
        ('"1"', "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    read = loading.read_yaml(write(tmp_path / "a.yaml", f"key: {text}\n"))["key"]
    assert (read, type(read)) == (value, type(value))


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: &c [*a, *a]\nd: *c\n"
    data = loading.read_yaml(write(tmp_path / "a.yaml", text))
    assert data["b"] == {"x": 1, "y": 3}
    assert data["d"] == [{"x": 1, "y": 2}] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nname: b\n", "key 'name' appears twice (lines 1, 2); keep one of them"),
        (
            "tasks:\n  ner: {}\n  nli: {}\n  ner: {}\n",
            "key 'ner' appears twice in 'tasks' (lines 2, 4); keep one of them",
        ),
        (
            "a: &a {x: {k: 1, k: 2, k: 3}}\nb: *a\n",
            "key 'k' appears 3 times in 'a.x' (lines 1, 1, 1); keep one of them",
        ),
    ],
)
def test_repeated_keys_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "study.yaml", text)
    assert refusal(path)[0] == f"{path}: {says}"


def test_words_of_the_command_line_are_read_as_those_of_the_file(tmp_path: Path) -> None:
    """Snakemake hands on numbers, True and False; of all else it makes words."""
    from snakemake.cli import parse_config

    path = write(tmp_path / "study.yaml", LITTLE)
    for text, value in {"true": True, "false": False, "True": True, "False": False}.items():
        assert loading.load(path, parse_config([f"allow_missing={text}"])).allow_missing is value
    given = ["seeds=[3, 4]", "lambdas={la: {step: 0.5}}", "budgets={es: [10, 1k]}", "note=no"]
    study = loading.load(path, parse_config(given))
    assert (study.seeds, study.note) == ([3, 4], "no")
    assert study.lambdas["la"].step == 0.5
    assert study.budgets == {"es": ["10", "1k"]}
    (line,) = refusal(path, parse_config(["task_language=False"]))
    assert line == f"{path}: task_language: false is a truth value and no text; put it into quotes"


@pytest.mark.parametrize("code", ["sr_Latn", "zh-Hant", "es-419", "no", "ast", "nan"])
def test_codes_of_languages(tmp_path: Path, code: str) -> None:
    text = yaml.safe_dump(LITTLE).replace("- fr\n", f"- {code}\n").replace("fr", code)
    study = loading.load(write(tmp_path / "study.yaml", text))
    assert study.related["es"] == code


def test_home_and_variables_are_expanded_in_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path))
    data = files_study(tmp_path, results_dir="~/r", checkpoint_dir="${DATA}/c")
    text = yaml.safe_dump(data).replace(f"{tmp_path}/", "$DATA/")
    assert text.count("$DATA/") == 4
    study = loading.load(write(tmp_path / "study.yaml", text))
    assert (study.results_dir, study.checkpoint_dir) == (f"{tmp_path}/r", f"{tmp_path}/c")
    assert sources.shards(study, "fr") == [f"{tmp_path}/fr.1.txt", f"{tmp_path}/fr.2.txt"]
    assert sources.task_file(study, "ner", "fr", "test") == f"{tmp_path}/fr.test"
    further = write(tmp_path / "further.yaml", "extends: $DATA/study.yaml\n")
    assert loading.load(further).languages == study.languages
    gone = write(tmp_path / "gone.yaml", "extends: $NOWHERE_SET/study.yaml\n")
    assert refusal(gone) == [
        f"{gone}: extends: the environment variable $NOWHERE_SET is not set; set it or write a path"
    ]


def test_plain_text_has_no_column(tmp_path: Path) -> None:
    data = files_study(tmp_path)
    data["corpora"]["text_column"] = "body"
    path = write(tmp_path / "study.yaml", data)
    assert refusal(path) == [f"{path}: corpora.text_column: .txt files have no columns; remove it"]


def test_parameters_of_a_training_hold_no_key_without_effect(tmp_path: Path) -> None:
    """Snakemake repeats a job whose parameters have changed."""
    study = read(tmp_path)
    language = set(study.training.language_adapter.model_dump())
    task = set(sources.task_training(study, "ner").model_dump())
    assert language - task == {"chunk_length", "mask_probability"}
    assert not task - language


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    changes = {"task_language": "em", "related__es": "frr", "seeds": [1, 1]}
    assert len(refusal(write(tmp_path / "study.yaml", changed(**changes)))) == 3
    changes = {"seeds": ["one"], "corpora__documents": 1, "task_language": REMOVED}
    assert len(refusal(write(tmp_path / "study.yaml", changed(**changes)))) == 3


def test_all_unknown_keys_are_listed_at_once(tmp_path: Path) -> None:
    lines = refusal(write(tmp_path / "study.yaml", changed(seed=1, language=["en"])))
    assert set(re.findall(r"unknown key '(\w+)'", " ".join(lines))) == {"language", "seed"}


def test_an_unknown_key_hides_no_other_mistake(tmp_path: Path) -> None:
    changes = {
        "seed": 1,
        "seeds": ["one", 2.5, True],
        "models__tiny__layer": 2,
        "models__tiny__vocabulary": "many",
        "models__tiny__training__epoch": 3,
        "models__tiny__training__schedule": "quick",
        "lambdas__la": {"stepp": 0.1},
    }
    path = write(tmp_path / "study.yaml", changed(**changes))
    said = {line.removeprefix(f"{path}: ") for line in refusal(path)}
    assert said == {
        "unknown key 'seed' (did you mean 'seeds'?)",
        "seeds: true is a truth value; write a number",
        "seeds (entry 1) is 'one'; write a whole number",
        "seeds (entry 2) is 2.5; write a whole number",
        "models.tiny: unknown key 'layer' (did you mean 'layers'?)",
        "models.tiny.vocabulary is 'many'; write a whole number",
        "models.tiny.training: unknown key 'epoch' (did you mean 'epochs'?)",
        "models.tiny.training.schedule is 'quick'; write 'linear', 'constant' or 'cosine'",
        "lambdas.la: unknown key 'stepp' (did you mean 'step'?)",
        "lambdas.la.step is missing; add it",
    }


# key | value | what is said of it: one of each of pydantic's types of error that the schema raises
WRONG_TYPES = [
    ("seeds", 3, "seeds is 3; write a list, such as [a, b]"),
    ("seeds", None, "seeds is empty; write a list, such as [a, b]"),
    ("seeds", [None], "seeds (entry 1) is empty; write a whole number"),
    ("seeds", ["9" * 5000], f"seeds (entry 1) is '{'9' * 56}...; write a whole number"),
    ("languages", "en", "languages is 'en'; write a list, such as [a, b]"),
    ("languages", ["en"], "languages has too few entries (1); give at least 2"),
    ("languages", ["en", ["es"]], "languages (entry 2) is a list; write text"),
    ("models", ["tiny"], "models is a list; write a block of keys"),
    ("models", {}, "models is empty; give at least 1"),
    ("models__tiny", "x", "models.tiny is 'x'; write a block of keys"),
    ("models__tiny__source", ["x"], "models.tiny.source is a list; use one of"),
    ("models__tiny__layers", 2.5, "models.tiny.layers is 2.5; write a whole number"),
    ("models__tiny__layers", True, "models.tiny.layers: true is a truth value; write a number"),
    ("models__tiny__dropout", 1.0, "models.tiny.dropout is 1.0; write a number below 1"),
    ("models__tiny__dropout", "x", "models.tiny.dropout is 'x'; write a number"),
    ("models__tiny__dropout", [0.1], "models.tiny.dropout is a list; write a number"),
    ("models__tiny__training", None, "models.tiny.training is empty; write a block of keys"),
    ("corpora", "x", "corpora is 'x'; write a block of keys"),
    ("corpora", {"source": "files", "path": 3}, "corpora.path is 3; write text or a list of texts"),
    (
        "corpora",
        {"source": "files", "path": ["{language}", None]},
        "corpora.path (entry 2) is empty; write text",
    ),
    ("tasks__ner__labels", "x", "tasks.ner.labels is 'x'; write a list, such as [a, b]"),
    (
        "tasks",
        {"nli": HUB_TASK | {"train": 3}},
        "tasks.nli.train is 3; write text or a block of keys",
    ),
    (
        "tasks",
        {"nli": HUB_TASK | {"train": {"repository": "a/b", "file": "c"}}},
        "tasks.nli.train.revision is missing; add it",
    ),
    ("tasks__ner__examples__train", "x", "tasks.ner.examples.train is 'x'; write a whole number"),
    ("tasks__ner__examples__dev", 9, "tasks.ner.examples: the key 'dev' is unknown; write "),
    ("related", ["es"], "related is a list; write a block of keys"),
    ("related", {1: "es"}, "related: the key 1 is no text; put it into quotes"),
    ("budgets", {"es": "10k"}, "budgets.es is '10k'; write a list, such as [a, b]"),
    ("lambdas", {"la": 0.05}, "lambdas.la is 0.05; write a block of keys"),
    ("experiments", {"zero_shot": []}, "experiments.zero_shot is an empty list; write a block"),
    ("experiments", {"sparsity": {"layers": [-1]}}, "experiments.sparsity.layers (entry 1) is -1;"),
    ("name", 3, "name: 3 is a number and no text; put it into quotes"),
    ("name", None, "name is empty; write text"),
    ("results_dir", "", "results_dir is empty; write text"),
    ("license", "", "license is ''; write the hub's identifier of a licence, such as apache-2.0"),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG_TYPES)
def test_a_value_of_a_wrong_type_is_one_plain_sentence(
    tmp_path: Path, key: str, value: Any, says: str
) -> None:
    path = write(tmp_path / "study.yaml", changed(**{key: value}))
    (line,) = refusal(path)
    assert line.startswith(f"{path}: {says}")
    assert not re.search("Input should|Value error|validation,|dictionary|function-", line)


@pytest.mark.parametrize("budgets", ["10k", 1000, None])
def test_budgets_are_lists(tmp_path: Path, budgets: Any) -> None:
    path = write(tmp_path / "study.yaml", changed(budgets={"es": budgets}))
    (line,) = refusal(path)
    assert line.startswith(f"{path}: budgets.es")
    assert "list" in line.removeprefix(str(path))


def test_missing_study_file(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path / "gone.yaml")
    assert line == f"{tmp_path}/gone.yaml: no such study file; check the path"


def test_a_folder_and_a_broken_link_are_no_study(tmp_path: Path) -> None:
    assert refusal(tmp_path) == [f"{tmp_path}: a folder and no study; name its YAML file"]
    link = tmp_path / "mine.yaml"
    link.symlink_to("gone.yaml")
    assert refusal(link) == [f"{link}: a link to gone.yaml, which is no file; correct the link"]
    child = write(tmp_path / "child.yaml", {"extends": "."})
    (line,) = refusal(child)
    assert line.startswith(f"{tmp_path}: a folder and no study; correct 'extends' in {child}")


def test_missing_extended_file_is_blamed_on_extends(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", {"extends": "gone.yaml"})
    (line,) = refusal(path)
    assert str(tmp_path / "gone.yaml") in line
    assert str(path) in line
    assert "extends" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [a\nseeds: 1\n", "line 2: not valid YAML"),
        ("name: 'a\n", "not valid YAML"),
        ("- name\n", "a study is a YAML mapping of keys"),
        ("", "a study is a YAML mapping of keys"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "study.yaml", text)
    (line,) = refusal(path)
    assert line.startswith(f"{path}:")
    assert says in line


def test_a_study_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", "name: " + "[" * 3000 + "]" * 3000)
    assert refusal(path) == [f"{path}: YAML nested too deeply; correct the file"]


def test_aliases_that_stand_for_very_many_values_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path = write(tmp_path / "study.yaml", "\n".join(lines))
    (line,) = refusal(path)
    assert re.fullmatch(rf"{path}: [\d,]+ values if its aliases .*; use fewer, .*100,000.*", line)


def test_an_anchor_within_itself_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_dump(changed()).replace("models:", "models: &all", 1)
    path = write(tmp_path / "study.yaml", text.replace("tiny:", "more: *all\n  tiny:", 1))
    assert all(line.startswith(f"{path}: models.more") for line in refusal(path))


@pytest.mark.parametrize("links", [["a"], ["b", "a"]])
def test_circular_extends_is_refused(tmp_path: Path, links: list[str]) -> None:
    for here, there in zip(["a", "b"], links, strict=False):
        write(tmp_path / f"{here}.yaml", {"extends": f"{there}.yaml"})
    (line,) = refusal(tmp_path / "a.yaml")
    assert line == f"{tmp_path}/a.yaml: 'extends' runs in a circle; remove one link"


def test_two_studies_never_share_a_results_folder(tmp_path: Path) -> None:
    study = read(tmp_path, results_dir=str(tmp_path / "results"))
    loading.refuse_foreign_results(study)  # nothing there yet
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "study.json").write_text(loading.identity(study))
    loading.refuse_foreign_results(study)  # its own
    other = read(tmp_path, results_dir=str(tmp_path / "results"), name="other")
    with pytest.raises(InputError) as caught:
        loading.refuse_foreign_results(other)
    assert str(caught.value) == (
        f"results_dir: {tmp_path}/results belongs to the study 'little', and this one is 'other'; "
        "give each study a results_dir of its own"
    )


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"name": "little"}'])
def test_a_broken_study_json_is_named(tmp_path: Path, text: str) -> None:
    study = read(tmp_path, results_dir=str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    broken = tmp_path / "results" / "study.json"
    broken.write_text(text)
    with pytest.raises(InputError, match="does not say which study") as caught:
        loading.refuse_foreign_results(study)
    assert str(caught.value).startswith(str(broken))
    with pytest.raises(InputError, match="does not say which study"):
        Lineage(tmp_path / "results")


# ---------------------------------------------------------------- schema and import

SCHEMA = "workflow/schemas/study.schema.json"
REGENERATE = f"langarith schema > {SCHEMA}"


def written_schema(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / SCHEMA).read_text()))


def test_schema_is_that_of_the_code(root: Path) -> None:
    assert written_schema(root) == schema.json_schema(), f"out of date; run: {REGENERATE}"


def test_schema_is_written_by_one_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == (root / SCHEMA).read_text()


def studies(root: Path) -> list[Path]:
    found = [root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))]
    return [path for path in found if not path.stem.endswith((".related", ".revisions"))]


def test_every_study_names_the_schema_and_fits_it(root: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(written_schema(root))
    assert len(studies(root)) >= 4
    for path in studies(root):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        marked = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert marked, path
        assert (path.parent / marked[1]).resolve() == (root / SCHEMA).resolve()
        jsonschema.validate(loading.read_yaml(path), written_schema(root))


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"name": REMOVED}, True),  # the file's
        ({"budgets": {"es": [1000, "full"]}}, True),
        ({"experiments": {"zero_shot": None}}, True),
        ({"languages": REMOVED}, False),
        ({"seed": 1}, False),
        ({"training__task_adapter__chunk_length": 64}, False),
        ({"corpora__text_column": "body"}, False),
        ({"allow_missing": "yes"}, False),
    ],
)
def test_schema_takes_what_the_code_takes(
    root: Path, tmp_path: Path, changes: dict[str, Any], fits: bool
) -> None:
    data = changed(**changes)
    validator = jsonschema.Draft202012Validator(written_schema(root))
    assert validator.is_valid(data) == fits
    path = write(tmp_path / "study.yaml", data)
    if fits:
        assert validator.is_valid(json.loads(loading.identity(loading.load(path))))
    else:
        refusal(path)


def test_an_extending_study_fits_the_schema(root: Path) -> None:
    jsonschema.validate({"extends": "other.yaml", "seeds": [1]}, written_schema(root))


@pytest.mark.parametrize("module", ["study.loading", "jobs.fingerprint", "data.miniature"])
def test_what_the_snakefile_reads_imports_no_heavy_package(module: str) -> None:
    heavy = ["torch", "transformers", "adapters", "datasets", "pandas", "numpy", "lang2vec"]
    code = f"import langarith.{module}, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
