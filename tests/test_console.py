"""What a user sees on the console: one sentence for a mistake, and commands that work as pasted."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

import made_up
from langarith import cli
from langarith.audit import verify
from langarith.audit.lineage import Lineage
from langarith.errors import InputError
from langarith.files import is_partial, read_json, remove_partial, whole, whole_folder
from langarith.jobs import record
from langarith.study import experiments, loading
from langarith.training.signals import SignalRequests

ROOT = Path(__file__).parents[1]
NANO = ROOT / "studies/nano.yaml"


# --- studies ---


def study(folder: Path, text: str) -> Path:
    """A study that extends nano."""
    file = folder / "mine.yaml"
    own = "" if text.startswith("results_dir") else f"results_dir: {folder / 'results'}\n"
    file.write_text(f"extends: {NANO}\n{own}{text}")
    return file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("related: {es: en, fr: es}", "related.es: en is the task language"),
        (
            "lambdas: {la: {step: 1.0e-9}}",
            "lambdas.la.step is 1e-09; write a number of at least 0.01",
        ),
        ("lambdas: {la: {step: .inf}}", "lambdas.la.step is '.inf'; write a number"),
        ("lambdas: {la: {step: 0.5}, ties20: {stop: 50, step: 0.01}}", "at most 1001"),
        ("name: a/b", "name: 'a/b' is no name of a file"),
        ("name: my {x}", "name: 'my {x}' is no name of a file"),
        ("name: ''", "name: '' is no name of a file"),
        ("checkpoint_dir: a/{x}", "checkpoint_dir: 'a/{x}' has braces"),
        ("checkpoint_dir: ''", "checkpoint_dir is empty; write text"),
        ("results_dir: ' '", "results_dir: ' ' begins or ends with a space; name a folder"),
        ('results_dir: "a\\0b"', "results_dir: 'a\\x00b' has a NUL character"),
        ('name: "a\\0b"', "name: 'a\\x00b' has a NUL character"),
        (
            'tasks: {ner: {source: files, targets: [es], train: "a\\0"}}',
            "train: 'a\\x00' has a NUL",
        ),
    ],
)
def test_what_a_study_may_not_say(tmp_path, text, sentence):
    with pytest.raises(InputError) as refused:
        loading.load(study(tmp_path, text))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["results_dir", "checkpoint_dir"])
def test_a_folder_that_is_a_file_is_refused(tmp_path, key):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=f"{key}: .*/taken is a file; name a folder"):
        loading.load(study(tmp_path, ""), {key: str(tmp_path / "taken/below")})


@pytest.mark.parametrize("key", ["results_dir", "checkpoint_dir"])
@pytest.mark.parametrize(
    ("below", "says"),
    [
        ("", "{0} cannot be written; change"),
        ("/a/b", "{0}/a/b cannot be written, since {0} cannot;"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path, monkeypatch, capsys, key, below, says
):
    locked = tmp_path / "locked"
    locked.mkdir()
    file = study(tmp_path, f"{key}: {locked}{below}")
    loading.load(file)  # to read its results
    access = os.access  # root may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and access(path, mode))
    for command in ("check", "plan"):
        assert cli.main([command, str(file)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{key}: {says.format(locked)}")


@pytest.mark.parametrize("name", ["part{1}.txt", ".txt"])
def test_a_shard_whose_name_is_no_part_of_a_path_is_refused(tmp_path, name):
    for language in ("en", "es", "fr"):
        (tmp_path / language).mkdir()
        (tmp_path / language / name).write_text("text\n")
    pattern = "*.txt" if name != ".txt" else name  # * matches no hidden file
    corpora = f"corpora: {{source: files, path: '{tmp_path}/{{language}}/{pattern}'}}"
    with pytest.raises(InputError, match=r"rename the file; its name has braces, or no letter"):
        loading.load(study(tmp_path, corpora))


# --- files that were being written, JSON, full disks ---


def test_what_a_killed_writer_left_is_removed_and_is_no_file_of_the_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = made_up.write_study()
    stream = results / "tokens/tiny/en/train-00000.arrow"
    with whole(stream) as left, whole_folder(results / "adapters/tiny") as folder:
        assert is_partial(left.name) and is_partial(folder.name)
        left.write_text("whole")
    for path in (left, folder / "adapter.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    stream.unlink()
    other = stream.with_name(".other.01234567.partial.arrow")
    other.write_text("of another writer")
    assert verify.verify(results).findings == ()
    remove_partial([stream, results / "adapters/tiny/adapter.safetensors"])
    assert not left.exists() and not folder.exists() and other.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff", "not UTF-8 (byte 0)"),
    ],
)
def test_json_that_cannot_be_read_is_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "study.json"
    file.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_json(file)
    assert sentence in str(refused.value) and str(file) in str(refused.value)
    with pytest.raises(InputError, match="delete it if it is yours"):
        Lineage(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/x"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
)
def test_a_full_disk_is_one_sentence(error):
    assert "free some space and run again" in record._full_disk(error)
    assert record._full_disk(ValueError("some other error")) is None


def test_ctrl_c_asks_a_training_to_save_and_end():
    for number in (signal.SIGINT, signal.SIGTERM):
        requests = SignalRequests()
        with requests.listening():
            signal.raise_signal(number)
        assert requests.save and requests.stop


# --- audit, export ---


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished little study below the current folder, by the name that the documents use."""
    monkeypatch.chdir(tmp_path)
    return made_up.write_study()


