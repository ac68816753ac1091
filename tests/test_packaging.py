"""What `pip install .` gives, and that every list of packages says the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import helpers
import made_up
import old_adapters
from langarith.adapter_format import ADAPTER_FILES
from langarith.models import encoders
from langarith.models.adapters import save_adapter

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SECTIONS = {
    "the library": PROJECT["dependencies"],
    "the workflow": PROJECT["optional-dependencies"]["workflow"],
    "langarith track": PROJECT["optional-dependencies"]["track"],
    "development": PROJECT["optional-dependencies"]["dev"],
}
"""Heading of envs/requirements.in → what pyproject.toml asks for."""


def asked(lines: list[str]) -> dict[str, Requirement]:
    found = [Requirement(line.partition(" #")[0].strip()) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def lock() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if line[0] != "#")
    return {canonicalize_name(name): version for name, _, version in pins}


# --- lists of packages ---


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_locked_is_what_the_project_asks_for(section):
    text = (ROOT / "envs/requirements.in").read_text(encoding="utf-8")
    parts = re.split(r"^# --- ([\w ]+?)[:,].*---$", text, flags=re.M)
    lines = dict(zip(parts[1::2], parts[2::2], strict=True))[section].split("\n")
    locked, project = asked([line for line in lines if line]), asked(SECTIONS[section])
    assert {name: found.extras for name, found in locked.items()} == {
        name: found.extras for name, found in project.items()
    }
    versions = lock()
    for name, requirement in [*locked.items(), *project.items()]:
        assert requirement.specifier.contains(versions[name]), f"{name}: {versions[name]}"


def test_every_package_has_a_range_with_an_end_or_says_why_not():
    endless = {
        name
        for lines in SECTIONS.values()
        for name, requirement in asked(lines).items()
        if not any(part.operator in ("<", "==", "~=") for part in requirement.specifier)
    }
    # versioned by date or by every release
    assert endless == {"pyarrow", "filelock"}


def test_the_lock_for_conda_is_the_lock():
    conda = yaml.safe_load((ROOT / "envs/langarith.yaml").read_text(encoding="utf-8"))
    (pip,) = (part["pip"] for part in conda["dependencies"] if isinstance(part, dict))
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    assert pip == [line for line in lines if line[0] != "#"]


def test_the_container_installs_exactly_the_lock():
    """Read, not built: an image needs a network and a program that builds it."""
    text = (ROOT / "envs/Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper()]
    (base,) = (value for step, value in steps if step == "FROM")
    conda = yaml.safe_load((ROOT / "envs/langarith.yaml").read_text(encoding="utf-8"))
    assert f"python ={re.search(r'python:(3[.][0-9]+)-', base)[1]}" in conda["dependencies"]
    copied = dict(value.rsplit(maxsplit=1) for step, value in steps if step == "COPY")
    target = copied["envs/requirements.lock"]
    assert all((ROOT / path).exists() for paths in copied for path in paths.split())
    installs = [
        command.split("pip install", 1)[1].split()
        for step, value in steps
        if step == "RUN"
        for command in value.split("&&")
        if "pip install" in command
    ]
    (everything,) = (words for words in installs if "--no-deps" not in words)
    assert [word for word in everything if word[0] != "-"] == [target]
    assert "-r" in everything
    (library,) = (words for words in installs if "--no-deps" in words)
    assert [word for word in library if word[0] != "-"] == [copied["workflow/langarith"][:-19]]


# --- the wheel ---

COMMANDS = """
import os, sys
sys.modules.update(dict.fromkeys({hidden}))
import langarith
from langarith import cli
assert os.path.dirname(langarith.__file__) == {library!r}, langarith.__file__
for command in {commands}:
    print(">", command, flush=True)
    print("exit code", cli.main(command.split()), flush=True)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The unpacked wheel of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for part in ("pyproject.toml", "README.md", "LICENSE", "workflow/langarith"):
        files = [ROOT / part, *(ROOT / part).rglob("*")]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                copy = source / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
    build = "import sys; from setuptools import build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_the_whole_library_and_nothing_else(wheel):
    there = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    library = ROOT / "workflow"
    wanted = {
        path.relative_to(library).as_posix()
        for path in (library / "langarith").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in there if ".dist-info/" not in name} == wanted
    assert any(name.endswith(".yaml") for name in wanted)


