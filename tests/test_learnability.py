"""The miniature must be learnable without being trivial: the whole study is run, and held to it."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from langarith import cli
from langarith.study import experiments, loading, schema
from workspace import copy_project, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(root) -> schema.Study:
    return loading.load(root / "studies/miniature.yaml")


@pytest.fixture(scope="module")
def results(root, study, tmp_path_factory) -> Path:
    """The results of the miniature, and an adapter of every language."""
    project = copy_project(root, tmp_path_factory.mktemp("miniature") / "project")
    adapters = [
        f"{study.results_dir}/adapters/tiny/language/{language}@full/seed{study.seeds[0]}/"
        "adapter.safetensors"
        for language in study.languages
    ]
    run(
        project,
        "--profile",
        "profiles/local",
        "all",
        *adapters,
    )
    return project / study.results_dir


@pytest.fixture(scope="module")
def selections(results) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted(results.rglob("selected.json"))]


def scores_at_home(results: Path, task: str) -> list[float]:
    """Test scores of a task adapter on English, by seed, in percent of its selection metric."""
    runs = sorted((results / f"adapters/tiny/task/{task}").glob("seed*/task.json"))
    return [next(iter(json.loads(path.read_text())["test"].values())) for path in runs]


@pytest.mark.parametrize(
    ("task", "least", "most"), [("ner", 50, 97), ("nli", 45, 97), ("qa", 50, 97)]
)
def test_english_is_learnt_and_not_trivial(results, task, least, most):
    assert all(least <= score <= most for score in scores_at_home(results, task))


def test_in_some_task_every_target_lies_well_below_english(results, selections, study):
    def gaps(task: str) -> list[float]:
        english = np.mean(scores_at_home(results, task))
        best = {}
        for cell in selections:
            if cell["task"] == task:
                score = next(
                    p["metrics"][cell["metric"]]
                    for p in cell["test"]
                    if p["lambda"] == cell["selected"]
                )
                best.setdefault(cell["target"], []).append(score)
        return [float(english - np.mean(scores)) for scores in best.values()]

    assert any(min(gaps(task)) >= 5 for task in study.tasks)


def test_lambda_matters_in_at_least_half_of_the_cells(selections):
    curves = [[p["metrics"][cell["metric"]] for p in cell["validation"]] for cell in selections]
    assert np.mean([max(curve) - min(curve) >= 1 for curve in curves]) >= 0.5


def test_each_language_is_modelled_best_by_its_own_adapter(results, study, root):
    from langarith.data import streams
    from langarith.merging import tensors
    from langarith.models import encoders, masking
    from langarith.models.adapters import load_adapter, named_parameters, read_adapter

    seed, recipe = study.seeds[0], study.training.language_adapter
    base = root / study.models["tiny"].path
    tokenizer = encoders.load_tokenizer(base)
    model = encoders.load_masked_lm(base)
    folders = {
        language: results / f"adapters/tiny/language/{language}@full/seed{seed}"
        for language in study.languages
    }
    load_adapter(model, folders["en"], "language", with_head=False)
    parameters = named_parameters(model, "language")
    losses: dict[str, dict[str, float]] = {language: {} for language in study.languages}
    held_out = {
        language: masking.masked_validation(
            model,
            streams.read_chunks(
                sorted((results / f"tokens/tiny/{language}").glob("*.arrow")),
                validation_documents=study.corpora.validation_documents,
                chunk_length=recipe.chunk_length,
                budget=None,
            ).validation,
            tokenizer,
            recipe.mask_probability,
            batch_size=32,
            precision="fp32",
        )
        for language in study.languages
    }
    for adapter in ("none", *study.languages):
        model.set_active_adapters(None if adapter == "none" else "language")
        if adapter != "none":
            tensors.write_in_place(parameters, read_adapter(folders[adapter]))
        for language, validate in held_out.items():
            losses[language][adapter] = validate()["loss"]
    for language, by_adapter in losses.items():
        others = {name: loss for name, loss in by_adapter.items() if name != language}
        assert by_adapter[language] < min(others.values()), (language, by_adapter)


def test_every_experiment_has_its_table_and_figure(results, study):
    shown = [name for name in study.experiments if experiments.EXPERIMENTS[name].figure]
    for name in (*shown, "learning_curves"):
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    for name in study.experiments:
        assert (results / f"tables/{name}.csv").stat().st_size
        assert (results / f"tables/{name}.md").read_text().startswith("## ")
        text = (results / f"tables/{name}.tex").read_text()
        if name == "reproduction":  # nothing to compare: a note instead of rows
            assert "None of the models" in text
        else:
            assert "\\toprule" in text
    assert set(study.experiments) == set(experiments.EXPERIMENTS)


@pytest.mark.parametrize("document", ["README.md", "docs/provenance.md"])
def test_the_documents_explain_its_numbers(results, root, document, monkeypatch, capsys):
    monkeypatch.chdir(results.parents[1])
    lines = (root / document).read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith("    langarith audit explain results/")]
    for line in found:
        _, *words = shlex.split(line, comments=True)
        if all("=" in word or "/" in word for word in words[2:]):  # numbers are of one machine
            assert cli.main(words) == 0, capsys.readouterr().err
            assert "adapters " in capsys.readouterr().out or "tables" in line or "/ada" in line


def test_a_study_that_is_not_the_papers_is_not_compared_with_it(results):
    compared = pd.read_csv(results / "tables/reproduction.csv")
    assert set(compared["verdict"]) == {"not comparable"}
