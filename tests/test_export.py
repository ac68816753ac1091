"""A merged adapter leaves the project: plain `adapters` loads it and gets the recorded score."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file

import helpers
import made_up
from langarith import cli, merging
from langarith.adapter_format import ADAPTER_FILES
from langarith.audit import lineage
from langarith.errors import InputError
from langarith.evaluation.merge_files import MergeFiles
from langarith.evaluation.sweep import run_cell
from langarith.models import encoders
from langarith.models.adapters import read_adapter, save_adapter, task_config
from langarith.operands import Operand, parse_point, point_text
from langarith.publishing import export, scores

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 1.0)
LANGUAGE = "results/adapters/tiny/language/{}@full/seed1"
TASK = "results/adapters/tiny/task/ner/seed1"
CELL = "results/evaluation/tiny/ner/es/{}/{}/seed1"
MERGES = [
    ("la", "en+fr"),
    ("ties20", "en+fr"),
    ("slerp", "en+fr"),
    ("la", "en+fr+de"),
    ("dare50", "en+fr"),
    ("layers", "en+fr"),
    ("fisher", "en+fr"),
]
CELLS = {merge: CELL.format(*merge) for merge in [*MERGES, ("outputs", "en+fr")]}
FISHER = "results/fisher/tiny/{}@full/seed1/fisher.safetensors"


def sentences(seed: int) -> str:
    """CoNLL with tags that follow from the words, so that random weights hit some."""
    generator = torch.Generator().manual_seed(seed)
    lines = []
    for _ in range(40):
        for word in torch.randint(0, 290, (12,), generator=generator).tolist():
            lines.append(f"w{word}\t{('O', 'B-LOC', 'B-PER')[word % 3]}")
        lines.append("")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def study(base, tmp_path_factory) -> Path:
    """A study of random adapters with real sweeps of en and fr, by both methods."""
    folder = tmp_path_factory.mktemp("study")
    before = Path.cwd()
    os.chdir(folder)
    Path("results").mkdir()
    spec = {"source": "files", "path": str(base)}
    output = {"name": "little", "results_dir": "results", "models": {"tiny": spec}}
    Path("results/study.json").write_text(json.dumps(output))
    helpers.make_tokenizer().save_pretrained("tokenizer")
    model = encoders.load_encoder(base)

    def save(name: str, place: str, init: int, rule: str, inputs=(), **names: str) -> None:
        helpers.add_adapter(model, name, init)
        save_adapter(model, name, Path(place), with_head=False)
        record = f"{place}/provenance.json"
        files = [f"{place}/{file}" for file in ADAPTER_FILES]
        outputs = dict.fromkeys(files)
        made_up.job(rule, inputs, outputs, record, **names)

    initial = "results/adapters/tiny/initial/language"
    save("initial", initial, 0, "initialise_adapters", model="tiny")
    for seed, name in enumerate(("en", "fr", "de"), 1):
        operand = {"language": name, "budget": "full", "seed": "1"}
        start = [f"{initial}/{file}" for file in ADAPTER_FILES]
        save(
            name,
            LANGUAGE.format(name),
            seed,
            "train_language_adapter",
            start,
            model="tiny",
            **operand,
        )
        file = Path(FISHER.format(name))
        file.parent.mkdir(parents=True)
        adapter = read_adapter(LANGUAGE.format(name))
        save_file({key: tensor.square() for key, tensor in adapter.items()}, file)
        made_up.job(
            "estimate_fisher",
            [f"{LANGUAGE.format(name)}/{file}" for file in ADAPTER_FILES],
            {str(file): None},
            f"{file.parent}/provenance.json",
            model="tiny",
            **operand,
        )
    helpers.add_adapter(model, "ner", 3, task_config(helpers.TASK_SHAPE))
    torch.manual_seed(0)
    labels = ("O", "B-LOC", "B-PER")
    encoders.add_head(model, "ner", "tagging", labels)
    for parameter in model.heads["ner"].parameters():
        torch.nn.init.normal_(parameter)
    save_adapter(model, "ner", Path(TASK), with_head=True)
    Path(f"{TASK}/task.json").write_text(json.dumps({"labels": labels, "majority": "O"}))
    for seed, split in enumerate(("validation", "test"), start=1):
        Path(f"{split}.conll").write_text(sentences(seed))

    for (method, operands), cell in CELLS.items():
        merge = merging.get(method)
        languages = operands.split("+")
        names = {"model": "tiny", "task": "ner", "target": "es", "operands": operands, "seed": "1"}
        Path(cell).mkdir(parents=True)
        run_cell(
            names | {"method": method},
            merge,
            LAMBDAS,
            "grid",
            Path(cell),
            encoder=base,
            tokenizer=Path("tokenizer"),
            merge_files=MergeFiles(
                [Path(LANGUAGE.format(language)) for language in languages],
                Path(initial) if merge.needs_origin else None,
                [Path(FISHER.format(n)) for n in languages] if merge.needs_fisher else [],
            ),
            task_adapter=Path(TASK),
            files={split: Path(f"{split}.conll") for split in ("validation", "test")},
            reading={
                "type": "ner",
                "max_length": 64,
                "stride": 8,
                "labels": [],
                "cuts": dict.fromkeys(("validation", "test")),
            },
            batches={"tokens_per_batch": 4096, "precision": "fp32"},
        )
        made_up.job(
            f"sweep_{method}",
            [f"{LANGUAGE.format(language)}/adapter.safetensors" for language in languages],
            dict.fromkeys(map(str, sorted(Path(cell).iterdir()))),
            f"{cell}/provenance.json",
            script="sweep",
            parameters={"method": method},
            **names,
        )
    os.chdir(before)
    return folder


@pytest.fixture
def here(study, monkeypatch) -> Path:
    monkeypatch.chdir(study)
    return study


# What a user writes who has never heard of this project: stock libraries alone.
STRANGER = """
import json, sys
import torch
from adapters import AutoAdapterModel, Stack
from seqeval.metrics import f1_score
from transformers import AutoTokenizer

