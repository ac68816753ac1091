"""The rule that a study selects λ by: what it marks in tables, what it needs, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import helpers
import made_up
import test_choices
from langarith import merging
from langarith.data import streams
from langarith.errors import InputError
from langarith.evaluation import raw_text, rules_of_study, selection
from langarith.evaluation.merge_files import MergeFiles
from langarith.models import encoders, masking
from langarith.models.adapters import named_parameters, read_adapter, save_adapter
from langarith.planning import costs, disk, work
from langarith.results import choice_of_study, gains, intervals, sheets, tables
from langarith.results.caption import Beside
from langarith.study import experiments, loading, sources

ROOT = Path(__file__).parents[1]

cells = test_choices.cells  # a fixture


def study(folder: Path, text: str):
    path = folder / "mine.yaml"
    path.write_text(
        f"extends: {ROOT}/studies/miniature.yaml\nname: mine\nresults_dir: {folder}/r\n{text}"
    )
    return loading.load(path)


# ---------------------------------------------------------------- what a study may name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "selection: oracle",
            "selection: oracle uses test labels and is shown for comparison only",
        ),
        ("selection: left", "selection: left is one adapter and is shown for comparison only"),
        ("selection: right", "name one of validation, transfer, entropy, mlm, norm, fixed"),
        ("selection: entopy", "selection: there is no rule 'entopy' (did you mean 'entropy'?)"),
        (
            "experiments: {label_free: {rules: [entropy, mlm]}}",
            "experiments.label_free.rules: add validation",
        ),
        (
            "experiments: {label_free: {rules: [validation, ml, ml]}}",
            "experiments.label_free.rules: 'ml' is listed twice",
        ),
        (
            "selection: transfer\nexperiments: {zero_shot: {}}\n"
            "tasks: {ner: {source: miniature, targets: [es], "
            "examples: {train: 9, validation: 9, test: 9}}}",
            "transfer cannot choose for es (ner, la, en+fr): no other target of the",
        ),
        (
            "selection: norm\nlambdas: {la: {step: 0.5}, ties20: {step: 0.5}}\n"
            "experiments: {ties: {}}",
            "experiments.ties: norm cannot choose for",
        ),
    ],
)
def test_rules_that_cannot_choose_are_refused_in_a_sentence(tmp_path, text, sentence) -> None:
    mine = study(tmp_path, text)
    assert any(sentence in problem for problem in rules_of_study.problems(mine)), [
        *rules_of_study.problems(mine)
    ]
    with pytest.raises(InputError, match=r"mine.yaml: "):
        rules_of_study.refuse_unfit(mine, "mine.yaml")


@pytest.mark.parametrize("rule", ["validation", "transfer", "entropy", "norm", "fixed", "mlm"])
def test_each_rule_that_chooses_in_earnest_may_be_named(tmp_path, rule) -> None:
    text = f"selection: {rule}\nexperiments: {{zero_shot: {{}}, enhancement: {{}}}}"
    assert list(rules_of_study.problems(study(tmp_path, text))) == []


def test_losses_are_computed_only_where_a_study_asks(tmp_path) -> None:
    plain = study(tmp_path, "experiments: {zero_shot: {}, label_free: {}, ties: {}}")
    assert rules_of_study.cells_with_losses(plain) == []
    assert "mlm" not in rules_of_study.compared_rules(plain)
    asked = study(tmp_path, "experiments: {ties: {}, label_free: {rules: [validation, mlm]}}")
    found = rules_of_study.cells_with_losses(asked)
    # once for all tasks, of the experiment that asks alone
    merges = {
        (c.model, c.target, c.operands, c.seed) for c in experiments.cells(asked, "label_free")
    }
    assert len(found) == len(merges) < len(experiments.cells(asked, "label_free"))
    assert {c.method for c in found} == {"la"}
    everywhere = study(tmp_path, "selection: mlm\nexperiments: {ties: {}, label_free: {}}")
    assert {c.method for c in rules_of_study.cells_with_losses(everywhere)} > {"la"}
    assert rules_of_study.compared_rules(everywhere) == selection.names()


def test_other_targets_have_the_like_in_the_place_of_a_cell(tmp_path) -> None:
    mine = study(tmp_path, "experiments: {zero_shot: {}, enhancement: {}}")
    near = mine.related
    for cell, others in rules_of_study.others(mine).items():
        assert others
        for other in others:
            assert (cell.task, cell.method, cell.seed) == (other.task, other.method, other.seed)
            assert cell.target != other.target
            related = cell.left.language == near[cell.target]
            assert related == (other.left.language == near[other.target])
            own = cell.right.language == cell.target
            assert own == (other.right.language == other.target)
    assert selection.role("en+fr@10k", "fr", "en", "es") == "en+target@10k"
    assert selection.role("es+fr", "fr", "en", "es") == "related+target"
    assert selection.role("de+fr", "fr", "en", "es") == "de+target"


# ---------------------------------------------------------------- what it marks


def chosen_by(cells, rule: str, losses=()) -> list[dict]:
    swept = choice_of_study.read_swept(cells, losses)
    return choice_of_study.rows("zero_shot", rule, swept, [], "en", {"es": "fr", "de": "fr"})


def test_tables_mark_the_choice_of_the_studys_rule(cells, tmp_path) -> None:
    path = tmp_path / "zero_shot_chosen.csv"
    tables.write(chosen_by(cells, "entropy"), path, choice_of_study.COLUMNS)
    extra = {
        "left": "en",
        "right": "fr",
        "references": {},
        "examples": {"validation": 80, "test": 80},
    }
    files = []
    for i, cell in enumerate(cells):
        files.append(tmp_path / f"{i}.json")
        files[-1].write_text(json.dumps(cell | extra | {"selected": 0.0}))
    for found, point in ((tables.chosen(path), 1.0), (None, 0.0)):
        rows = pd.DataFrame(tables.rows("zero_shot", files, [], (), found))
        marked = rows[rows["selected"]]
        assert set(marked["lambda"]) == {point}
        assert len(marked) == 2 * len(cells)  # on both splits


def test_labels_of_the_targets_validation_move_no_choice_by_losses(cells) -> None:
    losses = [
        {name: cell[name] for name in ("model", "target", "method", "operands", "seed")}
        | {"losses": [{"lambda": p, "loss": 3.0 + p} for p in (1.0, 0.0, 0.5)]}
        for cell in cells
    ]
    before = chosen_by(cells, "mlm", losses)
    rng = np.random.default_rng(3)
    for cell in cells:
        for entry in cell["validation"]:
            entry["metrics"] = {"accuracy": float(rng.uniform(0, 100))}
    assert chosen_by(cells, "mlm", losses) == before
    assert {row["lambda"] for row in before} == {0.0}
    with pytest.raises(InputError, match="mlm cannot choose in tiny/nli/es/la/en"):
        chosen_by(cells, "mlm")


def test_gains_name_the_studys_rule_and_tables_find_their_intervals() -> None:
    table = pd.DataFrame(
        made_up.cell("es", "en+fr", 1, {0.0: 40.0, 0.5: 49.0, 1.0: 43.0}, chosen=0.5)
    )
    table["point"] = ["" if pd.isna(x) else f"{x:.2f}" for x in table["lambda"]]
    found = gains.gains("zero_shot", table, "en", "entropy")
    assert [gain.over for gain in found] == ["better proxy", "chosen proxy"]
    assert {gain.rule for gain in found} == {"entropy"}
    names = {"model": "tiny", "task": "ner", "target": "es", "over": "better proxy", "method": "la"}
    row = names | {"budget": "full", "rule": "entropy", "low": 1.0, "high": 8.0}
    ends = intervals.intervals([pd.DataFrame([row])])
    caption = replace(made_up.CAPTION, seeds=[1], choice="λ was chosen so.")
    sheet = sheets.zero_shot(table, caption, Beside(intervals=ends))[0]
    assert "λ was chosen so." in sheet.note
    assert sheet.rows[0][-2].interval == (1.0, 8.0)


# ---------------------------------------------------------------- the losses


def test_losses_equal_an_independent_computation(base, tmp_path, tiny_tokenizer) -> None:
    """At λ = 0.25, adapters merged by hand and every row predicted whole, masks drawn again."""
    folders = []
    for seed, name in ((1, "en"), (2, "fr")):
        model = encoders.load_masked_lm(base)
        helpers.add_adapter(model, name, seed)
        folders.append(tmp_path / name)
        save_adapter(model, name, folders[-1], with_head=False)
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = np.random.default_rng(0).choice(helpers.WORDS, (30, 20))
    documents = [" ".join(row) for row in words][:12]  # there is no text after the held-out
    tokens = tmp_path / "shard.arrow"
    streams.tokenize_documents(documents, tiny_tokenizer, tokens)
    names = {"model": "tiny", "target": "es", "method": "la", "operands": "en+fr", "seed": "1"}
    raw_text.run(
        names,
        merging.get("la"),
        (0.0, 0.25, 1.0),
        "grid",
        tmp_path / "out",
        encoder=base,
        tokenizer=tmp_path / "tokenizer",
        merge_files=MergeFiles(folders),
        tokens=[tokens],
        reading={"validation_documents": 12, "chunk_length": 16, "mask_probability": 0.3},
        batches={"tokens_per_batch": 64, "precision": "fp32"},
    )
    written = json.loads((tmp_path / "out/losses.json").read_text())
    found = {entry["lambda"]: entry["loss"] for entry in written["losses"]}
    assert list(found) == [0.0, 0.25, 1.0]
    assert len(set(found.values())) == 3

    flat = [i for text in documents[:12] for i in tiny_tokenizer(text)["input_ids"]]
    rows = torch.tensor(flat[: len(flat) // 16 * 16]).reshape(-1, 16)
    assert written["tokens"] == rows.numel()
    torch.manual_seed(masking.MASK_SEED)
    masks = masking.MaskTokens(tiny_tokenizer, mlm_probability=0.3).mask(rows)
    left, right = map(read_adapter, folders)
    helpers.add_adapter(model, "merged", 3)
    model.set_active_adapters("merged")
    with torch.no_grad():
        for name, parameter in named_parameters(model, "merged").items():
            parameter.copy_(0.25 * left[name] + 0.75 * right[name])
        model.eval()
        logits = model(input_ids=masks["input_ids"]).logits
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), masks["labels"].flatten())
    assert found[0.25] == pytest.approx(float(expected), rel=1e-5)


def test_held_out_documents_that_fill_a_shard_need_no_other(tmp_path) -> None:
    corpora = "corpora: {{source: miniature, documents: 40, shards: 2, validation_documents: {}}}"
    one = study(tmp_path, corpora.format(20))
    assert len(sources.held_out_shards(one, "es")) == 1
    two = study(tmp_path, corpora.format(21))
    assert len(sources.held_out_shards(two, "es")) == 2


def test_losses_are_in_the_cost_model_and_the_plan(tmp_path) -> None:
    asked = study(tmp_path, "experiments: {label_free: {rules: [validation, mlm]}}")
    cell = rules_of_study.cells_with_losses(asked)[0]
    path = f"{tmp_path}/r/masked_lm/tiny/{cell.target}/la/en+{cell.right}/seed1/provenance.json"
    planned = work.Counter(asked).planned("score_masked_lm", path)
    need = costs.Needs(asked).masked_lm(cell.model, cell.target, "la", 2)
    assert planned.operations == pytest.approx(need.seconds * costs.RATE)
    width = costs.shape(asked, cell.model)[1]
    factor = asked.adapters.language.reduction_factor
    assert planned.case.bottlenecks == (int(width / factor),)  # no task adapter
    longer = study(
        tmp_path,
        "experiments: {label_free: {rules: [validation, mlm]}}\nlambdas: {la: {step: 0.05}}",
    )
    points = len(asked.lambdas["la"].values())
    more = costs.Needs(longer).masked_lm(cell.model, cell.target, "la", 2)
    assert more.seconds == pytest.approx(need.seconds * 21 / points)
    written = disk.needed(asked)[Path(asked.results_dir)]
    assert written["masked-LM losses"] == disk.LOSSES * len(rules_of_study.cells_with_losses(asked))
