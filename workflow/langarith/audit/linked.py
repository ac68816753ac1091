"""Numbers of the report's tables as links, each to the six lines that say where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from urllib.parse import quote

from langarith import merging
from langarith.audit import explain_number, number
from langarith.audit.lineage import Lineage
from langarith.audit.number import AVERAGE, Number
from langarith.evaluation import selection
from langarith.results import pool
from langarith.results.names import BEST_OTHER, OVER, task_title

PAGE = "provenance/index.html"
"""The provenance page, beside the report."""

NUMERIC = '<td style="text-align:right">'
CELL = re.compile(r"(<td\b[^>]*>)(.*?)(</td>)", re.S)
DECIMAL = re.compile(r"[+−-]?\d+\.\d+")
TWO_DIGITS = re.compile(r"[+−-]?\d+\.\d\d(?!\d)")
"""How tables begin scores and gains; losses and ranks have other digits."""

BY_TITLE = ("rule", "method")
"""First columns of tables of averages, whose rows are rules or methods by their titles."""


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
            Chain(key, explain_number.chain(self.graph, found), page_of(found))
            for found, key in self.used.items()
        ]

    def link(self, found: Number) -> str:
        """The address of a number's chain on the page."""
        return f"#{self.used.setdefault(found, f'n{len(self.used) + 1}')}"

    def tables(self, html: str, experiment: str) -> str:
        """The tables of an experiment with links, below headings such as `..., tiny, NER (F1)`.

        A number leads to its chain if its row and its text fit one of
        :func:`langarith.audit.number.numbers`, a λ to that of the number on its left. Any other
        leads to the table's file on the provenance page. Numbers of examples are no links.
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
            and title.endswith(f", {found.model}, {task_title(found.task, found.metric)}")
        ]
        columns = [_text(cell) for cell in re.findall(r"<th\b[^>]*>(.*?)</th>", html, re.S)]
        return re.sub(
            r"<tr>\n<td.*?</tr>",
            lambda row: self._row(row[0], columns, own, experiment),
            html,
            flags=re.S,
        )

    def _row(
        self, html: str, columns: Sequence[str], own: Sequence[Number], experiment: str
    ) -> str:
        cells = CELL.findall(html)
        texts = [_text(inside) for _, inside, _ in cells]
        here = _of_row(dict(zip(columns, texts, strict=False)), own)
        place, links = f"{PAGE}#path=tables/{experiment}.csv", list[str]()
        for i, ((opened, _, _), text) in enumerate(zip(cells, texts, strict=True)):
            found = None
            if opened != NUMERIC or not DECIMAL.match(text):
                links.append("")
            elif columns[i : i + 1] == ["λ"]:
                links.append(links[-1] or place)
            else:
                if TWO_DIGITS.match(text):
                    # the same value in several columns is as many numbers, in their order
                    before, all_of_it = texts[:i].count(text), texts.count(text)
                    found = _one(number.printed_as(here, text), before, all_of_it)
                links.append(self.link(found) if found else place)
        linked = iter(links)

        def cell(match: re.Match[str]) -> str:
            link = next(linked)
            return f'{match[1]}<a href="{link}">{match[2]}</a>{match[3]}' if link else match[0]

        return CELL.sub(cell, html)

    def average(
        self, text: str, experiment: str, model: str, task: str, kinds: Sequence[str]
    ) -> str:
        """The address of the chain of an average over targets, '' where the text is no number.

        Args:
            kinds: what the number can be, as `Number.kind`.
        """
        if not DECIMAL.match(text):
            return ""
        own = [found for found in self._of(experiment, model, task) if found.kind in kinds]
        found = _one(number.printed_as(_averages(own), text))
        return self.link(found) if found else f"{PAGE}#path=tables/{experiment}.csv"

    def gain(self, experiment: str, model: str, task: str, over: str) -> tuple[str, str] | None:
        """The gain of averages over something, with its interval, and the address of its chain.

        Of an experiment with one target it is that target's. None where the table has none.
        """
        all_of_it = self._of(experiment, model, task)
        targets = {found.group for found in all_of_it if not found.group.startswith(AVERAGE)}
        found = _one(
            [
                found
                for found in all_of_it
                if found.over == over and (found.group.startswith(AVERAGE) or len(targets) == 1)
            ]
        )
        return (found.written(), self.link(found)) if found else None

    def _of(self, *place: str) -> list[Number]:
        return [
            found for found in self.numbers if (found.experiment, found.model, found.task) == place
        ]


def _text(cell: str) -> str:
    return unescape(re.sub("<.*?>", "", cell)).strip()


def _of_row(row: Mapping[str, str], own: Sequence[Number]) -> list[Number]:
    """The numbers of a row of a table, by column, in the order of its columns."""
    column, name = next(iter(row.items()), ("", ""))
    if column in BY_TITLE:
        here = [found for found in _averages(own) if _title(found) == name]
    else:
        group = AVERAGE if name == "average" else name
        group += f"@{row['budget']}" if "budget" in row else ""
        here = [found for found in own if found.group == group]
        if "merge" in row:
            here = [found for found in here if _title(found) == f"{row['merge']}, k = {row['k']}"]
    # the better of two scores comes after both, LA minus another method after the method's gain
    return sorted(here, key=lambda found: (found.kind == "la_better", _is_method(found.over)))


def _averages(numbers: Sequence[Number]) -> Sequence[Number]:
    """Those over targets; an average over one target is that target's."""
    return [found for found in numbers if found.group.startswith(AVERAGE)] or numbers


def _title(found: Number) -> str:
    """The rule or the method whose row a number is in, as tables write it."""
    if found.interval is None:
        return found.name
    if found.experiment == "label_free":
        return selection.get(found.rule).title
    if found.experiment == "pool":
        method = merging.get(found.method.rpartition("_")[0])
        return f"{method.title}, k = {pool.relatives_of(found.method)}"
    if found.over == BEST_OTHER:
        return ""
    return merging.get(found.over if _is_method(found.over) else found.method).title


def _is_method(name: str) -> bool:
    """Whether a gain is over a merge method, not over adapters or a rule."""
    return name not in ("", *OVER, pool.BASE)


def _one(found: Sequence[Number], place: int = 0, places: int = 1) -> Number | None:
    """The number that a text means, of those that are printed like it.

    Args:
        place: which of the cells with this text in the row, from 0.
        places: how many such cells the row has.
    """
    if len(found) == places:
        return found[place]
    return found[0] if found and len({number.origin for number in found}) == 1 == places else None


def page_of(found: Number) -> str:
    """Where the provenance page shows a number, or the scores that it is made of."""
    if found.interval is None and not found.group.startswith(AVERAGE):
        names = (found.experiment, found.model, found.task, found.group, found.kind)
        return f"{PAGE}#number={quote('/'.join(names), safe='')}"
    return f"{PAGE}#path=tables/{found.experiment}.csv"