def test_nothing_to_verify_is_an_error(results, capsys):
    records = [*results.rglob("*provenance.json")]
    for path in records:
        path.unlink()
    assert cli.main(["audit", "verify"]) == 1
    assert (
        "no job has left a record there, so there is nothing to verify" in capsys.readouterr().err
    )


def test_a_folder_above_studies_names_them(results, capsys):
    Path("all").mkdir()
    results.rename("all/mine")
    for command in (
        "audit verify all",
        "export --left en --right fr --lambda 0.5 --to out --results all",
    ):
        assert cli.main(command.split()) == 1
        assert "name the results folder of a study: all/mine" in capsys.readouterr().err


def test_export_without_adapters_says_so(results, capsys):
    for path in results.glob("adapters/**/*provenance.json"):
        path.unlink()
    assert cli.main("export --left en --right fr --lambda 0.5 --to out".split()) == 1
    assert "no language adapter was trained there" in capsys.readouterr().err


LONG = "x" * 300


@pytest.mark.parametrize(
    "command",
    [
        *("audit verify {}", "audit explain {}", "audit diff {} {}", "check {}", "plan {}"),
        *("convert {} --to out", "doctor {}", "init {}", "merge {} --to out", "results {}"),
        *("status {}", "track {} --to tensorboard out", "track results --to tensorboard {}"),
        *("export --selected {} --to out", "export --operands en+fr --lambda 0 --to {}"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_in_every_command(results, capsys, command):
    Path("loop").symlink_to("loop")
    before = sorted(Path.cwd().rglob("*"))
    for name, reason in (
        (LONG, "file name too long; take a shorter name"),
        ("loop", "too many levels of symbolic links; correct the path"),
        ("$NOWHERE/x", "the environment variable $NOWHERE is not set; set it or write a path"),
    ):
        assert cli.main([word.format(name) for word in command.split()]) == 1
        assert capsys.readouterr().err == f"{name}: {reason}\n"
    assert sorted(Path.cwd().rglob("*")) == before


def test_home_and_variables_are_expanded_in_paths_of_commands(results, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("WHERE", "results")
    for path in ("~/results", "$WHERE"):
        assert cli.main(["audit", "diff", path, "${WHERE}"]) == 0
        assert capsys.readouterr().out == "no difference\n"


def test_errors_of_the_system_name_the_file_and_others_stay_tracebacks(capsys, monkeypatch):
    def fails(error: Exception) -> int:
        def run(_: list[str]) -> int:
            raise error

        monkeypatch.setattr(cli, "run", run)
        return cli.main([])

    def of_system(number: int, *names: str) -> OSError:
        return OSError(number, os.strerror(number), *names)

    partial = "out/.en-fr.0123abcd.partial"
    for error, sentence in (
        (of_system(errno.EACCES, f"{partial}/README.md"), "out/en-fr/README.md: permission denied"),
        (of_system(errno.EACCES, "out/.a.0123abcd.partial.csv"), "out/a.csv: permission denied"),
        (of_system(errno.EEXIST, "a"), "a: file exists; name another path"),
        (of_system(errno.ENOENT, "a"), "a: no such file or directory; correct the path"),
        (of_system(errno.ENOSPC), "no space left on device; free some space and run again"),
        (InputError("a: a sentence"), "a: a sentence"),
    ):
        assert fails(error) == 1
        assert capsys.readouterr().err.startswith(sentence)
    for error in (of_system(errno.EBADF), OSError("of a library"), KeyError("a")):
        with pytest.raises(type(error)):
            fails(error)


@pytest.mark.parametrize("document", ["README.md", "docs/provenance.md", "docs/first_study.md"])
def test_the_documents_explain_numbers_as_pasted(results, document, capsys):
    """Rows and files in the made-up study; words fit a number of the study that the line names."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if line.startswith("    langarith audit explain")]
    assert found
    for line in found:
        _, _, _, path, *words = shlex.split(line, comments=True)
        folder, _, file = path.removeprefix("results/").partition("/")
        if file:
            # the made-up study has the same files
            assert cli.main(["audit", "explain", f"results/{file}", *words]) == 0
            assert "train_language_adapter" in capsys.readouterr().out
            continue
        asked = dict(word.split("=") for word in words if "=" in word)
        with chdir(ROOT):
            study = loading.load(f"studies/{folder}.yaml")
        experiment = asked.pop("experiment", next(iter(study.experiments)))
        asked.pop("what", None)
        cells = experiments.cells(study, experiment)
        assert any(asked.items() <= cell.wildcards.items() for cell in cells), line


def test_a_reader_that_ends_early_causes_no_traceback():
    code = (
        "import sys\nfrom langarith import cli\n"
        "cli.run = lambda _: print('line\\n' * 100_000) or 0\nsys.exit(cli.main([]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        command.stdout.readline()
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 128 + signal.SIGPIPE


# --- Snakemake and make ---


def snakemake(folder: Path, *arguments: str, python: Path | None = None) -> tuple[int, str]:
    """Run it in a folder, on nano."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [
            str(python or sys.executable),
            *("-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments),
            *("--configfile", str(NANO)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_answers_without_cores_and_writes_a_lost_study_file(tmp_path):
    logs = tmp_path / "results/nano/logs"
    logs.mkdir(parents=True)
    code, text = snakemake(tmp_path, "--unlock")
    assert code == 0, text
    assert not (tmp_path / "results/nano/study.json").exists()  # only a plan was asked for
    (logs / "run.json").write_text("{}")
    code, text = snakemake(tmp_path, "--unlock")
    assert code == 0, text
    assert json.loads((tmp_path / "results/nano/study.json").read_text())["name"] == "nano"


def test_a_figure_of_an_experiment_that_the_study_lacks_is_one_sentence(tmp_path):
    figure = "results/nano/figures/enhancement.pdf"
    code, text = snakemake(tmp_path, "-n", "--cores", "1", figure)
    assert code == 1
    assert text.strip().endswith("no experiment 'enhancement'; add it under 'experiments'")
    assert "Traceback" not in text


def test_two_runs_do_not_write_into_one_results_folder(tmp_path):
    lock = tmp_path / "results/nano/logs/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        target = "results/nano/miniature/raw/en/train-00000-of-00002.parquet"
        code, text = snakemake(tmp_path, "--cores", "1", target)
    assert code == 1
    assert "another run is writing into results/nano" in text
    assert not (tmp_path / target).exists()


def test_a_path_with_a_space_is_refused(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    code, text = snakemake(tmp_path, "-n", "--cores", "1", python=folder / "python")
    assert code == 1 and "Snakemake cannot start jobs by a path with a space" in text
    shutil.copy(ROOT / "Makefile", folder)
    made = subprocess.run(
        ["make", "-n", "demo"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert made.returncode == 2 and "a path with a space" in made.stderr
