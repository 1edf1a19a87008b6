"""Parquet: Arrow in, Arrow out, streamed by row groups and, within one, by chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curate.store.ingestion.batches import CHUNK_BYTES, CHUNK_ROWS, assemble, chunk_rows, refused_rows
from curate.store.ingestion.columnar import SAMPLED_ROWS, Columns, rows_at_once
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.shapes import RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import FREE_BYTES, RATIO

_BUFFER_BYTES = 2**20
_MAGIC = b"PAR1"
_FREE_ROWS = 2**20
_ROWS_PER_BYTE = 100
_FREE_CONTENT, _CONTENT_RATIO = 2**30, 2_000


def read_parquet(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows; row groups before `start_row` are not read, and of the others only the columns that count.

    A damaged row group is one reject for the rows that could not be read, and the next group is read; tiny ones that
    follow each other are read at once. A file that says
    that it holds more than a million rows and 100 for each of its bytes, or unpacks to more than 64 MiB and 200 times
    its size, is refused. Of a file whose dictionaries repeat a text over and over, what lies beyond 1 GiB and 2,000
    times its size is refused.

    Memory: a chunk holds 16,384 rows or about 16 MiB, as far as a row group's mean size and its first 64 rows foretell;
    to it comes one page of each column that is read (1 MiB as most programs write them).

    Raises:
        RefusedFileError: the file is damaged, or lacks a column, or one has a wrong type.
        OSError: the file cannot be read.
    """
    with file.open(in_order=False) as stream:
        parquet = _opened(stream)
        size = stream.seek(0, 2)
        _check_claims(parquet, size)
        reader = _Groups(parquet, Columns(parquet.schema_arrow, file, mapping), file, mapping)
        end = 0
        for run in _runs(parquet.metadata):
            end = run[-1].end
            if end > start_row:
                for table in reader.read(run, max(run[0].first, start_row)):
                    yield table
                    _check_content(reader.content_bytes, size)
        if end != parquet.metadata.num_rows:
            detail = f"the footer counts {parquet.metadata.num_rows} rows, its row groups {end}"
            raise RefusedFileError("broken-parquet", detail)


class _Group(NamedTuple):
    """One row group: its number, its first row in the file, and the first after it."""

    number: int
    first: int
    end: int


def _runs(metadata: pq.FileMetaData) -> Iterator[list[_Group]]:
    """Yield the row groups, each alone, or together with those after it while all they can hold is less than a chunk.

    A dictionary may be repeated by every row of its group, and by no other group's.
    """
    run: list[_Group] = []
    end = size = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        first, end = end, end + group.num_rows
        size += group.num_rows * max(1, group.total_byte_size)
        if run and (size > CHUNK_BYTES or end - run[0].first > CHUNK_ROWS):
            yield run
            run, size = [], group.num_rows * max(1, group.total_byte_size)
        run.append(_Group(number, first, end))
    if run:
        yield run


class _Groups:
    """Reads the row groups of one file."""

    def __init__(self, parquet: pq.ParquetFile, columns: Columns, file: SourceFile, mapping: Mapping) -> None:
        self._parquet = parquet
        self._columns = columns
        self._file = file
        self._mapping = mapping
        self.content_bytes = 0

    def read(self, run: list[_Group], row: int) -> Iterator[pa.Table]:
        """Yield the rows from `row` on of consecutive groups; at last, what could not be read."""
        end = run[-1].end
        try:
            with _complaints():
                for at, batch in self._batches(run, row):
                    chunk = self._columns.chunk(batch, at)
                    self.content_bytes += chunk.content.nbytes
                    yield assemble(chunk, self._file, self._mapping)
                    row = at + batch.num_rows
            if row < end:
                raise RefusedFileError("broken-parquet", "the row group holds fewer rows than it says")
        except RefusedFileError as error:
            if len(run) > 1:
                for group in run:
                    if group.end > row:
                        yield from self.read([group], max(row, group.first))
                return
            yield refused_rows(self._file, min(row, end - 1), end - 1, error.refusal)

    def _batches(self, run: list[_Group], row: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        first_row = run[0].first
        size = self._rows_at_once(run[0].number) if len(run) == 1 else run[-1].end - first_row
        numbers = [group.number for group in run]
        for batch in self._parquet.iter_batches(size, row_groups=numbers, columns=self._columns.names):
            skipped = min(max(0, row - first_row), batch.num_rows)
            if skipped < batch.num_rows:
                yield first_row + skipped, batch.slice(skipped)
            first_row += batch.num_rows

    def _rows_at_once(self, number: int) -> int:
        """How many rows of a row group make a chunk: by its stated size and, as dictionaries hide that, a sample."""
        group = self._parquet.metadata.row_group(number)
        by_size = chunk_rows(CHUNK_BYTES * group.num_rows // max(1, group.total_byte_size))
        batches = self._parquet.iter_batches(
            min(by_size, SAMPLED_ROWS), row_groups=[number], columns=self._columns.names
        )
        sample = next(batches, None)
        return by_size if sample is None else min(by_size, rows_at_once(sample))


def _check_claims(parquet: pq.ParquetFile, size: int) -> None:
    """Refuse a footer that promises the impossible.

    Of the metadata only plain numbers are asked: `RowGroupMetaData.column` ends the process where they are damaged.
    """
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    if min((group.num_rows for group in groups), default=0) < 0:
        raise RefusedFileError("broken-parquet", "a row group says that it holds fewer than 0 rows")
    rows, unpacked = sum(group.num_rows for group in groups), sum(group.total_byte_size for group in groups)
    if rows > _FREE_ROWS + _ROWS_PER_BYTE * size:
        raise RefusedFileError("absurd-size", f"{size} bytes say that they hold {rows} rows")
    if unpacked > max(FREE_BYTES, RATIO * size):
        raise RefusedFileError("decompression-bomb", f"{size} bytes would unpack to {unpacked}")


def _check_content(content: int, size: int) -> None:
    if content > max(_FREE_CONTENT, _CONTENT_RATIO * size):
        raise RefusedFileError("decompression-bomb", f"{size} bytes hold more than {content} bytes of content")


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
