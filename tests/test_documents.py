"""README and guides: their links lead somewhere, their examples are valid, the site builds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import helpers
from langarith import cli
from langarith.models import encoders

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "studies/*/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
SENTENCES = "Pedro Mora\tB-PER\nvive\tO\nen\tO\nLima\tB-LOC\n\n"


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {link}"


def test_every_command_of_the_documents_exists(capsys):
    used = set()
    for document in DOCUMENTS:
        lines = document.read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.startswith("    langarith "):
                used.add(shlex.split(line, comments=True)[1])
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    known = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)[1].split(",")
    assert used - {"--version"} <= set(known)


def test_the_study_of_the_readme_is_valid(tmp_path, monkeypatch, capsys):
    (study,) = blocks(ROOT / "README.md", "yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(study)
    content = yaml.safe_load(study)
    tokenizer = helpers.make_tokenizer()
    spec = helpers.SIZES | {"max_length": 512, "dropout": 0.0, "initializer_range": 0.1}
    folder = Path(content["models"]["xlm-r"]["path"])
    encoders.save_base(encoders.new_masked_lm(spec, tokenizer), folder)
    tokenizer.save_pretrained(folder)
    for language in content["languages"]:
        path = Path(f"data/raw/{language}/0.txt")
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(f"line {i} of a text in {language}" for i in range(2000)) + "\n")
        for split in ("train", "validation", "test"):
            path = Path(f"data/ner/{language}/{split}.conll")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SENTENCES.replace("Pedro Mora", f"{language.title()}{split}"))
    assert cli.main(["check", "mine.yaml"]) == 0, capsys.readouterr().err


def test_the_readme_shows_the_library_as_the_guide_does():
    assert blocks(ROOT / "README.md", "python") == blocks(
        ROOT / "docs/merging_without_a_study.md", "python"
    )


def test_every_page_is_in_the_navigation_once():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")]
    # tables as a run wrote them, which results.md shows
    pages = [page for page in pages if not page.startswith("results/")]
    named = re.findall(r"(\S+\.md)$", navigation, re.M)
    assert sorted(pages) == sorted(page for page in named if not page.startswith("repository/"))


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    """Strictly: no link or anchor leads nowhere, and no page or name of the API is missing.

    Without `--quiet`, which would hide the warnings from `--strict`, too.
    """
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r'<(script|link|img|iframe)[^>]* (src|href)="(https?:)?//', html), page
    guide = (tmp_path / "your_own_data.html").read_text(encoding="utf-8")
    assert 'href="repository/studies/own_files.yaml.html"' in guide
    assert re.search(r"<li>\s*<p>Run the whole study:</p>\s*<div", guide)  # not after the list
    copy = (tmp_path / "repository/studies/own_files.yaml.html").read_text(encoding="utf-8")
    assert "task_language" in copy
    assert 'id="langarith.models.adapters.read_adapter"' in (
        tmp_path / "api/adapters.html"
    ).read_text(encoding="utf-8")
