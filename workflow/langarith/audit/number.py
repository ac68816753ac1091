"""The numbers that a study prints, and words that find one.

Numbers are the bars and dots of the provenance page (:mod:`langarith.audit.charts`), their averages
over targets, and the gains of the tables of gains.
"""

from __future__ import annotations

import csv
import re
import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langarith import layout
from langarith.audit import charts
from langarith.audit.charts import method_of
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError, did_you_mean
from langarith.operands import point_text
from langarith.results.names import AVERAGE, CHOSEN_PROXY

if TYPE_CHECKING:
    import pandas as pd

    from langarith.results.gains import Gain

FORM = re.compile(r"[+-]?\d+(\.\d+)?( ± \d+\.\d+| \[[^]]+\])?")
"""A number as tables print it: `45.99`, `45.99 ± 0.30`, `+7.49 [+6.11, +8.88]`."""

FIELDS = ("experiment", "model", "task", "target", "method", "operands", "budget", "what")
"""What a number is found by: `what` is one of its names (merged, related, madx, gain, ...)."""


@dataclass(frozen=True)
class Part:
    """What one seed adds to a number: the score of a sweep at a point, as text.

    The point is empty for a score without a language adapter.
    """

    seed: str
    value: float
    point: str
    job: Job


@dataclass(frozen=True)
class Number:
    """A score in percent or a gain in points, as tables and figures show it.

    metric: of the task. group: a target, with its budget where there are several. kind,
    name: what it is of. chosen: whether a rule chose the points. interval, method, rule, over: of
    a gain, whose parts are those of the merged side, as in :class:`langarith.results.gains.Gain`.
    proxies: of a gain over the chosen proxy, that of each target and seed, as (target, adapter).
    """

    experiment: str
    model: str
    task: str
    metric: str
    group: str
    kind: str
    name: str
    value: float
    parts: tuple[Part, ...]
    chosen: bool
    interval: tuple[float, float] | None = None
    method: str = ""
    rule: str = ""
    over: str = ""
    proxies: tuple[tuple[str, str], ...] = ()

    @property
    def has_adapter(self) -> bool:
        """Whether it is of language adapters, not a score without one."""
        return any(part.point for part in self.parts)

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds of a score; None of a gain, and where there is one seed."""
        seeds = list(self.seeds().values())
        return statistics.stdev(seeds) if len(seeds) > 1 and self.interval is None else None

    def seeds(self) -> dict[str, float]:
        """The score of each seed; of an average its mean over targets."""
        found: dict[str, list[float]] = defaultdict(list)
        for part in self.parts:
            found[part.seed].append(part.value)
        return {seed: statistics.fmean(values) for seed, values in found.items()}

    def written(self) -> str:
        """The value with its spread or interval, as tables print it."""
        if self.interval is not None:
            low, high = self.interval
            return f"{_signed(self.value)} [{_signed(low)}, {_signed(high)}]"
        return f"{self.value:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f}")

    def field(self, name: str) -> set[str]:
        """The words that say a field of the number."""
        if name in ("experiment", "model", "task"):
            return {getattr(self, name)}
        if name == "what":
            return {self.kind, self.name}
        if name == "method":
            return {self.method or method_of(part.job) for part in self.parts}
        target, _, budget = self.group.partition("@")
        if name == "target":
            return {target}
        if name == "budget":
            return {budget or "full"}
        return {part.job.wildcards[name] for part in self.parts}

    def word(self, name: str) -> str:
        """The word of a field by which it is found; several operands are one word."""
        if name == "what":
            return self.kind if self.interval is None else self.name
        return " ".join(sorted(self.field(name)))

    def words(self) -> str:
        """Words that find it again."""
        names = ["experiment", "model", "task", "target"]
        names += ["budget"] if "@" in self.group else []
        # gains over the same adapter differ by what is merged
        names += [] if self.interval is None else ["method"]
        return " ".join(f"{name}={shlex.quote(self.word(name))}" for name in [*names, "what"])

    @property
    def origin(self) -> tuple[Any, ...]:
        """Equal for numbers that are the same scores, or the same gain, of the same sweeps."""
        return (
            self.interval,
            self.rule,
            self.over,
            frozenset((part.job, part.point) for part in self.parts),
        )


def _signed(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"


# --- all numbers ----------------------------------------------------------------------------------


def numbers(graph: Lineage) -> list[Number]:
    """Every number of the study's finished tables of scores, in the order of its experiments."""
    place = {job: i for i, job in enumerate(graph.jobs)}
    bars = charts.bars(graph, graph.jobs, place) + charts.dots(graph, graph.jobs, place)
    scores = [_of_bar(graph, bar) for bar in bars]
    found = [*scores, *_averages(scores)]
    order = list(dict.fromkeys(score.experiment for score in scores))
    gains = [gain for name in order for gain in _gains(graph, name, found)]
    return sorted([*found, *gains], key=lambda number: order.index(number.experiment))


