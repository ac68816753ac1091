"""Base models that start from another encoder: head, frozen weights, mixture, checks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModel, PreTrainedModel, set_seed

import helpers
from langarith.commands import check
from langarith.data import base_models
from langarith.errors import InputError
from langarith.files import read_json
from langarith.models import encoders, masking
from langarith.planning import costs, work
from langarith.study import file_checks, loading, sources
from langarith.study.recipes import LanguageModelRecipe
from langarith.training import batching, loop, metrics, mixing
from test_study import changed
from workspace import options, overlay, run

SIZES = (18, 6)
"""Rows of two languages; with alpha 0.5 they are 15 and 9 in an epoch."""

RECIPE = LanguageModelRecipe(
    steps=8, batch_size=4, learning_rate=1e-3, evaluate_every=2, chunk_length=16
).model_dump()


class Killed(BaseException):
    """Stands for SIGKILL."""


def start(folder: Path, architecture: str, *, head: bool, tokenizer: bool = True) -> Path:
    """A random encoder with dropout on disk, with or without its masked-LM head."""
    torch.manual_seed(0)
    helpers.make_base(folder, architecture, layers=1, dropout=0.1)
    if not head:
        AutoModel.from_pretrained(folder).save_pretrained(folder)
    if tokenizer:
        helpers.make_tokenizer().save_pretrained(folder)
    return folder


def pretrain(
    folder: Path, work: Path, kill_at: int | None = None, freeze: tuple[str, ...] = ()
) -> PreTrainedModel:
    """Go on with an encoder for some steps, as the script does."""
    set_seed(1)
    model = encoders.load_start(folder, freeze)
    tokenizer = helpers.make_tokenizer()
    seen = 0

    def loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            raise Killed
        return masking.masked_loss(model, batch)

    held_out = helpers.chunks(8, seed=5).numpy()
    loop.train(
        model,
        RECIPE,
        data=batching.chunk_dataset(helpers.chunks(sum(SIZES)).numpy()),
        collate=batching.stack,
        mask=masking.MaskTokens(tokenizer, mlm_probability=0.15).mask,
        loss=loss,
        validate=masking.masked_validation(model, held_out, tokenizer, 0.15, 4, "fp32"),
        validated_on="held-out text",
        metric="loss",
        larger_is_better=False,
        seed=1,
        checkpoints=work / "checkpoints",
        log=metrics.MetricsLog(work / "metrics.jsonl"),
        order=mixing.order(SIZES, 0.5, seed=1),
        what="a test",
        save_minutes=0.0 if kill_at else 10.0,
    )
    return model


def weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


# --- weights ---


@pytest.mark.parametrize("head", [True, False], ids=["head", "no head"])
@pytest.mark.parametrize("architecture", ["xlm-r", "bert"])
def test_encoder_goes_on_from_the_weights_of_its_start(
    tmp_path: Path, architecture: str, head: bool
) -> None:
    folder = start(tmp_path / "start", architecture, head=head)
    there = load_file(folder / "model.safetensors")
    kind = "bert" if architecture == "bert" else "roberta"
    set_seed(1)
    model = encoders.load_start(folder)
    before = weights(model)
    for name, tensor in before.items():
        if head or name.startswith(f"{kind}."):
            assert torch.equal(tensor, there[name if head else name.removeprefix(f"{kind}.")]), name
    # dense layer, layer norm and bias of the architecture's head; the decoder is tied
    new = [name for name in before if not name.startswith(f"{kind}.")]
    assert len(new) == 5
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight

    trained = pretrain(folder, tmp_path / "run", freeze=("embeddings",))
    after = weights(trained)
    frozen = [name for name in after if name.endswith("word_embeddings.weight")]
    assert len(frozen) == 1
    assert torch.equal(after[frozen[0]], before[frozen[0]])
    assert all(not torch.equal(after[n], before[n]) for n in new), "the head is trained"
    assert not torch.equal(
        *(w[f"{kind}.encoder.layer.0.output.dense.weight"] for w in (before, after))
    )

    encoders.save_base(trained, tmp_path / "saved")
    written = weights(encoders.load_masked_lm(tmp_path / "saved"))
    assert all(torch.equal(written[name], after[name]) for name in after)
    if not head:
        set_seed(2)
        other = weights(encoders.load_start(folder))
        assert any(not torch.equal(other[name], before[name]) for name in new)


def test_embeddings_are_trained_unless_they_are_frozen(tmp_path: Path) -> None:
    folder = start(tmp_path / "start", "bert", head=True)
    name = "bert.embeddings.word_embeddings.weight"
    before = load_file(folder / "model.safetensors")[name]
    assert not torch.equal(weights(pretrain(folder, tmp_path / "run"))[name], before)


@pytest.mark.parametrize("kill_at", [4, 8])
def test_interrupted_pretraining_goes_on_to_the_same_weights(tmp_path: Path, kill_at: int) -> None:
    """In the first epoch of six steps and in the second, with a mixture and a new head."""
    folder = start(tmp_path / "start", "bert", head=False)
    whole = weights(pretrain(folder, tmp_path / "whole"))
    with pytest.raises(Killed):
        pretrain(folder, tmp_path / "killed", kill_at=kill_at)
    resumed = weights(pretrain(folder, tmp_path / "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


# --- what a start must be ---


def begin(folder: Path) -> None:
    """What a job of pretraining does first."""
    encoders.load_tokenizer(folder)
    encoders.load_start(folder)


def without_mask(folder: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        values = json.loads((folder / name).read_text())
        values.pop("mask_token")
        values["tokenizer_class"] = "PreTrainedTokenizerFast"
        (folder / name).write_text(json.dumps(values))


def with_code(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"auto_map": {"AutoModel": "m.M"}}))


def with_part_of_a_head(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = {n: t for n, t in tensors.items() if "transform.dense" not in n}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def with_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (without_mask, "no mask_token among the pieces of tokenizer.json; name them in tokenizer_"),
        (with_code, "'auto_map' would make a library run or fetch"),
        (with_part_of_a_head, "lacks cls.predictions.transform.dense.bias, cls.predictions.tr"),
        (with_a_pickle, "only pytorch_model.bin, a pickle that can run code when it is loaded"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_start_that_cannot_be_trained_is_refused_in_one_sentence(
    tmp_path: Path, fault: Callable[[Path], None], sentence: str
) -> None:
    folder = start(tmp_path / "start", "bert", head=True)
    assert not list(base_models.problems(folder, {}, masked_lm=True, head_needed=False))
    fault(folder)
    (problem,) = base_models.problems(folder, {}, masked_lm=True, head_needed=False)
    assert sentence in problem
    # a job begins with its tokenizer and its model
    with pytest.raises(InputError):
        begin(folder)


def test_start_without_a_head_is_none_of_the_other_base_models(tmp_path: Path) -> None:
    folder = start(tmp_path / "start", "bert", head=False)
    assert not list(base_models.problems(folder, {}, masked_lm=True, head_needed=False))
    (problem,) = base_models.problems(folder, {}, masked_lm=True)
    assert "no masked-LM head" in problem


def test_start_of_another_architecture_is_refused(tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=300, dim=32, n_layers=1, n_heads=2, hidden_dim=48)
    DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="model_type 'distilbert' is not supported; name a BERT"):
        encoders.load_start(tmp_path)
    assert set(encoders.HEADS) == set(base_models.SUPPORTED)


# --- the mixture of languages ---


def test_shares_by_hand() -> None:
    """900 and 100 tokens: square roots 30 and 10."""
    assert mixing.shares([900, 100], 0.5) == pytest.approx([0.75, 0.25])
    assert mixing.shares([900, 100], 1.0) == pytest.approx([0.9, 0.1])
    assert mixing.counts([900, 100], 0.5) == [750, 250]
    # 16, 4 and 1: fourth roots 2, 1.41 and 1 of 4.41, of 21 rows
    assert mixing.counts([16, 4, 1], 0.25) == [9, 7, 5]
    assert mixing.order([900, 100], 1.0, seed=1) is None


def test_an_epoch_has_the_shares_and_uses_each_text_evenly() -> None:
    order = mixing.MixedOrder([90, 10], 0.5, seed=3)
    epochs = []
    for epoch in range(6):
        order.set_epoch(epoch)
        torch.manual_seed(epoch)  # not looked at
        np.random.seed(epoch)
        rows = list(order)
        assert rows == list(order)
        assert len(rows) == len(order) == 100
        assert Counter(row < 90 for row in rows) == {True: 75, False: 25}
        epochs.append(rows)
    # six epochs of 75 are five passes through 90 rows, six of 25 are fifteen through 10
    times = Counter(row for rows in epochs for row in rows)
    assert times == {row: 5 if row < 90 else 15 for row in range(100)}
    assert len({tuple(rows) for rows in epochs}) == 6
    first = set(range(90)) - set(epochs[0])
    assert first <= set(epochs[1]), "what the first epoch left out comes next"
    other = mixing.MixedOrder([90, 10], 0.5, seed=4)
    assert list(other) != epochs[0]
    half = [row < 90 for row in epochs[0]]
    assert 25 <= sum(half[:50]) <= 45, "languages are mixed within an epoch"


# --- studies ---


def study(tmp_path: Path, **keys: Any) -> Path:
    """LITTLE with a model that starts from another one."""
    model = {"source": "pretrain", "languages": ["en", "es"], "start": str(tmp_path / "start")}
    data = changed(models={"tiny": model | keys}, training__language_adapter__chunk_length=32)
    for task in data["tasks"].values():
        task["max_length"] = 64
    path = tmp_path / "little.yaml"
    path.write_text(yaml.safe_dump(data | {"results_dir": str(tmp_path / "results")}))
    return path


SMALL = {"steps": 5, "batch_size": 4, "learning_rate": 1e-3, "chunk_length": 16}


def test_study_reads_tokenizer_and_size_from_the_start(tmp_path: Path) -> None:
    folder = start(tmp_path / "start", "xlm-r", head=False)
    little = loading.load(study(tmp_path, training=SMALL, alpha=0.3, freeze=["embeddings"]))
    assert sources.given_file(little, "tiny", "tokenizer.json") == f"{folder}/tokenizer.json"
    assert sources.model_file(little, "tiny", "tokenizer.json") is None
    assert costs.shape(little, "tiny") == (1, 32, 48, 300)
    given = sources.pretraining(little, "tiny")
    assert (given["start"], given["alpha"], given["freeze"]) == (str(folder), 0.3, ["embeddings"])
    planned = work.Counter(little).planned("pretrain_model", "models/tiny/encoder/provenance.json")
    assert planned and planned.steps == 5


def test_check_looks_at_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = start(tmp_path / "start", "xlm-r", head=False)
    little = loading.load(study(tmp_path, training=SMALL))
    found = check.Found()
    check._base_models(little, found)
    assert (found.problems, found.looked_at) == ([], ["1 base model"])
    without_mask(folder)
    again = check.Found()
    check._base_models(little, again)
    (problem,) = again.problems
    assert "no mask_token among the pieces" in problem


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"hidden_size": 32}, "'hidden_size' has no effect with 'start', whose value is kept; "),
        ({"vocabulary": 300}, "'vocabulary' has no effect with 'start', whose value is kept; "),
        ({"freeze": ["head"]}, "models.tiny.freeze (entry 1) is 'head'; write 'embeddings'"),
        ({"alpha": 0}, "models.tiny.alpha is 0; write a number above 0"),
        ({"alpha": 1.5}, "models.tiny.alpha is 1.5; write a number of at most 1"),
        ({"languages": ["en", "xx"]}, "models.tiny.languages: language 'xx' is not in 'languages'"),
        (
            {"start": "elsewhere"},
            "models.tiny.start: elsewhere is no folder; name one with config.json",
        ),
        ({"training": SMALL | {"patience": 0}}, "training.patience is 0; write a number of at l"),
        ({"training": SMALL | {"chunk_length": 512}}, "training.chunk_length: 512 subwords do not"),
    ],
)
def test_wrong_keys_of_a_start_are_refused(
    tmp_path: Path, keys: dict[str, Any], sentence: str
) -> None:
    start(tmp_path / "start", "xlm-r", head=True)
    with pytest.raises(InputError) as error:
        loading.load(study(tmp_path, **({"training": SMALL} | keys)))
    assert sentence in str(error.value)


def test_freeze_needs_a_start(tmp_path: Path) -> None:
    data = changed(models__tiny__freeze=["embeddings"])
    path = tmp_path / "little.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=r"'freeze' has no effect .* 'source: pretrain' and 'st"):
        loading.load(path)


def test_start_on_the_hub_is_pinned_and_fetched(tmp_path: Path) -> None:
    path = study(tmp_path, start="intfloat/multilingual-e5-small@main", training=SMALL)
    little = loading.load(path)
    key = "models/intfloat/multilingual-e5-small@main"
    assert list(sources.hub_branches(little)) == [key]
    commit = "abcdef0123" * 4
    loading.revisions_file(path).write_text(yaml.safe_dump({key: commit}))
    locked = loading.load(path)
    assert sources.given_file(locked, "tiny", "model.safetensors") == (
        f"resources/hub/models/intfloat/multilingual-e5-small/{commit}/model.safetensors"
    )
    assert sources.pretraining(locked, "tiny")["start"] == {
        "repository": "intfloat/multilingual-e5-small",
        "revision": commit,
    }


def test_jobs_of_studies_without_the_new_keys_keep_their_parameters(tmp_path: Path) -> None:
    """Snakemake repeats a job whose parameters have changed."""
    path = tmp_path / "little.yaml"
    path.write_text(yaml.safe_dump(changed()))
    little = loading.load(path)
    given = sources.pretraining(little, "tiny")
    assert {"alpha", "start", "freeze"}.isdisjoint(given)
    recipes = [given["training"], *little.training.model_dump().values()]
    assert all("patience" not in recipe for recipe in recipes)
    path.write_text(yaml.safe_dump(changed(models__tiny__alpha=0.5)))
    assert sources.pretraining(loading.load(path), "tiny") == given | {"alpha": 0.5}


def test_missing_files_of_a_start_are_named_when_the_study_is_read(tmp_path: Path) -> None:
    folder = start(tmp_path / "start", "xlm-r", head=True, tokenizer=False)
    with pytest.raises(InputError, match=r"models\.tiny\.start: .* has no tokenizer\.json"):
        loading.load(study(tmp_path, training=SMALL))
    assert not list(file_checks.missing_model_files(loading.load(study(tmp_path, start="a/b@c"))))
    assert (folder / "config.json").is_file()


@pytest.mark.slow
def test_an_encoder_of_another_study_goes_on(copy: Path) -> None:
    """The base model of nano as the start of another one: jobs, frozen weights, record."""
    nano = "results/nano/models/tiny/encoder"
    training = {"steps": 8, "batch_size": 8, "learning_rate": 1e-3, "chunk_length": 32}
    model = {
        "source": "pretrain",
        "start": nano,
        "languages": ["en", "es"],
        "alpha": 0.5,
        "freeze": ["embeddings"],
        "training": training | {"evaluate_every": 2, "patience": 4},
    }
    path = overlay(copy, "more", results_dir="results/more", models={"more": model})
    encoder = "results/more/models/more/encoder"
    printed = run(copy, f"{encoder}/model.safetensors", *options(path))
    assert "train_tokenizer" not in printed
    before, after = (load_file(copy / f / "model.safetensors") for f in (nano, encoder))
    name = "roberta.embeddings.word_embeddings.weight"
    assert before.keys() == after.keys()
    assert torch.equal(before[name], after[name])
    assert not torch.equal(before["lm_head.dense.weight"], after["lm_head.dense.weight"])
    record = read_json(copy / encoder / "provenance.json")
    assert f"{nano}/model.safetensors" in record["inputs"]
    assert record["parameters"]["model"]["alpha"] == 0.5
    tokenizer = (copy / nano / "tokenizer.json").read_bytes()
    assert (copy / encoder / "tokenizer.json").read_bytes() == tokenizer
    config = read_json(copy / encoder / "config.json")
    assert config["hidden_size"] == 32
