"""A fake hub for data sets: as much of the Hugging Face hub's interface as one upload of a folder needs.

`with FakeHub(token="secret") as hub: … hub.address … hub.repositories`. It keeps what was committed, counts the commits
and answers 401 to another token; `fail` is a status with which every further request is answered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self


class Repository:
    """The files of one data set and how often they were committed."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []

    @property
    def head(self) -> str:
        """What stands for the hash of the newest commit."""
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()


class FakeHub:
    """The server: starts when entered, stops when left."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.uploaded: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.fail = 0
        self.lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        with self.hub.lock:
            self.hub.requests.append(f"{method} {path}")
            if self.hub.fail:
                return self._send(self.hub.fail, {"error": "as the test wants it"})
            if method == "PUT":
                self.hub.uploaded[path.rpartition("/")[2]] = body
                return self._send(200, {})
            if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
                return self._send(401, {"error": "Invalid username or password."})
            status, answer = self._route(method, path, body)
        return self._send(status, answer)

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if found := re.fullmatch(r"/datasets/(.+)\.git/info/lfs/objects/batch", path):
            return 200, {"objects": [self._large(entry) for entry in json.loads(body)["objects"]]}
        found = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/.*)?", path)
        repository = self.hub.repositories.get(found[1]) if found else None
        if not found or repository is None:
            return 404, {"error": "Repository not found"}
        rest = found[2] or ""
        if rest.startswith("/preupload/"):
            return 200, {"files": [self._mode(repository, entry) for entry in json.loads(body)["files"]]}
        if rest.startswith("/commit/"):
            return self._commit(found[1], repository, body)
        return 200, {"id": found[1], "sha": repository.head, "private": repository.private, "siblings": [], "tags": []}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        known = name in self.hub.repositories
        self.hub.repositories.setdefault(
            name, Repository(asked.get("private") is True or asked.get("visibility") == "private")
        )
        answer = {"url": f"{self.hub.address}/datasets/{name}", "name": name, "id": name}
        return (409, {**answer, "error": "You already created this dataset repo"}) if known else (200, answer)

    def _mode(self, repository: Repository, entry: dict[str, Any]) -> dict[str, Any]:
        """Large or Parquet files go through LFS, all others inside the commit; `oid` says what is there already."""
        large = entry["path"].endswith((".parquet", ".tar"))
        held = repository.files.get(entry["path"])
        if held is None:
            oid = None
        elif large:
            oid = hashlib.sha256(held).hexdigest()
        else:
            oid = hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()
        mode = "lfs" if large else "regular"
        return {"path": entry["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _large(self, entry: dict[str, Any]) -> dict[str, Any]:
        upload = {"upload": {"href": f"{self.hub.address}/upload/{entry['oid']}", "header": {}}}
        return {
            "oid": entry["oid"],
            "size": entry["size"],
            **({} if entry["oid"] in self.hub.uploaded else {"actions": upload}),
        }

    def _commit(self, name: str, repository: Repository, body: bytes) -> tuple[int, Any]:
        entries = [json.loads(line) for line in body.splitlines()]
        for entry in entries:
            value = entry["value"]
            if entry["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.uploaded[value["oid"]]
        repository.commits.append(entries[0]["value"]["summary"])
        address = f"{self.hub.address}/datasets/{name}/commit/{repository.head}"
        return 200, {"success": True, "commitOid": repository.head, "commitUrl": address, "hookOutput": ""}

    def _send(self, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in (401, 404):
            self.send_header("X-Error-Code", "RepoNotFound" if status == 404 else "")
            self.send_header("X-Error-Message", answer["error"])
        self.end_headers()
        self.wfile.write(content)
