"""A Workflow Run RO-Crate of a finished study: https://w3id.org/ro/wfrun/workflow/0.5.

The zip holds the workflow, the study, tables, figures, what each sweep chose, and the provenance
graph. Raw data, models and adapters stay outside: they are named with their hash and revision.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from langarith.audit.lineage import Job, Lineage
from langarith.audit.prov import label
from langarith.files import whole

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
VERSION = "1.1"
"""The RO-Crate version that these profiles build on."""

PARTS_OF_THE_WORKFLOW = (
    "rules workflow profiles envs studies config.yaml pyproject.toml README.md LICENSE CITATION.cff"
).split()
"""Beside the Snakefile: with these alone it plans, runs and reports a study."""

SHA256 = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}


def write(graph: Lineage, project: Path, study_file: Path, provenance: Path, path: Path) -> None:
    """Write the crate as a zip, whole or not at all.

    Args:
        project: the folder of the Snakefile.
        study_file: the study that was run, in that folder or not.
        provenance: the folder with graph.json and the page.
        path: the zip.
    """
    crate = build(graph, project, study_file, provenance)
    with whole(path) as partial:
        crate.write_zip(partial)


def build(graph: Lineage, project: Path, study_file: Path, provenance: Path) -> ROCrate:
    """The crate, not yet written."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=VERSION)
    crate.metadata.extra_terms.update(SHA256)
    citation = yaml.safe_load((project / "CITATION.cff").read_text(encoding="utf-8"))
    ends = sorted(job.record_data.get("end") or job.record_data["start"] for job in graph.jobs)
    starts = sorted(job.record_data["start"] for job in graph.jobs)
    people = [crate.add(ContextEntity(crate, *_person(p))) for p in citation["authors"]]
    terms = f"https://spdx.org/licenses/{citation['license']}"
    licence = {"@type": "CreativeWork", "name": str(citation["license"]), "url": terms}
    crate.name = f"Language arithmetic: the study '{graph.study['name']}'"
    crate.description = (
        f"{graph.study.get('note') or ''} Results of {len(graph.jobs)} jobs, with the workflow "
        "that ran them and the provenance of every number. Raw data and weights are named by hash "
        "and revision, and are not inside."
    ).strip()
    crate.license = crate.add(ContextEntity(crate, terms, licence))
    crate.datePublished = ends[-1]
    crate.root_dataset["author"] = people
    crate.root_dataset["publisher"] = people[0]
    crate.root_dataset["conformsTo"] = [
        crate.add(
            ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version})
        )
        for url, (name, version) in PROFILES.items()
    ]
    versions = dict(graph.jobs[-1].record_data["versions"])
    workflow = crate.add_workflow(
        project / "Snakefile",
        "Snakefile",
        main=True,
        lang="snakemake",
        lang_version=versions.get("snakemake"),
        properties={
            "name": citation["title"],
            "version": str(citation["version"]),
            "author": people,
            "license": {"@id": terms},
        },
    )
    workflow["softwareRequirements"] = [
        crate.add(ContextEntity(crate, *_software(name, version)))
        for name, version in versions.items()
    ]
    workflow["hasPart"] = _add_workflow(crate, project)
    study = crate.add_file(
        study_file,
        f"study/{study_file.name}",
        properties={"name": "the study", "description": "the study file that was run"},
    )
    inputs = [study, *(crate.add(ContextEntity(crate, *about)) for about in _inputs(graph))]
    results = list(_add_results(crate, graph))
    for file in sorted(provenance.iterdir()) if provenance.is_dir() else ():
        crate.add_file(file, f"provenance/{file.name}", properties={"name": PARTS.get(file.name)})
    crate.add_file(graph.results / "study.json", "study/study.json", properties={"name": RESOLVED})
    run = crate.add_action(
        workflow,
        identifier=f"#run-{graph.study['name']}",
        object=inputs,
        result=results,
        properties={
            "name": f"The runs of Snakemake that made the study '{graph.study['name']}'",
            "description": f"{len(graph.jobs)} jobs; provenance/graph.json has each of them",
            "startTime": starts[0],
            "endTime": ends[-1],
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "agent": people[0],
        },
    )
    crate.root_dataset["mentions"] = [run]
    return crate


