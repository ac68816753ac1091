"""`langarith audit explain RESULTS WORDS`: a number found by what a reader holds, in six lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import made_up
from langarith import cli
from langarith.audit import chain, lineage, linked, number
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
    assert found[6:] == ["3 more numbers fit: add experiment=zero_shot or what=..."]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["49.00"], "language arithmetic"),
        (["49.0"], "language arithmetic"),
        (["43"], "en adapter"),
        (["+6.00"], "gain over better proxy"),
        (["what=related"], "fr adapter"),
        (["what=gain over better proxy"], "gain over better proxy"),
        (["method=la", "operands=en+fr", "what=merged"], "language arithmetic"),
    ],
)
def test_a_number_is_found_as_printed_or_by_words(results, words, what):
    assert f", {what}: zero_shot, tiny" in chain.lines(results, words)[0]


def test_a_gain_says_its_interval(results):
    assert chain.lines(results, ["+6.00"])[0].startswith("+6.00 [-0.50, +8.25] points, gain")


def test_an_end_of_lambda_is_no_merging(results):
    lines = chain.lines(results, ["what=task_language"])
    assert "λ = 1.00, the en adapter alone; nothing was chosen" in lines[2]
    for path in results.glob("evaluation/**/selected.json"):
        content = json.loads(path.read_text()) | {"selected": 1.0}
        path.write_text(json.dumps(content))
    table = results / "tables/zero_shot.csv"
    text = table.read_text().replace("0.5,test,True", "0.5,test,False")
    table.write_text(text.replace("1.0,test,False", "1.0,test,True"))
    lines = chain.lines(results, ["what=merged"])
    assert lines[0].startswith("43.00")
    assert "λ = 1.00, the en adapter alone, so no merging; chosen on validation" in lines[2]


def test_the_tree_is_shown_on_request(results, capsys):
    assert not any("└──" in line for line in explain(capsys, "49.00"))
    tree = "\n".join(explain(capsys, "49.00", "--tree"))
    assert "└── sweep_la (seed 2, model tiny, task ner, target es, operands en+fr)" in tree


def test_several_numbers_are_listed_with_words_that_find_each(results):
    table = results / "tables/zero_shot.csv"
    table.write_text(table.read_text().replace("0.0,test,False,f1,39.0", "0.0,test,False,f1,43.0"))
    lines = chain.lines(results, ["43"])
    assert lines[0] == "2 numbers fit; add the words of one of them:"
    for line, what in zip(lines[1:], ("en adapter", "fr adapter"), strict=True):
        value, *words = line.split()
        assert value == "43.00"
        assert f", {what}: " in chain.lines(results, [w for w in words if "=" in w])[0]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("99.99", "no number of the study fits 99.99"),
        ("taget=es", "did you mean 'target'?"),
        ("spanish", "write a number as printed, or one of experiment"),
    ],
)
def test_what_fits_nothing_is_one_sentence(results, word, sentence):
    with pytest.raises(InputError) as error:
        chain.lines(results, [word])
    assert sentence in str(error.value)


def test_an_average_is_over_targets_that_every_seed_has():
    def score(target: str, *values: float) -> number.Number:
        parts = tuple(
            number.Part(str(seed), value, "0.50", None) for seed, value in enumerate(values, 1)
        )
        return number.Number("x", "tiny, NER (F1, %)", target, "merged", "LA", 0.0, parts, True)

    (average,) = number._averages([score("es", 40, 42), score("fr", 50, 56)])
    assert (average.group, average.value) == ("avg.", 47.0)
    assert average.seeds() == {"1": 45.0, "2": 49.0}
    assert average.written() == "47.00 ± 2.83"
    assert not list(number._averages([score("es", 40, 42), score("fr", 50)]))


def test_equal_numbers_of_a_row_lead_to_their_own_columns(results):
    links = linked.Links(lineage.of(results))
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
    html = links.tables(f"<h3>Zero-shot, tiny, NER (F1)</h3><table>{row}</tr></table>", "zero_shot")
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
