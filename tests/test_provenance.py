"""Where a file comes from: code fingerprints, records of jobs, and how a mistake is worded."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from langarith.files import sha256, write_json
from langarith.jobs import fingerprint as fingerprints
from langarith.jobs import record
from langarith.jobs.fingerprint import LIBRARY, SCRIPTS, _digest, _rooms, _tree
from langarith.jobs.record import _PACKAGES, _versions, describe, plain

# ---------------------------------------------------------------- fingerprints

SCRIPT = """
'''Doubles.'''
from langarith.jobs import record

with record.job(snakemake):
    from langarith import near

    near.double(snakemake.params.x)
"""
NEAR = """
'''A room.'''
from langarith.far import add


def double(x: int) -> int:
    '''Twice x.'''
    return add(x, x)
"""
HOUSE = {
    "scripts/double.py": SCRIPT,
    "langarith/near.py": NEAR,
    "langarith/far.py": "def add(x, y):\n    return x + y\n",
    "langarith/elsewhere.py": "def add(x, y):\n    return x - y\n",
    "langarith/jobs/record.py": "VERSION = 1\n",
    "langarith/suite/__init__.py": "from langarith.suite.one import x\n",
    "langarith/suite/one.py": "x = 1\n",
    "langarith/suite/words.yaml": "x: 1\n",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script and the rooms of a library of its own."""
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprints, "LIBRARY", tmp_path / "langarith")
    monkeypatch.setattr(fingerprints, "SCRIPTS", tmp_path / "scripts")
    return tmp_path


def fingerprint(script: str = "double") -> str:
    for cached in (_tree, _digest, _rooms):
        cached.cache_clear()  # one process reads each file once
    return fingerprints.fingerprint(script)


@pytest.fixture(autouse=True)
def _forget():
    yield
    for cached in (_tree, _digest, _rooms):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("langarith/near.py", NEAR.replace("Twice x.", "2x.")),
        ("langarith/near.py", NEAR.replace("'''A room.'''", "")),
        ("langarith/near.py", "# why\n" + NEAR.replace("add(x, x)", "(add( x,x ))  # twice")),
        ("langarith/near.py", NEAR.replace("\n", "\r\n")),
        ("langarith/far.py", "\n\ndef add(\n    x,\n    y,\n):\n  return (x\n    + y)\n"),
        ("scripts/double.py", SCRIPT.replace("Doubles", "Doubles a number")),
    ],
    ids=["docstring", "no docstring", "comment", "line ends", "formatting", "script"],
)
def test_fingerprint_is_unmoved_by_comments_docstrings_and_formatting(
    house: Path, room: str, text: str
) -> None:
    before = fingerprint()
    assert (house / room).read_text() != text
    (house / room).write_text(text, newline="")
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("room", "old", "new"),
    [
        ("scripts/double.py", "params.x", "params.y"),
        ("langarith/near.py", "add(x, x)", "add(x, 2)"),
        ("langarith/far.py", "x + y", "y + x"),  # two imports away
        ("langarith/far.py", "(x, y)", "(x, y=1)"),
    ],
)
def test_fingerprint_is_moved_by_code_of_the_script_and_of_imported_rooms(
    house: Path, room: str, old: str, new: str
) -> None:
    before = fingerprint()
    text = (house / room).read_text()
    assert old in text
    (house / room).write_text(text.replace(old, new))
    assert fingerprint() != before


@pytest.mark.parametrize("room", ["elsewhere", "jobs/record", "suite/one"])
def test_fingerprint_is_unmoved_by_other_rooms(house: Path, room: str) -> None:
    """provenance describes a job and leaves its numbers alone: an edit of it reruns nothing."""
    before = fingerprint()
    (house / "langarith" / f"{room}.py").write_text("raise SystemExit\n")
    assert fingerprint() == before


@pytest.mark.parametrize("line", ["from langarith import suite", "import langarith.suite"])
def test_a_room_of_several_files_counts_whole_with_its_data(house: Path, line: str) -> None:
    (house / "scripts" / "double.py").write_text(f"{line}\n")
    seen = {fingerprint()}
    (house / "langarith" / "suite" / "one.py").write_text("x = 2\n")
    seen.add(fingerprint())
    (house / "langarith" / "suite" / "words.yaml").write_text("x: 2\n")
    seen.add(fingerprint())
    assert len(seen) == 3


