"""Adapters of older versions: read as stock `adapters` reads them, and converted from pickles."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import AutoAdapterModel, Stack
from safetensors.torch import load_file

import helpers
import old_adapters
from langarith import cli, tasks
from langarith.data import heads
from langarith.errors import InputError
from langarith.models import encoders, ready_made, ready_task
from langarith.models.adapters import language_config, read_adapter
from langarith.models.convert import convert, read_pickle

WIKIANN = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
OURS = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
ENGLISH = {"es": {"non_linearity": "relu"}, "qu": {"non_linearity": "gelu_new"}}


@pytest.fixture(scope="module")
def old(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two language adapters, `es` and `qu`, and the task adapter `ner`, in the old format."""
    folder = tmp_path_factory.mktemp("old")
    model = encoders.load_encoder(base)
    for seed, (name, shape) in enumerate(ENGLISH.items(), start=1):
        config = language_config(helpers.LANGUAGE_SHAPE | shape)
        helpers.add_adapter(model, name, seed, config)
        old_adapters.write(model, name, folder / name, "text_lang")
    old_adapters.add_tagger(model, WIKIANN)
    old_adapters.write(model, "ner", folder / "ner", "text_task")
    old_adapters.write(model, "ner", folder / "named", "text_task", labels=True)
    return folder


@torch.no_grad()
def logits(base: Path, language: Path, task: Path, *, safe: bool) -> torch.Tensor:
    """What stock `adapters` computes."""
    model = AutoAdapterModel.from_pretrained(base)
    stack = [model.load_adapter(str(f), use_safetensors=safe) for f in (language, task)]
    model.set_active_adapters(Stack(*stack))
    return model.eval()(input_ids=helpers.chunks(2)).logits


def test_a_converted_adapter_computes_the_same(base: Path, old: Path, tmp_path: Path) -> None:
    for name, labels in (("es", []), ("qu", []), ("ner", WIKIANN)):
        convert(old / name, tmp_path / name, labels)
        names = {path.name for path in (tmp_path / name).iterdir()}
        assert names == {"adapter_config.json", "adapter.safetensors"} | (
            {"head_config.json", "model_head.safetensors"} if labels else set()
        )
    for language in ("es", "qu"):
        before = logits(base, old / language, old / "ner", safe=False)
        after = logits(base, tmp_path / language, tmp_path / "ner", safe=True)
        assert torch.equal(before, after)
        assert before.abs().max() > 0.1
    # by the names and the configuration that are written today
    assert not [n for n in load_file(tmp_path / "es/adapter.safetensors") if "text_lang" in n]
    described = json.loads((tmp_path / "qu/adapter_config.json").read_text())
    assert described["model_class"] == "XLMRobertaAdapterModel"
    assert described["config"]["non_linearity"] == "gelu_new"
    assert described["config"]["inv_adapter"] == "nice"
    assert described["version"].startswith("adapters.")
    task = json.loads((tmp_path / "ner/adapter_config.json").read_text())
    assert task["config"]["inv_adapter"] is None
    assert heads.read(tmp_path / "ner") == heads.Head("tagging", 7, WIKIANN)


