"""Data that would change numbers without a word: refused, or warned of, before anything trains."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from langarith import cli, tasks
from langarith.commands import check
from langarith.data import readers
from langarith.errors import InputError, InputWarning, gathered_warnings
from langarith.study import loading
from langarith.tasks.nli import LABELS
from langarith.tasks.shared.base import Encoding

NER, NLI, POS, QA = map(tasks.get, ("ner", "nli", "pos", "qa"))
SENTENCE = "Ana\tB-PER\nvive\tO\nen\tO\nLima\tB-LOC\n\n"


def refusal(call: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*given)
    return str(caught.value)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---------------------------------------------------------------- a study of own files


def ner(*types: str, again: int = 1) -> str:
    """A sentence for each type, and a file of its own by the number of sentences."""
    return "".join(f"Ana\tB-{kind}\nvive\tO\n\n" for kind in types) * again


class Place:
    """A study of own files in a folder, each file of which a test may replace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for language in ("en", "es", "fr"):
            write(folder / f"raw/{language}.txt", f"Some text in {language}, again.\n" * 20)
        for number, (language, split) in enumerate(
            [(lang, s) for lang in ("en", "es", "fr") for s in ("train", "validation", "test")], 1
        ):
            write(folder / f"ner/{language}/{split}.conll", ner("PER", "LOC", again=number))
        places = {s: f"{folder}/ner/{{language}}/{s}.conll" for s in ("train", "validation")}
        recipe = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3}
        self.study: dict[str, Any] = {
            "name": "own",
            "results_dir": str(folder / "results"),
            "languages": ["en", "es", "fr"],
            "task_language": "en",
            "seeds": [1],
            "models": {
                "tiny": {
                    "source": "pretrain",
                    "languages": ["en", "es", "fr"],
                    "vocabulary": 300,
                },
            },
            "corpora": {
                "source": "files",
                "path": f"{folder}/raw/{{language}}.txt",
                "validation_documents": 4,
            },
            "tasks": {
                "ner": {
                    "source": "files",
                    "targets": ["es", "fr"],
                    "test": f"{folder}/ner/{{language}}/test.conll",
                    **places,
                }
            },
            "related": {"es": "fr", "fr": "es"},
            "training": {"language_adapter": {**recipe, "chunk_length": 16}},
            "experiments": {"zero_shot": {}},
        }

    def load(self) -> Any:
        return loading.load(write(self.folder / "own.yaml", yaml.safe_dump(self.study)))

    def look(self) -> check.Found:
        return check.look(self.load())

    def problems(self) -> str:
        return "\n".join(self.look().problems)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_whole_study_has_no_problem_and_says_what_was_looked_at(place: Place) -> None:
    lines = cli.check_study(write(place.folder / "own.yaml", yaml.safe_dump(place.study)))
    assert lines[-2:] == [
        "looked at: 3 raw files (1.4 kB) with 60 documents; 7 task files (1.2 kB) with 68 "
        "examples; free space on disk",
        f"{place.folder}/own.yaml: nothing is wrong with what its jobs will read",
    ]


def test_types_that_training_lacks_are_counted_in_a_warning(place: Place) -> None:
    write(place.folder / "ner/es/test.conll", ner("PER", "LOC", "ORG", "MISC", "ORG", again=2))
    found = place.look()
    assert found.problems == []
    (warning,) = [line for line in found.lines() if line.startswith("warning")]
    assert "ner, es, test" in warning
    assert "2 of 4 entity types cannot be predicted" in warning
    assert "MISC (2), ORG (4)" in warning


def test_parallel_test_sets_of_different_sizes_are_warned_of(place: Place) -> None:
    place.study["tasks"]["ner"]["parallel"] = True
    (warning,) = place.look().warnings
    assert str(warning).startswith(
        "tasks.ner.parallel: test sets have different numbers of examples: 12 (es), 18 (fr); only"
    )
    write(place.folder / "ner/fr/test.conll", ner("LOC", "PER", again=6))
    assert not place.look().warnings


def test_warnings_of_one_kind_are_together() -> None:
    beyond = "words are beyond the first 128 subwords; raise 'max_length'"
    found = check.Found(
        warnings=[
            InputWarning("ner, en, train (en.conll)", f"143 of 115,852 (0.1 %) {beyond}"),
            InputWarning("models.a.languages", "sw not among them"),
            InputWarning("ner, sw, test (sw.conll)", f"3 of 40 (7.5 %) {beyond}"),
            InputWarning("en/2.txt", "it holds the same text as en/1.txt"),
            InputWarning("en/4.txt", "it holds the same text as en/3.txt"),
        ]
    )
    assert found.lines()[:-1] == [
        f"warning: ner, en, train (en.conll): 143 of 115,852 (0.1 %) {beyond}",
        "    also ner, sw, test (sw.conll): 3 of 40 (7.5 %)",
        "warning: models.a.languages: sw not among them",
        "warning: en/2.txt: it holds the same text as en/1.txt",
        "warning: en/4.txt: it holds the same text as en/3.txt",
    ]


