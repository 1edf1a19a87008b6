"""Lookups: where in a published segment the rows lie that hold a value, without reading the rows in between.

A lookup is one column of one segment, sorted: 64-bit keys, then a place for each, in a file that is mapped into memory
and searched by bisection. The places are the numbers of the rows, or those of the items in the order of the rows, whose
names follow. It is derived and never the truth: the first reader that needs it makes it, a reader that finds none makes
it again, and it goes with its segment. Two texts may share a key, so a row that is found is read and compared.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import IO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.store.manifest import PUBLISHED_FOLDER
from curate.store.results import stream_rows

LOOKUP_FOLDER = "lookups"
"""Inside the published folder: who deletes that, to have all published anew, deletes the lookups too."""
_SUFFIX = ".lookup"
_WORTH_A_FILE = 4_096
"""Rows below which a segment's lookup is made each time: that takes half a millisecond."""
_KEY, _PLACE = np.dtype("<u8"), np.dtype("<u4")
_HEAD = 16
_ODD = np.uint64(0x9E37_79B9_7F4A_7C15)
_READ_ROWS = 65_536
_TAIL = 4_096
_END_BYTES = 24
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The sorted keys of a segment's column with the place of each; `names` where the places are those of items."""

    keys: Keys
    places: NDArray[np.uint32]
    names: NDArray[np.bytes_] | None = None

    def find(self, wanted: Keys) -> tuple[NDArray[np.int64], Keys]:
        """Return, in order, the places that have one of the `wanted` keys (sorted, each once), and the key of each.

        Cost: a bisection for each wanted key.
        """
        starts = np.searchsorted(self.keys, wanted)
        inside = starts < len(self.keys)
        hits = np.flatnonzero(inside)[self.keys[starts[inside]] == wanted[inside]]
        counts = np.searchsorted(self.keys, wanted[hits], side="right") - starts[hits]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self.places[np.repeat(starts[hits], counts) + offsets].astype(np.int64)
        order = np.argsort(places, kind="stable")
        return places[order], np.repeat(wanted[hits], counts)[order]


def keys_of(values: pa.Array) -> Keys:
    """Return a key for each value: an integer's own bits, of a text its first 16 bytes folded into eight."""
    if pa.types.is_integer(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False), np.int64).view(np.uint64)
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(values.buffers()[2] or b"", np.uint8)
    heads = np.zeros((len(values), _HEAD), np.uint8)
    for place in range(_HEAD):
        inside = np.flatnonzero(np.diff(offsets) > place)
        heads[inside, place] = data[offsets[inside] + place]
    halves = heads.view(_KEY)
    return np.asarray(halves[:, 0] * _ODD ^ halves[:, 1], np.uint64)


def open_lookup(
    connection: duckdb.DuckDBPyConnection, segment: Path, rows: int, column: str, *, names: bool = False
) -> Lookup:
    """Return the lookup of a column of a segment of `rows` rows; where there is none it is made, and kept if worth it.

    With `names` it leads to items, whose ids must be of one length to be kept. Cost of making: the column is read and
    sorted, by DuckDB and so within its memory where it is large: 3 seconds of processor time for 20,000,000 keys.
    Twelve bytes a row on disk, and each item's id.
    """
    if rows < _WORTH_A_FILE:
        return _made_in_memory(segment, column, names)
    path = segment.parent / LOOKUP_FOLDER / f"{segment.name}.{column}{_SUFFIX}"
    try:
        if (width := _width(path, segment)) is None:
            width = _make(connection, segment, rows, column, names, path)
        return _mapped(path, rows, width)
    except (OSError, duckdb.IOException):
        # The place is read-only or full, or the segment goes and its lookups with it.
        return _made_in_memory(segment, column, names)


def forget_lookups(folder: Path, keep: set[str]) -> None:
    """Delete, in the store in `folder`, the lookups of all segments but these, and what was begun."""
    for path in stray_lookups(folder, keep):
        path.unlink(missing_ok=True)
    for path in unfinished_lookups(folder):
        path.unlink(missing_ok=True)


def stray_lookups(folder: Path, keep: set[str]) -> list[Path]:
    """Return the lookups of other segments than these."""
    found = sorted((folder / PUBLISHED_FOLDER / LOOKUP_FOLDER).glob(f"*{_SUFFIX}"))
    return [path for path in found if path.name.removesuffix(_SUFFIX).rpartition(".")[0] not in keep]


def unfinished_lookups(folder: Path) -> list[Path]:
    """Return the files of readers that are making a lookup, or were stopped while they did."""
    return sorted((folder / PUBLISHED_FOLDER / LOOKUP_FOLDER).glob(".*.partial"))


def remove_segment(path: Path) -> None:
    """Delete a segment, then its lookups: a reader that makes one meanwhile looks for the segment afterwards."""
    path.unlink(missing_ok=True)
    for lookup in (path.parent / LOOKUP_FOLDER).glob(f"{path.name}.*{_SUFFIX}"):
        lookup.unlink(missing_ok=True)


