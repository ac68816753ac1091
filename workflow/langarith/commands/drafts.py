"""A commented study for the files of a folder, as `langarith init` writes it."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from langarith.commands import draft_sizes
from langarith.commands.draft_sizes import Scale, Sizes, with_comment, yaml_word
from langarith.data import readers, relatedness
from langarith.errors import InputError
from langarith.files import write_text
from langarith.study import found_files, loading
from langarith.study.found_files import File, Found, Kind, Split

SCHEMA = Path(__file__).parents[2] / "schemas" / "study.schema.json"
"""Of a checkout; an installed package has none."""

SHOWN = 4
"""Names of files in a message, at most."""

HELD_OUT, COUNTED = 500, 5000
"""Documents that are held out at most, and that are counted of a language at most."""


@dataclass
class Task:
    """A task as its files allow it.

    paths: the templates of `train`, `validation`, `test` and `path` that most languages share.
    own: by language the paths that differ. missing: what it needs and no file has, empty if it is
    complete. tags: the tagging scheme of its spans. used: the files that the study names.
    """

    name: str
    kind: Kind
    targets: list[str] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    missing: str = ""
    tags: str = "iob2"
    used: set[str] = field(default_factory=set)


def init(folder: Path, to: Path, model: Path | None = None) -> list[str]:
    """Write a study for the files of a folder, and say what it holds, a line each.

    Args:
        folder: its raw text, task data and base models.
        to: the study's file.
        model: a folder with a base model, which takes the place of those of `folder`.

    Raises:
        InputError: `to` exists, the files make no study, or no study can use `model`: with what is
            missing.
    """
    if to.exists():
        raise InputError(f"{to} exists already; name another file (--to), or remove it")
    found = found_files.look(folder)
    text = found.of("text")
    languages = sorted({str(file.language) for file in text})
    drafted = list(_tasks(found, languages))
    complete = [task for task in drafted if not task.missing]
    source = _task_language(found, languages)
    if len(languages) < 2 or not complete:
        problems = []
        if len(languages) < 2:
            had = ", ".join(languages) or "no language"
            problems.append(f"raw text of {had}; two languages at least are needed")
        problems += [f"{task.name}: {task.missing}" for task in drafted if task.missing]
        problems = problems or ["no task data: training, validation and test files of one task"]
        raise InputError("\n".join(f"{folder}: {line}" for line in [*problems, *_others(found)]))
    models, refused = draft_sizes.usable([str(model)] if model else found.models)
    if model and not models:
        raise InputError(refused[0].replace("left out the base model", "--model"))
    sizes = draft_sizes.sizes_for(text, models)
    content = _study(to, text, sizes, languages, source, complete)
    _write(to, content)
    tasks = "; ".join(f"{task.name} ({', '.join(task.targets)})" for task in complete)
    unused = {file.path for file in found.files if file.kind != "text"}
    unused -= {path for task in complete for path in task.used}
    return [
        f"wrote {to}: raw text of {', '.join(languages)}; task language {source}; tasks {tasks}",
        *(f"left out {task.name}: {task.missing}" for task in drafted if task.missing),
        *refused,
        *_unused(sorted(unused), source),
        *_others(found),
        f"look at its comments, then: langarith check {to}",
    ]


def _others(found: Found) -> list[str]:
    """Files that are not recognised, by reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, reason in sorted(found.others.items()):
        reasons[reason].append(path)
    return [f"not recognised ({reason}): {_some(paths)}" for reason, paths in reasons.items()]


def _unused(paths: Sequence[str], source: str) -> Iterator[str]:
    if paths:
        yield (
            f"not used (training data is read of {source} alone, and each split from one file): "
            f"{_some(paths)}"
        )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


def _write(to: Path, content: str) -> None:
    """Write a study that loads, or none."""
    trial = to.with_name(f".{to.name}")
    write_text(trial, content)
    try:
        loading.load(trial)
    except InputError as error:
        raise InputError(str(error).replace(str(trial), "the study that was drafted")) from error
    else:
        trial.rename(to)
    finally:
        trial.unlink(missing_ok=True)


# --- tasks ---


def _task_language(found: Found, languages: Sequence[str]) -> str:
    """The language with most training files; of several English, else the first."""
    trained = Counter(file.language for file in found.files if file.split == "train")
    ranked = sorted(languages, key=lambda code: (-trained[code], code not in ("en", "eng"), code))
    return ranked[0] if ranked else "en"


