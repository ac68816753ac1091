"""The report: everything on one page that opens anywhere, on a phone and on paper."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import made_up
from langarith.audit import headline, lineage, report
from langarith.audit.linked import PAGE, Links
from langarith.commands import status

CAPTION = replace(made_up.CAPTION, about="Test scores per target.", note="A <b>small</b> world.")
LOST = {"model": "tiny", "task": "ner", "target": "de", "method": "la", "operands": "en+fr"}
LOST |= {"seed": "2", "log": "results/logs/train_language_adapter/fr.log"}
SHEET = """## Zero-shot, tiny, NER (F1)

| target | LA(en, related) | gain |
| :-- | --: | --: |
| es | **49.00** ± 0.00 | +5.00 |

The best in bold.
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lineage.Lineage:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    found = lineage.of(made_up.write_study())
    Path("results/tables/zero_shot.md").write_text(SHEET)
    figure, axis = plt.subplots(figsize=(6, 3))
    axis.bar([1, 2], [3, 4])
    for name in ("zero_shot", "learning_curves"):
        figure.savefig(f"results/figures/{name}.png")
    plt.close(figure)
    found.study |= {"note": CAPTION.note, "languages": ["en", "es", "fr"], "seeds": [1, 2]}
    found.study |= {"models": {"tiny": {}}, "task_language": "en"}
    return found


@pytest.fixture
def path(graph) -> Path:
    parts = [report.Part("zero_shot", CAPTION), report.Part("ties", CAPTION, [LOST])]
    report.write(graph, parts, Path("results/report.html"))
    return Path("results/report.html")


def test_the_page_shows_figures_tables_curves_times_and_what_is_missing(path, open_page):
    page = open_page(path)
    assert page.locator("h2").all_inner_texts() == [
        "Result",
        "The study",
        "Zero shot",
        "TIES",
        "Learning curves",
        "Lambda curves",
        "Run times",
        "Missing cells",
    ]
    widths = page.eval_on_selector_all("img", "images => images.map(i => i.naturalWidth)")
    assert len(widths) == 2 and min(widths) > 100
    part = page.inner_text("#zero_shot")
    assert "Test scores per target." in part
    assert page.locator("#zero_shot td strong").inner_text() == "49.00"
    names = page.eval_on_selector_all("#zero_shot a[download]", "all => all.map(a => a.download)")
    assert names == ["zero_shot.pdf", "zero_shot.csv", "zero_shot.md"]
    assert "No output yet" in page.inner_text("#ties")
    lost = page.inner_text("#missing_cells")
    assert "tiny, ner in de, la of en+fr, seed 2" in lost and LOST["log"] in lost
    # what the study says is text, whatever it looks like
    assert "A <b>small</b> world." in page.inner_text("body")


def test_lambda_curves_have_a_line_per_seed_and_a_dot_where_lambda_was_chosen(
    graph, path, open_page
):
    (panel,) = report.lambda_curves(graph)
    assert panel["title"] == "NER es: en + fr"
    assert len(panel["paths"]) == len(panel["dots"]) == 2
    # the chosen one is the highest point, in the middle
    assert panel["dots"][0] == (panel["first"][1] / 2 + panel["last"][1] / 2, panel["high"][1])
    assert "lambda 0.50 chosen on validation (f1 50.00)" in panel["choices"][1]
    page = open_page(path)
    assert page.locator("#lambda_curves svg path").count() == 2


def test_with_another_rule_the_dots_are_no_choice_of_the_study(graph):
    assert "dots are the chosen λ." in " ".join(report.page(graph, []).split())
    graph.study["selection"] = "entropy"
    (panel,) = report.lambda_curves(graph)
    assert "validation would choose lambda 0.50 (f1 50.00)" in panel["choices"][1]
    page = " ".join(report.page(graph, []).split())
    assert "dots are the λ that validation would choose. The study's rule is entropy." in page
    assert "chosen λ." not in page and "chosen on validation" not in page


def test_warnings_about_the_data_are_shown_once(graph):
    assert report.data_warnings(graph) == []
    assert 'id="warnings"' not in report.page(graph, [])
    warning = "ner, es, test (es.conll): 3 of 12 entity types cannot be predicted"
    for seed in (1, 2):
        path = Path(f"results/evaluation/tiny/ner/es/la/en+fr/seed{seed}/selected.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": [warning]}))
    assert report.data_warnings(graph) == [warning]
    page = report.page(graph, [])
    assert page.count(warning) == 1 and 'id="warnings"' in page


