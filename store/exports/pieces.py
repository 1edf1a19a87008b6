"""A store's rows in pieces: segments, which threads read side by side, or one answer of a lake, read alone."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from curate.store.address import LakeAddress
from curate.store.exports.matching import Positions, id_words
from curate.store.reader import Reader
from curate.store.segments import read_columns

_ROWS = 100_000
_LARGE_ROWS, _LARGE_BYTES = 2_048, 64 * 2**20
"""Where so many streamed rows could hold more than this, a batch has as few rows as one of DuckDB's vectors."""
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Piece(Protocol):
    """Some of a table's rows."""

    def read(self, columns: Sequence[str], repeating: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Yield columns of all rows; those of `repeating` may come dictionary-encoded."""
        ...


class Items(Protocol):
    """Some of a store's items; the methods are called in their order."""

    def load(self) -> None:
        """Read what can be read before the snapshot is known."""
        ...

    def find(self, positions: Positions) -> Iterator[tuple[_Integers, _Integers, _Integers]]:
        """Yield the positions of those items that have one, their sizes and their commits."""
        ...

    def content(self, wanted: _Flags) -> Iterator[tuple[_Integers, pa.Array]]:
        """Yield the items whose position is `wanted`, with their content."""
        ...


class Workers:
    """Threads for what reads no lake: a question to a lake is answered at once, by the thread that asks."""

    def __init__(self, threads: Executor, reader: Reader) -> None:
        self.threads = threads
        self._alone = isinstance(reader.address, LakeAddress)

    def read(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a task that reads the store."""
        if not self._alone:
            return self.threads.submit(task, *arguments)
        done: Future[Any] = Future()
        done.set_result(task(*arguments))
        return done


def pieces_of(reader: Reader, table: str) -> list[Piece]:
    """Return a table's rows in pieces."""
    if isinstance(reader.address, LakeAddress):
        return [_Answer(reader, table)]
    return [_Segment(path) for path in reader.segments(table)]


def items_of(reader: Reader, modality: str) -> list[Items]:
    """Return a store's items in pieces; on a lake only those of this modality."""
    if isinstance(reader.address, LakeAddress):
        return [_AskedItems(reader, modality)]
    return [_SegmentItems(path, modality) for path in reader.segments("items")]


class _Segment:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, columns: Sequence[str], repeating: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        for _, batch in read_columns(self._path, columns, repeating):
            yield batch


class _Answer:
    def __init__(self, reader: Reader, table: str) -> None:
        self._reader, self._table = reader, table

    def read(self, columns: Sequence[str], repeating: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        shown = ", ".join(f'"{name}"' for name in columns)
        yield from self._reader.stream(f'SELECT {shown} FROM "{self._table}"', rows=_ROWS)


class _SegmentItems:
    """Items of one segment: what was found in a first pass over ids is read by its place in a second."""

    def __init__(self, path: Path, modality: str) -> None:
        self._path, self._modality = path, modality

    def load(self) -> None:
        batches = [batch for _, batch in read_columns(self._path, ["item_id", "size", "commit_number"])]
        self._words = [id_words(batch["item_id"]) for batch in batches]
        self._sizes, self._commits = (_integers(batches, name) for name in ("size", "commit_number"))

    def find(self, positions: Positions) -> Iterator[tuple[_Integers, _Integers, _Integers]]:
        words = np.concatenate(self._words) if self._words else np.empty((0, 4), np.uint64)
        self._found = positions.find(words)
        held = np.flatnonzero(self._found >= 0)
        yield self._found[held], self._sizes[held], self._commits[held]
        del self._words, self._sizes, self._commits

    def content(self, wanted: _Flags) -> Iterator[tuple[_Integers, pa.Array]]:
        chosen = (self._found >= 0) & wanted[self._found]
        for first, batch in read_columns(self._path, [self._modality], rows=chosen):
            place = slice(first, first + len(batch))
            rows, column = self._found[place], batch.column(0)
            if not bool(chosen[place].all()):
                picked = np.flatnonzero(chosen[place])
                rows, column = rows[picked], column.take(pa.array(picked))
            if len(rows):
                yield rows, column


class _AskedItems:
    """Items of a lake, whose rows have no lasting order: they are found by their ids in both passes."""

    def __init__(self, reader: Reader, modality: str) -> None:
        self._reader, self._modality = reader, modality

    def load(self) -> None: ...

    def find(self, positions: Positions) -> Iterator[tuple[_Integers, _Integers, _Integers]]:
        self._positions, self._commits = positions, np.full(len(positions), -1, np.int64)
        self._largest = 0
        asked = "SELECT item_id, coalesce(size, 0) AS size, commit_number FROM items WHERE modality = ?"
        for batch in self._reader.stream(asked, [self._modality], rows=_ROWS):
            found = positions.find(id_words(batch["item_id"]))
            held = np.flatnonzero(found >= 0)
            sizes, commits = (batch[name].to_numpy()[held] for name in ("size", "commit_number"))
            self._largest = max(self._largest, int(sizes.max(initial=0)))
            self._commits[found[held]] = commits
            yield found[held], sizes, commits

    def content(self, wanted: _Flags) -> Iterator[tuple[_Integers, pa.Array]]:
        commits = np.unique(self._commits[wanted]).tolist()
        asked = f"SELECT item_id, {self._modality} FROM items WHERE list_contains($commits, commit_number)"
        rows = _ROWS if self._largest * _ROWS <= _LARGE_BYTES else _LARGE_ROWS
        for batch in self._reader.stream(asked, {"commits": commits}, rows=rows):
            found = self._positions.find(id_words(batch["item_id"]))
            picked = np.flatnonzero((found >= 0) & wanted[found])
            if len(picked):
                yield found[picked], batch.column(1).take(pa.array(picked))


def _integers(batches: Sequence[pa.RecordBatch], name: str) -> _Integers:
    columns = [batch[name].fill_null(0).to_numpy(zero_copy_only=False) for batch in batches]
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