def test_moving_an_import_into_a_function_keeps_it_counted(house: Path) -> None:
    (house / "scripts" / "double.py").write_text("def f():\n    from langarith.far import add\n")
    before = fingerprint()
    (house / "langarith" / "far.py").write_text("def add(x, y):\n    return 0\n")
    assert fingerprint() != before


def test_scripts_that_share_no_room_have_fingerprints_of_their_own() -> None:
    scripts = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    assert {"train_language_adapter", "sweep_la", "tabulate"} <= set(scripts)
    assert len({fingerprint(script) for script in scripts}) == len(scripts)


def test_every_import_of_the_library_is_one_that_fingerprints_follow() -> None:
    """They follow absolute imports: behind a relative one an edit would rerun nothing."""
    for path in (*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


# Syntax whose tree has changed, or might, between versions of Python.
SAMPLE = '''
"""A docstring."""
from __future__ import annotations
import a.b as c, d
from e import (f, g as h)

type_comment = u"text" "joined" 'too'  # type: str
X: dict[str, list[int | None]] = {**a, "k": [*b, ...]}

@decorator(1, key=-2.5e-3)
class K(Base, metaclass=M):
    """Docstring."""
    def m(self, x, /, y: int = 1, *args: int, z=None, **kw) -> str | None:
        """Docstring."""
        global q
        if (n := len(x)) > 10 and not y or x is not None:
            return f"a{{b}} {n!r:>{y}} {x.real:.2f} {y=} {'nested'}" f"c" "d"
        return None

async def main():
    async with s as t, u: pass
    return [i async for i in v() if await w]

match command:
    case {"k": [1, *rest], **more} if rest: ...
    case K(x=0) | None | "s" as t: pass
    case _: raise ValueError from error

try:
    del a[1:2, ...], b
except* (E, F) as e:
    x @= lambda *a, k=1, **b: (yield)
else:
    x, *y = b"bytes", 1_000, 0xFF, 1j, True
finally:
    assert x, "message"
while True:
    for i in range(3): continue
    else: break
'''
NORMAL_FORM = "92cd38deac461f90"
HASH = """
import ast, hashlib, sys
from langarith.jobs.fingerprint import normal_form
for path in sys.argv[1:]:
    form = normal_form(ast.parse(open(path, encoding="utf-8").read()))
    print(hashlib.sha256(form.encode()).hexdigest()[:16])
"""


def other_pythons() -> list[str]:
    """Other versions that can read the library (3.11 and newer), on PATH or from pyenv."""
    found = {}
    for minor in range(11, 16):
        name = f"python3.{minor}"
        installed = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))
        for place in filter(None, [shutil.which(name), *installed]):
            # pyenv leaves shims of versions that are not chosen: they exit with 127
            if subprocess.run([place, "-V"], capture_output=True, check=False).returncode == 0:
                found[minor] = str(place)
    return [place for minor, place in found.items() if minor != sys.version_info.minor]


