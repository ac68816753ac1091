"""Natural-language inference on XNLI-style files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from langarith.data.readers import open_parquet, parse_json, read_lines
from langarith.errors import InputError
from langarith.tasks.base import Features, Task, model_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LABELS = ("entailment", "neutral", "contradiction")
COLUMNS = ("premise", "hypothesis", "label")


@dataclass(frozen=True)
class NliExample:
    """One pair; `id` is its line number (from 1, the header counted), in parquet its row."""

    id: str
    premise: str
    hypothesis: str
    label: str


class Nli(Task[NliExample, str]):
    """Classification of a pair; a prediction is one of `LABELS`."""

    kind = "nli"
    metrics = ("accuracy",)
    head = "classification"
    label_columns = ("labels",)
    max_length = 128

    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[NliExample]:
        """Pairs of a `.tsv` (header, no quoting), `.jsonl`, `.json` or `.parquet` file.

        Columns or keys are premise, hypothesis and label; labels are words or 0, 1, 2 in the
        order of `LABELS`, as in XNLI. A `.json` file is a list of such objects, or an object that
        holds one list (IndicXNLI: `{"test": [...]}`). Errors: InputError for a missing or surplus
        column, an empty text, an unknown label, an unknown suffix, and a file without pairs.
        """
        self._refuse_cut(path, cut)
        readers = {
            ".tsv": _tsv_rows,
            ".jsonl": _jsonl_rows,
            ".json": _json_rows,
            ".parquet": _parquet_rows,
        }
        if path.suffix not in readers:
            raise InputError(f"{path} is of an unknown kind; name it {', '.join(readers)}.")
        examples = [_example(path, row) for row in readers[path.suffix](path)]
        if not examples:
            raise InputError(f"{path} holds no pair; give rows of {', '.join(COLUMNS)}.")
        return examples

    def labels(self, examples: Sequence[NliExample]) -> tuple[str, ...]:
        """Always the three of XNLI in its order, whatever the examples hold."""
        return LABELS

    def encode(
        self,
        examples: Sequence[NliExample],
        tokenizer: PreTrainedTokenizerFast,
        *,
        max_length: int,
        labels: tuple[str, ...],
        stride: int = 128,
        training: bool,
    ) -> Features:
        """One feature per pair; the longer text is truncated first."""
        encoding = tokenizer(
            [example.premise for example in examples],
            [example.hypothesis for example in examples],
            truncation="longest_first",
            max_length=max_length,
        )
        columns = model_columns(encoding)
        if training:
            columns["labels"] = [labels.index(example.label) for example in examples]
        return Features(columns, list(range(len(examples))), labels)

    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[NliExample]
    ) -> list[str]:
        """One label per pair from one class id per pair."""
        if not len(outputs) == len(features) == len(examples):
            raise ValueError(f"{len(outputs)} outputs for {len(examples)} pairs")
        return [features.labels[int(label)] for label in outputs]

    def gold(self, example: NliExample) -> str:
        """The label of the file."""
        return example.label

    def score(self, predictions: Sequence[str], examples: Sequence[NliExample]) -> dict[str, float]:
        """See `accuracy`."""
        return accuracy(predictions, [example.label for example in examples])

    def majority(self, train_examples: Sequence[NliExample]) -> str:
        """The most frequent training label, the first of `LABELS` among equals."""
        counts = Counter(example.label for example in train_examples)
        return max(LABELS, key=lambda label: counts[label])

    def constant(self, answer: str, examples: Sequence[NliExample]) -> list[str]:
        """One label for every pair."""
        return [answer] * len(examples)


Row = tuple[str, str, Any, Any, Any]
"""Id, where it stands (like "line 3"), premise, hypothesis, label."""


def _tsv_rows(path: Path) -> Iterator[Row]:
    header: list[str] = []
    blank = 0
    for number, line in read_lines(path):
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise InputError(f"{path}, line {blank} is blank; remove it.")
        cells = line.split("\t")
        if not header:
            header = [cell.strip().lower() for cell in cells]
            if sorted(header) != sorted(COLUMNS):
                raise InputError(
                    f"{path}, line {number}: the header is '{line[:60]}'; write "
                    f"{', '.join(COLUMNS)} with tabs between them."
                )
            continue
        if len(cells) != len(COLUMNS):
            raise InputError(
                f"{path}, line {number} has {len(cells)} columns instead of {len(COLUMNS)}; put a "
                "tab between the columns and none inside a text."
            )
        row = dict(zip(header, cells, strict=True))
        yield str(number), f"line {number}", row["premise"], row["hypothesis"], row["label"]


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        yield _object_row(parse_json(line, path, f"line {number}"), path, number, "line")


def _json_rows(path: Path) -> Iterator[Row]:
    value = parse_json("\n".join(line for _, line in read_lines(path)), path, "the file")
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, list):
        raise InputError(f"{path} is no list of pairs; give a list, or an object that holds one.")
    for number, row in enumerate(value, start=1):
        yield _object_row(row, path, number, "pair")


def _object_row(row: Any, path: Path, number: int, what: str) -> Row:
    missing = [c for c in COLUMNS if c not in row] if isinstance(row, dict) else COLUMNS
    if missing:
        raise InputError(
            f"{path}, {what} {number} lacks '{missing[0]}'; give an object with the keys "
            f"{', '.join(COLUMNS)}."
        )
    return str(number), f"{what} {number}", row["premise"], row["hypothesis"], row["label"]


def _parquet_rows(path: Path) -> Iterator[Row]:
    table = open_parquet(path, COLUMNS).read(columns=list(COLUMNS))
    if pa.types.is_nested(table.schema.field("premise").type):
        raise InputError(
            f"{path} holds several languages side by side (as all_languages of XNLI does); name "
            "the file of one language, for example {language}/test-00000-of-00001.parquet."
        )
    cells = (table.column(name).to_pylist() for name in COLUMNS)
    for number, (premise, hypothesis, label) in enumerate(zip(*cells, strict=True), start=1):
        yield str(number), f"row {number}", premise, hypothesis, label


def _example(path: Path, row: Row) -> NliExample:
    identity, where, premise, hypothesis, label = row
    for name, text in (("premise", premise), ("hypothesis", hypothesis)):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{path}, {where}: no text under '{name}'; write it or drop the pair.")
    word = str(label).strip()
    if word in ("0", "1", "2"):
        word = LABELS[int(word)]
    if word not in LABELS:
        raise InputError(
            f"{path}, {where}: label '{label}' is unknown; use {', '.join(LABELS)} or 0, 1, 2."
        )
    return NliExample(identity, premise, hypothesis, word)


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Share of equal labels, in percent."""
    equal = [p == r for p, r in zip(predictions, references, strict=True)]
    return {"accuracy": 100 * sum(equal) / len(equal)}