def _tasks(found: Found, languages: Sequence[str]) -> Iterator[Task]:
    """The tasks of each kind: one of each folder, or one of all where a folder is not enough."""
    source = _task_language(found, languages)
    kinds = dict.fromkeys(file.kind for file in found.files if file.kind != "text")
    for kind in kinds:
        files = found.of(kind)
        folders: dict[str, list[File]] = defaultdict(list)
        for file in files:
            folders[os.path.dirname(file.template.split("{language}")[0])].append(file)
        parts = [_task(kind, kind, of, languages, source) for of in folders.values()]
        if len(parts) == 1 or any(part.missing for part in parts):
            yield _task(kind, kind, files, languages, source)
            continue
        for name, of in folders.items():
            yield _task(PurePath(name).name or kind, kind, of, languages, source)


def _task(
    name: str, kind: Kind, files: Iterable[File], languages: Sequence[str], source: str
) -> Task:
    """Assign the files to splits; one without a language is of the task language."""
    by_language: dict[str, dict[str, File]] = defaultdict(dict)
    for file in sorted(files, key=lambda f: f.language is None):
        place = file.split or ("path" if kind == "qa" else "")
        by_language[file.language or source].setdefault(place, file)
    task, own = Task(name, kind), by_language[source]
    wanted: tuple[Split | str, ...] = ("validation", "test")
    task.targets = [t for t in languages if t != source and {*wanted} <= by_language[t].keys()]
    if not task.targets and kind == "qa":
        wanted = ("path",)
        task.targets = [t for t in languages if t != source and "path" in by_language[t]]
    missing = [place for place in ("train", *wanted) if place not in own]
    if missing:
        words = " and no ".join(missing).replace("path", "validation and no test")
        task.missing = f"no {words} file of {source}, the task language"
    elif not task.targets:
        task.missing = "no other language has raw text and files of validation and test"
    else:
        _place(task, by_language, source, wanted)
    return task


def _place(
    task: Task, by_language: Mapping[str, Mapping[str, File]], source: str, wanted: Sequence[str]
) -> None:
    """Name the files: by a template where languages share one, else by language."""
    task.paths["train"] = by_language[source]["train"].template
    task.used.add(by_language[source]["train"].path)
    task.tags = by_language[source]["train"].tags
    if wanted == ("path",) and "validation" in by_language[source]:
        task.paths["validation"] = by_language[source]["validation"].template
        task.used.add(by_language[source]["validation"].path)
    for place in wanted:
        files = {language: by_language[language][place] for language in [source, *task.targets]}
        task.used |= {file.path for file in files.values()}
        if task.tags == "iob2":  # files in IOB2 can be read in any scheme
            others = (file.tags for file in files.values() if file.tags != "iob2")
            task.tags = next(others, task.tags)
        shared = Counter(file.template for file in files.values() if file.language)
        task.paths[place] = shared.most_common(1)[0][0]
        for language, file in files.items():
            if file.template != task.paths[place]:
                task.own[language][place] = file.path


# --- the file ---


def _study(
    to: Path,
    text: Sequence[File],
    sizes: Sizes,
    languages: Sequence[str],
    source: str,
    tasks: Sequence[Task],
) -> str:
    columns = Counter(file.column for file in text)
    patterns = found_files.text_patterns(text)
    path = json.dumps(patterns[0] if len(patterns) == 1 else patterns, ensure_ascii=False)
    targets = list(dict.fromkeys(t for task in tasks for t in task.targets))
    related = _related(targets, languages, source)
    plain = all(p.endswith(readers.TEXT_SUFFIXES) for p in patterns)
    column = columns.most_common(1)[0][0]
    lines = [
        *_head(to, sizes.threads),
        f"name: {yaml_word(to.stem)}",
        with_comment('note: ""', "a sentence for the foot of every figure"),
        f"results_dir: {yaml_word(f'results/{to.stem}')}",
        "",
        "# Codes as in the names of the files. Each of them needs raw text.",
        f"languages: [{', '.join(languages)}]",
        with_comment(f"task_language: {source}", "task adapters are trained on this one"),
        with_comment(
            f"seeds: {list(sizes.scale.seeds)}",
            "each is a run of its own; several show how much scores vary",
        ),
        "",
        *sizes.model_lines(languages),
        "",
        "corpora:",
        "  source: files",
        f"  path: {path}",
        *([] if plain or column == "text" else [f"  text_column: {json.dumps(column)}"]),
        f"  validation_documents: {_held_out(text)}   # the first ones of each language, held out",
        "",
        "tasks:",
        *(line for task in tasks for line in _task_lines(task, source, sizes.scale)),
        "",
        *_related_lines(related, targets),
        "",
        "lambdas:",
        "  # other merge methods: docs/methods.md",
        f"  la: {{start: 0, stop: 1, step: {sizes.scale.lambda_step}}}",
        "",
        *sizes.training_lines(),
        "",
        "experiments:              # docs/studies.md lists them all",
        *_experiments(languages),
    ]
    return "\n".join(lines) + "\n"


