"""Limited runs: the jobs of the whole study, on the first part of its data, in other folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from langarith import cli, tasks
from langarith.commands import check
from langarith.data import readers, streams
from langarith.errors import InputError
from langarith.operands import Operand
from langarith.planning import costs
from langarith.study import experiments, limits, loading, schema, sources
from test_data_checks import Place, ner, write
from workspace import copy_project, planned_jobs, run

LIMIT = {"documents": 10, "examples": 10, "steps": 6, "task_steps": 6}


def load(path: Path, **limit: Any) -> schema.Study:
    return loading.load(path, {"limit": limit or "small"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study of own files: 20 documents of each language, 2 to 18 examples of a split."""
    return write(tmp_path / "own.yaml", yaml.safe_dump(Place(tmp_path).study))


# ---------------------------------------------------------------- the study


def test_a_limited_study_has_names_and_folders_of_its_own(root: Path) -> None:
    whole, small = loading.load(root / "config.yaml"), load(root / "config.yaml")
    assert (small.name, small.results_dir) == (f"{whole.name}-limited", "results-limited")
    assert whole.checkpoint_dir is None and small.checkpoint_dir is None
    moved = loading.load(root / "config.yaml", {"limit": "small", "checkpoint_dir": "/scratch/a/"})
    assert moved.checkpoint_dir == "/scratch/a-limited"


def test_a_limited_study_has_the_same_models_grids_and_cells(root: Path) -> None:
    for name in ("config.yaml", "studies/miniature.yaml"):
        whole, small = loading.load(root / name), load(root / name)
        assert experiments.all_cells(small) == experiments.all_cells(whole)
        for experiment in whole.experiments:
            assert experiments.runs(small, experiment) == experiments.runs(whole, experiment)
        same = ("lambdas", "adapters", "seeds", "budgets", "evaluation", "selection", "related")
        assert all(getattr(small, key) == getattr(whole, key) for key in same)
        for model, spec in whole.models.items():
            kept = spec.model_dump(exclude={"training"})
            assert small.models[model].model_dump(exclude={"training"}) == kept


def test_a_limit_bounds_documents_examples_and_steps(root: Path) -> None:
    small = load(root / "config.yaml", documents=100, examples=50, steps=8, task_steps=20)
    assert (small.corpora.documents, small.corpora.validation_documents) == (100, 20)
    for task in small.tasks.values():
        assert task.examples == {"test": 50, "train": 500, "validation": 50}
    language, task = small.training.language_adapter, small.training.task_adapter
    assert (language.steps, language.evaluate_every, language.accumulation) == (8, 4, 4)
    assert (task.steps, task.epochs, task.evaluate_every) == (20, None, 10)
    trained = load(root / "studies/miniature.yaml", task_steps=8, examples=10).tasks["qa"]
    assert trained.examples == {"test": 10, "train": 100, "validation": 10}
    assert trained.training is None or trained.training.steps == 8


def test_a_limit_raises_nothing(root: Path) -> None:
    whole = loading.load(root / "studies/nano.yaml")
    small = load(root / "studies/nano.yaml", documents=1000, examples=1000, steps=1000)
    assert small.corpora == whole.corpora
    assert small.tasks["ner"].examples == whole.tasks["ner"].examples
    steps = whole.training.language_adapter.steps
    assert small.training.language_adapter.steps == steps == 20


def test_numbers_left_out_are_those_of_small(root: Path) -> None:
    assert load(root / "config.yaml", steps=5).limit == limits.Limit(steps=5)
    assert load(root / "config.yaml").limit == limits.Limit()
    # Snakemake hands over a block of --config with numbers as text
    assert load(root / "config.yaml", steps="5").limit == limits.Limit(steps=5)


def test_a_study_without_a_limit_is_as_it_was(root: Path) -> None:
    study = loading.load(root / "studies/own_files.yaml", {"corpora": {
        "source": "miniature", "documents": 50, "validation_documents": 5}, "tasks": {
        "ner": {"source": "miniature", "targets": ["es"], "examples": {
            "train": 9, "validation": 9, "test": 9}}}})  # fmt: skip
    assert limits.limited(study) is study
    assert "limit" not in loading.identity(study)
    assert sources.text_reading(study) == {"text_column": "text"}
    assert "examples" not in sources.task_reading(study, "ner", "en")


