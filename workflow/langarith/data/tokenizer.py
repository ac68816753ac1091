"""Training of a small tokenizer with XLM-R's normalisation, word boundaries and special tokens.

XLM-R's own pieces come from a unigram model. The trainer of that model in `tokenizers` seeds its
pieces with substrings of at least two distinct words, whatever their counts: with a small
vocabulary, frequent short words are split into letters. Byte-pair encoding counts words, and trains
in seconds.
"""

from __future__ import annotations

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

from langarith.data import readers
from langarith.files import whole, write_json

SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}


def train(
    shards: Sequence[Path],
    folder: Path,
    *,
    vocabulary: int,
    max_length: int,
    text_column: str,
    documents: int | None = None,
) -> None:
    """Train on raw shards and write a fast tokenizer that transformers loads.

    Args:
        vocabulary: number of pieces, special tokens included.
        max_length: longest sequence of the model, in subwords.
        documents: number of documents to read, the first ones of each shard; None for all.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL["unk"], fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        # no piece spans a full stop, so that an answer can end before one
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        _documents(shards, text_column, documents),
        trainers.BpeTrainer(
            # the mask is added last, as in XLM-R
            vocab_size=vocabulary - 1,
            # XLM-R's order: <s> 0, <pad> 1, </s> 2, <unk> 3
            special_tokens=[SPECIAL[name] for name in ("bos", "pad", "eos", "unk")],
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([SPECIAL["mask"]])
    bos, eos = ((SPECIAL[name], tokenizer.token_to_id(SPECIAL[name])) for name in ("bos", "eos"))
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=eos, cls=bos, trim_offsets=False, add_prefix_space=False
    )
    with whole(folder / "tokenizer.json") as partial:
        tokenizer.save(str(partial))
    tokens = {f"{name}_token": token for name, token in SPECIAL.items()}
    tokens |= {"cls_token": SPECIAL["bos"], "sep_token": SPECIAL["eos"]}
    write_json(folder / "special_tokens_map.json", tokens)
    write_json(
        folder / "tokenizer_config.json",
        tokens
        | {
            "tokenizer_class": "XLMRobertaTokenizerFast",
            "model_max_length": max_length,
            "clean_up_tokenization_spaces": False,
        },
    )


def _documents(shards: Sequence[Path], text_column: str, documents: int | None) -> Iterator[str]:
    for shard in shards:
        yield from readers.read_documents(shard, text_column=text_column, documents=documents)
