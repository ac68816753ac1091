"""Changed files and what was made from them are found; a number's chain; why two runs differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import made_up
from langarith import cli
from langarith.audit import diff, explain_file, verify
from langarith.errors import InputError
from langarith.files import sha256
from langarith.jobs.record import describe

ADAPTER = "results/adapters/tiny/language/{}@full/seed{}/adapter.safetensors"
CELL = "results/evaluation/tiny/ner/es/la/en+fr/seed{}"
TABLE, FIGURE = "results/tables/zero_shot.csv", "results/figures/zero_shot.pdf"
ROW = ["target=es", "seed=1", "split=test", "selected=True"]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished little study in the current folder."""
    monkeypatch.chdir(tmp_path)
    return made_up.write_study()


def cell(seed: int) -> set[str]:
    """The files of a sweep."""
    lambdas = {f"{CELL.format(seed)}/lambda={w:.2f}.json" for w in made_up.LITTLE}
    return lambdas | {f"{CELL.format(seed)}/selected.json"}


def one_byte(path: str) -> None:
    """Change a file's last byte and leave its size and time as they were."""
    file = Path(path)
    stat = file.stat()
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def found(results: Path) -> dict[tuple[str, str], set[str]]:
    """(kind, path) → what was made from it."""
    return {(f.kind, f.path): set(f.downstream) for f in verify.verify(results).findings}


def test_nothing_is_wrong_with_a_finished_study(results):
    verdict = verify.verify(results)
    assert verdict.findings == ()
    assert (verdict.jobs, verdict.files) == (10, 18)
    assert cli.main(["audit", "verify", "results"]) == 0


@pytest.mark.parametrize("jobs", ["-3", "0", "1.5", "all", "²"])
@pytest.mark.parametrize("command", [["audit", "verify", "results"], ["plan", "study.yaml"]])
def test_numbers_of_jobs_below_one_are_refused(capsys, command, jobs):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--jobs", jobs])
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(f"argument --jobs: '{jobs}': write a whole number of at least 1")


@pytest.mark.parametrize(
    ("path", "downstream"),
    [
        (
            "raw/fr.txt",
            {"results/tokens/tiny/fr/part.arrow", ADAPTER.format("fr", 1), ADAPTER.format("fr", 2)}
            | cell(1)
            | cell(2)
            | {TABLE, FIGURE},
        ),
        (ADAPTER.format("en", 2), cell(2) | {TABLE, FIGURE}),
        (f"{CELL.format(1)}/lambda=0.50.json", set()),
        (f"{CELL.format(1)}/selected.json", {TABLE, FIGURE}),
        (TABLE, {FIGURE}),
        (FIGURE, set()),
    ],
)
def test_one_changed_byte_is_found_with_what_was_made_from_it(results, capsys, path, downstream):
    one_byte(path)
    assert found(results) == {("changed", path): downstream}
    assert cli.main(["audit", "verify", "results", "--all"]) == 1
    output = capsys.readouterr().out
    assert f"changed    {path}" in output
    for file in (TABLE, FIGURE):
        assert (f"\n             {file}" in output) == (file in downstream)


def test_a_missing_file_is_found(results):
    Path(ADAPTER.format("fr", 1)).unlink()
    assert found(results) == {("missing", ADAPTER.format("fr", 1)): cell(1) | {TABLE, FIGURE}}


def test_a_file_that_cannot_be_read_is_not_said_to_be_lost(results):
    """Here it is a folder; a file without permission, which root can read, is alike."""
    file = Path(ADAPTER.format("fr", 1))
    file.unlink()
    file.mkdir()
    (finding,) = verify.verify(results).findings
    assert (finding.kind, finding.why.partition("; ")[2]) == (
        "missing",
        "it cannot be read",
    )


def test_a_deleted_record_leaves_files_of_unknown_origin(results):
    Path(f"{CELL.format(2)}/provenance.json").unlink()
    assert found(results) == {
        ("unrecorded", file): {TABLE, FIGURE} if file.endswith("selected.json") else set()
        for file in cell(2)
    }


def test_adapters_of_two_seeds_that_were_swapped_are_found(results):
    one, two = (Path(ADAPTER.format("fr", seed)) for seed in (1, 2))
    data = one.read_bytes(), two.read_bytes()
    one.write_bytes(data[1]), two.write_bytes(data[0])
    assert found(results) == {
        ("changed", str(one)): cell(1) | {TABLE, FIGURE},
        ("changed", str(two)): cell(2) | {TABLE, FIGURE},
    }


