"""`langarith audit explain RESULTS WORDS`: a number found by what a reader holds, in six lines."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import made_up
from langarith import cli
from langarith.audit import charts, explain_number, lineage, linked, number
from langarith.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished little study in the current folder, with the gain of its one target."""
    monkeypatch.chdir(tmp_path)
    folder = made_up.write_study()
    head = "experiment,model,task,target,method,budget,rule,over,gain,low,high\n"
    row = "zero_shot,tiny,ner,es,la,full,validation,better proxy,6.0,-0.5,8.25\n"
    (folder / "tables/zero_shot_gains.csv").write_text(head + row)
    return folder


def explain(capsys, *words: str) -> list[str]:
    assert cli.main(["audit", "explain", "results", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_target_is_answered_in_six_lines(results, capsys):
    found = explain(capsys, "target=es", "task=ner")
    assert [line.split()[0] for line in found[:6]] == "49.00 seeds λ adapters data code".split()
    value, seeds, weight, adapters, data, code = found[:6]
    assert "± 0.00" in value and "language arithmetic: zero_shot, tiny, NER (F1, %), es" in value
    assert "30 test examples" in value
    assert seeds.endswith("1: 49.00, 2: 49.00")
    assert "λ = 0.50; chosen on validation (f1 50.00); next 1.00 (44.00), 0.00 (40.00)" in weight
    for text in ("en@full (seed 1 ", "fr@full (seed 1 ", ", seed 2 "):
        assert text in adapters
    assert "raw/en.txt" in data and "raw/fr.txt" in data
    assert "commit 000000000000; sweep " in code and "torch 2.13.0" in code
    assert found[6:] == [
        "3 more fit; add another word: what=task_language, what=related, "
        "what='gain over better proxy'"
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["49.00"], "language arithmetic"),
        (["49.0"], "language arithmetic"),
        (["43"], "en adapter"),
        (["+6.00"], "gain over better proxy"),
        (["what=related"], "fr adapter"),
        (["what=gain over better proxy"], "gain over better proxy"),
        (["49.00 ± 0.00"], "language arithmetic"),
        (["+6.00 [−0.50, +8.25]"], "gain over better proxy"),
        (["method=la", "operands=en+fr", "what=merged"], "language arithmetic"),
    ],
)
def test_a_number_is_found_as_printed_or_by_words(results, words, what):
    assert f", {what}: zero_shot, tiny" in explain_number.lines(results, words)[0]


def test_a_gain_says_its_interval(results):
    assert explain_number.lines(results, ["+6.00"])[0].startswith(
        "+6.00 [-0.50, +8.25] points, gain"
    )


def test_an_end_of_lambda_is_no_merging(results):
    lines = explain_number.lines(results, ["what=task_language"])
    assert "λ = 1.00, the en adapter alone; nothing was chosen" in lines[2]
    for path in results.glob("evaluation/**/selected.json"):
        content = json.loads(path.read_text()) | {"selected": 1.0}
        path.write_text(json.dumps(content))
    table = results / "tables/zero_shot.csv"
    text = table.read_text().replace("0.5,test,True", "0.5,test,False")
    table.write_text(text.replace("1.0,test,False", "1.0,test,True"))
    lines = explain_number.lines(results, ["what=merged"])
    assert lines[0].startswith("43.00")
    assert "λ = 1.00, the en adapter alone, so no merging; chosen on validation" in lines[2]


def test_a_score_without_a_language_adapter_names_none(results):
    table = results / "tables/zero_shot.csv"
    alone = "zero_shot,tiny,ner,es,none,,,,full,{},,test,False,f1,{},30"
    rows = [alone.format(seed, score) for seed, score in (("1", 31.0), ("2", 33.0))]
    table.write_text(table.read_text() + "\n".join(rows) + "\n")
    lines = explain_number.lines(results, ["what=none"])
    assert lines[0].startswith("32.00 ± 1.41 test score, no language adapter: zero_shot")
    assert lines[1].endswith("1: 31.00, 2: 33.00")
    assert lines[2].endswith("none: the task adapter without a language adapter")
    assert "en@full" not in lines[3] and "fr@full" not in lines[3]


