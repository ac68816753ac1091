"""Checks of base models by config.json, tokenizer and header, and keys that would run code."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langarith import files
from langarith.commands import check
from langarith.data import base_models, code_keys
from langarith.errors import InputError
from langarith.study import file_checks, schema

CONFIG = {
    "model_type": "xlm-roberta",
    "vocab_size": 6,
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 34,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
SPECIAL = {"mask": "<mask>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"}


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        offsets = [end, end + size]
        header[name], end = {"dtype": "F32", "shape": shape, "data_offsets": offsets}, end + size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The files of a base model without a fault."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    pieces = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "a"])}
    tokenizer = {
        "model": {"type": "WordLevel", "vocab": pieces},
        "added_tokens": [{"id": 5, "content": "<mask>"}],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    named = {f"{name}_token": token for name, token in SPECIAL.items()}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(named | {"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    shapes = base_models.expected_shapes(CONFIG, masked_lm=True)
    write_weights(folder / "model.safetensors", shapes)
    return folder


def found(folder: Path, length: int = 32, *, masked_lm: bool = True) -> list[str]:
    return list(base_models.problems(folder, {"tasks.ner.max_length": length}, masked_lm=masked_lm))


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change keys of a JSON file; None removes one."""

    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text()) | changes
        kept = {key: inner for key, inner in value.items() if inner is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def weights(change: Callable[[dict[str, tuple[int, ...]]], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        shapes = base_models.expected_shapes(CONFIG, masked_lm=True)
        change(shapes)
        write_weights(folder / "model.safetensors", shapes)

    return write


def without(part: str) -> Callable[[dict[str, Any]], None]:
    def change(shapes: dict[str, Any]) -> None:
        for name in [name for name in shapes if part in name]:
            del shapes[name]

    return change


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(shapes: dict[str, Any]) -> None:
        for name in list(shapes):
            shapes[name.replace(old, new)] = shapes.pop(name)

    return change


def replace(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / old).rename(folder / new)


def text(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n"

FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (edit("config.json", model_type=None), "config.json: no model_type; use one of BERT (mBERT), "),
    (edit("config.json", model_type="albert"), "'albert' is not supported; use one of BERT"),
    (edit("config.json", hidden_size=None), "no number under hidden_size"),
    (edit("config.json", num_hidden_layers=3), "lacks roberta.encoder.layer.2.attention.output"),
    (edit("config.json", num_hidden_layers=1), "has roberta.encoder.layer.1.attention.output"),
    (edit("config.json", hidden_size=8), "has size (4,), and config.json asks for (8,) (and "),
    (
        edit("tokenizer.json", added_tokens=[{"id": 6, "content": "<mask>"}]),
        "piece 6 is beyond the 6 rows of the model's embeddings",
    ),
    (edit("config.json", auto_map={"AutoModel": "m.M"}), "'auto_map' would make a library run"),
    (edit("config.json", _attn_implementation_internal="a/b"), "'_attn_implementation_internal'"),
    (edit("tokenizer_config.json", auto_map=["a/b--t.T", None]), "tokenizer_config.json: 'auto_"),
    (edit("tokenizer_config.json", mask_token=None), "no mask_token among the pieces"),
    (edit("tokenizer_config.json", pad_token=None, cls_token=None), "no pad_token, cls_token am"),
    (edit("tokenizer_config.json", sep_token="[SEP]"), "no sep_token among the pieces"),
    (weights(without("lm_head")), "no masked-LM head (lm_head.bias, lm_head.dense.bias, lm_head."),
    (weights(rename("roberta.", "bert.")), "lacks roberta.embeddings.LayerNorm.bias"),
    (text("model.safetensors", POINTER), "it is a git-lfs pointer: run `git lfs pull`"),
    (text("tokenizer.json", POINTER), "tokenizer.json is not JSON (it is a git-lfs pointer"),
    (text("config.json", b'{"model_type": "bert'), "config.json is not JSON (Unterminated string"),
    (text("config.json", b"[]"), "config.json contains no JSON object"),
    (
        lambda folder: os.truncate(folder / "model.safetensors", 999),
        "is not a complete safetensors file (its header is cut); copy it again",
    ),
    (
        lambda folder: os.truncate(
            folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 1
        ),
        "bytes, and its header describes",
    ),
    (replace("model.safetensors", "pytorch_model.bin"), "only pytorch_model.bin, a pickle"),
    (replace("model.safetensors", "model.safetensors.index.json"), "max_shard_size='100GB'"),
    (replace("tokenizer.json", "sentencepiece.bpe.model"), "only a slow tokenizer (sentencepiece"),
    (replace("tokenizer.json", "other"), "has no tokenizer.json; name a folder that has it"),
]


@pytest.mark.parametrize(("break_it", "says"), FAULTS, ids=[says for _, says in FAULTS])
def test_a_fault_of_a_base_model_is_one_sentence(
    model: Path, break_it: Callable[[Path], object], says: str
) -> None:
    assert found(model) == []
    break_it(model)
    (problem,) = found(model)
    assert says in problem


def test_lengths_are_compared_with_positions(model: Path) -> None:
    """RoBERTa has two positions fewer than embeddings of positions, BERT as many."""
    (problem,) = found(model, 33)
    assert problem == (
        f"tasks.ner.max_length: 33 subwords do not fit into the 32 positions of {model}; lower it"
    )
    assert base_models.positions(CONFIG | {"model_type": "bert"}) == 34


def test_all_faults_are_reported_at_once(model: Path) -> None:
    weights(without("layer.1."))(model)
    edit("tokenizer_config.json", pad_token=None)(model)
    assert len(found(model, 40)) == 3


def test_what_only_ready_made_adapters_use_needs_no_masked_lm_head(model: Path) -> None:
    weights(without("lm_head"))(model)
    edit("tokenizer_config.json", mask_token=None)(model)
    assert found(model, masked_lm=False) == []


def test_old_names_and_encoders_saved_alone_are_read(model: Path) -> None:
    weights(rename("LayerNorm.weight", "LayerNorm.gamma"))(model)
    assert found(model) == []
    weights(rename("roberta.", ""))(model)
    assert found(model, masked_lm=False) == []


def test_tokens_of_a_class_need_no_names(model: Path) -> None:
    """mBERT's tokenizer_config.json on the hub names neither class nor tokens."""
    (model / "tokenizer_config.json").write_text("{}")
    assert found(model) == []


def study(model: Path, **of_model: Any) -> schema.Study:
    """A study whose data are not made yet, on that base model."""
    recipe = {"batch_size": 2, "learning_rate": 0.1}
    language = recipe | {"steps": 1, "chunk_length": 32}
    examples = {"train": 9, "validation": 9, "test": 9}
    return schema.Study.model_validate(
        {
            "name": "own",
            "results_dir": str(model.parent / "results"),
            "languages": ["en", "es", "fr"],
            "task_language": "en",
            "seeds": [1],
            "models": {"own": {"source": "files", "path": str(model)} | of_model},
            "corpora": {"source": "miniature", "documents": 10},
            "tasks": {
                "ner": {
                    "source": "miniature",
                    "targets": ["es"],
                    "max_length": 32,
                    "examples": examples,
                }
            },
            "related": {"es": "fr"},
            "training": {"language_adapter": language, "task_adapter": recipe | {"epochs": 1}},
            "experiments": {"zero_shot": {}},
        }
    )


def test_check_looks_at_base_models_and_ready_made_adapters(model: Path, tmp_path: Path) -> None:
    assert check.look(study(model)).problems == []
    edit("tokenizer_config.json", pad_token=None)(model)
    (problem,) = check.look(study(model)).problems
    assert problem.startswith(f"models.own: {model}/tokenizer_config.json: no pad_token")
    adapter = tmp_path / "fr"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter.safetensors").write_bytes(POINTER)
    _, problem = check.look(study(model, adapters={"fr": str(adapter)})).problems
    assert problem.startswith(
        f"models.own.adapters.fr: {adapter}/adapter.safetensors is not a compl"
    )


def test_what_config_json_shows_is_refused_when_the_study_is_read(model: Path) -> None:
    assert list(file_checks.base_models_described(study(model))) == []
    edit("config.json", max_position_embeddings=20, auto_map={"AutoModel": "m.M"})(model)
    code, chunk, window = file_checks.base_models_described(study(model))
    assert "'auto_map' would make a library run" in code
    assert "training.language_adapter.chunk_length: 32 subwords do not fit into the 18" in chunk
    assert "tasks.ner.max_length: 32 subwords" in window


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"auto_map": {}}, ["auto_map"]),
        (
            {"text_config": {"_attn_implementation": "org/kernel"}},
            ["text_config._attn_implementat"],
        ),
        ({"attn_implementation": {"": "kernels-community/x"}}, ["attn_implementation"]),
        ({"_attn_implementation": "sdpa", "attn_implementation": None, "auto_map": None}, []),
        ({"layers": [{"auto_map": 1}]}, ["layers.auto_map"]),
        ({"base_model_name_or_path": "other/model"}, ["base_model_name_or_path"]),
        ({"tokenizer_file": "/etc/passwd"}, ["tokenizer_file"]),
        ({"vocab_file": "vocab.txt"}, []),
    ],
)
def test_keys_that_run_or_fetch_code_are_found(config: dict[str, Any], keys: list[str]) -> None:
    names = list(code_keys.refused_keys(config))
    assert [name[: len(key)] for name, key in zip(names, keys, strict=True)] == keys


def test_an_adapter_with_such_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"config": {"auto_map": {"a": "b"}}}')
    with pytest.raises(InputError, match=r"adapter_config\.json: 'config\.auto_map' would make"):
        code_keys.refuse(tmp_path)
    problems = list(base_models.adapter_problems(tmp_path))
    assert len(problems) == 2  # and there are no weights


def test_no_package_that_runs_kernels_of_the_hub_is_installed() -> None:
    """transformers 4.56 to 5.2 would load what a config.json names (CVE-2026-4372)."""
    assert importlib.util.find_spec("kernels") is None


def test_files_follow_the_umask(tmp_path: Path) -> None:
    """safetensors writes files of mode 0600."""

    def private(path: Path) -> None:
        path.write_text("x")
        path.chmod(0o600)

    before = os.umask(0o027)
    try:
        with files.whole(tmp_path / "weights") as partial:
            private(partial)
        with files.whole_folder(tmp_path / "adapter") as staging:
            private(staging / "weights")
        with files.whole_folder(tmp_path / "adapter") as staging:  # now into a folder with files
            private(staging / "weights")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    for name in ("weights", "adapter/weights"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
