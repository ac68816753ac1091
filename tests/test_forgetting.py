"""Subtracted language vectors and analogies: studies, losses, tables, gains, figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

import helpers
import made_up
from langarith import merging
from langarith.audit import explain_file
from langarith.data import streams
from langarith.errors import InputError
from langarith.evaluation import outcomes, raw_text, rules_of_study
from langarith.evaluation.merge_files import MergeFiles
from langarith.files import write_json
from langarith.layout import Run
from langarith.models import encoders, masking
from langarith.models.adapters import named_parameters, read_adapter, save_adapter
from langarith.planning import costs, disk, work
from langarith.results import (
    analogy,
    estimates,
    figures,
    forgetting,
    gains,
    intervals,
    sheets,
    tables,
)
from langarith.results.caption import Beside
from langarith.study import experiments, grid, loading

ROOT = Path(__file__).parents[1]
QUADRUPLE = "{target: bg, a: es, b: fr, c: ru}"


def study(folder: Path, text: str):
    path = folder / "mine.yaml"
    path.write_text(
        f"extends: {ROOT}/studies/miniature.yaml\nname: mine\nresults_dir: {folder}/r\n"
        f"seeds: [1, 2]\n{text}"
    )
    return loading.load(path)


def analogies(*quadruples: str, keys: str = "tasks: [ner], ") -> str:
    return f"experiments: {{analogy: {{{keys}quadruples: [{', '.join(quadruples)}]}}}}"


# ---------------------------------------------------------------- studies


def test_each_language_is_subtracted_for_its_own_score_and_for_every_text(tmp_path) -> None:
    mine = study(tmp_path, "experiments: {forgetting: {languages: [en, es, ru], tasks: [ner]}}")
    cells = experiments.cells(mine, "forgetting")
    # the task language is no target
    assert {(c.task, c.target, c.method, *map(str, c.operands)) for c in cells} == {
        ("ner", language, "negation", language) for language in ("es", "ru")
    }
    texts = experiments.texts(mine, "forgetting")
    assert len(texts) == 3 * 3 * 2 == len(set(texts))
    assert {(str(c.left), c.target) for c in texts} == {
        (a, b) for a in ("en", "es", "ru") for b in ("en", "es", "ru")
    }
    assert {run for run in experiments.runs(mine, "forgetting") if run.seed == 1} == {
        *(Run("tiny", "language", language, 1) for language in ("en", "es", "ru")),
        Run("tiny", "task", "ner", 1),
    }
    assert experiments.languages_of(mine, "forgetting") == ["en", "es", "ru"]
    # λ where the study gives none, and θ_pre in any case
    assert grid.search(mine, "negation", 1).first == ((0.0,), (0.5,), (1.0,))
    every = study(tmp_path, "experiments: {forgetting: {}}")
    assert len(experiments.texts(every, "forgetting")) == len(every.languages) ** 2 * 2
    own = study(
        tmp_path,
        "experiments: {forgetting: {}}\n"
        "lambdas: {la: {step: 0.5}, negation: {start: 0.3, stop: 0.6, step: 0.3}}",
    )
    assert grid.search(own, "negation", 1).first == ((0.0,), (0.3,), (0.6,))


def test_losses_of_texts_are_in_the_cost_model_and_the_plan(tmp_path) -> None:
    mine = study(tmp_path, "experiments: {forgetting: {languages: [es, ru], tasks: [ner]}}")
    found = rules_of_study.cells_with_losses(mine)
    assert found == experiments.texts(mine, "forgetting")
    written = disk.needed(mine)[Path(mine.results_dir)]
    assert written["masked-LM losses"] == disk.LOSSES * 2 * 2 * 2
    path = f"{tmp_path}/r/masked_lm/tiny/ru/negation/es/seed1/provenance.json"
    planned = work.Counter(mine).planned("score_masked_lm", path)
    need = costs.Needs(mine).masked_lm("tiny", "ru", "negation", 1)
    assert planned.operations == pytest.approx(need.seconds * costs.RATE)
    # a study without it has none, and plans no sweep of its method
    other = study(tmp_path, "experiments: {ties: {}}")
    assert experiments.texts(other, "forgetting") == [] == rules_of_study.cells_with_losses(other)
    assert "negation" not in other.lambdas


def test_an_analogy_is_compared_with_both_proxies(tmp_path) -> None:
    mine = study(tmp_path, analogies(QUADRUPLE, "{target: de, a: es, b: fr, c: en}"))
    cells = experiments.cells(mine, "analogy")
    assert {(c.target, c.method, "+".join(map(str, c.operands))) for c in cells} == {
        ("bg", "analogy", "es+fr+ru"),
        ("bg", "la", "en+ru"),
        ("de", "analogy", "es+fr+en"),
    }
    assert grid.search(mine, "analogy", 3).first == ((1.0,),)
    assert ("analogy", 3) in experiments.sweeps(mine)
    assert {str(o) for c in cells for o in c.operands} == {"en", "es", "fr", "ru"}


def test_methods_of_other_numbers_of_operands_are_not_compared_on_pairs(tmp_path) -> None:
    mine = study(
        tmp_path,
        "lambdas: {la: {step: 0.5}, negation: {step: 0.5}, analogy: {step: 0.5}, "
        "ties20: {step: 0.5}}\nexperiments: {methods: {}}",
    )
    assert grid.other_methods(mine) == ["ties20"]
    assert experiments.sweeps(mine) == [("la", 2), ("negation", 1), ("analogy", 3), ("ties20", 2)]
    assert not {"negation", "analogy"} & set(merging.of_pairs())


REFUSED = [
    ("experiments: {analogy: {}}", "quadruples is missing; list analogies, for example"),
    (analogies("{target: bg, a: es, b: fr, c: rru}"), "quadruple 1: language 'rru' is not in"),
    (analogies("{target: bgg, a: es, b: fr, c: ru}"), "(did you mean 'bg'?)"),
    (analogies("{target: bg, a: es, b: es, c: ru}"), "a, b and c are es, es and ru; name three"),
    (analogies("{target: bg, a: es, b: bg, c: ru}"), "the target bg is also an operand"),
    (analogies("{target: en, a: es, b: fr, c: ru}"), "en is the task language; name a target"),
    (
        analogies(QUADRUPLE, keys="tasks: [nli], "),
        "quadruple 1: bg is not evaluated; name a target that the tasks of the experiment have",
    ),
    (analogies(QUADRUPLE, QUADRUPLE), "target 'bg' has 2 quadruples; keep one of them"),
    (analogies("{target: bg, a: es, b: fr}"), ".c is missing; add it"),
    (analogies(QUADRUPLE, keys="pool: [es, fr], "), "analogy has no such key; remove it"),
    ("experiments: {forgetting: {languages: [en]}}", "none of its languages is a target of its"),
    ("experiments: {forgetting: {languages: [es, ess]}}", "did you mean 'es'?"),
    ("experiments: {forgetting: {targets: [es]}}", "forgetting has no such key; remove it"),
    (
        "experiments: {forgetting: {}}\n"
        "lambdas: {la: {step: 0.5}, negation: {start: 0, stop: 0, step: 1}}",
        "lambdas.negation: λ = 0 subtracts nothing",
    ),
    (
        "experiments: {forgetting: {}}\n"
        "lambdas: {la: {step: 0.5}, negation: {start: 0, stop: 1, step: 0.1, search: refine}}",
        "lambdas.negation.search: every λ of the grid is shown, and none is searched; remove it",
    ),
    (
        "experiments: {forgetting: {languages: [es, tr], tasks: [nli]}}\n"
        "corpora: {source: files, path: 'text/{language}.txt'}",
        "matches no file for language 'tr'",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=[s[:40] for _, s in REFUSED])
def test_what_cannot_be_computed_is_refused_in_a_sentence(tmp_path, text, sentence) -> None:
    with pytest.raises(InputError) as error:
        study(tmp_path, text)
    lines = str(error.value).splitlines()
    assert [line for line in lines if sentence in line], lines
    assert all(line.startswith(f"{tmp_path}/mine.yaml: ") for line in lines)


def test_an_adapter_of_an_unknown_initialisation_is_not_subtracted(tmp_path) -> None:
    """Of a language that is no target, too: its vector is needed for the texts."""
    models = made_up_models(tmp_path)
    text = f"{models}\nexperiments: {{forgetting: {{languages: [en, es], tasks: [ner]}}}}"
    with pytest.raises(InputError, match=r"forgetting: it subtracts the initialisation") as error:
        study(tmp_path, text)
    assert "models.tiny.adapters.en was trained elsewhere" in str(error.value)


def made_up_models(folder: Path) -> str:
    """The miniature's model with an adapter of English from elsewhere."""
    for name in ("adapter.safetensors", "adapter_config.json"):
        (folder / name).write_text("{}")
    model = loading.read_yaml(ROOT / "studies/miniature.yaml")["models"]["tiny"]
    return f"models: {json.dumps({'tiny': model | {'adapters': {'en': str(folder)}}})}"