def test_a_gain_over_the_chosen_proxy_says_which_it_is(results):
    """The English adapter has 44 on validation, the French one 40."""
    gains = results / "tables/zero_shot_gains.csv"
    row = "zero_shot,tiny,ner,es,la,full,validation,chosen proxy,6.0,-0.5,8.25\n"
    gains.write_text(gains.read_text() + row)
    line = explain_number.lines(results, ["what=gain over chosen proxy"])[0]
    assert "points, gain over chosen proxy (en): zero_shot" in line


def test_equal_gains_over_different_adapters_are_listed_apart(results):
    gains = results / "tables/zero_shot_gains.csv"
    row = "zero_shot,tiny,ner,es,la,full,validation,chosen proxy,6.0,-0.5,8.25\n"
    gains.write_text(gains.read_text() + row)
    lines = explain_number.lines(results, ["+6.00 [-0.50, +8.25]"])
    assert lines[0].startswith("2 numbers fit")
    assert "better proxy" in lines[1] and "chosen proxy" in lines[2]


def test_the_tree_is_shown_on_request(results, capsys):
    assert not any("└──" in line for line in explain(capsys, "49.00"))
    tree = "\n".join(explain(capsys, "49.00", "--tree"))
    assert "└── sweep_la (seed 2, model tiny, task ner, target es, operands en+fr)" in tree


def test_several_numbers_are_listed_with_words_that_find_each(results):
    table = results / "tables/zero_shot.csv"
    table.write_text(table.read_text().replace("0.0,test,False,f1,39.0", "0.0,test,False,f1,43.0"))
    lines = explain_number.lines(results, ["43"])
    assert lines[0] == "2 numbers fit; add the words of one of them:"
    for line, what in zip(lines[1:], ("en adapter", "fr adapter"), strict=True):
        value, *words = line.split()
        assert value == "43.00"
        assert f", {what}: " in explain_number.lines(results, [w for w in words if "=" in w])[0]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("99.99", "no number of the study fits 99.99"),
        ("taget=es", "did you mean 'target'?"),
        ("target=de", "no number of the study fits target=de; words of target (known: es)"),
        ("spanish", "write a number as printed, or one of experiment"),
    ],
)
def test_what_fits_nothing_is_one_sentence(results, word, sentence):
    with pytest.raises(InputError) as error:
        explain_number.lines(results, [word])
    assert sentence in str(error.value)


def test_a_headline_leads_to_the_kind_of_its_column():
    links = linked.Links.__new__(linked.Links)
    alone, merged = score("task_language", 42.21, "1.00"), score("merged", 42.21, "0.50")
    links.numbers, links.used = [alone, merged], {}
    place = "methods", "tiny", "ner"
    assert links.average("1 of 1", *place, ["merged"]) == ""
    assert links.used.get(merged) is None
    assert links.average("42.21", *place, ["merged"]) == f"#{links.used[merged]}"
    assert links.average("42.21", *place, ["task_language", "related"]) == f"#{links.used[alone]}"
    assert links.average("+0.10", *place, []).endswith("#path=tables/methods.csv")


def test_the_gain_of_a_headline_is_that_of_the_averages():
    def gain(model: str, group: str, value: float, over: str = "madx") -> number.Number:
        return number.Number(
            "enhancement", model, "ner", "f1", group, "gain", f"gain over {over}", value, (), True,
            (value - 1, value + 1), "la", "validation", over,
        )  # fmt: skip

    links = linked.Links.__new__(linked.Links)
    links.used = {}
    average, other = gain("tiny", "avg.", 2.0), gain("xtiny", "avg.", 5.0)
    links.numbers = [gain("tiny", "es", 1.0), gain("tiny", "fr", 3.0), average, other]
    place = ("enhancement", "tiny", "ner")
    assert links.gain(*place, "madx") == ("+2.00 [+1.00, +3.00]", "#n1")
    assert links.used == {average: "n1"}
    assert links.gain(*place, "direct") is None
    # without an average, a single target is one; of several targets none is
    links.numbers.remove(average)
    assert links.gain(*place, "madx") is None
    links.numbers = links.numbers[:1]
    assert links.gain(*place, "madx") == ("+1.00 [0.00, +2.00]", "#n2")


