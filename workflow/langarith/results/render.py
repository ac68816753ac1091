"""Sheets as Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from langarith.results.sheet import MISSING, Cell, Number, Sheet


def markdown(sheets: Iterable[Sheet]) -> str:
    """Sheets one below the other: a heading, a table (GitHub's Markdown) and the note each."""
    return "\n".join(_markdown(made) for made in sheets)


def _markdown(made: Sheet) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    if not made.header:
        return f"## {escaped(made.title)}\n\n{escaped(made.note)}\n"
    lines = [line(escaped(name) for name in made.header)]
    lines.append(line("--:" if right else ":--" for right in _right_aligned(made)))
    lines += [line(_markdown_cell(cell) for cell in row) for row in made.rows]
    return f"## {escaped(made.title)}\n\n" + "\n".join(lines) + f"\n\n{escaped(made.note)}\n"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escaped(cell)
    if cell.missing:
        return MISSING
    value = f"**{cell.written()}**" if cell.best else cell.written()
    spread = "" if math.isnan(cell.spread) else f" ± {cell.spread:.{cell.digits}f}"
    return f"{value}{spread}{cell.brackets()}{' †' if cell.partial else ''}"


def escaped(text: str) -> str:
    """Text that Markdown prints as it is; underscores inside a word need no mark."""
    marked = re.sub(r"([\\`*|\[\]<])|(?<!\w)(_)|(_)(?!\w)", r"\\\1\2\3", text)
    return " ".join(marked.split())


LONG = 40
"""Rows above which a LaTeX table may break across pages, letters above which a text may wrap."""


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end it would be an argument
    "±": r"$\pm$",
    "λ": r"$\lambda$",
    "−": r"$-$",
    "†": r"\textdagger{}",
}


def latex(sheets: Iterable[Sheet]) -> str:
    r"""Sheets one below the other, to be `\input`; each is a table with booktabs' lines.

    Compiles under pdfLaTeX with booktabs, graphicx, which shrinks a table that is wider than its
    line, and, for tables of more than `LONG` rows, longtable.
    """
    made = list(sheets)
    packages = ["booktabs", "graphicx"]
    if any(len(one.rows) > LONG for one in made):
        packages.append("longtable")
    head = "".join(f"% \\usepackage{{{package}}}\n" for package in packages)
    return f"% Needs in the preamble:\n{head}\n" + "\n".join(_latex(one) for one in made)


def _latex(made: Sheet) -> str:
    if made.aside or not made.header:
        lines = [made.title + ". " + made.note, *(": ".join(map(_plain, row)) for row in made.rows)]
        return "".join(f"% {' '.join(line.split())}\n" for line in lines)

    def line(cells: Iterable[str]) -> str:
        return f"  {' & '.join(cells)} \\\\\n"

    columns = "".join(_column(made))
    head = "  \\toprule\n" + line(_tex(name) for name in made.header) + "  \\midrule\n"
    blocks = ["".join(line(_tex_cell(c) for c in row) for row in block) for block in made.blocks]
    body = "  \\midrule\n".join(blocks)
    caption = f"\\caption{{{_tex(made.title)}. {_tex(made.note)}}}\\label{{{_label(made.title)}}}"
    if len(made.rows) > LONG:
        return (
            f"\\begin{{longtable}}{{{columns}}}\n  {caption} \\\\[{SKIP}]\n{head}  \\endfirsthead\n"
            f"{head}  \\endhead\n{body}  \\bottomrule\n\\end{{longtable}}\n"
        )
    return (
        "\\begin{table}\n  \\centering\n  \\small\n"
        f"  \\setlength{{\\belowcaptionskip}}{{{SKIP}}}\n  {caption}\n"
        f"  {FITTED}{{\\begin{{tabular}}{{{columns}}}\n"
        f"{head}{body}  \\bottomrule\n  \\end{{tabular}}}}\n"
        "\\end{table}\n"
    )


SKIP = "6pt"
"""Between a caption and its table."""

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""Shrinks what is wider than the line, and leaves all else as it is."""


def _label(title: str) -> str:
    """A label from a table's title: `tab:zero-shot-tiny-ner-f1`."""
    return f"tab:{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}"


def _tex_cell(cell: Cell) -> str:
    if isinstance(cell, str) or cell.missing:
        return _tex(_plain(cell))
    value, brackets = (text.replace("-", "$-$") for text in (cell.written(), cell.brackets()))
    value = f"\\textbf{{{value}}}" if cell.best else value
    spread = "" if math.isnan(cell.spread) else f" $\\pm$ {cell.spread:.{cell.digits}f}"
    return f"{value}{spread}{brackets}{_TEX['†'] if cell.partial else ''}"


def _tex(text: str) -> str:
    return " ".join("".join(_TEX.get(letter, letter) for letter in text).split())


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.written()


def _right_aligned(made: Sheet) -> list[bool]:
    """By column: whether it holds numbers."""
    return [any(isinstance(row[i], Number) for row in made.rows) for i in range(len(made.header))]


def _column(made: Sheet) -> list[str]:
    """LaTeX's letter for each column."""
    widths = [
        max((len(_plain(row[i])) for row in made.rows), default=0) for i in range(len(made.header))
    ]
    return [
        "r" if right else "p{0.4\\linewidth}" if width > LONG else "l"
        for right, width in zip(_right_aligned(made), widths, strict=True)
    ]
