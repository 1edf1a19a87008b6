"""Arrow IPC, as a file (Feather too) or as a stream: each message is checked before Arrow sees it."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import types

from curate.store.ingestion.batches import assemble, refused_rows
from curate.store.ingestion.columnar import SAMPLED_ROWS, Columns, rows_at_once
from curate.store.ingestion.mapping import Mapping
from curate.store.ingestion.messages import RECORDS, SCHEMA, Message, messages
from curate.store.ingestion.shapes import RefusedFileError, excerpt
from curate.store.ingestion.source_file import SourceFile
from curate.store.ingestion.streams import unpacked

# What Arrow raises for damage, some of it only when it meets it in use.
_COMPLAINTS = (pa.ArrowException, EOFError, StopIteration, OSError, ValueError, MemoryError)


def read_arrow(file: SourceFile, mapping: Mapping, start_row: int) -> Iterator[pa.Table]:
    """Yield tables of rows, from the beginning to the end and never back, so that a pipe will do.

    A batch that is damaged, takes more than 256 MiB or unpacks to more is one reject for its rows, and the next batch
    is read. The file may be packed with gzip or zstd as a whole. Memory: one batch twice, and a chunk of it.

    Raises:
        RefusedFileError: the rest of the file is damaged or missing, or it lacks a column, or one has a wrong type.
        OSError: the file cannot be read.
    """
    with file.open() as packed:
        arriving = messages(unpacked(packed, file.locator))
        reader = _Batches(next(arriving, None), file, mapping)
        first_row = 0
        for message in arriving:
            next_row = first_row + message.rows
            try:
                batch = reader.take(message)
                if batch is not None and next_row > start_row:
                    yield from _tables(batch, reader.columns, first_row, start_row, file, mapping)
            except RefusedFileError as error:
                if message.kind != RECORDS:
                    raise
                if next_row > start_row:
                    yield refused_rows(file, max(first_row, start_row), next_row - 1, error.refusal)
            first_row = next_row if message.kind == RECORDS else first_row


def _tables(
    batch: pa.RecordBatch, columns: Columns, first_row: int, start_row: int, file: SourceFile, mapping: Mapping
) -> Iterator[pa.Table]:
    size = rows_at_once(batch.slice(0, SAMPLED_ROWS))
    for start in range(max(0, start_row - first_row), batch.num_rows, size):
        yield assemble(columns.chunk(batch.slice(start, size), first_row + start), file, mapping)


class _Batches(io.RawIOBase):
    """Feeds messages to Arrow's own reader one by one; it reads this as a file."""

    def __init__(self, schema: Message | None, file: SourceFile, mapping: Mapping) -> None:
        if schema is None or schema.kind != SCHEMA:
            raise RefusedFileError("broken-arrow", "the first message is no schema")
        self._pieces: deque[bytes] = deque()
        self._at = 0
        try:
            with pa.ipc.open_stream(schema.header) as reader:
                fields = reader.schema
            self.columns = Columns(fields, file, mapping)
            included = [fields.get_field_index(name) for name in self.columns.names]
            self._feed(schema)
            self._reader = pa.ipc.open_stream(self, options=pa.ipc.IpcReadOptions(included_fields=included))
        except _COMPLAINTS as error:
            raise _broken(error) from error

    def take(self, message: Message) -> pa.RecordBatch | None:
        """Return the batch that a message holds, checked; None for a dictionary, which the next batch will use.

        Raises:
            RefusedFileError: the message is absurd or damaged.
        """
        if message.absurd:
            raise RefusedFileError("absurd-size", message.absurd)
        self._feed(message)
        if message.kind != RECORDS:
            return None
        try:
            batch = self._reader.read_next_batch()
            for column in batch.columns:
                _with_any_bytes(column).validate(full=True)
        except _COMPLAINTS as error:
            self._pieces.clear()
            raise _broken(error) from error
        return batch

    def _feed(self, message: Message) -> None:
        self._pieces += [message.header, message.body] if message.body else [message.header]

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most to the end of a header or a body."""
        if not self._pieces:
            return b""
        piece = self._pieces[0]
        taken = piece[self._at : self._at + size] if self._at or size < len(piece) else piece
        self._at += len(taken)
        if self._at == len(piece):
            self._pieces.popleft()
            self._at = 0
        return taken


def _with_any_bytes(column: pa.Array) -> pa.Array:
    """Strings as bytes: one that is no UTF-8 is its own row's fault, and no damage."""
    if types.is_string(column.type):
        return column.view(pa.binary())
    return column.view(pa.large_binary()) if types.is_large_string(column.type) else column


def _broken(error: BaseException) -> RefusedFileError:
    return RefusedFileError("broken-arrow", f"{type(error).__name__}: {excerpt(str(error))}")