def test_folders_of_two_seeds_that_were_swapped_with_their_records_are_found(results):
    one, two = (Path(ADAPTER.format("fr", seed)).parent for seed in (1, 2))
    one.rename("aside"), two.rename(one), Path("aside").rename(two)
    output = found(results)
    assert output["changed", ADAPTER.format("fr", 1)] == cell(1) | {TABLE, FIGURE}
    assert output["changed", ADAPTER.format("fr", 2)] == cell(2) | {TABLE, FIGURE}
    assert ("record", f"{one}/provenance.json") in output


def test_a_record_that_was_edited_to_hide_a_change_is_found(results):
    """Who changes a file and its record still has what read the file before against him."""
    path = ADAPTER.format("fr", 1)
    old = json.loads(Path(path).with_name("provenance.json").read_text())
    one_byte(path)
    old["outputs"] = describe([path])
    old["outputs"][path]["sha256"] = sha256(path)
    Path(path).with_name("provenance.json").write_text(json.dumps(old))
    output = found(results)
    assert output == {("stale", f"{CELL.format(1)}/selected.json"): cell(1) | {TABLE, FIGURE}}


def test_a_job_that_read_an_older_version_of_the_users_file_is_stale(results):
    """Half of the readers ran again after an edit: the others have read the old text."""
    Path("raw/more.txt").write_text("old")
    for name in ("x", "y"):
        if name == "y":
            Path("raw/more.txt").write_text("newer")
        made_up.job(
            "tokenize_shard",
            ["raw/more.txt"],
            {f"results/tokens/tiny/{name}/part.arrow": name},
            f"results/tokens/tiny/{name}/part.arrow.provenance.json",
            language=name,
        )
    path = "results/tokens/tiny/x/part.arrow"
    assert found(results) == {("stale", path): {path}}


def test_a_record_that_cannot_be_read_is_reported(results):
    Path(f"{TABLE}.provenance.json").write_text("{")
    output = found(results)
    assert ("record", f"{TABLE}.provenance.json") in output
    assert output["unrecorded", TABLE] == {FIGURE}


def test_a_file_of_no_record_is_reported_and_the_description_of_the_study_is_not(results):
    for name in ("adapters/extra.bin", "logs/x/y.log", "checkpoints/z", "report.html"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("x")
    assert found(results) == {("unrecorded", "results/adapters/extra.bin"): set()}


def test_a_folder_of_another_study_is_left_out(results):
    shutil.copytree("results", "inner")
    shutil.move("inner", "results/inner")
    one_byte("results/inner/tables/zero_shot.csv")
    assert found(results) == {}


def test_code_that_has_changed_since_is_reported_with_all_that_it_made(results):
    for seed in (1, 2):
        record = Path(f"{CELL.format(seed)}/provenance.json")
        output = json.loads(record.read_text())
        output["parameters"]["code"] = "0" * 16
        record.write_text(json.dumps(output))
    assert found(results) == {("stale", "code of sweep"): cell(1) | cell(2) | {TABLE, FIGURE}}


def test_each_byte_is_read_once(results, monkeypatch):
    """Also of files that many jobs read, and of files with two names."""
    Path("raw/again.txt").hardlink_to("raw/fr.txt")
    made_up.job(
        "tokenize_shard",
        ["raw/again.txt"],
        {"results/tokens/tiny/again/part.arrow": "x"},
        "results/tokens/tiny/again/part.arrow.provenance.json",
        language="again",
    )
    opened = []

    def counting(path, mode):
        opened.append(os.stat(path).st_ino)
        return open(path, mode)

    monkeypatch.setattr(verify, "open", counting, raising=False)
    verdict = verify.verify(results, workers=3)
    assert verdict.findings == ()
    assert len(opened) == len(set(opened)) == verdict.files - 1
    names = [*results.rglob("*"), Path("raw/fr.txt"), Path("raw/en.txt")]
    recorded = [p for p in names if p.is_file() and not p.name.endswith(".json")]
    curves = [p for p in names if p.name.startswith("lambda") or p.name == "selected.json"]
    assert verdict.read == sum(p.stat().st_size for p in [*recorded, *curves])


def test_a_download_is_verified_by_the_record_beside_it(results):
    """Downloads are shared by studies and lie outside their results."""
    file = "resources/datasets/wiki/b10c/fr.parquet"
    names = {"repository": "wiki", "revision": "b10c"}
    record = f"{file}.provenance.json"
    made_up.job("download_hub_file", [], {file: "text"}, record, **names)
    tokens = "results/tokens/tiny/it/part.arrow"
    made_up.job("tokenize_shard", [file], {tokens: "x"}, f"{tokens}.provenance.json", x="it")
    assert found(results) == {}
    assert "download_hub_file (repository wiki" in "\n".join(explain_file.lines(Path(tokens)))
    one_byte(file)
    assert found(results) == {("changed", file): {tokens}}


def test_a_results_folder_may_move(results, tmp_path):
    """Records name files from where Snakemake ran; the folder is verified from anywhere."""
    os.chdir("/")
    assert verify.verify(tmp_path / "results").findings == ()


def test_files_of_a_copy_are_named_by_their_own_paths(results, capsys):
    shutil.copytree("results", "copy")
    one_byte(f"copy/{TABLE.removeprefix('results/')}")
    Path("copy/evaluation/tiny/ner/es/la/en+fr/seed2/provenance.json").write_text("{}")
    assert cli.main(["audit", "verify", "copy", "--all"]) == 1
    output = capsys.readouterr().out
    assert "changed    copy/tables/zero_shot.csv" in output and "results/" not in output
    assert cli.main(["audit", "verify", "results"]) == 0


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("{", "valid JSON"),
        ("[]", "keys"),
        ("{}", "'rule'"),
        ('{"rule": "x", "wildcards": {}, "parameters": {}}', "'inputs'"),
        (
            '{"rule": "x", "wildcards": {}, "parameters": {}, "inputs": {"a": {}}, "outputs": {}}',
            "'sha256' of a",
        ),
    ],
)
def test_what_is_no_record_is_said_in_plain_words(results, text, lacks):
    record = Path(f"{CELL.format(2)}/provenance.json")
    record.write_text(text)
    (finding,) = [f for f in verify.verify(results).findings if f.kind == "record"]
    assert finding.path == str(record)
    assert finding.why == (
        f"not a record of a job, since it has no {lacks}; restore it, or delete it, and the job "
        "will run again"
    )


