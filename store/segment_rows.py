"""Rows of published segments by the values of a column: found through lookups, read by row groups."""

from collections.abc import Iterator, Sequence
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


class SegmentRows:
    """Finds rows in the segments that a manifest names, and keeps them and their lookups open for the next question.

    `connection` sorts the keys of a large segment that has no lookup yet.
    """

    def __init__(self, folder: Path, manifest: Manifest, connection: duckdb.DuckDBPyConnection) -> None:
        self._folder = folder / PUBLISHED_FOLDER
        self._manifest = manifest
        self._connection = connection
        self._lookups: dict[tuple[str, str], Lookup] = {}
        self._files: dict[str, tuple[pq.ParquetFile, NDArray[np.int64]]] = {}

    def close(self) -> None:
        """Close the files."""
        self._lookups.clear()
        while self._files:
            self._files.popitem()[1][0].close()

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
        if not len(rows):
            return
        file, starts = self._file(segment)
        groups = np.searchsorted(starts, rows, side="right") - 1
        present = [name for name in schema.names if name in file.schema_arrow.names]
        for group in np.unique(groups).tolist():
            read = file.read_row_group(group, columns=present, use_threads=False)
            found = read.take(pa.array(rows[groups == group] - starts[group])).combine_chunks()
            yield from (conform(batch, schema) for batch in found.to_batches())

    def _file(self, segment: Segment) -> tuple[pq.ParquetFile, NDArray[np.int64]]:
        """An open segment, and the first row of each of its row groups."""
        if segment.file not in self._files:
            file = pq.ParquetFile(self._folder / segment.file, memory_map=True, page_checksum_verification=True)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._files[segment.file] = file, np.cumsum([0, *sizes[:-1]])
        return self._files[segment.file]


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
