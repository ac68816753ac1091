"""Adapters of another shape in a loaded model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel

from langarith.models.adapters import named_parameters


def resize(model: PreTrainedModel, adapter: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Replace the weights of an adapter of a model by those of another one, which may be wider.

    Args:
        tensors: weights and biases of its linear layers by the names of :func:`named_parameters`.
    """
    names = {id(p): name for name, p in named_parameters(model, adapter).items()}
    for module in model.modules():
        if isinstance(module, nn.Linear) and id(module.weight) in names:
            for kind, old in list(module.named_parameters(recurse=False)):
                new = tensors[names[id(old)]].to(old, copy=True)
                setattr(module, kind, nn.Parameter(new, requires_grad=old.requires_grad))
            module.out_features, module.in_features = module.weight.shape
