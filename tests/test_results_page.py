"""The page of results: its tables are those of the run, number by number."""

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def tables(root: Path) -> Path:
    return root / "docs/results"


def rows(root: Path, first: str) -> list[list[str]]:
    """The rows of the table of the page whose header begins so, without emphasis."""
    text = (root / "docs/results.md").read_text(encoding="utf-8").replace("*", "")
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_are_as_they_were_copied(tables: Path) -> None:
    stated = dict(
        reversed(line.split()) for line in (tables / "sha256.txt").read_text().splitlines()
    )
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tables.glob("*.csv")}
    assert found == stated


def test_gains_and_scores_of_the_page_are_those_of_the_table(root: Path, tables: Path) -> None:
    gains = pd.read_csv(tables / "zero_shot_gains.csv").set_index("target")
    points = pd.read_csv(tables / "zero_shot.csv").query("split == 'test' and metric == 'f1'")
    for target, _, english, related, merged, _, gain in rows(root, "target"):
        row = gains.loc["avg." if target == "average" else target]
        assert gain == f"{row['gain']:.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        one = points if target == "average" else points[points["target"] == target]
        chosen = one[one["selected"].astype(str) == "True"]["value"].mean()
        ends = [one[one["lambda"] == end]["value"].mean() for end in (1.0, 0.0)]
        assert [english, related, merged] == [f"{score:.2f}" for score in (*ends, chosen)]


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_the_sentence_on_the_gain_is_that_of_the_table(root: Path, tables: Path, page: str) -> None:
    gain = pd.read_csv(tables / "zero_shot_gains.csv").set_index("target").loc["avg."]
    text = " ".join((root / page).read_text(encoding="utf-8").replace(">", "").split())
    interval = f"[−{-gain['low']:.2f}, −{-gain['high']:.2f}]"
    assert f"{-gain['gain']:.2f} points" in text and interval in text


def test_regrets_of_the_page_are_those_of_the_table(root: Path, tables: Path) -> None:
    found = pd.read_csv(tables / "label_free_gains.csv")
    found = found[found["target"] == "avg."]
    regrets = -found[["gain", "high", "low"]].to_numpy()
    stated = {tuple(f"{value:+.2f}" for value in row) for row in regrets}
    for rule, _, _, regret in rows(root, "rule"):
        if rule != "validation":
            assert tuple(re.findall(r"[+-]\d\.\d\d", regret)) in stated, rule
