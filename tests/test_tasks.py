"""Readers, encodings and decodings of the task types, and their refusals."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as tokenizer_trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaTokenizerFast

from langarith import tasks
from langarith.errors import InputError, gathered_warnings
from langarith.tasks.nli import LABELS
from langarith.tasks.pos import UPOS
from langarith.tasks.qa import QaExample
from langarith.tasks.shared.base import Encoding
from langarith.tasks.shared.checks import untruncated
from langarith.tasks.shared.classification import LabelledText
from langarith.tasks.shared.tagging import TaggedSentence

NER, NLI, QA, POS, CLASSIFICATION = map(tasks.get, ("ner", "nli", "qa", "pos", "classification"))
WORDS = ["Anna", "lives", "in", "Old", "Harbour", "and", "works", "for", "Küste", "AG", "东京", "."]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A small tokenizer made like XLM-R's."""
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.Sequence([normalizers.Replace("\u200b", ""), normalizers.NFKC()])
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    rng = random.Random(1)
    text = [" ".join(rng.choices(WORDS, k=12)) for _ in range(200)]
    raw.train_from_iterator(
        text,
        tokenizer_trainers.UnigramTrainer(
            vocab_size=60, special_tokens=specials, unk_token=specials[3], show_progress=False
        ),
    )
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return XLMRobertaTokenizerFast(tokenizer_object=raw)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(task: Any, path: Path, **cut: str) -> str:
    with pytest.raises(InputError) as caught:
        task.read(path, **cut)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


# ---------------------------------------------------------------- registry


def test_registry_names_each_type() -> None:
    assert tasks.names() == ("classification", "ner", "nli", "pos", "qa")
    assert [tasks.get(name).type for name in tasks.names()] == list(tasks.names())
    first = {name: tasks.get(name).metrics[0] for name in tasks.names()}
    assert first == {
        "classification": "accuracy",
        "ner": "f1",
        "nli": "accuracy",
        "pos": "accuracy",
        "qa": "f1",
    }
    for name in tasks.names():
        module = Path(tasks.__file__).parent.parent.joinpath(*tasks.part(name).split("."))
        assert module.with_suffix(".py").is_file()
    for refused in (tasks.get, tasks.part):
        with pytest.raises(InputError, match=r"'nil' is unknown \(did you mean 'nli'\?\)"):
            refused("nil")


HEAVY = ["numpy", "torch", "transformers", "pyarrow", "evaluate", "datasets", "sklearn", "seqeval"]
LIGHT = """
import sys
from langarith import tasks

assert tasks.names() and not [m for m in sys.modules if m.startswith("langarith.tasks.")]
tasks.part("ner")
assert not [m for m in sys.modules if m.startswith("langarith.tasks.")]
tasks.get("nli")
assert "langarith.tasks.ner" not in sys.modules
for name in tasks.names():
    of = tasks.get(name)
    of.type, of.metrics, of.head, of.own_keys, of.suffix, of.typical_examples, of.label_set
"""


def test_what_a_type_says_of_itself_is_read_without_heavy_imports() -> None:
    code = f"{LIGHT}\nprint([m for m in {[*HEAVY, 'pandas']} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_new_file_is_a_new_type(tmp_path: Path) -> None:
    library = Path(tasks.__file__).parent.parent
    shutil.copytree(library, tmp_path / "langarith", ignore=shutil.ignore_patterns("__pycache__"))
    write(
        tmp_path / "langarith/tasks/topic.py",
        "from langarith.tasks.classification import Classification\n"
        "class Topic(Classification):\n    metrics = ('macro_f1',)\n",
    )
    code = (
        "from langarith import tasks; print(tasks.names(), tasks.part('topic'));"
        "print(tasks.get('topic', ['a', 'b']).label_set, tasks.get('topic').metrics)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "('classification', 'ner', 'nli', 'pos', 'qa', 'topic') tasks.topic",
        "('a', 'b') ('macro_f1',)",
    ]


# ---------------------------------------------------------------- NER

CONLL = (
    "-DOCSTART- -X- O O\n\nAnna\tB-PER\nlives\tO\nin O\nOld B-LOC\nHarbour\tI-LOC\r\n\n\n"
    "\u200b\tO\n\u00a0x\u3000\tB-ORG\n \nKüste\tO"
)


def test_conll_is_read_with_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", CONLL)
    assert NER.read(path) == [
        TaggedSentence(
            "3", ("Anna", "lives", "in", "Old", "Harbour"), ("B-PER", "O", "O", "B-LOC", "I-LOC")
        ),
        TaggedSentence("10", ("\u200b", "\u00a0x\u3000"), ("O", "B-ORG")),
        TaggedSentence("13", ("Küste",), ("O",)),
    ]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("Anna\tB-PER\nlives\n", "line 2: a column is missing"),
        ("Anna\tB-PER\n\tO\n", "line 2: a column is missing"),
        ("Anna\t\n", "line 1: a column is missing"),
        ("Anna\tPER\n", "line 1: 'PER' is not an IOB2 tag"),
        ("Anna\tB-\n", "'B-' is not an IOB2 tag"),
        ("Anna\tS-PER\n", "'S-PER' is not an IOB2 tag"),
        ("Anna\tO\nKüste\tI-ORG\n", "line 2: 'I-ORG' continues no ORG span; set 'tags: iob1'"),
        ("Anna\tB-PER\nKüste\tI-ORG\n", "line 2: 'I-ORG' continues no ORG span"),
        ("Anna\tB-PER\n\nKüste\tI-PER\n", "line 3: 'I-PER' continues no PER span"),
        ("", "contains no sentence"),
        ("\n-DOCSTART- -X- O\n\n", "contains no sentence"),
        ("Küste\tO\n".encode("latin-1"), "line 1: byte 2"),
    ],
)
def test_faulty_conll_is_refused(tmp_path: Path, content: str | bytes, fragment: str) -> None:
    assert fragment in refusal(NER, write(tmp_path / "a.conll", content))


