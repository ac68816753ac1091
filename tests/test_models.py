"""Base models and adapters: masked-LM loss, initialisation, names, files, merging in place."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from adapters import AutoAdapterModel
from adapters.methods.modeling import Activation_Function_Class
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)
from transformers.activations import NewGELUActivation
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaClassificationHead

import helpers
from langarith.adapter_format import ADAPTER_FILES
from langarith.data import base_models
from langarith.errors import InputError, gathered_warnings
from langarith.layout import TOKENIZER_FILES
from langarith.merging.tensors import interpolate, write_in_place
from langarith.models import encoders, ready_made
from langarith.models.adapters import (
    add_initialised,
    language_config,
    load_adapter,
    named_parameters,
    read_adapter,
    save_adapter,
    task_config,
    train_only,
)
from langarith.models.masked_lm import masked_lm_loss, masked_logits
from langarith.study.recipes import (
    LanguageAdapterRecipe,
    LanguageModelRecipe,
    NonLinearity,
)

LANGUAGE = language_config(helpers.LANGUAGE_SHAPE)
ARCHITECTURES = ("xlm-r", "mbert")


@pytest.fixture(scope="module")
def bases(base: Path, tmp_path_factory) -> dict[str, Path]:
    mbert = helpers.make_base(tmp_path_factory.mktemp("base") / "mbert", "mbert")
    return {"xlm-r": base, "mbert": mbert}


@pytest.fixture(params=ARCHITECTURES)
def masked_lm(request, bases: dict[str, Path]) -> PreTrainedModel:
    """A masked language model with one active, trainable language adapter."""
    model = encoders.load_masked_lm(bases[request.param])
    helpers.add_adapter(model, "es", seed=1)
    model.train_adapter("es")
    return model.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of three chunks in which every seventh position is asked for."""
    ids = helpers.chunks(3)
    asked = torch.arange(ids.numel()).reshape(ids.shape) % 7 == 0
    return ids, ids.masked_fill(~asked, -100)


