"""Content on its way into shards: in memory as long as it is little, else in a file for each shard."""

import threading
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

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
    """Content in memory, for parts that begin and end at `borders`. Memory: at the end twice the content."""

    def __init__(self, borders: _Integers) -> None:
        self._borders = borders
        self._held: list[tuple[_Integers, pa.Array]] = []

    def add(self, ranks: _Integers, content: pa.Array) -> None:
        """Keep the content of some rows."""
        self._held.append((ranks, content))

    def finish(self) -> None:
        """Put all content together: taking rows out of many pieces costs three times as much."""
        self._place = np.empty(self._borders[-1], np.int64)
        first = 0
        for ranks, _ in self._held:
            self._place[ranks] = np.arange(first, first + len(ranks))
            first += len(ranks)
        self._content = pa.concat_arrays([content for _, content in self._held])
        self._held.clear()

    def take(self, part: int) -> tuple[_Integers, pa.Array]:
        """Return all content, and where in it that of each row of the part stands."""
        return self._place[self._borders[part] : self._borders[part + 1]], self._content


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
