"""The request journal: every answer that a service gave is on disk before anyone uses it.

Answers are appended as JSON lines, flushed to disk one by one, drained into the table `requests` with the batch that
used them, and replayed before any call: an answer that was received is never paid for again.
"""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock
from typing import Any
from uuid import uuid4

import pyarrow as pa

from curate.store.manifest import replace_file, sync_folder
from curate.store.reader import Reader
from curate.store.write import rows
from curate.types import Request, Response

JOURNAL_FOLDER = "journals"
_FIGURES = ("prompt_tokens", "completion_tokens", "cached_tokens", "seconds", "attempts")
_JOURNAL, _LOCK = "requests.jsonl", "requests.lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """One received answer with its request."""

    key: str
    request: Request
    response: Response
    received_at: str


@dataclass(slots=True)
class _Waiting:
    """An answer on its way to the disk."""

    entry: Entry
    line: bytes
    kept: bool = False
    error: BaseException | None = None


class Journal:
    """The journal of one store; several processes may append at once, and each sees what the others received.

    So may several threads of a process: those that wait for the disk are written and synced together.

    Its first line changes whenever it is written anew, so that a process knows whether what it read is still there.
    """

    def __init__(self, store_folder: Path) -> None:
        self._folder = store_folder / JOURNAL_FOLDER
        self._entries: dict[str, Entry] = {}
        self._first_line = b""
        self._read_bytes = 0
        self._generation = 0
        self._path = self._folder / _JOURNAL
        self._seen = 0, 0, 0
        self._waiting: list[_Waiting] = []
        self._known = RLock()
        self._disk = Lock()
        self._catch_up()

    def get(self, key: str) -> Response | None:
        """Return the answer under this key if the journal holds it. Cost of a miss: reading what was appended since."""
        with self._known:
            if key not in self._entries:
                self._catch_up()
            entry = self._entries.get(key)
        return entry.response if entry else None

    def put(self, key: str, request: Request, response: Response) -> None:
        """Append an answer and return once it is on disk. Cost: one fsync, shared by the threads that wait for it."""
        entry = Entry(key, request, response, datetime.now(UTC).isoformat())
        own = _Waiting(entry, json.dumps(_to_mapping(entry), ensure_ascii=True).encode())
        with self._known:
            self._waiting.append(own)
        with self._disk:
            if not own.kept and own.error is None:
                self._write_waiting()
        if own.error is not None:
            raise own.error

    def keys(self) -> frozenset[str]:
        """Return the keys of all entries."""
        with self._known:
            return frozenset(self._entries)

    def entries(self) -> list[Entry]:
        """Return all entries in the order of their arrival."""
        with self._known:
            return list(self._entries.values())

    def drained(self, keys: Collection[str]) -> pa.Table:
        """Return the entries under `keys` as rows of the table `requests`, ready for a commit."""
        with self._known:
            chosen = [self._entries[key] for key in sorted(set(keys) & self._entries.keys())]
        return _to_rows(chosen)

    def forget(self, keys: Collection[str]) -> None:
        """Take entries that a commit holds now out of the journal, atomically."""
        gone = set(keys) & self.keys()
        if gone:
            self.rewrite_without(gone)

    def rewrite_without(self, keys: Collection[str]) -> None:
        """Write the journal anew without these entries and without torn lines, so that none of their bytes is left."""
        if not self._path.exists():
            return
        with self._known, self._locked():
            self._catch_up()
            _replace(self._folder / _JOURNAL, [entry for entry in self._entries.values() if entry.key not in keys])
            self._catch_up()

    def _write_waiting(self) -> None:
        """Append what threads wait for, with one fsync; where that fails, none of it is remembered."""
        with self._known:
            together, self._waiting = self._waiting, []
            generation = self._generation
        try:
            with self._locked():
                before, state = self._append([one.line for one in together])
        except BaseException as error:
            for one in together:
                one.error = error
            return
        with self._known:
            for one in together:
                self._entries[one.entry.key], one.kept = one.entry, True
            # Where nobody else wrote in between, own lines need not be read again.
            if (self._read_bytes, self._generation) == (before, generation):
                self._read_bytes, self._seen = state[1], state

    def _append(self, lines: list[bytes]) -> tuple[int, tuple[int, int, int]]:
        """Append lines and return how long the journal was before, and its state after."""
        with self._path.open("ab") as stream:
            before = stream.tell()
            # The leading newline ends a line that a killed process may have left torn.
            stream.write(b"".join(b"\n" + line + b"\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())
            state = _state(os.fstat(stream.fileno()))
        if not before:
            sync_folder(self._folder)
        return before, state

    def _catch_up(self) -> None:
        """Read what was appended since the last look; all of it where another process has written the journal anew."""
        try:
            seen = _state(self._path.stat())
            if seen == self._seen:
                return
            stream = self._path.open("rb")
        except FileNotFoundError:
            return
        self._seen = seen
        with stream:
            first_line, size = stream.readline(), stream.seek(0, os.SEEK_END)
            if first_line != self._first_line or size < self._read_bytes:
                self._first_line, self._read_bytes, self._entries = first_line, 0, {}
                self._generation += 1
            stream.seek(self._read_bytes)
            added = stream.read()
        self._entries |= {entry.key: entry for entry in _entries(added)}
        self._read_bytes += added.rfind(b"\n") + 1  # the rest of a line may still be on its way

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class StoredRequests:
    """A request cache over a store: the journal first, then what earlier commits drained from it.

    `find` asks the store for many keys at once; one thread at a time does so. What `look_up` found is kept until it is
    used once.
    """

    def __init__(self, journal: Journal, find: Callable[[Sequence[str]], Mapping[str, Response]]) -> None:
        self._journal = journal
        self._find = find
        self._lock = Lock()
        self._looked_up: dict[str, Response | None] = {}
        self.used: set[str] = set()
        self.calls = 0

    def look_up(self, keys: Sequence[str]) -> None:
        """Ask the store for what the journal does not hold of these keys."""
        missing = [key for key in dict.fromkeys(keys) if self._journal.get(key) is None]
        with self._lock:
            found = self._find(missing) if missing else {}
            self._looked_up |= {key: found.get(key) for key in missing}

    def get(self, key: str) -> Response | None:
        """Return the received answer under this key, or None; remembers that the batch used it."""
        response = self._journal.get(key)
        with self._lock:
            if response is not None:
                self.used.add(key)
                self._looked_up.pop(key, None)
                return response
            if key in self._looked_up:
                return self._looked_up.pop(key)
            return self._find([key]).get(key)

    def put(self, key: str, request: Request, response: Response) -> None:
        """Keep an answer that has just been received."""
        self._journal.put(key, request, response)
        with self._lock:
            self.used.add(key)
            self.calls += 1

    def take_used(self) -> frozenset[str]:
        """Return the keys of the journal that were used since the last time."""
        with self._lock:
            taken, self.used = frozenset(self.used), set()
        return taken


def _state(status: os.stat_result) -> tuple[int, int, int]:
    """What tells a file that has changed: its number, its bytes, its time."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def stored_responses(reader: Reader, keys: Sequence[str]) -> dict[str, Response]:
    """Return the answers that commits hold under these keys. Cost: grows with the keys, not with the store."""
    found = reader.find("requests", "request_key", keys, ["request_key", "body", *_FIGURES])
    return {row["request_key"]: _from_row(row) for row in found.to_pylist()}