def copies(model: PreTrainedModel, name: str) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in named_parameters(model, name).items()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert list(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


# ---------------------------------------------------------------- the masked-LM loss


def test_loss_at_masked_positions_is_the_dense_loss(masked_lm: PreTrainedModel) -> None:
    ids, labels = batch()
    found = []
    for loss in (
        masked_lm(input_ids=ids, labels=labels).loss,
        masked_lm_loss(masked_lm, ids, labels),
    ):
        masked_lm.zero_grad()
        loss.backward()
        parameters = named_parameters(masked_lm, "es")
        found.append((loss.detach(), {n: p.grad.clone() for n, p in parameters.items()}))
    (dense, dense_gradients), (gathered, gradients) = found
    torch.testing.assert_close(gathered, dense, atol=1e-5, rtol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, dense_gradients[name], atol=1e-5, rtol=1e-5)
        # the comparison says something only where there is a gradient: F and G have one, too
        assert gradient.abs().max() > 1e-4, name


def test_of_embeddings_and_encoder_only_the_adapter_is_trained(masked_lm: PreTrainedModel) -> None:
    # The head's dense layer is trained with it, as in the authors' scripts, and thrown away.
    trainable = {id(p) for p in masked_lm.base_model.parameters() if p.requires_grad}
    assert trainable == {id(p) for p in named_parameters(masked_lm, "es").values()}
    assert not masked_lm.get_output_embeddings().weight.requires_grad


def test_inverse_of_the_invertible_adapter_runs_before_the_decoder(
    masked_lm: PreTrainedModel,
) -> None:
    """MAD-X, section 3.3: without the pre-hook of `load_masked_lm` this fails."""
    ids, labels = batch()
    decoder = masked_lm.get_output_embeddings()
    hidden = masked_lm.base_model(input_ids=ids).last_hidden_state
    head = getattr(masked_lm, "lm_head", None)
    if head is not None:
        transformed = head.layer_norm(nn.functional.gelu(head.dense(hidden)))
    else:
        transformed = masked_lm.cls.predictions.transform(hidden)

    # NICE adds F(x2) to x1, then G(y1) to x2; its inverse subtracts in the opposite order
    nice = masked_lm.base_model.invertible_adapters["es"]
    y1, y2 = transformed.chunk(2, dim=-1)
    x2 = y2 - nice.G(y1)
    inverted = torch.cat([y1 - nice.F(x2), x2], dim=-1)
    # the bare linear map: calling the decoder would run its hook
    expected = nn.functional.linear(inverted, decoder.weight, decoder.bias)

    torch.testing.assert_close(masked_lm(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)
    gathered, _ = masked_logits(masked_lm, ids, labels)
    torch.testing.assert_close(gathered, expected[labels != -100], atol=1e-4, rtol=1e-4)
    without = nn.functional.linear(transformed, decoder.weight, decoder.bias)
    assert (expected - without).abs().max() > 0.1


def test_compiled_layers_give_the_same_loss_and_gradients(masked_lm: PreTrainedModel) -> None:
    """By the backend that traces without a compiler; names of parameters stay as they were."""
    ids, labels = batch()
    names, found = list(named_parameters(masked_lm, "es")), []
    for compiled in (False, True):
        if compiled:
            encoders.compile_encoder(masked_lm, backend="aot_eager")
        masked_lm.zero_grad()
        loss = masked_lm_loss(masked_lm, ids, labels)
        loss.backward()
        parameters = named_parameters(masked_lm, "es")
        assert list(parameters) == names
        found.append([loss.detach(), *(p.grad.clone() for p in parameters.values())])
    assert masked_lm.base_model.encoder._compiled_call_impl is not None
    for plain, traced in zip(*found, strict=True):
        torch.testing.assert_close(traced, plain, atol=1e-6, rtol=1e-5)


def test_adapters_compute_gelu_new_by_one_kernel(base: Path, tmp_path: Path) -> None:
    """The same function as stock `adapters` computes, and the same configuration on disk."""
    model = encoders.load_encoder(base)
    add_initialised(model, "es", LANGUAGE, 7)
    save_adapter(model, "es", tmp_path / "es", with_head=False)
    loaded, stock = encoders.load_encoder(base), encoders.load_encoder(base)
    load_adapter(loaded, tmp_path / "es", "es", with_head=False)
    stock.load_adapter(str(tmp_path / "es"), use_safetensors=True)
    hidden = []
    for of in (model, loaded, stock):
        of.set_active_adapters("es")
        of.eval()
        hidden.append(of(input_ids=torch.arange(5, 25)[None]).last_hidden_state)
        eight_steps = any(isinstance(m, NewGELUActivation) for m in of.modules())
        assert eight_steps == (of is stock)
    for ours in hidden[:2]:
        torch.testing.assert_close(ours, hidden[2], atol=1e-6, rtol=1e-5)
    described = json.loads((tmp_path / "es" / "adapter_config.json").read_text())
    assert described["config"]["non_linearity"] == "gelu_new"


# ---------------------------------------------------------------- the common initialisation


def initialised(base: Path, seed: int, around: int = 0) -> dict[str, torch.Tensor]:
    model = encoders.load_encoder(base)
    torch.manual_seed(around)
    add_initialised(model, "es", LANGUAGE, seed)
    return copies(model, "es")


def test_initialisation_follows_its_own_seed_alone(base: Path) -> None:
    first = initialised(base, seed=7)
    assert_same(first, initialised(base, seed=7, around=1))
    other = initialised(base, seed=8)
    assert not any(torch.equal(first[n], other[n]) for n in first if n.endswith("weight"))


def test_weights_are_drawn_from_a_narrow_normal_and_biases_are_zero(base: Path) -> None:
    tensors = initialised(base, seed=7)
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            assert not tensor.any()
        else:
            # 128 draws at least: four standard errors
            assert abs(float(tensor.mean())) < 4 * 0.02 / tensor.numel() ** 0.5
            assert float(tensor.std()) == pytest.approx(0.02, rel=4 / (2 * tensor.numel()) ** 0.5)
            assert float(tensor.abs().max()) < 0.1


def test_every_layer_starts_from_the_same_draw(base: Path) -> None:
    tensors = initialised(base, seed=7)
    downs = [tensor for name, tensor in tensors.items() if name.endswith("adapter_down.0.weight")]
    assert len(downs) == helpers.SIZES["layers"]
    assert torch.equal(*downs)


# ---------------------------------------------------------------- names and files


def test_names_are_free_of_model_and_language(masked_lm: PreTrainedModel, bases) -> None:
    encoder = encoders.load_encoder(masked_lm.config.name_or_path)
    helpers.add_adapter(encoder, "sw", seed=2)
    names = list(named_parameters(masked_lm, "es"))
    assert names == list(named_parameters(encoder, "sw"))
    assert names == sorted(names)
    assert "encoder.layer.1.output.adapters.adapter_up.weight" in names
    subnets = {name.split(".")[1] for name in names if name.startswith("invertible_adapters.")}
    assert subnets == {"F", "G"}


def test_a_language_whose_code_is_a_prefix_of_anothers_is_another_adapter(base: Path) -> None:
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "en", seed=1)
    before = copies(model, "en")
    helpers.add_adapter(model, "en-x", seed=2)
    assert_same(before, copies(model, "en"))


def test_saved_adapter_is_read_back_bitwise(masked_lm: PreTrainedModel, tmp_path: Path) -> None:
    save_adapter(masked_lm, "es", tmp_path / "es", with_head=False)
    read = read_adapter(tmp_path / "es")
    assert_same(copies(masked_lm, "es"), read)

    # an adapter trained below the masked-LM head is evaluated without it, under another name
    encoder = encoders.load_encoder(masked_lm.config.name_or_path)
    load_adapter(encoder, tmp_path / "es", "language", with_head=False)
    assert_same(read, copies(encoder, "language"))


def test_language_adapter_is_in_adapterhub_format_without_a_head(
    masked_lm: PreTrainedModel, tmp_path: Path
) -> None:
    save_adapter(masked_lm, "es", tmp_path / "es", with_head=False)
    # the masked-LM head would add the tied decoder: hundreds of megabytes for XLM-R
    assert {p.name for p in (tmp_path / "es").iterdir()} == set(ADAPTER_FILES)
    stock = AutoAdapterModel.from_pretrained(masked_lm.config.name_or_path)
    # the library looks for a pickle unless it is given the name of another file
    name = stock.load_adapter(str(tmp_path / "es"), use_safetensors=True)
    assert name == "es"
    assert_same(copies(masked_lm, "es"), copies(stock, name))


def test_task_adapter_keeps_its_head(base: Path, tmp_path: Path) -> None:
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, "task", 1, task_config(helpers.TASK_SHAPE))
    encoders.add_head(model, "task", "tagging", ["O", "B-LOC", "I-LOC"])
    save_adapter(model, "task", tmp_path / "ner", with_head=True)
    written = {p.name for p in (tmp_path / "ner").iterdir()}
    head = {"head_config.json", "model_head.safetensors"}
    assert written == {*ADAPTER_FILES, *head}

    stock = AutoAdapterModel.from_pretrained(base)
    name = stock.load_adapter(str(tmp_path / "ner"), use_safetensors=True, set_active=True)
    model.set_active_adapters("task")
    ids = helpers.chunks(2)
    model.eval(), stock.eval()
    # stock adapters compute their activation by other kernels
    torch.testing.assert_close(
        model(input_ids=ids).logits, stock(input_ids=ids).logits, atol=1e-5, rtol=1e-5
    )
    assert stock.heads[name].config["label2id"] == {"O": 0, "B-LOC": 1, "I-LOC": 2}