def test_an_old_configuration_is_read_as_stock_adapters_reads_it(
    base: Path, old: Path, tmp_path: Path
) -> None:
    """Also beside safetensors that somebody else has converted."""
    converted = {name: tmp_path / name for name in ("es", "qu", "ner")}
    shapes = {}
    for name, folder in converted.items():
        convert(old / name, folder, WIKIANN if name == "ner" else ())
        shapes[name] = ready_made.adapter_shape(folder)
        (folder / "adapter_config.json").write_text(
            (old / name / "adapter_config.json").read_text()
        )
        assert ready_made.adapter_shape(folder) == shapes[name]
        assert ready_made.config_mismatch(folder, base) is None
    assert shapes["es"]["non_linearity"] == "relu"
    assert shapes["qu"]["non_linearity"] == "gelu_new"
    assert shapes["ner"]["inv_adapter"] is None
    # names of configurations instead of their keys, as `pfeiffer+inv` for a whole configuration
    for name, full in (("pfeiffer+inv", "seq_bn_inv"), ("houlsby", "double_seq_bn")):
        for written in (name, full):
            path = converted["es"] / "adapter_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"config": written}))
            shapes[written] = ready_made.adapter_shape(converted["es"])
        assert shapes[name] == shapes[full]
    assert shapes["pfeiffer+inv"]["inv_adapter_reduction_factor"] == 2
    assert shapes["houlsby"]["mh_adapter"]


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        ({"w": Harmful()}, "names posix.system, which is not a tensor or a plain value"),
        ([torch.ones(2)], "does not map names to tensors; name an adapter's file"),
        ({"w": 1.0}, "does not map names to tensors"),
        ({"w": torch.tensor([float("nan")])}, "have NaN or infinite values"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer; run"),
        (b"no pickle at all", "is damaged, or contains more than tensors|cannot be read"),
    ],
    ids=["code", "a list", "numbers", "NaN", "a git-lfs pointer", "no pickle"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_no_plain_state_dict_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Any, says: str, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "pytorch_adapter.bin"
    if isinstance(saved, bytes):
        path.write_bytes(saved)
    else:
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError) as caught:
        read_pickle(path)
    assert any(part in str(caught.value) for part in says.split("|"))
    assert "\n" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


def changed(old: Path, folder: Path, file: str, **changes: Any) -> Path:
    """A copy of an old adapter with other keys in one of its JSON files."""
    folder.mkdir()
    for path in old.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    described = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(described))
    return folder


def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((old / "es/adapter_config.json").read_text())["config"]
    lora = {"architecture": "lora", "r": 8, "alpha": 8}
    faults: list[tuple[Path, list[str], str]] = [
        (changed(old / "es", tmp_path / "a", "adapter_config.json", model_type="gpt2"), [],
         "model_type 'gpt2' is not supported"),
        (changed(old / "es", tmp_path / "b", "adapter_config.json", name="fr"), [],
         "is not a part of a bottleneck adapter 'fr'"),
        (changed(old / "es", tmp_path / "c", "adapter_config.json", config=lora), [],
         "its architecture is lora"),
        (changed(old / "es", tmp_path / "d", "adapter_config.json", config="ukp"), [],
         "`adapters` does not support the configuration"),
        (changed(old / "es", tmp_path / "e", "adapter_config.json",
                 config=config | {"auto_map": "x.py"}), [], "'config.auto_map' would make"),
        (old / "es", ["A", "B"], "--labels: "),
        (old / "ner", ["A", "B"], "has 7 outputs; give 7 different labels"),
        (tmp_path, [], "it has no adapter_config.json"),
    ]  # fmt: skip
    for folder, labels, says in faults:
        to = tmp_path / "new"
        arguments = ["convert", str(folder), "--to", str(to)]
        assert cli.main([*arguments, *(["--labels", *labels] if labels else [])]) == 1
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1, error
        assert not to.exists()
    # an existing folder is never overwritten
    assert cli.main(["convert", str(old / "es"), "--to", str(old / "qu")]) == 1
    assert "exists already; name a new folder" in capsys.readouterr().err
    assert cli.main(["convert", str(old / "es"), "--to", str(tmp_path / "new")]) == 0
    output = capsys.readouterr().out
    assert "adapter 'es' of xlm-roberta-base (16 tensors, reduction factor 2.0, relu, " in output