def test_captions_say_that_a_study_is_limited(root: Path) -> None:
    study = loading.load(
        root / "studies/miniature.yaml",
        {"limit": "small", "caption": False, "experiments": {"zero_shot": {"caption": False}}},
    )
    assert study.note.startswith("Limited run, whose scores mean nothing: at most 200 documents of")
    assert study.caption and study.experiments["zero_shot"].caption


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("tiny", "limit: 'tiny' is no limit; write small, or {steps: 10, task_steps: 150}"),
        (None, "limit: '' is no limit; write small, or {steps: 10, task_steps: 150}"),
        (3, "limit: 3 is no limit; write small, or {steps: 10, task_steps: 150}"),
        (True, "limit: true is no limit; write small, or {steps: 10, task_steps: 150}"),
        ({"documents": 1}, "limit.documents is 1; write a number of at least 10"),
        ({"steps": "few"}, "limit.steps is 'few'; write a whole number"),
        ({"step": 3}, "limit: unknown key 'step' (did you mean 'steps'?)"),
    ],
)
def test_a_bad_limit_is_refused(root: Path, limit: Any, says: str) -> None:
    path = root / "studies/nano.yaml"
    with pytest.raises(InputError) as caught:
        loading.load(path, {"limit": limit})
    assert str(caught.value) == f"{path}: {says}"


# ---------------------------------------------------------------- what is read


def test_documents_after_the_first_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n" + b"three\n" * 10 + b"\xff\n")  # not UTF-8 at its end
    assert list(readers.read_documents(path, documents=2)) == ["one", "two"]
    with pytest.raises(InputError, match="not UTF-8"):
        list(readers.read_documents(path))


def test_chunks_are_of_the_first_documents_of_all_streams(tmp_path: Path) -> None:
    words = {f"w{i}": i for i in range(100)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    paths = []
    for shard in range(2):
        texts = [f"w{10 * shard + i} " * 4 for i in range(10)]
        paths.append(tmp_path / f"{shard}.arrow")
        streams.tokenize_documents(texts, tokenizer, paths[-1], batch=3)
    given: dict[str, Any] = {"validation_documents": 2, "chunk_length": 4}

    def read(documents: int | None, budget: int | None) -> list[int]:
        chunks = streams.read_chunks(paths, **given, budget=budget, documents=documents)
        assert chunks.validation[:, 0].tolist() == [0, 1]
        return chunks.train[:, 0].tolist()

    assert read(None, None) == list(range(2, 20))
    assert read(13, None) == list(range(2, 13))
    assert read(13, 8) == [2, 3]
    assert read(13, 4000) == read(13, None)  # more than there is of them
    with pytest.raises(InputError, match="the budget of 4000 needs"):
        read(None, 4000)
    with pytest.raises(InputError) as caught:
        read(2, 4000)
    assert str(caught.value).endswith(
        ": 0 training tokens are left after the first 2 of 2 documents, which are held out, but "
        "one training chunk of 4 needs 4; read more (documents) or hold out fewer "
        "(validation_documents, 2)."
    )
    with pytest.raises(InputError, match="left after the first 1 of 1 documents, which are held"):
        read(1, None)


def test_fewer_examples_of_a_sorted_file_keep_all_its_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "train.conll", ner("PER", again=45) + ner("LOC", again=55))
    task = tasks.get("ner")
    reading = {"cuts": {"train": None}, "examples": {"train": 20}}
    assert task.classes(task.read_split(path, "train", reading)) == {"PER": 9, "LOC": 11}
    for count in (100, 1000):
        examples = task.read_split(path, "train", {**reading, "examples": {"train": count}})
        assert examples == task.read(path)


def test_a_limited_study_of_own_files_reads_their_first_part_alone(file: Path) -> None:
    lines = cli.check_study(file, {"limit": LIMIT})
    # 10 documents of 3 languages; of the splits of 2, 4, 6, 10, 12, 16 and 18 examples 10 at most
    assert "with 30 documents; 7 task files (1.2 kB) with 52 examples" in lines[-2]
    study = load(file, **LIMIT)
    assert sources.text_reading(study) == {"text_column": "text", "documents": 10}
    assert sources.text_parts(study) == {"validation_documents": 2, "documents": 10}
    assert sources.task_reading(study, "ner", "es")["examples"] == {"test": 10, "validation": 10}
    reading = sources.task_reading(study, "ner", "fr")
    path = Path(sources.task_file(study, "ner", "fr", "test"))
    assert len(tasks.get("ner").read_split(path, "test", reading)) == 10


