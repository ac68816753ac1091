"""The command `langarith`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from langarith.cluster import runs
from langarith.commands import check, doctor, status, track
from langarith.data import hub, hub_download, tydiqa
from langarith.errors import InputError, count
from langarith.files import refusal
from langarith.planning import plan
from langarith.publishing import merge
from langarith.study import loading, schema
from langarith.study.blocks import expanded_path
from langarith.study.resolved import study_of

OWN_OPTIONS = {
    "audit": ("langarith.audit.verify", "verify files, explain a number, diff two runs"),
    "export": ("langarith.publishing.export", "write a merged adapter that plain adapters loads"),
}
"""Commands whose module has their options, `add_options`, and runs them, `run`."""

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """\
examples:
  langarith doctor                                  can this machine run a study?
  langarith init data --to studies/mine.yaml        a study for the files in data/
  langarith check studies/mine.yaml                 is everything there that its jobs will read?
  langarith plan studies/mine.yaml zero_shot        what would run, and for how long?
  langarith plan studies/mine.yaml --limit small    and with the first part of everything?
  langarith status results/mine                     what runs, how far is it, when does it end?
  langarith results results/mine                    which figures and tables are there?
  langarith track results/mine --to tensorboard tb  learning curves for TensorBoard
  langarith audit explain --help                    where does a number come from?
  langarith export --left en --right fr --lambda 0.6 --results results/mine --seed 1 --to en-fr
  langarith merge recipe.yml --to en-fr             merge two adapters without a study
  langarith schema > study.schema.json              by which editors complete and check studies
  langarith completion bash                         a script by which TAB completes this command
"""


def results(folder: Path) -> list[str]:
    """The figures, tables and pages of a study."""
    study_of(folder)
    lines = runs.made(folder)
    if not lines:
        raise InputError(f"{folder}: no figure or table yet; run the study first")
    return lines


def shards(repository: str, pattern: str, languages: list[str], revision: str) -> list[str]:
    """Refresh the committed table of shards from the hub; a line per configuration.

    Without languages, a pattern with {language} means all rows of the table that match it.
    """
    entry = hub.shard_table().get(repository, {})
    if "{language}" not in pattern:
        configs = [pattern]
    elif languages:
        configs = [pattern.replace("{language}", language) for language in languages]
    else:
        head, _, tail = pattern.partition("{language}")
        rows = entry.get("shards", {})
        configs = [c for c in rows if c.startswith(head) and c.endswith(tail)]
        if not configs:
            raise InputError(f"the table has no row like {pattern}; name some (--languages en fr)")
    commit = hub_download.resolve("datasets", repository, revision)
    counts = hub_download.count_shards(repository, configs, commit)
    before = {config: entry.get("shards", {}).get(config) for config in configs}
    hub_download.write_shard_table(repository, commit, counts)
    return [f"{config}: {counts[config]} (was {before[config] or 'unknown'})" for config in configs]


def check_study(study: Path, overrides: Mapping[str, Any] | None = None) -> list[str]:
    """Warnings about what the jobs of a study will read, and what was looked at, one line each.

    Raises:
        InputError: the same with everything that is wrong, one line each.
    """
    found = check.look(loading.load_for_run(study, overrides))
    if found.problems:
        count = len(found.problems)
        listed = f"{study}: {count} {'mistake' if count == 1 else 'mistakes, listed at the top'}"
        raise InputError("\n".join([*found.lines(), listed]))
    return [*found.lines(), f"{study}: nothing is wrong with what its jobs will read"]


def init(folder: Path, to: Path, model: Path | None) -> list[str]:
    """See :func:`langarith.commands.drafts.init`."""
    return list(import_module("langarith.commands.drafts").init(folder, to, model))


def json_schema() -> list[str]:
    """The JSON schema of a study's file, one string."""
    return [json.dumps(schema.json_schema(), indent=1)]


def convert(given: Path, to: Path, labels: Sequence[str]) -> list[str]:
    """An adapter's folder: see :func:`langarith.models.convert.convert`, which imports torch.

    A file: see :func:`langarith.data.tydiqa.convert`.

    Raises:
        InputError: with what is wrong with either.
    """
    if not given.is_file():
        return list(import_module("langarith.models.convert").convert(given, to, labels))
    if labels:
        raise InputError(
            f"--labels is only for an adapter's folder, and {given} is a file; remove it"
        )
    return tydiqa.convert(given, to)


