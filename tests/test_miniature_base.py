"""The base model of the miniature study, in the repository, and the study that makes it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from langarith.data import miniature
from langarith.models import encoders
from langarith.study import loading, schema
from workspace import copy_project, planned_jobs

FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def study(root: Path) -> schema.Study:
    return loading.load(root / "studies/miniature.yaml")


@pytest.fixture(scope="module")
def base_study(root: Path) -> schema.Study:
    return loading.load(root / "studies/miniature_base.yaml")


@pytest.fixture(scope="module")
def folder(root: Path, study: schema.Study) -> Path:
    return root / study.models["tiny"].path


@pytest.fixture(scope="module")
def provenance(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))


def test_the_files_are_those_of_the_provenance_file(folder, provenance):
    assert set(provenance["sha256"]) == FILES
    for name, digest in provenance["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert {path.name for path in folder.iterdir()} == FILES | {"provenance.json", "README.md"}
    assert sum((folder / name).stat().st_size for name in FILES) < 6_000_000


def test_the_model_is_what_its_study_asks_for(folder, base_study, provenance):
    spec = base_study.models["tiny"]
    model, tokenizer = encoders.load_masked_lm(folder), encoders.load_tokenizer(folder)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers) == (spec.hidden_size, spec.layers)
    assert config.num_attention_heads == spec.attention_heads
    assert config.intermediate_size == spec.intermediate_size
    assert config.max_position_embeddings == spec.max_length + 2
    assert config.vocab_size == len(tokenizer) == spec.vocabulary
    embeddings = model.get_input_embeddings().weight
    assert tuple(embeddings.shape) == (spec.vocabulary, spec.hidden_size)
    assert provenance["parameters"] == sum(p.numel() for p in model.parameters())
    assert provenance["seed"] == spec.seed
    assert provenance["study"] == "studies/miniature_base.yaml"


def test_the_tokenizer_covers_every_language_of_the_study(folder, study, tmp_path):
    tokenizer = encoders.load_tokenizer(folder)
    for language in study.languages:
        path = tmp_path / f"{language}.parquet"
        miniature.write_corpus(language, [path], documents=20)
        text = " ".join(pq.read_table(path).column("text").to_pylist())
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids, language
        assert len(ids) < 3 * len(text.split()), language


def test_adapters_are_trained_on_other_text_than_the_base(study, base_study, tmp_path):
    texts = []
    for corpora in (study.corpora, base_study.corpora):
        path = tmp_path / f"{corpora.seed}.parquet"
        keys = corpora.model_dump(include={"seed", "restated", "translations", "mixed"})
        keys["translations"] = [code for code in keys["translations"] if code != "en"]
        miniature.write_corpus("en", [path], documents=500, **keys)
        texts.append(set(pq.read_table(path).column("text").to_pylist()))
    assert not texts[0] & texts[1]


@pytest.mark.slow
def test_a_dry_run_plans_the_job_that_trains_it(root, base_study, tmp_path):
    project = copy_project(root, tmp_path / "project")
    target = f"{base_study.results_dir}/models/tiny/encoder/model.safetensors"
    options = ("--profile", "profiles/local", "--configfile", "studies/miniature_base.yaml")
    languages = len(base_study.models["tiny"].languages)
    assert planned_jobs(project, target, *options) == Counter(
        pretrain_model=1,
        train_tokenizer=1,
        write_miniature_corpus=languages,
        tokenize_shard=languages,
    )