@pytest.mark.parametrize("task", [NER, NLI, QA, POS, CLASSIFICATION])
def test_missing_file_is_refused(tmp_path: Path, task: Any) -> None:
    for name in ["a.tsv", "a.jsonl", "a.parquet"] if task in (NLI, CLASSIFICATION) else ["a.json"]:
        assert "does not exist" in refusal(task, tmp_path / name)


@pytest.mark.parametrize("task", [NER, NLI, POS, CLASSIFICATION])
def test_only_qa_is_cut(tmp_path: Path, task: Any) -> None:
    assert f"a {task.type} file cannot be cut" in refusal(
        task, tmp_path / "a", cut="half", split="test"
    )


def sentence(*pairs: tuple[str, str]) -> TaggedSentence:
    return TaggedSentence("1", tuple(w for w, _ in pairs), tuple(t for _, t in pairs))


def test_labels_hold_both_marks_of_each_type_in_order() -> None:
    examples = [sentence(("x", "B-PER"), ("y", "O")), sentence(("z", "B-LOC"))]
    assert NER.labels(examples) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert NER.labels([sentence(("y", "O"))]) == ("O",)


def encode_ner(
    examples: list[TaggedSentence], tokenizer: Any, max_length: int = 128, training: bool = True
) -> Any:
    labels = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
    return NER.encode(examples, tokenizer, Encoding(max_length, labels, training=training))


def random_sentences(n: int) -> list[TaggedSentence]:
    rng = random.Random(2)
    sentences = []
    for _ in range(n):
        words, tags = rng.choices(WORDS, k=rng.randint(1, 30)), []
        for _ in words:
            inside = [f"I-{tags[-1][2:]}"] if tags and tags[-1] != "O" else []
            tags.append(rng.choice(["O", "B-LOC", "B-ORG", *inside]))
        sentences.append(sentence(*zip(words, tags, strict=True)))
    return sentences


def test_ner_gold_survives_encoding_and_decoding(tokenizer: Any) -> None:
    examples = random_sentences(50)
    features = encode_ner(examples, tokenizer, max_length=1000)
    assert features.dropped_words == 0
    # Anything may stand where the label is ignored, and padding follows.
    outputs = [
        np.array([3 if x < 0 else x for x in row] + [4] * 3) for row in features.columns["labels"]
    ]
    predictions = NER.decode(features, outputs, examples)
    assert predictions == [NER.gold(example) for example in examples]
    assert NER.compute(predictions, predictions) == {"f1": 100.0, "f1_strict": 100.0}
    json.dumps(predictions)


def test_only_the_first_subword_is_labelled(tokenizer: Any) -> None:
    examples = [sentence(("Anna", "B-LOC"), ("KüsteKüste", "I-LOC"), (".", "O"))]
    features = encode_ner(examples, tokenizer)
    row, starts = features.columns["labels"][0], features.alignment[0]
    assert [row[i] for i in starts] == [1, 2, 0]
    assert sum(x != -100 for x in row) == 3
    assert len(row) == len(features.columns["input_ids"][0])
    assert "labels" not in encode_ner(examples, tokenizer, training=False).columns


def test_truncated_words_are_counted_and_predicted_outside(tokenizer: Any) -> None:
    examples = [sentence(*[("Anna", "B-LOC")] * 40), sentence(("Anna", "B-LOC"))]
    features = encode_ner(examples, tokenizer, max_length=12)
    assert len(features.columns["input_ids"][0]) == 12
    kept = int((features.alignment[0] >= 0).sum())
    assert 0 < kept < 40
    assert features.dropped_words == 40 - kept
    predictions = NER.decode(features, [np.ones(12, dtype=int), np.ones(12, dtype=int)], examples)
    assert predictions == [["B-LOC"] * kept + ["O"] * (40 - kept), ["B-LOC"]]


@pytest.mark.parametrize("length", [5, 9, 30])
def test_words_said_to_be_lost_are_those_that_encoding_drops(tokenizer: Any, length: int) -> None:
    rng = random.Random(5)
    sentences = [
        TaggedSentence(str(i), tuple(rng.choices(WORDS, k=i % 25 + 1)), ("O",) * (i % 25 + 1))
        for i in range(60)
    ]
    encoding = Encoding(length, ("O",))
    dropped = NER.encode(sentences, tokenizer, encoding).dropped_words
    total = sum(len(sentence.words) for sentence in sentences)
    said = warnings_of_lengths(NER, sentences, tokenizer, encoding)
    assert said == (f"{dropped:,} of {total:,}" if dropped else "")
    assert length == 30 or dropped


def warnings_of_lengths(task: Any, examples: Any, tokenizer: Any, encoding: Encoding) -> str:
    """How many of how many examples `check_lengths` says to be lost, '' where it says nothing."""
    try:
        with gathered_warnings() as found:
            task.check_lengths(examples, untruncated(tokenizer), encoding, "here")
        texts = [str(warning) for warning in found]
    except InputError as error:
        texts = [str(error)]
    return "".join(texts).removeprefix("here: ").partition(" (")[0]


def test_word_without_subwords_is_predicted_outside(tokenizer: Any) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    bare.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    bare.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    examples = [sentence(("Anna", "B-LOC"), ("\u200b", "B-LOC"), ("Anna", "B-LOC"))]
    features = encode_ner(examples, bare)
    assert features.alignment[0][1] == -1
    assert features.dropped_words == 0
    ones = [np.ones(len(features.columns["input_ids"][0]), dtype=int)]
    assert NER.decode(features, ones, examples) == [["B-LOC", "O", "B-LOC"]]


def test_type_unknown_to_training_is_ignored_in_loss_and_missed_in_score(tokenizer: Any) -> None:
    examples = [sentence(("Anna", "B-PER"), ("Küste", "B-ORG"))]
    features = encode_ner(examples, tokenizer)
    outputs = [np.array([max(x, 0) for x in row]) for row in features.columns["labels"]]
    predictions = NER.decode(features, outputs, examples)
    assert predictions == [["O", "B-ORG"]]
    assert NER.compute(predictions, [NER.gold(examples[0])])["f1"] == pytest.approx(100 * 2 / 3)