# ---------------------------------------------------------------- losses


def test_losses_equal_those_of_the_model_itself(base, tmp_path, tiny_tokenizer) -> None:
    """At λ = 0.5 the vector is subtracted by hand, and every row predicted whole."""
    folders = []
    for seed, name in ((1, "initial"), (2, "fr")):
        model = encoders.load_masked_lm(base)
        helpers.add_adapter(model, name, seed)
        folders.append(tmp_path / name)
        save_adapter(model, name, folders[-1], with_head=False)
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = np.random.default_rng(0).choice(helpers.WORDS, (9, 20))
    documents = [" ".join(row) for row in words]
    tokens = tmp_path / "shard.arrow"
    streams.tokenize_documents(documents, tiny_tokenizer, tokens)
    names = {"model": "tiny", "target": "es", "method": "negation", "operands": "fr", "seed": "1"}
    raw_text.run(
        names,
        merging.get("negation"),
        (0.5,),
        "grid",
        tmp_path / "out",
        encoder=base,
        tokenizer=tmp_path / "tokenizer",
        merge_files=MergeFiles(folders[1:], folders[0]),
        tokens=[tokens],
        reading={"validation_documents": 9, "chunk_length": 16, "mask_probability": 0.3},
        batches={"tokens_per_batch": 64, "precision": "fp32"},
    )
    written = json.loads((tmp_path / "out/losses.json").read_text())
    found = {entry["lambda"]: entry["loss"] for entry in written["losses"]}
    assert (written["left"], written["right"]) == ("fr", "fr")

    flat = [i for text in documents for i in tiny_tokenizer(text)["input_ids"]]
    rows = torch.tensor(flat[: len(flat) // 16 * 16]).reshape(-1, 16)
    torch.manual_seed(masking.MASK_SEED)
    masks = masking.MaskTokens(tiny_tokenizer, mlm_probability=0.3).mask(rows)
    start, trained = map(read_adapter, folders)
    expected = {}
    for weight in (0.0, 0.5):
        model = encoders.load_masked_lm(base)
        helpers.add_adapter(model, "negated", 3)
        model.set_active_adapters("negated")
        with torch.no_grad():
            for name, parameter in named_parameters(model, "negated").items():
                parameter.copy_(start[name] - weight * (trained[name] - start[name]))
            logits = model.eval()(input_ids=masks["input_ids"]).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), masks["labels"].flatten())
        expected[weight] = pytest.approx(float(loss), rel=1e-5)
    assert found == expected
    assert found[0.0] != pytest.approx(found[0.5], rel=1e-3)

    path = tmp_path / "forgetting.csv"
    tables.write(tables.rows("forgetting", [], [], losses=[tmp_path / "out/losses.json"]), path)
    table = tables.read(path)
    assert table["task"].tolist() == ["", ""] and table["examples"].eq(rows.numel()).all()
    change = forgetting.losses(table).set_index("lambda")["change"]
    assert change.to_dict() == {0.0: 0.0, 0.5: pytest.approx(found[0.5] - found[0.0])}


