"""A stand-in for the Hugging Face Hub: a real HTTP server on loopback that serves one data set or model from memory.

Point a process at it with HF_ENDPOINT and a fresh HF_HOME; the Hub's own clients do the rest.
"""

import contextlib
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

PARQUET_CONVERSION = "refs/convert/parquet"
"""The revision under which the Hub keeps every data set as Parquet files, at CONFIG/SPLIT/0000.parquet."""

Answer = Callable[[str, Mapping[str, bytes], str, bytes], None]

Revisions = Mapping[str, Mapping[str, bytes]]
"""The files of each revision, by path."""


@contextlib.contextmanager
def hub_serving(name: str, revisions: Revisions, kind: Literal["dataset", "model"] = "dataset") -> Iterator[str]:
    """Serves a data set or a model "org/name" and yields the address for HF_ENDPOINT."""
    commits = {_commit(revision): files for revision, files in revisions.items()}
    aliases = {revision: _commit(revision) for revision in revisions}
    handler = type("Handler", (_Handler,), {"name": name, "kind": kind, "commits": commits, "aliases": aliases})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _commit(revision: str) -> str:
    return hashlib.sha1(revision.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name: str
    kind: Literal["dataset", "model"]
    commits: Mapping[str, Mapping[str, bytes]]
    aliases: Mapping[str, str]

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path).path
        api = f"/api/{self.kind}s/{self.name}"
        home = f"/{self.name}" if self.kind == "model" else f"/datasets/{self.name}"
        for prefix, answer in (
            (f"{api}/revision/", self._info),
            (f"{api}/tree/", self._tree),
            (f"{api}/paths-info/", self._paths_info),
            (f"{home}/resolve/", self._file),
        ):
            if path.startswith(prefix):
                return self._at_revision(path.removeprefix(prefix), answer, body)
        if path == api:
            return self._at_revision("main", self._info, body)
        return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _at_revision(self, rest: str, answer: Answer, body: bytes) -> None:
        revision, _, path = rest.partition("/")
        revision = urllib.parse.unquote(revision)
        commit = self.aliases.get(revision, revision)
        if commit not in self.commits:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return answer(commit, self.commits[commit], urllib.parse.unquote(path), body)

    def _info(self, commit: str, files: Mapping[str, bytes], path: str, body: bytes) -> None:
        self._send_json({"id": self.name, "sha": commit, "siblings": [{"rfilename": name} for name in files], "tags": []})

    def _tree(self, commit: str, files: Mapping[str, bytes], path: str, body: bytes) -> None:
        inside = f"{path}/" if path else ""
        folders = {name[:index] for name in files for index, letter in enumerate(name) if letter == "/"}
        if path and path not in folders:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        recursive = "recursive=true" in self.path.lower()
        entries = [_file_entry(name, content) for name, content in files.items()]
        entries += [{"type": "directory", "path": folder, "oid": commit, "size": 0} for folder in sorted(folders)]
        wanted = [entry for entry in entries if entry["path"].startswith(inside)]
        self._send_json([entry for entry in wanted if recursive or "/" not in entry["path"].removeprefix(inside)])

    def _paths_info(self, commit: str, files: Mapping[str, bytes], path: str, body: bytes) -> None:
        sent = body.decode()
        paths = json.loads(sent)["paths"] if sent.startswith("{") else urllib.parse.parse_qs(sent)["paths"]
        self._send_json([_file_entry(name, files[name]) for name in paths if name in files])

    def _file(self, commit: str, files: Mapping[str, bytes], path: str, body: bytes) -> None:
        if path not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = files[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        span = self.headers.get("Range", "").removeprefix("bytes=")
        if not span:
            return self._send(200, content, headers)
        first, _, last = span.partition("-")
        start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return self._send(206, content[start : end + 1], headers)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _file_entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "oid": hashlib.sha1(content).hexdigest(), "size": len(content)}