def test_types_that_do_not_meet_are_refused(place: Place) -> None:
    write(place.folder / "ner/es/test.conll", ner("PERSON", "per"))
    (problem,) = place.look().problems
    assert "ner, es, test" in problem and f"{place.folder}/ner/es/test.conll" in problem
    assert (
        "none of its entity types (PERSON, per) is among those of the training data (LOC, PER)"
        in (problem)
    )


def test_training_data_without_an_entity_are_refused(place: Place) -> None:
    write(place.folder / "ner/en/train.conll", "vive\tO\n\nen\tO\n")
    assert "ner, en, train" in place.problems()
    assert "it has no entity type, but training needs at least" in place.problems()


def test_labels_of_one_class_are_refused_and_rare_tags_warned_of() -> None:
    assert "it has one label (neutral)" in refusal(NLI.check_trained, {"neutral": 3}, "nli")
    assert "none of its tags (X)" in refusal(POS.check_classes, {"NOUN": 3}, {"X": 1}, "pos")
    with gathered_warnings() as found:
        POS.check_classes({"NOUN": 3}, {"X": 1, "NOUN": 7}, "pos")
        QA.check_classes({}, {}, "qa")
    assert [str(w) for w in found] == [
        "pos: 1 of 2 tags cannot be predicted, since the training data have none of them: X (1)"
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "tsv", "parquet"])
def test_second_texts_are_in_all_files_of_a_task_or_in_none(place: Place, suffix: str) -> None:
    names = {
        s: f"{place.folder}/texts/{{language}}.{s}.{suffix}"
        for s in ("train", "validation", "test")
    }
    place.study["tasks"] = {
        "texts": {"source": "files", "type": "classification", "targets": ["es", "fr"], **names}
    }

    def give(language: str, split: str, pair: bool) -> None:
        columns = ["text", "text_pair", "label"] if pair else ["text", "label"]
        rows = [[f"{column} {language} {split}" for column in columns] for _ in "ab"]
        for row, label in zip(rows, "ab", strict=True):
            row[-1] = label
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        path = Path(names[split].format(language=language))
        if suffix == "parquet":
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(objects), path)
        elif suffix == "tsv":
            write(path, "".join("\t".join(row) + "\n" for row in [columns, *rows]))
        else:
            write(path, "".join(json.dumps(row) + "\n" for row in objects))

    for trained in (True, False):
        for language in ("en", "es", "fr"):
            for split in names:
                give(language, split, trained)
        assert place.look().problems == []
        give("en", "validation", not trained)
        give("fr", "test", not trained)
        here, there = ("lack", "have") if trained else ("have", "lack")
        assert place.look().problems == [
            f"texts, {language}, {split} ({names[split].format(language=language)}): its rows "
            f"{here} 'text_pair', but those of the training data {there} it; give it in the files "
            "of all languages and splits or in none."
            for language, split in (("en", "validation"), ("fr", "test"))
        ]


def test_one_file_in_two_roles_is_refused(place: Place) -> None:
    task = place.study["tasks"]["ner"]
    task["test"] = task["validation"]
    said = refusal(place.load)
    for language in ("en", "es", "fr"):
        assert f"is read for both {language}, validation and {language}, test" in said
    place.study["tasks"]["ner"] |= {"test": f"{place.folder}/ner/es/test.conll"}
    assert "is read for both en, test and fr, test" in refusal(place.load)


def test_links_and_copies_are_the_same_file(place: Place) -> None:
    (place.folder / "ner/fr/test.conll").unlink()
    (place.folder / "ner/fr/test.conll").symlink_to(place.folder / "ner/es/test.conll")
    assert "is read for both es, test and fr, test" in refusal(place.load)
    (place.folder / "ner/fr/test.conll").unlink()
    write(place.folder / "ner/fr/test.conll", (place.folder / "ner/es/test.conll").read_bytes())
    assert f"fr/test.conll is a copy of {place.folder}/ner/es/test.conll" in place.problems()


def test_languages_that_the_base_model_has_not_seen_are_named(place: Place) -> None:
    place.study["models"]["tiny"]["languages"] = ["en", "es"]
    (warning,) = place.look().warnings
    assert str(warning).startswith("models.tiny.languages: fr not among them: the model and its")