RESOLVED = "the study, resolved, with every default"
PARTS = {
    "graph.json": "every job and file behind the results (PROV-JSON)",
    "index.html": "a page that links each number to its raw data and back",
    "stages.svg": "the stages of the study",
    "stages.pdf": "the stages of the study",
}


def _software(name: str, version: str) -> tuple[str, dict[str, Any]]:
    """A package that the jobs ran on: identifier and properties."""
    on_pypi = name != "python"
    url = f"https://pypi.org/project/{name}/{version}/" if on_pypi else "https://www.python.org/"
    about = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version, "url": url}
    return url, about


def _person(author: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """An author of CITATION.cff: identifier and properties."""
    given, family = author.get("given-names"), author.get("family-names")
    name = author.get("name") or f"{given} {family}"
    identifier = author.get("orcid") or f"#{name.replace(' ', '-')}"
    about: dict[str, Any] = {"@type": "Person" if family else "Organization", "name": name}
    if author.get("affiliation"):
        about["affiliation"] = author["affiliation"]
    return identifier, about


def _add_workflow(crate: ROCrate, project: Path) -> list[Any]:
    """The workflow's code and what belongs to it, beside its Snakefile."""
    return [
        crate.add_file(project / name, name, properties={"name": name})
        for name in workflow_files(project)
    ]


def workflow_files(project: Path) -> list[str]:
    """Paths of the workflow's files below its folder, sorted, without the Snakefile.

    In a git repository those that git does not ignore, committed or not; else all files on disk
    except compiled and hidden ones.
    """
    try:
        listed = subprocess.run(  # noqa: S603
            ["git", "-C", str(project), "ls-files", "-z", "--cached", "--others",  # noqa: S607
             "--exclude-standard", "--", *PARTS_OF_THE_WORKFLOW],
            capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        listed = []
    names = {name for name in listed if name and (project / name).is_file()}
    return sorted(names or _files_on_disk(project))


def _files_on_disk(project: Path) -> Iterable[str]:
    for part in PARTS_OF_THE_WORKFLOW:
        for path in (project / part, *(project / part).rglob("*")):
            name = path.relative_to(project)
            hidden = any(step.startswith((".", "__pycache__")) for step in name.parts)
            if path.is_file() and not hidden:
                yield name.as_posix()


def _inputs(graph: Lineage) -> Iterable[tuple[str, dict[str, Any]]]:
    """What the study started from, by hash: downloads, the user's files, the miniature's."""
    seen: set[str] = set()

    def about(path: str, recorded: Mapping[str, Any], job: Job | None) -> dict[str, Any]:
        entity = {
            "@type": "CreativeWork",
            "name": path,
            "sha256": recorded["sha256"],
            "contentSize": str(recorded["size"]),
        }
        names = job.wildcards if job else {}
        if "revision" in names:
            kind = "datasets/" if names.get("kind") == "datasets" else ""
            path_on_hub = (
                f"{kind}{names['repository']}/resolve/{names['revision']}/{names.get('file')}"
            )
            entity["url"] = f"https://huggingface.co/{path_on_hub}"
            entity["version"] = names["revision"]
        return entity

    for job in graph.jobs:
        for path in graph.sources([job]):
            if path not in seen:
                yield f"#input/{path}", about(path, job.inputs[path], None)
            seen.add(path)
        if not job.inputs:
            for path, recorded in job.outputs.items():
                yield f"#input/{path}", about(path, recorded, job)


def _add_results(crate: ROCrate, graph: Lineage) -> Iterable[Any]:
    """Tables, figures, and what each sweep chose, with their hashes."""
    for job in graph.jobs:
        for path, recorded in job.outputs.items():
            short, source = graph.short(path), graph.locate(path)
            wanted = short.startswith(("tables/", "figures/")) or short.endswith("/selected.json")
            if wanted and source.is_file():
                yield crate.add_file(
                    source,
                    f"results/{short}",
                    properties={
                        "name": f"{label(job.rule)}: {' '.join(job.wildcards.values())}",
                        "sha256": recorded["sha256"],
                        "contentSize": str(recorded["size"]),
                    },
                )