def test_features_must_match_sentences(tokenizer: Any) -> None:
    examples = random_sentences(2)
    features = encode_ner(examples, tokenizer)
    outputs = [np.zeros(200, dtype=int)] * 2
    with pytest.raises(ValueError, match="2 features for 1"):
        NER.decode(features, outputs, examples[:1])


# ---------------------------------------------------------------- NLI

PAIRS = [('He said "no', "He spoke", "entailment"), ("A\u2028b", "'c' \"", "contradiction")]


def test_nli_formats_agree(tmp_path: Path) -> None:
    rows = "".join("\t".join(pair) + "\n" for pair in PAIRS)
    tsv = write(tmp_path / "a.tsv", "premise\thypothesis\tlabel\n" + rows + "\n")
    keys = ("premise", "hypothesis", "label")
    objects = [dict(zip(keys, pair, strict=True)) for pair in PAIRS]
    lines = write(tmp_path / "a.jsonl", "\n".join(json.dumps({"n": 1, **o}) for o in objects))
    pq.write_table(pa.Table.from_pylist(objects), tmp_path / "words.parquet")
    numbered = [{**o, "label": LABELS.index(o["label"])} for o in objects]
    pq.write_table(pa.Table.from_pylist(numbered), tmp_path / "numbers.parquet")
    for path in (tsv, lines, tmp_path / "words.parquet", tmp_path / "numbers.parquet"):
        assert [(e.text, e.text_pair, e.label) for e in NLI.read(path)] == PAIRS
    assert [e.id for e in NLI.read(tsv)] == ["2", "3"]
    assert [e.id for e in NLI.read(lines)] == ["1", "2"]


def test_nli_columns_may_come_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "label\thypothesis\tpremise\n2\th\tp\n0\th\tp\n1\th\tp\n")
    examples = NLI.read(path)
    assert [e.label for e in examples] == ["contradiction", "entailment", "neutral"]
    assert (examples[0].text, examples[0].text_pair) == ("p", "h")
    assert NLI.labels(examples[:1]) == LABELS


HEADER = "premise\thypothesis\tlabel\n"


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("a.tsv", HEADER + "p\th\t0\np\th\tq\t0\n", "line 3 has 4 columns instead of 3"),
        ("a.tsv", HEADER + "p\th\n", "line 2 has 2 columns"),
        ("a.tsv", "p\th\t0\n", "line 1: the header is 'p\th\t0'"),
        ("a.tsv", HEADER + "p\th\t0\n\np\th\t0\n", "line 3 is blank"),
        ("a.tsv", HEADER + "p\th\t3\n", "line 2: label '3' is unknown"),
        ("a.tsv", HEADER + "p\th\tEntailment\n", "label 'Entailment' is unknown"),
        ("a.tsv", HEADER + "p\t \t0\n", "line 2: no text under 'hypothesis'"),
        ("a.tsv", HEADER, "contains no pair"),
        ("a.tsv", "", "contains no pair"),
        ("a.csv", HEADER, "unknown kind"),
        ("a.tsv", (HEADER + "ö\th\t0\n").encode("latin-1"), "line 2: byte 1"),
        ("a.jsonl", '{"premise": "p", "label": 0}\n', "line 1 lacks 'hypothesis'"),
        ("a.jsonl", "3\n", "line 1 lacks 'premise'"),
        ("a.jsonl", '{"premise": "p", "hypothesis": 3, "label": 0}\n', "under 'hypothesis'"),
        ("a.jsonl", '{"premise": "p", "hypothesis": "h", "label": true}\n', "label 'True'"),
        ("a.jsonl", '{"premise": "p"\n', "line 1: not valid JSON"),
        ("a.parquet", "PAR1", "not a complete parquet file"),
    ],
)
def test_faulty_nli_is_refused(
    tmp_path: Path, name: str, content: str | bytes, fragment: str
) -> None:
    assert fragment in refusal(NLI, write(tmp_path / name, content))


def test_faulty_nli_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"premise": ["p"], "hypothesis": ["h"]}), path)
    assert "no column 'label'" in refusal(NLI, path)
    pq.write_table(pa.table({"premise": ["p"], "hypothesis": ["h"], "label": [3]}), path)
    assert "row 1: label '3'" in refusal(NLI, path)


def nli_examples(tmp_path: Path) -> Any:
    rng = random.Random(3)
    rows = [
        " ".join(rng.choices(WORDS, k=9)) + "\tAnna works\t" + str(rng.randrange(3))
        for _ in range(30)
    ]
    return NLI.read(write(tmp_path / "a.tsv", HEADER + "\n".join(rows)))


def test_nli_gold_survives_encoding_and_decoding(tmp_path: Path, tokenizer: Any) -> None:
    examples = nli_examples(tmp_path)
    features = NLI.encode(examples, tokenizer, Encoding(20, LABELS, training=True))
    assert set(features.columns) == {"input_ids", "labels"}
    assert max(map(len, features.columns["input_ids"])) == 20
    predictions = NLI.decode(features, features.columns["labels"], examples)
    assert predictions == [NLI.gold(example) for example in examples]
    assert NLI.compute(predictions, predictions) == {"accuracy": 100.0}


def test_segment_ids_are_kept_where_the_tokenizer_makes_them(
    tmp_path: Path, tokenizer: Any
) -> None:
    bert = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    features = NLI.encode(nli_examples(tmp_path), bert, Encoding(99, LABELS))
    assert set(features.columns) == {"input_ids", "token_type_ids"}


# ---------------------------------------------------------------- POS

CONLLU = """\
# sent_id = 1
# text = ¡Vámonos al mar! 20 000
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tyo\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tnada\t_\tPRON\t_\t_\t_\t_\t1:obj\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No
6\t20 000\t20 000\tNUM\t_\t_\t5\tnummod\t_\t_

# sent_id = 2
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_
"""


def conllu(line: str) -> str:
    return "# text = x\n" + line + "\n"


