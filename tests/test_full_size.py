"""XLM-R base and mBERT at their full size, with random weights: adapters of both, sweeps of XLM-R.

Nothing is learned here: one step on a handful of words. What it shows is that the workflow runs at
the paper's sizes, vocabularies of 250,002 and 119,547 pieces included, and in how much memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from workspace import copy_project, run

pytestmark = pytest.mark.slow

WORDS = [f"word{i}" for i in range(200)]
STUDY = {
    "name": "full-size",
    "results_dir": "results/full-size",
    "languages": ["en", "es", "fr"],
    "task_language": "en",
    "seeds": [1],
    "models": {name: {"source": "files", "path": f"data/{name}"} for name in ("xlm-r", "mbert")},
    "corpora": {"source": "files", "path": "data/raw/{language}.txt", "validation_documents": 2},
    "tasks": {
        "qa": {
            "source": "files",
            "train": "data/qa/{language}/train.json",
            "validation": "data/qa/{language}/validation.json",
            "test": "data/qa/{language}/test.json",
            "targets": ["fr"],
            "max_length": 32,
            "stride": 4,
        }
    },
    "related": {"fr": "es"},
    "lambdas": {"la": {"start": 0, "stop": 1, "step": 0.5}},
    "training": {
        "language_adapter": {"steps": 1, "batch_size": 1, "learning_rate": 1.0e-4,
                             "chunk_length": 32, "evaluate_every": 1},
        "task_adapter": {"epochs": 1, "batch_size": 2, "learning_rate": 1.0e-4},
    },
    "evaluation": {"tokens_per_batch": 128},
    "experiments": {"zero_shot": {"models": ["xlm-r"]},
                    "similarity": {"models": ["mbert"], "languages": ["en", "es"]}},
}  # fmt: skip


def pieces(specials: Sequence[str], size: int) -> dict[str, int]:
    """A vocabulary of the real size whose first words are those of the test."""
    names = [*specials, *WORDS]
    names += [f"piece{i}" for i in range(size - len(names))]
    return {name: i for i, name in enumerate(names)}


def write_xlm_r(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaTokenizerFast

    vocabulary = pieces(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], 250_002)
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0))
    XLMRobertaTokenizerFast(tokenizer_object=raw).save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    XLMRobertaForMaskedLM(config).save_pretrained(folder)


def write_mbert(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    vocabulary = pieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], 119_547)
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=False)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(sep=("[SEP]", 3), cls=("[CLS]", 2))
    BertTokenizerFast(tokenizer_object=raw, do_lower_case=False).save_pretrained(folder)
    BertForMaskedLM(BertConfig(vocab_size=119_547)).save_pretrained(folder)


def write_data(folder: Path) -> None:
    (folder / "raw").mkdir(parents=True)
    for at, language in enumerate(("en", "es", "fr")):
        lines = [" ".join(WORDS[(at + i) % 100 :][:40]) for i in range(6)]
        (folder / "raw" / f"{language}.txt").write_text("\n".join(lines) + "\n")
    context = " ".join(WORDS[:16])
    answer = {"text": "word3 word4", "answer_start": context.index("word3")}
    for language in ("en", "fr"):
        (folder / f"qa/{language}").mkdir(parents=True)
        for split in ("train", "validation", "test"):
            qas = [
                {"id": f"{language}-{split}-{i}", "question": f"word{i}", "answers": [answer]}
                for i in range(4)
            ]
            paragraphs = {"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}
            (folder / f"qa/{language}/{split}.json").write_text(json.dumps(paragraphs))


def test_both_base_models_run_at_full_size(root: Path, tmp_path: Path) -> None:
    project = copy_project(root, tmp_path / "project")
    write_data(project / "data")
    # in processes of their own, whose memory is given back
    for model in ("xlm_r", "mbert"):
        code = f"import sys; sys.path.insert(0, {str(root / 'tests')!r})\n"
        code += f"import test_full_size as t; from pathlib import Path\nt.write_{model}("
        code += f"Path({str(project / 'data' / model.replace('_', '-'))!r}))"
        subprocess.run([sys.executable, "-c", code], check=True)
    (project / "studies/full_size.yaml").write_text(yaml.safe_dump(STUDY))
    targets = ("zero_shot", "similarity")
    run(project, *targets, "--cores", "2", "--configfile", "studies/full_size.yaml")

    records: list[dict[str, Any]] = [
        json.loads(path.read_text())
        for path in (project / "results/full-size").rglob("*provenance.json")
    ]
    assert {record["rule"] for record in records} == {
        "check_task_data", "tokenize_shard", "initialise_adapters", "train_language_adapter",
        "train_task_adapter", "sweep_la", "tabulate", "estimate_gains",
        "estimate_choices", "compare_vectors", "format_table", "draw_figure",
    }  # fmt: skip
    for model, parameters in (("xlm-r", 278e6), ("mbert", 178e6)):
        weights = 4 * parameters / 2**20
        peaks = {
            record["rule"]: record["peak_memory_mb"]
            for record in records
            if record["wildcards"].get("model") == model and record["rule"] != "tokenize_shard"
        }
        print(model, peaks)
        # all weights were there, and less than three times as much at any moment
        assert all(weights < peak < 3 * weights + 1000 for peak in peaks.values()), peaks
    selected = project / "results/full-size/evaluation/xlm-r/qa/fr/la/en+es/seed1/selected.json"
    assert len(json.loads(selected.read_text())["validation"]) == 3
