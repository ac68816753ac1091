"""Sheets as Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from langarith.results.sheet import MISSING, Cell, Number, Sheet


def markdown(sheets: Iterable[Sheet]) -> str:
    """Sheets one below the other, each with a heading, a table (GitHub's Markdown) and a note."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: Sheet) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    if not sheet.header:
        return f"## {escaped(sheet.title)}\n\n{escaped(sheet.note)}\n"
    lines = [line(escaped(name) for name in sheet.header)]
    lines.append(line("--:" if right else ":--" for right in _right_aligned(sheet)))
    lines += [line(_markdown_cell(cell) for cell in row) for row in sheet.rows]
    return f"## {escaped(sheet.title)}\n\n" + "\n".join(lines) + f"\n\n{escaped(sheet.note)}\n"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escaped(cell)
    if cell.missing:
        return MISSING
    value = f"**{cell.written()}**" if cell.best else cell.written()
    spread = "" if math.isnan(cell.spread) else f" ± {cell.spread:.{cell.digits}f}"
    return f"{value}{spread}{cell.brackets()}{' †' if cell.partial else ''}"


def escaped(text: str) -> str:
    """Text that Markdown prints unchanged; underscores inside a word need no backslash."""
    marked = re.sub(r"([\\`*|\[\]<])|(?<!\w)(_)|(_)(?!\w)", r"\\\1\2\3", text)
    return " ".join(marked.split())


LONG = 40
"""LaTeX tables with more rows may break across pages, cells with more letters may wrap."""


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
    "[": "{[}",  # after the end of a line it would start an argument
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
    tables = list(sheets)
    packages = ["booktabs", "graphicx"]
    if any(len(table.rows) > LONG for table in tables):
        packages.append("longtable")
    head = "".join(f"% \\usepackage{{{package}}}\n" for package in packages)
    return f"% Needs in the preamble:\n{head}\n" + "\n".join(_latex(table) for table in tables)


def _latex(sheet: Sheet) -> str:
    if sheet.aside or not sheet.header:
        lines = [
            sheet.title + ". " + sheet.note,
            *(": ".join(map(_plain, row)) for row in sheet.rows),
        ]
        return "".join(f"% {' '.join(line.split())}\n" for line in lines)

    def line(cells: Iterable[str]) -> str:
        return f"  {' & '.join(cells)} \\\\\n"

    columns = "".join(_column(sheet))
    head = "  \\toprule\n" + line(_tex(name) for name in sheet.header) + "  \\midrule\n"
    blocks = ["".join(line(_tex_cell(c) for c in row) for row in block) for block in sheet.blocks]
    body = "  \\midrule\n".join(blocks)
    caption = (
        f"\\caption{{{_tex(sheet.title)}. {_tex(sheet.note)}}}\\label{{{_label(sheet.title)}}}"
    )
    if len(sheet.rows) > LONG:
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
"""The space between a caption and its table."""

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""Shrinks a table that is wider than the line; other tables stay unchanged."""


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


def _right_aligned(sheet: Sheet) -> list[bool]:
    """For each column, True if it contains numbers."""
    return [any(isinstance(row[i], Number) for row in sheet.rows) for i in range(len(sheet.header))]


def _column(sheet: Sheet) -> list[str]:
    """LaTeX's letter for each column."""
    widths = [
        max((len(_plain(row[i])) for row in sheet.rows), default=0)
        for i in range(len(sheet.header))
    ]
    return [
        "r" if right else "p{0.4\\linewidth}" if width > LONG else "l"
        for right, width in zip(_right_aligned(sheet), widths, strict=True)
    ]
