"""Everything that the jobs of a study will read, looked at before any of them runs.

Each function of `CHECKS` looks at one kind of input. It writes what is wrong into `Found.problems`,
one sentence each, and into `Found.looked_at` what it looked at; what is suspicious but possible it
passes to `errors.warn`. To add a check, add a function.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from langarith import layout, tasks
from langarith.adapter_format import ADAPTER_FILES, HEAD_FILES
from langarith.data import base_models, heads, hub, readers
from langarith.errors import InputError, InputWarning, gathered_warnings, warn
from langarith.evaluation import rules_of_study
from langarith.files import copies
from langarith.operands import Operand, budget_tokens
from langarith.planning import disk
from langarith.progress import Progress, size_of
from langarith.study import experiments, file_checks, schema, sources
from langarith.tasks.shared.checks import Trained, check_split

if TYPE_CHECKING:
    from tokenizers import Tokenizer


COUNT = re.compile(r"^\d[\d,]*( of \d[\d,]*)?( \([\d.]+ %\))?")
"""The number with which a warning may begin: `3`, `3 of 40 (7.5 %)`."""


@dataclass
class Found:
    """What the checks of a study found."""

    problems: list[str] = field(default_factory=list)
    """A sentence for each thing that is wrong."""
    warnings: list[InputWarning] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    """What was looked at, with counts: `3 raw files with 90 documents (12 kB)`."""

    def lines(self) -> list[str]:
        """Problems, warnings and what was looked at, as they are printed."""
        return [
            *self.problems,
            *_grouped(self.warnings),
            f"looked at: {'; '.join(self.looked_at) or 'nothing'}",
        ]


def _grouped(warnings: Sequence[InputWarning]) -> Iterator[str]:
    """Warnings that differ in their first number alone: one in full, below it the others."""
    kinds: defaultdict[str, list[tuple[InputWarning, str]]] = defaultdict(list)
    for warning in warnings:
        number = COUNT.match(warning.what)
        kinds[COUNT.sub("", warning.what)].append((warning, f": {number[0]}" if number else ""))
    for (first, _), *others in kinds.values():
        yield f"warning: {first}"
        yield from (f"    also {other.where}{number}" for other, number in others)


def look(of: schema.Study) -> Found:
    """Look at all that the jobs of a study will read.

    Files that the workflow makes or downloads itself, and that do not exist yet, are skipped.
    """
    found = Found()
    with gathered_warnings() as found.warnings:
        for check in CHECKS:
            check(of, found)
    found.problems = list(dict.fromkeys(found.problems))  # one file may be read as two splits
    return found


def _raw_text(of: schema.Study, found: Found) -> None:
    """Raw text, to its end; of files of the hub, whose bytes were verified, the header alone."""
    documents = missing = 0
    paths: list[Path] = []
    most = sources.first_documents(of).get("documents")
    progress = Progress("reading raw text", len(of.languages), "language")
    for number, language in enumerate(of.languages):
        progress.update(number)
        if any(file_checks.missing_rows(of, [language])):
            continue  # no job reads its text, else the study is refused
        corpus = _Corpus(of.corpora.validation_documents, most)
        there = [Path(path) for path in sources.shards(of, language)]
        absent = sum(not path.exists() for path in there)
        missing += absent
        try:
            for path in filter(Path.exists, there):
                paths.append(path)
                if isinstance(of.corpora, schema.HubCorpora):
                    file = readers.open_parquet(path, [of.corpora.text_column])
                    corpus.count(file.metadata.num_rows)
                else:
                    corpus.read(path, of.corpora.text_column)
        except InputError as error:
            found.problems.append(str(error))
        else:
            if not absent:
                found.problems += corpus.problems(of, language)
        documents += corpus.documents
    for first, second in copies(paths):
        warn(f"{second}", f"it holds the same text as {first}")
    found.looked_at.append(f"{_amount(paths, 'raw file', missing)} with {documents:,} documents")


@dataclass
class _Corpus:
    """The raw text of a language: its documents, and the most tokens that they can become.

    A token is one byte at least, and a tokenizer adds at most a mark of the start and two special
    tokens to a document. Of files of the hub the documents alone are known.
    """

    held_out: int
    most: int | None
    """How many documents the study reads, if not all."""
    documents: int = 0
    validation: int = 0
    training: int = 0

    def count(self, documents: int) -> None:
        """Count so many documents, of which no more is known."""
        self.documents += documents
        if self.most is not None:
            self.documents = min(self.documents, self.most)

    def read(self, path: Path, column: str) -> None:
        """Count the documents of a shard."""
        left = None if self.most is None else self.most - self.documents
        if left == 0:
            return
        for text in readers.read_documents(path, text_column=column, documents=left):
            tokens = len(text.encode()) + 3
            if self.documents < self.held_out:
                self.validation += tokens
            else:
                self.training += tokens
            self.documents += 1

    def problems(self, of: schema.Study, language: str) -> Iterator[str]:
        """Why the corpus cannot be cut as the study says."""
        if self.documents <= self.held_out:
            yield (
                f"corpora.validation_documents: {self.held_out} documents are held out, and the "
                f"corpus of {language} has {self.documents}, so none is left to train on; hold "
                "out fewer or add text"
            )
            return
        chunk = of.training.language_adapter.chunk_length
        if self.validation and self.validation < chunk:
            yield (
                f"corpora.validation_documents: the first {self.held_out} documents of {language} "
                f"have fewer tokens than one chunk of {chunk} (training.language_adapter."
                "chunk_length); hold out more documents or add text"
            )
        budgets = [budget_tokens(budget) or 0 for budget in of.budgets.get(language, [])]
        if self.most is not None:
            budgets = []  # a budget that the first documents do not fill takes all of them
        if self.training and self.training < max([chunk, *budgets]):
            key, wanted = (
                (f"budgets.{language}", f"a budget of {max(budgets)} tokens")
                if max([0, *budgets]) > chunk
                else ("corpora.path", f"a chunk of {chunk} tokens")
            )
            yield (
                f"{key}: the corpus of {language} has at most {self.training} tokens after the "
                f"first {self.held_out} documents, too few for {wanted}; add text or ask for less"
            )


def _task_data(of: schema.Study, found: Found) -> None:
    """Task files, to their end, and whether those of all languages fit together."""
    paths: list[Path] = []
    examples = missing = 0
    total = sum(len(sources.task_languages(of, name)) for name in of.tasks)
    progress, done = Progress("reading task data", total, "language"), itertools.count()
    for name in of.tasks:
        trained: Trained | None = None
        tests: dict[str, int] = {}
        read: list[Path] = []
        for language in sources.task_languages(of, name):
            progress.update(next(done))
            reading = sources.task_reading(of, name, language)
            task = tasks.reader(reading)
            for split in reading["cuts"]:
                path = Path(sources.task_file(of, name, language, split))
                if not path.exists():
                    missing += 1
                    continue
                read.append(path)
                try:
                    count, trained = check_split(
                        task, path, split, reading, trained, f"{name}, {language}", _tokenizers(of)
                    )
                    examples += count
                    if split == "test" and language in of.tasks[name].targets:
                        tests[language] = count
                except InputError as error:
                    found.problems.append(str(error))
        paths += read
        if of.tasks[name].parallel and len(set(tests.values())) > 1:
            counts = ", ".join(f"{count:,} ({language})" for language, count in tests.items())
            warn(
                f"tasks.{name}.parallel",
                f"test sets have different numbers of examples: {counts}; only those with equally "
                "many are resampled together",
            )
        found.problems += (
            f"tasks.{name}: {second} is a copy of {first}; give each language and split data of "
            "its own"
            for first, second in copies(read)
        )
    found.looked_at.append(f"{_amount(paths, 'task file', missing)} with {examples:,} examples")


def _tokenizers(of: schema.Study) -> list[tuple[Tokenizer | None, str]]:
    """The tokenizers that are at hand, each with its model for messages; None if one is not."""
    found: list[tuple[Tokenizer | None, str]] = []
    for name in of.models:
        made = f"{of.results_dir}/{layout.TOKENIZER.format(model=name)}/tokenizer.json"
        path = Path(sources.given_file(of, name, "tokenizer.json") or made)
        tokenizer = _tokenizer(path, path.stat().st_mtime_ns) if path.is_file() else None
        if tokenizer is not None:
            found.append((tokenizer, f", model {name}"))
    return found if len(found) == len(of.models) else [*found, (None, "")]


@cache
def _tokenizer(path: Path, _: int) -> Tokenizer | None:
    """A saved tokenizer without truncation; None where it cannot be loaded."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # what is wrong with it is the matter of another check
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _amount(paths: Sequence[Path], what: str, missing: int) -> str:
    """`3 raw files (12 kB, 2 more are not there yet)`."""
    different = dict.fromkeys(paths)
    size = size_of(sum(path.stat().st_size for path in different if path.is_file()))
    more = f", {missing} more are not there yet" if missing else ""
    return f"{len(different)} {what}{'' if len(different) == 1 else 's'} ({size}{more})"


