"""Committing one prepared batch to an embedded store: its rows go to the ledger and, at the same time, into segments.

The transaction ends only after its segments are on disk, so that a batch whose segments cannot be written is rolled
back; the next manifest names them only after that. What a rolled back or killed batch leaves is named by nobody; the
next batch of that number writes over it, and `gc` takes it away.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.store import segments
from curate.store.manifest import PUBLISHED_FOLDER, Segment, read_manifest
from curate.store.publish import ledger_replaced, publish
from curate.store.schema import Table
from curate.store.write import Commit, Write, apply_write

_WRITERS = 2


def commit_batch(
    connection: duckdb.DuckDBPyConnection, folder: Path, write: Write, run: pa.Table, run_id: str
) -> Commit:
    """Add a batch in one transaction and publish it; the caller holds the lease and opened the ledger in `folder`.

    Cost: that of `apply_write`, beside which two threads write the segments. Memory: the batch, and what Parquet holds
    of the row groups that are being written.

    Raises:
        StoreError: what is published is newer than the ledger, or damaged.
        OSError, duckdb.Error: the disk is full or refuses. A batch that is in the ledger then is published by the next
            commit.
    """
    (folder / PUBLISHED_FOLDER).mkdir(exist_ok=True)
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="segments") as pool:
        writer = _SegmentWriter(folder, pool)
        commit = apply_write(connection, write, run, run_id, inserted=writer.add, last=writer.segments)
        # Also where nothing was added: an earlier commit may have failed to publish.
        only = commit.added if commit.number is not None else None
        publish(connection, folder, only=only, written=writer.segments() if only else {})
    return commit


class _SegmentWriter:
    """Writes the rows of a transaction that goes on meanwhile."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._published = read_manifest(folder).commit_number
        self._waiting: dict[str, Future[Segment]] = {}

    def add(self, table: Table, rows: pa.Table, number: int) -> None:
        """Begin to write a table's rows of the commit `number`, which nothing that is published holds already."""
        if number <= self._published:
            raise ledger_replaced(self._folder, number - 1, self._published)
        name = segments.segment_name(table, number, number)
        batches = rows.to_batches(max_chunksize=segments.BATCH_ROWS)
        self._waiting[table.name] = self._pool.submit(segments.write_segment, self._folder, table.schema, name, batches)

    def segments(self) -> Mapping[str, Segment]:
        """Wait until all is written, and return the segments by table."""
        return {name: waiting.result() for name, waiting in self._waiting.items()}
