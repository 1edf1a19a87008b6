"""The store as its callers see it: open, read what is published, commit one prepared batch at a time."""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.errors import ConfigurationError, CurateError, StoreError
from curate.store.batch import commit_batch
from curate.store.care.erasure import PLAN_FILE, finish_erasure
from curate.store.database import LEDGER_FILE, RESTORE_HINT, open_ledger
from curate.store.lease import hold_lease
from curate.store.migrations import apply_migrations
from curate.store.publish import publish
from curate.store.reader import Reader
from curate.store.write import Commit, Write, rows

DEFAULT_LEASE_TIMEOUT = 30.0
_DAMAGE = (duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)


def new_run_id() -> str:
    """Return an id for a run: when it began (UTC), and eight random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Store:
    """A folder that holds the ledger, its lease, the published segments, the request journal and the checkpoints.

    One object per process owns the connection, and holds it only while a prepared batch is written.
    """

    def __init__(self, folder: Path, *, lease_timeout: float, command: str, version: str = "") -> None:
        self.folder = folder
        self.run_id = new_run_id()
        self.lease_timeout = lease_timeout
        self._command = command
        self._version = version
        self._started_at = datetime.now(UTC)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        create: bool,
        lease_timeout: float = DEFAULT_LEASE_TIMEOUT,
        command: str = "",
        version: str = "",
    ) -> "Store":
        """Open the store in `folder`; with `create` make it where there is none, migrate it, publish what a crash left.

        Raises:
            ConfigurationError: there is no store and `create` is false, or the folder cannot be made.
            StoreBusyError: another process held the lease for `lease_timeout` seconds.
            StoreError: the store's files are damaged or newer than this curate.
        """
        store = cls(folder, lease_timeout=lease_timeout, command=command, version=version)
        if create:
            store._prepare()
        elif not (folder / LEDGER_FILE).is_file():
            raise ConfigurationError(f"no store in {folder.name!r} yet", hint="curate run")
        return store

    def reader(self) -> Reader:
        """Open the published snapshot as it is now; never waits for a writer."""
        return Reader(self.folder)

    def commit(self, write: Write) -> Commit:
        """Add one prepared batch in one transaction under the lease, then publish it.

        Raises:
            StoreBusyError: the lease was not to be had in time; nothing was written.
            StoreError: the ledger is damaged.
            CurateError: the disk is full or refuses; nothing of the batch was written.
        """
        with self.maintenance(), open_ledger(self.folder, timeout=self.lease_timeout) as connection:
            return commit_batch(connection, self.folder, write, self.run_row(), self.run_id)

    @contextmanager
    def maintenance(self) -> Iterator[None]:
        """Hold the lease for the block, and explain what goes wrong on the way.

        Raises:
            StoreBusyError: the lease was not to be had in time.
            StoreError: the ledger is damaged.
            CurateError: the disk is full or refuses.
        """
        began = time.perf_counter()
        with hold_lease(self.folder, timeout=self.lease_timeout, command=self._command):
            try:
                yield
            except (duckdb.Error, OSError) as error:
                raise self._write_failed(error, time.perf_counter() - began) from error

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make the store's folder: {error}") from error
        with self.maintenance():
            with open_ledger(self.folder, timeout=self.lease_timeout) as connection:
                apply_migrations(connection)
                publish(connection, self.folder)
            if (self.folder / PLAN_FILE).exists():
                finish_erasure(self)

    def run_row(self) -> pa.Table:
        """Return this object's row of the table `runs`."""
        return rows(
            "runs",
            {
                "command": self._command,
                "version": self._version,
                "host": socket.gethostname(),
                "process": os.getpid(),
                "started_at": [self._started_at],
            },
        )

    def _write_failed(self, error: Exception, seconds: float) -> CurateError:
        message = f"the store {self.folder.name!r} could not be written after {seconds:.1f} s: {error}".splitlines()[0]
        unchanged = "every earlier commit is kept; this batch was rolled back unless the next run finds it"
        if "Corrupt database file" in message:
            return StoreError(message, unchanged="every published commit can still be read", hint=RESTORE_HINT)
        if isinstance(error, _DAMAGE):
            return StoreError(message, unchanged=unchanged, hint="curate doctor")
        return CurateError(message, unchanged=unchanged, hint="check the disk (`curate doctor`), then run again")
