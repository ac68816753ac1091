"""The masked-LM loss of every merge of a sweep on held-out raw text of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from langarith.data import streams
from langarith.evaluation.merge_files import MergeFiles
from langarith.files import write_json
from langarith.merging import Merge, Method
from langarith.merging.tensors import write_in_place
from langarith.models import devices, encoders
from langarith.models.adapters import LANGUAGE, load_adapter, named_parameters
from langarith.models.masking import masked_validation
from langarith.models.resize import resize
from langarith.operands import Point, parse_operands, point_value
from langarith.progress import Progress


def losses(
    model: PreTrainedModel,
    merge: Merge,
    points: Sequence[Point],
    chunks: np.ndarray,
    tokenizer: PreTrainedTokenizerFast,
    *,
    mask_probability: float,
    tokens_per_batch: int,
    precision: str,
    title: str,
) -> dict[Point, float]:
    """The loss at each point: mean cross-entropy in nats over masked tokens.

    Args:
        model: a masked-language model whose active language adapter is overwritten.
        chunks: (rows, length) token ids. Masks are drawn once from a fixed seed, the same for
            every point, merge and seed of a study.
    """
    validate = masked_validation(
        model,
        chunks,
        tokenizer,
        mask_probability,
        max(1, tokens_per_batch // chunks.shape[1]),
        devices.precision(precision, devices.device()),
    )
    parameters = named_parameters(model, LANGUAGE)
    progress = Progress(title, len(points), "point")
    by_point = {}
    for count, point in enumerate(points, 1):
        write_in_place(parameters, merge(point))
        by_point[point] = validate()["loss"]
        progress.update(count, f"loss {by_point[point]:.3f}")
    return by_point


def run(
    names: Mapping[str, str],
    method: Method,
    values: Sequence[float],
    search: str,
    folder: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    merge_files: MergeFiles,
    tokens: Sequence[Path],
    reading: Mapping[str, Any],
    batches: Mapping[str, Any],
) -> None:
    """Score the merges of one sweep, from files to `losses.json` in a folder.

    Args:
        names: the job's wildcards.
        values: the numbers of `lambdas.{method}`, which give the points of the method.
        search: `lambdas.{method}.search`. Points that a refined search adds because of labels are
            left out: a rule without labels may not choose them.
        encoder, tokenizer: folders.
        tokens: token streams of the target, in order.
        reading: `validation_documents`, `chunk_length` and `mask_probability`.
        batches: `tokens_per_batch` and `precision`.
    """
    merge, _ = merge_files.read(method, int(names["seed"]))
    points = method.search(values, len(merge_files.operands), search).first
    chunks = streams.read_held_out(
        tokens,
        validation_documents=reading["validation_documents"],
        chunk_length=reading["chunk_length"],
    )
    loaded = encoders.load_tokenizer(tokenizer)
    model = encoders.load_masked_lm(encoder)
    encoders.refuse_unfit(model, loaded, reading["chunk_length"])
    # any adapter of the operands' shape: its weights are overwritten
    load_adapter(model, merge_files.operands[0], LANGUAGE, with_head=False)
    model.set_active_adapters(LANGUAGE)
    if not method.writable:
        resize(model, LANGUAGE, merge(points[0]))
    by_point = losses(
        model.to(devices.device()),
        merge,
        points,
        chunks,
        loaded,
        mask_probability=reading["mask_probability"],
        title="masked-LM loss {method} {target} {operands}, seed {seed}".format(**names),
        **batches,
    )
    parts = parse_operands(names["operands"])
    write_json(
        folder / "losses.json",
        {
            **names,
            "left": str(parts[0]),
            "right": str(parts[-1]),
            "tokens": int(chunks.size),
            "losses": [
                {"lambda": point_value(point), "loss": loss} for point, loss in by_point.items()
            ],
        },
    )
