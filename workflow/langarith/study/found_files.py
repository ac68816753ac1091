"""Recognise the files of a folder by names and first lines: raw text, task data, base models.

For `langarith init`, which drafts a study for them (:mod:`langarith.commands.drafts`). No file is
read to its end; `langarith check` does that.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from langarith import layout
from langarith.data import compression, readers
from langarith.errors import InputError
from langarith.tasks.shared import spans
from langarith.tasks.shared.columns import TAG, Comments, Line, split_columns, words_and_tags

Kind = Literal["text", "ner", "pos", "nli", "classification", "qa"]
Split = Literal["train", "validation", "test"]

COLUMNS: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("nli", frozenset({"premise", "hypothesis", "label"})),
    ("nli", frozenset({"sentence1", "sentence2", "gold_label"})),
    ("nli", frozenset({"premise", "hypo", "label"})),
    ("classification", frozenset({"text", "label"})),
    ("qa", frozenset({"id", "question", "context", "answers"})),
    ("ner", frozenset({"tokens", "ner_tags"})),
)
"""Columns or keys by which tables and JSON are recognised."""

TEXT_COLUMNS = ("text", "content", "sentence", "document", "body")
"""Names of the column of raw text."""

SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

LANGUAGE = re.compile(
    r"(?<![A-Za-z0-9])[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_](?:[A-Z]{2}|419))?(?![A-Za-z0-9])"
)
"""Possible language codes in a path: en, swa, sr_Latn, zh-Hant, pt-BR, es-419."""

WORDS = frozenset(
    "all bio bz2 csv dat doc gz iob io json mlm ner new nli old pos qa qas raw set sib src tmp tsv "
    "txt ud web xml xnl xz zip zst".split()
)
"""Parts of paths that look like a language code, but are none."""

FOREIGN = frozenset(".csv .gz .html .md .pdf .py .sh .tar .xml .yaml .yml .zip".split())
NO_FORMAT = "in no format of tasks or raw text"

HEAD = 200
"""Lines that are read to recognise a file."""


@dataclass(frozen=True)
class File:
    """A recognised file.

    template: its path with `{language}` in place of the code. column: that of raw text. tags: the
    scheme of its spans.
    """

    path: str
    kind: Kind
    template: str
    language: str | None
    split: Split | None
    column: str = "text"
    tags: str = "iob2"


@dataclass(frozen=True)
class Content:
    """The content of a file.

    column: that of its text. languages: whether each row names its language. tags: the scheme.
    """

    kind: Kind
    column: str = "text"
    languages: bool = False
    tags: str = "iob2"


@dataclass
class Found:
    """Recognised files of a folder, base models, and the reasons why others are not recognised."""

    files: list[File] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[File]:
        """The files of a kind, in the order of their paths."""
        return [file for file in self.files if file.kind == kind]


def look(folder: Path) -> Found:
    """Recognise every file in and below a folder; hidden files are skipped.

    Raises:
        InputError: it is no folder, or its name has characters with a meaning in the paths of a
            study.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the one with your files")
    if set(str(folder)) & set("{}*?"):
        raise InputError(
            f"{folder}: braces, * and ? have a meaning in the paths of a study; rename the folder"
        )
    contents, kinds = Found(), {}
    for path in _files(folder, contents):
        if set(str(path.relative_to(folder))) & set("{}*?"):
            contents.others[str(path)] = "braces, * or ? in its name"
            continue
        try:
            kinds[str(path)] = _kind(path)
        except InputError as error:
            contents.others[str(path)] = re.sub(rf"^{re.escape(str(path))}[:,]? ", "", str(error))
    contents.files = list(_placed(folder, kinds))
    for file in [f for f in contents.files if f.language is None]:
        if file.kind == "text":
            contents.others[file.path] = "raw text without a language code in its path"
        elif kinds[file.path].languages:
            contents.others[file.path] = (
                "rows of several languages; name it in the study, with columns: {language: "
                "language} in the task"
            )
    contents.files = [file for file in contents.files if file.path not in contents.others]
    return contents


