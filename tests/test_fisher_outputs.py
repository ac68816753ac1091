"""Fisher-weighted averages, the Fisher information itself, and averages of outputs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from adapters import AutoAdapterModel, Stack
from adapters.composition import Average
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

import helpers
from langarith import merging
from langarith.data import streams
from langarith.errors import InputError
from langarith.evaluation import fisher, raw_text
from langarith.evaluation.merge_files import MergeFiles
from langarith.merging.tensors import Tensors
from langarith.models import encoders, masking
from langarith.models.adapters import (
    LANGUAGE,
    language_config,
    named_parameters,
    read_adapter,
    save_adapter,
    task_config,
    train_only,
)
from langarith.models.resize import resize
from langarith.models.weights import read_tensors
from langarith.planning import costs, disk, work
from langarith.study import loading

fewer = settings(max_examples=30)
SHAPES = {"down": (3, 4), "up": (4, 3), "bias": (4,)}


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def diagonal(seed: int) -> dict[str, torch.Tensor]:
    """Fisher information over many orders of magnitude, a quarter of it zero."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in SHAPES.items():
        size = 10 ** (6 * torch.rand(shape, generator=generator) - 6)
        found[name] = torch.where(torch.rand(shape, generator=generator) < 0.25, 0.0, size)
    return found


adapters = st.integers(0, 2**32).map(tensors)
diagonals = st.integers(0, 2**32).map(diagonal)
weights = st.integers(0, 20).map(lambda step: round(0.05 * step, 2))


def merge(operands, fishers, *point: float) -> dict[str, torch.Tensor]:
    return merging.get("fisher").merger(operands, fishers=fishers)(point)


def assert_close(found: Tensors, expected: Tensors, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance)


def assert_bitwise(found: Tensors, expected: Tensors) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def scaled(tensors: Tensors, factor: float) -> dict[str, torch.Tensor]:
    return {name: factor * tensor for name, tensor in tensors.items()}


# ---------------------------------------------------------------- fisher: the merge


def fisher_slowly(operands, fishers, shares) -> dict[str, np.ndarray]:
    """One entry after another, in plain floats."""
    lengths = [
        math.sqrt(sum(float(v) ** 2 for t in fisher.values() for v in t.flatten()))
        for fisher in fishers
    ]
    merged = {}
    for name, shape in SHAPES.items():
        merged[name] = np.empty(shape)
        for place in np.ndindex(*shape):
            values = [float(operand[name][place]) for operand in operands]
            importances = [
                share * float(fisher[name][place]) / length
                for share, fisher, length in zip(shares, fishers, lengths, strict=True)
            ]
            if sum(importances) == 0:
                importances = shares
            products = sum(i * value for i, value in zip(importances, values, strict=True))
            merged[name][place] = products / sum(importances)
    return merged


@fewer
@given(adapters, adapters, adapters, diagonals, diagonals, diagonals, weights, weights)
def test_fisher_by_numpy(a, b, c, fa, fb, fc, first, second) -> None:
    found = merge([a, b], [fa, fb], first)
    for name, expected in fisher_slowly([a, b], [fa, fb], [first, 1 - first]).items():
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-5, atol=1e-6)
    if first + second <= 1:
        shares = [first, second, max(0.0, round(1 - first - second, 10))]
        found = merge([a, b, c], [fa, fb, fc], first, second)
        for name, expected in fisher_slowly([a, b, c], [fa, fb, fc], shares).items():
            np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-5, atol=1e-6)


@fewer
@given(adapters, adapters, diagonals, diagonals, weights)
def test_fisher_has_the_operands_at_its_ends_and_lies_between_them(a, b, fa, fb, weight) -> None:
    assert_bitwise(merge([a, b], [fa, fb], 1.0), a)
    assert_bitwise(merge([a, b], [fa, fb], 0.0), b)
    found = merge([a, b], [fa, fb], weight)
    for name, tensor in found.items():
        assert (tensor >= torch.minimum(a[name], b[name]) - 1e-6).all()
        assert (tensor <= torch.maximum(a[name], b[name]) + 1e-6).all()
    assert_close(merge([b, a], [fb, fa], round(1 - weight, 2)), found)


@fewer
@given(adapters, adapters, diagonals, diagonals, weights, st.floats(1e-6, 1e6))
def test_the_scale_of_a_fisher_information_does_not_matter(a, b, fa, fb, weight, factor) -> None:
    found = merge([a, b], [fa, fb], weight)
    assert_close(merge([a, b], [scaled(fa, factor), scaled(fb, factor)], weight), found)
    assert_close(merge([a, b], [fa, scaled(fb, factor)], weight), found)