def _of_bar(graph: Lineage, bar: Mapping[str, Any]) -> Number:
    parts = tuple(
        Part(str(s["seed"]), s["value"], s["point"].removeprefix("λ = "), graph.jobs[s["job"]])
        for s in bar["seeds"]
    )
    return Number(
        bar["experiment"],
        bar["model"],
        bar["task"],
        bar["metric"],
        bar["group"],
        bar["kind"],
        bar["name"],
        bar["mean"],
        parts,
        bar.get("chosen", True),
    )


def _averages(scores: Iterable[Number]) -> Iterator[Number]:
    """Means over targets of a kind that every seed has for every target."""
    kinds: dict[tuple[str, ...], list[Number]] = defaultdict(list)
    for score in scores:
        budget = score.group[len(score.group.partition("@")[0]) :]
        kinds[score.experiment, score.model, score.task, score.kind, budget].append(score)
    for (*_, budget), members in kinds.items():
        parts = tuple(part for score in members for part in score.parts)
        if len(members) > 1 and len(set(Counter(part.seed for part in parts).values())) == 1:
            mean = statistics.fmean(part.value for part in parts)
            first, group = members[0], f"{AVERAGE}{budget}"
            same = {score.name for score in members} == {first.name}
            name = first.name if same else first.kind.replace("_", " ")
            yield replace(first, group=group, name=name, value=mean, parts=parts)


def _gains(graph: Lineage, experiment: str, scores: Sequence[Number]) -> Iterator[Number]:
    """The gains of an experiment with the parts of what they are gains of.

    A gain that the table of scores does not have, that of an older table, is left out; so is one
    of sweeps that have no record.
    """
    from langarith.results import analysis, gains, pool, tables

    path = graph.results / layout.GAINS.format(experiment=experiment)
    source = graph.results / layout.TABLE.format(experiment=experiment)
    if not path.is_file() or not source.is_file():
        return
    table = tables.read(source)
    stated: dict[tuple[str, ...], list[Gain]] = defaultdict(list)
    language = str(graph.study.get("task_language", ""))
    for gain in gains.gains(experiment, table, language, graph.selection):
        for target in (gain.target, AVERAGE):
            stated[(target, *gain.group)].append(gain)
    parts = _parts_of_gains(graph, table)
    own = [score for score in scores if score.experiment == experiment and score.parts]
    metrics = {(score.model, score.task): score.metric for score in own}
    groups = {score.group for score in own}
    # the adapter alone and the averages of `pool` are compared as they are
    names = {key[3] for key in stated} if experiment == "pool" else set()
    unchosen = {name for name in names if name == pool.called("la", 0) or name[:3] != "la_"}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place, rule, over = (row["model"], row["task"]), row["rule"], row["over"]
            found = stated[row["target"], *place, row["method"], row["budget"], rule, over]
            made = tuple(part for gain in found for part in parts(gain))
            complete = made and len(made) == sum(len(gain.merged.points) for gain in found)
            # an average over one target is that target's
            repeated = row["target"] == AVERAGE and len(found) == 1
            if not complete or repeated or not row["gain"] or place not in metrics:
                continue
            group = f"{row['target']}@{row['budget']}"
            yield Number(
                experiment,
                *place,
                metrics[place],
                group if group in groups else row["target"],
                "gain",
                _name_of_gain(experiment, rule, over),
                float(row["gain"]),
                made,
                rule not in ("", analysis.FIXED) and row["method"] not in unchosen,
                (float(row["low"]), float(row["high"])),
                row["method"],
                rule,
                over,
                tuple(proxy for gain in found for proxy in _proxies(gain)),
            )