def test_what_is_no_study_is_refused_in_a_sentence(tmp_path, capsys):
    assert cli.main(["audit", "verify", str(tmp_path)]) == 1
    assert "no study.json there" in capsys.readouterr().err


# --- explain ---


def test_a_row_is_explained_down_to_the_users_files(results, capsys):
    assert cli.main(["audit", "explain", TABLE, "--row", *ROW]) == 0
    output = capsys.readouterr().out
    assert output.startswith("49.0: experiment zero_shot")
    assert "lambda 0.50 chosen on validation (f1 50.00); next 1.00 (44.00), 0.00 (40.00)" in output
    for part in ("raw/fr.txt", "raw/en.txt", "recipe {steps 20}", "seed 1; code", "fr@full/seed1"):
        assert part in output
    # the other seed has no part in it
    assert "seed 2" not in output and "seed2" not in output
    assert "a different value" not in output


def test_a_row_is_found_by_its_line(results):
    line = (
        made_up.study_table()
        .drop(columns="point")
        .to_csv(index=False)
        .splitlines()
        .index("zero_shot,tiny,ner,es,la,en,fr,en+fr,full,2,0.5,test,True,f1,49.0,10")
    )
    output = explain_file.lines(Path(TABLE), [str(line + 1)])
    assert "seed 2" in output[0] and f"line {line + 1}" in output[1]


def test_a_row_whose_value_the_sweep_does_not_tell_is_marked(results):
    text = Path(TABLE).read_text()
    Path(TABLE).write_text(text.replace("1,0.5,test,True,f1,49.0", "1,0.5,test,True,f1,59.0"))
    assert "! the files below hold a different value" in explain_file.lines(Path(TABLE), ROW)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["seed=1"], "6 rows have seed=1; add one of lambda=0.0|0.5|1.0; split=test|validation"),
        (["seed=3"], "no row has seed=3"),
        (["sed=1"], "did you mean 'seed'?"),
        (["99"], "no line 99; the rows are 2 to 13"),
    ],
)
def test_a_row_that_is_none_or_several_is_refused(results, row, sentence):
    with pytest.raises(InputError) as error:
        explain_file.lines(Path(TABLE), row)
    assert sentence in str(error.value)


def test_any_file_is_explained(results):
    output = "\n".join(explain_file.lines(Path(ADAPTER.format("en", 2))))
    assert "raw/en.txt" in output and "raw/fr.txt" not in output


# --- diff ---


@pytest.fixture
def other(results, tmp_path, monkeypatch) -> Path:
    """A second run with more steps, in a folder beside."""
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    made_up.write_study(steps=30)
    monkeypatch.chdir(tmp_path)
    return Path("b/results")


