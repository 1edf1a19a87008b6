"""Segments: the immutable Parquet files of the published snapshot, written whole or not at all, and read in order."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import StoreError
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment
from curate.store.schema import Table

BATCH_ROWS = 10_000
GROUP_BYTES = 64 * 2**20
_BUFFER_BYTES = 2**20
_READ_BYTES = 8 * 2**20
_EVER_NEW = frozenset({"item_id", "text", "image", "locator"})
"""Columns whose values hardly ever repeat: building a dictionary of them costs time and saves nothing."""
_SOUGHT = frozenset({"items", "signatures", "clusters", "decisions", "snapshot_items", "embeddings", "codes"})
"""Tables of which single rows are read: their row groups end at `_SOUGHT_ROWS` rows or `_SOUGHT_BYTES` bytes."""
_SOUGHT_ROWS, _SOUGHT_BYTES = 500, 2**20
_LEAST_ROWS = 64
"""Rows that a row group has even if they are large: what the footer says of each is read with every question."""


def write_segment(
    folder: Path, schema: pa.Schema, file: str, batches: Iterable[pa.RecordBatch], level: int = 0
) -> Segment:
    """Write batches as one segment of the store in `folder`; without rows no file is left.

    A column that a batch lacks, for it was written before the column came, is filled with nulls.
    """
    path = folder / PUBLISHED_FOLDER / file
    temporary = path.with_suffix(".partial")
    count = 0
    name = file.partition("-")[0]
    # An item's keys lie one after the other in `bands`.
    repeating = [column for column in schema.names if column not in _EVER_NEW or (name, column) == ("bands", "item_id")]
    with temporary.open("wb") as stream:
        with pq.ParquetWriter(
            stream, schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True
        ) as writer:
            for group in _row_groups(batches, schema, name in _SOUGHT):
                count += group.num_rows
                writer.write_table(group)
        stream.flush()
        os.fsync(stream.fileno())
    if count:
        temporary.rename(path)
    else:
        temporary.unlink()
    return Segment(file, count, level)


def read_segments(folder: Path, segments: Iterable[Segment]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of segments in their order, at most 10,000 or about 8 MiB at once.

    Raises:
        StoreError: one of them is missing or damaged, or a page is not what its checksum says.
    """
    for segment in segments:
        path = folder / PUBLISHED_FOLDER / segment.file
        with _explained(segment.file), _opened(path) as file:
            yield from file.iter_batches(_rows_at_once(file.metadata))


