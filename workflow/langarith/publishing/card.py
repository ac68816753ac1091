"""Cards of merged adapters: a README.md with the metadata that the Hugging Face hub reads.

The hub lists an adapter by `library_name: adapter-transformers`, and refuses a card whose
`base_model` is no repository and languages that are no ISO 639 code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from langarith import merging
from langarith.data import hub
from langarith.models import merge_recipe
from langarith.operands import point_text
from langarith.results.names import BETTER_PROXY, CHOSEN_PROXY, DIRECT, MADX

if TYPE_CHECKING:
    from langarith.models.merged import MergedAdapter

_CODE = re.compile(r"[a-z]{2,3}")

OVER = {
    BETTER_PROXY: "the better single adapter",
    CHOSEN_PROXY: "the single adapter that validation chooses",
    MADX: "MAD-X",
    DIRECT: "the limited adapter",
}
"""What a gain of a table is over, in words."""


@dataclass(frozen=True)
class Score:
    """A score of the merged adapter, in percent."""

    task: str
    target: str
    split: str
    metric: str
    value: float
    examples: int


@dataclass(frozen=True)
class Gain:
    """A gain of the merge in points, mean over seeds, with the ends of its 95 % interval."""

    experiment: str
    task: str
    target: str
    metric: str
    over: str
    rule: str
    gain: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Dataset:
    """The test data of a task: `repository` on the hub where it comes from there."""

    name: str
    kind: str
    """What the hub calls the task: `token-classification`."""
    repository: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a study knows of a merged adapter."""

    scores: Sequence[Score] = ()
    gains: Sequence[Gain] = ()
    tasks: Mapping[tuple[str, str], Dataset] | None = None
    """By task and target."""
    training_data: Sequence[str] = ()
    """Repositories of the hub that the operands were trained on."""
    limited: bool = False
    """Whether the study is a limited run, whose scores mean nothing."""


def card(
    merged: MergedAdapter,
    folder: str,
    evaluation: Evaluation = Evaluation(),
    facts: Sequence[str] = (),
    sections: Sequence[str] = (),
) -> str:
    """The whole card.

    Args:
        folder: the name of the adapter's folder.
        facts: further entries of the list at its head.
        sections: further lines at its end.
    """
    recipe, (base, revision) = merged.recipe, merged.base_model
    method, limited = merging.get(recipe.method), evaluation.limited
    metadata = yaml.safe_dump(
        _metadata(merged, folder, evaluation), sort_keys=False, allow_unicode=True, width=1000
    )
    pinned = f" at revision `{revision}`" if revision else ""
    lines = [
        "---",
        metadata.strip(),
        "---",
        "",
        f"# {merged.formula}",
        "",
        f"A language adapter, merged from others without training: {method.title} "
        f"({method.reference}). The software follows Klimaszewski, Andruszkiewicz and Birch, "
        "*No Train but Gain* (COLING 2025).",
        "",
        *(["**From a limited run, a test of a study: its scores mean nothing.**", ""] * limited),
        f"- base model: `{base}`{pinned}",
        f"- method: `{recipe.method}`, λ = {point_text(recipe.point)}",
        f"- operands: {', '.join(f'`{name}`' for name in merged.names)}",
        *(f"- {fact}" for fact in facts),
        "",
        "## Use",
        "",
        "```python",
        "from adapters import AutoAdapterModel, Stack",
        "",
        f'model = AutoAdapterModel.from_pretrained("{base}"'
        + (f', revision="{revision}")' if revision else ")"),
        f'language = model.load_adapter("{folder}")',
        'task = model.load_adapter("TASK_ADAPTER", use_safetensors=True)  # trained on top of one',
        "model.set_active_adapters(Stack(language, task))",
        "```",
        "",
        "## Recipe",
        "",
        f"`{merge_recipe.NAME}`, from which `langarith merge {merge_recipe.NAME} --to FOLDER` "
        "makes the same weights of the adapters that it names:",
        "",
        "```yaml",
        merge_recipe.text(recipe).strip(),
        "```",
        "",
        *_scores(evaluation),
        *sections,
    ]
    return "\n".join([*lines, ""])


def _metadata(merged: MergedAdapter, folder: str, evaluation: Evaluation) -> dict[str, Any]:
    codes = list(dict.fromkeys(o.language for o in merged.recipe.operands if o.language))
    plain = list(
        dict.fromkeys(
            code for c in codes if (code := re.split("[-_]", c)[0]) and _CODE.fullmatch(code)
        )
    )
    longer = [code.replace("_", "-") for code in codes if code not in plain]
    base = merged.base_model[0]
    on_hub = hub.is_repository(base) and not Path(base).exists()
    results = [] if evaluation.limited else _model_index(evaluation)
    entries = {
        "language": plain,
        "language_bcp47": longer,
        "license": merged.recipe.license,
        "library_name": "adapter-transformers",
        # those that `adapters` itself writes come first
        "tags": ["adapter-transformers", merged.model_type, "language-arithmetic", "merge"],
        "base_model": base if on_hub else None,
        "base_model_relation": "adapter" if on_hub else None,
        "datasets": list(evaluation.training_data),
        "model-index": [{"name": folder, "results": results}] if results else None,
    }
    return {key: value for key, value in entries.items() if value}


def _model_index(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Scores on test, and gains with their intervals, by task and target."""
    entries: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for score in evaluation.scores:
        if score.split == "test":
            entries.setdefault((score.task, score.target), []).append(
                {
                    "type": score.metric,
                    "name": f"{score.metric} (%)",
                    "value": round(score.value, 2),
                }
            )
    for gain in evaluation.gains:
        entries.setdefault((gain.task, gain.target), []).append(
            {
                "type": "gain",
                "name": f"gain of {gain.metric} over {OVER[gain.over]} "
                f"(points, mean of {_seeds(gain)})",
                "value": round(gain.gain, 2),
                "args": {
                    "interval": [round(gain.low, 2), round(gain.high, 2)],
                    "confidence": 0.95,
                    "experiment": gain.experiment,
                },
            }
        )
    results = []
    for (task, target), metrics in entries.items():
        data = (evaluation.tasks or {})[task, target]
        dataset = {
            "type": data.repository or task,
            "name": data.name,
            "config": target,
            "split": "test",
            "revision": data.revision,
        }
        results.append(
            {
                "task": {"type": data.kind, "name": task},
                "dataset": {key: value for key, value in dataset.items() if value},
                "metrics": metrics,
            }
        )
    return results


def _seeds(gain: Gain) -> str:
    return "one seed" if gain.seeds == 1 else f"{gain.seeds} seeds"


def _scores(evaluation: Evaluation) -> list[str]:
    lines = ["## Scores", ""]
    if not evaluation.scores:
        return [*lines, "It has not been evaluated at this λ.", ""]
    lines += [
        "| task | target | split | metric | score (%) | examples |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.task} | {s.target} | {s.split} | {s.metric} | {s.value:.2f} | {s.examples} |"
        for s in evaluation.scores
    ]
    if evaluation.gains:
        lines += [
            "",
            "Gains on test in points with the 95 % interval of a paired bootstrap, mean over "
            "seeds, each seed at the λ that its rule chose:",
            "",
            "| task | target | gain over | gain | interval | λ chosen by | seeds |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {g.task} | {g.target} | {OVER[g.over]} | {g.gain:+.2f} | "
            f"[{g.low:+.2f}, {g.high:+.2f}] | {g.rule} | {g.seeds} |"
            for g in evaluation.gains
        ]
    return [*lines, ""]