def test_a_table_of_a_model_has_no_numbers_of_one_whose_name_it_ends_in():
    links = linked.Links.__new__(linked.Links)
    links.numbers, links.used = [score("merged", 42.21, "0.50")], {}
    table = "<h3>Methods, {}, NER (F1)</h3><tr><th>target</th><th>LA</th></tr>\n" + (
        f"<tr>\n<td>average</td>\n{linked.NUMERIC}42.21</td>\n</tr>"
    )
    assert "#n1" not in links.tables(table.format("xtiny"), "methods")
    assert "#n1" in links.tables(table.format("tiny"), "methods")


def test_a_sweep_of_three_operands_has_the_method_of_its_parameters():
    record = {"rule": "sweep_la_3", "parameters": {"method": "la"}}
    cell = dict(zip(charts.CELL, ("tiny", "ner", "de", "en+bg+ru", "1"), strict=True))
    job = lineage.Job("", record | {"wildcards": cell})
    assert charts.sweeps([job]) == {("la", *cell.values()): job}


def test_an_average_is_over_targets_that_every_seed_has():
    def score(target: str, *values: float, point: str = "0.50") -> number.Number:
        parts = tuple(
            number.Part(str(seed), value, point, None) for seed, value in enumerate(values, 1)
        )
        return number.Number("x", *PLACE, target, "merged", "LA", 0.0, parts, True)

    (average,) = number._averages([score("es", 40, 42), score("fr", 50, 56)])
    assert (average.group, average.value) == ("avg.", 47.0)
    assert average.seeds() == {"1": 45.0, "2": 49.0}
    assert average.written() == "47.00 ± 2.83"
    assert not list(number._averages([score("es", 40, 42), score("fr", 50)]))
    # words mean the score of a target, and the average only where nothing else fits
    spanish = score("es", 40, point="0.40")
    assert number.the_one([spanish, average], ["task=ner"]) == spanish
    gain = replace(average, interval=(0.0, 1.0), name="gain")
    assert number.the_one([average, gain], ["target=avg."]) == average


def test_a_folder_below_a_study_is_no_study(results):
    with pytest.raises(InputError, match="a folder within a study's results; name a file in it"):
        explain_number.lines(results / "adapters", ["49.00"])


def test_a_table_is_not_asked_for_a_number(results, capsys):
    assert cli.main(["audit", "explain", "results/tables/zero_shot.csv", "42.21"]) == 1
    said = capsys.readouterr().err
    assert "langarith audit explain RESULTS 42.21" in said and "no such column" not in said
    assert cli.main(["audit", "explain", "results/figures/zero_shot.pdf", "42.21"]) == 1
    assert "only tables (.csv) have rows" in capsys.readouterr().err