def test_equal_runs_do_not_differ(results, capsys):
    assert cli.main(["audit", "diff", "results", "results"]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_a_parameter_is_named_once_and_its_consequences_are_not(results, other):
    assert diff.lines(results, other) == [
        "config    recipe.steps: 20 | 30",
        "          train_language_adapter tiny en full 1, train_language_adapter tiny en full 2, "
        "train_language_adapter tiny fr full 1 and 1 more",
        "4 of 10 jobs on both sides gave other bytes",
    ]


def test_differences_come_most_upstream_first(results, other):
    """Data, then code, then versions, wherever each entered."""

    def edit(path: str, change) -> None:
        record = other / path
        output = json.loads(record.read_text())
        change(output)
        record.write_text(json.dumps(output))

    edit(
        "tokens/tiny/fr/part.arrow.provenance.json",
        lambda output: output["inputs"]["raw/fr.txt"].update(sha256="f" * 64),
    )
    edit(
        "evaluation/tiny/ner/es/la/en+fr/seed1/provenance.json",
        lambda output: output["parameters"].update(code="new"),
    )
    edit(
        "tables/zero_shot.csv.provenance.json",
        lambda output: output["versions"].update(torch="2.14.0"),
    )
    output = [line for line in diff.lines(results, other) if line[0] != " "]
    assert [line.split()[0] for line in output[:-1]] == ["data", "config", "code", "versions"]
    assert "raw/fr.txt" in output[0] and "torch: 2.13.0 | 2.14.0" in output[3]


def test_a_deleted_record_is_named_with_its_side(results):
    shutil.copytree("results", "b")
    adapter = ADAPTER.format("fr", 2).removeprefix("results/")
    Path("b", adapter).with_name("provenance.json").unlink()
    job = "train_language_adapter tiny fr full 2"
    assert diff.lines(results, Path("b")) == [
        f"record    no record in b describes {adapter}",
        "          sweep_la 2 tiny ner es en+fr",
        "only in a: 1 train_language_adapter",
        f"          {job}",
        "0 of 9 jobs on both sides gave other bytes",
    ]
    assert diff.lines(Path("b"), results)[0] == f"record    no record in a describes {adapter}"


def test_two_seeds_differ_in_their_seed_alone(results):
    output = diff.lines(*(Path(CELL.format(seed), "selected.json") for seed in (1, 2)))
    assert {line for line in output if line[0] != " "} == {
        "seed      seed: 1 | 2",
        "3 of 5 jobs on both sides gave other bytes",
    }


def test_other_bytes_from_equal_inputs_are_reported(results, other):
    shutil.rmtree(other)
    shutil.copytree(results, other)
    record = other / "tables/zero_shot.csv.provenance.json"
    output = json.loads(record.read_text())
    output["outputs"][TABLE]["sha256"] = "0" * 64
    record.write_text(json.dumps(output))
    lines = diff.lines(results, other)
    assert lines[0].startswith("result    other bytes from the same inputs")
    assert "tables/zero_shot.csv" in lines[0]


# --- on a study that has really run ---


def audited(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The audit as a user starts it, with the library of that project."""
    return subprocess.run(
        [sys.executable, "-m", "langarith", "audit", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_tampering_with_a_finished_study_is_found(copy):
    done = audited(copy, "verify", "results/nano")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every file is as recorded" in done.stdout

    nano = "results/nano"
    shard = f"{nano}/miniature/raw/fr/train-00000-of-00002.parquet"
    curve = f"{nano}/evaluation/tiny/ner/es/la/en+fr/seed1/lambda=0.25.json"
    adapter = f"{nano}/adapters/tiny/language/es@1k/seed1/adapter.safetensors"
    for path in (shard, curve, adapter, f"{nano}/tables/ties.csv"):
        os.chdir(copy)
        one_byte(path)
    done = audited(copy, "verify", nano, "--json")
    assert done.returncode == 1
    findings = {f["path"]: f for f in json.loads(done.stdout)["findings"]}
    assert set(findings) == {shard, curve, adapter, f"{nano}/tables/ties.csv"}
    assert {f["kind"] for f in findings.values()} == {"changed"}
    # the budget adapter takes part in the low-resource cell alone
    below = findings[adapter]["downstream"]
    assert f"{nano}/tables/low_resource.csv" in below
    assert f"{nano}/tables/zero_shot.csv" not in below
    assert f"{nano}/tables/zero_shot.csv" in findings[shard]["downstream"]
    assert findings[curve]["downstream"] == []


@pytest.mark.slow
def test_an_edit_of_the_library_is_found_with_what_its_code_has_made(copy):
    room = copy / "workflow/langarith/merging/tensors.py"
    room.write_text(room.read_text() + "\n# a remark\n")
    assert audited(copy, "verify", "results/nano").returncode == 0
    room.write_text(room.read_text() + "\nMORE = 1\n")
    done = audited(copy, "verify", "results/nano", "--json")
    findings = {f["path"]: f["downstream"] for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    la, ties = (f"code of sweep with merging.{name}, tasks.ner" for name in ("la", "ties"))
    assert {la, ties} <= set(findings)
    assert not any("train_language" in path or "tokenize" in path for path in findings)
    below = findings[ties]
    assert "results/nano/tables/ties.csv" in below
    assert "results/nano/tables/zero_shot.csv" not in below