def completion(shell: str) -> list[str]:
    """The script by which a shell completes this command, one string."""
    import shtab

    parser = _parser()
    for name, (module, _) in OWN_OPTIONS.items():
        import_module(module).add_options(_subparsers(parser)[name])
    _complete_paths(parser)
    return [shtab.complete(parser, shell)]


def _subparsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of the commands of a parser, by name."""
    for action in parser._actions:
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            return action.choices
    return {}


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Complete names of files wherever a command takes a path."""
    import shtab

    for action in parser._actions:
        if action.type is Path:
            vars(action)["complete"] = shtab.FILE
    for subparser in _subparsers(parser).values():
        _complete_paths(subparser)


def _add_limit(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--limit",
        help="of a limited run, as after --config limit=: small, or '{documents: 50, steps: 10}'",
    )


def overrides(limit: str | None) -> dict[str, Any]:
    """The top-level keys of a study that options of a command stand for.

    Raises:
        InputError: the limit is no YAML.
    """
    if limit is None:
        return {}
    try:
        value = yaml.safe_load(limit)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(
            f"--limit: '{limit}' is no limit; write small, or '{{documents: 50, steps: 10}}'"
        ) from error
    return {"limit": limit if value is None else value}


def answer(command: Callable[[], Sequence[str]], log: str | Path | None = None) -> int:
    """Print the lines of a command, or to stderr what is wrong; 0 if all is well, else 1.

    Args:
        log: file to write the same lines to (`snakemake check`, `snakemake plan`).
    """
    try:
        text, code = "\n".join(command()), 0
    except (InputError, OSError) as error:
        text, code = sentence(error), 1
    if log is not None:
        Path(log).write_text(f"{text}\n", encoding="utf-8")
    print(text, file=sys.stderr if code else sys.stdout)
    return code


