"""What benchmarks of tasks work on: a base model with random weights, adapters, tagged sentences.

Speed does not hang on the weights. Those of the adapters are large, so that another lambda gives
other predictions and sides that agree say something.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

LABELS = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
TINY = {"hidden_size": 64, "layers": 2, "attention_heads": 4, "intermediate_size": 128}
"""The miniature's model."""
BASE = {"hidden_size": 768, "layers": 12, "attention_heads": 12, "intermediate_size": 3072}
"""XLM-R base."""


def sentences(path: Path, count: int, *, mixed: bool, split: str = "validation") -> None:
    """Write tagged Spanish sentences of the miniature as CoNLL.

    Args:
        mixed: lengths as in collected text: most short, a few very long (log-normal, up to 16 of
            the miniature's sentences in one); else the miniature's own, which are all alike.
    """
    from langarith import tasks
    from langarith.data import miniature

    draw = random.Random(0)
    joined = [
        min(16, max(1, round(draw.lognormvariate(0.6, 0.9)))) if mixed else 1 for _ in range(count)
    ]
    miniature.write_task("ner", "es", path, split=split, examples=sum(joined))
    sentences = iter(tasks.get("ner").read(path))
    with path.open("w", encoding="utf-8") as file:
        for parts in joined:
            for _ in range(parts):
                sentence = next(sentences)
                rows = zip(sentence.words, sentence.tags, strict=True)
                file.writelines(f"{word}\t{tag}\n" for word, tag in rows)
            file.write("\n")


def tokenizer(folder: Path, *, max_length: int) -> Path:
    """A tokenizer of 1,500 pieces, trained on the miniature's Spanish."""
    from langarith.data import miniature
    from langarith.data.tokenizer import train

    corpus = folder / "corpus.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    miniature.write_corpus("es", [corpus], documents=200)
    train([corpus], folder, vocabulary=1500, max_length=max_length, text_column="text")
    return folder


def base_model(
    folder: Path, size: dict[str, int], tokens: Path, *, max_length: int, vocabulary: int | None
) -> Path:
    """A masked-language model with random weights on disk.

    Args:
        vocabulary: rows of the embedding table, where it is to be larger than the tokenizer.
    """
    import torch

    from langarith.models import encoders

    torch.manual_seed(0)
    spec = size | {"max_length": max_length, "dropout": 0.1, "initializer_range": 0.05}
    model = encoders.new_masked_lm(spec, encoders.load_tokenizer(tokens))
    if vocabulary:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    encoders.save_base(model, folder)
    return folder


def adapters(encoder: Path, folder: Path, languages: Sequence[str]) -> dict[str, Path]:
    """Language adapters by language, and `task` with a tagging head; random weights."""
    import torch

    from langarith.models import encoders
    from langarith.models.adapters import (
        add_initialised,
        language_config,
        named_parameters,
        save_adapter,
        task_config,
    )
    from langarith.study.recipes import LanguageAdapterShape, TaskAdapterShape

    model = encoders.load_encoder(encoder)
    folders = {}
    for seed, name in enumerate([*languages, "task"]):
        shape = (
            task_config(TaskAdapterShape(reduction_factor=2).model_dump())
            if name == "task"
            else language_config(LanguageAdapterShape().model_dump())
        )
        add_initialised(model, name, shape, seed)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in named_parameters(model, name).values():
                parameter.normal_(0, 0.05)
        if name == "task":
            encoders.add_head(model, name, "tagging", LABELS)
        folders[name] = folder / name
        save_adapter(model, name, folders[name], with_head=name == "task")
        if name != "task":
            model.delete_adapter(name)
    return folders
