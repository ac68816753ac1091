"""The disk that a study will take: what its jobs have yet to write, estimated from sizes."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from langarith import layout, merging
from langarith.adapter_format import ADAPTER_FILES
from langarith.errors import InputError
from langarith.evaluation import rules_of_study
from langarith.operands import Operand
from langarith.planning import costs
from langarith.progress import size_of
from langarith.study import experiments, grid, schema, sources

FLOAT, TOKEN = 4, 4
"""Bytes of a weight, and of a token in a stream."""

COPIES = 2 * 4
"""Of trained weights in checkpoints: as they are, at their best, two moments of the optimiser; and
twice, since a checkpoint replaces the one before only once it is whole."""

PREDICTION, POINT, CELL = 100, 650, 15_000
"""Bytes of a test prediction at one point, of a point's scores, of the other files of a cell."""

LOSSES = 10_000
"""Bytes of the masked-LM losses of a merge, with their record."""

OUTCOME = 1.1
"""Bytes of the counts of an example at one point, compressed: those of NER, which has most.

Measured on 17 sweeps of the miniature's NER, written as one of 8,500 examples: 1.08; NLI 0.10.
"""

DOCUMENT = 700
"""Bytes of a document of the miniature, compressed."""

HUB_LEAST = 1 / 3
"""Share of the estimated tokens that shards of the hub hold at least."""

Needed = dict[Path, dict[str, float]]
"""Bytes by kind of what will be written, by the folder that it goes to."""


Missing = Callable[..., bool]
"""Whether a file, by the parts of its path below the results folder, is yet to be written."""


def needed(
    study: schema.Study,
    at_once: int = 1,
    least: bool = False,
    planned: Collection[str] | None = None,
) -> Needed:
    """What the study's jobs have yet to write; files that exist do not count.

    Files of the hub are not counted: their sizes are known only there.

    Args:
        at_once: trainings that run at the same time, each with its checkpoints.
        least: a lower bound of what cannot be known before it is downloaded.
        planned: records of the jobs that will run; what other jobs write does not count. None: all
            jobs of the study.
    """
    missing = _missing(study, planned)
    certain = HUB_LEAST if least and isinstance(study.corpora, schema.HubCorpora) else 1.0
    results = Path(study.results_dir)
    found: Needed = defaultdict(lambda: defaultdict(float))
    here = found[results]
    model, adapter = 0.0, 0.0  # weights of the largest that are to be trained
    for trained in _models(study, missing):
        here["base models"] += FLOAT * trained
        model = max(model, trained)
    for kind, trained in _adapters(study, missing):
        here[f"{kind} adapters"] += FLOAT * trained
        adapter = max(adapter, trained)
    for weights in _fishers(study, missing):
        here["Fisher information"] += FLOAT * weights
    for tokens in _streams(study, missing):
        here["token streams"] += TOKEN * tokens * certain
    for size in _cells(study, missing):
        here["evaluations"] += size
    for cell in _cells_with_losses(study):
        if missing(layout.MASKED_LM.format(**cell.wildcards), "losses.json"):
            here["masked-LM losses"] += LOSSES
    if isinstance(study.corpora, schema.MiniatureCorpora):
        for language in study.languages:
            if missing(layout.SYNTHETIC_CORPUS.format(language=language)):
                here["raw text"] += DOCUMENT * study.corpora.documents
    checkpoints = Path(study.checkpoint_dir or results / "checkpoints")
    if model or adapter:
        found[checkpoints]["checkpoints"] += FLOAT * COPIES * max(model, adapter * at_once)
    return {folder: dict(kinds) for folder, kinds in found.items() if kinds}


def _models(study: schema.Study, missing: Missing) -> Iterator[float]:
    """Weights of the base models to pretrain."""
    for name, spec in study.models.items():
        size = costs.shape(study, name)
        folder = layout.ENCODER.format(model=name)
        if spec.source == "pretrain" and size and missing(folder, layout.ENCODER_FILES[-1]):
            yield costs.weights(size)


def _adapters(study: schema.Study, missing: Missing) -> Iterator[tuple[str, float]]:
    """Kind and weights of the adapters to train."""
    for run in _runs(study):
        if sources.is_ready(study, run):
            continue
        if missing(run.folder, ADAPTER_FILES[-1]):
            yield run.kind, _weights(study, run.model, run.kind)


def _weights(study: schema.Study, model: str, kind: str) -> float:
    """Weights of an adapter."""
    layers, width, *_ = costs.shape(study, model) or costs.LARGE
    if kind == "task":
        return layers * 2 * width**2 / study.adapters.task.reduction_factor
    of = study.adapters.language
    layers -= len(of.leave_out)
    weights = layers * 2 * width**2 / of.reduction_factor
    if of.invertible_reduction_factor:  # two networks, each on half of the width
        weights += 2 * 2 * (width / 2) ** 2 / of.invertible_reduction_factor
    return weights


