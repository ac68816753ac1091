"""Base models and adapters: load, initialise, save; adapter weights by name, to overwrite them."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
import transformers.utils.import_utils

# transformers imports scikit-learn (2 s) for assisted text generation alone when it finds it.
transformers.utils.import_utils._sklearn_available = False

import adapters
import torch
from adapters import AdapterConfig, AutoAdapterModel, SeqBnConfig, SeqBnInvConfig
from adapters.methods.modeling import Activation_Function_Class
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.activations import NewGELUActivation, get_activation
from transformers.models.xlm_roberta import XLMRobertaConfig, XLMRobertaForMaskedLM

from langarith.errors import InputError

# Both announce every head that a folder never held, and adapters every pass without one.
for _library in ("adapters", "transformers"):
    logging.getLogger(_library).setLevel(logging.ERROR)

ADAPTER_FILES = ("adapter_config.json", "adapter.safetensors")


def device(name: str = "auto") -> torch.device:
    """The device to compute on: a GPU where there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(asked: str, on: torch.device) -> str:
    """fp32, fp16 or bf16; `auto`: bf16 on GPUs that have it, fp16 on older ones, fp32 on CPUs."""
    if asked != "auto":
        return asked
    if on.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder with tokenizer.json."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path), use_fast=True, trust_remote_code=False)


def new_masked_lm(
    spec: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast
) -> XLMRobertaForMaskedLM:
    """A randomly initialised XLM-R of the given size (a :class:`langarith.study.PretrainModel`).

    Position embeddings are learned, as XLM-R's are, but start as sinusoids (Vaswani et al. 2017,
    section 3.5): neighbours are then alike from the start. A small model on little text otherwise
    stays with word frequencies for as long as it takes to find out which positions are near.
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
"""In radians per position: a wave longer than the texts of small models tells no places apart."""


def sinusoids(count: int, width: int) -> torch.Tensor:
    """(count, width) sines and cosines of geometric wavelengths, root mean square 1/√2."""
    angles = torch.arange(count)[:, None] * LONGEST_WAVE ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def save_base(model: PreTrainedModel, folder: Path) -> None:
    """Write config.json and model.safetensors, whole or not at all."""
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging, safe_serialization=True)
    _move(staging, folder)


def _move(staging: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(staging.iterdir()):
        os.replace(file, folder / file.name)
    staging.rmdir()


def load_masked_lm(path: str | Path) -> PreTrainedModel:
    """A base model with its masked-language-modelling head, ready to take adapters."""
    return with_inverse(
        AutoModelForMaskedLM.from_pretrained(
            str(path), use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    )


def with_inverse(model: PreTrainedModel) -> PreTrainedModel:
    """Make a masked-language model ready to take adapters, invertible ones included.

    MAD-X inverts the invertible adapter before the output embeddings (Pfeiffer et al., 2020b,
    section 3.3). `adapters` 1.3 does so in its flexible heads alone, which lose the decoder's bias
    on conversion; its models with a static head, used here, would leave the inverse out.
    """
    adapters.init(model)
    model.get_output_embeddings().register_forward_pre_hook(
        lambda _, args: (model.base_model.invertible_adapters_forward(args[0], rev=True), *args[1:])
    )
    return model


def load_encoder(path: str | Path) -> PreTrainedModel:
    """A base model without a head, ready to take adapters and flexible heads."""
    model = AutoAdapterModel.from_pretrained(
        str(path), use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    for head in list(model.heads):
        model.delete_head(head)
    return model


def language_config(shape: Mapping[str, Any]) -> SeqBnInvConfig:
    """MAD-X: bottleneck after the output block, NICE invertible adapter at the embeddings."""
    return SeqBnInvConfig(
        reduction_factor=shape["reduction_factor"],
        non_linearity=shape["non_linearity"],
        inv_adapter="nice" if shape["invertible_reduction_factor"] else None,
        inv_adapter_reduction_factor=shape["invertible_reduction_factor"] or 2,
    )


def task_config(shape: Mapping[str, Any]) -> SeqBnConfig:
    """Pfeiffer: bottleneck after the output block, no invertible adapter."""
    return SeqBnConfig(
        reduction_factor=shape["reduction_factor"], non_linearity=shape["non_linearity"]
    )


def add_initialised(model: PreTrainedModel, name: str, config: Any, seed: int) -> None:
    """Add an adapter whose every linear layer is drawn from a fresh generator: N(0, 0.02), bias 0.

    The same seed for each layer is the authors' choice: every language and every run starts from
    one point, so that differences of adapters are differences of training.
    """
    model.add_adapter(name, config=config)
    _fuse_activations(model)
    with torch.no_grad():
        for parameter in named_parameters(model, name).values():
            if parameter.dim() > 1:
                generator = torch.Generator().manual_seed(seed)
                parameter.copy_(torch.empty_like(parameter).normal_(0, 0.02, generator=generator))
            else:
                parameter.zero_()


def named_parameters(model: PreTrainedModel, adapter: str) -> dict[str, nn.Parameter]:
    """An adapter's parameters, invertible subnets included, by a name free of model and adapter.

    `roberta.encoder.layer.0.output.adapters.es.adapter_up.weight` becomes
    `encoder.layer.0.output.adapters.adapter_up.weight`, so that adapters of two languages, or of
    one adapter in two model classes, have equal names.
    """
    found = {}
    for name, parameter in model.named_parameters():
        plain = _plain_name(name, adapter)
        if plain:
            found[plain] = parameter
    return dict(sorted(found.items()))


def _plain_name(name: str, adapter: str) -> str | None:
    match = re.search(rf"\b(adapters|invertible_adapters)\.{re.escape(adapter)}\.", name)
    if not match:
        return None
    name = name.replace(match[0], f"{match[1]}.")
    return re.sub(r"^\w+\.(?=encoder\.|invertible_adapters\.)", "", name)


def train_only(model: PreTrainedModel, adapter: str) -> None:
    """Activate an adapter and leave it alone trainable.

    `adapters` leaves a static masked-language-modelling head trainable, which no language adapter
    could take with it: MAD-X freezes the whole model (section 3.2.1).
    """
    model.train_adapter(adapter)
    own = {id(parameter) for parameter in named_parameters(model, adapter).values()}
    for parameter in model.parameters():
        parameter.requires_grad = id(parameter) in own


def read_adapter(folder: str | Path, on: str = "cpu") -> dict[str, torch.Tensor]:
    """The tensors of a saved adapter by the names of :func:`named_parameters`, in float32.

    Args:
        on: see :func:`device`.

    Raises:
        InputError: the folder holds no adapter in safetensors.
    """
    folder = Path(folder)
    config, weights = (folder / name for name in ADAPTER_FILES)
    if not config.is_file() or not weights.is_file():
        raise InputError(
            f"{folder}: no {' and '.join(ADAPTER_FILES)} there; name an adapter's folder"
        )
    name = _adapter_description(folder)["name"]
    tensors = {_plain_name(key, name): value for key, value in load_file(weights).items()}
    place = device(on)
    return {key: value.float().to(place) for key, value in sorted(tensors.items()) if key}


def _adapter_description(folder: Path) -> dict[str, Any]:
    """What adapter_config.json says, in AdapterHub's format."""
    path = folder / ADAPTER_FILES[0]
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        if {"name", "config", "hidden_size"} <= set(described):
            return dict(described)
    except (ValueError, TypeError):
        pass
    raise InputError(
        f"{path} does not describe an adapter (name, config, hidden_size); name a folder that "
        "`adapters` has saved"
    )