def test_the_row_of_a_loss_is_explained_by_its_own_job() -> None:
    def job(rule: str, **wildcards: str) -> SimpleNamespace:
        parameters = {"method": "negation"} if rule.startswith("sweep") else {}
        return SimpleNamespace(rule=rule, wildcards=wildcards, parameters=parameters)

    of_text = job("score_masked_lm", target="es", method="negation", operands="fr", seed="1")
    other = job("score_masked_lm", target="fr", method="negation", operands="fr", seed="1")
    swept = job("sweep_negation", task="ner", target="es", operands="es", seed="1")
    graph = SimpleNamespace(parents=lambda _: [of_text, other, swept])
    row = {"task": "", "target": "es", "method": "negation", "operands": "fr", "seed": "1"}
    row |= {"lambda": "0.5", "metric": "masked_lm_loss"}
    assert explain_file.parents_of_row(graph, None, row) == [of_text]
    row = {"task": "ner", "target": "es", "method": "negation", "operands": "es", "seed": "1"}
    assert explain_file.parents_of_row(graph, None, row | {"metric": "f1"}) == [swept]


# ---------------------------------------------------------------- what tables and figures show


def forgotten(missing: int = 0) -> pd.DataFrame:
    return made_up.forgotten(["en", "es", "fr"], "tiny", [1, 2], missing)