def hashes(python: str, paths: list[Path]) -> list[str]:
    """Hashes of the normal forms of some files, as one Python reads them."""
    done = subprocess.run(
        [python, "-c", HASH, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
    )
    return done.stdout.split()


def test_normal_form_is_the_same_under_every_python(tmp_path: Path) -> None:
    """A constant, so that it says something also where no other Python is installed."""
    (tmp_path / "sample.py").write_text(SAMPLE)
    pythons = [sys.executable, *other_pythons()]
    told = {python: hashes(python, [tmp_path / "sample.py"]) for python in pythons}
    assert told == {python: [NORMAL_FORM] for python in pythons}


def test_fingerprints_of_the_library_are_the_same_under_every_python() -> None:
    files = sorted([*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")])
    here = hashes(sys.executable, files)
    for python in other_pythons():
        assert dict(zip(files, hashes(python, files), strict=True)) == dict(
            zip(files, here, strict=True)
        )


# ---------------------------------------------------------------- descriptions of files


def test_files_are_described_by_size_time_and_hash(tmp_path: Path) -> None:
    for name in ("b", "a", "folder/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    told = describe([f"{tmp_path}/b", f"{tmp_path}/folder", f"{tmp_path}/b"])
    assert list(told) == [f"{tmp_path}/b", f"{tmp_path}/folder/c"]
    assert told[f"{tmp_path}/b"] == {
        "sha256": hashlib.sha256(b"b").hexdigest(),
        "size": 1,
        "mtime_ns": (tmp_path / "b").stat().st_mtime_ns,
    }


@pytest.mark.parametrize("record", ["data.provenance.json", "provenance.json"])
def test_what_a_record_knows_is_not_read_again(tmp_path: Path, record: str) -> None:
    """Large inputs are hashed once, by the job that wrote them, while size and time agree."""
    data = tmp_path / "data"
    data.write_text("x" * 10)
    told = describe([str(data)])[str(data)] | {"sha256": "as recorded"}
    write_json(tmp_path / record, {"outputs": {str(data): told}})
    assert describe([str(data)])[str(data)]["sha256"] == "as recorded"

    data.write_text("y" * 10)
    os.utime(data, ns=(0, told["mtime_ns"] + 1))
    new = describe([str(data)])[str(data)]
    assert new["sha256"] == hashlib.sha256(b"y" * 10).hexdigest()


def test_a_large_file_of_the_users_is_hashed_by_the_first_job_alone(tmp_path: Path, monkeypatch):
    """Every sweep reads the base model: a gigabyte that no job has made."""
    monkeypatch.setattr(record, "LARGE", 10)
    hashed = []
    real = sha256
    monkeypatch.setattr(record, "sha256", lambda path: hashed.append(path) or real(path))
    big, small, memory = tmp_path / "big", tmp_path / "small", tmp_path / "hashes"
    big.write_text("x" * 10), small.write_text("x")
    first = describe([str(big), str(small)], memory)
    assert describe([str(big), str(small)], memory) == first
    assert hashed == [big, small, small]

    big.write_text("y" * 10)
    os.utime(big, ns=(0, 1))
    assert describe([str(big)], memory)[str(big)]["sha256"] == real(big)


# ---------------------------------------------------------------- JSON


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, {"x": 1 / 3, "ü": [None, True]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"x": 1 / 3, "ü": [None, True]}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_json_is_written_not_at_all_where_it_cannot_be_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert path.read_text() == "1\n"

    def full(file: Path, text: str, **_: object) -> None:
        file.write_bytes(text.encode()[:1])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_json(path, 22)
    assert path.read_text() == "1\n"


def test_parameters_become_plain_json() -> None:
    told = plain({"a": (1, 2.5), "b": {"c": Path("x")}, 3: None, "d": {True}})
    assert told == {"a": [1, 2.5], "b": {"c": "x"}, "3": None, "d": [True]}


# ---------------------------------------------------------------- jobs

JOB = """
import os, sys
from types import SimpleNamespace
from langarith import errors, progress
from langarith.jobs import record

class Named(list):
    def __init__(self, **items):
        super().__init__(items.values())
        self.items = lambda: items.items()
        self.__dict__.update(items)

snakemake = SimpleNamespace(
    rule="double",
    wildcards=Named(language="fr", seed="1"),
    input=Named(text="in.txt"),
    output=Named(text="out.txt", record="out.txt.provenance.json"),
    params=Named(
        budget=None,
        recipe={"steps": 2, "seed": 7},
        corpus=[{"path": "wiki", "revision": "b10c"}],
        code="abc",
    ),
    log=Named(log="logs/double/fr.log"),
    threads=2,
    resources=SimpleNamespace(attempt=3),
)
with record.job(snakemake):
    print("a library talks")
    progress.say("half way")
    BODY
    open("out.txt", "w").write("xx")
    before = os.times()
open("cost", "w").write(str(sum(os.times()[:4]) - sum(before[:4])))
"""


def run_job(folder: Path, body: str = "pass") -> subprocess.CompletedProcess[str]:
    """A script in a process of its own: a job sends its process's output to its log."""
    (folder / "in.txt").write_text("x")
    (folder / "study.json").write_text('{"name": "little"}')
    script = JOB.replace("BODY", textwrap.indent(body, "    ").strip())
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SLURM_JOB_ID": "77", "PYTHONPATH": str(LIBRARY.parent)},
    )


def test_job_leaves_a_record_of_what_it_read_wrote_and_ran_on(tmp_path: Path) -> None:
    done = run_job(tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out.txt.provenance.json").read_text())
    assert record["rule"] == "double"
    assert record["wildcards"] == {"language": "fr", "seed": "1"}
    assert record["parameters"] == {
        "budget": None,
        "recipe": {"steps": 2, "seed": 7},
        "corpus": [{"path": "wiki", "revision": "b10c"}],
        "code": "abc",
    }
    # the wildcard's seed, not that of a recipe
    assert record["seed"] == 1
    assert record["revisions"] == {"wiki": "b10c"}
    assert record["study"] == "little"
    assert record["script"] == "double"
    assert record["precision"] is None
    assert record["inputs"]["in.txt"]["sha256"] == hashlib.sha256(b"x").hexdigest()
    # the record does not describe itself
    assert list(record["outputs"]) == ["out.txt"]
    assert record["outputs"]["out.txt"]["sha256"] == hashlib.sha256(b"xx").hexdigest()
    assert record["log"] == "logs/double/fr.log"
    assert record["versions"].keys() >= {"python", "torch", "transformers", "adapters"}
    assert record["git"] is None or len(record["git"]["commit"]) == 40
    assert record["device"] == "cpu"
    assert (record["threads"], record["slurm_job"], record["attempt"]) == (2, "77", 3)
    assert record.keys() >= {"host", "name"}
    assert record["start"] <= record["end"]
    assert record["seconds"] >= 0
    assert record["cpu_seconds"] > 0
    assert record["peak_memory_mb"] > 1


def test_versions_are_those_that_the_packages_tell() -> None:
    from importlib.metadata import version

    told = _versions()
    assert set(told) == {"python", *_PACKAGES}
    assert all(told[name] == version(name) for name in _PACKAGES)


def test_a_record_costs_less_than_50_milliseconds(tmp_path: Path) -> None:
    """Of computing, git's included; the least of three, since the machine has other work."""
    cost = []
    for attempt in "abc":
        (tmp_path / attempt).mkdir()
        assert run_job(tmp_path / attempt).returncode == 0
        cost.append(float((tmp_path / attempt / "cost").read_text()))
    assert min(cost) < 0.05


@pytest.mark.parametrize("asked", ["auto", "bf16"])
def test_a_record_tells_the_precision_that_a_model_computed_in(tmp_path: Path, asked: str) -> None:
    """`auto` is resolved, where the job has loaded what computes."""
    body = "from langarith.models import devices; "
    body += f"snakemake.params = Named(batches={{'precision': {asked!r}}}, code='abc')"
    assert run_job(tmp_path, body).returncode == 0
    record = json.loads((tmp_path / "out.txt.provenance.json").read_text())
    assert record["precision"] == {"auto": "fp32", "bf16": "bf16"}[asked]


def test_console_gets_progress_and_the_log_everything(tmp_path: Path) -> None:
    done = run_job(tmp_path)
    assert (done.stdout, done.stderr) == ("", "half way\n")
    head, *lines = (tmp_path / "logs/double/fr.log").read_text().splitlines()
    assert head.startswith("--- SLURM job 77 on ")
    assert sorted(lines) == ["a library talks", "half way"]


def test_users_mistake_is_one_sentence_on_the_console_and_in_the_log(tmp_path: Path) -> None:
    done = run_job(tmp_path, "raise errors.InputError('in.txt: line 1 is blank; remove it.')")
    sentence = "Error in double: in.txt: line 1 is blank; remove it."
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["half way", sentence]
    log = (tmp_path / "logs/double/fr.log").read_text()
    assert sentence in log
    assert "Traceback" not in log
    assert not (tmp_path / "out.txt.provenance.json").exists()


def test_our_own_mistake_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    done = run_job(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "logs/double/fr.log").read_text()
    assert not (tmp_path / "out.txt.provenance.json").exists()
