"""The study as a Workflow Run RO-Crate, held against the public validator, without a network.

The validator asks the network for one thing, the JSON-LD context of RO-Crate 1.1. The test puts it
into the validator's own cache: that of 1.3, which `rocrate` brings along, with the two types that
1.1 has under another address.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest

import made_up
from langarith.audit import crate, lineage
from langarith.audit.page import write
from langarith.files import sha256
from workspace import NANO, copy_project, run

SHIPPED = "data/ro-crate.jsonld"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"


@pytest.fixture
def packed(root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    found = lineage.of(made_up.write_study())
    write(found, found.jobs, Path("results/provenance"))
    path = Path("results/crate.zip")
    crate.write(found, root, root / "studies/nano.yaml", Path("results/provenance"), path)
    return tmp_path / path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The validator's cache of the web, with the context in it."""
    import requests
    from requests.adapters import BaseAdapter
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    output = json.loads(importlib.resources.files("rocrate").joinpath(SHIPPED).read_text("utf-8"))
    for name in ("ComputationalWorkflow", "FormalParameter"):
        assert output["@context"][name] == f"https://bioschemas.org/terms/{name}"
        output["@context"][name] = f"https://bioschemas.org/{name}"
    text = json.dumps(output).encode()

    class Shelf(BaseAdapter):
        """Answers with what is at hand."""

        def send(self, request, **_):
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 200, request.url, request
            answer.raw = HTTPResponse(io.BytesIO(text), preload_content=False)
            answer.headers["Content-Type"] = "application/ld+json"
            return answer

        def close(self):
            pass

    path = tmp_path / "web"
    session = CachedSession(cache_name=str(path), backend="sqlite", expire_after=-1)
    session.mount("https://", Shelf())
    assert session.get(CONTEXT).json()["@context"]
    session.close()
    return path