def test_conllu_gives_words_without_ranges_and_empty_nodes(tmp_path: Path) -> None:
    expected = [
        TaggedSentence(
            "4",
            ("Vamos", "nos", "a", "el", "mar", "20 000"),
            ("VERB", "PRON", "ADP", "DET", "NOUN", "NUM"),
        ),
        TaggedSentence("14", ("#",), ("SYM",)),
    ]
    assert POS.read(write(tmp_path / "a.conllu", CONLLU)) == expected
    assert POS.read(write(tmp_path / "b.conllu", CONLLU.replace("\n", "\r\n"))) == expected
    compressed = gzip.compress(CONLLU.encode())
    assert POS.read(write(tmp_path / "a.conllu.gz", compressed)) == expected
    assert POS.labels(expected) == UPOS


ROW = "1\tmar\tmar\tNOUN\t_\t_\t0\troot\t_\t_"


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("", "contains no sentence; give sentences in CoNLL-U"),
        ("# text = x\n\n", "contains no sentence"),
        (conllu("1-2" + "\t_" * 9), "contains no sentence"),
        (conllu("mar\tNOUN"), "line 2 is not a word of CoNLL-U; give 10 columns separated by tabs"),
        (conllu(ROW.replace("\t", " ")), "line 2 is not a word of CoNLL-U"),
        (conllu(ROW + "\t_"), "line 2 is not a word of CoNLL-U"),
        (conllu(ROW.replace("1\tmar", "1\t")), "line 2 is not a word of CoNLL-U"),
        (conllu(ROW.replace("1\tmar", "one\tmar")), "line 2: 'one' is not a word's number"),
        (conllu(ROW.replace("NOUN", "N")), "line 2: 'N' is not a UPOS tag; write one of ADJ, ADP"),
        (conllu(ROW.replace("NOUN", "_")), "line 2: '_' is not a UPOS tag"),
        ((ROW.replace("mar", "ö") + "\n").encode("latin-1"), "line 1: byte 3"),
    ],
)
def test_faulty_conllu_is_refused(tmp_path: Path, content: str | bytes, fragment: str) -> None:
    assert fragment in refusal(POS, write(tmp_path / "a.conllu", content))


def test_pos_gold_survives_encoding_and_decoding(tmp_path: Path, tokenizer: Any) -> None:
    rng = random.Random(4)
    examples = [
        TaggedSentence("1", tuple(rng.choices(WORDS, k=n)), tuple(rng.choices(UPOS, k=n)))
        for n in range(1, 40)
    ]
    examples += POS.read(write(tmp_path / "a.conllu", CONLLU))
    features = POS.encode(examples, tokenizer, Encoding(500, UPOS, training=True))
    outputs = [[max(label, 0) for label in row] for row in features.columns["labels"]]
    predictions = POS.decode(features, outputs, examples)
    assert predictions == [POS.gold(example) for example in examples]
    assert POS.compute(predictions, predictions) == {"accuracy": 100.0}


def test_words_beyond_the_truncation_are_predicted_x(tokenizer: Any) -> None:
    examples = [TaggedSentence("1", ("Anna",) * 40, ("PROPN",) * 40)]
    features = POS.encode(examples, tokenizer, Encoding(12, UPOS))
    (tags,) = POS.decode(features, [np.full(12, UPOS.index("PROPN"))], examples)
    kept = 40 - features.dropped_words
    assert 0 < kept < 40
    assert tags == ["PROPN"] * kept + ["X"] * (40 - kept)
    assert POS.compute([tags], [["PROPN"] * 40]) == {"accuracy": 100 * kept / 40}
    assert POS.constant(POS.majority(examples), examples) == [["PROPN"] * 40]


# ---------------------------------------------------------------- classification

TEXTS = [("good", "positive"), ('so "so', "neutral"), ("bad", "negative"), ("fine", "positive")]
SENTIMENT = tasks.get("classification", ["negative", "neutral", "positive"])


