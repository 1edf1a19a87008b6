"""Rows of published segments by the values of a column: found through lookups, read by row groups."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.store.lookups import Keys, Lookup, keys_of, open_lookup
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment
from curate.store.schema import Table, table
from curate.store.segments import conform

_AT_ONCE_BYTES = 2 * 2**20
"""Of row groups that are read at once, as they lie unpacked; a larger one is read alone."""


class SegmentRows:
    """Finds rows in the segments that a manifest names, and keeps them and their lookups open for the next question.

    `connection` sorts the keys of a large segment that has no lookup yet.
    """

    def __init__(self, folder: Path, manifest: Manifest, connection: duckdb.DuckDBPyConnection) -> None:
        self._folder = folder / PUBLISHED_FOLDER
        self._manifest = manifest
        self._connection = connection
        self._lookups: dict[tuple[str, str], Lookup] = {}
        self._files: dict[str, _Rows] = {}
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let go of what was kept."""
        self._lookups.clear()
        self._files.clear()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def find(
        self, name: str, column: str, values: pa.Array, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield these columns of the rows whose `column` holds one of the values, in batches of about `rows` rows.

        Cost: a bisection for each value and segment, and the row groups of the rows that are found.
        """
        wanted = pc.unique(values)
        keys = np.unique(keys_of(wanted))
        question = _Question(table(name), column, wanted, columns)
        held: list[pa.RecordBatch] = []
        for segment in self._manifest.tables.get(name, ()) if len(keys) else ():
            for part in self._parts(segment, keys, question):
                held.append(part)
                if sum(map(len, held)) >= rows:
                    yield question.answer(held)
                    held = []
        if held:
            yield question.answer(held)

    def _lookup(self, segment: Segment, question: "_Question") -> Lookup:
        place = segment.file, question.column
        if place not in self._lookups:
            path = self._folder / segment.file
            self._lookups[place] = open_lookup(
                self._connection, path, segment.rows, question.column, names=question.exact
            )
        return self._lookups[place]

    def _parts(self, segment: Segment, wanted: Keys, question: "_Question") -> Iterator[pa.RecordBatch]:
        lookup = self._lookup(segment, question)
        places, keys = lookup.find(wanted)
        if lookup.names is None:
            yield from self._read(segment, places, question.schema)
        elif len(places):
            found = {question.column: keys.view(np.int64), "item_id": lookup.names[places].astype(str)}
            yield pa.record_batch(found).select(question.schema.names)

    def _read(self, segment: Segment, rows: NDArray[np.int64], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield these rows; row groups are read some at a time, by as many threads as there are cores."""
        file = self._file(segment) if len(rows) else None
        calls = [] if file is None else [partial(file.read, groups, part, schema) for groups, part in file.cut(rows)]
        if len(calls) > 1:
            for table in self._side_by_side(calls):
                yield from (conform(batch, schema) for batch in table.to_batches())
        elif calls:
            yield from (conform(batch, schema) for batch in calls[0]().to_batches())

    def _side_by_side(self, calls: Sequence[Callable[[], pa.Table]]) -> Iterator[pa.Table]:
        """Yield in order what calls return, of which no more are begun ahead than there are cores."""
        cores = os.cpu_count() or 1
        self._threads = self._threads or ThreadPoolExecutor(cores, thread_name_prefix="rows")
        begun: deque[Future[pa.Table]] = deque()
        try:
            for call in calls:
                begun.append(self._threads.submit(call))
                if len(begun) > cores:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            wait(begun)

    def _file(self, segment: Segment) -> "_Rows":
        if segment.file not in self._files:
            self._files[segment.file] = _Rows(self._folder / segment.file)
        return self._files[segment.file]


class _Rows:
    """A segment of which single rows are read, by any thread; its footer is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._metadata = pq.read_metadata(path)
        groups = [self._metadata.row_group(number) for number in range(self._metadata.num_row_groups)]
        self._bytes = np.cumsum([0, *(group.total_byte_size for group in groups)])
        self._starts = np.cumsum([0, *(group.num_rows for group in groups)])

    def cut(self, rows: NDArray[np.int64]) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
        """Cut rows (rising) into runs whose row groups have few bytes together, each with the numbers of its groups."""
        group_of = np.searchsorted(self._starts, rows, side="right") - 1
        groups = np.unique(group_of)
        sizes = np.cumsum(self._bytes[groups + 1] - self._bytes[groups])
        for run in np.unique(sizes // _AT_ONCE_BYTES).tolist():
            chosen = groups[sizes // _AT_ONCE_BYTES == run]
            yield chosen.tolist(), rows[(group_of >= chosen[0]) & (group_of <= chosen[-1])]

    def read(self, groups: list[int], rows: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
        """Return rows that lie in these row groups, with those columns of the schema that there are."""
        firsts = self._starts[groups]
        before = np.cumsum(self._starts[np.add(groups, 1)] - firsts) - (self._starts[np.add(groups, 1)] - firsts)
        group_of = np.searchsorted(firsts, rows, side="right") - 1
        with self._opened() as file:
            present = [name for name in schema.names if name in file.schema_arrow.names]
            read = file.read_row_groups(groups, columns=present, use_threads=False)
        return read.take(pa.array(rows - firsts[group_of] + before[group_of])).combine_chunks()

    def _opened(self) -> pq.ParquetFile:
        options = {"memory_map": True, "pre_buffer": False, "page_checksum_verification": True}
        return pq.ParquetFile(self._path, metadata=self._metadata, **options)


class _Question:
    """Which columns are wanted of the rows that hold which values in one column.

    `exact` says that a key is the value itself; then only it and the item can be asked for, and no row is read.
    """

    def __init__(self, entry: Table, column: str, values: pa.Array, columns: Sequence[str]) -> None:
        self.column = column
        self.exact = pa.types.is_integer(values.type)
        self.schema = pa.schema([entry.schema.field(one) for one in dict.fromkeys((*columns, column))])
        self._values = values
        self._columns = list(columns)

    def answer(self, held: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """Put batches together, less the rows of other values that share a key with a wanted one."""
        together = pa.concat_batches(held)
        if not self.exact:
            together = together.filter(pc.is_in(together[self.column], value_set=self._values))
        return together.select(self._columns)