def test_gains_of_coarse_grids_have_the_points_of_the_coarse_choice(results):
    """On {0, 0.25, 0.5, 1} the full grid chooses 0.25, a step of 0.5 the end 1, unseen is 0.5."""
    scores = {0.0: 40.0, 0.25: 60.0, 0.5: 45.0, 1.0: 50.0}
    rows = [
        row for seed in (1, 2) for row in made_up.cell("es", "en+fr", seed, scores, chosen=0.25)
    ]
    made_up.table([rows]).drop(columns="point").to_csv(
        results / "tables/lambda_impact.csv", index=False
    )
    made_up.job(
        "tabulate",
        [],
        {"results/tables/lambda_impact.csv": None},
        "results/tables/lambda_impact.csv.provenance.json",
        experiment="lambda_impact",
    )
    gains = results / "tables/zero_shot_gains.csv"
    head, row = gains.read_text().splitlines()
    place = row.replace("zero_shot", "lambda_impact").split(",")[:6]
    coarse = [
        ",".join([*place, rule, "validation", str(gain), "-20", "-5"])
        for rule, gain in (("0.5", -10.0), ("λ = 0.5", -15.0), ("0.1", -1.0))
    ]
    (results / "tables/lambda_impact_gains.csv").write_text("\n".join([head, *coarse]) + "\n")

    graph = lineage.of(results)
    known = number.numbers(graph)
    found = [n for n in known if n.experiment == "lambda_impact" and n.interval]
    # a grid that the table does not have is no number
    assert [n.name for n in found] == [
        "gain of the grid of step 0.5 over the full grid",
        "gain of λ = 0.5 over the full grid",
    ]
    assert [[part.point for part in n.parts] for n in found] == [["1.00"] * 2, ["0.50"] * 2]
    assert [[part.value for part in n.parts] for n in found] == [[50.0] * 2, [45.0] * 2]
    weights = [dict(explain_number.chain(graph, n))["λ"] for n in found]
    assert weights[0].startswith("λ = 1.00, the en adapter alone, so no merging; chosen on valid")
    assert "by the grid of step 0.5; the full grid chose" in weights[0]
    assert weights[1] == "λ = 0.50; nothing was chosen"
    for n in found:
        assert number.find(known, shlex.split(n.words())) == [n]


def gain(method: str, over: str, value: float, **fields) -> number.Number:
    ends = (value - 1, value + 1)
    return number.Number(
        "methods", *PLACE, "avg.", "gain", f"gain over {over}", value, PART, True,
        ends, method, "validation", over, **fields,
    )  # fmt: skip


def score(name: str, value: float, point: str, group: str = "avg.") -> number.Number:
    parts = tuple(replace(part, point=point) for part in PART)
    return number.Number("methods", *PLACE, group, name, name, value, parts, True)


PLACE = ("tiny", "ner", "f1")
JOB = lineage.Job("", {"rule": "sweep_la", "wildcards": {"model": "tiny", "task": "ner"}})
PART = (number.Part("1", 40.0, "0.50", JOB),)


def test_words_of_gains_name_the_method():
    known = [gain("ties20", "better proxy", -3.3), gain("ties80", "better proxy", -0.1)]
    for n in known:
        assert number.find(known, shlex.split(n.words())) == [n]


def links_of(known: list[number.Number], header: str, *rows: str, experiment: str = "methods"):
    """The cells of a table with what each number leads to: a Number, or None for the table."""
    from langarith.audit import report

    links = linked.Links.__new__(linked.Links)
    links.graph, links.numbers, links.used = None, known, {}
    columns = header.split(" | ")
    marks = [":--", *["--:"] * (len(columns) - 1)]
    lines = [f"| {line} |" for line in (header, " | ".join(marks), *rows)]
    page = str(report.html_of("## X, tiny, NER (F1)\n\n" + "\n".join(lines), experiment, links))
    by_key = {f"#{key}": found for found, key in links.used.items()}
    found = [
        (re.sub("<.*?>", "", text), by_key.get(href))
        for href, text in re.findall(r'<a href="([^"]*)">(.*?)</a></td>', page)
    ]
    hrefs = re.findall(r'href="([^"]*)"', page)
    place = f"{linked.PAGE}#path=tables/{experiment}.csv"
    assert all(href in by_key or href == place for href in hrefs)
    return found


