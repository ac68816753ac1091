"""The provenance graph: W3C PROV, the picture by stage, the page in a real browser."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import made_up
from langarith.audit import lineage
from langarith.audit.page import targets, write
from langarith.audit.picture import Stage, _layers, draw, reduced, stages
from langarith.audit.prov import SOURCES, label, prov
from langarith.files import sha256
from langarith.progress import size_of

SHARD, TABLE = "raw/fr.txt", "results/tables/zero_shot.csv"
FIGURE = "results/figures/zero_shot.pdf"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lineage.Lineage:
    monkeypatch.chdir(tmp_path)
    return lineage.of(made_up.write_study())


# --- PROV ---


def test_jobs_of_a_studys_own_rule_have_a_label():
    assert label("choose_lambda") == "choices of the study's rule"
    assert label("score_masked_lm") == "masked-LM losses"


def test_prov_says_what_was_used_and_generated_by_what(study):
    output = prov(study, study.jobs)
    assert set(output["prefix"]) >= {"prov", "file", "job", "code"}
    assert len(output["activity"]) == 10
    assert len(output["entity"]) == 18
    shard = output["entity"][f"file:{SHARD}"]
    assert shard["la:sha256"] == sha256(SHARD)
    # both ends of every arrow are there
    ends = {
        "used": ("prov:activity", "prov:entity"),
        "wasGeneratedBy": ("prov:entity", "prov:activity"),
        "wasInformedBy": ("prov:informed", "prov:informant"),
        "wasAssociatedWith": ("prov:activity", "prov:agent"),
    }
    nodes = output["entity"] | output["activity"] | output["agent"]
    for kind, keys in ends.items():
        assert output[kind]
        for link in output[kind].values():
            assert all(link[key] in nodes for key in keys)
    used = {(link["prov:activity"], link["prov:entity"]) for link in output["used"].values()}
    table = f"job:{TABLE}.provenance.json"
    cell = "file:results/evaluation/tiny/ner/es/la/en+fr/seed{}/selected.json"
    assert {entity for job, entity in used if job == table} == {cell.format(1), cell.format(2)}
    generated = {v["prov:entity"]: v["prov:activity"] for v in output["wasGeneratedBy"].values()}
    assert generated[f"file:{TABLE}"] == table
    assert f"file:{SHARD}" not in generated
    names = {
        key.partition(":")[0] for part in ("entity", "activity", "agent") for key in output[part]
    }
    assert names <= set(output["prefix"])


def test_another_version_of_a_file_is_another_entity(study):
    """What a job read, and its maker no longer wrote, is not the file that is there now."""
    record = Path(f"{FIGURE}.provenance.json")
    old = json.loads(record.read_text())
    old["inputs"][TABLE]["sha256"] = "f" * 64
    record.write_text(json.dumps(old))
    output = prov(lineage.of(Path("results")), lineage.of(Path("results")).jobs)
    assert f"file:{TABLE}" in output["entity"]
    assert output["entity"][f"file:{TABLE}#ffffffffffff"]["prov:location"] == TABLE


def test_the_graph_of_a_target_has_what_it_was_made_from_and_no_more(study):
    adapter = "results/adapters/tiny/language/fr@full/seed1/adapter.safetensors"
    rules = Counter(job.rule for job in targets(study, [adapter]))
    assert rules == {"tokenize_shard": 1, "train_language_adapter": 1}
    assert targets(study) == study.jobs
    assert set(targets(study, [FIGURE])) == set(study.jobs)


# --- stages ---


def test_stages_count_jobs_files_and_arrows(study):
    found = {stage.rule: stage for stage in stages(study, study.jobs)}
    assert {rule: stage.jobs for rule, stage in found.items()} == {
        SOURCES: 0,
        "tokenize_shard": 2,
        "train_language_adapter": 4,
        "sweep_la": 2,
        "tabulate": 1,
        "draw_figure": 1,
    }
    assert found["sweep_la"].files == 8
    assert found["sweep_la"].after == {"train_language_adapter": 4}
    assert found[SOURCES].size == sum(Path(f"raw/{x}.txt").stat().st_size for x in ("en", "fr"))
    assert found["train_language_adapter"].seconds == 8.0


def test_arrows_that_follow_from_others_are_left_out():
    made = [
        Stage("a"),
        Stage("b", after={"a": 1}),
        Stage("c", after={"a": 1, "b": 1, "c": 1}),
        Stage("d", after={"a": 2}),
        Stage("e", after={"c": 1, "d": 1, "a": 1}),
    ]
    assert set(reduced(made)) == {("a", "b"), ("b", "c"), ("a", "d"), ("c", "e"), ("d", "e")}


def test_the_picture_names_every_stage_and_is_the_same_each_time(study, tmp_path):
    made = []
    for name in ("one", "two"):
        paths = [tmp_path / f"{name}.svg", tmp_path / f"{name}.pdf"]
        draw(stages(study, study.jobs), "Study little", paths)
        made.append([path.read_bytes() for path in paths])
    assert made[0] == made[1]
    text = made[0][0].decode()
    for words in ("token streams", "language adapters", "sweeps of LA", "2 jobs, 8 files"):
        assert words in text
    assert not list(tmp_path.glob(".*partial*"))


def test_a_stage_is_drawn_below_all_its_inputs(study):
    found = stages(study, study.jobs)
    layers = _layers(found, reduced(found))
    row = {stage.rule: i for i, layer in enumerate(layers) for stage in layer}
    assert all(row[a] < row[b] for a, b in reduced(found))


def test_a_rule_that_begins_early_is_drawn_below_the_inputs_of_its_later_jobs(study):
    """One table can be written before another is even computed."""
    first, later = (
        lineage.Job(
            f"{name}.json",
            {"rule": rule, "inputs": {name: {"size": 1}}, "outputs": {}, "seconds": 1},
        )
        for rule, name in (("write", "a.csv"), ("write", "b.csv"))
    )
    compute = lineage.Job("c.json", {"rule": "compute", "inputs": {}, "outputs": {}, "seconds": 1})
    study.producer["b.csv"] = compute
    made = [first, compute, later]
    assert [s.rule for s in stages(study, made) if s.rule != SOURCES] == [
        "compute",
        "write",
    ]


@pytest.mark.parametrize(("count", "text"), [(999, "999 B"), (1500, "1.5 kB"), (2.5e10, "25 GB")])
def test_sizes_have_two_figures(count, text):
    assert size_of(count) == text


# --- the page ---


@pytest.fixture
def page(study, open_page):
    write(study, study.jobs, Path("results/provenance"))
    return open_page(Path("results/provenance/index.html"))


def text(page, place: str = "#here") -> str:
    page.wait_for_function("document.getElementById('here').dataset.shown === location.hash")
    return page.inner_text(place)


def test_with_another_rule_the_curve_marks_what_validation_would_choose(study, open_page):
    study.study["selection"] = "entropy"
    write(study, study.jobs, Path("results/provenance"))
    page = open_page(Path("results/provenance/index.html"))
    page.click("rect.bar.merged")
    page.click("#here a:has-text('seed 2: 49.00 at λ = 0.50')")
    output = text(page)
    assert "Validation would choose λ = 0.50 (50.00); next: 1.00" in output
    assert "was chosen" not in output


def test_from_a_bar_up_to_the_shards_and_down_again(page):
    """The walk of someone who asks where a number comes from, in a real browser, offline."""
    assert page.locator("rect[data-bar]").count() == 3
    page.click("rect.bar.merged")
    assert "es, language arithmetic: 49.00 ± 0.00" in text(page)
    assert "mean of 2 seeds" in text(page)

    page.click("#here a:has-text('seed 2: 49.00 at λ = 0.50')")
    output = text(page)
    assert "sweep_la" in output and "λ = 0.50 was chosen on validation (50.00)" in output
    assert "next: 1.00 (44.00), 0.00 (40.00)" in output
    assert page.locator("#curve circle").count() == 3
    # the number of the bar is there, before the others that are of this sweep
    assert page.locator("#numbers strong").all_inner_texts() == [
        "49.00 at λ = 0.50: Zero shot, tiny, NER (F1, %): es, language arithmetic, seed 2"
    ]
    assert "39.00 at λ = 0.00: Zero shot" in page.inner_text("#numbers")
    assert page.locator("dt:has-text('code')").count() and "0" * 40 in output

    page.click("#here a:has-text('model tiny, language fr, budget full, seed 2')")
    assert '"steps": 20' in text(page)
    page.click("#here a:has-text('tokenize_shard: model tiny, language fr, shard part')")
    page.click("#here a:has-text('raw/fr.txt')")
    output = text(page)
    assert sha256(SHARD) in output
    assert "no job: an external file" in output
    assert page.inner_text("#trail").count("→") == 4

    # what was made from this shard: both seeds' adapters and sweeps, the table, the figure
    below = page.locator("#below")
    for words in ("2 × language adapters", "2 × sweeps of LA", "1 × figures", TABLE, FIGURE):
        assert words in below.inner_text()
    below.locator("summary:has-text('2 × language adapters')").click()
    assert "model tiny, language fr, budget full, seed 1" in below.inner_text()
    assert "language en" not in below.inner_text()
    page.click(f"#below a:has-text('{FIGURE}')")
    assert "nothing" in text(page, "#below")

    page.go_back()
    assert text(page).startswith(SHARD)


def test_a_file_is_found_by_parts_of_its_name(page):
    page.fill("#find", "seed2 en@full")
    page.click("#found a")
    assert "en@full/seed2/adapter.safetensors" in text(page)


def test_a_bar_works_from_the_keyboard(page):
    page.focus("rect.bar.related")
    page.keyboard.press("Enter")
    assert "es, fr adapter: 39.00" in text(page)


def test_the_page_fits_a_phone(study, open_page):
    write(study, study.jobs, Path("results/provenance"))
    page = open_page(Path("results/provenance/index.html"), width=360, height=700)
    page.click("rect.bar.merged")
    page.click("#here a:has-text('seed 1')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_path_cannot_end_the_script_that_holds_it(study, open_page):
    name = "results/tokens/tiny/</script><b>x/part.arrow"
    record = f"{name}.provenance.json"
    made_up.job("tokenize_shard", [SHARD], {name: "x"}, record, language="x")
    found = lineage.of(Path("results"))
    write(found, found.jobs, Path("results/provenance"))
    page = open_page(Path("results/provenance/index.html"))
    page.fill("#find", "script")
    assert name in page.inner_text("#found")


@pytest.mark.slow
def test_snakemake_provenance_gathers_a_finished_study(copy, open_page):
    from workspace import NANO, run

    run(copy, "provenance", *NANO)
    folder = copy / "results/nano/provenance"
    assert {path.name for path in folder.iterdir()} == {
        "graph.json",
        "index.html",
        "stages.svg",
        "stages.pdf",
    }
    output = json.loads((folder / "graph.json").read_text())
    records = list((copy / "results/nano").rglob("*provenance.json"))
    assert len(output["activity"]) == len(records)
    page = open_page(folder / "index.html")
    page.click("rect.bar.merged")
    page.click("#here a:has-text('seed 1')")
    page.locator("#above summary:has-text('raw shards')").click()
    page.click("#above a:has-text('write_miniature_corpus: language fr')")
    page.click("#here a:has-text('train-00000-of-00002.parquet')")
    assert "tables/zero_shot.csv" in page.inner_text("#below")
    assert "Nothing to be done" in run(copy, "-n", "provenance", *NANO)