def test_saving_again_replaces_the_files_and_leaves_no_others(base: Path, tmp_path: Path) -> None:
    model = encoders.load_encoder(base)
    for seed in (1, 2):
        helpers.add_adapter(model, f"n{seed}", seed)
        save_adapter(model, f"n{seed}", tmp_path / "es", with_head=False)
    assert_same(copies(model, "n2"), read_adapter(tmp_path / "es"))
    assert [p.name for p in tmp_path.iterdir()] == ["es"]
    # safetensors hold no code: nothing is ever unpickled
    assert set(load_file(tmp_path / "es" / "adapter.safetensors"))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(None, id="no folder"),
        pytest.param((), id="empty folder"),
        pytest.param(("adapter_config.json",), id="no weights"),
        pytest.param(("adapter.safetensors",), id="no configuration"),
        pytest.param(("adapter_config.json", "pytorch_adapter.bin"), id="pickled weights"),
    ],
)
def test_folder_without_an_adapter_is_refused(
    base: Path, tmp_path: Path, files: tuple[str, ...] | None
) -> None:
    folder = tmp_path / "es"
    if files is not None:
        folder.mkdir()
        for name in files:
            (folder / name).write_text(json.dumps({"name": "es"}))
    with pytest.raises(InputError, match=r"no adapter_config\.json and adapter\.safetensors; name"):
        read_adapter(folder)
    model = encoders.load_encoder(base)
    with pytest.raises(InputError, match=f"^{folder}: "):
        load_adapter(model, folder, "language", with_head=False)


