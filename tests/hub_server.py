"""A small Hugging Face hub on this machine, which misbehaves on demand.

It answers what huggingface_hub requests: repository information, revisions, the tree, `resolve`
with its headers, a redirect to a content host of its own for large files, ETags, ranges, tokens and
gated repositories. Faults wait in a queue, and each request that they fit meets the next one.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

LARGE = (".parquet", ".safetensors", ".bin")
"""What the hub keeps as LFS objects: redirected, with a SHA-256; other files have a git hash."""
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/?]+))?$")
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


@dataclass
class Fault:
    """What goes wrong once, when a request for a file (or of the API, for "") comes.

    status: answer this instead, with `headers`. cut: break the connection after so many bytes.
    flip: send other bytes of the same length. trickle: seconds before each piece of 100 kB.
    on: "hub" for the metadata, "content" for the bytes.
    """

    file: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    flip: bool = False
    trickle: float | None = None
    on: str = "content"


@dataclass
class Repository:
    """Files by commit, branches, and who may read."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    private: bool = False


class HubServer:
    """Serves repositories from memory on two ports, the hub's and that of its content host."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.tokens = {"hf_good"}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str, dict[str, str]]] = []
        self.sending = self.most_sending = 0
        self._lock = threading.Lock()
        self._servers = [self._serve("hub"), self._serve("content")]
        self.endpoint, self.content = (
            f"http://127.0.0.1:{server.server_port}" for server in self._servers
        )

    def _serve(self, host: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "host": host})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(
        self, kind: str, name: str, files: dict[str, bytes], *, branch: str = "main", **keys: Any
    ) -> str:
        """Put files into a repository as a new commit of a branch; its hash."""
        output = json.dumps({path: _sha256(data) for path, data in sorted(files.items())})
        commit = hashlib.sha1(f"{name}{output}".encode(), usedforsecurity=False).hexdigest()
        repository = self.repositories.setdefault((kind, name), Repository({}, {}))
        repository.commits[commit] = files
        repository.branches[branch] = commit
        for key, value in keys.items():
            setattr(repository, key, value)
        return commit

    def asked(self, host: str, method: str = "GET") -> list[str]:
        """Paths of the requests that a host had."""
        return [path for where, how, path, _ in self.requests if (where, how) == (host, method)]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the files that are under way at once."""
        with self._lock:
            self.sending += 1
            self.most_sending = max(self.most_sending, self.sending)
        try:
            yield
        finally:
            with self._lock:
                self.sending -= 1

    def fault(self, host: str, file: str) -> Fault | None:
        """The next fault that waits for such a request, taken from the queue."""
        with self._lock:
            for fault in self.faults:
                if fault.on == host and fault.file == file:
                    self.faults.remove(fault)
                    return fault
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _etag(path: str, data: bytes) -> str:
    if path.endswith(LARGE):
        return _sha256(data)
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    host: str

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.split("?")[0]) if self.host == "content" else self.path
        path = path.split("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((self.host, self.command, path, headers))
        if self.host == "content":
            _, commit_key, file = path.split("/", 2)
            self._content(commit_key, file)
        elif match := _API.match(path):
            self._api(*match.groups())
        elif match := _RESOLVE.match(path):
            kind = "datasets" if match[1] else "models"
            self._resolve(kind, match[2], unquote(match[3]), unquote(match[4]))
        else:
            self._error(404, "RepoNotFound")

    def _error(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _repository(
        self, kind: str, name: str, revision: str
    ) -> tuple[str, dict[str, bytes]] | None:
        """(commit, files), or None once an error was answered."""
        sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if sent and sent not in self.hub.tokens:
            self._error(401, message="Invalid credentials in Authorization header")
            return None
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and not sent):
            self._error(404 if sent else 401, "RepoNotFound")
            return None
        if repository.gated and self.command in ("GET", "HEAD") and "/api/" not in self.path:
            self._error(403, "GatedRepo")
            return None
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self._error(404, "RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def _fails(self, file: str) -> bool:
        fault = self.hub.fault("hub", file)
        if fault and fault.status:
            self._error(fault.status, **fault.headers)
        return bool(fault)

    def _api(self, kind: str, name: str, what: str | None, revision: str | None) -> None:
        if self._fails(""):
            return
        found = self._repository(kind, name, unquote(revision or "main"))
        if found is None:
            return
        commit, files = found
        if what == "tree":
            tree = [
                {"type": "file", "path": path, "size": len(data), "oid": _etag(path, data)[:40]}
                for path, data in sorted(files.items())
            ]
            self._json(tree)
        else:
            siblings = [{"rfilename": path} for path in sorted(files)]
            self._json({"id": name, "sha": commit, "siblings": siblings, "private": False})

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _resolve(self, kind: str, name: str, revision: str, file: str) -> None:
        if self._fails(file):
            return
        found = self._repository(kind, name, revision)
        if found is None:
            return
        commit, files = found
        if file not in files:
            self._error(404, "EntryNotFound", X_Repo_Commit=commit)
            return
        data = files[file]
        if not file.endswith(LARGE):
            self._send(file, data, {"X-Repo-Commit": commit, "ETag": f'"{_etag(file, data)}"'})
            return
        self.send_response(302)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-Etag", f'"{_etag(file, data)}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Location", f"{self.hub.content}/{commit}/{file}?signature=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self, commit: str, file: str) -> None:
        for repository in self.hub.repositories.values():
            if commit in repository.commits:
                data = repository.commits[commit][file]
                with self.hub.counted():
                    return self._send(file, data, {"ETag": f'"{_etag(file, data)}"'})
        return self._error(404)

    def _send(self, file: str, data: bytes, headers: dict[str, str]) -> None:
        fault = self.hub.fault("content", file) if self.command == "GET" else None
        fault = fault or Fault(file)
        if fault.status:
            return self._error(fault.status, **fault.headers)
        if fault.flip:
            data = bytes(255 - byte for byte in data)
        start = 0
        if wanted := re.match(r"bytes=(\d+)-$", self.headers.get("Range", "")):
            start = int(wanted[1])
            if start >= len(data):
                return self._error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return None
        end = len(data) if fault.cut is None else min(start + fault.cut, len(data))
        step = 100_000 if fault.trickle else 1 << 20
        for at in range(start, end, step):
            time.sleep(fault.trickle or 0)
            self.wfile.write(data[at : min(at + step, end)])
            self.wfile.flush()
        if end < len(data):
            self.close_connection = True
            self.connection.close()
        return None