def classified(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the suffix names."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if path.suffix == ".tsv":
        lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
        return write(path, "\n".join(lines) + "\n")
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return write(path, gzip.compress(text) if path.suffix == ".gz" else text)


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_classification_formats_agree(tmp_path: Path, name: str) -> None:
    path = classified(tmp_path / name, [{"text": t, "label": label} for t, label in TEXTS])
    examples = CLASSIFICATION.read(path)
    assert [(e.text, e.text_pair, e.label) for e in examples] == [(t, None, la) for t, la in TEXTS]
    assert CLASSIFICATION.labels(examples) == ("negative", "neutral", "positive")
    assert CLASSIFICATION.majority(examples) == "positive"
    assert CLASSIFICATION.constant("neutral", examples) == ["neutral"] * 4
    pairs = [{"text_pair": t, "text": "x", "label": number} for number, (t, _) in enumerate(TEXTS)]
    examples = CLASSIFICATION.read(classified(tmp_path / name, pairs))
    assert [(e.text, e.text_pair, e.label) for e in examples] == [
        ("x", t, str(number)) for number, (t, _) in enumerate(TEXTS)
    ]


def test_labels_of_the_training_data_are_in_order_of_their_numbers_or_letters() -> None:
    def labels(*of_examples: str) -> tuple[str, ...]:
        return CLASSIFICATION.labels([LabelledText("1", "t", None, of) for of in of_examples])

    assert labels("10", "9", "0", "9") == ("0", "9", "10")
    assert labels("b", "10", "9", "a") == ("10", "9", "a", "b")


def test_named_labels_are_the_label_set_and_the_meaning_of_integers(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": 2}, {"text": "x", "label": 0}]
    examples = SENTIMENT.read(classified(tmp_path / "a.jsonl", rows))
    assert [e.label for e in examples] == ["positive", "negative"]
    assert SENTIMENT.labels(examples) == ("negative", "neutral", "positive")
    stars = tasks.get("classification", ["1", "2"])
    (one,) = stars.read(classified(tmp_path / "b.jsonl", [{"text": "x", "label": 1}]))
    assert one.label == "1"  # the name of a label, not the position of another
    for label in ("3", "good", True, None):
        path = classified(tmp_path / "c.jsonl", [{"text": "x", "label": label}])
        message = refusal(SENTIMENT, path)
        assert f"line 1: label '{label}' is unknown; use negative, neutral, positive" in message


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("a.tsv", "text\tlabel\n", "contains no row; give rows of text, label"),
        ("a.tsv", "text\tlabel\textra\nx\ty\tz\n", "line 1: the header is"),
        ("a.tsv", "x\ty\n", "the header is 'x\ty'; write text, label with tabs between them"),
        ("a.tsv", "text\ttext_pair\nx\ty\n", "write text, text_pair, label with tabs"),
        ("a.tsv", "text\tlabel\nx\ty\tz\n", "line 2 has 3 columns instead of 2"),
        ("a.tsv", "text\tlabel\n \ty\n", "line 2: no text under 'text'"),
        ("a.tsv", "text\tlabel\nx\t \n", "line 2: ' ' is not a label"),
        ("a.jsonl", '{"text": "x"}\n', "line 1 lacks 'label'"),
        ("a.jsonl", '{"text": "x", "label": true}\n', "line 1: 'True' is not a label"),
        ("a.jsonl", '{"text": "x", "label": null}\n', "line 1: 'None' is not a label"),
        ("a.jsonl", '{"text": "x", "label": 0.5}\n', "line 1: '0.5' is not a label; write a word"),
        ("a.jsonl", '{"text": "x", "text_pair": "", "label": 1}\n', "no text under 'text_pair'"),
        ("a.jsonl", '{"text": "x", "text_pair": "y", "label": 1}\n{"text": "x", "label": 1}\n',
         "line 2 lacks 'text_pair'"),
        ("a.jsonl",
         '{"text": "x", "label": 1}\n' + '{"text": "x", "text_pair": "y", "label": 1}\n' * 2,
         "a.jsonl, line 2 has 'text_pair', which the first row of the file lacks; give it in all "
         "rows or in none (and 1 more like this)."),
        ("a.json", '[{"text": "x", "label": 1}, {"text": "x", "text_pair": "y", "label": 1}]',
         "a.json, row 2 has 'text_pair', which the first row"),
        ("a.csv", "text,label\n", "unknown kind; name it .tsv, .jsonl"),
        ("a.jsonl.gz", "text", "not gzip"),
        ("a.parquet", "text", "not a complete parquet file"),
    ],
)  # fmt: skip
def test_faulty_classification_is_refused(
    tmp_path: Path, name: str, content: str, fragment: str
) -> None:
    assert fragment in refusal(CLASSIFICATION, write(tmp_path / name, content))


def test_faulty_classification_parquet_is_refused(tmp_path: Path) -> None:
    path = classified(tmp_path / "a.parquet", [{"text": "x"}])
    assert "no column 'label'" in refusal(CLASSIFICATION, path)
    path = classified(path, [{"text": "x", "label": 1}, {"text": None, "label": 1}])
    assert "row 2: no text under 'text'" in refusal(CLASSIFICATION, path)


@pytest.mark.parametrize("pair", [None, "Anna works"])
def test_classes_survive_encoding_and_decoding(tokenizer: Any, pair: str | None) -> None:
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS, k=9)) for _ in range(30)]
    examples = [LabelledText("1", text, pair, rng.choice("abc")) for text in texts]
    labels = CLASSIFICATION.labels(examples)
    features = CLASSIFICATION.encode(examples, tokenizer, Encoding(20, labels, training=True))
    separators = 1 if pair is None else 3
    assert {row.count(2) for row in features.columns["input_ids"]} == {separators}
    assert max(map(len, features.columns["input_ids"])) == 20
    predictions = CLASSIFICATION.decode(features, features.columns["labels"], examples)
    assert predictions == [CLASSIFICATION.gold(example) for example in examples]
    assert set(CLASSIFICATION.compute(predictions, predictions).values()) == {100.0}
    assert "labels" not in CLASSIFICATION.encode(examples, tokenizer, Encoding(20, labels)).columns
    with pytest.raises(ValueError, match="29 outputs for 30 examples"):
        CLASSIFICATION.decode(features, features.columns["labels"][:29], examples)


# ---------------------------------------------------------------- QA


def squad_file(path: Path, articles: list[list[tuple[str, list[dict[str, Any]]]]]) -> Path:
    data = [
        {"title": "t", "paragraphs": [{"context": c, "qas": questions} for c, questions in article]}
        for article in articles
    ]
    return write(path, json.dumps({"version": "1.1", "data": data}))


def ask(identity: str, *answers: tuple[str, int]) -> dict[str, Any]:
    return {
        "id": identity,
        "question": f"Who is {identity}?",
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
    }


def xquad(path: Path, sizes: list[int]) -> Path:
    """Articles of these numbers of questions, two questions to a paragraph."""
    count = iter(range(10_000))
    articles = []
    for size in sizes:
        questions = [ask(f"q{next(count)}", ("Anna", 0)) for _ in range(size)]
        articles.append([("Anna lives.", questions[i : i + 2]) for i in range(0, size, 2)])
    return squad_file(path, articles)


def test_squad_is_read_in_file_order_with_all_answers(tmp_path: Path) -> None:
    context = "𝒳 东京 Anna"
    path = squad_file(tmp_path / "a.json", [[(context, [ask("b", ("Anna", 5), ("东京", 2))])], []])
    assert QA.read(path) == [
        QaExample("b", "Who is b?", context, ("Anna", "东京"), (5, 2), str(path))
    ]


def test_half_cut_keeps_file_order(tmp_path: Path) -> None:
    path = xquad(tmp_path / "a.json", [3, 6, 2])
    parts = [QA.read(path, cut="half", split=split) for split in ("validation", "test")]
    assert [len(part) for part in parts] == [6, 5]
    assert [*parts[0], *parts[1]] == QA.read(path)


