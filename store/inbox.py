"""The inbox: what people answered on the labelling page, on disk before they are told so, until the step takes it in.

Every writer appends to a file of its own, and files are never shortened: a place in one is a number of bytes for good,
and a cursor of the store says up to where a file has been taken in. So an answer is taken in exactly once, and whoever
labels never needs the store's lease.
"""

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from curate.errors import CurateError
from curate.store.manifest import replace_file, sync_folder
from curate.types import PersonAnswer

INBOX_FOLDER = "inbox"
_FILES = "labels-*.jsonl"
_READ_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Waiting:
    """Answers of one file of the inbox, from byte `start` up to byte `stop`; `unreadable` are places of other lines."""

    file: str
    start: int
    stop: int
    answers: tuple[PersonAnswer, ...]
    unreadable: tuple[int, ...]


class Inbox:
    """Appends answers for one process; several may do so at once. Not for two threads at once."""

    def __init__(self, store_folder: Path) -> None:
        self._folder = store_folder / INBOX_FOLDER
        self._stream: IO[bytes] | None = None

    def append(self, answer: PersonAnswer) -> None:
        """Append an answer and return once it is on disk. Cost: one fsync.

        Raises:
            CurateError: the disk refuses; the answer is not kept, and a later one goes to a new file.
        """
        line = json.dumps(asdict(answer), ensure_ascii=True).encode() + b"\n"
        try:
            stream = self._stream or self._open()
            size = stream.seek(0, os.SEEK_END)
            try:
                stream.write(line)
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(size)
                raise
        except OSError as error:
            self.close()
            raise CurateError(
                f"the answer cannot be written to {INBOX_FOLDER}/: {error}",
                unchanged="the answers before it are kept",
                hint="make room on the disk and answer again",
            ) from error

    def close(self) -> None:
        """Close the file; the next answer begins another."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"labels-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:8]}.jsonl"
        self._stream = (self._folder / name).open("xb", buffering=0)
        sync_folder(self._folder)
        return self._stream


def waiting_answers(store_folder: Path, taken: dict[str, int], lines: int) -> Iterator[Waiting]:
    """Yield what the files of the inbox hold behind the bytes that were `taken` of each, `lines` lines at a time.

    A line that does not end yet belongs to an answer whose `append` has not returned, and waits. Memory: 4 MiB.
    """
    for path in _files(store_folder):
        with path.open("rb") as stream:
            start = stream.seek(taken.get(path.name, 0))
            while (waiting := _next_lines(stream, path.name, start, lines)).stop > start:
                yield waiting
                start = waiting.stop


def inbox_answers(store_folder: Path) -> list[PersonAnswer]:
    """Return all answers that the inbox has ever held, oldest first, taken in or not."""
    every = [answer for waiting in waiting_answers(store_folder, {}, 10_000) for answer in waiting.answers]
    return sorted(every, key=lambda answer: (answer.answered_at, answer.answer_id))


def forget_answers(store_folder: Path, items: Collection[str]) -> int:
    """Overwrite the answers about these items with spaces, so that no place moves, and return how many there were."""
    items, forgotten = frozenset(items), 0
    for path in _files(store_folder):
        with path.open("r+b") as stream:
            place = 0
            for line in stream.read().splitlines(keepends=True):
                answer = _parse(line)
                if answer is not None and answer.item_id in items:
                    stream.seek(place)
                    stream.write(b" " * (len(line) - 1))
                    forgotten += 1
                place += len(line)
            stream.flush()
            os.fsync(stream.fileno())
    return forgotten


def copy_inbox(store_folder: Path, target: Path) -> None:
    """Copy the files of the inbox to another store's folder; what is there already stays."""
    for path in _files(store_folder):
        (target / INBOX_FOLDER).mkdir(exist_ok=True)
        if not (target / INBOX_FOLDER / path.name).exists():
            replace_file(target / INBOX_FOLDER / path.name, path.read_bytes())


def _files(store_folder: Path) -> list[Path]:
    return sorted((store_folder / INBOX_FOLDER).glob(_FILES))


def _next_lines(stream: IO[bytes], file: str, start: int, lines: int) -> Waiting:
    answers, unreadable, place = [], [], start
    for _ in range(lines):
        line = stream.readline(_READ_BYTES)
        if not line.endswith(b"\n") or place - start > _READ_BYTES:
            break
        answer = _parse(line)
        if answer is not None:
            answers.append(answer)
        elif line.strip():
            unreadable.append(place)
        place += len(line)
    stream.seek(place)
    return Waiting(file, start, place, tuple(answers), tuple(unreadable))


def _parse(line: bytes) -> PersonAnswer | None:
    try:
        content = json.loads(line)
        answer = PersonAnswer(**content)
    except (ValueError, TypeError, RecursionError):
        return None
    kinds = {"turn": int, "saw_proposal": bool}
    sound = all(isinstance(getattr(answer, field.name), kinds.get(field.name, str)) for field in fields(answer))
    return answer if sound else None
