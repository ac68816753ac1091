"""Everything that the jobs of a study will read, looked at before any of them runs.

Each function of `CHECKS` looks at one kind of input. It writes what is wrong into `Found.problems`,
one sentence each, and into `Found.looked_at` what it looked at; what is suspicious but possible it
passes to `errors.warn`. To add a check, add a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from langarith import tasks
from langarith.data import readers
from langarith.errors import InputError, InputWarning, gathered_warnings
from langarith.operands import budget_tokens
from langarith.progress import size_of
from langarith.study import schema, sources


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
            *(f"warning: {warning}" for warning in self.warnings),
            f"looked at: {'; '.join(self.looked_at) or 'nothing'}",
        ]


def look(of: schema.Study) -> Found:
    """Look at all that the jobs of a study will read.

    Files that the workflow makes or downloads itself, and that do not exist yet, are skipped.
    """
    found = Found()
    with gathered_warnings() as found.warnings:
        for check in CHECKS:
            check(of, found)
    return found


def _raw_text(of: schema.Study, found: Found) -> None:
    """Raw text, to its end; of files of the hub, whose bytes were verified, the header alone."""
    files = documents = size = 0
    for language in of.languages:
        characters, budgets = 0, [budget_tokens(b) or 0 for b in of.budgets.get(language, [])]
        try:
            for path in map(Path, sources.shards(of, language)):
                if not path.exists():
                    continue
                files, size = files + 1, size + path.stat().st_size
                if isinstance(of.corpora, schema.HubCorpora):
                    readers.open_parquet(path, [of.corpora.text_column])
                    continue
                for document in readers.read_documents(path, text_column=of.corpora.text_column):
                    documents += 1
                    characters += len(document)
        except InputError as error:
            found.problems.append(str(error))
            continue
        # a token is one character at least, so this never refuses a sufficient corpus
        if characters and budgets and characters < max(budgets):
            found.problems.append(
                f"budgets.{language}: the corpus of {language} has {characters} characters, too "
                f"few for a budget of {max(budgets)} tokens; add text or lower the budget"
            )
    found.looked_at.append(f"{files} raw files with {documents} documents ({size_of(size)})")


def _task_data(of: schema.Study, found: Found) -> None:
    """Task files, to their end."""
    files = examples = size = 0
    for name, spec in of.tasks.items():
        task = tasks.get(sources.task_type(of, name), spec.labels)
        for language in dict.fromkeys([of.task_language, *spec.targets]):
            for split, cut in sources.task_reading(of, name, language)["cuts"].items():
                path = Path(sources.task_file(of, name, language, split))
                if not path.exists():
                    continue
                files, size = files + 1, size + path.stat().st_size
                try:
                    examples += len(task.read(path, cut=cut, split=split))
                except InputError as error:
                    found.problems.append(str(error))
    found.looked_at.append(f"{files} task files with {examples} examples ({size_of(size)})")


CHECKS: tuple[Callable[[schema.Study, Found], None], ...] = (_raw_text, _task_data)