@pytest.mark.parametrize(
    ("sizes", "validation"), [([3, 6, 2], 3), ([3, 4, 3], 3), ([1, 1, 5, 1, 1], 2), ([9, 2], 9)]
)
def test_articles_cut_falls_at_the_nearest_border(
    tmp_path: Path, sizes: list[int], validation: int
) -> None:
    path = xquad(tmp_path / "a.json", sizes)
    parts = [QA.read(path, cut="articles", split=split) for split in ("validation", "test")]
    assert [len(part) for part in parts] == [validation, sum(sizes) - validation]
    assert [*parts[0], *parts[1]] == QA.read(path)


@pytest.mark.parametrize(
    ("sizes", "cut", "split", "fragment"),
    [
        ([1], "half", "test", "too few for the cut 'half'"),
        ([8], "articles", "test", "8 questions in 1 articles, too few"),
        ([8], "halves", "test", "cut 'halves' is unknown (did you mean 'half'?)"),
        ([8], "half", "train", "split 'train' of a cut file"),
    ],
)
def test_impossible_cut_is_refused(
    tmp_path: Path, sizes: list[int], cut: str, split: str, fragment: str
) -> None:
    path = xquad(tmp_path / "a.json", sizes)
    assert fragment in refusal(QA, path, cut=cut, split=split)


@pytest.mark.parametrize(
    ("question", "fragment"),
    [
        (ask("q7", ("Anna", 1)), "question 'q7' has the answer 'Anna' at 1, but the context does"),
        (ask("q7", ("Anna", -11)), "(first at 0)"),
        (ask("q7", ("Bob", 0)), "not in the context"),
        (
            ask("q7", ("Anna", "0")),
            "question 'q7' has the answer_start '0', which is not an integer",
        ),
        (
            ask("q7", ("Anna", 0.0)),
            "question 'q7' has the answer_start 0.0, which is not an integer",
        ),
        (ask("q0", ("Anna", 0)), "the id 'q0' is used twice"),
        (ask("q7", ("", 0)), "no text under question 'q7'.answers[0].text"),
        ({**ask("q7"), "question": " "}, "no text under question 'q7'.question"),
        ({"question": "Who?", "answers": []}, "no text under data[1].paragraphs[0].qas[0].id"),
        ({"question": "Who?", "id": "x"}, "no list 'question 'x'.answers'"),
        ("Who?", "data[1].paragraphs[0].qas[0].id"),
    ],
)
def test_faulty_question_is_refused_in_either_half(
    tmp_path: Path, question: Any, fragment: str
) -> None:
    articles = [[("Anna lives.", [ask("q0", ("Anna", 0))])], [("Anna lives.", [question])]]
    path = squad_file(tmp_path / "a.json", articles)
    assert fragment in refusal(QA, path)
    assert fragment in refusal(QA, path, cut="half", split="validation")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("", "not valid JSON"),
        ('{"data":\n [', "at line 2, column"),
        ("[]", "no list 'data'"),
        ('{"data": []}', "contains no question"),
        ('{"data": [{"title": "t"}]}', "no list 'data[0].paragraphs'"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data[0].paragraphs[0].context"),
        ('{"data": [{"paragraphs": [{"context": "c"}]}]}', "no list 'data[0].paragraphs[0].qas'"),
        ('{"data": "\\ud83d"}', "surrogate"),
        (b"\xff\xfe{", "line 1: byte 1"),
    ],
)
def test_faulty_json_is_refused(tmp_path: Path, content: str | bytes, fragment: str) -> None:
    assert fragment in refusal(QA, write(tmp_path / "a.json", content))


def qa_examples(n: int, words: int) -> list[QaExample]:
    """Questions whose answers are runs of words at any place of contexts of this length."""
    rng = random.Random(4)
    examples = []
    for i in range(n):
        tokens = rng.choices(WORDS, k=rng.randint(3, words))
        first = rng.randrange(len(tokens))
        answer = " ".join(tokens[first : first + rng.randint(1, 3)])
        start = len(" ".join(tokens[:first])) + (first > 0)
        examples.append(
            QaExample(str(i), "  Who works?", " ".join(tokens), (answer,), (start,), "a.json")
        )
    return examples