def test_changes_are_against_the_initialisation() -> None:
    table = forgotten()
    means = forgetting.changes(forgetting.losses(table))
    found = means.set_index(["lambda", "negated", "text"])["mean"]
    assert found[1.0, "es", "es"] == pytest.approx(1.1)
    assert found[0.5, "es", "en"] == pytest.approx(0.5)
    assert found[1.0, "en", "fr"] == pytest.approx(0.9)
    assert len(found) == 2 * 9
    scores = forgetting.scores(table)
    assert forgetting.weights(scores) == ["0.00", "0.50", "1.00"]
    assert scores.set_index(["target", "seed"])["0.50"].to_dict() == {
        (target, seed): 35.0 + 2 * seed for target in ("es", "fr") for seed in (1, 2)
    }
    assert forgetting.furthest(["-1.00", "0.00", "0.50", "1.00"]) == "1.00"


def test_what_is_lost_is_measured_at_the_lambda_furthest_from_0() -> None:
    found = gains.gains("forgetting", forgotten(), "en")
    assert [(g.target, g.over, g.rule, g.targets) for g in found] == [
        ("es", "initialisation", "", 2),
        ("fr", "initialisation", "", 2),
    ]
    assert found[0].merged.points == {1: (1.0,), 2: (1.0,)}
    assert found[0].others[0].points == {1: (0.0,), 2: (0.0,)}
    assert (found[0].merged.method, found[0].merged.operands) == ("negation", "es")


def test_the_table_of_forgetting_by_hand() -> None:
    ends = {("tiny", "ner", "es", "initialisation", "full", "", "negation"): (-12.0, -8.0)}
    made = sheets.SHEETS["forgetting"](forgotten(), made_up.CAPTION, Beside(intervals=ends))
    losses, scores = made
    assert losses.header == ("λ", "subtracted", "en", "es", "fr")
    lines = [[c if isinstance(c, str) else c.written() for c in row] for row in losses.rows]
    assert lines[0] == ["0.00", "none", "3.000", "3.000", "3.000"]
    assert lines[1] == ["0.50", "en", "+0.550", "+0.500", "+0.450"]
    assert lines[5] == ["1.00", "es", "+1.000", "+1.100", "+1.000"]
    es = scores.rows[0]
    written = [c if isinstance(c, str) else c.written() for c in es]
    assert written == ["es", "10", "43.00", "38.00", "33.00", "-10.00"]
    assert es[-1].brackets() == " [-12.00, -8.00]"
    assert "deviations at most 0.000" in losses.note


