"""A sweep over 21 lambdas on validation sentences: ours against the authors' layout.

Ours is one process: it loads, tokenises and batches once, then merges in place and evaluates. The
peer is one process per lambda, each of which loads the base model, all language adapters and the
task adapter, merges two of them, tokenises with `datasets` and predicts with the Trainer in batches
of 16 padded to their longest. Both are timed from the start of the process. F1 of the lambdas that
both evaluated must be equal to 0.01 points, ours by our metric, the peer's by seqeval.

At miniature size: the miniature's model, 8 language adapters, 200 sentences. At base size: the
shape of XLM-R base with 250,002 words, 14 language adapters, 200 sentences whose lengths are very
mixed (or those of --sentences, a CoNLL file, in the subwords of --tokenizer).

Few of the peer's processes are run and their mean time taken 21 times; at base size a few of our
lambdas are run, too, and the others taken to last as long. --whole runs all of both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import _parts
import harness

LAMBDAS = [round(0.05 * i, 2) for i in range(21)]
LANGUAGES = ("en", "fr", "es", "de", "ru", "bg", "tr", "el", "it", "pl", "uk", "hi", "ta", "sw")
LEFT, RIGHT = "en", "fr"
TOLERANCE = 0.01  # points of F1


def ours(given: harness.Given) -> dict[str, Any]:
    seconds, found = harness.in_process(__file__, "our_job", given)
    missing = len(LAMBDAS) - len(given["ours"])
    found["seconds"] = seconds + missing * statistics.mean(found["each"])
    found["operations"] *= len(LAMBDAS) / len(given["ours"])
    return found


def our_job(given: harness.Given) -> dict[str, Any]:
    from langarith import merging, tasks
    from langarith.evaluation import scoring
    from langarith.merging import tensors
    from langarith.models import encoders
    from langarith.models.adapters import LANGUAGE, named_parameters, read_adapter
    from langarith.tasks.shared.base import Encoding

    task = tasks.get("ner")
    split = scoring.EncodedSplit(
        task,
        task.read(Path(given["sentences"])),
        encoders.load_tokenizer(given["tokenizer"]),
        Encoding(given["max_length"], _parts.LABELS),
        tokens_per_batch=given["tokens_per_batch"],
        precision="fp32",
    )
    folders = given["adapters"]
    model = scoring.load_stack(given["encoder"], folders[LEFT], folders["task"])
    left, right = (read_adapter(folders[name]) for name in (LEFT, RIGHT))
    clock = [time.perf_counter()]
    scores = {}
    parameters = named_parameters(model, LANGUAGE)
    merge = merging.get("la").merger((left, right))
    for weight in given["ours"]:
        tensors.write_in_place(parameters, merge((weight,)))
        scores[f"{weight}"] = split.score(model).metrics["f1"]
        clock.append(time.perf_counter())
    tokens = sum(split.batches.lengths)
    return {
        "each": [b - a for a, b in pairwise(clock)],
        "padding": split.batches.padding,
        "operations": len(scores)
        * sum(n * harness.forward_operations(*given["shape"], n) for n in split.batches.lengths),
        "tokens": tokens,
        "peak_mb": harness.peak_mb(),
        "answer": scores,
    }


def theirs(given: harness.Given) -> dict[str, Any]:
    runs = [
        harness.in_process(__file__, "their_job", {**given, "weight": weight})
        for weight in given["theirs"]
    ]
    return {
        "seconds": statistics.mean(seconds for seconds, _ in runs) * len(LAMBDAS),
        "padding": runs[0][1]["padding"],
        "peak_mb": max(found["peak_mb"] for _, found in runs),
        "answer": {
            f"{w}": found["f1"] for w, (_, found) in zip(given["theirs"], runs, strict=True)
        },
    }


def their_job(given: harness.Given) -> dict[str, Any]:
    import numpy as np
    import torch
    from adapters import AdapterTrainer, AutoAdapterModel, Stack
    from datasets import Dataset, disable_progress_bars
    from seqeval.metrics import f1_score
    from transformers import (
        AutoTokenizer,
        DataCollatorForTokenClassification,
        TrainingArguments,
    )

    from langarith import tasks

    disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
    model = AutoAdapterModel.from_pretrained(given["encoder"])
    for language in given["languages"]:
        model.load_adapter(given["adapters"][language], load_as=language, use_safetensors=True)
    model.load_adapter(given["adapters"]["task"], load_as="task", use_safetensors=True)
    state, weight = model.state_dict(), given["weight"]
    with torch.no_grad():
        for name, tensor in state.items():
            if f".{LEFT}." in name:
                other = state[name.replace(f".{LEFT}.", f".{RIGHT}.")]
                tensor.copy_(weight * tensor + (1 - weight) * other)
    model.set_active_adapters(Stack(LEFT, "task"))

    examples = tasks.get("ner").read(Path(given["sentences"]))
    id_of = model.heads["task"].config["label2id"]
    name_of = {i: name for name, i in id_of.items()}

    def encode(rows: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = tokenizer(
            rows["words"],
            is_split_into_words=True,
            truncation=True,
            max_length=given["max_length"],
        )
        encoded["labels"] = []
        for i, tags in enumerate(rows["tags"]):
            before, row = None, []
            for word in encoded.word_ids(i):
                row.append(-100 if word is None or word == before else id_of[tags[word]])
                before = word
            encoded["labels"].append(row)
        return encoded

    data = Dataset.from_dict(
        {"words": [list(e.words) for e in examples], "tags": [list(e.tags) for e in examples]}
    ).map(encode, batched=True, remove_columns=["words", "tags"])
    with TemporaryDirectory() as folder:
        trainer = AdapterTrainer(
            model=model,
            args=TrainingArguments(
                folder, per_device_eval_batch_size=16, report_to=[], disable_tqdm=True
            ),
            data_collator=DataCollatorForTokenClassification(tokenizer),
        )
        logits, gold, _ = trainer.predict(data)
    rows = list(zip(np.argmax(logits, axis=-1), gold, strict=True))
    predicted = [[name_of[p] for p, g in zip(*row, strict=True) if g != -100] for row in rows]
    true = [[name_of[g] for g in row if g != -100] for _, row in rows]
    lengths = [len(row) for row in data["input_ids"]]
    padded = sum(len(part) * max(part) for part in _chunks(lengths, 16))
    return {
        "f1": 100 * float(f1_score(true, predicted)),
        "padding": 1 - sum(lengths) / padded,
        "peak_mb": harness.peak_mb(),
    }


def _chunks(values: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


@harness.each
def agree(ours: dict[str, float], theirs: dict[str, float]) -> str | None:
    """F1 at every lambda that both evaluated."""
    for weight in ours.keys() & theirs.keys():
        if abs(ours[weight] - theirs[weight]) > TOLERANCE:
            return f"F1 at lambda {weight}: {ours[weight]} and {theirs[weight]}"
    return None if ours.keys() & theirs.keys() else "no lambda in common"


def cases(asked: argparse.Namespace) -> Iterator[harness.Case]:
    for name, size, languages, max_length, vocabulary, bar, measured, repeats, batch in (
        ("miniature", _parts.TINY, LANGUAGES[:8], 64, None, 20.0, LAMBDAS, 9, 4096),
        # on a CPU: what passes between layers stays in its cache
        ("base", _parts.BASE, LANGUAGES, 512, 250_002, 4.0, [0.0, 0.25, 0.5, 0.75, 1.0], 1, 1024),
    ):
        base = size is _parts.BASE
        if (asked.tiny and base) or not name.startswith(asked.size):
            continue
        given_sentences = asked.sentences if base else None
        count = 12 if asked.tiny else asked.count
        with TemporaryDirectory() as place:
            folder = Path(place)
            tokens = (base and asked.tokenizer) or _parts.tokenizer(
                folder / "tokenizer", max_length=max_length
            )
            sentences = given_sentences or folder / "es.conll"
            if not given_sentences:
                _parts.sentences(sentences, count, mixed=base)
            encoder = _parts.base_model(
                folder / "encoder", size, tokens, max_length=max_length, vocabulary=vocabulary
            )
            made = _parts.adapters(encoder, folder, languages)
            theirs_at = [0.5] if asked.tiny or base else [0.0, 0.5]
            yield harness.Case(
                f"{name} size, {asked.sentences if given_sentences else f'{count} sentences'}",
                {
                    "sentences": str(sentences),
                    "tokenizer": str(tokens),
                    "encoder": str(encoder),
                    "adapters": {name: str(path) for name, path in made.items()},
                    "languages": languages,
                    "max_length": max_length,
                    "tokens_per_batch": batch,
                    "shape": [size["layers"], size["hidden_size"], size["intermediate_size"]],
                    "ours": LAMBDAS if asked.whole else measured,
                    "theirs": LAMBDAS if asked.whole else theirs_at,
                },
                bars={"seconds": bar},
                repeats=repeats,
                environment={} if base else {"OMP_NUM_THREADS": "1"},
                note="" if asked.whole else "few of the peer's processes were run, see the script",
            )


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=("miniature", "base"), default="", help="only one size")
    parser.add_argument("--count", type=int, default=200, help="sentences")
    parser.add_argument("--sentences", type=Path, help="CoNLL file for the base size")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer for the base size")
    parser.add_argument("--whole", action="store_true", help="every lambda on both sides")


if __name__ == "__main__":
    harness.main(
        __doc__,
        "sweep_lambda",
        {"ours": ours, "process per lambda": theirs},
        cases,
        agree=agree,
        options=options,
    )