def test_a_target_without_a_related_language_is_found(place: Place) -> None:
    place.study |= {"related": {"es": "fr"}, "experiments": {"zero_shot": {}}}
    assert "related.fr is not set: name it in the study, or let URIEL propose" in place.problems()


def test_two_languages_do_not_share_a_raw_file(place: Place) -> None:
    text = (place.folder / "raw/es.txt").read_bytes()
    write(place.folder / "raw/fr.txt", text)
    (warning,) = place.look().warnings
    assert str(warning) == (
        f"{place.folder}/raw/fr.txt: it holds the same text as {place.folder}/raw/es.txt"
    )
    (place.folder / "raw/fr.txt").unlink()
    os.link(place.folder / "raw/es.txt", place.folder / "raw/fr.txt")
    assert "raw/fr.txt of language 'fr' is the same file as" in refusal(place.load)


def test_half_of_a_file_with_a_cut_is_no_second_role(tmp_path: Path, place: Place) -> None:
    task = place.study["tasks"]["ner"]
    del task["validation"], task["test"]
    task |= {"type": "qa", "path": f"{tmp_path}/ner/{{language}}/test.conll", "cut": "half"}
    assert place.load()


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        (["one line"] * 4, "4 documents are held out, and the corpus of es has 4"),
        (["a"] * 3 + ["word " * 9] * 9, "first 4 documents of es have fewer tokens than"),
        (["word " * 9] * 4 + ["a"], "at most 4 tokens after the first 4 documents, too few for a"),
    ],
)
def test_a_corpus_that_cannot_be_cut_is_refused(
    place: Place, documents: list[str], says: str
) -> None:
    place.study["training"]["language_adapter"]["chunk_length"] = 64
    for language in ("en", "fr"):
        write(place.folder / f"raw/{language}.txt", f"Enough text in {language} to cut. \n" * 90)
    write(place.folder / "raw/es.txt", "\n".join(documents))
    assert says in place.problems()


def test_folders_to_write_to_are_no_files(place: Place) -> None:
    place.study["checkpoint_dir"] = str(place.folder / "raw/es.txt")
    assert f"checkpoint_dir: {place.folder}/raw/es.txt is a file; name a folder" in (
        refusal(place.load)
    )


def test_brackets_in_a_folder_are_no_pattern(place: Place) -> None:
    (place.folder / "raw").rename(place.folder / "raw[1]")
    place.study["corpora"]["path"] = f"{place.folder}/raw[1]/{{language}}*.txt"
    assert place.look().looked_at[0].startswith("3 raw files")


def test_pipes_are_refused_and_not_waited_for(place: Place) -> None:
    for file in ("raw/es.txt", "ner/es/test.conll"):
        (place.folder / file).unlink()
        os.mkfifo(place.folder / file)
    said = refusal(place.load)
    assert "raw/es.txt is a pipe or another special file; only regular files are read" in said
    assert "ner/es/test.conll (es, test) is a pipe or another special file" in said
    for read in (lambda path: list(readers.read_lines(path)), readers.read_documents):
        assert "only regular files are read" in refusal(read, place.folder / "raw/es.txt")


def test_a_repeated_key_is_refused_with_its_lines(place: Place) -> None:
    path = write(place.folder / "own.yaml", yaml.safe_dump(place.study) + "seeds: [7]\n")
    said = refusal(loading.load, path)
    assert "key 'seeds' appears twice (lines " in said


# ---------------------------------------------------------------- files that are not what they seem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hello world\n".encode("utf-16-le"), "line 1 contains a zero byte"),
        ("пример\n".encode("utf-16-le"), "zero byte"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "git-lfs"),
        (b"one\rtwo\rthree", "only carriage returns end its lines"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path / "a.txt", content)
    assert says in refusal(lambda: list(readers.read_documents(path)))
    if b"lfs" in content:
        for suffix in ("txt.gz", "parquet"):
            path = write(tmp_path / f"a.{suffix}", content)
            assert says in refusal(lambda given: list(readers.read_documents(given)), path)


def test_carriage_returns_before_a_line_feed_are_no_part_of_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\r\ntwo, a\rb\r\n")
    assert list(readers.read_documents(path)) == ["one", "two, a\rb"]


@pytest.mark.parametrize(
    ("task", "name", "content"),
    [
        (NER, "a.conll", "Ana\tB-PER\nvive\tO\ren\tB-LOC\n"),
        (NLI, "a.tsv", "premise\thypothesis\tlabel\np\th\t0\rq\th\t1\n"),
        (POS, "a.conllu", "1\tAna\t_\tPROPN" + "\t_" * 6 + "\r2\tvive\t_\tVERB" + "\t_" * 6 + "\n"),
    ],
)
def test_a_carriage_return_within_a_row_is_refused(
    tmp_path: Path, task: Any, name: str, content: str
) -> None:
    assert "a carriage return that ends no line" in refusal(
        task.read, write(tmp_path / name, content)
    )


