"""Tidy tables: the contract's columns, a row for each score, and values that lose no digit."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pytest

import made_up
from langarith.files import write_json
from langarith.results import analysis, tables

CONTRACT = (
    "experiment model task target method left right operands budget seed lambda split selected "
    "metric value examples"
).split()


@pytest.fixture
def rows(little_results) -> list[dict]:
    return tables.rows("zero_shot", *little_results)


def chosen(rows: list[dict], **where: object) -> list[dict]:
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_columns_are_those_of_the_contract(rows: list[dict], tmp_path: Path) -> None:
    assert all(set(row) == set(CONTRACT) for row in rows)
    tables.write(rows, tmp_path / "zero_shot.csv")
    assert (tmp_path / "zero_shot.csv").read_text().splitlines()[0] == ",".join(CONTRACT)
    assert [p.name for p in tmp_path.glob("*.csv")] == ["zero_shot.csv"]  # no partial one is left
    columns = list(tables.read(tmp_path / "zero_shot.csv").columns)
    assert columns == [
        name for column in CONTRACT for name in (column, *["point"] * (column == "lambda"))
    ]


def test_a_cell_has_a_row_per_lambda_split_and_metric(rows: list[dict]) -> None:
    cell = chosen(rows, method="la", task="ner", target="es", seed=1)
    assert len(cell) == 3 * 2 * 2
    (row,) = chosen(cell, split="test", metric="f1", **{"lambda": 0.5})
    assert row == {
        "experiment": "zero_shot",
        "model": "tiny",
        "task": "ner",
        "target": "es",
        "method": "la",
        "left": "en",
        "right": "fr",
        "operands": "en+fr",
        "budget": "full",
        "seed": 1,
        "lambda": 0.5,
        "split": "test",
        "selected": True,
        "metric": "f1",
        "value": 50.0,
        "examples": 30,
    }
    (row,) = chosen(cell, split="validation", metric="f1", **{"lambda": 1.0})
    assert (row["value"], row["examples"], row["selected"]) == (45.0, 20, False)


def test_rows_of_the_chosen_lambda_are_marked_on_both_splits(rows: list[dict]) -> None:
    for split in ("validation", "test"):
        marked = chosen(rows, selected=True, split=split, metric="accuracy")
        assert [(row["seed"], row["lambda"]) for row in marked] == [(1, 1.0), (2, 1.0)]


def test_references_stand_once_per_target_and_seed(rows: list[dict], little_results) -> None:
    for method, value in (("none", 20.0), ("majority", 10.0)):
        found = chosen(rows, method=method, metric="f1")
        assert [(row["target"], row["seed"]) for row in found] == [
            ("es", 1),
            ("es", 2),
            ("fr", 1),
            ("fr", 2),
        ]
        for row in found:
            assert (row["value"], row["split"], row["examples"]) == (value, "test", 30)
            assert (row["left"], row["right"], row["lambda"]) == ("", "", None)
    # two cells of one target (other operands) share its references
    cells, _ = little_results
    assert len(chosen(tables.rows("x", cells + cells, []), method="none", metric="f1")) == 4


def test_task_adapter_at_home_is_a_reference(rows: list[dict]) -> None:
    found = chosen(rows, target="en", metric="accuracy")
    assert [(row["method"], row["left"], row["seed"], row["value"]) for row in found] == [
        ("madx", "en", 1, 71.0),
        ("madx", "en", 2, 72.0),
    ]
    assert {row["examples"] for row in found} == {40}


@pytest.mark.parametrize(
    ("operands", "budget"),
    [("en+fr", "full"), ("en+fr@10k", "10k"), ("en@1M+fr", "1M"), ("en+fr@10k+de", "10k")],
)
def test_budget_is_that_of_the_limited_operand(operands: str, budget: str) -> None:
    assert tables.budget(operands) == budget


def test_a_cell_of_three_operands_has_points_of_two_numbers(tmp_path: Path) -> None:
    scores = {"0.00,0.50": 40.0, "0.50,0.25": 50.0}
    content = made_up.selected("es", "en+fr+de", 1, scores, chosen="0.50,0.25")
    write_json(tmp_path / "selected.json", content)
    rows = tables.rows("pool", [tmp_path / "selected.json"], [])
    tables.write(rows, tmp_path / "pool.csv")
    read = tables.read(tmp_path / "pool.csv")
    merged = read[(read["split"] == "test") & (read["operands"] == "en+fr+de")]
    assert list(merged["point"].unique()) == list(scores)
    assert merged["lambda"].isna().all()
    assert set(zip(merged["left"], merged["right"], strict=True)) == {("en", "de")}
    (cell,) = analysis.cells(read).to_dict("records")
    assert (cell["point"], cell["merged"], cell["operands"]) == ("0.50,0.25", 50.0, "en+fr+de")


def test_values_survive_writing_and_reading_unrounded(rows: list[dict], tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [rows[0] | {"value": 100 * rng.random()} for _ in range(2000)]
    rows += [rows[0] | {"value": 1e-17}, rows[0] | {"value": 100 / 3}, rows[0] | {"value": 100.0}]
    tables.write(rows, tmp_path / "a.csv")
    read = tables.read(tmp_path / "a.csv")
    assert read["value"].tolist() == [row["value"] for row in rows]
    # a table that is read and written is the same file, byte by byte
    tables.write(read.to_dict("records"), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_table_is_read_with_its_types(rows: list[dict], tmp_path: Path) -> None:
    rows.append(rows[0] | {"target": "na", "left": "nan", "right": "null"})
    tables.write(rows, tmp_path / "a.csv")
    read = tables.read(tmp_path / "a.csv")
    assert read["selected"].dtype == bool
    assert read["seed"].dtype == int
    # empty lambdas are missing numbers, but 'na' is the language Nauru
    assert read["lambda"].isna().sum() == sum(row["lambda"] is None for row in rows)
    assert read["lambda"].dropna().isin([0.0, 0.5, 1.0]).all()
    assert read.iloc[-1][["target", "left", "right"]].tolist() == ["na", "nan", "null"]
    assert (read[read["method"] == "none"]["left"] == "").all()


def test_names_that_look_like_numbers_stay_names(rows: list[dict], tmp_path: Path) -> None:
    """A budget `2000`, a model `1e5`: other tables have them as text."""
    names = {"budget": "2000", "model": "1e5", "task": "0.70"}
    tables.write([row | names for row in rows], tmp_path / "a.csv")
    read = tables.read(tmp_path / "a.csv")
    assert read[list(names)].drop_duplicates().to_dict("records") == [names]


def test_selection_metric_is_the_first_of_a_task(rows: list[dict]) -> None:
    table = pd.DataFrame(rows)
    assert analysis.selection_metric(table[table["task"] == "ner"]) == "f1"
    assert analysis.selection_metric(table[table["task"] == "nli"]) == "accuracy"


def test_lambdas_are_compared_as_numbers_not_as_text(little_results) -> None:
    """JSON may hold 1 for 1.0."""
    cells, _ = little_results
    cell = json.loads(cells[-1].read_text())
    cells[-1].write_text(json.dumps(cell | {"selected": 1}))
    assert len(chosen(tables.rows("x", cells[-1:], []), selected=True, split="test")) == 1