def test_rows_of_methods_lead_to_the_scores_of_that_method():
    la, ties = score("LA", 46.15, "1.00"), score("TIES (top-K% 20)", 46.15, "0.80")
    better, over = gain("ties20", "better proxy", 0.0), gain("la", "ties20", 0.0)
    best, unlike = gain("la", "best other method", 2.0), gain("la", "better proxy", 3.0)
    known = [over, best, unlike, better, ties, la]
    found = links_of(
        known,
        "method | average | λ | gain | LA minus it",
        "related adapter | 46.15 |  |  |  ",
        "LA | **46.15** | 1.00 [0.62, 1.00] | +3.00 [+2.00, +4.00] |  ",
        "TIES (top-K% 20) | 46.15 | 0.80 | 0.00 [-1.00, +1.00] | 0.00 [-1.00, +1.00]",
    )
    assert found == [
        ("46.15", None),
        ("46.15", la),
        ("1.00 [0.62, 1.00]", la),
        ("+3.00 [+2.00, +4.00]", unlike),
        ("46.15", ties),
        ("0.80", ties),
        ("0.00 [-1.00, +1.00]", better),
        ("0.00 [-1.00, +1.00]", over),
    ]


def test_a_cell_that_is_no_number_leads_to_the_table():
    """Regrets and ranks; a rule whose score is another's; two rows of pool, two budgets."""
    entropy, oracle = score("least entropy", 42.21, "1.00"), score("oracle", 42.21, "0.50")
    found = links_of(
        [entropy, oracle],
        "rule | average | regret | rank",
        "validation | 42.21 | 0.00 | 3.0",
        "least entropy | 42.21 | -0.13 [-0.24, -0.01] | 42.2",
        "oracle | 42.21 | 42.21 |  ",
    )
    assert [cell for cell in found if cell[1]] == [("42.21", entropy)]
    assert len(found) == 8

    small, full = score("LA", 45.99, "1.00", "es@1k"), score("LA", 45.99, "1.00", "es@full")
    header = "t | budget | LA(t, en) | λ | gain"
    rows = ["es | 1k | 45.99 | 1.00 | +6.34", "es | full | 45.99 | 0.75 | 45.98"]
    assert [n for _, n in links_of([full, small], header, *rows)] == [
        *(small, small, None),
        *(full, full, None),
    ]

    two = [score(name, 49.85, "0.50", "de") for name in ("LA, k = 1", "soup, k = 2")]
    rows = ["de | 0 | en adapter | 49.85", "de | 2 | soup | 49.85"]
    assert [n for _, n in links_of(two, "t | k | merge | score", *rows)] == [None, two[1]]


def test_equal_numbers_of_a_row_lead_to_their_own_columns(results):
    links = linked.Links(lineage.of(results))
    heads = "".join(f"<th>{name}</th>" for name in ("t", "examples", "en", "LA", "λ", "gain"))
    row = '<tr>\n<td style="text-align:left">es</td>\n' + "".join(
        f'<td style="text-align:right">{text}</td>\n'
        for text in (
            "300",
            "43.00 ± 0.00",
            "<strong>49.00 ± 0.00</strong>",
            "0.50 [0.00, 1.00]",
            "+6.00 [-0.50, +8.25]",
        )
    )
    html = links.tables(
        f"<h3>Zero-shot, tiny, NER (F1)</h3><table>{heads}{row}</tr></table>", "zero_shot"
    )
    assert 'text-align:right">300</td>' in html
    assert html.count('<a href="#n') == 4
    chains = {chain.key: chain for chain in links.chains()}
    assert [chain.lines[0][1].split(":")[0] for chain in chains.values()] == [
        "test score, en adapter",
        "test score, language arithmetic",
        "points, gain over better proxy",
    ]
    # λ is the sum's
    assert '<a href="#n2">0.50 [0.00, 1.00]</a>' in html
    other = links.tables(
        "<h3>Other, tiny, NLI</h3><tr>\n<td>es</td>" + row[28:] + "</tr>", "similarity"
    )
    assert f'<a href="{linked.PAGE}#path=tables/similarity.csv">' in other
