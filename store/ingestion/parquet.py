"""Parquet: Arrow in, Arrow out, streamed by row groups and, within one, by chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from curate.store.ingestion.batches import CHUNK_BYTES, assemble, chunk_rows, refused_rows
from curate.store.ingestion.columnar import SAMPLED_ROWS, Columns, rows_at_once
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import Refusal, RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import FREE_BYTES, RATIO

_BUFFER_BYTES = 2**20
_MAGIC = b"PAR1"
_FREE_ROWS = 2**20
_ROWS_PER_BYTE = 100


def read_parquet(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows; row groups before `start_row` are not read, and of the others only the columns that count.

    A damaged row group is one reject for the rows that could not be read, and the next group is read. More rows than
    100 for each byte of the file, and columns that unpack to more than 200 times what they take, are refused.

    Memory: a chunk holds 16,384 rows or about 16 MiB, as far as a row group's mean size and its first 64 rows foretell;
    to it comes one page of each column (1 MiB as most programs write them, at most what its group's column takes).

    Raises:
        RefusedFileError: the file is damaged, or lacks a column, or one has a wrong type.
        OSError: the file cannot be read.
    """
    with file.open(in_order=False) as stream:
        parquet = _opened(stream)
        _check_rows(parquet, file)
        reader = _Groups(parquet, Columns(parquet.schema_arrow, mapping), file, mapping)
        first_row = 0
        for number in range(parquet.num_row_groups):
            next_row = first_row + parquet.metadata.row_group(number).num_rows
            if next_row > start_row:
                yield from reader.read(number, first_row, max(first_row, start_row), next_row)
            first_row = next_row


class _Groups:
    """Reads the row groups of one file."""

    def __init__(self, parquet: pq.ParquetFile, columns: Columns, file: SourceFile, mapping: Mapping) -> None:
        self._parquet = parquet
        self._columns = columns
        self._file = file
        self._mapping = mapping

    def read(self, number: int, first_row: int, row: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows from `row` on of a group that holds `first_row` up to `end`; at last, what could not be read."""
        try:
            with _complaints():
                for at, batch in self._batches(number, first_row, row):
                    yield assemble(self._columns.chunk(self._file, batch, at), self._file, self._mapping)
                    row = at + batch.num_rows
            if row < end:
                raise RefusedFileError("broken-parquet", "the row group holds fewer rows than it says")
        except RefusedFileError as error:
            yield refused_rows(self._file, row, end - 1, error.refusal)

    def _batches(self, number: int, first_row: int, row: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        self._check_size(number)
        size = self._rows_at_once(number)
        for batch in self._parquet.iter_batches(size, row_groups=[number], columns=self._columns.names):
            skipped = min(max(0, row - first_row), batch.num_rows)
            if skipped < batch.num_rows:
                yield first_row + skipped, batch.slice(skipped)
            first_row += batch.num_rows

    def _sizes(self, number: int) -> tuple[int, int]:
        """How many bytes the columns that are read take in a group, and how many when unpacked."""
        group = self._parquet.metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        read = [column for column in columns if column.path_in_schema.split(".")[0] in self._columns.names]
        packed, unpacked = ([getattr(c, name) for c in read] for name in _SIZES)
        return sum(packed), sum(unpacked)

    def _check_size(self, number: int) -> None:
        packed, unpacked = self._sizes(number)
        if unpacked > max(FREE_BYTES, RATIO * packed):
            raise RefusedFileError("decompression-bomb", f"{packed} bytes would unpack to {unpacked}")

    def _rows_at_once(self, number: int) -> int:
        """How many rows of a row group make a chunk: by its stated size and, as dictionaries hide that, a sample."""
        rows = self._parquet.metadata.row_group(number).num_rows
        by_size = chunk_rows(CHUNK_BYTES * rows // max(1, self._sizes(number)[1]))
        batches = self._parquet.iter_batches(
            min(by_size, SAMPLED_ROWS), row_groups=[number], columns=self._columns.names
        )
        sample = next(batches, None)
        return by_size if sample is None else min(by_size, rows_at_once(sample))


_SIZES = ("total_compressed_size", "total_uncompressed_size")


def _check_rows(parquet: pq.ParquetFile, file: SourceFile) -> None:
    groups = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
    if min(groups, default=0) < 0:
        raise RefusedFileError("broken-parquet", f"a row group says that it holds {min(groups)} rows")
    if sum(groups) > _FREE_ROWS + _ROWS_PER_BYTE * file.size:
        raise RefusedFileError("absurd-size", f"{file.size} bytes say that they hold {sum(groups)} rows")


def _opened(stream: BinaryIO) -> pq.ParquetFile:
    if not stream.seekable():
        raise RefusedFileError("unsupported-format", "Parquet cannot be read from a pipe; save it as a file first")
    head = stream.read(len(_MAGIC))
    stream.seek(-min(len(_MAGIC), stream.seek(0, 2)), 2)
    tail = stream.read(len(_MAGIC))
    if head != _MAGIC:
        raise RefusedFileError("broken-parquet", "the file does not begin like Parquet")
    if tail != _MAGIC:
        raise RefusedFileError("truncated-parquet", "the file begins like Parquet and lacks its end; copy it again")
    stream.seek(0)
    with _complaints():
        return pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


@contextmanager
def _complaints() -> Iterator[None]:
    """Turn every complaint of Arrow's about a file's content into a refusal.

    Damage that Arrow notices only in use (a wrong offset, an impossible date) comes as any of these exceptions.
    """
    try:
        yield
    except RefusedFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise RefusedFileError("broken-parquet", f"{type(error).__name__}: {excerpt(str(error))}") from error
