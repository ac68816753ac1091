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
from langarith.jobs.fingerprint import LIBRARY, SCRIPTS
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
'''A module.'''
import json
import sys
from typing import TYPE_CHECKING

from langarith.errors import InputError, did_you_mean
from langarith.far import add
from langarith.progress import Progress, say

if TYPE_CHECKING:
    from langarith.elsewhere import Number


class Shape:
    size: int


class Reporter:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step(self, step: int) -> None:
        self.progress.update(step, "a note")


def double(x: Number) -> Number:
    '''Twice x.'''
    if x < 0:
        raise InputError(f"{x} is below 0{did_you_mean('x', ['y'])}; give more.") from None
    bar: Progress = Progress("doubling", 2)
    shown = Progress("doubling", total=2)
    shown.update(1, f"{x} so far")
    say(f"doubling {x}")
    print("doubled", file=sys.stderr)
    assert x >= 0, "never"
    twice: int = add(x, x)
    json.dumps(twice)
    return twice
"""
TREE = {
    "scripts/double.py": SCRIPT,
    "langarith/__init__.py": "VERSION = 1\n",
    "langarith/near.py": NEAR,
    "langarith/far.py": "def add(x, y):\n    return x + y\n",
    "langarith/elsewhere.py": "def add(x, y):\n    return x - y\n",
    "langarith/errors.py": "class InputError(ValueError): ...\n",
    "langarith/progress.py": "def say(line): ...\n",
    "langarith/jobs/__init__.py": "",
    "langarith/jobs/record.py": "VERSION = 1\n",
    "langarith/suite/__init__.py": "names = 'listed from the folder'\n",
    "langarith/suite/one.py": "from langarith.suite.shared.base import x\n",
    "langarith/suite/two.py": "x = 2\n",
    "langarith/suite/shared/__init__.py": "'''What they share.'''\n",
    "langarith/suite/shared/base.py": "x = 1\n",
    "langarith/suite/words.yaml": "x: 1\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script and a library of its own."""
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprints, "LIBRARY", tmp_path / "langarith")
    monkeypatch.setattr(fingerprints, "SCRIPTS", tmp_path / "scripts")
    return tmp_path


def fingerprint(*parts: str) -> str:
    fingerprints.forget()  # one process reads each file once
    return fingerprints.fingerprint("double", *parts)


@pytest.fixture(autouse=True)
def _forget():
    yield
    fingerprints.forget()


UNMOVED = {
    "a docstring": ("Twice x.", "2x."),
    "no docstring": ("'''A module.'''", ""),
    "a comment": ("    twice: int", "    # why\n    twice: int"),
    "formatting": ("add(x, x)", "(add( x,\n  x, ))"),
    "the words of an error": ("is below 0", "is negative"),
    "what an error quotes": ("did_you_mean('x', ['y'])", "x"),
    "the cause of an error": (" from None", ""),
    "the message of an assertion": ('"never"', '"not once"'),
    "a progress line": ("doubling {x}", "twice {x}"),
    "no progress line": ('    say(f"doubling {x}")\n', ""),
    "a title of progress": ('Progress("doubling", total=2)', 'Progress("doubles", total=3)'),
    "a title of progress with an annotation": ('Progress("doubling", 2)', 'Progress("two", 2)'),
    "a note of progress": ("{x} so far", "{x} by now"),
    "a note of progress in a method": ('"a note"', '"another"'),
    "a message on the console": ('print("doubled", file', 'print("done", x, file'),
    "annotations of a function": ("x: Number) -> Number", "x: int) -> int"),
    "an annotation of a variable": ("twice: int = ", "twice = "),
    "the order of imports": ("import json\nimport sys\n", "import sys\nimport json\n"),
    "an import in a function": (
        "import json\n",
        "",
        "    twice: int",
        "    import json\n    twice",
    ),
    "an import for type checkers": ("import Number", "import Number, add"),
    "an import of a message": (
        "import InputError, did_you_mean",
        "import did_you_mean, InputError",
    ),
}


@pytest.mark.parametrize("edit", UNMOVED.values(), ids=UNMOVED)
def test_fingerprint_is_unmoved_by_words_and_form(tree: Path, edit: tuple[str, ...]) -> None:
    before = fingerprint()
    change(tree / "langarith/near.py", *edit)
    assert fingerprint() == before


def change(path: Path, *edits: str) -> None:
    """Replace text that must be there: old, new, old, new, ..."""
    text = path.read_text()
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def test_fingerprint_is_unmoved_by_line_ends(tree: Path) -> None:
    before = fingerprint()
    (tree / "langarith/near.py").write_text(NEAR, newline="\r\n")
    assert fingerprint() == before