def _base_models(of: schema.Study, found: Found) -> None:
    """Base models and ready-made adapters that are at hand, by configurations and headers."""
    models: list[Path] = []
    adapters: list[Path] = []
    for name, model in of.models.items():
        folder = sources.given_folder(of, name)
        if folder and (folder / "config.json").is_file():
            models.append(folder)
            lengths = sources.model_lengths(of, name)
            if folder.is_relative_to(hub.FOLDER) and any(base_models.missing_files(folder)):
                problems = base_models.config_problems(folder, lengths)  # not all is downloaded
            elif isinstance(model, schema.ContinuedModel):
                problems = base_models.problems(folder, lengths, masked_lm=True, head_needed=False)
            else:
                masked_lm = sources.trains_language_adapters(of, name)
                problems = base_models.problems(folder, lengths, masked_lm=masked_lm)
            found.problems += [f"models.{name}: {problem}" for problem in problems]
        for language in model.adapters:
            file = sources.ready_adapter(of, name, Operand(language), ADAPTER_FILES[1])
            if file and all((Path(file).parent / f).is_file() for f in ADAPTER_FILES):
                adapters.append(Path(file).parent)
                found.problems += [
                    f"models.{name}.adapters.{language}: {problem}"
                    for problem in base_models.adapter_problems(adapters[-1])
                ]
        for task in model.task_adapters:
            file = sources.ready_task_adapter(of, name, task, ADAPTER_FILES[1])
            files = [*ADAPTER_FILES, *HEAD_FILES]
            if file and all((Path(file).parent / f).is_file() for f in files):
                adapters.append(Path(file).parent)
                found.problems += [
                    f"models.{name}.task_adapters.{task}: {problem}"
                    for problem in _task_adapter_problems(of, task, adapters[-1])
                ]
    for paths, what in ((models, "base model"), (adapters, "ready-made adapter")):
        if paths:
            found.looked_at.append(f"{len(paths)} {what}{'' if len(paths) == 1 else 's'}")


