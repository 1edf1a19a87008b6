"""Writing to an embedded store: the ledger file, under the lease, and what is published from it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.errors import CurateError, StoreError
from curate.store.batch import commit_batch
from curate.store.database import LEDGER_FILE, RESTORE_HINT, open_ledger
from curate.store.lease import hold_lease
from curate.store.migrations import apply_migrations
from curate.store.publish import publish
from curate.store.write import Commit, Write

_DAMAGE = (duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)


class EmbeddedLedger:
    """The ledger file of the store in `folder`, held only while a prepared batch is written."""

    def __init__(self, folder: Path, *, lease_timeout: float, command: str) -> None:
        self._folder = folder
        self._lease_timeout = lease_timeout
        self._command = command

    def exists(self) -> bool:
        """Whether there is a ledger."""
        return (self._folder / LEDGER_FILE).is_file()

    def prepare(self) -> None:
        """Make the ledger, or migrate it, and publish what a crash left."""
        with self.maintenance(), open_ledger(self._folder, timeout=self._lease_timeout) as connection:
            apply_migrations(connection)
            publish(connection, self._folder)

    def commit(self, write: Write, run: pa.Table, run_id: str) -> Commit:
        """Add one prepared batch in one transaction under the lease, then publish it."""
        opened = open_ledger(self._folder, timeout=self._lease_timeout, row_bytes=_row_bytes(write))
        with self.maintenance(), opened as connection:
            return commit_batch(connection, self._folder, write, run, run_id)

    @contextmanager
    def maintenance(self) -> Iterator[None]:
        """Hold the lease for the block, and explain what goes wrong on the way.

        Raises:
            StoreBusyError: the lease was not to be had in time.
            StoreError: the ledger is damaged.
            CurateError: the disk is full or refuses.
        """
        began = time.perf_counter()
        with hold_lease(self._folder, timeout=self._lease_timeout, command=self._command):
            try:
                yield
            except (duckdb.Error, OSError) as error:
                raise self._write_failed(error, time.perf_counter() - began) from error

    def _write_failed(self, error: Exception, seconds: float) -> CurateError:
        message = f"the store {self._folder.name!r} could not be written after {seconds:.1f} s: {error}".splitlines()[0]
        unchanged = "every earlier commit is kept; this batch was rolled back unless the next run finds it"
        if "Corrupt database file" in message:
            return StoreError(message, unchanged="every published commit can still be read", hint=RESTORE_HINT)
        if isinstance(error, _DAMAGE):
            return StoreError(message, unchanged=unchanged, hint="curate doctor")
        return CurateError(message, unchanged=unchanged, hint="check the disk (`curate doctor`), then run again")


def _row_bytes(write: Write) -> float:
    """The mean size of the rows of the table of which most bytes come."""
    largest = max(write.tables.values(), key=lambda table: table.nbytes, default=None)
    return largest.nbytes / max(1, len(largest)) if largest is not None else 0.0