MOVED = {
    "the script": ("scripts/double.py", "params.x", "params.y"),
    "a module it imports": ("langarith/near.py", "add(x, x)", "add(x, 2)"),
    "a module two imports away": ("langarith/far.py", "x + y", "y + x"),
    "a default": ("langarith/far.py", "(x, y)", "(x, y=1)"),
    "when an error is raised": ("langarith/near.py", "x < 0", "x < 1"),
    "which error is raised": ("langarith/near.py", "raise InputError", "raise ValueError"),
    "what is asserted": ("langarith/near.py", "assert x >= 0", "assert x > 0"),
    "from where a name comes": ("langarith/near.py", "langarith.far", "langarith.elsewhere"),
    "which name is imported": ("langarith/near.py", "import add", "import sub as add"),
    "a field of a class": ("langarith/near.py", "size: int", "size: float"),
    "what is printed into a file": ("langarith/near.py", "file=sys.stderr", "file=x"),
    "what a variable is": ("langarith/near.py", "json.dumps(twice)", "twice += 1"),
}


@pytest.mark.parametrize("edit", MOVED.values(), ids=MOVED)
def test_fingerprint_is_moved_by_what_decides_a_result(tree: Path, edit: tuple[str, ...]) -> None:
    before = fingerprint()
    change(tree / edit[0], *edit[1:])
    assert fingerprint() != before


@pytest.mark.parametrize(
    "module", ["__init__", "elsewhere", "errors", "progress", "jobs/record", "suite/one"]
)
def test_fingerprint_is_unmoved_by_modules_that_report_and_by_those_not_imported(
    tree: Path, module: str
) -> None:
    before = fingerprint()
    (tree / "langarith" / f"{module}.py").write_text("raise SystemExit\n")
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from langarith import suite", "suite"),
        ("import langarith.suite", "suite"),
        ("from langarith.suite import names", "suite"),
        ("from langarith.suite import two", "suite suite.two"),
        ("import langarith.suite.two", "suite suite.two"),
        ("from langarith.suite import one", "suite suite.one suite.shared suite.shared.base"),
        ("def f():\n    from langarith.suite.two import x", "suite suite.two"),
        ("if x:\n    pass\nelse:\n    import langarith.far", "far"),
        ("try:\n    pass\nfinally:\n    import langarith.far", "far"),
        ("try:\n    pass\nexcept E:\n    import langarith.far", "far"),
        ("with x:\n    from langarith import errors, far, progress", "far"),
        ("match x:\n    case 1:\n        import langarith.far", "far"),
        ("if TYPE_CHECKING:\n    import langarith.far", ""),
        ("if typing.TYPE_CHECKING:\n    import json\nelse:\n    import langarith.far", "far"),
    ],
)
def test_a_module_counts_with_its_packages_and_without_its_neighbours(
    tree: Path, line: str, names: str
) -> None:
    (tree / "scripts/double.py").write_text(f"{line}\n")
    found = fingerprints.modules("double")
    assert set(found) == {"scripts.double", *(f"langarith.{name}" for name in names.split())}


def test_parts_count_with_what_they_import(tree: Path) -> None:
    """A registry imports the chosen module by a name that it computes: its rule names it."""
    seen = {fingerprint(), fingerprint("suite.one"), fingerprint("suite.two")}
    seen.add(fingerprint("suite.one", "suite.two"))
    assert len(seen) == 4
    assert fingerprint("suite.two", "suite.one").endswith(" suite.one suite.two")
    one, two = fingerprint("suite.one"), fingerprint("suite.two")
    change(tree / "langarith/suite/shared/base.py", "x = 1", "x = 3")
    assert fingerprint("suite.one") != one
    assert fingerprint("suite.two") == two
    change(tree / "langarith/suite/two.py", "x = 2", "x = 4")
    assert fingerprint("suite.two") != two
    (tree / "langarith/suite/three.py").write_text("x = 3\n")
    (tree / "langarith/suite/words.yaml").write_text("x: 2\n")
    two = fingerprint("suite.two")
    (tree / "langarith/suite/four.py").write_text("x = 3\n")
    assert fingerprint("suite.two") == two


@pytest.mark.parametrize("part", ["suite.five", "words.yaml", "near.double", "nothing"])
def test_a_part_that_is_not_there_is_refused(tree: Path, part: str) -> None:
    """With no FileNotFoundError, which Snakemake takes for an input that does not exist yet."""
    with pytest.raises(ValueError, match="no module"):
        fingerprint(part)