def encode_qa(examples: list[QaExample], tokenizer: Any, training: bool, size: int = 60) -> Any:
    return QA.encode(examples, tokenizer, Encoding(size, (), size // 3, training))


def peaks(features: Any, trained: Any) -> list[np.ndarray]:
    """Logits, padded by two, that are high at the gold positions of the training features."""
    outputs = []
    for length, start, end in zip(
        map(len, features.columns["input_ids"]),
        trained.columns["start_positions"],
        trained.columns["end_positions"],
        strict=True,
    ):
        logits = np.zeros((2, length + 2), dtype=np.float32)
        logits[0, start] = logits[1, end] = 9
        outputs.append(logits)
    return outputs


def test_qa_gold_survives_windows(tokenizer: Any) -> None:
    examples = qa_examples(60, words=70)
    features, trained = (encode_qa(examples, tokenizer, training) for training in (False, True))
    assert features.columns["input_ids"] == trained.columns["input_ids"]
    assert len(features) > len(examples)
    assert max(map(len, features.columns["input_ids"])) == 60
    assert features.example_index == sorted(features.example_index)
    assert any(start == 0 for start in trained.columns["start_positions"])
    predictions = QA.decode(features, peaks(features, trained), examples)
    assert predictions == [example.answers[0] for example in examples]
    assert QA.compute(predictions, [QA.gold(e) for e in examples])["exact_match"] == 100


def test_answers_are_no_longer_than_the_limit(tokenizer: Any) -> None:
    example = QaExample("1", "Who?", "a b c d e f g h", ("c",), (4,), "a.json")
    features = encode_qa([example], tokenizer, training=False)
    (offsets,) = features.alignment
    start = np.flatnonzero(offsets[:, 0] == 4)[-1]  # c
    near, far = (np.flatnonzero(offsets[:, 1] == end)[-1] for end in (7, 13))  # d, g
    logits = np.zeros((2, len(offsets)), dtype=np.float32)
    logits[0, start], logits[1, near], logits[1, far] = 9, 5, 9
    for limit, answer in ((far - start + 1, "c d e f g"), (far - start, "c d")):
        task = tasks.reader({"type": "qa", "labels": [], "max_answer_length": limit})
        assert task.decode(features, [logits], [example]) == [answer]
    assert QA.decode(features, [logits], [example]) == ["c d e f g"]  # 30 by default


def test_one_character_answer_has_positions_in_order(tokenizer: Any) -> None:
    # XLM-R cuts a lone ideograph into an empty piece and the character, of equal offsets.
    example = QaExample("1", "Who?", "东 Anna 京 Anna", ("京",), (7,), "a.json")
    trained = encode_qa([example], tokenizer, training=True)
    features = encode_qa([example], tokenizer, training=False)
    assert 0 < trained.columns["start_positions"][0] <= trained.columns["end_positions"][0]
    assert QA.decode(features, peaks(features, trained), [example]) == ["京"]


@pytest.mark.parametrize(("size", "stride"), [(16, 2), (18, 4), (24, 1), (60, 20)])
def test_answers_said_to_be_in_no_window_are_those_without_positions(
    tokenizer: Any, size: int, stride: int
) -> None:
    examples = []
    for example in qa_examples(120, words=20):
        start = example.starts[0]
        end = start + 12 * (1 + int(example.id) % 4)
        answer = example.context[start:end].strip()
        examples.append(replace(example, answers=(answer,)))
    encoding = Encoding(size, (), stride, training=True)
    features = QA.encode(examples, tokenizer, encoding)
    found = {
        index
        for index, start in zip(
            features.example_index, features.columns["start_positions"], strict=True
        )
        if start
    }
    lost = len(examples) - len(found)
    said = warnings_of_lengths(QA, examples, tokenizer, encoding)
    assert said == (f"{lost} of {len(examples)}" if lost else "")
    assert size == 60 or lost


def test_batches_do_not_show(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = qa_examples(23, words=60)
    whole = encode_qa(examples, tokenizer, training=False)
    monkeypatch.setattr("langarith.tasks.qa.ENCODE_BATCH", 5)
    parts = encode_qa(examples, tokenizer, training=False)
    assert parts.columns == whole.columns
    assert parts.example_index == whole.example_index
    assert all(np.array_equal(a, b) for a, b in zip(parts.alignment, whole.alignment, strict=True))


def run_qa_reference(logits: np.ndarray, offsets: np.ndarray) -> tuple[float, int, int] | None:
    """The loop of transformers' run_qa over one window, where the earlier of equals comes first."""
    best = None
    positions = range(logits.shape[1])
    starts, ends = (sorted(sorted(positions, key=lambda i: -row[i])[:20]) for row in logits)
    for start in starts:
        for end in ends:
            if offsets[start, 0] < 0 or offsets[end, 0] < 0:
                continue
            if end < start or end - start + 1 > 30:
                continue
            score = float(logits[0, start] + logits[1, end])
            if best is None or score > best[0]:
                best = (score, int(offsets[start, 0]), int(offsets[end, 1]))
    return best


@pytest.mark.parametrize("ties", [False, True])
def test_decoding_equals_the_loop_of_run_qa(tokenizer: Any, ties: bool) -> None:
    examples = qa_examples(40, words=150)
    features = encode_qa(examples, tokenizer, training=False, size=120)
    rng = np.random.default_rng(5)
    rows = features.columns["input_ids"]
    outputs = [rng.normal(size=(2, len(row))).astype(np.float32) for row in rows]
    if ties:
        outputs = [np.sign(logits) for logits in outputs]
    expected, best = [""] * len(examples), [-np.inf] * len(examples)
    for index, offsets, logits in zip(
        features.example_index, features.alignment, outputs, strict=True
    ):
        found = run_qa_reference(logits, offsets)
        if found and found[0] > best[index]:
            best[index] = found[0]
            expected[index] = examples[index].context[found[1] : found[2]].strip()
    assert QA.decode(features, outputs, examples) == expected
    assert len(set(expected)) > 20


def test_window_without_a_pair_answers_nothing(tokenizer: Any) -> None:
    examples = qa_examples(1, words=3)
    features = encode_qa(examples, tokenizer, training=False)
    logits = np.zeros((2, len(features.columns["input_ids"][0])), dtype=np.float32)
    logits[:] = -np.inf
    assert QA.decode(features, [logits], examples) == [""]


def test_training_features_cannot_be_decoded(tokenizer: Any) -> None:
    examples = qa_examples(1, words=3)
    with pytest.raises(ValueError, match="encoded for training"):
        QA.decode(encode_qa(examples, tokenizer, training=True), [np.zeros((2, 60))], examples)


def test_question_without_room_for_its_context_is_refused(tokenizer: Any) -> None:
    example = QaExample("q9", "Anna " * 60, "Anna", ("Anna",), (0,), "a.json")
    with pytest.raises(InputError, match=r"a\.json: question 'q9' has \d+ subwords"):
        encode_qa([example], tokenizer, training=False)


# ---------------------------------------------------------------- majority


def test_majority_follows_the_training_data(tmp_path: Path) -> None:
    train = [sentence(("a", "O"), ("b", "O"), ("c", "B-LOC"))]
    assert NER.majority(train) == "O"
    assert NER.constant("O", [sentence(("x", "B-ORG"), ("y", "O"))]) == [["O", "O"]]
    pairs = NLI.read(write(tmp_path / "a.tsv", HEADER + "p\th\t2\np\th\t1\np\th\t2\np\th\t1\n"))
    assert NLI.majority(pairs) == "neutral"
    assert NLI.constant("neutral", pairs[:2]) == ["neutral", "neutral"]
    assert QA.majority([]) == ""
    assert QA.constant("", qa_examples(2, words=3)) == ["", ""]


# ---------------------------------------------------------------- parquet as the hub has it


def write_parquet(path: Path, rows: list[dict[str, Any]], features: Any = None) -> Path:
    """Written by `datasets`, so that schema and metadata are those of files on the hub."""
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def wikiann_features(names: list[str]) -> datasets.Features:
    tags = datasets.Sequence(datasets.ClassLabel(names=names))
    text = datasets.Sequence(datasets.Value("string"))
    return datasets.Features({"tokens": text, "ner_tags": tags, "langs": text, "spans": text})


SENTENCES = [(["Anna", "in", "New", "York"], [1, 0, 5, 6]), (["Sofia"], [5])]


def wikiann_rows(sentences: Any = SENTENCES) -> list[dict[str, Any]]:
    return [
        {"tokens": words, "ner_tags": tags, "langs": ["en"] * len(words), "spans": []}
        for words, tags in sentences
    ]


@pytest.mark.parametrize("named", [True, False])
def test_ner_reads_wikiann_as_the_hub_has_it(tmp_path: Path, named: bool) -> None:
    tags = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
    path = write_parquet(
        tmp_path / "test.parquet", wikiann_rows(), wikiann_features(tags) if named else None
    )
    examples = NER.read(path)
    assert [(e.id, e.words, e.tags) for e in examples] == [
        ("1", ("Anna", "in", "New", "York"), ("B-PER", "O", "B-LOC", "I-LOC")),
        ("2", ("Sofia",), ("B-LOC",)),
    ]


def test_the_files_own_names_of_tags_are_used(tmp_path: Path) -> None:
    names = ["B-LOC", "I-LOC", "O"]
    rows = wikiann_rows([(["Sofia", "is"], [0, 2])])
    path = write_parquet(tmp_path / "test.parquet", rows, wikiann_features(names))
    assert NER.read(path)[0].tags == ("B-LOC", "O")


@pytest.mark.parametrize(
    ("sentences", "says"),
    [
        ([(["a", "b"], [0])], "row 1 has 2 tokens and 1 tags; give one tag for each"),
        ([([], [])], "row 1 has 0 tokens and 0 tags"),
        ([(["a"], [0]), (["a"], [7])], "row 2: the number 7 is not a tag (use 0 to 6"),
        ([(["a"], [-1])], "row 1: the number -1 is not a tag"),
        ([(["a", "b"], [1, 6])], "row 1: 'I-LOC' continues no LOC span; set 'tags: iob1'"),
    ],
)
def test_mistakes_in_a_parquet_file_of_ner(tmp_path: Path, sentences: Any, says: str) -> None:
    path = write_parquet(tmp_path / "test.parquet", wikiann_rows(sentences))
    with pytest.raises(InputError) as caught:
        NER.read(path)
    assert str(caught.value).startswith(f"{path}") and says in str(caught.value)


def test_nli_reads_xnli_and_indicxnli_as_the_hub_has_them(tmp_path: Path) -> None:
    rows = [
        {"premise": "Anna lives.", "hypothesis": "She is.", "label": 0},
        {"premise": "Anna lives.", "hypothesis": "She is not.", "label": 2},
    ]
    label = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    text = datasets.Value("string")
    features = datasets.Features({"premise": text, "hypothesis": text, "label": label})
    path = write_parquet(tmp_path / "test.parquet", rows, features)
    for wrapped in ({"test": rows}, rows):
        (tmp_path / "xnli_as.json").write_text(json.dumps(wrapped))
        assert NLI.read(tmp_path / "xnli_as.json") == NLI.read(path)
    assert [e.label for e in NLI.read(path)] == ["entailment", "contradiction"]


def test_nli_refuses_the_file_of_all_languages(tmp_path: Path) -> None:
    rows = [{"premise": {"en": "a", "fr": "b"}, "hypothesis": {"language": ["en"]}, "label": 0}]
    path = write_parquet(tmp_path / "test.parquet", rows)
    with pytest.raises(InputError, match="several languages in each row"):
        NLI.read(path)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": [], "b": []}, "is not a list of pairs; give a list"),
        ({"test": [{"premise": "a", "label": 0}]}, "pair 1 lacks 'hypothesis'"),
        ([], "contains no pair"),
        ([{"premise": "a", "hypothesis": "b", "label": 3}], "pair 1: label '3' is unknown"),
    ],
)
def test_mistakes_in_a_json_file_of_nli(tmp_path: Path, value: Any, says: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=re.escape(says)):
        NLI.read(tmp_path / "a.json")


def squad_rows(titles: bool) -> list[dict[str, Any]]:
    rows = []
    for number in range(6):
        context = f"Place {number // 2} has {number // 2} people."
        row = {"id": f"q{number}", "context": context, "question": "How many?"}
        row["answers"] = {"text": [f"{number // 2} people"], "answer_start": [12]}
        rows.append(row | ({"title": f"Title {number // 4}"} if titles else {}))
    return rows


@pytest.mark.parametrize("titles", [True, False])
def test_qa_reads_squad_and_xquad_as_the_hub_has_them(tmp_path: Path, titles: bool) -> None:
    path = write_parquet(tmp_path / "a.parquet", squad_rows(titles))
    task = QA
    examples = task.read(path)
    assert [e.id for e in examples] == [f"q{i}" for i in range(6)]
    assert examples[2].answers == ("1 people",) and examples[2].starts == (12,)

    def ids(cut: str, split: str) -> list[str]:
        return [e.id for e in task.read(path, cut=cut, split=split)]

    assert ids("half", "validation") == ["q0", "q1", "q2"]
    # two articles of four and two questions, or three of two where contexts stand for articles
    border = 4 if titles else 2
    assert ids("articles", "validation") == [f"q{i}" for i in range(border)]
    assert ids("articles", "test") == [f"q{i}" for i in range(border, 6)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": {"text": ["0 people"], "answer_start": [3]}}, "'0 people' at 3, but the con"),
        ({"id": "q1"}, "the id 'q1' is used twice"),
        ({"context": None}, "no text under the row of question 'q0'.context"),
    ],
)
def test_mistakes_in_a_parquet_file_of_qa(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    rows = squad_rows(False)
    rows[0] |= change
    path = write_parquet(tmp_path / "a.parquet", rows)
    with pytest.raises(InputError, match=re.escape(says)):
        QA.read(path)