def validated(path: Path, cache: Path, profile: str) -> tuple[bool, str]:
    """Whether the validator accepts a crate, and what it says."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("rocrate-validator")),
            *("--no-interactive", "validate", "--profile-identifier", profile),
            *("--offline", "--cache-path", str(cache), "--no-paging", "--verbose", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9"},
    )
    assert "Validation Report" in done.stdout, done.stdout + done.stderr
    return done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "profile", ["ro-crate-1.1", "process-run-crate", "workflow-ro-crate", "workflow-run-crate"]
)
def test_the_public_validator_accepts_the_crate(packed, cache, profile):
    passed, output = validated(packed, cache, profile)
    assert passed, output


def test_the_validator_refuses_a_crate_without_its_run(packed, cache, tmp_path):
    """Or its acceptance would say nothing."""
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "ro-crate-metadata.json":
                output = json.loads(text)
                output["@graph"] = [e for e in output["@graph"] if e["@type"] != "CreateAction"]
                text = json.dumps(output).encode()
            new.writestr(name, text)
    passed, output = validated(broken, cache, "workflow-run-crate")
    assert not passed and "reference the root data entity's mainEntity" in " ".join(output.split())


def entities(path: Path) -> dict[str, dict]:
    with zipfile.ZipFile(path) as file:
        output = json.loads(file.read("ro-crate-metadata.json"))
    return {entity["@id"]: entity for entity in output["@graph"]}


def test_the_crate_says_who_ran_what_on_what(packed):
    output = entities(packed)
    assert {p["@id"] for p in output["./"]["conformsTo"]} == set(crate.PROFILES)
    (run,) = [e for e in output.values() if e["@type"] == "CreateAction"]
    assert run["instrument"] == {"@id": "Snakefile"}
    assert (run["startTime"], run["endTime"]) == (
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:02+00:00",
    )
    objects = {e["@id"] for e in run["object"]}
    assert objects == {"study/nano.yaml", "#input/raw/en.txt", "#input/raw/fr.txt"}
    shard = output["#input/raw/fr.txt"]
    assert shard["sha256"] == sha256("raw/fr.txt")
    results = {e["@id"] for e in run["result"]}
    assert {"results/tables/zero_shot.csv", "results/figures/zero_shot.pdf"} <= results
    assert len(results) == 4  # and what both sweeps chose
    assert output["https://pypi.org/project/torch/2.13.0/"]["softwareVersion"] == "2.13.0"
    authors = [output[e["@id"]] for e in output["./"]["author"]]
    assert [a["name"] for a in authors] == ["The language-arithmetic authors"]
    assert output["./"]["datePublished"] == "2026-01-01T00:00:02+00:00"


def test_the_zip_holds_code_and_results_and_no_large_inputs(packed):
    with zipfile.ZipFile(packed) as file:
        names = set(file.namelist())
    assert {
        "Snakefile",
        "rules/common.smk",
        "workflow/scripts/sweep.py",
        "workflow/langarith/audit/crate.py",
        "workflow/report/report.html",
        "profiles/default/config.yaml",
        "envs/langarith.yaml",
        "CITATION.cff",
        "study/nano.yaml",
        "study/study.json",
        "provenance/graph.json",
        "provenance/index.html",
        "results/tables/zero_shot.csv",
    } <= names
    large = [n for n in names if n.endswith((".safetensors", ".arrow", ".pyc", ".txt"))]
    assert large == ["studies/miniature_base/model.safetensors"]  # of the code, 2 MB
    assert all(
        unquote(entity["@id"]) in names
        for entity in entities(packed).values()
        if entity["@type"] == "File"
    )
    assert not list(packed.parent.glob(".*partial*"))


def test_files_of_the_workflow_are_those_that_git_does_not_ignore(root, tmp_path):
    project = copy_project(root, tmp_path / "project")
    assert "rules/common.smk" in crate.workflow_files(project)
    (project / "studies/mine.yaml").write_text("name: mine")  # not committed, and used
    (project / "workflow/__pycache__").mkdir()
    (project / "workflow/__pycache__/x.pyc").write_text("compiled")
    (project / "results").mkdir()
    (project / "results/large").write_text("no part of the workflow")
    on_disk = crate.workflow_files(project)
    git = ("git", "-C", str(project))
    subprocess.run([*git, "init", "-q"], check=True)
    (project / ".gitignore").write_text("__pycache__/\n/results/\n")
    subprocess.run([*git, "add", "rules"], check=True)
    assert crate.workflow_files(project) == on_disk
    assert "studies/mine.yaml" in on_disk
    wanted = {str(p.relative_to(project)) for p in project.rglob("*") if p.is_file()}
    left_out = {name for name in wanted if name.startswith((".git", "results/"))}
    assert set(on_disk) == wanted - left_out - {"Snakefile", "workflow/__pycache__/x.pyc"}


def test_a_download_is_named_by_its_revision(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_up.write_study()
    names = {
        "kind": "datasets",
        "repository": "wiki/pedia",
        "revision": "b10c",
        "file": "a.parquet",
    }
    file = "resources/datasets/wiki/pedia/b10c/a.parquet"
    made_up.job("download_hub_file", [], {file: "x"}, f"{file}.provenance.json", **names)
    tokens = "results/tokens/tiny/it/part.arrow"
    made_up.job("tokenize_shard", [file], {tokens: "x"}, f"{tokens}.provenance.json", x="it")
    built = crate.build(lineage.of(Path("results")), root, root / "studies/nano.yaml", Path("none"))
    output = built.get(f"#input/{file}")
    assert output["version"] == "b10c"
    assert output["url"] == "https://huggingface.co/datasets/wiki/pedia/resolve/b10c/a.parquet"


def test_people_are_those_of_the_citation_file():
    author = {"given-names": "Ada", "family-names": "Byron", "orcid": "https://orcid.org/0"}
    assert crate._person(author) == (
        "https://orcid.org/0",
        {"@type": "Person", "name": "Ada Byron"},
    )


@pytest.mark.slow
def test_snakemake_crate_packs_a_finished_study(copy, cache, root):
    import shutil

    for name in ("CITATION.cff", "README.md", "LICENSE"):
        shutil.copy2(root / name, copy / name)
    run(copy, "crate", *NANO)
    passed, output = validated(copy / "results/nano/crate.zip", cache, "workflow-run-crate")
    assert passed, output
    # what is in the zip is all that a reader needs to run it again, to the report
    shutil.unpack_archive(copy / "results/nano/crate.zip", copy / "unpacked")
    run(copy / "unpacked", "-n", "report", *NANO)