def test_a_missing_language_is_marked() -> None:
    table = made_up.forgotten(["es", "fr"], "tiny", [1], missing=2)
    scores = forgetting.scores(table)
    assert scores[scores["target"] == "es"][["0.00", "1.00"]].isna().all(axis=None)
    drawn = figures.DRAW["forgetting"](table, replace(made_up.CAPTION, seeds=[1]))
    shown = [t.get_text() for axis in drawn.axes for t in axis.texts]
    # two entries for each λ, and a row of dots
    assert shown.count("n/a") == 5 and "1 of 2 cells is missing" in drawn.get_label()
    plt.close(drawn)


def test_heatmaps_write_the_changes_and_mark_the_own_language() -> None:
    drawn = figures.DRAW["forgetting"](forgotten(), made_up.CAPTION)
    half, whole = drawn.axes[:2]
    assert [axis.get_title() for axis in (half, whole)] == ["λ = 0.50", "λ = 1.00"]
    rows = {"en": ["+1.10", "+1.00", "+0.90"], "es": ["+1.00", "+1.10", "+1.00"]}
    texts = [t.get_text() for t in whole.texts]
    assert texts[:6] == rows["en"] + rows["es"]
    assert {frame.get_xy() for frame in whole.patches} == {(0, 0), (1, 1), (2, 2)}
    (panel,) = [axis for axis in drawn.axes if axis.get_title("left") == "NER (F1, %)"]
    dots = {float(x) for line in panel.lines if line.get_marker() == "o" for x in line.get_xdata()}
    assert dots == {43.0, 38.0, 33.0}
    plt.close(drawn)


def of_analogy(operands: str = "fr+de+sw", third: float = 40.0) -> pd.DataFrame:
    """As a sweep leaves it: on validation λ = 1 alone, on test that of c as well."""
    cells = [
        made_up.cell(
            "es",
            operands,
            s,
            {0.0: third, 1.0: 46.0 + s},
            chosen=1.0,
            validation={1.0: 50.0},
            method="analogy",
        )
        for s in (1, 2)
    ]
    if not operands.endswith("+en"):
        cells += [
            made_up.cell("es", "en+sw", s, {0.0: third, 0.5: 99.0, 1.0: 42.0}, chosen=0.5)
            for s in (1, 2)
        ]
    return made_up.table(cells)


def test_an_analogy_is_compared_with_the_better_of_both_adapters() -> None:
    found = analogy.scores(of_analogy(), "en")
    assert found[["task_language", "c_alone", "merged"]].to_numpy().tolist() == [
        [42.0, 40.0, 47.0],
        [42.0, 40.0, 48.0],
    ]
    (gain,) = gains.gains("analogy", of_analogy(), "en")
    assert (gain.merged.operands, gain.merged.points) == ("fr+de+sw", {1: (1.0,), 2: (1.0,)})
    third, source = gain.others
    assert (third.method, third.operands, third.points[1]) == ("analogy", "fr+de+sw", (0.0,))
    assert (source.method, source.operands, source.points[1]) == ("la", "en+sw", (1.0,))
    assert gain.rule == ""  # λ = 1 is no choice
    place = intervals.key("tiny", "ner", "es", "better proxy", method="analogy")
    beside = Beside(intervals={place: (1.5, 9.5)})
    (sheet,) = sheets.SHEETS["analogy"](of_analogy(), made_up.CAPTION, beside)
    cells = [c if isinstance(c, str) else c.written() + c.brackets() for c in sheet.rows[0]]
    assert cells == [
        "es", "sw + de − fr", "10", "42.00", "40.00", "47.50", "1.00", "+5.50 [+1.50, +9.50]"
    ]  # fmt: skip
    drawn = figures.DRAW["analogy"](of_analogy(), made_up.CAPTION, beside)
    assert [t.get_text() for t in drawn.axes[0].get_yticklabels()] == ["es = sw + de − fr"]
    assert [t.get_text() for t in drawn.axes[0].texts] == ["+5.5 [+1.5, +9.5]"]
    plt.close(drawn)


def test_from_the_task_language_there_is_one_proxy() -> None:
    table = of_analogy("fr+de+en")
    assert analogy.scores(table, "en")["task_language"].tolist() == [40.0, 40.0]
    (gain,) = gains.gains("analogy", table, "en")
    assert [(s.method, s.points[2]) for s in gain.others] == [("analogy", (0.0,))] * 2