@fewer
@given(adapters, adapters, diagonals, weights)
def test_equal_or_no_fisher_information_gives_language_arithmetic(a, b, fa, weight) -> None:
    plain = merging.get("la").merger([a, b])((weight,))
    assert_close(merge([a, b], [fa, fa], weight), plain)
    none = scaled(fa, 0.0)
    assert_bitwise(merge([a, b], [none, none], weight), plain)
    if 0 < weight < 1:  # what one operand alone knows about is taken from it
        some = {name: tensor + 1 for name, tensor in fa.items()}
        assert_close(merge([a, b], [some, none], weight), a)


def test_fisher_by_hand() -> None:
    one, two = {"w": torch.tensor([1.0, 1.0, 1.0])}, {"w": torch.tensor([0.0, 0.0, 0.0])}
    # normalised (0.6, 0.8, 0) and (0.8, 0.6, 0)
    fishers = [{"w": torch.tensor([3.0, 4.0, 0.0])}, {"w": torch.tensor([8.0, 6.0, 0.0])}]
    found = merge([one, two], fishers, 0.25)["w"]
    expected = torch.tensor([0.15 / (0.15 + 0.6), 0.2 / (0.2 + 0.45), 0.25])
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="fisher needs the Fisher information of each operand"):
        merging.get("fisher").merger([one, two], fishers=fishers[:1])
    with pytest.raises(ValueError, match="'v' only in operand 4"):
        merge([one, two], [fishers[0], {"v": fishers[1]["w"]}], 0.5)
    assert merging.get("fisher").describe(["en", "fr"], (0.25,)) == (
        "Fisher-weighted 0.25 · en + 0.75 · fr"
    )


# ---------------------------------------------------------------- fisher: the estimate


@pytest.fixture(scope="module")
def trained(base: Path) -> PreTrainedModel:
    """A masked-language model whose language adapter alone has gradients."""
    model = encoders.load_masked_lm(base)
    helpers.add_adapter(model, LANGUAGE, 1)
    train_only(model, LANGUAGE)
    return model


def test_the_estimate_is_the_mean_of_squared_gradients_of_chunks(trained, tiny_tokenizer) -> None:
    """Against whole predictions and backward passes, chunk by chunk; masks drawn again."""
    chunks = helpers.chunks(6)
    state = torch.random.get_rng_state()
    found = fisher.estimate(
        trained, chunks.numpy(), tiny_tokenizer, mask_probability=0.3, title="x"
    )
    assert torch.equal(torch.random.get_rng_state(), state)

    torch.manual_seed(masking.MASK_SEED)
    masks = masking.MaskTokens(tiny_tokenizer, mlm_probability=0.3).mask(chunks)
    parameters = named_parameters(trained, LANGUAGE)
    expected = {name: torch.zeros_like(p) for name, p in parameters.items()}
    of_all = {name: torch.zeros_like(p) for name, p in parameters.items()}
    trained.eval()
    for ids, labels in zip(masks["input_ids"], masks["labels"], strict=True):
        trained.zero_grad()
        chances = trained(input_ids=ids[None]).logits[0].log_softmax(-1)
        asked = [place for place, label in enumerate(labels) if label != -100]
        sum(chances[place, labels[place]] for place in asked).backward()
        for name, parameter in parameters.items():
            expected[name] += parameter.grad**2 / 6
            of_all[name] += parameter.grad / 6
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
        assert found[name].dtype == torch.float32
        assert tensor.max() > 1e-2, name
        # squares of sums are another quantity
        assert not torch.allclose(found[name], of_all[name] ** 2, rtol=0.1)
    trained.zero_grad()


def test_dropout_is_off_and_chunks_without_a_mask_count(tmp_path, tiny_tokenizer) -> None:
    model = encoders.load_masked_lm(helpers.make_base(tmp_path / "base", dropout=0.5))
    helpers.add_adapter(model, LANGUAGE, 1)
    train_only(model, LANGUAGE)
    model.train()
    rows = helpers.chunks(40, 8).numpy()
    first, again = (
        fisher.estimate(model, rows, tiny_tokenizer, mask_probability=0.05, title="x")
        for _ in range(2)
    )
    assert_bitwise(first, again)
    with pytest.raises(InputError, match="none of the 8 held-out subwords is masked"):
        fisher.estimate(model, rows[:1], tiny_tokenizer, mask_probability=1e-9, title="x")