def _head(to: Path, cores: int) -> list[str]:
    schema = []
    if SCHEMA.is_file():
        relative = os.path.relpath(SCHEMA, to.parent.resolve())
        schema = [f"# yaml-language-server: $schema={relative}"]
    return [
        *schema,
        "# Drafted by `langarith init` from the names and first lines of files. Look at each",
        "# comment, then check, try and run it. Paths are relative to the folder you do that in.",
        "#",
        f"#   langarith check {to}",
        f"#   snakemake zero_shot --cores {cores} --config limit=small --configfile {to}",
        f"#   snakemake zero_shot --cores {cores} --configfile {to}",
        "#",
        "# docs/studies.md explains every key, docs/your_own_data.md the formats of files.",
    ]


def _held_out(text: Sequence[File]) -> int:
    """A tenth of the documents of the language that has fewest."""
    counts: Counter[str] = Counter()
    for file in text:
        language, left = str(file.language), COUNTED - counts[str(file.language)]
        documents = readers.read_documents(
            Path(file.path), text_column=file.column, documents=max(0, left)
        )
        counts[language] += sum(1 for _ in documents)
    return max(1, min(HELD_OUT, min(counts.values()) // 10))


def _task_lines(task: Task, source: str, scale: Scale) -> Iterator[str]:
    yield f"  {yaml_word(task.name)}:"
    if task.name != task.kind:
        yield f"    type: {task.kind}"
    yield "    source: files"
    for place, template in task.paths.items():
        comment = {"train": f"   # read for {source} alone", "path": "   # holds both splits"}
        yield f"    {place}: {json.dumps(template, ensure_ascii=False)}{comment.get(place, '')}"
    if "path" in task.paths:
        yield "    cut: half               # of the questions; articles: between two articles"
    if task.tags != "iob2":
        yield f"    tags: {task.tags}               # of the spans in the files; read as IOB2"
    if task.own:
        yield "    languages:              # whose files are elsewhere"
        for language, own in task.own.items():
            yield f"      {language}: {json.dumps(own, ensure_ascii=False)}"
    yield f"    targets: [{', '.join(task.targets)}]"
    if task.kind in ("nli", "qa") and len(task.targets) > 1:
        yield "    # parallel: true        # if test sets are translations of each other, as XNLI's"
    if examples := scale.examples[task.kind]:
        counts = ", ".join(f"{split}: {count}" for split, count in examples.items())
        yield with_comment(f"    examples: {{{counts}}}", "of each file at most")
    if task.kind == "qa":
        window, shared = scale.window
        yield with_comment(f"    max_length: {window}", "subwords of question and window")
        yield with_comment(f"    stride: {shared}", "subwords that neighbouring windows share")
    else:
        yield with_comment("    max_length: 128", "subwords; longer examples are cut")


def _related(targets: Sequence[str], languages: Sequence[str], source: str) -> dict[str, str]:
    """The nearest language of each target by URIEL, of those that it knows."""
    known = list(
        relatedness.available_codes(language for language in languages if language != source)
    )
    if len(known) < 2 or not set(targets) & set(known):
        return {}
    nearest = relatedness.proposal(relatedness.relatedness_table(known, exclude=()), 1)
    return {target: str(nearest[target]) for target in targets if target in nearest}


def _related_lines(related: Mapping[str, str], targets: Sequence[str]) -> Iterator[str]:
    if related:
        yield "# For each target one related language: its adapter is added to the task language's."
        yield "# Of the languages with text here these are the nearest by URIEL, a database"
        yield "# of typology. To use another one, write its code instead."
        yield f"related: {{{', '.join(f'{t}: {r}' for t, r in related.items())}}}"
    else:
        yield with_comment(
            "related: {}", "of each target the one language whose adapter is added: {sw: ar}"
        )
    unknown = [target for target in targets if target not in related]
    if related and unknown:
        yield f"# URIEL does not know {', '.join(unknown)}: name their nearest language here, too."


def _experiments(languages: Sequence[str]) -> list[str]:
    if len(languages) > 2:
        return [
            "  zero_shot: {}           # the task language's adapter and the related one's, added",
            "  label_free: {}          # λ chosen without labels of the target",
            "  # enhancement: {}       # the target's own adapter, enhanced",
        ]
    return ["  enhancement: {}         # the target's own adapter, enhanced by the task language's"]