def adapter_shape(folder: str | Path) -> dict[str, Any]:
    """What two adapters must agree in to be merged, by key.

    Everything of the configuration that decides how they compute, with the defaults of what it
    leaves out; the base model's type and width; the size of every tensor by its name.

    Raises:
        InputError: the folder holds no adapter in safetensors.
    """
    folder = Path(folder)
    tensors = {f"size of {name}": tuple(t.shape) for name, t in read_adapter(folder).items()}
    described = _adapter_description(folder)
    try:
        config = AdapterConfig.load(described["config"]).to_dict()
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / ADAPTER_FILES[0]}: `adapters` does not know the configuration ({error}); "
            "name another adapter"
        ) from error
    base = {key: described.get(key) for key in ("model_type", "hidden_size")}
    # where training started, and how it was regularised
    past = {"init_weights", "init_weights_seed", "dropout", "stochastic_depth"}
    return base | {key: value for key, value in config.items() if key not in past} | tensors


def refuse_unequal(folders: Mapping[str, Path], initial: Path, *, trained: bool) -> None:
    """Ready-made adapters must fit the base model, each other, and those that are trained.

    Args:
        folders: what each ready-made adapter is called in the study -> its folder.
        initial: the initialisation that training starts from, which fits the base model.
        trained: whether adapters of that shape are merged with them; else they need to agree
            among themselves alone.

    Raises:
        InputError: one line for each that does not fit, naming where.
    """
    shapes = {name: adapter_shape(path) for name, path in folders.items()}
    here = adapter_shape(initial)
    first = "adapters.language of this study" if trained else next(iter(shapes))
    reference = here if trained else shapes[first]
    lines = []
    for name, shape in shapes.items():
        keys = [k for k in ("model_type", "hidden_size") if here[k] != shape[k]]
        other, wanted = ("the base model", here) if keys else (first, reference)
        keys = keys or [k for k in {**reference, **shape} if reference.get(k) != shape.get(k)]
        if keys:
            told = ", ".join(f"{k} {shape.get(k)} and not {wanted.get(k)}" for k in keys[:3])
            lines.append(
                f"{name}: the adapter in {folders[name]} does not fit {other} ({told}); only "
                "adapters of one base model and one configuration can be merged"
            )
    if lines:
        raise InputError("\n".join(lines))