def test_the_wheel_asks_for_what_the_library_needs_alone(wheel):
    (info,) = wheel.glob("*.dist-info")
    found = metadata.PathDistribution(info)
    plain = {r.name for r in map(Requirement, found.requires or ()) if r.marker is None}
    assert {canonicalize_name(name) for name in plain} == set(asked(SECTIONS["the library"]))
    assert set(found.metadata.get_all("Provides-Extra") or ()) == set(
        PROJECT["optional-dependencies"]
    )


@pytest.fixture
def elsewhere(base, tmp_path, monkeypatch) -> Path:
    """A folder with two adapters that a study has trained, and one in pickles."""
    monkeypatch.chdir(tmp_path)
    results = made_up.write_study()
    (results / "study.json").write_text(
        json.dumps(
            {
                "name": "little",
                "results_dir": "results",
                "models": {"tiny": {"source": "files", "path": str(base)}},
            }
        )
    )
    model = encoders.load_encoder(base)
    for seed, name in enumerate(("initial", "en", "fr")):
        trained = f"results/adapters/tiny/language/{name}@full/seed3"
        folder = "results/adapters/tiny/initial/language" if name == "initial" else trained
        helpers.add_adapter(model, name, seed)
        save_adapter(model, name, Path(folder), with_head=False)
        first = name == "initial"
        made_up.job(
            "initialise_adapters" if first else "train_language_adapter",
            []
            if first
            else [f"results/adapters/tiny/initial/language/{file}" for file in ADAPTER_FILES],
            dict.fromkeys(f"{folder}/{file}" for file in ADAPTER_FILES),
            f"{folder}/provenance.json",
            model="tiny",
            **({} if first else {"language": name, "budget": "full", "seed": "3"}),
        )
        if not first:
            Path(f"{name}").symlink_to(folder)
    old_adapters.write(model, "en", Path("pickled"), "text_lang")
    recipe = {
        "method": "la",
        "operands": [{"adapter": "en", "weight": 0.65}, {"adapter": "fr", "weight": 0.35}],
    }
    Path("recipe.yml").write_text(yaml.safe_dump(recipe))
    for study in ("nano.yaml", "miniature.yaml"):
        Path(study).write_bytes((ROOT / "studies" / study).read_bytes())
    for language in ("en", "fr", "es"):
        folder = Path("data", language)
        folder.mkdir(parents=True)
        (folder / "text.txt").write_text(f"a sentence of {language}\n" * 20)
        for split in ("train", "validation", "test"):
            (folder / f"{split}.conll").write_text(f"{language}{split}\tB-LOC\n.\tO\n\n")
    return tmp_path


def test_the_commands_work_from_the_wheel_without_the_repository(wheel, elsewhere):
    """In one process, in which the packages of the extras cannot be imported."""
    extras = {name for lines in list(SECTIONS.values())[1:] for name in asked(lines)}
    other = {"markdown-it-py": "markdown_it", "pytest-xdist": "xdist", "roc-validator": "x"}
    hidden = {other.get(name, name.replace("-", "_")) for name in extras}
    # torch brings the first two
    hidden -= {"filelock", "jinja2", "setuptools"}
    commands = {
        "results results": "Tables in results/tables",
        "audit verify results": "the code of the jobs was not compared",
        "audit explain results/tables/zero_shot.csv": "train_language_adapter",
        "export --left en --right fr --lambda 0.5 --seed 3 --to exported": "0.50 · en + 0.50 · fr",
        "merge recipe.yml --to merged": "0.65 · en + 0.35 · fr",
        "convert pickled --to converted": "adapter 'en' of xlm-roberta-base",
        "completion bash": "complete ",
        "schema": '"title": "Study"',
        "init data --to drafted.yaml": "needs the package lang2vec, which is not installed",
        "plan nano.yaml": "no Snakefile in",
    }
    code = COMMANDS.format(
        hidden=sorted(hidden), library=str(wheel / "langarith"), commands=list(commands)
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(wheel), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = dict(part.split("\n", 1) for part in re.split(r"^> ", done.stdout, flags=re.M)[1:])
    assert list(said) == list(commands), done.stdout
    for command, sentence in commands.items():
        assert sentence in said[command], f"{command}: {said[command]}"
        failed = command.startswith(("init", "plan"))
        assert ("exit code 0" in said[command]) != failed, said[command]
    for folder in ("exported", "merged", "converted"):
        assert Path(folder, "adapter.safetensors").is_file()
    assert "Traceback" not in done.stdout