def _proxies(gain: Gain) -> Iterator[tuple[str, str]]:
    """The proxies that validation chooses, one for each seed; none of other gains."""
    if gain.over == CHOSEN_PROXY:
        (proxy,) = gain.others
        left, right = proxy.operands.split("+")
        for _, (weight,) in sorted(proxy.points.items()):
            yield gain.target, left if weight == 1 else right


def _name_of_gain(experiment: str, rule: str, over: str) -> str:
    """What a gain is of, with its rule or grid in experiments that compare these."""
    if experiment == "label_free":
        return f"gain of the rule {rule} over {over}"
    if experiment == "lambda_impact":
        return f"gain of {grid(rule)} over the full grid"
    return f"gain over {over}"


def grid(rule: str) -> str:
    """A coarse choice of `lambda_impact` in words: the grid of a step, a search, or λ = 0.5."""
    from langarith.results.analysis import FIXED

    if rule == FIXED:
        return rule
    return f"the grid of step {rule}" if rule[0].isdigit() else f"the search {rule}"


def _parts_of_gains(graph: Lineage, table: pd.DataFrame) -> Callable[[Gain], Iterator[Part]]:
    """A function that gives the parts of the merged side of a gain, from the rows of its table."""
    from langarith.results import analysis

    sweeps = charts.sweeps(graph.jobs)
    tested = table[table["split"] == "test"] if "split" in table else table
    tested = tested[tested["metric"] == tested["task"].map(analysis.metrics(table))]
    values = {
        (*(str(row[key]) for key in ("method", *charts.CELL)), row["point"]): row["value"]
        for row in tested.dropna(subset=["value"]).to_dict("records")
    }

    def parts(gain: Gain) -> Iterator[Part]:
        merged = gain.merged
        for seed, point in merged.points.items():
            cell = (merged.method, gain.model, gain.task, gain.target, merged.operands, str(seed))
            if cell in sweeps:
                text = point_text(point)
                yield Part(str(seed), float(values[(*cell, text)]), text, sweeps[cell])

    return parts


# --- finding one ----------------------------------------------------------------------------------


def find(known: Sequence[Number], words: Sequence[str]) -> list[Number]:
    """The numbers that words fit, `target=es` or a number as printed, in their order.

    Raises:
        InputError: a word is neither; nothing fits.
    """
    found = list(known)
    for i, word in enumerate(words):
        name, equals, wanted = word.partition("=")
        if equals:
            if name not in FIELDS:
                raise InputError(f"{word}: no such word{did_you_mean(name, FIELDS)}")
            values = {value for number in found for value in number.field(name)}
            found = [number for number in found if wanted in number.field(name)]
            if not found:
                asked = " ".join(words[: i + 1])
                hint = did_you_mean(wanted, values)
                raise InputError(f"no number of the study fits {asked}; words of {name}{hint}")
        elif not FORM.fullmatch(_ascii(word)):
            raise InputError(
                f"{word}: write a number as printed, or one of {', '.join(FIELDS)}=...; "
                "quote a number with its ± or its interval"
            )
        else:
            found = printed_as(found, word)
        if not found:
            raise InputError(f"no number of the study fits {' '.join(words)}; leave out {word}")
    return found


def printed_as(numbers: Iterable[Number], text: str) -> list[Number]:
    """Numbers that are printed like that: with spread or interval, or the value alone.

    A value alone is compared with as many decimals as the text has; with a + it is a gain.
    """
    text = _ascii(text)
    decimals = len(text.partition(".")[2])
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return [number for number in numbers if number.written() == text]
    return [
        number
        for number in numbers
        if f"{number.value:z.{decimals}f}" == text.removeprefix("+")
        and (text[0] != "+" or number.interval is not None)
    ]


def _ascii(text: str) -> str:
    """A text with the minus of keyboards, and single spaces."""
    return " ".join(text.replace("−", "-").split())


def the_one(found: Sequence[Number], words: Sequence[str]) -> Number | None:
    """The number that words mean; None where they are ambiguous.

    Numbers of one origin are one. Words without a number mean the merged score of the first
    experiment that they fit.
    """
    if len({number.origin for number in found}) == 1:
        return found[0]
    if any("=" not in word for word in words):
        return None
    first = [n for n in found if n.experiment == found[0].experiment and n.chosen]
    scores = [n for n in first if n.interval is None]
    scores = [n for n in scores if not n.group.startswith(AVERAGE)] or scores
    return scores[0] if len(scores) == 1 else None