# ---------------------------------------------------------------- names of classes


def with_names(path: Path, column: str, feature: Any, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    info = {"info": {"features": {column: feature}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    return path


NAMES = ["contradiction", "entailment", "neutral"]
FORMS: list[Any] = [
    {"names": NAMES, "_type": "ClassLabel"},
    {"num_classes": 3, "names": NAMES, "names_file": None, "id": None, "_type": "ClassLabel"},
    {"names": {"0": NAMES[0], "1": NAMES[1], "2": NAMES[2]}, "_type": "ClassLabel"},
    {"dtype": {"class_label": {"names": dict(zip("012", NAMES, strict=True))}}},
]


@pytest.mark.parametrize("feature", FORMS)
def test_numbers_mean_the_names_of_the_file_itself(tmp_path: Path, feature: Any) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": number} for number in (0, 1, 2)]
    path = with_names(tmp_path / "a.parquet", "label", feature, rows)
    assert [example.label for example in NLI.read(path)] == NAMES
    assert tuple(NAMES) != LABELS
    tags = ["O", "B-ORG", "B-PER"]
    text = json.dumps(feature)
    for name, tag in zip(NAMES, tags, strict=True):
        text = text.replace(name, tag)
    inner = json.loads(text)
    for outer in (
        {"feature": inner, "length": -1, "id": None, "_type": "Sequence"},
        {"feature": inner, "_type": "List"},
        {"sequence": inner},
        [inner],
    ):
        sentence = [{"tokens": ["a", "b", "c"], "ner_tags": [0, 1, 2]}]
        path = with_names(tmp_path / "b.parquet", "ner_tags", outer, sentence)
        assert NER.read(path)[0].tags == tuple(tags)


@pytest.mark.parametrize(
    "feature",
    [
        {"num_classes": 3, "names": None, "names_file": "classes.txt", "_type": "ClassLabel"},
        {"num_classes": 3, "_type": "ClassLabel"},
        {"names": [1, 2, 3], "_type": "ClassLabel"},
    ],
)
def test_names_that_cannot_be_read_are_refused(tmp_path: Path, feature: Any) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": 0}]
    path = with_names(tmp_path / "a.parquet", "label", feature, rows)
    said = refusal(NLI.read, path)
    assert str(path) in said and "contains classes, but not their names" in said


def test_a_number_without_a_name_is_refused(tmp_path: Path) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": 3}]
    path = with_names(tmp_path / "a.parquet", "label", FORMS[0], rows)
    assert "row 1: the number 3 is not a label (use 0 to 2: contradiction" in (
        refusal(NLI.read, path)
    )


def test_numbers_of_tags_without_names_are_warned_of(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ana"], "ner_tags": [1]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with gathered_warnings() as found:
        assert NER.read(tmp_path / "a.parquet")[0].tags == ("B-PER",)
    assert "numbers without names, which are read in WikiANN's order" in str(found[0])


def test_empty_tokens_are_warned_of(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ana", ""], "ner_tags": ["B-PER", "O"]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with gathered_warnings() as found:
        assert NER.read(tmp_path / "a.parquet")[0].words == ("Ana", "")
    assert [str(w) for w in found] == [
        f"{tmp_path}/a.parquet: 1 of its tokens are empty and are predicted as O"
    ]


def test_a_null_token_is_no_word(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ana", None], "ner_tags": [1, 0]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert "row 1: a token is empty (null)" in refusal(NER.read, tmp_path / "a.parquet")


# ---------------------------------------------------------------- what the length of inputs loses


def check_lengths(task: Any, examples: Any, length: int, **options: Any) -> list[str]:
    with gathered_warnings() as found:
        task.check_lengths(examples, None, Encoding(length, **options), "here")
    return [str(warning) for warning in found]


def test_a_file_without_blank_lines_is_refused_for_what_is_lost(tmp_path: Path) -> None:
    long = write(tmp_path / "a.conll", "Ana\tB-PER\nvive\tO\n" * 50)
    sentences = NER.read(long)
    assert "here: 80 of 100 (80.0 %) words are beyond the first 20 subwords" in (
        refusal(check_lengths, NER, sentences, 20)
    )
    (warning,) = check_lengths(NER, sentences, 90)
    assert "10 of 100 (10.0 %) words" in warning and "blank line" in warning
    assert check_lengths(NER, sentences, 100) == []


def squad(path: Path, *questions: tuple[str, str, Any]) -> Path:
    """A file of (question, context, answers) with its ids from 0, as integers."""
    paragraphs = [
        {"context": context, "qas": [{"id": i, "question": question, "answers": answers}]}
        for i, (question, context, answers) in enumerate(questions)
    ]
    return write(path, json.dumps({"data": [{"paragraphs": paragraphs}]}))


def answer(text: str, start: Any = 0) -> list[dict[str, Any]]:
    return [{"text": text, "answer_start": start}]


def test_answers_in_no_window_and_questions_without_room(tmp_path: Path) -> None:
    long = "word " * 40
    rows = [("Who?", long, answer(long.strip())), ("Who?", "Ana vive", answer("Ana"))]
    examples = QA.read(squad(tmp_path / "a.json", *rows))
    assert [example.id for example in examples] == ["0", "1"]
    (warning,) = check_lengths(QA, examples, 30, stride=8, training=True)
    assert "1 of 2 (50.0 %) questions have no answer within one window" in warning
    assert "1 of 1 (100.0 %)" in (refusal(lambda: check_lengths(QA, examples[:1], 30, stride=8)))
    wordy = ("Who " * 30, "Ana vive", answer("Ana"))
    examples = QA.read(squad(tmp_path / "a.json", wordy, wordy, wordy))
    with pytest.raises(InputError) as caught:
        check_lengths(QA, examples, 38, stride=8)
    assert "question '0' has 30 subwords, too many for windows of 38" in str(caught.value)
    assert "(and 2 more like this)" in str(caught.value)


def test_answers_longer_than_predictions(tmp_path: Path) -> None:
    long, short = answer("Ana " * 29 + "Ana"), answer("Ana")
    rows = [("Who?", "Ana " * 40, answers) for answers in (long, long + short, short)]
    examples = QA.read(squad(tmp_path / "a.json", *rows))
    assert check_lengths(QA, examples, 90) == []  # 30 words, the limit
    task = tasks.reader({"type": "qa", "labels": [], "max_answer_length": 29})
    (warning,) = check_lengths(task, examples, 90)
    assert "1 of 3 questions have no answer of at most 29 subwords; raise 'max_" in warning
    assert check_lengths(task, examples, 90, training=True) == []


# ---------------------------------------------------------------- mistakes of one kind


def test_mistakes_of_one_kind_are_counted(tmp_path: Path) -> None:
    rows = [("Who?", "Ana vive", answer("Ana", 1))] * 2300
    said = refusal(QA.read, squad(tmp_path / "a.json", *rows, ("Who?", "Ana", answer("Ana", "0"))))
    first, second = said.splitlines()
    assert first.startswith(f"{tmp_path}/a.json: question '0' has the answer 'Ana' at 1")
    assert first.endswith("(and 2,299 more like this).")
    assert "question '2300' has the answer_start '0', which is not an integer" in second

    content = "Ana\tPER\nvive\tI-PER\n\nen\tI-LOC\nLima\tPER\n"
    said = refusal(NER.read, write(tmp_path / "a.conll", content))
    assert said.splitlines() == [
        f"{tmp_path}/a.conll, line 1: 'PER' is not an IOB2 tag; write O, B-TYPE or I-TYPE (and 1 "
        "more like this).",
        f"{tmp_path}/a.conll, line 4: 'I-LOC' continues no LOC span; set 'tags: iob1' in the "
        "study if the files have IOB1, or begin the span with B-LOC.",
    ]

    header = "premise\thypothesis\tlabel\n"
    said = refusal(NLI.read, write(tmp_path / "a.tsv", header + "p\th\n" * 3 + "p\th\tyes\n" * 2))
    assert [line[-23:] for line in said.splitlines()] == [
        "(and 2 more like this).",
        "(and 1 more like this).",
    ]


def test_answers_may_be_lists_side_by_side_in_json(tmp_path: Path) -> None:
    both = {"text": ["Ana", "Ana vive"], "answer_start": [0, 0]}
    (example,) = QA.read(squad(tmp_path / "a.json", ("Who?", "Ana vive", both)))
    assert example.answers == ("Ana", "Ana vive")
    empty = {"text": [], "answer_start": []}
    assert "contains no question with an answer" in (
        refusal(QA.read, squad(tmp_path / "a.json", ("Who?", "Ana vive", empty)))
    )
    both["answer_start"] = [0]
    assert "differ in length" in (
        refusal(QA.read, squad(tmp_path / "a.json", ("Who?", "Ana vive", both)))
    )
