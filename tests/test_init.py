"""`langarith init`: a study for the files of a folder, which loads and reads what it should."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from langarith import cli
from langarith.commands import check, draft_sizes, drafts
from langarith.data import relatedness
from langarith.errors import InputError
from langarith.planning import costs, speed
from langarith.study import found_files, loading, schema, sources

CONLL = "Ana\tB-PER\nvive\tO\nen\tO\nLima\tB-LOC\n\n"
CONLLU = "".join(f"{n}\t{w}\t_\t{t}\t_\t_\t0\t_\t_\t_\n" for n, w, t in [(1, "a", "NOUN")]) + "\n"
TEXT = (" ".join(["A line of raw text."] * 20) + "\n") * 40


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # lang2vec takes seconds
    monkeypatch.setattr(relatedness, "query", dict.fromkeys)
    monkeypatch.setattr(relatedness, "rank", lambda target, pool, _: [
        relatedness.Candidate(other, 1, 0.5) for other in pool if other != target])  # fmt: skip


def put(path: str, content: str | bytes) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def raw(pattern: str, languages: Sequence[str]) -> None:
    for language in languages:
        put(pattern.format(language=language), f"{language}. {TEXT}")


def squad(language: str, count: int = 4) -> str:
    qas = [{"id": f"{language}{i}", "question": "Who?",
            "answers": [{"text": "Ana", "answer_start": 0}]} for i in range(count)]  # fmt: skip
    return json.dumps({"data": [{"paragraphs": [{"context": f"Ana {language}", "qas": qas}]}]})


def init(folder: str = "data") -> tuple[schema.Study, list[str]]:
    """The study that is drafted, and what the command says."""
    lines = drafts.init(Path(folder), Path("studies/mine.yaml"))
    study = loading.load("studies/mine.yaml")
    assert Path("studies/mine.yaml").read_text().startswith("# yaml-language-server: $schema=")
    assert lines[-1] == "look at its comments, then: langarith check studies/mine.yaml"
    return study, lines


def test_the_layout_of_the_guide(root: Path) -> None:
    raw("data/raw/{language}/a.txt", ["en", "es", "fr", "sw"])
    raw("data/raw/{language}/b.txt", ["en", "es"])
    put("data/ner/en/train.conll", CONLL * 3)
    for number, language in enumerate(["en", "es", "sw"], 1):
        put(f"data/ner/{language}/validation.conll", CONLL * (2 * number + 2))
        put(f"data/ner/{language}/test.conll", CONLL * (2 * number + 3))
        put(f"data/qa/{language}/xquad.json", squad(language))
    put("data/qa/en/train.json", squad("train"))
    put("data/qa/en/dev.json", squad("dev"))
    put("data/README.md", "# Data")
    study, lines = init()
    assert study.languages == ["en", "es", "fr", "sw"] and study.task_language == "en"
    assert isinstance(study.corpora, schema.FilesCorpora)
    assert study.corpora.path == "data/raw/{language}/*.txt"
    assert study.corpora.validation_documents == 4  # a tenth of the 40 documents of fr and sw
    assert study.tasks["ner"].targets == ["es", "sw"] == study.tasks["qa"].targets
    assert (study.tasks["qa"].cut, study.tasks["qa"].path) == (
        "half",
        "data/qa/{language}/xquad.json",
    )
    assert sources.task_file(study, "qa", "en", "validation") == "data/qa/en/dev.json"
    assert study.related == {"es": "fr", "sw": "es"}
    assert study.name == "mine" and study.results_dir == "results/mine"
    assert "not recognised (in no format of tasks or raw text): data/README.md" in lines
    assert check.look(study).problems == []
    first = Path("studies/mine.yaml").read_text().splitlines()[0]
    schema_file = Path("studies", first.partition("$schema=")[2])
    assert schema_file.resolve() == (root / "workflow/schemas/study.schema.json").resolve()


def test_compressed_text_jsonl_and_codes_with_scripts_in_file_names() -> None:
    line = json.dumps({"id": 1, "content": "Some text."}) + "\n"
    for language in ("en", "sr_Latn", "zh-Hant", "es-419"):
        for shard in range(2):
            put(f"data/wiki.{language}.{shard:05d}.jsonl.gz", gzip.compress(
                (line * 30).encode() + language.encode().join([b'{"content": "', b'"}\n'])
            ))  # fmt: skip
        for number, split in enumerate(("train", "dev", "test"), 3):
            rows = "".join(f"{split} {language} {i}\tgood\n{i}\tbad\n" for i in range(number))
            put(f"data/{split}_{language}.tsv", "text\tlabel\n" + rows)
    study, _ = init()
    assert study.languages == ["en", "es-419", "sr_Latn", "zh-Hant"]
    assert study.corpora.path == "data/wiki.{language}.*.jsonl.gz"
    assert study.corpora.text_column == "content"
    (task,) = study.tasks.values()
    assert (
        task.train == "data/train_{language}.tsv" and task.validation == "data/dev_{language}.tsv"
    )
    assert sources.task_type(study, "classification") == "classification"


def test_files_of_languages_that_lie_elsewhere_are_named() -> None:
    for language in ("en", "fr", "de"):
        put(f"data/text/{language}.txt.xz", lzma.compress(f"{language}\n{TEXT}".encode()))
    for number, (name, split) in enumerate(
        [(n, s) for n in ("en_ewt", "fr_gsd", "de_gsd") for s in ("train", "dev", "test")], 1
    ):
        put(f"data/ud/{name}-ud-{split}.conllu", CONLLU * number)
    study, lines = init()
    assert study.corpora.path == "data/text/{language}.txt.xz"
    for language, name in (("en", "en_ewt"), ("fr", "fr_gsd"), ("de", "de_gsd")):
        for split, word in (("validation", "dev"), ("test", "test")):
            file = sources.task_file(study, "pos", language, split)
            assert file == f"data/ud/{name}-ud-{word}.conllu"
    assert sources.task_file(study, "pos", "en", "train") == "data/ud/en_ewt-ud-train.conllu"
    assert any("): data/ud/de_gsd-ud-train.conllu, data/ud/fr_gsd" in line for line in lines)


def test_parquet_two_languages_and_a_base_model() -> None:
    for language in ("en", "no"):
        Path(f"data/corpus/{language}").mkdir(parents=True)
        pq.write_table(pa.table({"url": ["a"] * 30, "text": [f"{language} text"] * 30}),
                       f"data/corpus/{language}/train-00000.parquet")  # fmt: skip
    rows = [{"premise": "A.", "hypothesis": "B.", "label": label} for label in
            ("entailment", "neutral")]  # fmt: skip
    put("data/mnli/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows * 3))
    for number, language in enumerate(("en", "no"), 2):
        for more, split in enumerate(("validation", "test")):
            put(f"data/xnli/{language}.{split}.json", json.dumps(rows * (2 * number + more)))
    study, _ = init()
    assert study.languages == ["en", "no"] and list(study.experiments) == ["enhancement"]
    assert sources.task_file(study, "nli", "en", "train") == "data/mnli/train.jsonl"
    assert sources.task_file(study, "nli", "no", "test") == "data/xnli/no.test.json"
    assert study.models["small"].source == "pretrain"
    assert study.related == {}


def test_two_data_sets_of_one_type_are_two_tasks() -> None:
    raw("data/{language}.txt", ["en", "es", "fr"])
    number = 0
    for name in ("wikiann", "masakhaner"):
        for language in ("en", "es"):
            for split in ("train", "dev", "test"):
                number += 1
                put(f"data/{name}/{language}/{split}.txt", CONLL * number)
    study, _ = init()
    assert list(study.tasks) == ["masakhaner", "wikiann"]
    assert {task.type for task in study.tasks.values()} == {"ner"}


def test_the_scheme_of_tags_is_in_the_study() -> None:
    raw("data/{language}.txt", ["en", "es", "fr"])
    original = "-DOCSTART- -X- O O\n\nAna NNP I-NP I-PER\nvive VBZ I-VP O\nLima NNP I-NP I-LOC\n\n"
    for number, (language, split) in enumerate(
        [(lang, s) for lang in ("en", "es") for s in ("train", "dev", "test")], 2
    ):
        content = original if (language, split) == ("en", "train") else CONLL
        put(f"data/ner/{language}.{split}", content * number)
    study, _ = init()
    assert study.tasks["ner"].tags == "iob1"
    assert check.look(study).problems == []


def entities() -> None:
    """Raw text in three languages, and NER in two."""
    raw("data/raw/{language}.txt", ["en", "es", "fr"])
    for number, (language, split) in enumerate(
        [(lang, s) for lang in ("en", "es") for s in ("train", "validation", "test")], 2
    ):
        put(f"data/ner/{split}.{language}.conll", CONLL * number)


def test_a_base_model_is_used(root: Path) -> None:
    entities()
    Path("data/models").mkdir()
    Path("data/models/tiny").symlink_to(root / "studies/miniature_base")
    study, _ = init()
    assert {name: spec.source for name, spec in study.models.items()} == {"tiny": "files"}


def test_base_models_of_one_name_are_numbered(root: Path) -> None:
    entities()
    for folder in ("first/encoder", "second/encoder"):
        shutil.copytree(root / "studies/miniature_base", f"data/{folder}")
    study, _ = init()
    paths = {name: getattr(spec, "path", "") for name, spec in study.models.items()}
    assert paths == {"encoder": "data/first/encoder", "encoder-2": "data/second/encoder"}


def test_a_base_model_outside_of_the_folder_is_named(root: Path) -> None:
    entities()
    Path("data/models").mkdir()
    Path("data/models/tiny").symlink_to(root / "studies/miniature_base")
    shutil.copytree(root / "studies/miniature_base", "elsewhere/encoder")
    assert cli.main(["init", "data", "--model", "elsewhere/encoder"]) == 0
    (model,) = loading.load("studies/mine.yaml").models.values()
    assert isinstance(model, schema.FilesModel) and model.path == "elsewhere/encoder"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my model (v2)", "my-model-v2"),
        ("модель", "model"),
        ("models--x--e5-small/snapshots/0123abc", "e5-small"),
        ("models--xlm-roberta-base/snapshots/0123abc", "xlm-roberta-base"),
    ],
)
def test_the_name_of_a_base_model_is_one_of_a_folder(root: Path, folder: str, name: str) -> None:
    entities()
    shutil.copytree(root / "studies/miniature_base", folder)
    drafts.init(Path("data"), Path("studies/mine.yaml"), Path(folder))
    assert list(loading.load("studies/mine.yaml").models) == [name]


def test_a_base_model_that_is_named_must_be_usable() -> None:
    entities()
    with pytest.raises(InputError, match=r"^--model elsewhere: .*config\.json"):
        drafts.init(Path("data"), Path("studies/mine.yaml"), Path("elsewhere"))
    assert not Path("studies/mine.yaml").exists()


def test_a_base_model_without_a_masked_lm_head_learns_one(root: Path) -> None:
    entities()
    shutil.copytree(root / "studies/miniature_base", "data/models/tiny")
    weights = Path("data/models/tiny/model.safetensors")
    encoder = {n: t for n, t in load_file(weights).items() if not n.startswith("lm_head.")}
    save_file(encoder, weights, metadata={"format": "pt"})
    study, _ = init()
    spec = study.models["tiny"]
    assert isinstance(spec, schema.ContinuedModel) and spec.start == "data/models/tiny"
    assert check.look(study).problems == []


def test_a_base_model_that_cannot_be_used_is_left_out(root: Path) -> None:
    entities()
    shutil.copytree(root / "studies/miniature_base", "data/models/tiny")
    config = Path("data/models/tiny/config.json")
    config.write_text(config.read_text().replace("xlm-roberta", "distilbert"))
    study, lines = init()
    assert list(study.models) == ["small"] and check.look(study).problems == []
    assert any("left out the base model data/models/tiny: " in line for line in lines)


@pytest.mark.parametrize(
    ("gpu", "tokens", "steps", "batch", "seeds"),
    [
        # 4 MB of text: a million subwords of four languages
        (False, 2.5e5, 600, 64, 1),
        (True, 2.5e5, 600, 64, 1),
        (False, 1e8, 600, 64, 1),
        (True, 1e8, 5000, 64, 3),
        (True, 6e6, 3600, 64, 3),
        (False, 1e4, 24, 64, 1),
    ],
)
def test_sizes_fit_the_text_and_the_machine(
    gpu: bool, tokens: float, steps: int, batch: int, seeds: int
) -> None:
    sizes = draft_sizes.Sizes(dict.fromkeys(["en", "es", "fr", "de"], tokens), {}, gpu)
    training, drafted = sizes.adapter
    assert (drafted, training.batch, len(sizes.scale.seeds)) == (steps, batch, seeds)
    assert drafted * training.step <= draft_sizes.EPOCHS * tokens


def test_a_large_base_model_takes_fewer_steps_without_a_gpu(tmp_path: Path) -> None:
    steps = []
    for layers, width in ((2, 64), (12, 768)):
        sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width}
        put("model/config.json", json.dumps(sizes | {"vocab_size": 100_000}))
        drafted = draft_sizes.Sizes({"en": 1e7, "es": 1e7}, {"model": True}, gpu=False)
        steps.append(drafted.adapter[1])
    assert steps == [draft_sizes.SMALL.adapter.most, draft_sizes.MIN_STEPS]


@pytest.mark.parametrize(
    ("width", "flags", "gpu", "precision"),
    [
        (384, "flags : fpu avx512_bf16 amx_tile", False, "bf16"),
        (384, "flags : fpu avx512_bf16 amx_tile", True, "auto"),
        (384, "flags : fpu avx512f", False, "auto"),
        (64, "flags : fpu avx512_bf16", False, "auto"),
    ],
)
def test_a_cpu_with_bf16_computes_wide_models_in_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, width: int, flags: str, gpu: bool, precision: str
) -> None:
    entities()
    put("cpuinfo", flags)
    monkeypatch.setattr(speed, "CPUINFO", Path("cpuinfo"))
    monkeypatch.setattr(speed, "has_gpu", lambda: gpu)
    monkeypatch.setattr(costs, "config_shape", lambda _: (2, width, 4 * width, 5000))
    shutil.copytree(root / "studies/miniature_base", "data/models/encoder")
    study, _ = init()
    training = study.training
    recipes = [training.language_adapter.precision, training.task_adapter.precision]
    assert [*recipes, study.evaluation.precision] == [precision] * 3


def test_the_draft_says_where_its_sizes_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    entities()
    monkeypatch.setattr(speed, "has_gpu", lambda: False)
    study, _ = init()
    text = Path("studies/mine.yaml").read_text()
    assert "# Sizes for two CPU cores, since torch sees no GPU; a language has about 4," in text
    assert "# On a GPU, with more text: 5000 steps, batch_size 64,\n" in text
    assert "To use another one, write its code instead." in text
    assert study.tasks["ner"].examples == {"train": 5000, "validation": 400, "test": 1000}
    recipe = study.training.language_adapter
    assert recipe.steps * recipe.batch_size * recipe.chunk_length < 5 * 4100
    spec = study.models["small"]
    assert spec.training.steps * spec.training.batch_size * spec.training.chunk_length < 10 * 12300
    Path("studies/mine.yaml").unlink()
    monkeypatch.setattr(speed, "has_gpu", lambda: True)
    monkeypatch.setattr(costs, "text_tokens", lambda _: 1e8)
    study, _ = init()
    assert study.training.language_adapter.steps == 5000 and study.tasks["ner"].examples == {}
    assert (
        "# Sizes for a GPU; a language has about 100 million subwords."
        in Path("studies/mine.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("a.txt", "Just text.\nMore text.\n", "text"),
        ("a.txt", "Ana B-PER\nvive O\n", "ner"),
        ("a.tsv", CONLL, "ner"),
        ("a.tsv", "premise\thypothesis\tlabel\na\tb\t0\n", "nli"),
        ("a.tsv", "text\ttext_pair\tlabel\na\tb\t0\n", "classification"),
        ("a.conll", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n", "ner"),
        ("a.iob2", "# sent_id = 1\n1\tEU\tB-ORG\t-\tx\n2\tis\tO\t-\tx\n", "ner"),
        ("a.bio", "en:EU\tB-ORG\nen:is\tO\n", "ner"),
        ("a.txt", "gold_label\tsentence1\tsentence2\tgenre\n-\ta\tb\tfiction\n", "nli"),
        ("a.jsonl", '{"sentence1": "a", "sentence2": "b", "gold_label": "-"}\n', "nli"),
        ("a.conllu", CONLLU, "pos"),
        ("a.json", squad("en"), "qa"),
        ("a.jsonl", '{"body": "text"}\n', "text"),
    ],
)
def test_kinds_are_recognised_by_content(path: str, content: str, kind: str) -> None:
    put(f"en/{path}", content)
    assert [file.kind for file in found_files.look(Path("en")).files or []] == (
        [kind] if kind != "text" else []
    )  # raw text needs a language, and the folder itself is not part of it
    put(f"data/en/{path}", content)
    (file,) = found_files.look(Path("data")).files
    assert (file.kind, file.language) == (kind, "en")


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("a.csv", "a,b", "in no format"),
        ("en.txt", "", "empty"),
        ("en.txt", b"\xff\xfe\0", "not UTF-8"),
        ("notes.txt", "text", "raw text without a language code in its path"),
        ("en/a.conll", "Ana\tB-PER\tB-PER\nvive\tO\tO\n", "columns 2 and 3 are tags, as in"),
        (
            "xnli.dev.tsv",
            "language\tgold_label\tsentence1\tsentence2\nfr\tneutral\ta\tb\n",
            "rows of several languages; name it in the study, with columns: {language: language}",
        ),
        ("en/a.tsv", "a\tb\n1\t2\n", "a table whose header is 'a\tb'"),
        ("en/a.json", '{"a": 1}', "which is neither SQuAD nor rows of a task"),
        ("en/a.jsonl", '{"n": 1}\n', "columns n, which are those of no task and no text"),
    ],
)
def test_other_files_are_listed_with_a_reason(path: str, content: str | bytes, reason: str) -> None:
    put(f"data/{path}", content)
    found = found_files.look(Path("data"))
    assert not found.files
    assert reason in found.others[f"data/{path}"]


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    put("studies/mine.yaml", "name: precious\n")
    Path("data").mkdir()
    assert cli.main(["init", "data"]) == 1
    said = capsys.readouterr().err
    assert said == ("studies/mine.yaml exists already; name another file (--to), or remove it\n")
    assert Path("studies/mine.yaml").read_text() == "name: precious\n"


def test_what_is_missing_for_a_study_is_said_and_nothing_written() -> None:
    def refusal() -> str:
        with pytest.raises(InputError) as caught:
            drafts.init(Path("data"), Path("studies/mine.yaml"))
        assert not Path("studies").exists() or not any(Path("studies").iterdir())
        return str(caught.value)

    with pytest.raises(InputError, match="data is no folder"):
        drafts.init(Path("data"), Path("studies/mine.yaml"))
    raw("data/{language}.txt", ["en"])
    assert "data: raw text of en; two languages at least are needed" in refusal()
    raw("data/{language}.txt", ["es", "fr"])
    assert "no task data: training, validation and test files of one task" in refusal()
    put("data/ner/es/test.conll", CONLL)
    put("data/ner/en/train.conll", CONLL * 2)
    assert "data: ner: no validation and no test file of en, the task language" in refusal()
    put("data/ner/en/dev.conll", CONLL * 3)
    put("data/ner/en/test.conll", CONLL * 4)
    assert "ner: no other language has raw text and files of validation and test" in refusal()
    put("data/squad/train.json", squad("en"))
    assert "qa: no validation and no test file of en, the task language" in refusal()