# ---------------------------------------------------------------- merging in place


@pytest.fixture
def ends(base: Path, tmp_path: Path) -> tuple[dict[str, torch.Tensor], ...]:
    """Two language adapters as a sweep reads them."""
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("en", "es")):
        helpers.add_adapter(model, name, seed)
        save_adapter(model, name, tmp_path / name, with_head=False)
    return read_adapter(tmp_path / "en"), read_adapter(tmp_path / "es")


def invertible(tensors: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in tensors if name.startswith("invertible_adapters.")}


def test_invertible_adapter_takes_part_in_merging(base: Path, ends) -> None:
    """`average_adapter` of the adapters library drops it silently on a model with a head."""
    left, right = ends
    model = encoders.load_encoder(base)
    add_initialised(model, "language", LANGUAGE, seed=9)
    encoders.add_head(model, "language", "tagging", ["O", "B-LOC", "I-LOC"])
    parameters = named_parameters(model, "language")
    write_in_place(parameters, interpolate(left, right, 0.3))
    nice = model.base_model.invertible_adapters["language"]
    merged = {f"invertible_adapters.{name}": p for name, p in nice.named_parameters()}
    assert set(merged) == invertible(left)
    assert len(merged) == 8  # F and G: two linear layers each, weight and bias
    for name, parameter in merged.items():
        expected = 0.3 * left[name] + 0.7 * right[name]
        torch.testing.assert_close(parameter.detach(), expected)
        assert not torch.allclose(left[name], right[name])


@torch.no_grad()
def test_merging_moves_the_output_where_only_invertible_parameters_differ(base: Path, ends) -> None:
    left, other = ends
    right = left | {name: other[name] for name in invertible(left)}
    model = encoders.load_encoder(base).eval()
    add_initialised(model, "language", LANGUAGE, seed=9)
    model.set_active_adapters("language")
    outputs = {}
    for weight in (0.0, 0.5, 1.0):
        write_in_place(named_parameters(model, "language"), interpolate(left, right, weight))
        outputs[weight] = model(input_ids=helpers.chunks(2)).last_hidden_state
    for a, b in ((0.0, 0.5), (0.5, 1.0), (0.0, 1.0)):
        assert (outputs[a] - outputs[b]).abs().max() > 0.01


# ---------------------------------------------------------------- ready-made adapters


def saved_adapter(folder: Path, base: Path, name: str = "xx", **shape: Any) -> Path:
    model = encoders.load_encoder(base)
    helpers.add_adapter(model, name, 1, language_config(helpers.LANGUAGE_SHAPE | shape))
    save_adapter(model, name, folder, with_head=False)
    return folder