def test_averages_go_over_analogies_with_one_and_with_two_proxies(tmp_path) -> None:
    """de with c = sw has two proxies, es with c = en one: both are in the average."""
    grid_ = {0.0: 40.0, 1.0: 46.0}
    rows = [
        made_up.cell("de", "fr+es+sw", 1, grid_, chosen=1.0, method="analogy"),
        made_up.cell("de", "en+sw", 1, {0.0: 40.0, 1.0: 42.0}, chosen=1.0),
        made_up.cell("es", "fr+de+en", 1, grid_, chosen=1.0, method="analogy"),
    ]
    found = gains.gains("analogy", made_up.table(rows), "en")
    paths = {}
    for target, method, operands, curve in (
        ("de", "analogy", "fr+es+sw", {0.0: 4, 1.0: 7}),
        ("de", "la", "en+sw", {0.0: 4, 1.0: 5}),
        ("es", "analogy", "fr+de+en", {0.0: 4, 1.0: 7}),
    ):
        path = tmp_path / target / method / "outcomes.parquet"
        path.parent.mkdir(parents=True)
        counts = {(w,): {"correct": np.arange(10) < right} for w, right in curve.items()}
        outcomes.write(path, {"validation": counts, "test": counts})
        paths["tiny", "ner", target, method, operands, "1"] = path
    table = estimates.estimate("analogy", found, paths, {"ner": "nli"}).set_index("target")
    assert table["gain"].to_dict() == pytest.approx({"de": 20.0, "es": 30.0, "avg.": 25.0})


def test_without_a_finished_cell_there_is_no_gain_of_forgetting() -> None:
    assert (
        gains.gains(
            "forgetting", made_up.table([made_up.gone("es", "es", 1, method="negation")]), "en"
        )
        == []
    )


def test_one_heatmap_shows_the_lambda_of_the_gains() -> None:
    languages = ("en", "es", "fr", "de", "ru", "bg", "tr", "el", "sw")
    table = made_up.forgotten(languages, "tiny", [1], weights=(-1.0, 0.0, 1.0))
    caption = replace(made_up.CAPTION, seeds=[1], languages=list(languages))
    drawn = figures.DRAW["forgetting"](table, caption)
    assert [title for axis in drawn.axes if (title := axis.get_title())] == ["λ = 1.00"]
    assert {gain.merged.points[1] for gain in gains.gains("forgetting", table, "en")} == {(1.0,)}
    plt.close(drawn)


def test_a_scale_that_validation_chose_is_stated(tmp_path) -> None:
    grid_ = {0.0: 40.0, 0.5: 48.0, 1.0: 46.0}
    table = made_up.table(
        [made_up.cell("es", "fr+de+en", s, grid_, chosen=0.5, method="analogy") for s in (1, 2)]
    )
    (gain,) = gains.gains("analogy", table, "en")
    assert gain.rule == "validation" and gain.merged.points == {1: (0.5,), 2: (0.5,)}


def test_tables_hold_scores_and_losses(tmp_path) -> None:
    cell = made_up.selected("es", "es", 1, {0.0: 40.0, 1.0: 30.0}, chosen=0.0, method="negation")
    write_json(tmp_path / "selected.json", cell)
    losses = {"model": "tiny", "target": "fr", "method": "negation", "operands": "es", "seed": "1"}
    losses |= {"left": "es", "right": "es", "tokens": 320}
    losses |= {"losses": [{"lambda": 0.0, "loss": 3.25}, {"lambda": 1.0, "loss": 4.5}]}
    write_json(tmp_path / "losses.json", losses)
    rows = tables.rows(
        "forgetting", [tmp_path / "selected.json"], [], losses=[tmp_path / "losses.json"]
    )
    tables.write(rows, tmp_path / "table.csv")
    table = tables.read(tmp_path / "table.csv")
    assert forgetting.losses(table)["change"].tolist() == [0.0, 1.25]
    assert forgetting.scores(table)[["0.00", "1.00"]].to_numpy().tolist() == [[40.0, 30.0]]
