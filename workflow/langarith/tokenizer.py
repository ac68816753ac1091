"""Training of a small unigram tokenizer with XLM-R's normalisation and special tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from langarith import corpora
from langarith.provenance import write_json

SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}


def train(
    shards: Sequence[Path], folder: Path, *, vocabulary: int, max_length: int, text_column: str
) -> None:
    """Train on raw shards and write a fast tokenizer that transformers loads.

    Args:
        vocabulary: number of pieces, special tokens included.
        max_length: longest sequence in subwords that the model takes.
    """
    # the trainer's threads add up counts in changing order, and with it change rare pieces
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RAYON_NUM_THREADS"] = "1"
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        _documents(shards, text_column),
        trainers.UnigramTrainer(
            vocab_size=vocabulary,
            # XLM-R's order: <s> 0, <pad> 1, </s> 2, <unk> 3; the mask comes last there too
            special_tokens=[SPECIAL[name] for name in ("bos", "pad", "eos", "unk")],
            unk_token=SPECIAL["unk"],
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([SPECIAL["mask"]])
    bos, eos = ((SPECIAL[name], tokenizer.token_to_id(SPECIAL[name])) for name in ("bos", "eos"))
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=eos, cls=bos, trim_offsets=False, add_prefix_space=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {f"{name}_token": token for name, token in SPECIAL.items()}
    named |= {"cls_token": SPECIAL["bos"], "sep_token": SPECIAL["eos"]}
    write_json(folder / "special_tokens_map.json", named)
    write_json(
        folder / "tokenizer_config.json",
        named
        | {
            "tokenizer_class": "XLMRobertaTokenizerFast",
            "model_max_length": max_length,
            "clean_up_tokenization_spaces": False,
        },
    )


def _documents(shards: Sequence[Path], text_column: str) -> Iterator[str]:
    for shard in shards:
        yield from corpora.read_documents(shard, text_column=text_column)