def _fishers(study: schema.Study, missing: Missing) -> Iterator[float]:
    """Weights of the adapters whose Fisher information is to be estimated."""
    for model, operand, seed in dict.fromkeys(
        (cell.model, operand, cell.seed)
        for cell in _all_cells(study)
        if merging.get(cell.method).needs_fisher
        for operand in cell.operands
    ):
        folder = layout.FISHER.format(
            model=model, language=operand.language, budget=operand.budget, seed=seed
        )
        if missing(folder, layout.FISHER_FILE):
            yield _weights(study, model, "language")


def _streams(study: schema.Study, missing: Missing) -> Iterator[float]:
    """Tokens of each token stream that is to be made."""
    texts = {(run.model, run.name) for run in _runs(study) if run.kind == "language"}
    for name, spec in study.models.items():
        if spec.source == "pretrain":
            texts |= {(name, language) for language in spec.languages}
    shards = {
        (model, operand.language, path)
        for model, operand in ((m, Operand.parse(text)) for m, text in texts)
        if not sources.is_ready_operand(study, model, operand)
        for path in sources.shards(study, operand.language, operand.budget)
    }
    shards |= {
        (cell.model, cell.target, path)
        for cell in _cells_with_losses(study)
        for path in sources.held_out_shards(study, cell.target)
    }
    for model, language, path in sorted(shards):
        stream = layout.TOKENS.format(
            model=model, language=language, shard=sources.shard_name(path)
        )
        if missing(stream):
            count = max(1, len(sources.shards(study, language)))
            yield costs.corpus_tokens(study, language) / count


def _cells(study: schema.Study, missing: Missing) -> Iterator[float]:
    """Bytes of each cell that is to be evaluated."""
    for cell in _all_cells(study):
        if missing(layout.CELL.format(**cell.wildcards), "selected.json"):
            _, validation, test = costs.most_examples(study, cell.task)
            points = grid.search(study, cell.method, len(cell.operands)).most_points
            tested = 1 + len(merging.get(cell.method).tested)
            counted = OUTCOME * points * (validation + test)
            yield CELL + POINT * points + PREDICTION * test * tested + counted


def _all_cells(study: schema.Study) -> list[layout.Cell]:
    try:
        return experiments.all_cells(study)
    except InputError:  # no related languages yet
        return []


def _cells_with_losses(study: schema.Study) -> list[layout.Cell]:
    try:
        return rules_of_study.cells_with_losses(study)
    except InputError:
        return []


def _runs(study: schema.Study) -> list[layout.Run]:
    try:
        found = [run for name in study.experiments for run in experiments.runs(study, name)]
    except InputError:
        return []
    return list(dict.fromkeys(found))


def _missing(study: schema.Study, planned: Collection[str] | None) -> Missing:
    def missing(*parts: str) -> bool:
        path = Path(study.results_dir, *parts)
        folder = str(Path(study.results_dir, parts[0]))
        records = (f"{folder}/provenance.json", f"{path}.provenance.json")
        return not path.exists() and (planned is None or any(r in planned for r in records))

    return missing


# --- compared with the file systems -------------------------------------------------------------


def _file_systems(wanted: Needed) -> Iterator[tuple[list[Path], float, float]]:
    """Folders of each file system, bytes to write there, bytes that are free."""
    by_device: dict[int, list[Path]] = defaultdict(list)
    for folder in wanted:
        by_device[os.stat(_nearest(folder)).st_dev].append(folder)
    for folders in by_device.values():
        size = sum(sum(wanted[folder].values()) for folder in folders)
        yield folders, size, float(shutil.disk_usage(_nearest(folders[0])).free)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def problems(study: schema.Study) -> Iterator[str]:
    """A sentence for each file system that cannot hold what the study will write."""
    for folders, size, free in _file_systems(needed(study, least=True)):
        if size > free:
            key = "results_dir" if Path(study.results_dir) in folders else "checkpoint_dir"
            yield (
                f"{key}: the study will write about {size_of(size)} to "
                f"{' and '.join(map(str, folders))}, whose file system has {size_of(free)} free; "
                f"make space or choose another {key}"
            )


def lines(
    study: schema.Study, at_once: int = 1, planned: Collection[str] | None = None
) -> Iterator[str]:
    """What will be written, by file system and kind, for the plan; see :func:`needed`."""
    wanted = needed(study, at_once, planned=planned)
    for folders, size, free in _file_systems(wanted):
        kinds = [item for folder in folders for item in wanted[folder].items()]
        kinds.sort(key=lambda item: -item[1])
        parts = ", ".join(f"{name} {size_of(bytes_)}" for name, bytes_ in kinds)
        yield (
            f"disk: about {size_of(size)} to write to {' and '.join(map(str, folders))} ({parts}); "
            f"{size_of(free)} free"
        )