def _task_adapter_problems(of: schema.Study, name: str, folder: Path) -> Iterator[str]:
    """What is wrong with a ready-made task adapter, and with its head for the task's labels."""
    yield from base_models.adapter_problems(folder)
    task = tasks.reader(sources.task_reading(of, name, of.task_language))
    train = Path(sources.task_file(of, name, of.task_language, "train"))
    try:
        labels = task.labels(task.read(train, split="train")) if train.is_file() else None
    except InputError:
        labels = None  # the check of the task's files says what is wrong
    try:
        base_models.read_shapes(folder / HEAD_FILES[1])
        problem = heads.problem(heads.read(folder), task.head, labels, folder)
    except InputError as error:
        problem = str(error)
    if problem:
        yield problem


def _rules(of: schema.Study, found: Found) -> None:
    """Whether the rules that the study names can choose λ."""
    found.problems += rules_of_study.problems(of)


def _disk(of: schema.Study, found: Found) -> None:
    """Whether what the study will write fits on its disk."""
    found.problems += disk.problems(of)
    found.looked_at.append("free space on disk")


def _grid(of: schema.Study, found: Found) -> None:
    """Targets without a related language, and languages that a base model has not seen."""
    for name in of.experiments:
        try:
            experiments.cells(of, name)
        except InputError as error:
            found.problems.append(str(error))
    for name, model in of.models.items():
        if model.source == "pretrain":
            unseen = [code for code in of.languages if code not in model.languages]
            if unseen:
                warn(
                    f"models.{name}.languages",
                    f"{', '.join(unseen)} not among them: the model and its tokenizer have not "
                    "seen this text; to add them is to train the model and all adapters again",
                )


CHECKS: tuple[Callable[[schema.Study, Found], None], ...] = (
    _grid,
    _raw_text,
    _task_data,
    _base_models,
    _rules,
    _disk,
)