def test_a_name_bound_to_two_things_keeps_imports_in_place(tree: Path) -> None:
    text = "def f():\n    from a import x\n    x()\ndef g():\n    from b import x\n    x()\n"
    near = tree / "langarith/near.py"
    near.write_text(text)
    before = fingerprint()
    near.write_text(
        text.replace("from a", "from c").replace("from b", "from a").replace("from c", "from b")
    )
    assert fingerprint() != before


def test_scripts_have_fingerprints_of_their_own() -> None:
    scripts = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    assert {"train_language_adapter", "tabulate"} <= set(scripts)
    assert len({fingerprints.fingerprint(script) for script in scripts}) == len(scripts)


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
from langarith.errors import InputError
if TYPE_CHECKING:
    from langarith.progress import Progress

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
    def n(self, progress: Progress):
        raise InputError(f"{self!r}") from self

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
    print(f"{x=}", y)
while True:
    for i in range(3): continue
    else: break
'''
NORMAL_FORM = "6ad54025f6aff6cb"
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
    output = {python: hashes(python, [tmp_path / "sample.py"]) for python in pythons}
    assert output == {python: [NORMAL_FORM] for python in pythons}


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
    output = describe([f"{tmp_path}/b", f"{tmp_path}/folder", f"{tmp_path}/b"])
    assert list(output) == [f"{tmp_path}/b", f"{tmp_path}/folder/c"]
    assert output[f"{tmp_path}/b"] == {
        "sha256": hashlib.sha256(b"b").hexdigest(),
        "size": 1,
        "mtime_ns": (tmp_path / "b").stat().st_mtime_ns,
    }


@pytest.mark.parametrize("record", ["data.provenance.json", "provenance.json"])
def test_files_that_a_record_has_hashed_are_not_read_again(tmp_path: Path, record: str) -> None:
    """Large inputs are hashed once, by the job that wrote them, while size and time agree."""
    data = tmp_path / "data"
    data.write_text("x" * 10)
    output = describe([str(data)])[str(data)] | {"sha256": "as recorded"}
    write_json(tmp_path / record, {"outputs": {str(data): output}})
    assert describe([str(data)])[str(data)]["sha256"] == "as recorded"

    data.write_text("y" * 10)
    os.utime(data, ns=(0, output["mtime_ns"] + 1))
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
    output = plain({"a": (1, 2.5), "b": {"c": Path("x")}, 3: None, "d": {True}})
    assert output == {"a": [1, 2.5], "b": {"c": "x"}, "3": None, "d": [True]}


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
with record.job(snakemake, also="more=*.json"):
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


def test_a_record_names_outputs_that_only_the_job_could_know(tmp_path: Path) -> None:
    assert run_job(tmp_path, "open('more=2.json', 'w').write('{}')").returncode == 0
    record = json.loads((tmp_path / "out.txt.provenance.json").read_text())
    assert list(record["outputs"]) == ["out.txt", "more=2.json"]


def test_versions_are_those_that_the_packages_tell() -> None:
    from importlib.metadata import version

    output = _versions()
    assert set(output) == {"python", *_PACKAGES}
    assert all(output[name] == version(name) for name in _PACKAGES)


def test_a_record_costs_less_than_50_milliseconds(tmp_path: Path) -> None:
    """Of computing, git's included; the least of three, since the machine has other work."""
    cost = []
    for attempt in "abc":
        (tmp_path / attempt).mkdir()
        assert run_job(tmp_path / attempt).returncode == 0
        cost.append(float((tmp_path / attempt / "cost").read_text()))
    assert min(cost) < 0.05


@pytest.mark.parametrize("asked", ["auto", "bf16"])
def test_a_record_has_the_precision_that_a_model_computed_in(tmp_path: Path, asked: str) -> None:
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


def test_a_new_file_of_the_library_is_a_change_of_the_code(tmp_path, monkeypatch) -> None:
    """A merge method that was added is in no commit; results beside the library are no code."""
    library = tmp_path / "workflow/langarith"
    library.mkdir(parents=True)
    (library / "code.py").write_text("A = 1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(record, "LIBRARY", library)
    monkeypatch.setattr(record, "CHECKOUT", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/a.csv").write_text("1")
    assert record._git()["dirty"] is False
    (library / "method.py").write_text("B = 2")
    assert record._git()["dirty"] is True
