"""How modules are trained, and the shapes of adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from langarith.study.blocks import Bool, Seed, Strict


class Recipe(Strict):
    """How a module is trained (paper section 4.1.2). Exactly one of `steps`, `epochs`."""

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(ge=1)
    accumulation: int = Field(1, ge=1)
    learning_rate: float = Field(gt=0, le=1)
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = Field(0.0, ge=0, le=100)
    clip: float = Field(1.0, ge=0)
    evaluate_every: int | None = Field(None, ge=1)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    torch_compile: Bool = False
    threads: int = Field(1, ge=1)
    # left out if it is off, so that the jobs of studies without it are not repeated
    patience: int | None = Field(None, ge=1, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> Recipe:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs'")
        return self

    @model_validator(mode="after")
    def _warmup_has_an_effect(self) -> Recipe:
        if self.warmup_steps and self.schedule == "constant":
            raise ValueError(
                "'warmup_steps' has no effect with 'schedule: constant'; remove it or choose "
                "linear or cosine"
            )
        return self


class LanguageModelRecipe(Recipe):
    """A recipe for masked language modelling: base models and language adapters."""

    what = "recipes of base models and language adapters"

    chunk_length: int = Field(512, ge=8)
    mask_probability: float = Field(0.15, gt=0, lt=1)


class LanguageAdapterRecipe(LanguageModelRecipe):
    """A recipe for language adapters.

    `head`: the masked-LM head is `frozen`, as in the paper's text (section 3.2.1), or `trained`
    together with the adapter, as in the authors' scripts. It is not saved in either case.
    """

    what = "recipes of language adapters"

    # left out by default, so that the jobs of studies without it are not repeated
    head: Literal["frozen", "trained"] = Field("frozen", exclude_if=lambda value: value == "frozen")


class TaskRecipe(Recipe):
    """A recipe for task adapters."""

    what = "the recipe of a task"


NonLinearity = Literal[
    "gelu",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_new",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "laplace",
    "leaky_relu",
    "leakyrelu",
    "linear",
    "mish",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "sigmoid",
    "silu",
    "swish",
    "tanh",
]
"""Activations that `adapters` has by name and that have no parameters."""


Reduction = Annotated[float, Field(ge=0.1, le=4096)]
"""Hidden size divided by the bottleneck's size: up to the hidden size of the widest encoders."""


class _AdapterShape(Strict):
    """A bottleneck adapter after the output block (Pfeiffer)."""

    non_linearity: NonLinearity = "gelu_new"


class TaskAdapterShape(_AdapterShape):
    """A task adapter: a bottleneck adapter after the output block (Pfeiffer)."""

    what = "the shape of task adapters"

    reduction_factor: Reduction = 16.0


class LanguageAdapterShape(_AdapterShape):
    """A bottleneck adapter; a NICE invertible adapter at the embeddings (MAD-X), or null for none.

    `leave_out`: layers, from 0, that get no adapter. MAD-X 2.0 leaves out the last one (Pfeiffer et
    al. 2021, arXiv 2012.15562).
    """

    what = "that of language adapters"

    reduction_factor: Reduction = 2.0
    invertible_reduction_factor: Reduction | None = 2.0
    leave_out: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @field_validator("leave_out")
    @classmethod
    def _sorted(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a layer is listed twice; remove one")
        return tuple(sorted(value))


class Adapters(Strict):
    """Shapes of both adapters and the fixed seed of the initialisation they all start from."""

    init_seed: Seed = 2147483647
    language: LanguageAdapterShape = LanguageAdapterShape()
    task: TaskAdapterShape = TaskAdapterShape()


class TrainingPlan(Strict):
    """Recipes of both kinds of adapters, the paper's by default; a task may name its own."""

    language_adapter: LanguageAdapterRecipe = LanguageAdapterRecipe(
        steps=250_000, batch_size=16, accumulation=4, learning_rate=1e-4, evaluate_every=500
    )
    task_adapter: TaskRecipe = TaskRecipe(epochs=100, batch_size=16, learning_rate=1e-4)
