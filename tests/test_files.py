"""Files and folders are written whole or not at all, and as a user's own files would be."""

from __future__ import annotations

import ast
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Barrier

import pytest
import yaml

from langarith import files
from langarith.jobs.fingerprint import LIBRARY, SCRIPTS


def listing(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def crash(write: AbstractContextManager[Path], error: type | Exception) -> None:
    """Write half of a file, or one of a folder's files, and raise."""
    with write as partial:
        (partial / "weights" if partial.is_dir() else partial).write_text("half")
        raise error


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    with files.whole(path) as partial:
        assert partial.parent == path.parent  # on the same disk
        assert partial.suffix == ".csv"  # writers choose the format by it
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert listing(path.parent) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_crash_leaves_the_file_that_was_there(tmp_path: Path, error: type) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(error):
        crash(files.whole(path), error)
    assert path.read_text() == "before"
    assert listing(tmp_path) == ["table.csv"]


def test_a_crash_before_the_first_byte_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), files.whole(tmp_path / "x.json"):
        raise ValueError("early")
    assert listing(tmp_path) == []


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    old = os.umask(mask)
    try:
        files.write_text(tmp_path / "text", "x")
        with files.whole_folder(tmp_path / "adapter") as staging:
            (staging / "weights").write_text("x")
    finally:
        os.umask(old)
    for name, wanted in (("text", mode), ("adapter/weights", mode), ("adapter", 0o777 & ~mask)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == wanted, name


def test_two_writers_do_not_mix_their_files(tmp_path: Path) -> None:
    path, together = tmp_path / "big", Barrier(2)

    def write(letter: str) -> None:
        with files.whole(path) as partial, partial.open("w") as file:
            for _ in range(50):
                together.wait()
                file.write(letter * 1000)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("a" * 50_000, "b" * 50_000)
    assert listing(tmp_path) == ["big"]


def test_two_writers_do_not_mix_their_folders(tmp_path: Path) -> None:
    folder, together = tmp_path / "model", Barrier(2)

    def write(letter: str) -> None:
        with files.whole_folder(folder) as staging:
            (staging / "one").write_text(letter)
            together.wait()
            (staging / "two").write_text(letter)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert listing(tmp_path) == ["model", "model/one", "model/two"]


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "adapter"
    with files.whole_folder(folder) as staging:
        (staging / "weights").write_text("1")
        assert not folder.exists()
        (staging / "config").write_text("2")
    assert listing(tmp_path / "new") == ["adapter", "adapter/config", "adapter/weights"]


def test_files_of_a_folder_are_replaced_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "weights").write_text("old")
    (folder / "metrics").write_text("kept")
    with files.whole_folder(folder) as staging:
        (staging / "weights").write_text("new")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "weights": "new",
        "metrics": "kept",
    }
    assert listing(tmp_path) == ["adapter", "adapter/metrics", "adapter/weights"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "adapter").symlink_to("disk")
    with files.whole_folder(tmp_path / "adapter") as staging:
        (staging / "weights").write_text("x")
    assert (tmp_path / "adapter").is_symlink()
    assert listing(tmp_path / "disk") == ["weights"]


def test_a_crash_leaves_the_folder_that_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "weights").write_text("old")
    with pytest.raises(ValueError, match="late"):
        crash(files.whole_folder(folder), ValueError("late"))
    assert (folder / "weights").read_text() == "old"
    assert listing(tmp_path) == ["adapter", "adapter/weights"]


def test_a_lock_file_is_yaml_of_words(tmp_path: Path) -> None:
    path = tmp_path / "study.lock.yaml"
    entries = {"no": "sv", "datasets/a/b@main": "0" * 40, "da": "no"}
    files.write_lock(path, "What it is.\nWho wrote it.", entries)
    assert path.read_text().splitlines()[:3] == ["# What it is.", "# Who wrote it.", '"da": "no"']
    assert yaml.safe_load(path.read_text()) == entries
    assert list(yaml.safe_load(path.read_text())) == sorted(entries)


def test_this_module_alone_renames_files() -> None:
    """Who renames or makes temporary names elsewhere has written a copy of `files.whole`."""
    allowed = {
        "files.py",
        "data/hub_download.py",  # its partial folder is kept and continued
        "training/loop.py",  # a checkpoint is synced to the disk before it takes its place
    }
    names = {"replace", "rename", "renames", "mkstemp", "NamedTemporaryFile", "move"}
    modules = {"os", "tempfile", "shutil"}
    callers = set()
    for path in (*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in names
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
            ):
                callers.add(str(path.relative_to(LIBRARY if LIBRARY in path.parents else SCRIPTS)))
    assert callers <= allowed


def test_what_another_job_is_writing_is_not_removed(tmp_path: Path) -> None:
    """The file of a killed job goes; that of a running job with a longer name stays."""
    left, other = (tmp_path / f".{stem}.0123abcd.partial.arrow" for stem in ("wiki", "wiki.extra"))
    for path in (left, other):
        path.touch()
    files.remove_partial([tmp_path / "wiki.arrow"])
    assert (left.exists(), other.exists()) == (False, True)
