"""Task files as public data sets have them: read as they are, or refused with the fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langarith import tasks
from langarith.errors import InputError, gathered_warnings
from langarith.tasks.shared import spans

NER, NLI, POS, QA, CLASSIFICATION = map(tasks.get, ("ner", "nli", "pos", "qa", "classification"))


def refusal(call: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*given)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said
    return said


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def reader(kind: str, **layout: Any) -> Any:
    return tasks.reader({"type": kind, "labels": [], **layout})


def read(task: Any, path: Path) -> tuple[list[Any], list[str]]:
    """The examples of a file, and the warnings."""
    with gathered_warnings() as found:
        examples = task.read(path)
    return examples, [warning.what for warning in found]


# ---------------------------------------------------------------- columns of words and tags

SENTENCES = [("Ana", "vive", "en", "Lima"), ("Sí",)]
TAGS = [("B-PER", "O", "O", "B-LOC"), ("O",)]

WIKINEURAL = "0\tAna\tB-PER\n1\tvive\tO\n2\ten\tO\n3\tLima\tB-LOC\n\n0\tSí\tO\n"
UNER = (
    "# sent_id = 1\n# text = Ana toma vitamina B-12\n1\tAna\tB-PER\t-\ta\n2\tvive\tO\t-\ta\n"
    "3\ten\tO\t-\ta\n4\tLima\tB-LOC\t-\ta\n\n# sent_id = 2\n1\tSí\tO\t-\ta\n"
)
GERMEVAL = (
    "#\tn-tv.de vom 26.02.2005\n1\tAna\tB-PER\tO\n2\tvive\tO\tO\n3\ten\tO\tO\n4\tLima\tB-LOC\t"
    "B-PER\n\n1\tSí\tO\tO\n"
)
NESTED = "Ana\tB-PER\tO\nvive\tO\tO\nen\tO\tO\nLima\tB-LOC\tO\n\nSí\tO\tO\n"
TAG_FIRST = "B-PER Ana\nO vive\nO en\nB-LOC Lima\n\nO Sí\n"
PREFIXED = "es:Ana\tB-PER\nes:vive\tO\nes:en\tO\nes:Lima\tB-LOC\n\nes:Sí\tO\n"
MULTICONER = (
    "# id 3f2a domain=test\nAna _ _ B-PER\nvive _ _ O\nen _ _ O\nLima _ _ B-LOC\n\n"
    "# id 4\nSí _ _ O\n"
)
CONLL_2003 = (
    "-DOCSTART- -X- -X- O\n\nAna NNP B-NP B-PER\nvive VBZ B-VP O\nen IN B-PP O\n"
    "Lima NNP B-NP B-LOC\n\nSí UH O O\n"
)


def layout_of(task: Any, path: Path) -> tuple[list[Any], list[Any]]:
    examples = task.read(path)
    return [e.words for e in examples], [e.tags for e in examples]


@pytest.mark.parametrize("content", [WIKINEURAL, UNER, TAG_FIRST, PREFIXED, MULTICONER, CONLL_2003])
def test_layouts_of_public_data_sets_are_recognised(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "a.conll", content)
    assert layout_of(NER, path) == (SENTENCES, TAGS)
    said = read(NER, path)[1]
    assert said == (["every token begins with 'es:', which is removed"] * (content == PREFIXED))


def test_a_mistake_or_a_range_does_not_hide_the_layout(tmp_path: Path) -> None:
    uner = UNER.replace("4\tLima", "3-4\tenLima\t_\t-\ta\n4\tLima")
    assert layout_of(NER, write(tmp_path / "a.iob2", uner)) == (SENTENCES, TAGS)
    lines = "1\tAna\tB-PER\t-\ta\n2\tvive\tO\t-\ta\n\n" * 9
    path = write(tmp_path / "b.iob2", f"{lines}1\tLima\tLOC\t-\ta\n")
    assert "line 28: 'LOC' is not an IOB2 tag" in refusal(NER.read, path)
    path = write(tmp_path / "c.iob2", f"{lines}x\tLima\tB-LOC\t-\ta\n")
    assert NER.read(path)[-1].words == ("Lima",)


@pytest.mark.parametrize(
    ("content", "numbers", "columns"),
    [(GERMEVAL, "3 and 4", {"token": 2, "tag": 3}), (NESTED, "2 and 3", {"token": 1, "tag": 2})],
)
def test_of_several_columns_of_tags_the_study_names_one(
    tmp_path: Path, content: str, numbers: str, columns: dict[str, int]
) -> None:
    path = write(tmp_path / "a.conll", content)
    shown = ", ".join(f"{name}: {number}" for name, number in columns.items())
    assert refusal(NER.read, path) == (
        f"{path}: columns {numbers} are tags, as in GermEval; name the columns to read in the "
        f"study's task, for example columns: {{{shown}}}."
    )
    assert layout_of(reader("ner", columns=columns), path) == (SENTENCES, TAGS)
    other = reader("ner", columns={"tag": columns["tag"] + 1})
    assert layout_of(other, path)[0] == SENTENCES


def test_columns_that_a_file_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "Ana\tB-PER\nvive\tO\n")
    assert refusal(reader("ner", columns={"tag": 3}).read, path) == (
        f"{path} has 2 columns, but the study's 'columns' names column 3 for the tag; correct it."
    )
    assert refusal(reader("ner", columns={"token": "words"}).read, path) == (
        f"{path} has columns without names, but the study's 'columns' gives 'words' for the token; "
        "give its number instead, from 1."
    )
    pq.write_table(pa.table({"tokens": [["a"]], "ner_tags": [["O"]]}), tmp_path / "a.parquet")
    assert refusal(reader("ner", columns={"tag": 2}).read, tmp_path / "a.parquet") == (
        f"{tmp_path}/a.parquet has named columns, but the study's 'columns' gives 2 for the tag; "
        "give its name instead."
    )


def test_columns_of_a_parquet_file_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": [["Ana"]], "iob": [["B-PER"]]}), tmp_path / "a.parquet")
    task = reader("ner", columns={"token": "words", "tag": "iob"})
    assert layout_of(task, tmp_path / "a.parquet") == ([("Ana",)], [("B-PER",)])


def test_a_token_without_the_code_that_others_have(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "es:Ana\tB-PER\n" * 2000 + "vive\tO\n")
    assert refusal(NER.read, path) == (
        f"{path}, line 2001: 'vive' does not begin with 'es:' as other tokens do; write it before "
        "all tokens or before none."
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Ana NNP B-NP B-PER\nvive VBZ B-VP O\n", ("Ana", "vive")),
        ("EU\tB-ORG\n", ("EU",)),
        ("#\tO\n# O\n", ("#", "#")),
        ("#Lima\tB-LOC\n#\tO\n", ("#Lima", "#")),
        ("1\tO\n2\tO\n", ("1", "2")),
        ("10 NUM O\n11 NUM O\n", ("10", "11")),
        ("re:Ana\tB-PER\nvive\tO\n", ("re:Ana", "vive")),
    ],
)
def test_words_that_look_like_numbers_comments_or_codes(
    tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    assert NER.read(write(tmp_path / "a.conll", content))[0].words == words


def test_a_token_with_a_space_is_not_split_if_spaces_separate_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "vive O\nen O\nNew York B-LOC\n\n#Los Angeles B-LOC\n")
    said = refusal(NER.read, path)
    assert "line 3 has 3 columns, but others have 2" in said
    assert said.endswith("(and 1 more like this).")
    path = write(tmp_path / "a.conll", "vive\tO\nNew York\tB-LOC\n")
    assert NER.read(path)[0].words == ("vive", "New York")


def test_a_hashtag_without_a_tag_is_no_comment(tmp_path: Path) -> None:
    assert "line 2: a column is missing" in refusal(
        NER.read, write(tmp_path / "a.conll", "vive O\n#Lima\n")
    )
    assert "line 2: 'LOC' is not an IOB2 tag" in refusal(
        NER.read, write(tmp_path / "a.conll", "vive O\n#Lima LOC\n")
    )


def test_parts_of_speech_in_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "# masakhapos\nAna PROPN\nvive VERB\n\nSí INTJ\n")
    assert "columns: {token: 1, tag: 2}" in refusal(POS.read, path)
    task = reader("pos", columns={"token": 1, "tag": 2})
    assert layout_of(task, path) == ([("Ana", "vive"), ("Sí",)], [("PROPN", "VERB"), ("INTJ",)])
    for content, says in (
        ("Ana N\n", "line 1: 'N' is not a UPOS tag"),
        ("Ana PROPN\nvive\n", "line 2: a column is missing"),
        ("\n", "contains no sentence; give lines of a token and its tag"),
    ):
        assert says in refusal(task.read, write(tmp_path / "b.txt", content))


# ---------------------------------------------------------------- schemes of spans

IOB2 = "O B-A I-A B-A B-B I-B I-B O B-A".split()
SCHEMES = {
    "iob2": IOB2,
    "iob1": "O I-A I-A B-A I-B I-B I-B O I-A".split(),
    "bioes": "O B-A E-A S-A B-B I-B E-B O S-A".split(),
    "bilou": "O B-A L-A U-A B-B I-B L-B O U-A".split(),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_becomes_iob2(tmp_path: Path, scheme: str) -> None:
    assert set(SCHEMES) == set(spans.SCHEMES)
    there = SCHEMES[scheme]
    path = write(tmp_path / "a.conll", "".join(f"w {tag}\n" for tag in there))
    pq.write_table(
        pa.table({"tokens": [["w"] * len(there)], "ner_tags": [there]}), tmp_path / "a.parquet"
    )
    changed = sum(old != new for old, new in zip(there, IOB2, strict=True))
    warned = [f"{changed} of its tags are converted from {scheme.upper()} to IOB2"]
    for file in (path, tmp_path / "a.parquet"):
        (sentence,), said = read(reader("ner", tags=scheme), file)
        assert list(sentence.tags) == IOB2
        assert said == (warned if scheme != "iob2" else [])
    in_iob2 = write(tmp_path / "b.conll", "".join(f"w {tag}\n" for tag in IOB2))
    assert list(reader("ner", tags=scheme).read(in_iob2)[0].tags) == IOB2


@pytest.mark.parametrize(
    ("scheme", "tags", "says"),
    [
        ("iob2", "S-A", "'S-A' is not an IOB2 tag; set 'tags: bioes' in the study if the files "
         "have it, or write O, B-TYPE or I-TYPE."),
        ("iob2", "U-A", "'U-A' is not an IOB2 tag; set 'tags: bilou' in the study if the files "
         "have it, or write O, B-TYPE or I-TYPE."),
        ("iob2", "A", "'A' is not an IOB2 tag; write O, B-TYPE or I-TYPE."),
        ("iob1", "A", "'A' is not an IOB1 tag; write O, B-TYPE or I-TYPE."),
        ("bioes", "L-A", "'L-A' is not an BIOES tag; set 'tags: bilou' in the study if the files "
         "have it, or write O, B-TYPE, I-TYPE, E-TYPE or S-TYPE."),
        ("iob2", "I-A", "'I-A' continues no A span; set 'tags: iob1' in the study if the files "
         "have IOB1, or begin the span with B-A."),
        ("bioes", "E-A", "'E-A' continues no A span; begin the span with B-A."),
        ("bilou", "B-B I-A", "'I-A' continues no A span; begin the span with B-A."),
        ("bioes", "S-A I-A", "'I-A' continues no A span; begin the span with B-A."),
        ("bioes", "B-A E-A E-A", "'E-A' continues no A span; begin the span with B-A."),
        ("bilou", "U-A L-A", "'L-A' continues no A span; begin the span with B-A."),
        ("bilou", "B-A I-A L-A I-A", "'I-A' continues no A span; begin the span with B-A."),
    ],
)  # fmt: skip
def test_tags_that_do_not_fit_their_scheme(
    tmp_path: Path, scheme: str, tags: str, says: str
) -> None:
    there = tags.split()
    path = write(tmp_path / "a.conll", "".join(f"w {tag}\n" for tag in there))
    task = reader("ner", tags=scheme)
    assert refusal(task.read, path) == f"{path}, line {len(there)}: {says}"
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"tokens": [["w"] * len(there)], "ner_tags": [there]}), path)
    assert refusal(task.read, path) == f"{path}, row 1: {says}"


# ---------------------------------------------------------------- tables

XNLI = (
    "language\tgold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\n"
    'en\tneutral\t(\tHe said "no\tHe left\t1\nfr\tneutral\t(\tIl dit\tIl part\t1\n'
    "en\tcontradiction\t(\tp\th\t2\nen\t-\t(\tp\th\t3\n"
)
PAIRS = [('He said "no', "He left", "neutral"), ("p", "h", "contradiction")]


def as_lines(table: str) -> str:
    header, *rows = (line.split("\t") for line in table.splitlines())
    return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)


def pairs(examples: Any) -> list[tuple[str, str, str]]:
    return [(e.text, e.text_pair, e.label) for e in examples]


@pytest.mark.parametrize("name", ["xnli.dev.tsv", "xnli.dev.jsonl", "xnli.dev.txt"])
def test_rows_of_one_language_of_xnli(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, as_lines(XNLI) if name.endswith("jsonl") else XNLI)
    task = reader("nli", columns={"language": "language"}, language="en")
    examples, said = read(task, path)
    assert pairs(examples) == PAIRS
    assert said == ["1 of 3 (33.3 %) pairs have no label and are dropped; give data with labels"]
    other = reader("nli", columns={"language": "language"}, language="fra")
    assert refusal(other.read, path) == (
        f"{path} contains no pair of the language 'fra' (its column 'language' has en, fr); write "
        "codes of the study's 'languages' as in the file."
    )


def test_a_training_file_needs_no_column_of_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "premise\thypothesis\tlabel\np\th\tneutral\n")
    task = reader("nli", columns={"language": "language"}, language="en")
    assert pairs(task.read(path, split="train")) == [("p", "h", "neutral")]
    assert "write premise, hypothesis, label, language with tabs" in refusal(task.read, path)


def test_multinli_and_translations_of_xnli(tmp_path: Path) -> None:
    header = "gold_label\tsentence1\tsentence2\tlabel1\tlabel2\n"
    mnli = write(tmp_path / "a.txt", header + "neutral\tp\th\tneutral\n-\tp\th\tx\ty\n0\tp\th\n")
    examples, said = read(NLI, mnli)
    assert pairs(examples) == [("p", "h", "neutral"), ("p", "h", "entailment")]
    assert said == ["1 of 3 (33.3 %) pairs have no label and are dropped; give data with labels"]
    translated = write(tmp_path / "a.tsv", "premise\thypo\tlabel\np\th\tcontradictory\n")
    assert pairs(NLI.read(translated)) == [("p", "h", "contradiction")]
    rows = [{"premise": "p", "hypothesis": "h", "label": number} for number in (1, 1, -1)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "snli.parquet")
    assert pairs(NLI.read(tmp_path / "snli.parquet")) == [("p", "h", "neutral")] * 2
    hidden = write(tmp_path / "b.tsv", "premise\thypothesis\tlabel\np\th\t-1\n")
    assert "1 of 1 (100.0 %) pairs have no label and are dropped; give data with labels" in (
        refusal(NLI.read, hidden)
    )
    short = write(tmp_path / "c.txt", header + "neutral\tp\n")
    assert "line 2 has 2 columns instead of 5; put a tab" in refusal(NLI.read, short)


def test_columns_of_tables_are_named(tmp_path: Path) -> None:
    table = "index_id\tCategory\ttext\tother\n7\tsports\tA game.\tB\n8\tmusic\tA song.\tC\n"
    tsv = write(tmp_path / "a.tsv", table)
    lines = write(tmp_path / "a.jsonl", as_lines(table))
    pq.write_table(
        pa.Table.from_pylist([json.loads(line) for line in as_lines(table).splitlines()]),
        tmp_path / "a.parquet",
    )
    one = reader("classification", columns={"label": "Category"})
    two = reader("classification", columns={"label": "Category", "text_pair": "other"})
    for path in (tsv, lines, tmp_path / "a.parquet"):
        assert pairs(one.read(path)) == [("A game.", None, "sports"), ("A song.", None, "music")]
        assert pairs(two.read(path)) == [("A game.", "B", "sports"), ("A song.", "C", "music")]
    said = refusal(CLASSIFICATION.read, tsv)
    assert said.endswith(
        "write text, label with tabs between them, or name them under 'columns' in the study."
    )
    assert (
        "lacks 'label'; give an object with the keys text, label, or name its keys under 'columns'"
        in (refusal(CLASSIFICATION.read, lines))
    )


# ---------------------------------------------------------------- questions


def squad(path: Path, context: str, questions: list[tuple[str, list[tuple[str, int]]]]) -> Path:
    qas = [
        {"id": name, "question": "?", "is_impossible": not answers,
         "answers": [{"text": text, "answer_start": start} for text, start in answers]}
        for name, answers in questions
    ]  # fmt: skip
    return write(path, json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))


def test_questions_of_squad_v2_without_an_answer_are_dropped(tmp_path: Path) -> None:
    path = squad(tmp_path / "a.json", "Ana vive.", [("a", [("Ana", 0)]), ("b", []), ("c", [])])
    examples, said = read(QA, path)
    assert [e.id for e in examples] == ["a"]
    assert said == ["2 of 3 questions have no answer, as in SQuAD v2, and are dropped"]
    rows = [
        {"id": name, "question": "?", "context": "Ana vive.",
         "answers": {"text": texts, "answer_start": [0] * len(texts)}}
        for name, texts in (("a", ["Ana"]), ("b", []))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [e.id for e in QA.read(tmp_path / "a.parquet")] == ["a"]
    none = squad(tmp_path / "b.json", "Ana vive.", [("b", [])])
    assert "contains no question with an answer" in refusal(QA.read, none)


def test_offsets_in_bytes_become_characters(tmp_path: Path) -> None:
    context = "Ñandú é Ana"
    at = len(context[:8].encode())
    path = squad(tmp_path / "a.json", context, [("a", [("Ana", at)]), ("b", [("Ñandú", 0)])])
    examples, said = read(QA, path)
    assert [(e.answers, e.starts) for e in examples] == [(("Ana",), (8,)), (("Ñandú",), (0,))]
    assert said == ["its answer starts count bytes; they are converted to Unicode characters"]
    mixed = squad(tmp_path / "b.json", context, [("a", [("Ana", at)]), ("b", [("Ana", 8)])])
    assert "question 'a' has the answer 'Ana' at 11, but the context does not" in (
        refusal(QA.read, mixed)
    )