def sentence(error: InputError | OSError) -> str:
    """The message on a mistake of the user, or on a file that cannot be read or written.

    Raises:
        OSError: the error itself, if it is about no file.
    """
    text = refusal(error) if isinstance(error, OSError) else str(error)
    if text is None:
        raise error
    return text


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 for a user's mistake."""
    if arguments is None:
        # scripts of packages lie beside this command, and lang2vec.py would hide its package
        scripts = os.path.dirname(os.path.abspath(sys.argv[0]))
        sys.path[:] = [folder for folder in sys.path if folder != scripts]
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return code
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "langarith":
            raise
        needed = f"this command needs the package {package}, which is not installed"
        print(f"{needed}; docs/install.md names what installs it", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (InputError, OSError) as error:
        print(sentence(error), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    """The options of all commands but those of `OWN_OPTIONS`."""
    parser = argparse.ArgumentParser(
        prog="langarith",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"langarith {version('langarith')}")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("results", help="list the figures and tables of a study")
    listing.add_argument(
        "where", type=Path, nargs="?", help="results folder or study; default: the newest run here"
    )
    _add_limit(listing)
    watching = commands.add_parser(
        "status", help="say what a run has done, what it does and when it ends"
    )
    watching.add_argument(
        "where", type=Path, nargs="?", help="results folder or study; default: the newest run here"
    )
    watching.add_argument(
        "--all", action="store_true", help="list all trainings, not only the newest ones"
    )
    _add_limit(watching)
    tracking = commands.add_parser(
        "track", help="write the metrics of a study's trainings for TensorBoard or W&B"
    )
    tracking.add_argument("results", type=Path, help="results folder of a study")
    tracking.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("TOOL", "FOLDER"),
        help=f"{' or '.join(track.TOOLS)}, and a new folder",
    )
    drafting = commands.add_parser("init", help="write a study for the files of a folder")
    drafting.add_argument("folder", type=Path, help="which holds raw text and task data")
    drafting.add_argument(
        "--to", type=Path, default=Path("studies/mine.yaml"), help="the file (studies/mine.yaml)"
    )
    drafting.add_argument("--model", type=Path, help="a base model outside of that folder")
    checking = commands.add_parser("check", help="read a study and every file that it names")
    checking.add_argument("study", type=Path)
    _add_limit(checking)
    examining = commands.add_parser("doctor", help="say whether this machine can run a study")
    examining.add_argument("study", type=Path, nargs="?", help="one whose disk space is looked at")
    planning = commands.add_parser("plan", help="list what would run, why and for how long")
    planning.add_argument("study", type=Path)
    planning.add_argument("targets", nargs="*", default=["all"], help="as for snakemake")
    planning.add_argument("--jobs", type=count, default=2, help="cores that jobs share (2)")
    _add_limit(planning)
    for name, (_, help_text) in OWN_OPTIONS.items():
        commands.add_parser(name, help=f"{help_text}: langarith {name} --help")
    merging = commands.add_parser("merge", help="merge the adapters of a recipe, without a study")
    merging.add_argument("recipe", type=Path, help="a YAML file: docs/merging_without_a_study.md")
    merging.add_argument("--to", type=Path, required=True, help="the folder to write")
    converting = commands.add_parser(
        "convert",
        help="write an adapter in pickles as safetensors, or a file of TyDiQA as one per language",
    )
    converting.add_argument(
        "given",
        type=Path,
        help="an adapter's folder (docs/no_training.md), or a file (docs/your_own_data.md)",
    )
    converting.add_argument("--to", type=Path, required=True, help="the folder to write")
    converting.add_argument(
        "--labels", nargs="+", default=[], help="of the head's outputs, in their order"
    )
    commands.add_parser("schema", help="print the JSON schema of studies, for editors")
    counting = commands.add_parser("shards", help="refresh the table of shards from the hub")
    counting.add_argument("repository", help="owner/name of a dataset")
    counting.add_argument("config", help="a configuration, or a pattern with {language}")
    counting.add_argument(
        "--languages", nargs="+", default=[], help="which ones; default: rows of the table"
    )
    counting.add_argument("--revision", default="main")
    completing = commands.add_parser("completion", help="print a script for completion by TAB")
    completing.add_argument("shell", choices=SHELLS)
    return parser


def _expanded(path: str | Path) -> Path:
    try:
        expanded = Path(expanded_path(str(path)))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    # a link to itself or too long a name is no path; others are judged where they are used
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        expanded.stat()
    return expanded


def _parsed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """The options of a command, with `~` and `$VARIABLE` expanded in paths."""
    chosen = parser.parse_args(arguments)
    for name, value in vars(chosen).items():
        if isinstance(value, Path):
            setattr(chosen, name, _expanded(value))
    return chosen


def run(arguments: list[str]) -> int:
    """Run a command and print what it says."""
    if arguments and arguments[0] in OWN_OPTIONS:
        name, (module, description) = arguments[0], OWN_OPTIONS[arguments[0]]
        command = import_module(module)
        parser = argparse.ArgumentParser(prog=f"langarith {name}", description=description)
        command.add_options(parser)
        return int(command.run(_parsed(parser, arguments[1:])))
    chosen = _parsed(_parser(), arguments)
    commands: dict[str, Callable[[], Sequence[str]]] = {
        "convert": lambda: convert(chosen.given, chosen.to, chosen.labels),
        "completion": lambda: completion(chosen.shell),
        "check": lambda: check_study(chosen.study, overrides(chosen.limit)),
        "init": lambda: init(chosen.folder, chosen.to, chosen.model),
        "doctor": lambda: doctor.report(chosen.study and loading.load(chosen.study)),
        "merge": lambda: merge.from_recipe(chosen.recipe, chosen.to),
        "plan": lambda: plan.of_study(
            chosen.study, chosen.targets, chosen.jobs, overrides(chosen.limit)
        ),
        "results": lambda: results(status.find(chosen.where, overrides(chosen.limit))),
        "status": lambda: list(
            status.report(status.find(chosen.where, overrides(chosen.limit)), chosen.all)
        ),
        "track": lambda: track.export(chosen.results, chosen.to[0], _expanded(chosen.to[1])),
        "schema": json_schema,
        "shards": lambda: shards(
            chosen.repository, chosen.config, chosen.languages, chosen.revision
        ),
    }
    return answer(commands[chosen.command])


if __name__ == "__main__":
    sys.exit(main())