def describe(folder: Path, **changes: Any) -> None:
    """Change what an adapter says of itself."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_adapters_of_one_configuration_fit(base: Path, tmp_path: Path) -> None:
    initial, ready = (saved_adapter(tmp_path / n, base, name=n) for n in ("initial", "ready"))
    # another library wrote fewer keys, and whole numbers; what it leaves out has its default
    config = json.loads((ready / "adapter_config.json").read_text())["config"]
    kept = {"reduction_factor": 2, "inv_adapter_reduction_factor": 2}
    short = {k: v for k, v in config.items() if "phm" not in k and k != "scaling"} | kept
    describe(ready, config=short | {"dropout": 0.1}, model_name="xlm-roberta-base")
    ready_made.refuse_mismatched({"models.m.adapters.fr": ready}, initial, base, trained=True)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"reduction_factor": 4}, "reduction_factor 4 instead of 2.0, size of encoder.layer.0."),
        ({"non_linearity": "relu"}, "(non_linearity relu instead of gelu_new); only"),
        ({"invertible_reduction_factor": None}, "inv_adapter None instead of nice"),
    ],
)
def test_an_adapter_of_another_configuration_is_refused(
    base: Path, tmp_path: Path, shape: dict[str, Any], says: str
) -> None:
    initial = saved_adapter(tmp_path / "initial", base)
    ready = saved_adapter(tmp_path / "ready", base, **shape)
    with pytest.raises(InputError) as caught:
        ready_made.refuse_mismatched({"models.m.adapters.fr": ready}, initial, base, trained=True)
    assert str(caught.value).startswith(
        f"models.m.adapters.fr: the adapter in {ready} does not fit adapters.language of this study"
    )
    assert says in str(caught.value)
    # where nothing is trained, it needs to fit the others alone
    other = saved_adapter(tmp_path / "other", base, **shape)
    ready_made.refuse_mismatched({"a": ready, "b": other}, initial, base, trained=False)
    with pytest.raises(InputError, match="does not fit a "):
        ready_made.refuse_mismatched({"a": ready, "b": initial}, initial, base, trained=False)


def test_ready_made_adapters_of_other_initial_weights_are_reported(
    base: Path, tmp_path: Path
) -> None:
    initial = saved_adapter(tmp_path / "initial", base)
    tensors = load_file(initial / "adapter.safetensors")
    generator = torch.Generator().manual_seed(3)
    folders = {"near": tmp_path / "near", "far": tmp_path / "far"}
    for name, share in (("near", 0.3), ("far", 1.0)):
        shutil.copytree(initial, folders[name])
        noise = {
            key: torch.randn(tensor.shape, generator=generator) * tensor.std(correction=0)
            for key, tensor in tensors.items()
        }
        mixed = {key: (1 - share) * tensors[key] + share * noise[key] for key in tensors}
        save_file(mixed, folders[name] / "adapter.safetensors")
    for trained in (True, False):
        with gathered_warnings() as warnings:
            ready_made.refuse_mismatched(folders, initial, base, trained=trained)
        assert [warning.where for warning in warnings] == ["far"]


def test_an_adapter_of_another_base_model_is_refused(base: Path, tmp_path: Path) -> None:
    initial = saved_adapter(tmp_path / "initial", base)
    ready = saved_adapter(tmp_path / "ready", base)
    describe(ready, model_type="bert", hidden_size=768)
    with pytest.raises(InputError) as caught:
        ready_made.refuse_mismatched({"a": ready}, initial, base, trained=False)
    assert (
        "does not fit the base model (model_type bert instead of xlm-roberta, hidden_size 768"
        in (str(caught.value))
    )


def change_weights(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / "adapter.safetensors"
    save_file({n: t.contiguous() for n, t in change(load_file(path)).items()}, path)


def old_names(weights: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace(".output.adapters.", ".output.layer_text_lang_adapters.").replace(
            "invertible_adapters.", "invertible_lang_adapters."
        ): tensor
        for name, tensor in weights.items()
    }


def test_names_of_older_versions_are_read(base: Path, tmp_path: Path) -> None:
    ready = saved_adapter(tmp_path / "ready", base)
    before = read_adapter(ready)
    change_weights(ready, old_names)
    assert_same(read_adapter(ready), before)
    assert ready_made.config_mismatch(ready, base) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda w: {n: t for n, t in w.items() if ".layer.1." not in n},
            "it lacks encoder.layer.1",
        ),
        (lambda w: {n: t.repeat(2, *[1] * (t.dim() - 1)) for n, t in w.items()}, "has other sizes"),
    ],
    ids=["no last layer", "other sizes"],
)
def test_an_adapter_unlike_its_configuration_is_refused(
    base: Path, tmp_path: Path, change: Any, says: str
) -> None:
    initial, ready = (saved_adapter(tmp_path / name, base) for name in ("initial", "ready"))
    change_weights(ready, change)
    with pytest.raises(InputError, match=r"^a: .* does not match its adapter_config\.json") as e:
        ready_made.refuse_mismatched({"a": ready}, initial, base, trained=False)
    assert says in str(e.value)


def test_tensors_that_are_no_part_of_an_adapter_are_refused(base: Path, tmp_path: Path) -> None:
    initial, ready = (saved_adapter(tmp_path / name, base) for name in ("initial", "ready"))
    change_weights(ready, lambda w: {n.replace("adapters.", "others."): t for n, t in w.items()})
    with pytest.raises(InputError, match=r"others\.\S+ is not a part of a bottleneck adapter 'xx'"):
        ready_made.refuse_mismatched({"a": ready}, initial, base, trained=False)


def test_weights_that_are_cut_or_not_finite_are_refused(base: Path, tmp_path: Path) -> None:
    ready = saved_adapter(tmp_path / "ready", base)
    weights = (ready / "adapter.safetensors").read_bytes()
    for content in (weights[:-4], b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"):
        (ready / "adapter.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="is not a complete safetensors file"):
            read_adapter(ready)
    (ready / "adapter.safetensors").write_bytes(weights)
    change_weights(
        ready, lambda w: {n: t * (math.inf if "layer.1" in n else 1) for n, t in w.items()}
    )
    with pytest.raises(
        InputError, match=r"adapter\.safetensors: .*layer\.1.* have NaN or infinite"
    ):
        read_adapter(ready)
    with pytest.raises(InputError, match="the merged adapter has NaN"):
        write_in_place({"w": nn.Parameter(torch.ones(1))}, {"w": torch.tensor([math.nan])})


def test_base_model_whose_weights_do_not_fit_its_config_is_refused(
    base: Path, tmp_path: Path
) -> None:
    """transformers draws what a file lacks at random, and drops what has no place."""

    def written(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
        folder = Path(shutil.copytree(base, tmp_path / name))
        path = folder / "model.safetensors"
        tensors = {n: t.contiguous() for n, t in change(load_file(path)).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        return folder

    without = written("layer", lambda w: {n: t for n, t in w.items() if ".layer.1." not in n})
    headless = written("head", lambda w: {n: t for n, t in w.items() if "lm_head" not in n})
    bad = written("nan", lambda w: {n: t * (math.nan if "query" in n else 1) for n, t in w.items()})
    fewer = Path(shutil.copytree(base, tmp_path / "fewer"))
    config = json.loads((fewer / "config.json").read_text())
    (fewer / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    code = Path(shutil.copytree(base, tmp_path / "code"))
    (code / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "m.M"}}))
    for load in (encoders.load_masked_lm, encoders.load_encoder):
        for folder, says in (
            (without, "model.safetensors lacks roberta.encoder.layer.1."),
            (fewer, "has, beyond what config.json describes, roberta.encoder.layer.1."),
            (bad, "have NaN or infinite values"),
            (code, "'auto_map' would make a library run or fetch"),
        ):
            with pytest.raises(InputError, match=re.escape(says)):
                load(folder)
    with pytest.raises(InputError, match=r"lacks lm_head\.bias, "):
        encoders.load_masked_lm(headless)
    encoders.load_encoder(headless)


def test_encoder_and_tokenizer_form_a_folder_that_a_study_can_name(
    base: Path, tmp_path: Path
) -> None:
    helpers.make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    tokenizer = [tmp_path / "tokenizer" / name for name in TOKENIZER_FILES[:2]]
    model = encoders.load_masked_lm(base)
    encoders.save_base(model, tmp_path / "encoder", tokenizer)
    assert not list(base_models.problems(tmp_path / "encoder", {"x": 64}, masked_lm=True))
    read = encoders.load_tokenizer(tmp_path / "encoder")
    encoders.refuse_unfit(model, read, 64)
    with pytest.raises(InputError, match="65 subwords do not fit into the 64 positions"):
        encoders.refuse_unfit(model, read, 65)
    read.add_tokens(["new"])
    with pytest.raises(InputError, match="has 301 pieces, but the model has 300 embeddings"):
        encoders.refuse_unfit(model, read, 64)


def test_tokenizer_without_a_special_token_is_refused(tmp_path: Path) -> None:
    raw = helpers.make_tokenizer().backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="the tokenizer has no mask_token, cls_token, sep_token"):
        encoders.load_tokenizer(tmp_path)


def test_recipe_of_the_docs_for_pickles_takes_tied_weights(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "docs/data.md").read_text().partition("convert it yourself:")[2]
    recipe = "".join(
        itertools.takewhile(lambda line: line[:4].strip() == "", text.splitlines(True))
    )
    monkeypatch.chdir(tmp_path)
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"decoder": tied, "embeddings": tied}, "pytorch_model.bin")
    exec(textwrap.dedent(recipe), {})  # noqa: S102
    assert torch.equal(load_file("model.safetensors")["decoder"], tied)


def test_roberta_is_supported(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(
        vocab_size=300, intermediate_size=48, max_position_embeddings=64, **sizes
    )
    encoders.save_base(RobertaForMaskedLM(config), tmp_path)
    model = encoders.load_masked_lm(tmp_path)
    helpers.add_adapter(model, "es", seed=1)
    model.train_adapter("es")
    assert masked_lm_loss(model, *batch()).isfinite()
    shapes = base_models.read_shapes(tmp_path / "model.safetensors")
    wanted = base_models.expected_shapes(config.to_dict(), masked_lm=True)
    assert shapes == wanted


def test_every_activation_of_the_schema_is_known() -> None:
    for name in get_args(NonLinearity):
        module = Activation_Function_Class(name)
        assert module(torch.ones(2)).shape == (2,)
        assert not list(module.parameters())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "adapter_config.json: not valid JSON"),
        ("[1]", "does not describe an adapter"),
        ('{"name": "a", "hidden_size": 32}', "does not describe an adapter"),
        ('{"name": "xx", "hidden_size": 32, "config": "pfiefer"}', "does not support the configur"),
    ],
)
def test_a_description_that_is_none_is_refused(
    base: Path, tmp_path: Path, text: str, says: str
) -> None:
    ready = saved_adapter(tmp_path / "ready", base)
    (ready / "adapter_config.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(says)):
        ready_made.adapter_shape(ready)


def test_classification_has_xlm_rs_own_head_and_question_answering_a_linear_layer(base) -> None:
    model = encoders.load_encoder(base)
    encoders.add_head(model, "nli", "classification", ["yes", "no"])
    encoders.add_head(model, "qa", "qa", [])
    kinds = {name: [type(m).__name__ for m in model.heads[name]] for name in ("nli", "qa")}
    assert kinds["nli"] == ["Dropout", "Linear", "Activation_Function_Class", "Dropout", "Linear"]
    own = XLMRobertaClassificationHead(model.config)
    for module, theirs in ((1, own.dense), (4, own.out_proj)):
        model.heads["nli"][module].load_state_dict(theirs.state_dict())
    states = torch.randn(3, 5, model.config.hidden_size)
    with torch.no_grad():
        found = model.heads["nli"].eval()((states,))[0]
        assert torch.equal(found, own.eval()(states))
    dropout, linear = model.heads["qa"]
    assert dropout.p == 0.0 and linear.out_features == 2


def test_the_masked_lm_head_is_trained_along_if_asked_for(base) -> None:
    model = encoders.load_masked_lm(base)
    add_initialised(model, "es", LANGUAGE, 1)
    train_only(model, "es")
    alone = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any(name.startswith("lm_head.") for name in alone)
    train_only(model, "es", head=True)
    both = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in both - alone if "decoder" not in name} == {
        "lm_head.bias",
        "lm_head.dense.bias",
        "lm_head.dense.weight",
        "lm_head.layer_norm.bias",
        "lm_head.layer_norm.weight",
    }
    assert not model.get_input_embeddings().weight.requires_grad
    assert LanguageAdapterRecipe(steps=1, batch_size=1, learning_rate=1).model_dump().keys() == (
        LanguageModelRecipe(steps=1, batch_size=1, learning_rate=1).model_dump().keys()
    )
