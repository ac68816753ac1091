"""Checks of a base model's files: config.json, the tokenizer and the header of the weights.

Weights are not read and torch is not imported, so that `langarith check` takes moments for a model
of any size, before anything is trained. Each function yields one sentence per mistake.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langarith import layout
from langarith.adapter_format import ADAPTER_FILES
from langarith.data import code_keys
from langarith.data.readers import POINTER
from langarith.errors import InputError

FILES = (*layout.ENCODER_FILES, *layout.TOKENIZER_FILES[:2])
"""Files that the folder of a base model must contain."""

SUPPORTED = {"bert": "BERT (mBERT)", "roberta": "RoBERTa", "xlm-roberta": "XLM-R"}
"""Supported architectures, by `model_type` of config.json."""

SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
NEEDED_TOKENS = ("mask_token", "pad_token", "cls_token", "sep_token")

CLASS_TOKENS = {
    "Bert": {"mask": "[MASK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"},
    "Roberta": {"mask": "<mask>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"},
}
"""Special tokens of a tokenizer's class if its files name none."""

SUPPORTED_MODELS = (
    f"use one of {', '.join(SUPPORTED.values())} with its masked-LM head, in one safetensors file"
)


def problems(
    folder: str | Path, lengths: Mapping[str, int], *, masked_lm: bool, head_needed: bool = True
) -> Iterator[str]:
    """Everything that is wrong with the files of a base model.

    Args:
        folder: with config.json, model.safetensors, tokenizer.json and tokenizer_config.json.
        lengths: lengths of sequences in subwords, by the key of the study that sets them.
        masked_lm: whether masked language modelling is used, which needs the head and a mask
            token.
        head_needed: whether that head is required; otherwise all of it may be missing.
    """
    folder = Path(folder)
    missing = list(missing_files(folder))
    yield from [*missing, *config_problems(folder, lengths)]
    if not missing and not any(config_problems(folder, {})):
        config = read_object(folder / "config.json")
        checks = (
            lambda: _tokenizer(folder, config, masked_lm),
            lambda: _weights(folder, config, masked_lm, head_needed),
        )
        for check in checks:
            try:
                yield from check()
            except InputError as error:
                yield str(error)


def config_problems(folder: str | Path, lengths: Mapping[str, int]) -> Iterator[str]:
    """The :func:`problems` of config.json, if the file exists."""
    folder = Path(folder)
    if (folder / "config.json").is_file():
        yield from code_keys.problems(folder)
        try:
            yield from _config(folder, read_object(folder / "config.json"), lengths)
        except InputError as error:
            yield str(error)


def adapter_problems(folder: str | Path) -> Iterator[str]:
    """What is wrong with the files of a ready-made adapter; reads only their headers."""
    folder = Path(folder)
    yield from code_keys.problems(folder)
    config, weights = (folder / name for name in ADAPTER_FILES)
    for file in (config, weights):
        if not file.is_file():
            yield f"{folder} has no {file.name}; name an adapter's folder"
            return
    try:
        read_object(config)
        if not read_shapes(weights):
            yield f"{weights} contains no tensor; copy it again"
    except InputError as error:
        yield str(error)


# --- files --------------------------------------------------------------------------------------


def missing_files(folder: str | Path) -> Iterator[str]:
    """One sentence for each missing file, with the fix."""
    folder = Path(folder)
    if not folder.is_dir():
        yield f"{folder} is no folder; name one with {', '.join(FILES)}"
        return
    for name in FILES:
        if (folder / name).is_file():
            continue
        if name == "model.safetensors" and (folder / "model.safetensors.index.json").is_file():
            yield (
                f"{folder}: the weights are in several files (model.safetensors.index.json); write "
                "them as one by model.save_pretrained(folder, max_shard_size='100GB')"
            )
        elif name == "model.safetensors" and (folder / "pytorch_model.bin").is_file():
            yield (
                f"{folder}: only pytorch_model.bin, a pickle that can run code when it is loaded; "
                "convert it (docs/data.md)"
            )
        elif name == "tokenizer.json" and _slow(folder):
            yield (
                f"{folder}: only a slow tokenizer ({_slow(folder)}); write tokenizer.json by "
                "AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder)"
            )
        else:
            yield f"{folder} has no {name}; name a folder that has it"


