"""Classification of one or two texts: files of rows, label sets, majority.

A task type defines the names of its columns and its metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from langarith.data.readers import (
    JSON_SUFFIXES,
    class_names,
    open_parquet,
    parse_json,
    read_all,
    read_lines,
    read_rows,
)
from langarith.errors import InputError, warn_of_loss
from langarith.tasks.shared.base import Encoding, Features, Task, model_columns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


Names = Mapping[str, str]
"""The columns that a file must have: its names by those of the task type."""

Row = tuple[str, Names, Any]
"""Position of a row in its file (like "line 3"), the columns it must have, and its content: an
object, or the header of a table and the cells."""


@dataclass(frozen=True)
class LabelledText:
    """One text, or a pair, and its label.

    `id` is the line number (from 1, including a header), in parquet and JSON lists the row number.
    """

    id: str
    text: str
    text_pair: str | None
    label: str


class ClassificationTask(Task[LabelledText, str]):
    """Classification of texts; a prediction is a label.

    The label set is `label_set` if that is known before files are read: then a label may also be
    its position in it, and any other label is refused. Otherwise it is taken from the training
    data.
    """

    head = "classification"
    class_name, fewest_classes = "label", 2
    prediction = reference = "string"
    column_names: ClassVar[tuple[str, ...]] = ("text", "text_pair", "label", "language")
    """Names of the columns: the text, the second text, the label; the language, which is read only
    if the study names its column."""
    other_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other names of columns that public data sets have."""
    other_labels: ClassVar[Mapping[str, str]] = {}
    """Other names of labels."""
    unlabelled: ClassVar[frozenset[str]] = frozenset()
    """Values that mean that a row has no label: such rows are dropped."""
    optional_pair: ClassVar[bool] = True
    """Whether files may lack the second text."""
    row_name: ClassVar[str] = "row"
    """The word for an example in messages."""

    def read(
        self, path: Path, *, cut: str | None = None, split: str | None = None
    ) -> list[LabelledText]:
        """Examples of a `.tsv` (header, no quoting; also `.txt`), `.jsonl` (also compressed),
        `.json` or `.parquet` file.

        The study may name columns or keys; the defaults are `column_names` and `other_names`. A
        `.json` file is a list of objects, or an object with one list (IndicXNLI:
        `{"test": [...]}`). Rows without a label are dropped, and a warning counts them. If the
        study names a column of languages, only the rows of one language are read; a training file
        may lack that column, because only the task language has one.

        Raises:
            InputError: a missing column, an empty text, a second text that only some rows have, a
                label outside of `label_set`, an unknown suffix, a file without rows, and one of
                which more than half have no label. In `.tsv` also for a surplus column, unless the
                study names columns or pairs are required: it may be a second text under another
                name.
        """
        self._refuse_cut(path, cut)
        kinds: dict[str, Callable[[Path, bool], Iterator[Row]]] = {
            ".tsv": self._tsv_rows,
            **dict.fromkeys(JSON_SUFFIXES, self._jsonl_rows),
            ".json": self._json_rows,
            ".parquet": self._parquet_rows,
            ".txt": self._tsv_rows,
        }
        reader = next((read for end, read in kinds.items() if path.name.endswith(end)), None)
        if reader is None:
            raise InputError(f"{path} is of an unknown kind; name it {', '.join(kinds)}.")
        *_, label, language = self.column_names
        unlabelled = 0
        others: Counter[str] = Counter()

        def read(row: Row) -> LabelledText | None:
            nonlocal unlabelled
            position, names, _ = row
            values = self._values(f"{path}, {position}", *row[1:])
            if language in names and str(values[language]) != self.language:
                others[str(values[language])] += 1
                return None
            if str(values[label]).strip() in self.unlabelled:
                unlabelled += 1
                return None
            return self._example(f"{path}, {position}", position, names, values)

        examples = [
            example for example in read_all(reader(path, split == "train"), read) if example
        ]
        if not examples and others:
            raise InputError(
                f"{path} contains no {self.row_name} of the language '{self.language}' (its column "
                f"'{self.study_columns[language]}' has {', '.join(sorted(others))}); write "
                "codes of the study's 'languages' as in the file."
            )
        if not examples and not unlabelled:
            names = ", ".join(self._names((), False).values())
            raise InputError(f"{path} contains no {self.row_name}; give rows of {names}.")
        warn_of_loss(
            str(path),
            unlabelled,
            len(examples) + unlabelled,
            f"{self.row_name}s have no label and are dropped",
            "give data with labels",
        )
        return examples

    def labels(self, examples: Sequence[LabelledText]) -> tuple[str, ...]:
        """`label_set`, or the sorted labels of the training examples."""
        labels = {example.label for example in examples}
        numbers = all(label.isdecimal() for label in labels)
        return self.label_set or tuple(sorted(labels, key=int if numbers else str))

    def classes(self, examples: Sequence[LabelledText]) -> Counter[str]:
        """Examples by label."""
        return Counter(example.label for example in examples)

    def texts(self, examples: Sequence[LabelledText]) -> tuple[str, ...]:
        """The text, and the second one if the examples have it."""
        return self.column_names[: 1 if examples[0].text_pair is None else 2]

    def encode(
        self,
        examples: Sequence[LabelledText],
        tokenizer: PreTrainedTokenizerFast,
        encoding: Encoding,
    ) -> Features:
        """One feature per example; the longer text of a pair is truncated first.

        Raises:
            ValueError: a training example whose label is not among `encoding.labels`.
        """
        pairs = [example.text_pair for example in examples if example.text_pair is not None]
        encoded = tokenizer(
            [example.text for example in examples],
            pairs or None,
            truncation="longest_first",
            max_length=encoding.max_length,
        )
        columns = model_columns(encoded)
        if encoding.training:
            columns["labels"] = [encoding.labels.index(example.label) for example in examples]
        return Features(columns, list(range(len(examples))), encoding.labels)

    def decode(
        self, features: Features, outputs: Sequence[Any], examples: Sequence[LabelledText]
    ) -> list[str]:
        """One label per example from one class id per example."""
        if not len(outputs) == len(features) == len(examples):
            raise ValueError(f"{len(outputs)} outputs for {len(examples)} examples")
        return [features.labels[int(label)] for label in outputs]

    def entropy(
        self, features: Features, outputs: Sequence[Any], entropies: Sequence[Any]
    ) -> float:
        """Mean over the examples."""
        return float(sum(entropies) / len(entropies))

    def gold(self, example: LabelledText) -> str:
        """The label of the file."""
        return example.label

    def majority(self, train_examples: Sequence[LabelledText]) -> str:
        """The most frequent training label; among equals, the first of the label set."""
        counts = self.classes(train_examples)
        return max(self.labels(train_examples), key=lambda label: counts[label])

    def constant(self, answer: str, examples: Sequence[LabelledText]) -> list[str]:
        """One label for every example."""
        return [answer] * len(examples)

    # --- reading ---

    def _names(self, present: Collection[str], training: bool) -> Names:
        """The columns that a file must have, from those of its header, schema or first object."""
        *usual, language = self.column_names
        names: dict[str, str] = {}
        for name in usual:
            candidates = [str(self.study_columns.get(name, name))]
            if name not in self.study_columns:
                candidates += self.other_names.get(name, ())
            names[name] = next((one for one in candidates if one in present), candidates[0])
        pair = usual[1]
        if self.optional_pair and pair not in self.study_columns and names[pair] not in present:
            del names[pair]
        if language in self.study_columns and not (
            training and self.study_columns[language] not in present
        ):
            names[language] = str(self.study_columns[language])
        return names

    def _tsv_rows(self, path: Path, training: bool) -> Iterator[Row]:
        header: list[str] = []
        names: Names = {}
        blank = 0
        for number, line in read_rows(path):
            if not line.strip():
                blank = blank or number
                continue
            if blank:
                raise InputError(f"{path}, line {blank} is blank; remove it.")
            cells = line.split("\t")
            if not names:
                named = self.study_columns.values()
                header = [c.strip() if c.strip() in named else c.strip().lower() for c in cells]
                names = self._names(header, training)
                surplus = self.optional_pair and not named and len(header) > len(names)
                if surplus or any(header.count(name) != 1 for name in names.values()):
                    raise InputError(
                        f"{path}, line {number}: the header is '{line[:60]}'; write "
                        f"{', '.join(names.values())} with tabs between them, or name "
                        "them under 'columns' in the study."
                    )
                continue
            yield f"line {number}", names, (header, cells)

    def _jsonl_rows(self, path: Path, training: bool) -> Iterator[Row]:
        lines = ((number, line) for number, line in read_lines(path) if line.strip())
        return self._objects(
            (
                (f"line {number}", parse_json(line, path, f"line {number}"))
                for number, line in lines
            ),
            training,
        )

    def _json_rows(self, path: Path, training: bool) -> Iterator[Row]:
        value = parse_json("\n".join(line for _, line in read_lines(path)), path, "the file")
        if isinstance(value, dict) and len(value) == 1:
            (value,) = value.values()
        if not isinstance(value, list):
            raise InputError(
                f"{path} is not a list of {self.row_name}s; give a list, or an object with one."
            )
        return self._objects(
            ((f"{self.row_name} {number}", row) for number, row in enumerate(value, start=1)),
            training,
        )

    def _objects(self, rows: Iterable[tuple[str, Any]], training: bool) -> Iterator[Row]:
        names: Names = {}
        for where, row in rows:
            names = names or self._names(row if isinstance(row, dict) else (), training)
            yield where, names, row

    def _parquet_rows(self, path: Path, training: bool) -> Iterator[Row]:
        import pyarrow as pa

        names = self._names(open_parquet(path, ()).schema_arrow.names, training)
        columns = list(names.values())
        table = open_parquet(path, columns).read(columns=columns)
        if pa.types.is_nested(table.schema.field(columns[0]).type):
            raise InputError(
                f"{path} has several languages in each row (like all_languages of XNLI); "
                "name the file of one language, for example "
                "{language}/test-00000-of-00001.parquet."
            )
        label = names[self.column_names[-2]]
        try:
            classes = class_names(table.schema, label)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        for number, row in enumerate(table.to_pylist(), start=1):
            if classes and isinstance(row[label], int) and str(row[label]) not in self.unlabelled:
                if not 0 <= row[label] < len(classes):
                    raise InputError(
                        f"{path}, row {number}: the number {row[label]} is not a label (use 0 to "
                        f"{len(classes) - 1}: {', '.join(classes)}); drop the row."
                    )
                row[label] = classes[row[label]]
            yield f"row {number}", names, row

    def _values(self, where: str, names: Names, row: Any) -> dict[str, Any]:
        """The values of a row, by the column names of the task type."""
        columns = list(names.values())
        if isinstance(row, tuple):
            header, cells = row
            # the last columns of a line may be missing if they are not read, as in MultiNLI
            if not max(map(header.index, columns)) < len(cells) <= len(header):
                raise InputError(
                    f"{where} has {len(cells)} columns instead of {len(header)}; put a tab "
                    "between the columns and none inside a text."
                )
            row = dict(zip(header, cells, strict=False))
        missing = [c for c in columns if c not in row] if isinstance(row, dict) else columns
        if missing:
            raise InputError(
                f"{where} lacks '{missing[0]}'; give an object with the keys {', '.join(columns)}, "
                "or name its keys under 'columns' in the study."
            )
        pair = self.column_names[1]
        for key in (pair, *self.other_names.get(pair, ())):
            if pair not in names and key in row:
                raise InputError(
                    f"{where} has '{key}', which the first {self.row_name} of the file lacks; give "
                    f"it in all {self.row_name}s or in none."
                )
        return {name: row[column] for name, column in names.items()}

    def _example(
        self, where: str, position: str, names: Names, values: dict[str, Any]
    ) -> LabelledText:
        text, pair, label, _ = (values.get(name) for name in self.column_names)
        for name, value in zip(self.column_names, (text, pair), strict=False):
            if name in names and (not isinstance(value, str) or not value.strip()):
                raise InputError(
                    f"{where}: no text under '{names[name]}'; write it or drop the {self.row_name}."
                )
        return LabelledText(position.rpartition(" ")[2], str(text), pair, self._label(label, where))

    def _label(self, value: Any, where: str) -> str:
        label = str(value).strip()
        label = self.other_labels.get(label, label)
        if not self.label_set:
            if not label or isinstance(value, bool) or not isinstance(value, str | int):
                raise InputError(f"{where}: '{value}' is not a label; write a word or an integer.")
            return label
        positions = {str(number): name for number, name in enumerate(self.label_set)}
        label = label if label in self.label_set else positions.get(label, "")
        if not label:
            raise InputError(
                f"{where}: label '{value}' is unknown; use {', '.join(self.label_set)} or "
                f"{', '.join(positions)}."
            )
        return label