def _from_row(row: Mapping[str, Any]) -> Response:
    return Response(json.loads(row["body"]), **{name: row[name] for name in _FIGURES})


def _to_mapping(entry: Entry) -> dict[str, Any]:
    response = {name: getattr(entry.response, name) for name in Response.__dataclass_fields__}
    request = {name: getattr(entry.request, name) for name in Request.__dataclass_fields__}
    return {"key": entry.key, "request": request, "response": response, "received_at": entry.received_at}


def _entries(lines: bytes) -> Iterator[Entry]:
    for line in lines.split(b"\n"):
        # A torn line belongs to an answer whose `put` never returned.
        if line.startswith(b"{") and line.endswith(b"}") and (entry := _parse(line)) is not None:
            yield entry


def _parse(line: bytes) -> Entry | None:
    try:
        content = json.loads(line)
        request, response = Request(**content["request"]), Response(**content["response"])
        return Entry(content["key"], request, response, content["received_at"])
    except (ValueError, KeyError, TypeError):
        return None


def _replace(path: Path, entries: list[Entry]) -> None:
    lines = [f"# {uuid4().hex}", *(json.dumps(_to_mapping(entry)) for entry in entries)]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode())


def _to_rows(entries: list[Entry]) -> pa.Table:
    return rows(
        "requests",
        {
            "request_key": [entry.key for entry in entries],
            "address": [entry.request.address for entry in entries],
            "model": [entry.request.model for entry in entries],
            "payload": [json.dumps(entry.request.payload, sort_keys=True) for entry in entries],
            "body": [json.dumps(entry.response.body, sort_keys=True) for entry in entries],
            "prompt_tokens": [entry.response.prompt_tokens for entry in entries],
            "completion_tokens": [entry.response.completion_tokens for entry in entries],
            "cached_tokens": [entry.response.cached_tokens for entry in entries],
            "seconds": [entry.response.seconds for entry in entries],
            "attempts": [entry.response.attempts for entry in entries],
            "received_at": [datetime.fromisoformat(entry.received_at) for entry in entries],
        },
    )
