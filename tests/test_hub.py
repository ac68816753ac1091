"""Downloads with the real huggingface_hub client, from a hub on this machine that misbehaves.

After every fault: either the right bytes, or one clear sentence; never a part of a file under its
name. The client runs in a process of its own, as in a job, for it reads its settings when it is
imported. Its pauses are reported instead of slept.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_server import Fault, HubServer
from langarith.data import hub
from langarith.errors import InputError

BYTES = random.Random(0).randbytes(5_000_000)
FILE = "20231101.en/train-00000-of-00002.parquet"
WIKIPEDIA = "wikimedia/wikipedia"
CLIENT = """
import json, sys, time
slept = []
time.sleep = slept.append
from pathlib import Path
from langarith.data import hub, hub_download
from langarith.errors import InputError
call, *arguments = json.loads(sys.argv[1])
said = []
try:
    if call == "download":
        *place, destination = arguments
        result = hub_download.download(*place, Path(destination), say=said.append)
    else:
        result = getattr(hub_download if hasattr(hub_download, call) else hub, call)(*arguments)
    print(json.dumps({"result": result, "said": said, "slept": slept}))
except InputError as error:
    print(json.dumps({"refused": str(error), "said": said, "slept": slept}))
"""


@pytest.fixture
def server() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.close()


class Client:
    """Calls a function of the library in a process that knows the server as the hub."""

    def __init__(self, server: HubServer, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("HF_")
        } | {
            "HF_ENDPOINT": server.endpoint,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "1",  # as for every job
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(Path(hub.__file__).parents[2]),
        }

    def call(self, *arguments: Any, code: str = CLIENT) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer | {"stderr": done.stderr}

    def download(self, *place: str, code: str = CLIENT) -> dict[str, Any]:
        destination = self.folder / hub.local_file(*place)  # type: ignore[arg-type]
        destination.parent.mkdir(parents=True, exist_ok=True)
        return self.call("download", *place, str(destination), code=code)

    def files(self) -> dict[str, bytes]:
        """What is there under final names."""
        found = self.folder / hub.FOLDER
        return {
            path.name: path.read_bytes()
            for path in found.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.parts)
        }

    def kept(self) -> int:
        """Bytes of unfinished downloads."""
        return sum(p.stat().st_size for p in (self.folder / hub.FOLDER).rglob("*.incomplete"))


@pytest.fixture
def client(server: HubServer, tmp_path: Path) -> Client:
    return Client(server, tmp_path)


@pytest.fixture
def commit(server: HubServer) -> str:
    """A corpus of one whole shard of two, and a small text."""
    files = {FILE: BYTES, FILE.replace("00000", "00001", 1): b"x", "README.md": b"read me"}
    return server.add("datasets", WIKIPEDIA, files)


# ---------------------------------------------------------------- names and the table


def test_importing_the_room_needs_no_client(root: Path) -> None:
    code = "import sys, langarith.study.loading; assert 'huggingface_hub' not in sys.modules"
    path = {"PYTHONPATH": str(root / "workflow")}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | path)


def test_a_branch_with_a_slash_is_one_folder() -> None:
    assert hub.local_file("datasets", "a/b", "refs/convert/parquet", "as/test/0000.parquet") == (
        "resources/hub/datasets/a/b/refs%2Fconvert%2Fparquet/as/test/0000.parquet"
    )


def test_shards_follow_from_the_table() -> None:
    files = hub.shard_files(WIKIPEDIA, "20231101.hi")
    assert files == [f"20231101.hi/train-0000{i}-of-00002.parquet" for i in (0, 1)]
    with pytest.raises(InputError, match=r"no row for configuration '20231101\.qq' of wikimedia"):
        hub.shard_files(WIKIPEDIA, "20231101.qq")
    with pytest.raises(InputError, match="`langarith shards a/b c`"):
        hub.shard_files("a/b", "c")


# ---------------------------------------------------------------- what goes well


@pytest.mark.parametrize("file", [FILE, "README.md"])
def test_a_file_comes_whole_and_nothing_else_stays(
    server: HubServer, client: Client, commit: str, file: str
) -> None:
    answer = client.download("datasets", WIKIPEDIA, commit, file)
    assert answer["said"] == []
    data = server.repositories["datasets", WIKIPEDIA].commits[commit][file]
    assert client.files() == {Path(file).name: data}
    assert not list(client.folder.rglob(".*.partial*"))


def test_a_file_of_the_cache_below_hf_home_is_used(
    server: HubServer, client: Client, commit: str
) -> None:
    cached = client.folder / "home/hub/datasets--wikimedia--wikipedia/snapshots" / commit / FILE
    cached.parent.mkdir(parents=True)
    cached.write_bytes(BYTES)
    client.download("datasets", WIKIPEDIA, commit, FILE)
    assert client.files() == {Path(FILE).name: BYTES}
    assert server.asked("content") == []


def test_a_damaged_file_of_the_cache_is_not(server: HubServer, client: Client, commit: str) -> None:
    cached = client.folder / "home/hub/datasets--wikimedia--wikipedia/snapshots" / commit / FILE
    cached.parent.mkdir(parents=True)
    cached.write_bytes(BYTES[::-1])
    client.download("datasets", WIKIPEDIA, commit, FILE)
    assert client.files() == {Path(FILE).name: BYTES}


def test_the_token_goes_to_the_hub_and_nowhere_else(
    server: HubServer, client: Client, commit: str
) -> None:
    server.repositories["datasets", WIKIPEDIA].private = True
    client.environment["HF_TOKEN"] = "hf_good"
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    sent = {(host, headers.get("authorization")) for host, _, _, headers in server.requests}
    assert sent == {("hub", "Bearer hf_good"), ("content", None)}
    assert "hf_good" not in json.dumps(answer)
    for path in client.folder.rglob("*"):
        assert not (path.is_file() and b"hf_good" in path.read_bytes()), path


def test_the_token_may_lie_below_hf_home(server: HubServer, client: Client, commit: str) -> None:
    server.repositories["datasets", WIKIPEDIA].private = True
    (client.folder / "home").mkdir()
    (client.folder / "home/token").write_text("hf_good")
    client.download("datasets", WIKIPEDIA, commit, FILE)
    assert client.files() == {Path(FILE).name: BYTES}


def test_a_branch_is_resolved_to_the_commit_that_it_is_now(
    server: HubServer, client: Client, commit: str
) -> None:
    assert client.call("resolve", "datasets", WIKIPEDIA, "main")["result"] == commit
    newer = server.add("datasets", WIKIPEDIA, {"a": b"b"}, branch="refs/convert/parquet")
    found = client.call("resolve", "datasets", WIKIPEDIA, "refs/convert/parquet")["result"]
    assert found == newer != commit


# ---------------------------------------------------------------- what goes wrong, and passes


PASSING = {
    "cut once": [Fault(FILE, cut=2_000_000)],
    "cut at the start": [Fault(FILE, cut=0)],
    "cut many times": [Fault(FILE, cut=1_100_000)] * 4,
    "more faults than patience, with bytes between them": [
        *[Fault(FILE, status=429)] * 5,
        Fault(FILE, cut=2_000_000),
        *[Fault(FILE, status=429)] * 5,
    ],
    "503 for the bytes": [Fault(FILE, status=503)],
    "503 for the metadata": [Fault(FILE, status=503, on="hub")] * 3,
    "503 longer than the client is patient": [Fault(FILE, status=503)] * 8,
    "429": [Fault(FILE, status=429)] * 3,
    "wrong bytes once": [Fault(FILE, flip=True)],
    "wrong bytes after a cut": [Fault(FILE, cut=2_000_000), Fault(FILE, flip=True)],
    "slow trickle": [Fault(FILE, trickle=0.01)],
    "a mixture": [
        Fault(FILE, status=500, on="hub"),
        Fault(FILE, cut=100),
        Fault(FILE, status=429),
        Fault(FILE, cut=3_000_000),
        Fault(FILE, flip=True),
        Fault(FILE, status=502),
    ],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_a_passing_fault_ends_with_the_right_bytes(
    server: HubServer, client: Client, commit: str, faults: list[Fault]
) -> None:
    server.faults += faults
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    assert "refused" not in answer
    assert server.faults == []
    assert client.files() == {Path(FILE).name: BYTES}
    assert not list(client.folder.rglob(".*.partial*"))


def test_a_cut_download_goes_on_where_it_was_cut(
    server: HubServer, client: Client, commit: str
) -> None:
    server.faults += [Fault(FILE, cut=2_000_000)]
    client.download("datasets", WIKIPEDIA, commit, FILE)
    ranges = [h.get("range") for host, *_, h in server.requests if host == "content"]
    assert ranges == [None, "bytes=1048576-"]


def test_what_a_killed_run_left_is_continued_by_the_next(
    server: HubServer, client: Client, commit: str
) -> None:
    server.faults += [Fault(FILE, cut=2_000_000), *[Fault(FILE, status=429)] * 50]
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    assert "the hub answers 429, after several attempts; try again later" in answer["refused"]
    assert client.files() == {} and client.kept() == 1 << 20
    server.faults.clear()
    server.requests.clear()
    client.download("datasets", WIKIPEDIA, commit, FILE)
    ranges = [h.get("range") for host, *_, h in server.requests if host == "content"]
    assert ranges == ["bytes=1048576-"]
    assert client.files() == {Path(FILE).name: BYTES}


def test_what_another_file_left_is_thrown_away(
    server: HubServer, client: Client, commit: str
) -> None:
    destination = client.folder / hub.local_file("datasets", WIKIPEDIA, commit, FILE)
    server.faults += [Fault(FILE, cut=2_000_000), *[Fault(FILE, status=429)] * 50]
    client.download("datasets", WIKIPEDIA, commit, FILE)
    server.faults.clear()
    (left,) = destination.parent.rglob("*.incomplete")
    left.write_bytes(BYTES + b"and more")
    client.download("datasets", WIKIPEDIA, commit, FILE)
    assert client.files() == {Path(FILE).name: BYTES}


def test_pauses_grow_and_heed_what_the_hub_asks(
    server: HubServer, client: Client, commit: str
) -> None:
    server.faults += [Fault(FILE, status=429)] * 2
    server.faults += [Fault(FILE, status=429, headers={"Retry-After": "90"}), Fault(FILE, 429)]
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    assert answer["slept"] == [1, 2, 90, 8]
    assert answer["said"][2] == f"{FILE} of {WIKIPEDIA}: the hub answers 429; next attempt in 90 s"


# ---------------------------------------------------------------- what goes wrong, and stays


def refused(answer: dict[str, Any], client: Client) -> str:
    """The sentence; nothing lies under a final name."""
    assert client.files() == {}
    assert "Traceback" not in answer["stderr"]
    sentence = answer["refused"]
    assert "\n" not in sentence
    return str(sentence)


def test_bytes_that_stay_wrong(server: HubServer, client: Client, commit: str) -> None:
    server.faults += [Fault(FILE, flip=True)] * 50
    sentence = refused(client.download("datasets", WIKIPEDIA, commit, FILE), client)
    stated = hashlib.sha256(BYTES).hexdigest()[:12]
    assert f"but the hub reports 5000000 and {stated}, after several attempts" in sentence
    assert client.kept() == 0


def test_a_branch_is_not_downloaded_from(server: HubServer, client: Client, commit: str) -> None:
    sentence = refused(client.download("datasets", WIKIPEDIA, "main", FILE), client)
    assert "'main' is not a commit but a branch or tag" in sentence
    assert "snakemake lock_revisions" in sentence
    assert server.requests == []


def test_a_revision_that_is_gone(server: HubServer, client: Client, commit: str) -> None:
    sentence = refused(client.download("datasets", WIKIPEDIA, "0" * 40, FILE), client)
    assert sentence == f"{WIKIPEDIA} has no revision '{'0' * 40}'; correct it"


def test_a_mirror_that_answers_with_another_revision(
    server: HubServer, client: Client, commit: str
) -> None:
    repository = server.repositories["datasets", WIKIPEDIA]
    repository.branches["1" * 40] = commit  # what it calls this revision is another one
    sentence = refused(client.download("datasets", WIKIPEDIA, "1" * 40, FILE), client)
    assert f"answers with revision {commit} of {WIKIPEDIA} instead of {'1' * 40}" in sentence


def test_a_repository_that_is_not_there(client: Client, commit: str) -> None:
    sentence = refused(client.download("models", "nobody/nothing", "0" * 40, "a.json"), client)
    assert sentence.startswith("the hub shows no repository nobody/nothing to you; correct its na")
    assert "HF_TOKEN, which is not set" in sentence


def test_a_gated_repository(server: HubServer, client: Client, commit: str) -> None:
    server.repositories["datasets", WIKIPEDIA].gated = True
    sentence = refused(client.download("datasets", WIKIPEDIA, commit, FILE), client)
    assert f"{WIKIPEDIA} is gated: ask for access at https://huggingface.co/datasets/" in sentence


def test_a_wrong_token(server: HubServer, client: Client, commit: str) -> None:
    client.environment["HF_TOKEN"] = "hf_secret_but_wrong"
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    assert "the token is not accepted or may not read it; renew it" in refused(answer, client)
    assert "hf_secret" not in json.dumps(answer)


def test_a_wrong_name_of_a_file(client: Client, commit: str) -> None:
    wrong = "20231101.en/trian-00000-of-00002.parquet"
    sentence = refused(client.download("datasets", WIKIPEDIA, commit, wrong), client)
    assert f"has no file {wrong} at {commit} (did you mean '{FILE}'?)" in sentence


def test_a_wrong_row_in_the_table_of_shards(client: Client, commit: str) -> None:
    wrong = "20231101.en/train-00000-of-00041.parquet"
    sentence = refused(client.download("datasets", WIKIPEDIA, commit, wrong), client)
    assert f"{WIKIPEDIA} has 2 shards of 20231101.en at {commit}, and the table" in sentence
    assert "says 41; refresh it with `langarith shards wikimedia/wikipedia 20231101.en" in sentence


def test_weights_in_pickles_alone(server: HubServer, client: Client) -> None:
    files = {"config.json": b"{}", "pytorch_model.bin": b"cos\nsystem\n"}
    commit = server.add("models", "some/model", files)
    answer = client.download("models", "some/model", commit, "model.safetensors")
    sentence = refused(answer, client)
    assert (
        f"some/model has no model.safetensors at {commit}, only pickles (pytorch_model" in sentence
    )
    assert "which can run code when they are loaded" in sentence


def test_no_network(server: HubServer, client: Client, commit: str) -> None:
    server.close()
    answer = client.download("datasets", WIKIPEDIA, commit, FILE)
    assert "the hub cannot be reached; run `snakemake fetch` on a machine with" in refused(
        answer, client
    )
    # the client's own pauses, and none on top of them
    assert sum(answer["slept"]) < 30
    assert "cannot be reached" in client.call("resolve", "datasets", WIKIPEDIA, "main")["refused"]


def test_a_disk_with_too_little_room(client: Client, commit: str) -> None:
    little = "import shutil; from types import SimpleNamespace\n"
    little += "shutil.disk_usage = lambda _: SimpleNamespace(free=4_000_000)\n"
    answer = client.download("datasets", WIKIPEDIA, commit, FILE, code=little + CLIENT)
    assert "needs 5 MB more, and the disk of" in refused(answer, client)


def test_a_disk_that_fills_up_meanwhile(client: Client, commit: str) -> None:
    # a limit on the size of files makes the kernel refuse further bytes, as a quota does
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
    answer = client.download("datasets", WIKIPEDIA, commit, FILE, code=limit + CLIENT)
    assert "did not fit onto the disk of resources/hub (File too large)" in refused(answer, client)


# ---------------------------------------------------------------- the table of shards, refreshed


def test_the_table_of_shards_is_refreshed_from_the_hub(
    server: HubServer, client: Client, commit: str
) -> None:
    table = client.folder / "hub_shards.yaml"
    table.write_text(
        "# How to refresh it.\n"
        "a/b: {revision: r, shards: {c: 9}}\n"
        f"{WIKIPEDIA}: {{revision: old, inferred: [20231101.en], shards: {{20231101.en: 41}}}}\n"
    )
    command = f"""
import json
from pathlib import Path
from langarith.data import hub, hub_download
from langarith import cli as command
hub.SHARD_TABLE = Path({str(table)!r})
assert command.main(["shards", "{WIKIPEDIA}", "20231101.{{language}}"]) == 0
print(json.dumps(hub.shard_table()))
"""
    done = subprocess.run(
        [sys.executable, "-c", command], env=client.environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    said, written = done.stdout.splitlines()
    assert said == "20231101.en: 2 (was 41)"
    assert json.loads(written) == {
        "a/b": {"revision": "r", "shards": {"c": 9}},
        WIKIPEDIA: {"revision": commit, "shards": {"20231101.en": 2}},
    }
    assert table.read_text().startswith("# How to refresh it.\n")


def test_a_configuration_without_shards_is_not_put_into_the_table(
    client: Client, commit: str
) -> None:
    answer = client.call("count_shards", WIKIPEDIA, ["20231101.fr"], commit)
    assert "has no complete 20231101.fr/train-?????-of-?????.parquet" in answer["refused"]
