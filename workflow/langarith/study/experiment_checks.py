"""Checks of the experiments of a study: their names, keys and needs."""

from __future__ import annotations

from collections.abc import Iterator

from langarith.errors import did_you_mean
from langarith.study import checks_of_vectors
from langarith.study.experiments import EXPERIMENTS
from langarith.study.grid import other_methods, places
from langarith.study.mistakes import repeated, unknown_languages
from langarith.study.schema import Experiment, Study


def names(study: Study) -> Iterator[str]:
    """Experiments, their keys, and the models, tasks and languages that they name must exist."""
    for name, experiment in study.experiments.items():
        yield from _names_in_experiment(study, name, experiment)
        if name in EXPERIMENTS:
            yield from _keys_of_experiment(name, experiment)
        else:
            yield f"experiments: unknown experiment '{name}'{did_you_mean(name, EXPERIMENTS)}"


def _names_in_experiment(study: Study, name: str, experiment: Experiment) -> Iterator[str]:
    """Models, tasks and languages that an experiment names must be in the study, each once."""
    for key, chosen, offered in (
        ("models", experiment.models, set(study.models)),
        ("tasks", experiment.tasks, set(study.tasks)),
    ):
        yield from repeated(f"experiments.{name}.{key}", chosen or ())
        for value in chosen or ():
            if value not in offered:
                yield (
                    f"experiments.{name}.{key}: '{value}' has no entry under '{key}'"
                    f"{did_you_mean(value, offered)}"
                )
    yield from repeated(f"experiments.{name}.layers", experiment.layers or ())
    for key in ("targets", "pool", "languages"):
        languages = getattr(experiment, key) or ()
        yield from unknown_languages(study.languages, f"experiments.{name}.{key}", languages)
        yield from repeated(f"experiments.{name}.{key}", languages)


def _keys_of_experiment(name: str, experiment: Experiment) -> Iterator[str]:
    known = EXPERIMENTS[name].keys
    for key in sorted(experiment.model_fields_set - known):
        yield (
            f"experiments.{name}.{key}: {name} has no such key; remove it "
            f"(known: {', '.join(sorted(known)) or 'none'})"
        )
    if name == "relatedness" and not experiment.pool:
        yield "experiments.relatedness.pool is missing; list the languages to pair targets with"


def needs(study: Study) -> Iterator[str]:
    """An experiment must have cells, and the other keys of the study that it needs."""
    for name in study.experiments:
        if "targets" in EXPERIMENTS[name].keys and not list(places(study, name)):
            yield f"experiments.{name}: no cell is left; name targets that its tasks have"
        elif name == "low_resource" and not set(study.budgets) & {
            place[2] for place in places(study, name)
        }:
            yield (
                "experiments.low_resource: none of its targets has budgets; add one, for example "
                "budgets: {sw: [10k, 100k, full]}"
            )
        elif name in ("ties", "methods") and not other_methods(
            study, "ties" if name == "ties" else None
        ):
            yield (
                f"experiments.{name}: no method to compare in 'lambdas'; add one, for example "
                "lambdas: {ties20: {start: 0.8, stop: 1.8, step: 0.1}}"
            )
        elif name == "forgetting":
            yield from checks_of_vectors.forgetting(study)