def test_run_times_are_those_of_the_records(graph):
    record = Path("results/evaluation/tiny/ner/es/la/en+fr/seed1/provenance.json")
    output = json.loads(record.read_text())
    output |= {"device": "cuda", "seconds": 7200.0, "peak_memory_mb": 2000.0}
    record.write_text(json.dumps(output))
    times = {t.rule: t for t in report.run_times(lineage.of(Path("results")).jobs)}
    assert times["sweep_la"].jobs == 2
    assert times["sweep_la"].gpu == 7200.0
    assert times["sweep_la"].seconds == 7202.0
    assert times["sweep_la"].peak == "2.1 GB"
    assert times["train_language_adapter"].gpu == 0.0
    assert next(iter(times)) == "tokenize_shard"


def write_gains(graph: lineage.Lineage) -> None:
    """The gains of the little study; that over the chosen proxy is another number, to tell them."""
    table = graph.results / "tables/zero_shot_gains.csv"
    table.write_text(
        "experiment,model,task,target,method,budget,rule,over,gain,low,high\n"
        "zero_shot,tiny,ner,es,la,full,validation,better proxy,6.0,4.5,7.25\n"
        "zero_shot,tiny,ner,es,la,full,validation,chosen proxy,7.5,6.0,9.0\n"
    )


def test_the_result_comes_first_in_words_and_numbers(graph):
    write_gains(graph)
    links = Links(graph)
    found = headline.result(graph, "zero_shot", "en", links)
    # in made_up.LITTLE the sum has 49, English alone 43, French alone 39
    assert found.sentence.endswith("beats the better of the two single adapters in 1 of 1 cells.")
    (row,) = found.rows
    texts = ["tiny", "NER", "1 of 1", "49.00", "43.00"]
    texts += ["+6.00 [+4.50, +7.25]", "+7.50 [+6.00, +9.00]", "+6.00"]
    assert [text for text, _ in row] == texts
    over_both = ("gain over the better adapter", "gain over the chosen adapter")
    assert found.header[-3:] == (*over_both, "mean of the gains")
    over = {f"#{key}": number.over for number, key in links.used.items()}
    assert [over[target] for _, target in row[5:7]] == ["better proxy", "chosen proxy"]
    assert row[7][1] == f"{PAGE}#path=tables/zero_shot.csv"
    assert headline.result(graph, "ties", "en", links) is None


def test_a_result_without_a_table_of_gains_has_no_intervals(graph):
    found = headline.result(graph, "zero_shot", "en", Links(graph))
    file = f"{PAGE}#path=tables/zero_shot.csv"
    assert found.rows[0][5:] == (("+6.00", file),) * 3


def test_the_gain_of_one_target_of_a_partial_grid_is_no_average(graph):
    write_gains(graph)
    table = made_up.study_table()
    gone = [made_up.gone("fr", "en+es", seed) for seed in (1, 2)]
    partial = pd.concat([table, made_up.table(gone).assign(experiment="zero_shot")])
    partial.drop(columns="point").to_csv(graph.results / "tables/zero_shot.csv", index=False)
    found = headline.result(graph, "zero_shot", "en", Links(graph))
    assert [text for text, _ in found.rows[0][2:]] == ["1 of 1", *["--"] * 5]


def test_the_note_explains_the_columns_that_the_page_has(graph):
    zero_shot = report.page(graph, [report.Part("zero_shot", CAPTION)])
    assert "the chosen one has the higher validation score" in zero_shot
    one = made_up.cell("es", "en+es", 1, {0.0: 40.0, 1.0: 45.0}, chosen=1.0)
    path = graph.results / "tables/enhancement.csv"
    made_up.table([one]).drop(columns="point").to_csv(path, index=False)
    enhancement = report.page(graph, [report.Part("enhancement", CAPTION)])
    assert 'id="result"' in enhancement and "the chosen one" not in enhancement


def test_a_lambda_at_an_end_is_no_merging(graph):
    """The sum of es is chosen at λ = 1 by every seed: the score of the English adapter alone."""
    one = made_up.cell("es", "en+es", 1, {0.0: 40.0, 1.0: 45.0}, chosen=1.0)
    other = made_up.cell("fr", "en+fr", 1, {0.0: 40.0, 0.5: 45.0, 1.0: 41.0}, chosen=0.5)
    made_up.table([one, other]).drop(columns="point").to_csv(
        graph.results / "tables/enhancement.csv", index=False
    )
    found = headline.result(graph, "enhancement", "en", Links(graph))
    assert found.sentence.endswith("scores above the own adapter alone in 2 of 2 cells.")
    assert found.remark.startswith("In 1 of the 2 cells the chosen λ is 0 or 1: nothing")
    assert found.remark.endswith("alone. Such cells among the 2 with a gain: 1.")
    assert headline.result(graph, "zero_shot", "en", Links(graph)).remark == ""