base, tokenizer, task_adapter, file, *merged = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(tokenizer)
found = []
for folder in merged:
    model = AutoAdapterModel.from_pretrained(base)
    language = model.load_adapter(folder)
    task = model.load_adapter(task_adapter, use_safetensors=True)
    model.set_active_adapters(Stack(language, task))
    model.eval()
    labels = model.heads[task].config["label2id"]
    labels = {number: label for label, number in labels.items()}
    gold, predicted = [], []
    for block in open(file).read().strip().split("\\n\\n"):
        words, tags = zip(*(line.split("\\t") for line in block.splitlines()))
        encoded = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            classes = model(**encoded).logits[0].argmax(-1).tolist()
        places = encoded.word_ids()
        predicted.append([labels[classes[places.index(i)]] for i in range(len(words))])
        gold.append(list(tags))
    found.append({"f1": 100 * f1_score(gold, predicted), "predicted": predicted, "name": language})
assert not any(name.startswith("langarith") for name in sys.modules)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def stranger(study, base, tmp_path_factory) -> dict[tuple[str, str], dict]:
    """What a fresh process with stock `adapters` gets of each merge on the test split."""
    merged = [tmp_path_factory.mktemp("merged") / "-".join(merge) for merge in MERGES]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        for merge, folder in zip(MERGES, merged, strict=True):
            selected = f"{CELLS[merge]}/selected.json"
            assert cli.main(["export", "--selected", selected, "--to", str(folder)]) == 0
    arguments = [base, "tokenizer", TASK, "test.conll", *merged]
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, *map(str, arguments)],
        cwd=study,
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(MERGES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("merge", MERGES, ids=" ".join)
def test_stock_adapters_gets_the_recorded_score(here, stranger, merge):
    cell, exported = CELLS[merge], stranger[merge]
    selected = json.loads(Path(f"{cell}/selected.json").read_text())
    (point,) = [p for p in selected["test"] if p["lambda"] == selected["selected"]]
    assert exported["f1"] == pytest.approx(point["metrics"]["f1"])
    assert exported["f1"] > 1  # or equality would say little

    import pyarrow.parquet as pq

    rows = pq.read_table(f"{cell}/predictions.parquet").to_pylist()
    by_point: dict[object, list] = {}
    for row in rows:
        by_point.setdefault(row["lambda"], []).append(json.loads(row["prediction"]))
    chosen = by_point.pop(selected["selected"])
    assert exported["predicted"] == chosen
    if merge == ("la", "en+fr"):  # another lambda predicts otherwise
        assert any(other != chosen for other in by_point.values())
    text = point_text(parse_point(selected["selected"]))
    method, operands = merge
    name = "_".join([method, *operands.split("+"), text])
    assert exported["name"] == name.replace(".", "_").replace(",", "_")


def test_outputs_are_swept_from_one_adapter_to_the_other_and_not_exported(here, tmp_path, capsys):
    found = {}
    for method in ("la", "outputs"):
        cell = json.loads(Path(CELLS[method, "en+fr"], "selected.json").read_text())
        found[method] = {entry["lambda"]: entry["metrics"] for entry in cell["validation"]}
    assert found["outputs"].keys() == found["la"].keys()
    for end in (0.0, 1.0):
        assert found["outputs"][end] == found["la"][end]
    assert found["outputs"][0.5] != found["la"][0.5]
    asked = [
        "--selected",
        f"{CELLS['outputs', 'en+fr']}/selected.json",
        "--to",
        str(tmp_path / "m"),
    ]
    assert cli.main(["export", *asked]) == 1
    assert capsys.readouterr().err.startswith("outputs averages the outputs of adapters")
    assert not (tmp_path / "m").exists()


def test_the_card_of_a_fisher_merge_names_the_jobs_of_its_estimates(here, tmp_path):
    selected = f"{CELLS['fisher', 'en+fr']}/selected.json"
    assert cli.main(["export", "--selected", selected, "--to", str(tmp_path / "m")]) == 0
    lineage_told = json.loads((tmp_path / "m/lineage.json").read_text())
    assert "estimate_fisher" in {job["rule"] for job in lineage_told["lineage"]}
    assert f"fisher: {FISHER.format('fr')}\n" in (tmp_path / "m/recipe.yml").read_text()


def test_a_merge_of_three_adapters_tries_every_weight_of_the_grid(here):
    selected = json.loads(Path(CELLS["la", "en+fr+de"], "selected.json").read_text())
    points = [entry["lambda"] for entry in selected["validation"]]
    assert points[:3] == ["0.00,0.00", "0.00,0.25", "0.00,0.50"]
    assert len(points) == len(set(points)) == 15  # of 3 weights in quarters that sum to one
    assert (selected["left"], selected["right"]) == ("en", "de")
    assert [entry["lambda"] for entry in selected["test"]] == points
    assert selected["selected"] in points


def test_the_rule_that_chose_lambda_is_named(here, tmp_path, capsys, monkeypatch):
    selected = f"{CELLS['la', 'en+fr']}/selected.json"
    fact = "λ chosen with validation labels of es (ner)"
    assert cli.main(["export", "--selected", selected, "--to", str(tmp_path / "one")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert f"- {fact}\n" in (tmp_path / "one/README.md").read_text()

    monkeypatch.setattr(lineage.Lineage, "selection", "entropy")
    assert cli.main(["export", "--selected", selected, "--to", str(tmp_path / "two")]) == 0
    fact += ", not by the study's rule, entropy"
    assert capsys.readouterr().out.splitlines()[1] == (
        f"{fact}; pass the λ of that rule, from results/tables/*_chosen.csv, with --lambda"
    )
    assert f"- {fact}\n" in (tmp_path / "two/README.md").read_text()


def test_a_lambda_of_ones_own_and_its_card(here, base, tmp_path, capsys):
    folder = tmp_path / "merged"
    asked = ["--left", "en", "--right", "fr", "--lambda", "0.5", "--results", "results"]
    assert cli.main(["export", *asked, "--to", str(folder)]) == 0
    assert {p.name for p in folder.iterdir()} == {
        "README.md",
        "recipe.yml",
        "lineage.json",
        "adapter_config.json",
        "adapter.safetensors",
        "pytorch_adapter.bin",
    }
    ends = [read_adapter(LANGUAGE.format(name)) for name in ("en", "fr")]
    merged = read_adapter(folder)
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, (ends[0][name] + ends[1][name]) / 2)

    output = json.loads(Path(f"{CELLS['la', 'en+fr']}/selected.json").read_text())
    scores = {
        split: next(p["metrics"]["f1"] for p in output[split] if p["lambda"] == 0.5)
        for split in ("validation", "test")
    }
    card = (folder / "README.md").read_text()
    assert "# 0.50 · en + 0.50 · fr" in card
    assert f"- base model: `{base}`\n" in card
    assert "base_model" not in ModelCard(card).data.to_dict()  # a local folder
    for split, score in scores.items():
        assert f"| ner | es | {split} | f1 | {score:.2f} | 40 |" in card
    recipe = json.loads((folder / "lineage.json").read_text())
    assert recipe["operands"][1]["path"] == f"{LANGUAGE.format('fr')}/adapter.safetensors"
    assert {job["rule"] for job in recipe["lineage"]} == {
        "initialise_adapters",
        "train_language_adapter",
    }


@pytest.mark.parametrize("merge", MERGES, ids=" ".join)
def test_merging_from_the_exported_recipe_gives_equal_bytes(here, merge, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    selected = f"{CELLS[merge]}/selected.json"
    assert cli.main(["export", "--selected", selected, "--to", str(first)]) == 0
    recipe = (first / "recipe.yml").read_text()
    assert "adapter: results/adapters/tiny/language/en@full/seed1\n" in recipe  # no machine's path
    assert recipe.strip() in (first / "README.md").read_text()
    assert cli.main(["merge", f"{first}/recipe.yml", "--to", str(second)]) == 0
    for name in (*ADAPTER_FILES, "pytorch_adapter.bin", "recipe.yml"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    metadata = [ModelCard((folder / "README.md").read_text()).data for folder in (first, second)]
    assert metadata[0].language == metadata[1].language == merge[1].split("+")
    (kind,) = {result.task_type for result in metadata[0].eval_results}
    assert kind == "token-classification"


def test_a_card_has_the_gains_of_its_own_pair_at_the_chosen_point(here, tmp_path):
    cell = json.loads(Path(f"{CELLS['la', 'en+fr']}/selected.json").read_text())
    place = {"model": "tiny", "task": "ner", "target": "es", "method": "la", "budget": "full"}
    gain = place | {"rule": "validation", "over": "better proxy", "gain": 1.2, "low": -0.3}
    gain |= {"high": 2.7, "metric": "f1", "seeds": 2}
    others = [gain | {"over": "ties20", "gain": 9.0}, gain | {"target": "avg.", "gain": 8.0}]
    tables = Path("results/tables")
    tables.mkdir()
    graph, choice = (
        lineage.of(Path("results")),
        export.choice_of(Path(f"{CELLS['la', 'en+fr']}/selected.json")),
    )
    elsewhere = next(p for p in map(parse_point, LAMBDAS) if p != choice.point)

    def gains(point, operands=("en+fr",)) -> list[float]:
        chosen = {"seed": cell["seed"], "selected": True, "lambda": choice.point[0]}
        rows = [place | chosen | {"operands": pair} for pair in operands]
        pd.DataFrame(rows).to_csv(tables / "zero_shot.csv", index=False)
        pd.DataFrame([gain, *others]).to_csv(tables / "zero_shot_gains.csv", index=False)
        found = scores.evaluation(graph, replace(choice, point=point)).gains
        return [one.gain for one in found]

    try:
        assert gains(choice.point) == [1.2]
        assert gains(elsewhere) == []  # the gain is of another λ
        assert gains(choice.point, ["en+fr", "en+de"]) == []  # and may be of another pair
        assert gains(choice.point, ["en+de"]) == []
        gains(choice.point)
        export.export(graph, choice, tmp_path / "merged")
    finally:
        shutil.rmtree(tables)
    results = ModelCard((tmp_path / "merged/README.md").read_text()).data.eval_results
    (output,) = [result for result in results if result.metric_args]
    assert (output.metric_value, output.metric_args["interval"]) == (1.2, [-0.3, 2.7])
    lineage_told = json.loads((tmp_path / "merged/lineage.json").read_text())
    assert [one["gain"] for one in lineage_told["gains"]] == [1.2]


def test_a_lambda_that_was_never_evaluated_says_so(here, tmp_path):
    graph = lineage.of(Path("results"))
    choice = export.Choice("tiny", (Operand("en"), Operand("fr")), (0.65,), "1")
    export.export(graph, choice, tmp_path / "merged")
    assert "has not been evaluated at this λ" in (tmp_path / "merged/README.md").read_text()


PAIR = ["--left", "en", "--right", "fr"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--left", "en", "--right", "sw", "--lambda", "0.5"], "no adapter of sw"),
        (PAIR, "missing: --lambda"),
        (["--left", "en", "--lambda", "0.5"], "missing: --right"),
        (["--lambda", "0.5"], "missing: --left, --right"),
        ([*PAIR, "--lambda", "0.5", "--seed", "7"], "--seed 7: the study has no adapter of this"),
        ([*PAIR, "--lambda", "0.5", "--seed", "7"], "name one of 1"),
        ([*PAIR, "--lambda", "0.5", "--model", "nope"], "name one of tiny"),
        ([*PAIR, "--operands", "es+fr", "--lambda", "0.5"], "--left, --right have no effect with"),
        ([*PAIR, "--lambda", "5"], "--lambda: 5 is out of range; la takes numbers between 0 and 1"),
        ([*PAIR, "--lambda=-1"], "-1 is out of range"),
        ([*PAIR, "--lambda", "nan"], "nan is not finite"),
        ([*PAIR, "--lambda", "1e400"], "inf is not finite"),
        ([*PAIR, "--lambda", "1e300"], "1e+300 is not finite"),
        ([*PAIR, "--lambda", "0,6"], "--lambda 0,6: not one number; write 0.6"),
        ([*PAIR, "--lambda", "1.5", "--method", "slerp"], "slerp takes numbers between 0 and 1"),
        ([*PAIR, "--lambda=-5", "--method", "ties20"], "ties20 takes numbers of at least 0"),
        ([*PAIR, "--lambda", "0.5", "--method", "soup"], "no effect with --method soup; remove it"),
        (["--left", "en", "--right", "fr", "--lambda", "1", "--method", "slurp"], "mean 'slerp'"),
        (
            ["--operands", "en+fr+de", "--lambda", "1"],
            "needs 2 numbers, not 1; write for example 0.33,0.33",
        ),
        (["--left", "en", "--right", "fr", "--lambda", "half"], "not a number"),
        (["--selected", "nowhere/selected.json"], "no such file; name a sweep's selected.json"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(
    here, tmp_path, capsys, arguments, sentence
):
    assert cli.main(["export", *arguments, "--to", str(tmp_path / "merged")]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_an_adapter_that_was_tampered_with_is_not_exported(here, tmp_path, capsys):
    file = Path(LANGUAGE.format("en"), "adapter.safetensors")
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        asked = ["--selected", f"{CELLS['la', 'en+fr']}/selected.json", "--to", str(tmp_path / "m")]
        assert cli.main(["export", *asked]) == 1
        assert "not the file that its job wrote" in capsys.readouterr().err
    finally:
        file.write_bytes(data)


def test_a_folder_that_is_there_is_not_written_over(here, tmp_path, capsys):
    (tmp_path / "mine").write_text("x")
    asked = ["--selected", f"{CELLS['la', 'en+fr']}/selected.json", "--to", str(tmp_path)]
    assert cli.main(["export", *asked]) == 1
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(InputError):
        export.choice_of(Path("nowhere.json"))


def test_a_method_of_another_number_of_operands_is_refused() -> None:
    for method in ("negation", "analogy"):
        with pytest.raises(InputError, match=f"--method {method} does not merge 2 operands; give"):
            export._point("1", merging.get(method), 2)
    assert export._point("1", merging.get("analogy"), 3) == (1.0,)


@pytest.mark.parametrize(
    "option",
    [
        *(("--left", "en"), ("--right", "fr"), ("--operands", "en+fr"), ("--lambda", "0.5")),
        *(("--method", "la"), ("--model", "tiny"), ("--seed", "1"), ("--results", "results")),
    ],
    ids=" ".join,
)
def test_an_option_that_selected_replaces_is_refused(here, tmp_path, capsys, option):
    selected = f"{CELLS['la', 'en+fr']}/selected.json"
    assert cli.main(["export", "--selected", selected, *option, "--to", str(tmp_path / "m")]) == 1
    assert f"{option[0]} has no effect with --selected; remove one" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        *((text, "not the selected.json of a sweep") for text in ("{}", "[]", "5", "null", '"x"')),
        ({"method": None}, "not the selected.json of a sweep"),
        ({"selected": "half"}, "not the selected.json of a sweep"),
        ({"selected": 5}, "5 is out of range; la takes numbers between 0 and 1"),
        ({"operands": "en"}, "la does not merge 1 operand"),
    ],
)
def test_json_that_is_no_choice_is_refused(here, tmp_path, capsys, content, sentence):
    cell = json.loads(Path(CELLS["la", "en+fr"], "selected.json").read_text())
    file = tmp_path / "selected.json"
    file.write_text(content if isinstance(content, str) else json.dumps(cell | content))
    assert cli.main(["export", "--selected", str(file), "--to", str(tmp_path / "m")]) == 1
    assert f"{file}: {sentence}" in capsys.readouterr().err


def test_a_soup_needs_no_lambda(here, tmp_path, capsys):
    asked = [*PAIR, "--method", "soup", "--to", str(tmp_path / "m")]
    assert cli.main(["export", *asked]) == 0
    assert "(en + fr) / 2" in capsys.readouterr().out