def _files(folder: Path, contents: Found) -> Iterator[Path]:
    """The files below a folder; folders with a base model go to `contents.models` instead."""
    entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    if all((folder / name).is_file() for name in layout.ENCODER_FILES):
        contents.models.append(str(folder))
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, contents)
        elif entry.is_file():
            yield entry


# --- by content ---


def _kind(path: Path) -> Content:
    """The content of a file; InputError with the reason if it is unknown."""
    name = path.name
    for end in compression.ENDS:
        name = name.removesuffix(end)
    suffix = Path(name).suffix
    by_suffix: dict[str, Callable[[Path], Content]] = {
        ".parquet": lambda path: _of_columns(_parquet_columns(path)),
        ".jsonl": lambda path: _of_columns(_first_object(path)),
        ".json": _of_json,
        ".conllu": lambda _: Content("pos"),
    }
    if suffix in by_suffix:
        return by_suffix[suffix](path)
    if suffix in FOREIGN:
        raise InputError(NO_FORMAT)
    return _of_lines(path, suffix)


def _of_lines(path: Path, suffix: str) -> Content:
    """The content of a file of lines: a table, columns of words and tags, or raw text."""
    lines = list(islice(readers.read_lines(path), HEAD))
    first = next((line for _, line in lines if not _ends_sentence(line)), None)
    if first is None:
        raise InputError("empty")
    table = _table(first) if suffix in (".tsv", ".txt") else None
    content = table or _tagged(path, lines)
    if content is None and suffix == ".txt":
        content = Content("text")
    if content is None and suffix == ".tsv":
        raise InputError(f"a table whose header is '{first[:60]}'; docs/your_own_data.md, NLI")
    if content is None:
        raise InputError(NO_FORMAT)
    return content


def _ends_sentence(line: str) -> bool:
    return not line.strip() or line.startswith("-DOCSTART-")


def _tagged(path: Path, lines: Sequence[Line]) -> Content | None:
    """The task of words with tags; InputError if the study must name some of the columns."""
    comments = Comments(line for _, line in lines if not _ends_sentence(line))
    rows = [
        split_columns(line)
        for _, line in lines
        if not _ends_sentence(line) and not comments.has(line)
    ]
    if rows and all(len(row) == 10 and row[0].split("-")[0].isdigit() for row in rows):
        return Content("pos")
    width = min(map(len, rows), default=0)
    if width < 2 or not any(
        all(TAG.fullmatch(row[i]) for row in rows) for i in (-1, *range(width))
    ):
        return None
    tags: list[list[str]] = [[]]
    for _, line in words_and_tags(path, lines, _ends_sentence, {}):
        tags += [] if line else [[]]
        tags[-1] += line.split("\t")[1:]
    return Content("ner", tags=spans.scheme_of(tags))


def _table(header: str) -> Content | None:
    """The task of a table with this header."""
    names = {cell.strip().lower() for cell in header.split("\t")}
    for kind, needed in COLUMNS:
        exact = names - {"text_pair", "language"} == needed
        if exact or (kind == "nli" and needed <= names):
            return Content(kind, languages="language" in names)
    return None


def _of_columns(columns: dict[str, bool]) -> Content:
    """The content of a table with these columns; the values are True for columns of text."""
    for kind, needed in COLUMNS:
        if needed <= columns.keys():
            return Content(kind, languages="language" in columns)
    texts = [name for name, text in columns.items() if text]
    for name in [*TEXT_COLUMNS, *(texts if len(texts) == 1 else [])]:
        if name in texts:
            return Content("text", name)
    raise InputError(
        f"columns {', '.join(columns) or 'none'}, which are those of no task and no text"
    )


def _parquet_columns(path: Path) -> dict[str, bool]:
    schema = readers.open_parquet(path, ()).schema_arrow
    return {field.name: readers.is_text(field.type) for field in schema}


