"""docs/merging.ipynb runs from its first cell to its last, and gets the scores of the workflow."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs/merging.ipynb"
CELL = "evaluation/tiny/ner/es/la/en+fr/seed1"


def sources() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_gets_the_scores_of_the_workflow(project, monkeypatch, tmp_path):
    monkeypatch.chdir(project)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    first, *others = sources()
    # the same cells on the nano study, whose base model is trained by the study itself
    for old, new in [
        ("results/miniature", "results/nano"),
        (
            'encoder = tokenizer = Path("studies/miniature_base")',
            'base = results / "models/tiny"\n'
            'encoder, tokenizer = base / "encoder", base / "tokenizer"',
        ),
    ]:
        assert old in first
        first = first.replace(old, new)
    names: dict[str, object] = {}
    for source in [first, *others]:
        exec(compile(source, str(NOTEBOOK), "exec"), names)  # noqa: S102
    scores = names["scores"]
    assert len(scores) == 7
    for weight in (0, 0.5, 1):
        file = project / f"results/nano/{CELL}/lambda={weight:.2f}.json"
        recorded = json.loads(file.read_text())["test"]["f1"]
        assert scores[weight] == pytest.approx(recorded, abs=1e-6)


def test_the_notebook_shows_its_outputs_and_no_path_of_a_machine():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    shown = [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]
    text = json.dumps(shown)
    assert "image/png" in text and "F1" in text
    assert "/home/" not in text and "site-packages" not in text and "error" not in text
