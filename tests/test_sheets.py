"""Sheets: what a reader finds in a table, and that Markdown and LaTeX print it as it is."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import made_up
from langarith.results import render, sheet, sheets
from langarith.results.sheet import Number, Sheet, missing_cells
from made_up import CAPTION, cell, gone, table

GONE = {"cell": "tiny/ner/fr/la/en+es/seed2", "log": "results/logs/sweep_la/tiny-ner-fr.log"}


def texts(made: Sheet) -> list[list[str]]:
    """Every cell as Markdown has it."""
    lines = render.markdown([made]).split("\n\n")[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def proxies(target: str, related: str, seed: int, right: float, half: float, left: float, **names):
    """A sweep whose validation scores prefer the lower proxy, and a score without an adapter."""
    curve = {0.0: right, 0.5: half, 1.0: left}
    swapped = {0.0: left, 0.5: half, 1.0: right}
    found = cell(
        target, f"en+{related}", seed, curve, chosen=max(curve, key=curve.get), validation=swapped,
        **names,
    )  # fmt: skip
    test = {"split": "test", "lambda": math.nan, "selected": False, "method": "none"}
    none = {"left": "", "right": "", "operands": "", "budget": ""}
    metrics = made_up.metrics(found[0]["task"], 20.0)
    rows = [found[0] | test | none | {"metric": m, "value": v} for m, v in metrics.items()]
    return [*found, *rows]


@pytest.fixture
def zero_shot() -> pd.DataFrame:
    """Means in es: en 46, fr 41, LA 53; in fr, from one seed of two: en 30, es 60, LA 62."""
    return table(
        [
            proxies("fr", "es", 1, 60, 62, 30),
            gone("fr", "en+es", 2),
            proxies("es", "fr", 1, 40, 50, 44),
            proxies("es", "fr", 2, 42, 56, 48),
        ]
    )


def test_a_metric_without_a_title_is_printed_under_its_name(zero_shot: pd.DataFrame) -> None:
    text = render.markdown(sheets.zero_shot(zero_shot.assign(metric="kappa"), CAPTION))
    assert text.startswith("## Zero-shot, tiny, NER (kappa)\n")


# --- what the sheets say ------------------------------------------------------------------------


def test_zero_shot_as_a_reader_sees_it(zero_shot: pd.DataFrame) -> None:
    text = render.markdown([*sheets.zero_shot(zero_shot, CAPTION), *missing_cells([GONE])])
    # seed 1 has en 37, related 50, LA 56 over two targets; 2 lacks fr, so it has no average
    assert text == (
        "## Zero-shot, tiny, NER (F1)\n\n"
        "| target | related | examples | no adapter | en adapter | related adapter "
        "| LA(en, related) | λ | gain | over the chosen |\n"
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        "| es | fr | 10 | 20.00 ± 0.00 | 46.00 ± 2.83 | 41.00 ± 1.41 | **53.00** ± 4.24 "
        "| 0.50 | +7.00 | +12.00 |\n"
        "| fr | es | 10 | 20.00 † | 30.00 † | 60.00 † | **62.00** † "
        "| 0.50 † | +2.00 † | +32.00 † |\n"
        "| average |  | 20 | 20.00 † | 37.00 † | 50.00 † | **56.00** † "
        "| 0.50 † | +6.00 † | +21.00 † |\n"
        "| mean of gains |  |  |  |  |  |  |  | +4.50 † |  |\n"
        "\n"
        "Test scores in percent, mean ± standard deviation over seeds; the best in bold. "
        "Examples: of the test split. The average is that of each seed over its targets; "
        "its gain is that of the averages. No adapter: the task adapter without a language "
        "adapter. λ weighs en. The gain, in points, is over the better of the two single adapters "
        "on test data; the gain over the chosen one is over that with the higher score on "
        "validation data. †: of fewer runs than the study has. Study: little. Seeds: 1, 2. "
        "Made up.\n"
        "\n"
        "## Missing cells\n\n"
        "| cell | log |\n"
        "| :-- | :-- |\n"
        "| tiny/ner/fr/la/en+es/seed2 | results/logs/sweep_la/tiny-ner-fr.log |\n"
        "\n"
        "These cells of the study have no result; their logs say why.\n"
    )


def test_whole_study_has_no_marks_and_no_missing_cells(zero_shot: pd.DataFrame) -> None:
    whole = zero_shot[zero_shot["target"] == "es"]
    text = render.markdown(sheets.zero_shot(whole, CAPTION))
    assert not re.search(r"†|--:? missing|Missing", text)


def test_target_without_any_result_is_marked_as_missing(zero_shot: pd.DataFrame) -> None:
    lost = zero_shot[zero_shot["target"] == "es"]
    lost = pd.concat([lost, table([gone("fr", "en+es", seed) for seed in (1, 2)])])
    (made,) = sheets.zero_shot(lost, CAPTION)
    assert texts(made)[1] == ["fr", "es", *["--"] * 8]
    # an average over the other target alone would pass for one over both
    assert texts(made)[2][4:7] == ["--", "--", "--"]
    assert "--: missing." in made.note


def test_seed_that_failed_as_a_whole_is_noticed(zero_shot: pd.DataFrame) -> None:
    first = zero_shot[zero_shot["seed"] == 1]
    (made,) = sheets.zero_shot(first, CAPTION)
    numbers = [number for row in made.rows for number in row[3:] if isinstance(number, Number)]
    assert all(number.partial for number in numbers)
    (made,) = sheets.zero_shot(first, replace(CAPTION, seeds=[1]))
    assert texts(made)[0] == [
        *("es", "fr", "10", "20.00", "44.00", "40.00", "**50.00**", "0.50", "+6.00", "+10.00")
    ]


def test_models_tasks_and_languages_keep_the_order_of_the_study() -> None:
    cells = [
        proxies(target, "de", seed, 1, 2, 1, task=task, model=model)
        for model in ("small", "tiny")
        for task in ("qa", "ner")
        for target in ("zu", "sw", "es")  # zu is no language of the study: it comes last
        for seed in (1, 2)
    ]
    made = sheets.zero_shot(table(cells), replace(CAPTION, models=["tiny", "small"]))
    assert [one.title for one in made] == [
        "Zero-shot, tiny, QA (F1)",
        "Zero-shot, tiny, NER (F1)",
        "Zero-shot, small, QA (F1)",
        "Zero-shot, small, NER (F1)",
    ]
    assert all(
        [row[0] for row in one.rows] == ["es", "sw", "zu", "average", "mean of gains"]
        for one in made
    )


def enhanced(left: str, target: str, seed: int, madx: float, merged: float) -> list[dict]:
    return cell(target, f"{left}+{target}", seed, {0.0: madx, 0.5: merged}, chosen=0.5)


def test_enhancement_names_the_pairing() -> None:
    made = sheets.enhancement(
        table(
            [
                enhanced("en", "es", 1, 30, 40),
                enhanced("fr", "es", 1, 30, 42),
                enhanced("en", "fr", 1, 50, 48),
                enhanced("es", "fr", 1, 50, 47),
            ]
        ),
        replace(CAPTION, seeds=[1]),
    )
    assert texts(made[0]) == [
        ["es", "fr", "10", "30.00", "40.00", "**42.00**", "**42.00**", "fr", "0.50", "+12.00"],
        ["fr", "es", "10", "**50.00**", "48.00", "47.00", "48.00", "en", "0.50", "-2.00"],
        ["average", "", "20", "40.00", "44.00", "44.50", "**45.00**", "", "", "+5.00"],
    ]


def test_enhancement_with_a_pairing_missing_has_no_average() -> None:
    made = sheets.enhancement(
        table(
            [
                enhanced("en", "es", 1, 30, 40),
                enhanced("fr", "es", 1, 30, 42),
                enhanced("en", "fr", 1, 50, 48),
                gone("fr", "es+fr", 1),
            ]
        ),
        replace(CAPTION, seeds=[1]),
    )
    assert texts(made[0]) == [
        ["es", "fr", "10", "30.00", "40.00", "**42.00**", "**42.00**", "fr", "0.50", "+12.00"],
        ["fr", "es", "10", "**50.00**", "48.00", "--", "--", "--", "--", "--"],
        ["average", "", "20", "--", "--", "--", "--", "", "", "--"],
    ]


def test_gain_of_the_average_is_over_the_runs_that_are_averaged() -> None:
    """In the second seed of es LA(en, t) is missing, and so that run counts for no column."""
    cells = [enhanced("en", "es", 1, 30, 31), gone("es", "en+es", 2)]
    cells += [enhanced("fr", "es", 1, 30, 40), enhanced("fr", "es", 2, 30, 90)]
    made = sheets.enhancement(table(cells), CAPTION)
    assert texts(made[0]) == [
        [
            "es",
            "fr",
            "10",
            "30.00 ± 0.00",
            "31.00 †",
            *["**65.00** ± 35.36"] * 2,
            "fr",
            "0.50",
            "+35.00",
        ],
        [
            "average",
            "",
            "10",
            "30.00 †",
            "31.00 †",
            "**40.00** †",
            "**40.00** †",
            "",
            "",
            "+10.00 †",
        ],
    ]


def test_low_resource_has_budgets_in_the_order_of_their_size() -> None:
    cells = [
        cell(target, f"en+{operand}", 1, {0.0: 10, 0.5: score, 1.0: 9}, chosen=0.5)
        for target, operand, score in [
            ("sw", "sw@1M", 13),
            ("sw", "sw", 9.5),
            ("sw", "sw@10k", 12),
            ("fr", "fr@10k", 11),
        ]
    ]
    (made,) = sheets.low_resource(table(cells), replace(CAPTION, seeds=[1]))
    assert texts(made) == [
        ["fr", "10k", "10", "10.00", "**11.00**", "0.50", "+1.00"],
        ["sw", "10k", "10", "10.00", "**12.00**", "0.50", "+2.00"],
        ["sw", "1M", "10", "10.00", "**13.00**", "0.50", "+3.00"],
        ["sw", "full", "10", "**10.00**", "9.50", "0.50", "-0.50"],
    ]
    assert [len(block) for block in made.blocks] == [1, 3]


def test_lambda_impact_has_mean_and_worst_regret_and_what_is_saved() -> None:
    grid = [0.0, 0.25, 0.5, 0.75, 1.0]

    def peak(target: str, seed: int, lost: float, task: str = "ner") -> list[dict]:
        curve = dict.fromkeys(grid, 10.0) | {0.25: 20.0, 0.5: 20.0 - lost}
        return cell(target, "en+fr", seed, curve, chosen=0.25, task=task)

    cells = [peak("es", 1, 1), peak("de", 1, 3), peak("es", 2, 2), peak("de", 2, 6)]
    made = sheets.lambda_impact(
        table([*cells, peak("es", 1, 4, "nli"), peak("es", 2, 4, "nli")]), CAPTION
    )
    # ner: seeds have 2 and 4 on average; all: (1 + 3 + 4) / 3 and (2 + 6 + 4) / 3
    assert texts(made[0]) == [
        [task, examples, grid, mean, worst, evaluations, saved]
        for task, examples, mean, worst in [
            ("NER", "20", "3.00 ± 1.41", "6.00"),
            ("NLI", "10", "4.00 ± 0.00", "4.00"),
            ("all", "30", "3.33 ± 0.94", "6.00"),
        ]
        for grid, evaluations, saved in [("0.5", "3", "2"), ("λ = 0.5", "0", "5")]
    ]
    assert "The full grid takes 5 evaluations." in made[0].note


def test_lambda_impact_of_a_missing_cell_is_marked() -> None:
    curve = {0.0: 1.0, 0.25: 3.0, 0.5: 2.0, 0.75: 1.0, 1.0: 1.0}
    cells = [cell("es", "en+fr", seed, curve, chosen=0.25) for seed in (1, 2)]
    (made,) = sheets.lambda_impact(
        table([*cells, cell("de", "en+fr", 1, curve, chosen=0.25), gone("de", "en+fr", 2)]), CAPTION
    )
    assert texts(made)[0] == ["NER", "20", "0.5", "1.00 †", "1.00 †", "3", "2"]


def test_relatedness_is_table_1() -> None:
    made = sheets.relatedness(
        table(
            [
                cell("fr", "es+fr", 1, {0.5: 75.76}, chosen=0.5),
                cell("fr", "it+fr", 1, {0.5: 75.82}, chosen=0.5),
                cell("es", "fr+es", 1, {0.5: 75.06}, chosen=0.5),
                gone("es", "it+es", 1),
            ]
        ),
        replace(CAPTION, seeds=[1]),
    )
    assert made[0].header == ("task", "t", "examples", "es", "fr", "it", "range")
    assert texts(made[0]) == [
        ["NER (F1)", "es", "10", "", "75.06", "--", "0.00 †"],
        ["NER (F1)", "fr", "10", "75.76", "", "**75.82**", "0.06"],
    ]


def test_points_of_two_numbers_are_printed_as_the_mean_of_each() -> None:
    cells = [cell("es", "en+fr", s, {0.0: 50, 0.5: 60, 1.0: 40}, chosen=0.5) for s in (1, 2)]
    cells += [
        cell("es", "en+fr", s, {"0.00,0.50": 50, top: 62}, chosen=top, method="layers")
        for s, top in ((1, "0.50,1.00"), (2, "0.25,1.00"))
    ]
    (made,) = sheets.SHEETS["methods"](table(cells), CAPTION)
    assert texts(made) == [
        ["en adapter", "40.00 ± 0.00", "", "", "", ""],
        ["related adapter", "50.00 ± 0.00", "", "", "", ""],
        ["LA", "60.00 ± 0.00", "0.50", "+10.00", "+10.00", ""],
        ["LA by layers", "**62.00** ± 0.00", "0.38, 1.00", "+12.00", "+12.00", "-2.00"],
    ]
    assert "missing" not in made.note


def test_ties_are_averaged_over_seeds_that_all_methods_have_whole() -> None:
    def score(target: str, method: str, value: float) -> list[dict]:
        weight = 0.5 if method == "la" else 1.2
        return cell(target, "en+fr", 1, {weight: value}, chosen=weight, method=method)

    cells = [
        *(score("es", m, v) for m, v in {"la": 60, "ties20": 52, "ties80": 57}.items()),
        *(score("de", m, v) for m, v in {"la": 70, "ties80": 69}.items()),
    ]
    lost = gone("de", "en+fr", 1, method="ties20")
    second = [
        [dict(row, seed=2) for row in score(target, method, value)]
        for method, value in {"la": 60, "ties20": 52, "ties80": 57}.items()
        for target in ("es", "de")
    ]
    (made,) = sheets.ties(table([*cells, lost, *second]), CAPTION)
    assert [row[:2] + row[3:] for row in texts(made)] == [
        ["LA", "**60.00** †", ""],
        ["TIES (top-K% 20)", "52.00 †", "+8.00 †"],
        ["TIES (top-K% 80)", "57.00 †", "+3.00 †"],
    ]
    (made,) = sheets.ties(table([*cells, score("de", "ties20", 61)]), replace(CAPTION, seeds=[1]))
    assert texts(made) == [
        ["LA", "**65.00**", "0.50", ""],
        ["TIES (top-K% 20)", "56.50", "1.20", "+8.50"],
        ["TIES (top-K% 80)", "63.00", "1.20", "+2.00"],
    ]


def test_related_languages_beside_the_papers() -> None:
    columns = "target candidate shared_family distance rank tie_set chosen in_study".split()
    found = pd.DataFrame(
        [
            ("sw", "de", 1, 0.2, 2, True, False, True),
            ("sw", "fr", 1, 0.1, 1, True, True, False),
            ("de", "es", 2, 0.2, 2, True, False, False),
            ("de", "fr", 2, 0.1, 1, True, True, True),
            ("de", "sw", 1, 0.3, 3, False, False, False),
            ("zu", "sw", 9, 0.3, 1, True, True, False),
        ],
        columns=columns,
    )
    (made,) = sheets.related_languages(found, CAPTION)
    assert texts(made) == [
        ["de", "fr, es", "fr", "fr", "fr"],
        ["sw", "all", "fr", "de", "ar"],
        ["zu", "sw", "sw", "--", "--"],
    ]
    # a table that was read as text is the same
    assert sheets.related_languages(found.astype({"tie_set": str, "chosen": str}), CAPTION) == [
        made
    ]


def test_similarity_is_a_matrix_of_means_with_its_extremes() -> None:
    pairs = [("fr", "es", 0.31), ("de", "es", 0.26), ("fr", "de", 0.2)]
    found = pd.DataFrame(
        [
            ("tiny", kind, left, right, seed, cosine + shift)
            for kind, several in (("language", pairs), ("task", [("ner", "qa", 0.01)]))
            for left, right, cosine in several
            for seed, shift in ((1, 0.0), (2, 0.02))
        ]
        + [("tiny", "language", "es", "es", 1, 1.0)],
        columns="model kind left right seed cosine".split(),
    )
    languages, tasks, extremes = sheets.SHEETS["similarity"](found, CAPTION)
    assert languages.header == ("", "es", "fr", "de")
    assert texts(languages) == [
        ["es", "1.00", "0.32", "0.27"],
        ["fr", "0.32", "1.00", "0.21"],
        ["de", "0.27", "0.21", "1.00"],
    ]
    assert texts(tasks) == [["ner", "1.00", "0.02"], ["qa", "0.02", "1.00"]]
    assert texts(extremes) == [
        ["tiny", "language vectors", "least", "fr and de", "0.210 ± 0.014"],
        ["tiny", "language vectors", "greatest", "es and fr", "0.320 ± 0.014"],
        ["tiny", "task vectors", "least", "ner and qa", "0.020 ± 0.014"],
        ["tiny", "task vectors", "greatest", "ner and qa", "0.020 ± 0.014"],
    ]


def test_sparsity_is_in_percent_below_each_threshold() -> None:
    found = pd.DataFrame(
        [
            ("tiny", "es", layer, seed, quantity, x, value + seed / 100)
            for layer in (0, 1)
            for seed in (1, 2)
            for quantity, x, value in [
                ("density", 0.0, 40.0),
                ("share_below", 0.01, 0.3 + layer / 10),
                ("share_below", 0.001, 0.1),
            ]
        ],
        columns="model language layer seed quantity x value".split(),
    )
    (made,) = sheets.SHEETS["sparsity"](found, CAPTION)
    assert made.header == ("language", "layer", "below 0.001", "below 0.01")
    assert texts(made) == [
        ["es", "0", "11.5 ± 0.7", "31.5 ± 0.7"],
        ["es", "1", "11.5 ± 0.7", "41.5 ± 0.7"],
    ]


def test_best_is_what_is_printed_as_the_greatest() -> None:
    def marks(*values: float) -> list[bool]:
        return [number.best for number in sheet.best([Number(value) for value in values])]

    assert marks(1.0, 3.0, 2.0) == [False, True, False]
    assert marks(3.001, 3.004, 2.0) == [True, True, False]
    assert marks(math.nan, 1.0, 2.0) == [False, False, True]
    assert marks(math.nan, 1.0) == [False, False]  # compared with nothing


# --- how they are printed -----------------------------------------------------------------------

NUMBERS = [
    (Number(1.005), "1.00", "1.00"),
    (Number(-0.001, signed=True), "0.00", "0.00"),
    (Number(-1.5, signed=True, best=True), "**-1.50**", r"\textbf{$-$1.50}"),
    (Number(2.0, 0.456, digits=1), "2.0 ± 0.5", r"2.0 $\pm$ 0.5"),
    (Number(2.0, 0.456, partial=True), "2.00 ± 0.46 †", r"2.00 $\pm$ 0.46\textdagger{}"),
    (Number(math.nan, partial=True, best=True), "--", "--"),
    (Number(21.0, digits=0), "21", "21"),
]


@pytest.mark.parametrize(("number", "in_markdown", "in_latex"), NUMBERS)
def test_number_in_both_languages(number: Number, in_markdown: str, in_latex: str) -> None:
    made = Sheet("A", "B.", ("n",), (((number,),),))
    assert render.markdown([made]).splitlines()[4] == f"| {in_markdown} |"
    assert f"\\midrule\n  {in_latex} \\\\\n" in render.latex([made])


ODD = Sheet(
    "A & B_c",
    "50 % of *x* | y_ [1] <b>\nλ ± †",
    ("a|b", "λ"),
    ((("x_1", Number(1.0)),), (("[y]", Number(2.0)),)),
)


def test_markdown_prints_texts_as_they_are() -> None:
    assert render.markdown([ODD]) == (
        "## A & B_c\n\n"
        "| a\\|b | λ |\n"
        "| :-- | --: |\n"
        "| x_1 | 1.00 |\n"
        "| \\[y\\] | 2.00 |\n\n"
        "50 % of \\*x\\* \\| y\\_ \\[1\\] \\<b> λ ± †\n"
    )


def test_latex_is_a_booktabs_table() -> None:
    assert render.latex([ODD]) == (
        "% Needs in the preamble:\n"
        "% \\usepackage{booktabs}\n"
        "% \\usepackage{graphicx}\n\n"
        "\\begin{table}\n  \\centering\n  \\small\n"
        "  \\setlength{\\belowcaptionskip}{6pt}\n"
        "  \\caption{A \\& B\\_c. 50 \\% of *x* \\textbar{} y\\_ {[}1] "
        "\\textless{}b\\textgreater{} $\\lambda$ $\\pm$ \\textdagger{}}"
        "\\label{tab:a-b-c}\n"
        "  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}"
        "{\\begin{tabular}{lr}\n"
        "  \\toprule\n"
        "  a\\textbar{}b & $\\lambda$ \\\\\n"
        "  \\midrule\n"
        "  x\\_1 & 1.00 \\\\\n"
        "  \\midrule\n"
        "  {[}y] & 2.00 \\\\\n"
        "  \\bottomrule\n"
        "  \\end{tabular}}\n"
        "\\end{table}\n"
    )


def test_latex_leaves_logs_to_a_comment(zero_shot: pd.DataFrame) -> None:
    tex = render.latex([*sheets.zero_shot(zero_shot, CAPTION), *missing_cells([GONE])])
    tail = tex.split("\\end{table}\n")[-1].strip().splitlines()
    assert tail[-1] == f"% {GONE['cell']}: {GONE['log']}"
    assert all(line.startswith("% ") for line in tail)


def test_long_tables_break_across_pages() -> None:
    long = Sheet("Long", "Note.", ("a",), (tuple(("x",) for _ in range(41)),))
    tex = render.latex([long])
    assert "% \\usepackage{longtable}\n" in tex
    assert tex.count("\\begin{longtable}{l}") == tex.count("\\end{longtable}") == 1
    assert "tabular" not in tex
    assert len(check_latex(tex)[0]) == 41 + 2  # the head is there for the first page and the others


def check_latex(tex: str) -> list[list[list[str]]]:
    """The cells of each table; fails where TeX would stop.

    Braces and environments are closed in their order, every line has as many cells as there are
    columns, only known commands are used, and mathematics opens and closes within a cell.
    """
    tex = re.sub(r"(?m)^%.*\n?", "", tex)
    assert re.sub(r"[^\x20-\x7e\n]", "", tex) == tex
    known = (
        "begin end centering small caption toprule midrule bottomrule endfirsthead endhead textbf "
    )
    known += "textdagger textbackslash textasciitilde textasciicircum textless textgreater textbar "
    known += "lambda pm label setlength belowcaptionskip resizebox ifdim width linewidth else fi"
    assert set(re.findall(r"\\([a-zA-Z]+)", tex)) <= set(known.split())
    bare = re.sub(r"\\[\\&%$#_{}]", "", tex)
    assert not re.search(r"[#_%~^]", bare)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", tex):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    tables = []
    for columns, body in re.findall(
        r"\\begin\{(?:tabular|longtable)\}\{((?:[lr]|p\{[^}]*\})+)\}\n(.*?)\\end\{(?:tabular|longtable)\}",
        tex,
        re.DOTALL,
    ):
        width = len(re.sub(r"p\{[^}]*\}", "p", columns))
        lines = [
            line.strip() for line in body.splitlines() if re.search(r"(?<!\\caption)\\\\$", line)
        ]
        lines = [line for line in lines if not line.startswith("\\caption")]
        found = [re.split(r"(?<!\\) ?& ?", line.removesuffix("\\\\")) for line in lines]
        assert all(len(line) == width for line in found)
        assert all(re.sub(r"\\\$", "", c).count("$") % 2 == 0 for line in found for c in line)
        tables.append(found)
    return tables


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_text_is_escaped(text: str) -> None:
    made = Sheet(text, text, (text, "n"), (((text, Number(1.0)),),))
    ((head, row),) = check_latex(render.latex([made]))
    assert len(head) == len(row) == 2
    lines = render.markdown([made]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in rows] == [3, 3, 3]


def some_tables() -> dict[str, pd.DataFrame]:
    """A tidy table for every experiment."""
    la = [proxies(t, "fr", s, 40 + s, 50 + s, 44) for t in ("es", "de") for s in (1, 2)]
    own = [
        cell(t, f"{left}+{t}", s, {0.0: 40, 0.5: 50, 1.0: 44}, chosen=0.5)
        for t, pairs in (("es", "en fr".split()), ("fr", "en es".split()))
        for left in pairs
        for s in (1, 2)
    ]
    scaled = [
        cell(t, "en+fr", s, {1.0: 40}, chosen=1.0, method="ties20")
        for t in ("es", "de")
        for s in (1, 2)
    ]
    made: dict[str, Any] = {
        "zero_shot": table(la),
        "enhancement": table(own),
        "low_resource": table(
            [cell("sw", "en+sw@10k", s, {0.0: 1, 0.5: 3, 1.0: 2}, chosen=0.5) for s in (1, 2)]
        ),
        "lambda_impact": table(
            [
                cell("es", "en+fr", s, dict.fromkeys([0.0, 0.25, 0.5, 0.75, 1.0], 3), chosen=0.5)
                for s in (1, 2)
            ]
        ),
        "relatedness": table(own),
        "ties": table([*la, *scaled]),
        "methods": table([*la, *scaled]),
        "pool": table(
            cell(t, operands, s, points, chosen=next(iter(points)), method=method)
            for t in ("es", "de")
            for s in (1, 2)
            for method, operands, points in (
                ("la", "en+fr", {0.5: 50, 0.0: 40, 1.0: 44}),
                ("la", "en+fr+sw", {"0.40,0.40": 51}),
                ("soup", "en+fr+sw", {"0.33,0.33": 49}),
            )
        ),
        "label_free": made_up.rules(
            cell(t, f"en+{other}", s, {0.0: 3, 0.5: 4, 1.0: 2}, chosen=0.5)
            for t, other in (("es", "fr"), ("fr", "es"))
            for s in (1, 2)
        ),
        "forgetting": made_up.forgotten(["en", "es", "fr"], "tiny", [1, 2]),
        "analogy": table(
            cell("es", operands, s, {0.0: 40 + s, 1.0: 43}, chosen=1.0, method=method)
            for method, operands in (("analogy", "fr+de+sw"), ("la", "en+sw"))
            for s in (1, 2)
        ),
        "related_languages": pd.DataFrame(
            [("es", "fr", 5, 0.1, 1, True, True, True)],
            columns="target candidate shared_family distance rank tie_set chosen in_study".split(),
        ),
        "similarity": pd.DataFrame(
            [("tiny", "language", "es", "fr", s, 0.3) for s in (1, 2)],
            columns="model kind left right seed cosine".split(),
        ),
        "sparsity": pd.DataFrame(
            [("tiny", "es", 0, s, "share_below", 0.01, 0.3) for s in (1, 2)],
            columns="model language layer seed quantity x value".split(),
        ),
    }
    return made


@pytest.mark.parametrize("experiment", sheets.SHEETS)
def test_every_experiment_can_be_printed(experiment: str) -> None:
    made = sheets.SHEETS[experiment](some_tables()[experiment], CAPTION)
    assert made
    for one in made:
        assert one.rows
        assert all(len(row) == len(one.header) for row in one.rows)
        assert "Study: little. Seeds: 1, 2. Made up." in one.note
        # nothing is missing, so nothing may say so
        assert not re.search(r"†|--|nan", f"{one.note} {texts(one)}")
    tables = check_latex(render.latex(made))
    assert [len(found) for found in tables] == [len(one.rows) + 1 for one in made]


def test_missing_cells_are_named_with_their_logs() -> None:
    (made,) = missing_cells([GONE])
    assert made.title == "Missing cells"
    assert made.rows == ((GONE["cell"], GONE["log"]),)
    assert missing_cells([]) == []