def _slow(folder: Path) -> str:
    names = ("sentencepiece.bpe.model", "spiece.model", "vocab.txt", "vocab.json")
    return next((name for name in names if (folder / name).is_file()), "")


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        InputError: the file is not JSON, or not one object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({_reason(path, error)}); copy it again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} contains no JSON object; copy it again")
    return value


def _reason(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            return "it is a git-lfs pointer: run `git lfs pull`"
    return str(error)


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file by name, from its header.

    Raises:
        InputError: the file is cut short or is not a safetensors file.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > size:
                raise ValueError("its header is cut")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [entry["data_offsets"][1] for entry in header.values()]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError(
                f"{size} bytes, and its header describes {8 + length + max(ends, default=0)}"
            )
        return {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise InputError(
            f"{path} is not a complete safetensors file ({_reason(path, error)}); copy it again"
        ) from error


# --- config.json --------------------------------------------------------------------------------


def _config(folder: Path, config: Mapping[str, Any], lengths: Mapping[str, int]) -> Iterator[str]:
    path = folder / "config.json"
    kind = config.get("model_type")
    if kind not in SUPPORTED:
        named = f"model_type '{kind}' is not supported" if kind else "no model_type"
        yield f"{path}: {named}; {SUPPORTED_MODELS}"
        return
    wrong = [key for key in SIZES if not isinstance(config.get(key, _default(key)), int)]
    if wrong:
        yield f"{path}: no number under {', '.join(wrong)}; copy the model's own config.json"
        return
    for key, length in lengths.items():
        if length > positions(config):
            yield (
                f"{key}: {length} subwords do not fit into the {positions(config)} positions of "
                f"{folder}; lower it"
            )


def _default(key: str) -> int | None:
    return 2 if key == "type_vocab_size" else None


def positions(config: Mapping[str, Any]) -> int:
    """The longest sequence, in subwords; RoBERTa counts positions from its padding index + 1."""
    longest = int(config["max_position_embeddings"])
    if config["model_type"] == "bert":
        return longest
    padding = config.get("pad_token_id")
    return longest - (1 if padding is None else int(padding)) - 1


# --- the tokenizer ------------------------------------------------------------------------------


def _tokenizer(folder: Path, config: Mapping[str, Any], masked_lm: bool) -> Iterator[str]:
    path = folder / "tokenizer.json"
    parsed = read_object(path)
    pieces = _pieces(parsed)
    if not pieces:
        yield f"{path}: no pieces in it; copy the model's own tokenizer.json"
        return
    rows, last = int(config["vocab_size"]), max(pieces.values())
    if last >= rows:
        yield (
            f"{path}: piece {last} is beyond the {rows} rows of the model's embeddings "
            "(vocab_size in config.json); copy the tokenizer that belongs to the model"
        )
    special = _special_tokens(folder, str(config["model_type"]))
    missing = [
        name
        for name in NEEDED_TOKENS
        if (masked_lm or name != "mask_token") and special.get(name) not in pieces
    ]
    if missing:
        yield (
            f"{folder / 'tokenizer_config.json'}: no {', '.join(missing)} among the pieces of "
            "tokenizer.json; name them in tokenizer_config.json, or use the model's own tokenizer"
        )


def _pieces(parsed: Mapping[str, Any]) -> dict[str, int]:
    """Identifiers by piece: the model's vocabulary and the tokens added to it."""
    model = parsed.get("model")
    vocabulary = model.get("vocab", {}) if isinstance(model, Mapping) else {}
    if isinstance(vocabulary, list):  # a unigram model: pairs of piece and score
        pieces = {str(pair[0]): i for i, pair in enumerate(vocabulary)}
    else:
        pieces = dict(vocabulary)
    for token in parsed.get("added_tokens") or ():
        pieces[token["content"]] = token["id"]
    return pieces


def _special_tokens(folder: Path, model_type: str) -> dict[str, str]:
    """Special tokens by name, as transformers reads them from the tokenizer's files."""
    config = read_object(folder / "tokenizer_config.json")
    kind = str(config.get("tokenizer_class") or model_type).lower()
    family = "Bert" if kind.startswith("bert") else "Roberta" if "roberta" in kind else ""
    tokens = {f"{name}_token": token for name, token in CLASS_TOKENS.get(family, {}).items()}
    extra = folder / "special_tokens_map.json"
    for values in ([read_object(extra)] if extra.is_file() else []) + [config]:
        for name in NEEDED_TOKENS:
            token = values.get(name)
            if isinstance(token, Mapping):
                token = token.get("content")
            if token is not None:
                tokens[name] = str(token)
    return tokens


# --- the weights --------------------------------------------------------------------------------


def _weights(
    folder: Path, config: Mapping[str, Any], masked_lm: bool, head_needed: bool
) -> Iterator[str]:
    path = folder / "model.safetensors"
    prefix = "bert." if config["model_type"] == "bert" else "roberta."
    shapes = {_current_name(name): shape for name, shape in read_shapes(path).items()}
    if any(name.startswith(("encoder.", "embeddings.")) for name in shapes):
        shapes = {prefix + name: shape for name, shape in shapes.items()}  # saved without a head
    wanted = expected_shapes(config, masked_lm=masked_lm)
    encoder = expected_shapes(config, masked_lm=False)
    if not head_needed and not (wanted.keys() - encoder.keys()) & shapes.keys():
        wanted = encoder
    layers = {name for name in shapes if name.startswith(f"{prefix}encoder.layer.")}
    missing, extra = sorted(wanted.keys() - shapes.keys()), sorted(layers - wanted.keys())
    other = sorted(n for n in wanted.keys() & shapes.keys() if wanted[n] != shapes[n])
    if (
        masked_lm
        and head_needed
        and missing
        and not any(name.startswith(prefix) for name in missing)
    ):
        yield (
            f"{path}: no masked-LM head ({_first_few(missing)}); {SUPPORTED_MODELS}, or train one "
            "on your text (source: pretrain with start)"
        )
    elif missing:
        yield (
            f"{path} lacks {_first_few(missing)}, which config.json describes; {SUPPORTED_MODELS}"
        )
    if extra:
        yield (
            f"{path} has {_first_few(extra)}, which config.json does not describe; correct "
            "num_hidden_layers"
        )
    if other:
        first = other[0]
        yield (
            f"{path}: {first} has size {shapes[first]}, and config.json asks for {wanted[first]}"
            f"{f' (and {len(other) - 1} more)' if other[1:] else ''}; copy the config.json that "
            "belongs to the weights"
        )


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _current_name(name: str) -> str:
    """Old BERT files name a LayerNorm's weight gamma and its bias beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def expected_shapes(config: Mapping[str, Any], *, masked_lm: bool) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights, by name, that a model of this config.json is loaded from.

    Without the pooler, which is not used, and without weights tied to the embeddings.
    """
    vocabulary, hidden, _, inner, rows, segments = (config.get(k, _default(k)) for k in SIZES)
    kind = "bert" if config["model_type"] == "bert" else "roberta"
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, out: int, into: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into), (out,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (hidden,)

    for name, count in (("word", vocabulary), ("position", rows), ("token_type", segments)):
        shapes[f"{kind}.embeddings.{name}_embeddings.weight"] = (count, hidden)
    norm(f"{kind}.embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"{kind}.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{prefix}.attention.self.{part}", hidden, hidden)
        linear(f"{prefix}.attention.output.dense", hidden, hidden)
        norm(f"{prefix}.attention.output.LayerNorm")
        linear(f"{prefix}.intermediate.dense", inner, hidden)
        linear(f"{prefix}.output.dense", hidden, inner)
        norm(f"{prefix}.output.LayerNorm")
    if masked_lm and kind == "bert":
        linear("cls.predictions.transform.dense", hidden, hidden)
        norm("cls.predictions.transform.LayerNorm")
        shapes["cls.predictions.bias"] = (vocabulary,)
    elif masked_lm:
        linear("lm_head.dense", hidden, hidden)
        norm("lm_head.layer_norm")
        shapes["lm_head.bias"] = (vocabulary,)
    return shapes