def test_a_head_of_one_model_class_becomes_one_of_the_adapter(
    base: Path, old: Path, tmp_path: Path
) -> None:
    """As saved with `AutoModelForTokenClassification`, which AdapterHub's scripts used, too."""
    described = {
        "config": None,
        "label2id": {label: number for number, label in enumerate(WIKIANN)},
        "model_class": "XLMRobertaForTokenClassification",
        "name": None,
        "num_labels": 7,
    }
    folder = changed(old / "ner", tmp_path / "static", "head_config.json", **described)
    head = torch.load(folder / "pytorch_model_head.bin", weights_only=True)
    renamed = {name.replace("heads.ner.1.", "classifier."): t for name, t in head.items()}
    torch.save(renamed, folder / "pytorch_model_head.bin")
    with pytest.raises(InputError, match="the head belongs to the model class XLMRobertaForToken"):
        heads.read(folder)
    convert(folder, tmp_path / "new")
    assert heads.read(tmp_path / "new").labels == WIKIANN
    assert torch.equal(
        logits(base, old / "es", old / "ner", safe=False),
        logits(base, old / "es", tmp_path / "new", safe=True),
    )


# ---------------------------------------------------------------- ready-made task adapters


def labels_of(base: Path, folder: Path, labels: tuple[str, ...] = OURS, task: str = "ner") -> Any:
    return ready_task.fitting_labels("models.m.task_adapters.ner", folder, base,
                                     tasks.get(task), labels)  # fmt: skip


def test_the_order_of_labels_is_that_of_the_head(base: Path, old: Path, tmp_path: Path) -> None:
    convert(old / "named", tmp_path / "ner")
    assert labels_of(base, tmp_path / "ner") == WIKIANN


def edited(folder: Path, file: str, **changes: Any) -> Path:
    """The same folder, with other keys in the configuration of one of its JSON files."""
    path = folder / file
    described = json.loads(path.read_text())
    described["config"] |= changes
    path.write_text(json.dumps(described))
    return folder


def test_a_task_adapter_that_does_not_fit_is_refused(base: Path, old: Path, tmp_path: Path) -> None:
    counter = iter(range(99))

    def fresh(*labels: str) -> Path:
        folder = tmp_path / str(next(counter))
        convert(old / "ner", folder, labels or WIKIANN)
        return folder

    misc = [label.replace("LOC", "MISC") for label in WIKIANN]
    unnamed = fresh()
    edited(unnamed, "head_config.json", label2id={f"LABEL_{i}": i for i in range(7)})
    other = fresh()
    (other / "adapter_config.json").write_text(
        (other / "adapter_config.json").read_text().replace('"hidden_size": 32', '"hidden_size": 8')
    )
    for folder, labels, task, says in (
        (fresh(*misc), OURS, "ner", "output 5 of the head in "),
        (fresh(), (*OURS, "B-EVT", "I-EVT"), "ner", "has no output for 'B-EVT' of the task"),
        (fresh(), (), "qa", "is of type tagging, but the task needs one of type question_an"),
        (unnamed, OURS, "ner", "does not say what its 7 outputs mean (label2id in head_config"),
        (other, OURS, "ner", "does not fit the base model (hidden_size 8 instead of 32)"),
        (edited(fresh(), "adapter_config.json", reduction_factor=2), OURS, "ner",
         "it has other sizes of"),
        (edited(fresh(), "head_config.json", layers=2), OURS, "ner",
         "model_head.safetensors does not match head_config.json: heads.ner."),
        (edited(fresh(), "head_config.json", use_pooler=True), OURS, "ner", "reads the pooler"),
        (edited(fresh(), "head_config.json", label2id={"O": 0, "B-PER": 3}), OURS, "ner",
         "does not number its 2 labels from 0 to 6"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=re.escape(says)) as caught:
            labels_of(base, folder, labels, task)
        assert "\n" not in str(caught.value)


def test_weights_of_an_old_adapter_keep_their_values(old: Path, tmp_path: Path) -> None:
    convert(old / "es", tmp_path / "es")
    pickled = torch.load(old / "es/pytorch_adapter.bin", weights_only=True)
    converted = read_adapter(tmp_path / "es")
    assert len(converted) == len(pickled) == 16
    assert {t.sum().item() for t in converted.values()} == {
        t.sum().item() for t in pickled.values()
    }