def test_numbers_of_tables_lead_to_their_chains(path, open_page):
    page = open_page(path)
    assert page.locator("aside:visible").count() == 0
    page.click("#zero_shot tbody td:nth-child(2) a")
    shown = page.inner_text("aside:target")
    for text in (
        "49.00 ± 0.00",
        "1: 49.00, 2: 49.00",
        "λ = 0.50; chosen on validation",
        "raw/fr.txt",
    ):
        assert text in shown
    href = page.get_attribute("aside:target p a", "href")
    assert href.startswith("provenance/index.html#number=zero_shot%2Ftiny%2Fner%2F")
    # the gain is none of the numbers that the page knows: the table leads on
    gain = page.get_attribute("#zero_shot tbody td:nth-child(3) a", "href")
    assert gain.startswith("#n") or gain.endswith("#path=tables/zero_shot.csv")


def test_the_page_needs_no_other_file(graph):
    """A file that is mailed: every link is inside it, and what it holds are the files' bytes."""
    page = report.page(graph, [report.Part("zero_shot", CAPTION)])
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    # but for the provenance page, which has more to say than what is inside
    links = [link for link in links if not link.startswith(("#", "provenance/index.html"))]
    assert {link[:5] for link in links} == {"data:"}
    inside = {base64.b64decode(link.partition(",")[2]) for link in links}
    for name in ("tables/zero_shot.csv", "tables/zero_shot.md", "figures/zero_shot.pdf"):
        assert (graph.results / name).read_bytes() in inside
    assert '<a href="provenance/index.html">' in page


def test_notes_stand_once():
    note = "Scores. Study: little. Seeds: 1, 2. A \\<b>small\\</b> world."
    text = report.without_repeats(
        f"## A\n\n| x |\n| --: |\n| 1 |\n\n{note}\n\n## B\n\n| x |\n| --: |\n| 1 |\n\n{note}\n",
        CAPTION,
    )
    assert text == "## A\n\n| x |\n| --: |\n| 1 |\n\nScores.\n\n## B\n\n| x |\n| --: |\n| 1 |\n"


def test_a_figure_without_a_foot_has_it_below(graph):
    import matplotlib.pyplot as plt

    from langarith.results import figures

    caption = replace(CAPTION, foot=False)
    figure, _ = plt.subplots()
    figure.set_label("How to read it.")
    figures.save(figure, ["results/figures/zero_shot.png"])
    assert "How to read it." in report.page(graph, [report.Part("zero_shot", caption)])
    assert "How to read it." not in report.page(graph, [report.Part("zero_shot", CAPTION)])


def test_without_missing_cells_the_page_says_so(graph):
    assert "None: every cell" in report.page(graph, [report.Part("zero_shot", CAPTION)])


@pytest.mark.parametrize("width", [360, 1100])
def test_the_page_fits_phone_and_desk(path, open_page, width, tmp_path):
    page = open_page(path, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # every wide thing scrolls in a box of its own, and nothing is cut off beside one
    cut = """all => all.filter(e => !e.closest('.wide') && e.scrollWidth > e.clientWidth + 1)
        .map(e => e.tagName + e.textContent.slice(0, 40))"""
    assert page.eval_on_selector_all("p, h1, h2, h3, dd, figcaption, li", cut) == []
    shot = page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert len(shot) > 10_000


def test_the_page_prints(path, open_page):
    page = open_page(path)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("#run_times table").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_tables_keep_what_markdown_marks_and_no_html_of_their_own():
    html = report.html_of("## A\\_b\n\n| x |\n| --: |\n| <i>1</i> **2** |\n")
    assert "<h3>A_b</h3>" in html and "<strong>2</strong>" in html
    assert "<i>" not in html and 'style="text-align:right"' in html


@pytest.mark.slow
def test_snakemake_writes_the_report_of_a_finished_study(copy, open_page):
    import shutil

    from workspace import NANO, run

    output = run(copy, "results/nano/report.html", *NANO)
    assert "Pages:\n    results/nano/report.html\n    results/nano/provenance/index.html" in output
    assert "all done after" in next(status.report(copy / "results/nano"))
    page = open_page(copy / "results/nano/report.html")
    assert page.locator("section img").count() == 4
    assert "None: every cell" in page.inner_text("#missing_cells")
    # A score that is in several cells leads to its table: only one with its own chain is clicked.
    page.click("#ties td a[href^='#n']")
    assert "adapters" in page.inner_text("aside:target")
    page.click("aside:target p a")
    page.wait_for_function("document.getElementById('here').dataset.shown.startsWith('#bar=')")
    page = open_page(copy / "results/nano/provenance/index.html")
    assert page.locator("#zero_shot rect[data-bar]").count() == 8
    assert page.locator("#low_resource rect[data-bar]").count() == 2
    assert page.locator("#ties rect[data-bar]").count() == 2

    shutil.rmtree(copy / "results/nano/evaluation/tiny/ner/es/la/en+fr/seed1")
    run(copy, "report", *NANO, "--config", "allow_missing=true")
    page = open_page(copy / "results/nano/report.html")
    assert "la of en+fr, seed 1" in page.inner_text("#missing_cells")
