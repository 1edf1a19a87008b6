"""Content on its way into shards: in memory as long as it is little, else in a file for each shard."""

import threading
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

_LARGEST_ARRAY = 2**31 - 1
_Integers = np.ndarray[Any, np.dtype[np.int64]]


class Contents(Protocol):
    """The content of the rows of an export; `ranks` are their places in its order. Any thread may call."""

    def add(self, ranks: _Integers, content: pa.Array) -> None:
        """Keep the content of some rows."""
        ...

    def finish(self) -> None:
        """Say that all content has been added."""
        ...

    def take(self, part: int) -> tuple[_Integers, pa.Array]:
        """Return content, and where in it that of each row of a part stands; a part is asked for once."""
        ...


class HeldContents:
    """Content of about `size` bytes in memory, for parts that begin and end at `borders`.

    Memory: the content; at the end twice that of what is no text and no bytes.
    """

    def __init__(self, borders: _Integers, size: int) -> None:
        self._borders = borders
        self._joined = _Joined(size)
        self._place = np.empty(borders[-1], np.int64)
        self._others: list[tuple[_Integers, pa.Array]] = []

    def add(self, ranks: _Integers, content: pa.Array) -> None:
        """Keep the content of some rows."""
        first = self._joined.add(content)
        if first is None:
            self._others.append((ranks, content))
        else:
            self._place[ranks] = np.arange(first, first + len(ranks))

    def finish(self) -> None:
        """Put all content together: taking rows out of many pieces costs three times as much."""
        pieces = self._joined.arrays()
        first = sum(map(len, pieces))
        for ranks, content in self._others:
            self._place[ranks] = np.arange(first, first + len(ranks))
            pieces.append(content)
            first += len(ranks)
        self._others.clear()
        self._content = pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)

    def take(self, part: int) -> tuple[_Integers, pa.Array]:
        """Return all content, and where in it that of each row of the part stands."""
        return self._place[self._borders[part] : self._borders[part + 1]], self._content


class _Joined:
    """Texts, or bytes, in one buffer of `size` bytes; each piece is copied by the thread that adds it."""

    def __init__(self, size: int) -> None:
        self._data = np.empty(min(size, _LARGEST_ARRAY), np.uint8)
        self._offsets: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        self._kind: pa.DataType | None = None
        self._rows = self._bytes = 0
        self._lock = threading.Lock()

    def add(self, content: pa.Array) -> int | None:
        """Copy a piece and return the number of its first row; None where it is of another kind, or has no room."""
        if not (pa.types.is_string(content.type) or pa.types.is_binary(content.type)) or content.null_count:
            return None
        _, offsets, data = content.buffers()
        borders = np.frombuffer(offsets or bytes(4), np.int32)[content.offset : content.offset + len(content) + 1]
        start, stop = int(borders[0]), int(borders[-1])
        with self._lock:
            if self._kind not in (None, content.type) or self._bytes + stop - start > len(self._data):
                return None
            self._kind, first, at = content.type, self._rows, self._bytes
            self._offsets.append(borders[1:] + np.int32(at - start))
            self._rows, self._bytes = first + len(content), at + stop - start
        self._data[at : at + stop - start] = np.frombuffer(data or b"", np.uint8)[start:stop]
        return first

    def arrays(self) -> list[pa.Array]:
        """Return all pieces as one array, or none where there is no piece."""
        if self._kind is None:
            return []
        offsets = np.concatenate([np.zeros(1, np.int32), *self._offsets])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._data)]
        return [pa.Array.from_buffers(self._kind, self._rows, buffers)]


class StoredContents:
    """Content in files of `folder`, one for each part that begins and ends at `borders`.

    Memory: `most_bytes` of content, and twice that of a part for each that is asked for at the same time.
    """

    def __init__(self, borders: _Integers, folder: Path, most_bytes: int) -> None:
        self._borders, self._folder, self._most_bytes = borders, folder, most_bytes
        self._held: dict[int, list[pa.RecordBatch]] = defaultdict(list)
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, ranks: _Integers, content: pa.Array) -> None:
        """Keep the content of some rows, part by part."""
        order = np.argsort(ranks)
        cuts = np.searchsorted(ranks[order], self._borders)
        for part, (start, stop) in enumerate(pairwise(cuts.tolist())):
            if stop > start:
                chosen = order[start:stop]
                columns = {"rank": pa.array(ranks[chosen]), "content": content.take(pa.array(chosen))}
                self._keep(part, pa.RecordBatch.from_pydict(columns))

    def finish(self) -> None:
        """Move what memory still holds into the files."""
        with self._lock:
            self._store()

    def take(self, part: int) -> tuple[_Integers, pa.Array]:
        """Return the part's content, and where in it that of each row stands."""
        path, batches = self._file(part), list[pa.RecordBatch]()
        with path.open("rb") as stream:
            while stream.tell() < path.stat().st_size:
                batches += list(pa.ipc.open_stream(stream))
        path.unlink()
        ranks = np.concatenate([batch["rank"].to_numpy() for batch in batches])
        place = np.empty(len(ranks), np.int64)
        place[ranks - self._borders[part]] = np.arange(len(ranks))
        return place, pa.concat_arrays([batch["content"] for batch in batches])

    def _keep(self, part: int, batch: pa.RecordBatch) -> None:
        with self._lock:
            self._held[part].append(batch)
            self._bytes += batch.nbytes
            if self._bytes > self._most_bytes:
                self._store()

    def _store(self) -> None:
        for part, batches in self._held.items():
            with self._file(part).open("ab") as stream, pa.ipc.new_stream(stream, batches[0].schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        self._held.clear()
        self._bytes = 0

    def _file(self, part: int) -> Path:
        return self._folder / f"{part}.arrow"