def _width(path: Path, segment: Path) -> int | None:
    """Return how long the names in a lookup are (0: it has none), or None if it is not there, or of another segment."""
    try:
        with path.open("rb") as stream:
            stream.seek(-_END_BYTES, os.SEEK_END)
            end = stream.read()
    except OSError:
        return None
    width = int.from_bytes(end[-8:], "little")
    return width if end == _end(segment, width) else None


def _end(segment: Path, width: int) -> bytes:
    """How a lookup ends: with its segment's size, a checksum of its footer (which tells of all columns), the width."""
    with segment.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL))
        numbers = (size, zlib.crc32(stream.read()), width)
    return b"".join(number.to_bytes(8, "little") for number in numbers)


def _mapped(path: Path, rows: int, width: int) -> Lookup:
    """Map a lookup into memory, which fails where it is shorter than its rows say."""
    places, names = rows * _KEY.itemsize, rows * (_KEY.itemsize + _PLACE.itemsize)
    content = np.memmap(path, np.uint8, "r").view(np.ndarray)[:-_END_BYTES]
    if len(content) < names:
        raise OSError(f"{path.name} is cut short")
    named = content[names:].view(f"S{width}") if width else None
    return Lookup(content[:places].view(_KEY), content[places:names].view(_PLACE), named)


def _make(connection: duckdb.DuckDBPyConnection, segment: Path, rows: int, column: str, names: bool, path: Path) -> int:
    """Make a lookup and return the width of its names."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")
    items = _Items() if names else None
    try:
        with temporary.open("wb") as keys, temporary.open("r+b") as places:
            places.seek(rows * _KEY.itemsize)
            for batch in _sorted(connection, _numbered(segment, column, items)):
                keys.write(batch["key"].to_numpy().astype(_KEY).tobytes())
                places.write(batch["place"].to_numpy().astype(_PLACE).tobytes())
            width = items.write(places) if items else 0
            places.write(_end(segment, width))
            for stream in (keys, places):
                stream.flush()
            os.fsync(places.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    if not segment.exists():
        path.unlink(missing_ok=True)
    return width


class _Items:
    """Numbers items by the order in which they come; the rows of each lie together, or it has several numbers."""

    def __init__(self) -> None:
        self.names: list[pa.Array] = []
        self._count = 0
        self._last: str | None = None

    def numbers(self, column: pa.Array) -> NDArray[np.uint32]:
        """Return the number of each row's item; the next call goes on with the next rows."""
        runs = pc.run_end_encode(column)
        goes_on = runs.values[0].as_py() == self._last
        self._last = runs.values[-1].as_py()
        first = self._count - goes_on
        self._count = first + len(runs.values)
        self.names.append(runs.values[goes_on:])
        lengths = np.diff(runs.run_ends.to_numpy(), prepend=0)
        return np.repeat(np.arange(first, self._count, dtype=np.uint32), lengths)

    def array(self) -> NDArray[np.bytes_]:
        """The names by their numbers."""
        return np.array([name.encode() for part in self.names for name in part.to_pylist()], np.bytes_)

    def write(self, stream: IO[bytes]) -> int:
        """Write the names one after the other and return their length."""
        widths = pc.unique(pc.binary_length(pa.chunked_array(self.names, pa.string()))).to_pylist()
        if len(widths) != 1:
            raise OSError("names of several lengths are not kept")
        for part in self.names:
            content = part.buffers()[2].slice(part.offset * widths[0], len(part) * widths[0])
            stream.write(content)
        return int(widths[0])


def _sorted(connection: duckdb.DuckDBPyConnection, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([("key", pa.uint64()), ("place", pa.uint32())])
    cursor = connection.cursor()
    try:
        cursor.register("unsorted", pa.RecordBatchReader.from_batches(schema, batches))
        yield from stream_rows(cursor, "SELECT key, place FROM unsorted ORDER BY key, place", rows=_READ_ROWS)
    finally:
        cursor.close()


def _numbered(segment: Path, column: str, items: _Items | None) -> Iterator[pa.RecordBatch]:
    """Yield the keys in the order of the rows with their places."""
    row = 0
    columns = [column, "item_id"] if items else [column]
    with pq.ParquetFile(segment) as file:
        for batch in file.iter_batches(_READ_ROWS, columns=columns):
            places = np.arange(row, row + len(batch), dtype=np.uint32)
            row += len(batch)
            if items:
                places = items.numbers(batch["item_id"])
            yield pa.record_batch([pa.array(keys_of(batch[column])), pa.array(places)], names=["key", "place"])


def _made_in_memory(segment: Path, column: str, names: bool) -> Lookup:
    items = _Items() if names else None
    parts = list(_numbered(segment, column, items))
    keys = np.concatenate([np.zeros(0, np.uint64), *(part["key"].to_numpy() for part in parts)])
    places = np.concatenate([np.zeros(0, np.uint32), *(part["place"].to_numpy() for part in parts)])
    order = np.argsort(keys, kind="stable")
    return Lookup(keys[order], places[order], items.array() if items else None)
