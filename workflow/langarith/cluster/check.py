"""Checks that need the data: all files of a study are read, and all problems reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from langarith import tasks
from langarith.cluster import disk
from langarith.data import readers
from langarith.errors import InputError
from langarith.operands import budget_tokens
from langarith.study import schema, sources


def problems(of: schema.Study) -> list[str]:
    """One sentence for each file of a study that cannot be used as the study specifies.

    Files that the workflow makes or downloads itself, and that do not exist yet, are skipped.
    """
    return [*_corpora(of), *_tasks(of), *disk.problems(of)]


def _corpora(of: schema.Study) -> Iterator[str]:
    for language in of.languages:
        words, budgets = 0, [budget_tokens(b) or 0 for b in of.budgets.get(language, [])]
        try:
            for path in sources.shards(of, language):
                if not Path(path).exists():
                    continue
                if isinstance(of.corpora, schema.HubCorpora):
                    # its bytes are verified against the hub, and may be tens of gigabytes
                    readers.open_parquet(Path(path), [of.corpora.text_column])
                    continue
                for document in readers.read_documents(
                    Path(path), text_column=of.corpora.text_column
                ):
                    words += len(document)
        except InputError as error:
            yield str(error)
            continue
        # a token is one character at least, so this never refuses a sufficient corpus
        if words and budgets and words < max(budgets):
            yield (
                f"budgets.{language}: the corpus of {language} has {words} characters, too few for "
                f"a budget of {max(budgets)} tokens; add text or lower the budget"
            )


def _tasks(of: schema.Study) -> Iterator[str]:
    for name, spec in of.tasks.items():
        task = tasks.get(sources.task_type(of, name), spec.labels)
        for language in dict.fromkeys([of.task_language, *spec.targets]):
            for split, cut in sources.task_reading(of, name, language)["cuts"].items():
                path = Path(sources.task_file(of, name, language, split))
                if path.exists():
                    try:
                        task.read(path, cut=cut, split=split)
                    except InputError as error:
                        yield str(error)
