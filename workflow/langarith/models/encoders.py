"""Base models and tokenizers: load, create, save; prediction heads."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import adapters
import torch
import transformers.utils.import_utils
from adapters import AutoAdapterModel
from adapters.heads import QuestionAnsweringHead
from safetensors import SafetensorError
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaForMaskedLM

from langarith.data import code_keys
from langarith.errors import InputError
from langarith.files import whole_folder
from langarith.models.weights import refuse_other_numbers

# If it is installed, transformers imports scikit-learn (2 s) only for assisted text generation.
transformers.utils.import_utils._sklearn_available = False


def load_tokenizer(path: str | Path, *, masked_lm: bool = True) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder with tokenizer.json.

    `masked_lm`: whether it must have a mask token, which tasks do not need.
    """
    from transformers import AutoTokenizer

    code_keys.refuse(path)
    tokenizer = AutoTokenizer.from_pretrained(str(path), use_fast=True, trust_remote_code=False)
    missing = [
        name
        for name in (("mask_token",) if masked_lm else ()) + ("pad_token", "cls_token", "sep_token")
        if getattr(tokenizer, f"{name}_id") is None
    ]
    if missing:
        raise InputError(
            f"{path}: the tokenizer has no {', '.join(missing)}; name them in "
            "tokenizer_config.json, or use the model's own tokenizer"
        )
    return tokenizer


def refuse_unfit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, length: int) -> None:
    """Refuse a tokenizer with more pieces than embeddings, and sequences longer than the positions.

    Args:
        length: subwords of the longest sequence.

    Raises:
        InputError: either does not fit.
    """
    config = model.config
    if len(tokenizer) > config.vocab_size:
        raise InputError(
            f"{tokenizer.name_or_path}: the tokenizer has {len(tokenizer)} pieces, but the model "
            f"has {config.vocab_size} embeddings; use the tokenizer that belongs to the model"
        )
    rows = config.max_position_embeddings
    # RoBERTa counts positions from the padding index + 1
    positions = rows if config.model_type == "bert" else rows - config.pad_token_id - 1
    if length > positions:
        raise InputError(
            f"sequences of {length} subwords do not fit into the {positions} positions of the base "
            "model; lower 'chunk_length' or 'max_length'"
        )


def new_masked_lm(
    spec: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast
) -> XLMRobertaForMaskedLM:
    """A randomly initialised XLM-R of a given size (a :class:`langarith.study.PretrainModel`).

    Position embeddings are learned, as in XLM-R, but are initialised as sinusoids (Vaswani et al.
    2017, section 3.5), so that neighbours are similar from the start. Otherwise a small model on
    little text learns only word frequencies until it has learned which positions are near.
    """
    model = XLMRobertaForMaskedLM(
        XLMRobertaConfig(
            vocab_size=len(tokenizer),
            hidden_size=spec["hidden_size"],
            num_hidden_layers=spec["layers"],
            num_attention_heads=spec["attention_heads"],
            intermediate_size=spec["intermediate_size"],
            # RoBERTa counts positions from the padding index + 1
            max_position_embeddings=spec["max_length"] + 2,
            hidden_dropout_prob=spec["dropout"],
            attention_probs_dropout_prob=spec["dropout"],
            initializer_range=spec["initializer_range"],
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            layer_norm_eps=1e-5,
            type_vocab_size=1,
        )
    )
    positions = model.roberta.embeddings.position_embeddings.weight
    with torch.no_grad():
        positions.copy_(sinusoids(*positions.shape) * math.sqrt(2) * spec["initializer_range"])
    return model


LONGEST_WAVE = 100.0
"""In radians per position: longer waves distinguish no positions in the texts of small models."""


def sinusoids(count: int, width: int) -> torch.Tensor:
    """(count, width) sines and cosines of geometric wavelengths, root mean square 1/√2."""
    angles = torch.arange(count)[:, None] * LONGEST_WAVE ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def save_base(model: PreTrainedModel, folder: Path, tokenizer: Sequence[str | Path] = ()) -> None:
    """Write config.json and model.safetensors, whole or not at all.

    Args:
        tokenizer: files of the tokenizer to copy as well, so that `source: files` of another study
            can name the folder.
    """
    with whole_folder(folder) as staging:
        model.save_pretrained(staging, safe_serialization=True)
        for file in tokenizer:
            shutil.copyfile(file, staging / Path(file).name)


def load_masked_lm(path: str | Path) -> PreTrainedModel:
    """A base model with its masked-language-modelling head, ready to take adapters."""
    return with_inverse(_load(AutoModelForMaskedLM, Path(path)))


HEADS = {"bert": "cls.predictions.", "roberta": "lm_head.", "xlm-roberta": "lm_head."}
"""Prefixes of the weights of a masked-LM head, by `model_type` of config.json."""


