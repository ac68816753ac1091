"""The page of results: its tables and its numbers are those of the run, as it wrote them.

The folders of `docs/results/` have copies of tables: tidy (`.csv`) and to read (`.md`).
"""

import hashlib
import re
from pathlib import Path

import pytest

OWN = ("| stage |", "| study |")
"""The beginnings of tables that no run writes: the setup, and the averages of two studies."""

INTERVAL = re.compile(r"[+-]?\d+\.\d\d \[[+-]?\d+\.\d\d, [+-]?\d+\.\d\d\]")


@pytest.fixture(scope="module")
def tables(root: Path) -> Path:
    return root / "docs/results"


@pytest.fixture(scope="module")
def written(tables: Path) -> str:
    """All tables to read, with a plain minus."""
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(tables.rglob("*.md")))


def page(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8").replace("−", "-")


def test_the_tables_are_as_they_were_copied(tables: Path) -> None:
    stated = dict(
        reversed(line.split()) for line in (tables / "sha256.txt").read_text().splitlines()
    )
    files = [path for path in tables.rglob("*") if path.suffix in (".csv", ".md")]
    assert {
        path.relative_to(tables).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    } == stated


def test_every_table_of_the_page_is_one_that_the_run_wrote(root: Path, written: str) -> None:
    lines = set(written.splitlines())
    found = [block for block in page(root, "docs/results.md").split("\n\n") if block[0] == "|"]
    of_run = [block for block in found if not block.startswith(OWN)]
    assert len(of_run) > 3
    for block in of_run:
        assert set(block.strip().splitlines()) <= lines, block


def test_averages_over_no_adapter_are_those_of_the_tables(root: Path, tables: Path) -> None:
    """The last column of the summary, which the page computes from two others."""
    folders = {
        "the encoder as given": tables / "encoder_as_given",
        "the adapted encoder": tables / "adapted_encoder",
    }
    text = page(root, "docs/results.md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    rows = [row for row in rows if row and row[0] in folders and len(row) == 5]
    assert len(rows) == 6
    for study, task, better, chosen, difference in rows:
        sheet = (folders[study] / "zero_shot.md").read_text(encoding="utf-8")
        part = sheet[sheet.index(f", {task} (") :]
        average = next(line for line in part.splitlines() if line.startswith("| average |"))
        cells = [cell.strip().strip("*") for cell in average.split("|")]
        none, merged = (float(re.match(r"\**([\d.]+)", cells[i])[1]) for i in (4, 7))
        assert f"{merged - none:+.1f}".replace("+0.0", "0.0") == difference
        assert cells[9:11] == [better, chosen]


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_every_gain_in_a_sentence_is_in_a_table(root: Path, written: str, name: str) -> None:
    text = " ".join(page(root, name).replace(">", "").split())
    text = re.sub(r"`[^`]*`", "", text)  # an example of the notation
    of_page = INTERVAL.findall(text)
    assert of_page
    plain = written.replace("**", "")
    assert [gain for gain in of_page if gain not in plain] == []
