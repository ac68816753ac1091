"""Tiny things that several tests share: a tokenizer, base models, adapters, made in milliseconds.

Weights are random and large, so that every module moves the output: with weights as small as those
that training starts from, a test could not tell an adapter that works from one that is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaTokenizerFast,
)

from langarith.models import encoders
from langarith.models.adapters import add_initialised, language_config, named_parameters
from langarith.study.recipes import LanguageAdapterShape, TaskAdapterShape

# So small a model loses time to a second thread, most of all on busy cores.
torch.set_num_threads(1)

VOCABULARY = 300
WORDS = [f"w{i}" for i in range(VOCABULARY - 5)]
LANGUAGE_SHAPE = LanguageAdapterShape().model_dump()
TASK_SHAPE = TaskAdapterShape(reduction_factor=4).model_dump()
SIZES = {"hidden_size": 32, "layers": 2, "attention_heads": 2, "intermediate_size": 48}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One piece per word, `w0` to `w294`, between XLM-R's special tokens."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *WORDS, "<mask>"]
    raw = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0))
    return XLMRobertaTokenizerFast(tokenizer_object=raw)


def make_base(
    folder: Path,
    architecture: str = "xlm-r",
    *,
    dropout: float = 0.0,
    seed: int = 0,
    layers: int = SIZES["layers"],
) -> Path:
    """A random base model on disk: XLM-R as the workflow trains it, or mBERT's architecture."""
    torch.manual_seed(seed)
    if architecture == "xlm-r":
        spec = SIZES | {
            "layers": layers,
            "max_length": 64,
            "dropout": dropout,
            "initializer_range": 0.3,
        }
        model: PreTrainedModel = encoders.new_masked_lm(spec, make_tokenizer())
    else:
        model = BertForMaskedLM(
            BertConfig(
                vocab_size=VOCABULARY,
                hidden_size=SIZES["hidden_size"],
                num_hidden_layers=layers,
                num_attention_heads=SIZES["attention_heads"],
                intermediate_size=SIZES["intermediate_size"],
                max_position_embeddings=64,
                initializer_range=0.3,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            )
        )
    encoders.save_base(model, folder)
    return folder


def add_adapter(model: PreTrainedModel, name: str, seed: int, config: Any = None) -> None:
    """Add an adapter with large random weights, biases included."""
    config = config or language_config(LANGUAGE_SHAPE)
    add_initialised(model, name, config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in named_parameters(model, name).values():
            parameter.normal_(0, 0.3, generator=generator)


def chunks(rows: int, length: int = 16, seed: int = 0) -> torch.Tensor:
    """(rows, length) ids of random words, no special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, VOCABULARY - 1, (rows, length), generator=generator)