def load_start(path: str | Path, freeze: Sequence[str] = ()) -> PreTrainedModel:
    """A masked-language model of a folder, without adapters, to train further.

    If the folder has no masked-LM head, that of its architecture is initialised: dense layer,
    activation, layer norm, and a decoder that is tied to the word embeddings.

    Args:
        freeze: parts that are not trained: `embeddings`, the word embeddings and a tied decoder.

    Raises:
        InputError: another architecture, missing weights, or only a part of the head.
    """
    model = _load(AutoModelForMaskedLM, Path(path), head_needed=False)
    if "embeddings" in freeze:
        model.get_input_embeddings().requires_grad_(False)
    return model


def _load(auto: Any, folder: Path, *, head_needed: bool = True) -> PreTrainedModel:
    """A model of a folder with all its weights, which must be finite.

    transformers initialises missing weights at random, and ignores those that the configuration
    does not describe. Only a pooler may be missing, because it is not used.

    Args:
        head_needed: whether the masked-LM head is required; otherwise all of it may be missing.

    Raises:
        InputError: names weights that are missing, additional or not finite.
    """
    code_keys.refuse(folder)
    model: PreTrainedModel
    try:
        model, info = auto.from_pretrained(
            str(folder),
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{folder}: the base model cannot be loaded ({' '.join(str(error).split())[:300]}); "
            "name a folder with config.json and model.safetensors of one model"
        ) from error
    # heads of `adapters` are removed again
    missing = [
        n for n in info["missing_keys"] if ".pooler." not in n and not n.startswith("heads.")
    ]
    if not head_needed:
        missing = _without_whole_head(model, missing, folder)
    extra = [
        name
        for name in info["unexpected_keys"]
        if "encoder.layer." in name or ("embeddings." in name and "position_ids" not in name)
    ]
    for names, verb in ((missing, "lacks"), (extra, "has, beyond what config.json describes,")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(
                f"{folder}: model.safetensors {verb} {', '.join(sorted(names)[:3])}{more}; name a "
                "base model whose weights, with the masked-LM head, fit its config.json"
            )
    refuse_other_numbers(dict(model.named_parameters()), folder / "model.safetensors")
    return model


def _without_whole_head(model: PreTrainedModel, missing: list[str], folder: Path) -> list[str]:
    """The missing weights, without those of the masked-LM head if the whole head is missing."""
    kind = model.config.model_type
    if kind not in HEADS:
        raise InputError(
            f"{folder}: model_type '{kind}' is not supported; name a BERT, RoBERTa or XLM-R model"
        )
    head = {n for n, _ in model.named_parameters() if n.startswith(HEADS[kind])}
    if not head <= set(missing):
        return missing
    return [n for n in missing if not n.startswith(HEADS[kind])]


def with_inverse(model: PreTrainedModel) -> PreTrainedModel:
    """Make a masked-language model ready to take adapters, invertible ones included.

    MAD-X inverts the invertible adapter before the output embeddings (Pfeiffer et al., 2020b,
    section 3.3). `adapters` 1.3 does so only in its flexible heads, which lose the decoder's bias
    on conversion; its models with a static head, used here, omit the inverse.
    """
    adapters.init(model)
    model.get_output_embeddings().register_forward_pre_hook(
        lambda _, args: (model.base_model.invertible_adapters_forward(args[0], rev=True), *args[1:])
    )
    return model


def load_encoder(path: str | Path) -> PreTrainedModel:
    """A base model without a head, ready to take adapters and flexible heads."""
    model = _load(AutoAdapterModel, Path(path))
    for head in list(model.heads):
        model.delete_head(head)
    return model


def add_head(model: PreTrainedModel, name: str, head: str, labels: Sequence[str]) -> None:
    """Add the prediction head of a task: that of the authors' scripts, except for NLI with mBERT.

    Tagging: dropout and a linear layer. Classification: dropout, a dense layer, tanh, dropout and a
    linear layer on the first token, XLM-R's own head. Question answering: only a linear
    layer. With mBERT the authors classify with the frozen pretrained pooler, dropout and a linear
    layer; here its head is that of XLM-R.
    """
    ids = dict(enumerate(labels))
    if head == "tagging":
        model.add_tagging_head(name, num_labels=len(labels), layers=1, id2label=ids)
    elif head == "classification":
        model.add_classification_head(
            name, num_labels=len(labels), layers=2, activation_function="tanh", id2label=ids
        )
    else:
        model.add_prediction_head(
            QuestionAnsweringHead(model, name, num_labels=2, layers=1, dropout_prob=0.0)
        )


def compile_encoder(model: PreTrainedModel, backend: str = "inductor") -> None:
    """Compile the layers of a model with `torch.compile`, in place; parameters keep their names."""
    model.base_model.encoder.compile(backend=backend)