def save_adapter(model: PreTrainedModel, name: str, folder: Path, *, with_head: bool) -> None:
    """Write an adapter in AdapterHub format (safetensors), whole or not at all."""
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    model.save_adapter(str(staging), name, with_head=with_head, use_safetensors=True)
    _move(staging, folder)


def load_adapter(model: PreTrainedModel, folder: str | Path, name: str, *, with_head: bool) -> None:
    """Load a saved adapter under the given name, refusing anything but safetensors."""
    read_adapter(folder)
    model.load_adapter(
        str(folder), load_as=name, with_head=with_head, use_safetensors=True, set_active=False
    )
    _fuse_activations(model)


def _fuse_activations(model: PreTrainedModel) -> None:
    """Compute `gelu_new` of adapters by one kernel, where transformers writes out its eight steps.

    The same function, the tanh approximation of GELU (Hendrycks and Gimpel, 2016), to the last
    bits; a step keeps one tensor for its gradient and not four.
    """
    for module in model.modules():
        if isinstance(module, Activation_Function_Class) and isinstance(
            module.f, NewGELUActivation
        ):
            module.f = get_activation("gelu_pytorch_tanh")


def add_head(model: PreTrainedModel, name: str, head: str, labels: Sequence[str]) -> None:
    """Add the prediction head of a task: one linear layer, as the authors' scripts have it."""
    if head == "tagging":
        model.add_tagging_head(
            name, num_labels=len(labels), layers=1, id2label=dict(enumerate(labels))
        )
    elif head == "classification":
        model.add_classification_head(
            name, num_labels=len(labels), layers=1, id2label=dict(enumerate(labels))
        )
    else:
        model.add_qa_head(name, num_labels=2, layers=1)


def masked_lm_loss(
    model: PreTrainedModel, input_ids: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy over the masked positions of full chunks, logits computed there alone.

    Gathering the masked positions before the head is exact: the head works position by position.
    At 15 % masking it saves 85 % of the vocabulary projection, most of a step for XLM-R.

    Args:
        model: a masked-language model with adapters initialised.
        input_ids: (batch, length) token ids, no padding.
        labels: (batch, length) ids of masked positions, -100 elsewhere; in main memory, so that
            nothing waits for a GPU to learn how many they are.
    """
    logits, wanted = masked_logits(model, input_ids, labels)
    return nn.functional.cross_entropy(logits.float(), wanted)


def masked_logits(
    model: PreTrainedModel, input_ids: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (masked, vocabulary) and labels (masked,) of the masked positions.

    The inverse of the invertible adapter runs before the decoder (see :func:`load_masked_lm`).
    """
    hidden = model.base_model(input_ids=input_ids).last_hidden_state
    positions = (labels.flatten() != -100).nonzero().squeeze(1)
    chosen = hidden.flatten(0, 1).index_select(0, to_device(positions, hidden.device))
    head = model.lm_head if hasattr(model, "lm_head") else model.cls
    # one sentence of all masked positions: the invertible adapter expects three dimensions
    wanted = labels.flatten().index_select(0, positions)
    return head(chosen[None]).squeeze(0), to_device(wanted, hidden.device)


def to_device(tensor: torch.Tensor, on: torch.device) -> torch.Tensor:
    """Copy to a GPU without waiting for what it computes; a tensor for the CPU stays."""
    if on.type != "cuda" or tensor.is_cuda:
        return tensor.to(on)
    return tensor.pin_memory().to(on, non_blocking=True)


def compile_encoder(model: PreTrainedModel, backend: str = "inductor") -> None:
    """Compile the layers of a model by `torch.compile`, in place; names of parameters stay."""
    model.base_model.encoder.compile(backend=backend)