def test_only_the_first_files_that_hold_the_documents_are_read(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for language in place.study["languages"]:
        for shard in "abc":
            write(tmp_path / f"raw/{language}/{shard}.txt", "A line of text.\n" * 50_000)
    place.study["corpora"]["path"] = f"{tmp_path}/raw/{{language}}/*.txt"
    place.study["budgets"] = {"es": ["1M"]}
    path = write(tmp_path / "own.yaml", yaml.safe_dump(place.study))
    # 800 kB are 50,000 tokens at least, enough for 12 documents of 4,000 tokens
    for documents, files in ((10, 1), (15, 2), (1000, 3)):
        study = load(path, documents=documents)
        for budget in ("full", "1M", "1k"):
            assert len(sources.shards(study, "es", budget)) == files
    assert len(sources.shards(loading.load(path), "es")) == 3


def test_labels_of_a_ready_made_task_adapter_come_from_all_training_data(root: Path) -> None:
    study = loading.load(root / "config.yaml")
    model = study.models["mbert"].model_copy(update={"task_adapters": {"ner": "owner/ner@main"}})
    study = study.model_copy(
        update={"models": {"mbert": model}, "limit": limits.Limit(examples=40)}
    )
    small = limits.limited(study)
    assert small.tasks["ner"].examples == {"test": 40, "validation": 40}
    assert small.tasks["nli"].examples == {"test": 40, "train": 400, "validation": 40}


# ---------------------------------------------------------------- what it costs, and its jobs


def test_the_plan_of_a_limited_study_is_that_of_its_parts(root: Path) -> None:
    whole, small = loading.load(root / "config.yaml"), load(root / "config.yaml")
    for need in (
        lambda needs: needs.language_adapter("xlm-roberta-base", "en", "full"),
        lambda needs: needs.task_adapter("xlm-roberta-base", "nli"),
    ):
        assert need(costs.Needs(small)).seconds < 60
        assert need(costs.Needs(whole)).seconds > 1000
    assert costs.most_examples(small, "nli") == (200, 20, 20)


def test_the_papers_study_limited_has_the_jobs_that_the_docs_state(root: Path) -> None:
    """It reads one shard of each language; nothing else of its jobs changes."""
    whole, small = loading.load(root / "config.yaml"), load(root / "config.yaml")
    fewer = []
    for study in (whole, small):
        runs = {run for name in study.experiments for run in experiments.runs(study, name)}
        read = {
            (run.model, path)
            for run in runs
            if run.kind == "language"
            for operand in [Operand.parse(run.name)]
            for path in sources.shards(study, operand.language, operand.budget)
        }
        fewer.append(len(read) + len({path for _, path in read}))  # token streams and downloads
    assert {len(sources.shards(small, language)) for language in whole.languages} == {1}
    page = " ".join((root / "docs/studies.md").read_text().split())
    (jobs, of) = re.findall(r"\*\*([\d,]+)\*\* jobs instead of ([\d,]+):", page)[0]
    assert int(of.replace(",", "")) - int(jobs.replace(",", "")) == fewer[0] - fewer[1] == 417


@pytest.mark.slow
def test_own_files_limited_have_the_jobs_that_the_docs_state(root: Path, tmp_path: Path) -> None:
    project = copy_project(root, tmp_path / "project")
    for language in ("en", "es", "fr", "de", "ru", "sw"):
        write(project / f"data/raw/{language}/a.txt", "text\n" * 300)
        for task, suffix in (("ner", "conll"), ("nli", "tsv"), ("qa", "json")):
            for split in ("train", "validation", "test"):
                write(project / f"data/{task}/{language}/{split}.{suffix}", "text\n")
        write(project / f"data/qa/{language}/xquad.json", "text\n")
    limited = ("--configfile", "studies/own_files.yaml", "--config", "limit=small")
    jobs = f"**{sum(planned_jobs(project, *limited).values())}** jobs"
    for page in ("docs/studies.md", "docs/your_own_data.md"):
        assert jobs in (root / page).read_text(), page
    # and its jobs are given the limit
    stream = "results/own_files-limited/tokens/small/en/a.arrow"
    run(project, stream, "--cores", "1", *limited)
    assert len(streams.open_stream(project / stream)) == limits.Limit().documents == 200


def test_the_command_takes_a_limit(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(file), "--limit", "{documents: 10, examples: 10}"]) == 0
    assert "with 30 documents" in capsys.readouterr().out
    assert cli.main(["check", str(file), "--limit", "large"]) == 1
    assert "limit: 'large' is no limit" in capsys.readouterr().err
    assert cli.main(["check", str(file), "--limit", "{"]) == 1
    assert "--limit: '{' is no limit; write small" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "plan", "status"])
def test_an_empty_limit_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """As of an unset variable of the shell."""
    assert cli.main([command, str(file), "--limit", ""]) == 1
    assert capsys.readouterr().err == (
        f"{file}: limit: '' is no limit; write small, or {{steps: 10, task_steps: 150}}\n"
    )


def test_what_the_check_says_of_documents_is_of_those_that_are_read(file: Path) -> None:
    study = load(file, **LIMIT)
    assert check.look(study).problems == []
    corpora = study.corpora.model_copy(update={"validation_documents": 10})
    (problem,) = {p.replace("es", "en").replace("fr", "en") for p in check.look(
        study.model_copy(update={"corpora": corpora})).problems}  # fmt: skip
    assert "10 documents are held out, and the corpus of en has 10" in problem
