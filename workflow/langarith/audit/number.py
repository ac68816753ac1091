"""The numbers that a study prints, and words that find one.

Numbers are the bars and dots of the provenance page (:mod:`langarith.audit.charts`), their averages
over targets, and the gains of the tables of gains.
"""

from __future__ import annotations

import csv
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langarith import layout
from langarith.audit import charts
from langarith.audit.lineage import Job, Lineage
from langarith.errors import InputError, did_you_mean

AVERAGE = "avg."
"""The target of an average, as in tables of gains."""

FIELDS = ("experiment", "model", "task", "target", "method", "operands", "budget", "what")
"""What a number is found by: `what` is one of its names (merged, related, madx, gain, ...)."""


@dataclass(frozen=True)
class Part:
    """What one seed adds to a number: the score of a sweep at a point, as text."""

    seed: str
    value: float
    point: str
    job: Job


@dataclass(frozen=True)
class Number:
    """A score in percent or a gain in points, as tables and figures show it.

    panel: `tiny, NER (F1, %)`. group: a target, with its budget where there are several. kind,
    name: what it is of. chosen: whether a rule chose the points. interval, method: of a gain,
    whose parts are those of the merged side.
    """

    experiment: str
    panel: str
    group: str
    kind: str
    name: str
    value: float
    parts: tuple[Part, ...]
    chosen: bool
    interval: tuple[float, float] | None = None
    method: str = ""

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
        if name == "experiment":
            return {self.experiment}
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

    def words(self) -> str:
        """Words that find it again."""
        found = [("experiment", self.experiment)]
        found += [(name, next(iter(self.field(name)))) for name in ("model", "task")]
        target, _, budget = self.group.partition("@")
        found += [("target", target), *([("budget", budget)] if budget else [])]
        found += [("what", self.kind if self.interval is None else self.name)]
        return " ".join(f"{name}={_quoted(value)}" for name, value in found)

    @property
    def origin(self) -> tuple[Any, ...]:
        """Equal for numbers that are the same scores of the same sweeps."""
        return self.interval, frozenset((part.job, part.point) for part in self.parts)


def method_of(job: Job) -> str:
    """The merge method of a sweep."""
    return str(job.parameters.get("method", job.rule.removeprefix("sweep_")))


def _quoted(value: str) -> str:
    return f"'{value}'" if " " in value else value


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
        bar["panel"],
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
        kinds[score.experiment, score.panel, score.kind, budget].append(score)
    for (experiment, panel, kind, budget), members in kinds.items():
        parts = tuple(part for score in members for part in score.parts)
        if len(members) > 1 and len(set(Counter(part.seed for part in parts).values())) == 1:
            mean = statistics.fmean(part.value for part in parts)
            first, group = members[0], f"{AVERAGE}{budget}"
            same = {score.name for score in members} == {first.name}
            name = first.name if same else first.kind.replace("_", " ")
            yield Number(experiment, panel, group, kind, name, mean, parts, first.chosen)


def _gains(graph: Lineage, experiment: str, scores: Sequence[Number]) -> Iterator[Number]:
    """The gains of an experiment, with the parts of what they are gains of."""
    path = graph.results / layout.GAINS.format(experiment=experiment)
    if not path.is_file():
        return
    places: dict[tuple[str, ...], list[Number]] = defaultdict(list)
    for score in scores:
        if score.experiment == experiment and score.parts:
            names = score.parts[0].job.wildcards
            places[names["model"], names["task"], score.group].append(score)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = (row["model"], row["task"])
            budget = f"@{row['budget']}" if row["budget"] else ""
            group = f"{row['target']}{budget}"
            behind = places.get((*place, group)) or places.get((*place, row["target"]))
            if not behind or not row["gain"]:
                continue
            merged = [score for score in behind if score.chosen]
            kinds = ("merged", "la_better", row["rule"], row["method"].replace("_", " "))
            merged = [score for score in merged if score.kind in kinds] or merged or behind
            name = f"gain over {row['over']}"
            if experiment == "label_free":
                name = f"gain of the rule {row['rule']} over {row['over']}"
            yield Number(
                experiment,
                behind[0].panel.replace(", %)", ", points)"),
                behind[0].group,
                "gain",
                name,
                float(row["gain"]),
                merged[0].parts,
                True,
                (float(row["low"]), float(row["high"])),
                row["method"],
            )


# --- finding one ----------------------------------------------------------------------------------


def find(known: Sequence[Number], words: Sequence[str]) -> list[Number]:
    """The numbers that words fit, `target=es` or a number as printed, in their order.

    Raises:
        InputError: a word is neither; nothing fits.
    """
    found = list(known)
    for word in words:
        name, equals, wanted = word.partition("=")
        if equals:
            if name not in FIELDS:
                raise InputError(f"{word}: no such word{did_you_mean(name, FIELDS)}")
            found = [number for number in found if wanted in number.field(name)]
        elif not _is_number(word):
            raise InputError(
                f"{word}: write a number as printed, or one of {', '.join(FIELDS)}=..."
            )
        else:
            found = printed_as(found, word)
        if not found:
            raise InputError(f"no number of the study fits {' '.join(words)}; leave out {word}")
    return found


def _is_number(word: str) -> bool:
    try:
        float(word.replace("−", "-"))
    except ValueError:
        return False
    return True


def printed_as(numbers: Iterable[Number], word: str) -> list[Number]:
    """Numbers whose value is printed like that, with as many decimals as the word has."""
    text, decimals = word.replace("−", "-"), len(word.partition(".")[2])
    return [
        number
        for number in numbers
        if f"{number.value:.{decimals}f}" == text.removeprefix("+")
        and (text[0] != "+" or number.interval is not None)
    ]


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
    scores = [n for n in first if n.interval is None and not n.group.startswith(AVERAGE)]
    return scores[0] if len(scores) == 1 else None