def _first_object(path: Path) -> dict[str, bool]:
    line = next((line for _, line in readers.read_lines(path) if line.strip()), "")
    row = readers.parse_json(line, path, "line 1") if line else None
    if not isinstance(row, dict):
        raise InputError("no lines of JSON objects")
    return {name: isinstance(value, str) for name, value in row.items()}


def _of_json(path: Path) -> Content:
    """Recognise JSON by the keys at its beginning, since the file may be large."""
    with compression.open_binary(path) as file:
        head = file.read(1 << 16).decode("utf-8", "replace")
    keys = set(re.findall(r'"(\w+)"\s*:', head))
    if "paragraphs" in keys:
        return Content("qa")
    for kind, needed in COLUMNS:
        if kind in ("nli", "classification") and needed <= keys:
            return Content(kind, languages="language" in keys)
    beginning = json.dumps(head[:30], ensure_ascii=False)
    raise InputError(
        f"JSON that begins with {beginning}, which is neither SQuAD nor rows of a task"
    )


# --- by name ---


def _placed(folder: Path, kinds: dict[str, Content]) -> Iterator[File]:
    """Files with their languages: the possible code in the path that varies most."""
    candidates = {path: list(_codes(folder, path)) for path in kinds}
    codes: dict[Any, set[str]] = defaultdict(set)
    for path, content in kinds.items():
        for code, template in candidates[path]:
            codes[content.kind, _alike(template)].add(code)
    for path, content in kinds.items():
        kind = content.kind
        split = _split(str(Path(path).relative_to(folder)))
        ranked = sorted(
            candidates[path],
            key=lambda c: (-len(codes[kind, _alike(c[1])]), len(c[0]) == 3, -path.rfind(c[0])),
        )
        template = ranked[0][1] if ranked else path
        language = ranked[0][0] if ranked else None
        yield File(path, kind, template, language, split, content.column, content.tags)


def _codes(folder: Path, path: str) -> Iterator[tuple[str, str]]:
    """Possible language codes in a path below the folder, each with the path as a template."""
    inside = str(Path(path).relative_to(folder))
    for code in dict.fromkeys(LANGUAGE.findall(inside)):
        if code not in WORDS and code not in SPLITS:
            part = rf"(?<![A-Za-z0-9]){re.escape(code)}(?![A-Za-z0-9])"
            yield code, str(folder / re.sub(part, "{language}", inside))


def _alike(template: str) -> str:
    """A text that is equal for files that differ only in their split or number."""
    for word in SPLITS:
        template = re.sub(rf"(?<![a-z]){word}(?![a-z])", "#", template)
    return re.sub(r"\d+", "#", template)


def _split(path: str) -> Split | None:
    words = re.findall(r"[a-z]+", path.lower())
    return next((SPLITS[word] for word in reversed(words) if word in SPLITS), None)


# --- raw text ---


def text_patterns(files: Sequence[File]) -> list[str]:
    """Path patterns that match all files of raw text and no other files of each language.

    The parts that differ between several shards of a language become `*`.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for file in files:
        wanted[str(file.language)].add(file.path)
    templates = list(dict.fromkeys(file.template for file in files))
    looser = [list(dict.fromkeys(map(of, templates))) for of in (_any_number, _any_name)]
    return min((p for p in (templates, *looser) if _match(p, wanted)), key=len)


def _any_number(template: str) -> str:
    return re.sub(r"\d+", "*", template)


def _any_name(template: str) -> str:
    """A template with `*` for the name of the file, except the language and the suffixes."""
    path = Path(template)
    if "{language}" in path.name:
        return re.sub(r"(\{language\}).*?((?:\.[a-z0-9]+)+)$", r"\1*\2", template)
    ends = re.search(r"(\.(?:txt|jsonl|parquet)(?:\.\w+)?)$", path.name)
    return str(path.parent / f"*{ends[1] if ends else ''}")


def _match(patterns: Iterable[str], wanted: dict[str, set[str]]) -> bool:
    return all(
        {path for p in patterns for path in glob(p.replace("{language}", language))} == paths
        for language, paths in wanted.items()
    )
