"""Numbers of the report's tables as links, each to the six lines that say where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import quote

from langarith.audit import chain, number
from langarith.audit.lineage import Lineage
from langarith.audit.number import AVERAGE, Number

PAGE = "provenance/index.html"
"""The provenance page, beside the report."""

CELL = re.compile(r'(<td style="text-align:right">)(.*?)(</td>)', re.S)
DECIMAL = re.compile(r"[+−-]?\d+\.\d+")


@dataclass(frozen=True)
class Chain:
    """The six lines of a number; `page` is where the provenance page shows it."""

    key: str
    lines: list[tuple[str, str]]
    page: str


class Links:
    """Links the numbers of a page and collects the chains that they lead to."""

    def __init__(self, graph: Lineage) -> None:
        self.graph = graph
        self.numbers = number.numbers(graph)
        self.used: dict[Number, str] = {}

    def chains(self) -> list[Chain]:
        """The chains of all numbers that have been linked, in the order of their keys."""
        return [
            Chain(key, chain.chain(self.graph, found), page_of(found))
            for found, key in self.used.items()
        ]

    def link(self, found: Number) -> str:
        """The address of a number's chain on the page."""
        return f"#{self.used.setdefault(found, f'n{len(self.used) + 1}')}"

    def tables(self, html: str, experiment: str) -> str:
        """The tables of an experiment with links, below headings such as `..., tiny, NER (F1)`.

        A number that is none of :func:`langarith.audit.number.numbers` leads to the table's file on
        the provenance page. Numbers of examples are no links.
        """
        parts = re.split(r"(?=<h3>)", html)
        return "".join(self._part(part, experiment) for part in parts)

    def _part(self, html: str, experiment: str) -> str:
        heading = re.match(r"<h3>(.*?)</h3>", html)
        title = unescape(heading[1]) if heading else ""
        own = [
            found
            for found in self.numbers
            if found.experiment == experiment
            and title.endswith(re.sub(r", (%|points)\)$", ")", found.panel))
        ]
        return re.sub(
            r"<tr>\n<td.*?</tr>", lambda row: self._row(row[0], own, experiment), html, flags=re.S
        )

    def _row(self, html: str, own: Sequence[Number], experiment: str) -> str:
        first = re.search(r"<td[^>]*>(.*?)</td>", html, re.S)
        name = unescape(re.sub("<.*?>", "", first[1])) if first else ""
        name = AVERAGE if name == "average" else name
        here = [found for found in own if found.group.partition("@")[0] == name]
        left, last = list(here), None

        def cell(match: re.Match[str]) -> str:
            nonlocal last
            text = unescape(re.sub("<.*?>", "", match[2])).strip()
            if not DECIMAL.match(text):
                return match[0]
            fits = _fitting(left, text) or _fitting(own if not here else [], text)
            if fits:
                last = fits[0]
                if last in left:
                    left.remove(last)  # the same value in the next column is the next number
            target = self.link(last) if last else f"{PAGE}#path=tables/{experiment}.csv"
            return f'{match[1]}<a href="{target}">{match[2]}</a>{match[3]}'

        return CELL.sub(cell, html)

    def average(self, text: str, experiment: str, model: str, task: str) -> str:
        """The address of the chain of a headline's number, '' where the text is none."""
        if not DECIMAL.match(text):
            return ""
        start = f"{model}, {task} ("
        own = [
            found
            for found in self.numbers
            if found.experiment == experiment and found.panel.startswith(start)
        ]
        averages = [found for found in own if found.group.startswith(AVERAGE)]
        # an average over one target is that target's
        fits = _fitting(averages or own, text)
        return self.link(fits[0]) if fits else f"{PAGE}#path=tables/{experiment}.csv"


def _fitting(numbers: Sequence[Number], text: str) -> list[Number]:
    """Numbers that a table prints as a text; signs and intervals tell gains from scores."""
    whole = [found for found in numbers if found.written() == text.replace("−", "-")]
    first = DECIMAL.match(text)
    if whole or not first:
        return whole
    return number.printed_as(numbers, first[0]) if first[0] == text else []


def page_of(found: Number) -> str:
    """Where the provenance page shows a number, or the scores that it is made of."""
    if found.interval is None and not found.group.startswith(AVERAGE):
        names: Sequence[Any] = (found.experiment, found.panel, found.group, found.kind)
        return f"{PAGE}#number={quote('/'.join(names), safe='')}"
    return f"{PAGE}#path=tables/{found.experiment}.csv"