def read_columns(
    path: Path, columns: Sequence[str], repeating: Sequence[str] = (), rows: np.ndarray[Any, Any] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield columns of a segment, at most 10,000 rows or about 8 MiB at once, with the number of each first row.

    Row groups in which `rows` (a flag for each of the segment's rows; None: all) holds for no row are not read. A
    column that came after the segment is null; those of `repeating` come dictionary-encoded. Any thread may read.

    Raises:
        StoreError: the segment is missing or damaged, or a page is not what its checksum says.
    """
    with _explained(path.name), _opened_whole(path, repeating) as file:
        known = _constants(file, columns, repeating)
        present = [name for name in columns if name in file.schema_arrow.names]
        read = [name for name in present if name not in known] or present[:1]
        at_once = _rows_at_once(file.metadata)
        for first, groups in _runs(file.metadata, rows):
            for batch in file.iter_batches(at_once, groups, read, use_threads=False):
                yield first, _with_columns(batch, columns, known)
                first += len(batch)


def read_where(
    path: Path, columns: Sequence[str], values: Mapping[str, str | int], groups: slice = slice(None)
) -> Iterator[pa.RecordBatch]:
    """Yield columns of those rows of a segment that have these values in other columns, which hold no nulls.

    Row groups of which statistics say enough are read without those other columns, or not at all; only those that
    `groups` takes are looked at. Any thread may read.

    Raises:
        StoreError: the segment is missing or damaged, or a page is not what its checksum says.
    """
    with _explained(path.name), _opened_whole(path) as file:
        at_once = _rows_at_once(file.metadata)
        looked_at = range(file.num_row_groups)[groups]
        for whole, found in groupby(looked_at, lambda group: _fits(file.metadata, group, values)):
            if whole is False:
                continue
            asked = list(columns) if whole else [*columns, *values]
            for batch in file.iter_batches(at_once, list(found), asked, use_threads=False):
                if not whole:
                    batch = batch.filter(reduce(pc.and_, (pc.equal(batch[name], values[name]) for name in values)))
                yield batch.select(list(columns))


def row_groups(path: Path) -> int:
    """Return how many row groups a segment has.

    Raises:
        StoreError: the segment is missing or damaged.
    """
    with _explained(path.name):
        return int(pq.read_metadata(path).num_row_groups)


def uniform_groups(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, Any] | None]]:
    """Return each row group's number of rows, and what all of its rows have in these columns; None if they differ.

    Cost: the footer is read. Nulls, and values that statistics do not tell, count as different.

    Raises:
        StoreError: the segment is missing or damaged.
    """
    with _explained(path.name), _opened_whole(path) as file:
        found = []
        for group in range(file.num_row_groups):
            values = {name: _only_value(file.metadata, group, name) for name in columns}
            told = all(value is not None for value in values.values())
            found.append((file.metadata.row_group(group).num_rows, values if told else None))
        return found


def _constants(file: pq.ParquetFile, columns: Sequence[str], repeating: Sequence[str]) -> dict[str, pa.Array]:
    """Columns of which statistics say that all rows have one value, each as an array of one; they need not be read."""
    found = {}
    for field in file.schema_arrow:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if field.name in columns and (pa.types.is_string(kind) or pa.types.is_int64(kind)):
            groups = range(file.num_row_groups)
            value = _only_value(file.metadata, 0, field.name) if groups else None
            if value is not None and all(_only_value(file.metadata, group, field.name) == value for group in groups):
                one = pa.array([value], kind)
                found[field.name] = one.dictionary_encode() if field.name in repeating else one
    return found


def _only_value(metadata: pq.FileMetaData, group: int, name: str) -> Any:
    """The value that all rows of a row group have in a column; None where they differ or statistics do not tell."""
    if name not in metadata.schema.names:
        return None
    known = metadata.row_group(group).column(metadata.schema.names.index(name)).statistics
    if known is None or not known.has_min_max or known.null_count != 0 or known.min != known.max:
        return None
    return known.min


def _fits(metadata: pq.FileMetaData, group: int, values: Mapping[str, str | int]) -> bool | None:
    """Whether all rows of a row group have these values, or none of them; None where statistics do not tell."""
    found = list[bool | None]()
    described = metadata.row_group(group)
    for name, value in values.items():
        known = described.column(metadata.schema.names.index(name)).statistics
        if known is None or not known.has_min_max:
            found.append(None)
        elif not known.min <= value <= known.max:
            return False
        else:
            found.append(True if known.min == known.max and known.null_count == 0 else None)
    return True if all(found) else None


def _runs(metadata: pq.FileMetaData, rows: np.ndarray[Any, Any] | None) -> Iterator[tuple[int, list[int]]]:
    """Yield row groups side by side that hold wanted rows, and the number of the first of their rows."""
    first = start = 0
    run: list[int] = []
    for group in range(metadata.num_row_groups):
        stop = start + metadata.row_group(group).num_rows
        if rows is None or bool(rows[start:stop].any()):
            first = first if run else start
            run.append(group)
        elif run:
            yield first, run
            run = []
        start = stop
    if run:
        yield first, run


def _opened(path: Path, repeating: Sequence[str] = ()) -> pq.ParquetFile:
    repeating = list(repeating)
    return pq.ParquetFile(path, read_dictionary=repeating, buffer_size=_BUFFER_BYTES, page_checksum_verification=True)


def _opened_whole(path: Path, repeating: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a segment of which a row group's column is read at once: with a buffer that costs a sixth more."""
    return pq.ParquetFile(path, read_dictionary=list(repeating), pre_buffer=False, page_checksum_verification=True)


def _with_columns(batch: pa.RecordBatch, columns: Sequence[str], known: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The columns in their order: as they were read, repeated from one value, or null."""
    read = set(batch.schema.names)
    first = pa.repeat(pa.scalar(0, pa.int32()), len(batch)) if known else None
    arrays = [
        batch.column(name) if name in read else known[name].take(first) if name in known else pa.nulls(len(batch))
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    return int(max(1, min(BATCH_ROWS, _READ_BYTES * metadata.num_rows // max(1, size))))


def segment_name(table: Table, first: int, last: int) -> str:
    """Return the name of a segment that holds the commits from `first` to `last`."""
    return f"{table.name}-{first:09d}-{last:09d}.parquet"


def merge_tail(folder: Path, manifest: Manifest, table: Table, tail: Sequence[Segment], level: int) -> Manifest:
    """Merge a table's newest segments, `tail`, into one and return the manifest that names it in their place.

    Only the newest: so a segment never holds a column that one after it lacks, which the readers' views rely on.
    """
    kept = manifest.tables[table.name][: -len(tail)]
    name = segment_name(table, _commits(tail[0])[0], _commits(tail[-1])[1])
    merged = write_segment(folder, table.schema, name, read_segments(folder, tail), level)
    now = time.time()
    return replace(
        manifest,
        tables=manifest.tables | {table.name: (*kept, merged)},
        retired=(*manifest.retired, *((segment.file, now) for segment in tail)),
    )


def _commits(segment: Segment) -> tuple[int, int]:
    _, first, last = segment.file.partition(".")[0].split("-")
    return int(first), int(last)


@contextmanager
def _explained(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"the published segment {file} cannot be read: {error}",
            unchanged="the ledger itself is a different file; every commit is kept there",
            hint=f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew",
        ) from error


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, sought: bool = False) -> Iterator[pa.Table]:
    """Gather batches into row groups of about `BATCH_ROWS` rows or `GROUP_BYTES` bytes, whatever comes first.

    Those of a table of which single rows are `sought` are smaller, and batches are cut for them.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    most = _SOUGHT_ROWS if sought else BATCH_ROWS
    for batch in _cut(batches) if sought else batches:
        large = size + batch.nbytes > (_SOUGHT_BYTES if sought and rows >= _LEAST_ROWS else GROUP_BYTES)
        if held and (large or rows + batch.num_rows > most):
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
        if batch.num_rows:
            held.append(conform(batch, schema))
            rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield pa.Table.from_batches(held)


def _cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut batches into pieces as large as the row groups of a table of which single rows are sought."""
    for batch in batches:
        rows = _SOUGHT_BYTES * len(batch) // max(batch.nbytes, 1)
        rows = min(max(rows, _LEAST_ROWS), _SOUGHT_ROWS)
        yield from (batch.slice(start, rows) for start in range(0, len(batch), rows))


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema; what it lacks is null."""
    known = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in known else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