def test_chunks_are_spread_over_the_text() -> None:
    rows = np.arange(10).reshape(10, 1)
    assert fisher.evenly_spaced(rows, 4).flatten().tolist() == [0, 3, 6, 9]
    assert fisher.evenly_spaced(rows, 40).flatten().tolist() == list(range(10))
    assert fisher.evenly_spaced(rows, 1).flatten().tolist() == [0]


def test_the_job_writes_a_tensor_for_each_parameter(base, tmp_path, tiny_tokenizer) -> None:
    model = encoders.load_masked_lm(base)
    helpers.add_adapter(model, "es", 1)
    save_adapter(model, "es", tmp_path / "es", with_head=False)
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = np.random.default_rng(0).choice(helpers.WORDS, (20, 30))
    streams.tokenize_documents(map(" ".join, words), tiny_tokenizer, tmp_path / "shard.arrow")
    reading = {"validation_documents": 15, "chunk_length": 16, "mask_probability": 0.3}
    found = {}
    for most in (4, 1024):
        fisher.run(
            {"language": "es", "budget": "full", "seed": "1"},
            tmp_path / f"{most}.safetensors",
            encoder=base,
            tokenizer=tmp_path / "tokenizer",
            adapter=tmp_path / "es",
            tokens=[tmp_path / "shard.arrow"],
            reading=reading | {"chunks": most},
        )
        found[most] = read_tensors(tmp_path / f"{most}.safetensors")
        with safe_open(tmp_path / f"{most}.safetensors", "pt") as file:
            chunks = min(most, 15 * 32 // 16)
            assert file.metadata() == {"chunks": str(chunks), "tokens": str(16 * chunks)}
    adapter = read_adapter(tmp_path / "es")
    assert {n: t.shape for n, t in found[4].items()} == {n: t.shape for n, t in adapter.items()}
    bias = "encoder.layer.0.output.adapters.adapter_up.bias"
    assert not torch.equal(found[4][bias], found[1024][bias])
    assert all((tensor >= 0).all() for tensor in found[1024].values())


def test_adapters_from_elsewhere_have_no_text_of_their_own(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "en"
    folder.mkdir()
    for name in ("adapter.safetensors", "adapter_config.json"):
        (folder / name).touch()
    plain = (root / "studies/nano.yaml").read_text()
    text = plain.replace("extends: miniature.yaml", f"extends: {root}/studies/miniature.yaml")
    text = text.replace(
        "    source: pretrain\n", f"    source: pretrain\n    adapters: {{en: {folder}}}\n"
    )
    text = text[: text.index("experiments:")].replace(
        "  ties20: ", "  fisher: {step: 0.5}\n  ties20: "
    )
    study = tmp_path / "study.yaml"
    study.write_text(f"{text}experiments: {{zero_shot: {{}}}}\n")
    assert "fisher" in loading.load(study).lambdas  # which no experiment merges by
    study.write_text(f"{text}experiments: {{zero_shot: {{}}, methods: {{}}}}\n")
    with pytest.raises(InputError) as error:
        loading.load(study)
    assert (
        "experiments.methods: fisher needs text that was held out of the training, and "
        "models.tiny.adapters.en was trained elsewhere on unknown text; remove it there, so that "
        "one is trained, or leave the model or the language out of 'experiments.methods'"
    ) in str(error.value)


def test_estimates_are_in_the_cost_model_and_the_plan(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        f"extends: {root}/studies/nano.yaml\nname: little\nresults_dir: {tmp_path}/r\n"
        "lambdas: {la: {step: 0.5}, fisher: {step: 0.5}}\nexperiments: {methods: {}}\n"
    )
    study = loading.load(file)
    path = f"{tmp_path}/r/fisher/tiny/es@full/seed1/provenance.json"
    planned = work.Counter(study).planned("estimate_fisher", path)
    need = costs.Needs(study).fisher("tiny", "es")
    assert planned is not None
    assert planned.operations == pytest.approx(need.seconds * costs.RATE)
    assert (planned.case.passes, planned.case.rows) == (2, 1)
    once = costs.Needs(study).masked_lm("tiny", "es", "la", 2)  # forward, at three points
    assert need.seconds == pytest.approx(once.seconds * 2 / 3)
    written = disk.needed(study)[Path(study.results_dir)]
    # en, es and fr: as much as their adapters, in one seed
    assert written["Fisher information"] == written["language adapters"]
    recorded = {"rule": "estimate_fisher", "parameters": {}, "inputs": {}}
    Path(path).parent.mkdir(parents=True)
    save_file({"w": torch.ones(1)}, Path(path).with_name("fisher.safetensors"), {"tokens": "640"})
    done = work.Counter(study).recorded(recorded, Path(path))
    assert done is not None
    assert done.operations / planned.operations == pytest.approx(
        640 / costs.fisher_tokens(study, "es")
    )


# ---------------------------------------------------------------- outputs


def model_with(base: Path, *seeds: int, invertible: bool) -> tuple[PreTrainedModel, list[str]]:
    """A stock model with language adapters and a task adapter of large random weights."""
    model = AutoAdapterModel.from_pretrained(base)
    shape = helpers.LANGUAGE_SHAPE | ({} if invertible else {"invertible_reduction_factor": None})
    names = [f"a{seed}" for seed in seeds]
    for name, seed in zip(names, seeds, strict=True):
        helpers.add_adapter(model, name, seed, language_config(shape))
    helpers.add_adapter(model, "wide", 9, language_config(shape))
    helpers.add_adapter(model, "task", 8, task_config(helpers.TASK_SHAPE))
    return model.eval(), names


def copies(model: PreTrainedModel, name: str) -> dict[str, torch.Tensor]:
    return {key: p.detach().clone() for key, p in named_parameters(model, name).items()}


@torch.no_grad()
def hidden(model: PreTrainedModel, active: Stack) -> torch.Tensor:
    model.set_active_adapters(active)
    return model.base_model(input_ids=helpers.chunks(3)).last_hidden_state


@pytest.mark.parametrize("point", [(0.0,), (0.35,), (1.0,), (0.2, 0.5)])
def test_outputs_is_the_average_of_stock_adapters(base: Path, point: tuple[float, ...]) -> None:
    """Whose composition divides the weighted sum by the number of adapters once more."""
    count = len(point) + 1
    model, names = model_with(base, *range(1, count + 1), invertible=False)
    merged = merging.get("outputs").merger([copies(model, name) for name in names])(point)
    resize(model, "wide", merged)
    assert_bitwise(copies(model, "wide"), merged)
    shares = [*point, 1 - sum(point)]
    average = Average(*names, weights=[count * s for s in shares], normalize_weights=False)
    expected = hidden(model, Stack(average, "task"))
    torch.testing.assert_close(hidden(model, Stack("wide", "task")), expected, rtol=1e-4, atol=1e-4)
    # that the operands matter, and the division
    for other in (Stack(names[0], "task"), Stack(Average(*names, weights=shares), "task")):
        if point != (1.0,) or isinstance(other[0], Average):
            assert (hidden(model, other) - expected).abs().max() > 0.1
    single = merging.get("la").merger([copies(model, name) for name in names])(point)
    if point in [(0.35,), (0.2, 0.5)]:  # nor is it a merge of weights
        resize(model, "wide", single)
        assert (hidden(model, Stack("wide", "task")) - expected).abs().max() > 0.1


def test_stock_adapters_divides_an_average_twice(base: Path) -> None:
    """When this fails, docs/methods.md and merging/outputs.py say too much about `adapters`."""
    model, names = model_with(base, 1, 2, invertible=False)
    alone = hidden(model, Stack(names[0], "task"))
    stock = hidden(model, Stack(Average(*names, weights=[1.0, 0.0]), "task"))
    assert (stock - alone).abs().max() > 0.1
    twice = Average(*names, weights=[2.0, 0.0], normalize_weights=False)
    torch.testing.assert_close(hidden(model, Stack(twice, "task")), alone, rtol=1e-4, atol=1e-4)


def test_invertible_adapters_are_averaged_in_both_subnets_and_stay_invertible(base: Path) -> None:
    model, names = model_with(base, 1, 2, invertible=True)
    operands = [copies(model, name) for name in names]
    resize(model, "wide", merging.get("outputs").merger(operands)((0.35,)))
    given = torch.randn(
        2, 5, helpers.SIZES["hidden_size"], generator=torch.Generator().manual_seed(0)
    )
    one, two, wide = (model.base_model.invertible_adapters[n] for n in (*names, "wide"))
    with torch.no_grad():
        x1, x2 = given.chunk(2, dim=-1)
        y1 = x1 + 0.35 * one.F(x2) + 0.65 * two.F(x2)
        y2 = x2 + 0.35 * one.G(y1) + 0.65 * two.G(y1)
        output = wide(given)
        torch.testing.assert_close(output, torch.cat([y1, y2], -1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(wide(output, rev=True), given, rtol=1e-3, atol=1e-4)
    # `Average` of stock adapters has the first one alone there
    model.set_active_adapters(Average(*names, weights=[0.35, 0.65]))
    assert model.base_model.get_invertible_adapter() is one


@pytest.mark.parametrize("end", [0, 1])
def test_outputs_has_the_operands_at_its_ends(base: Path, end: int) -> None:
    model, names = model_with(base, 1, 2, invertible=True)
    operands = [copies(model, name) for name in names]
    resize(model, "wide", merging.get("outputs").merger(operands)((1.0 - end,)))
    expected = hidden(model, Stack(names[end], "task"))
    torch.testing.assert_close(hidden(model, Stack("wide", "task")), expected, rtol=1e-4, atol=1e-4)


BOTTLENECK = {
    "encoder.layer.0.output.adapters.adapter_down.0.weight": (2, 3),
    "encoder.layer.0.output.adapters.adapter_down.0.bias": (2,),
    "encoder.layer.0.output.adapters.adapter_up.weight": (3, 2),
    "encoder.layer.0.output.adapters.adapter_up.bias": (3,),
}


def bottleneck(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in BOTTLENECK.items()}


def applied(tensors: Tensors, given: torch.Tensor) -> torch.Tensor:
    """What a bottleneck computes, without its residual."""
    into, into_bias, out, out_bias = tensors.values()
    return nn.functional.gelu(given @ into.T + into_bias) @ out.T + out_bias


bottlenecks = st.lists(st.integers(0, 2**32), min_size=2, max_size=4)


@fewer
@given(bottlenecks, st.data())
def test_a_wide_bottleneck_computes_the_average_in_any_order(seeds, data) -> None:
    operands = [bottleneck(seed) for seed in seeds]
    points = merging.get("outputs").points([0.0, 0.25, 0.5, 0.75, 1.0], len(operands))
    point = data.draw(st.sampled_from(points))
    shares = [*point, 1 - sum(point)]
    given = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found = applied(merging.get("outputs").merger(operands)(point), given)
    expected = sum(s * applied(o, given) for s, o in zip(shares, operands, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    order = data.draw(st.permutations(range(len(operands))))
    again = merging.get("outputs").merger([operands[i] for i in order])
    other = applied(again(tuple(shares[i] for i in order)[:-1]), given)
    torch.testing.assert_close(other, found, rtol=1e-4, atol=1e-5)


def test_what_is_no_plain_bottleneck_is_refused() -> None:
    gated = bottleneck(1) | {"encoder.layer.0.output.adapters.gate.weight": torch.ones(1, 3)}
    with pytest.raises(
        InputError, match=r"but these also have 'encoder\.layer\.0\.output\.adapters\.gate"
    ):
        merging.get("outputs").merger([gated, gated])


@pytest.mark.parametrize("method", ["outputs", "fisher"])
def test_masked_lm_losses_of_both_methods_have_single_adapters_at_the_ends(
    base: Path, tmp_path: Path, tiny_tokenizer, method: str
) -> None:
    """Inverse of the invertible adapter included: losses are those of language arithmetic."""
    folders = []
    for seed, name in ((1, "en"), (2, "fr")):
        model = encoders.load_masked_lm(base)
        helpers.add_adapter(model, name, seed)
        folders.append(tmp_path / name)
        save_adapter(model, name, folders[-1], with_head=False)
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = np.random.default_rng(0).choice(helpers.WORDS, (12, 20))
    streams.tokenize_documents(map(" ".join, words), tiny_tokenizer, tmp_path / "shard.arrow")
    found = {}
    for name in ("la", method):
        fishers: list[Path] = []
        if merging.get(name).needs_fisher:
            fishers = [tmp_path / f"{folder.name}.safetensors" for folder in folders]
            for folder, file in zip(folders, fishers, strict=True):
                save_file({n: t.square() for n, t in read_adapter(folder).items()}, file)
        raw_text.run(
            {"model": "tiny", "target": "es", "method": name, "operands": "en+fr", "seed": "1"},
            merging.get(name),
            (0.0, 0.5, 1.0),
            "grid",
            tmp_path / name,
            encoder=base,
            tokenizer=tmp_path / "tokenizer",
            merge_files=MergeFiles(folders, fishers=fishers),
            tokens=[tmp_path / "shard.arrow"],
            reading={"validation_documents": 12, "chunk_length": 16, "mask_probability": 0.3},
            batches={"tokens_per_batch": 64, "precision": "fp32"},
        )
        losses = json.loads((tmp_path / name / "losses.json").read_text())["losses"]
        found[name] = [entry["loss"] for entry in losses]
    first, middle, last = found[method]
    assert [first, last] == pytest.approx([found["la"][0], found["la"][2]], rel=1e-4)
    assert middle != pytest.approx(found["la"][1], rel=1e-3)
