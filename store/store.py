"""The store as its callers see it: open, read what is committed, commit one prepared batch at a time."""

import os
import secrets
import socket
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from curate.errors import ConfigurationError
from curate.store.address import Address, LakeAddress, embedded_folder, local_folder
from curate.store.care.erasure import PLAN_FILE, finish_erasure
from curate.store.embedded import EmbeddedLedger
from curate.store.reader import Reader
from curate.store.write import Commit, Write, rows

DEFAULT_LEASE_TIMEOUT = 30.0


def new_run_id() -> str:
    """Return an id for a run: when it began (UTC), and eight random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Ledger(Protocol):
    """Where a store's rows are written: an embedded file, or a lake."""

    def exists(self) -> bool:
        """Whether there is anything to open."""
        ...

    def prepare(self) -> None:
        """Make it where there is none, and bring it up to date."""
        ...

    def commit(self, write: Write, run: pa.Table, run_id: str) -> Commit:
        """Add one prepared batch in one transaction; afterwards readers see it."""
        ...


class Store:
    """The ledger with all tables, and beside it the request journal and the checkpoints in a folder of this machine.

    An embedded store is a folder that holds everything. One on DuckLake has its rows there, with as many writers as
    like. One object per process owns the connection that writes.
    """

    def __init__(self, address: Address, *, lease_timeout: float, command: str, version: str = "") -> None:
        self.address = address
        self.folder = local_folder(address)
        self.run_id = new_run_id()
        self.lease_timeout = lease_timeout
        self._command = command
        self._version = version
        self._started_at = datetime.now(UTC)
        self._ledger = _ledger(address, lease_timeout, command)

    @classmethod
    def open(
        cls,
        address: Address,
        *,
        create: bool,
        lease_timeout: float = DEFAULT_LEASE_TIMEOUT,
        command: str = "",
        version: str = "",
    ) -> "Store":
        """Open a store; with `create` make it where there is none, migrate it, publish what a crash left.

        Raises:
            ConfigurationError: there is no store and `create` is false, the folder cannot be made, or a lake's catalog
                refuses.
            StoreBusyError: another process held the store for `lease_timeout` seconds.
            StoreError: the store's files are damaged or newer than this curate.
            ServiceError: a lake's catalog does not answer.
            MissingExtraError: the store lies on DuckLake, and what that needs is not installed.
        """
        store = cls(address, lease_timeout=lease_timeout, command=command, version=version)
        if create:
            store._prepare()
        elif not store._ledger.exists():
            name = address.name if not isinstance(address, LakeAddress) else str(address)
            raise ConfigurationError(f"no store in {name!r} yet", hint="curate run")
        return store

    def reader(self) -> Reader:
        """Show the newest commit; never waits for a writer."""
        return Reader(self.address)

    def commit(self, write: Write) -> Commit:
        """Add one prepared batch in one transaction, and show it to readers.

        Raises:
            StoreBusyError: other writers held the store for the whole time; nothing was written.
            StoreError: the ledger or what is published is damaged, or the one is older than the other.
            ServiceError: a lake's catalog does not answer.
            CurateError: the disk is full or refuses. Mostly the batch was rolled back; where the transaction had ended
                already, its rows are in the ledger, and the next commit shows them.
        """
        return self._ledger.commit(write, self.run_row(), self.run_id)

    def maintenance(self) -> AbstractContextManager[None]:
        """Hold an embedded store's lease for the block, and explain what goes wrong on the way.

        Raises:
            StoreBusyError: the lease was not to be had in time.
            StoreError: the ledger is damaged.
            ConfigurationError: the store lies on DuckLake.
            CurateError: the disk is full or refuses.
        """
        folder = embedded_folder(self.address, "this", "curate store copy makes an embedded store of it")
        return EmbeddedLedger(folder, lease_timeout=self.lease_timeout, command=self._command).maintenance()

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

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make the store's folder: {error}") from error
        self._ledger.prepare()
        if not isinstance(self.address, LakeAddress) and (self.folder / PLAN_FILE).exists():
            with self.maintenance():
                finish_erasure(self)


def _ledger(address: Address, lease_timeout: float, command: str) -> Ledger:
    if isinstance(address, LakeAddress):
        from curate.store.lake.ledger import LakeLedger

        return LakeLedger(address, lease_timeout=lease_timeout, command=command)
    return EmbeddedLedger(address, lease_timeout=lease_timeout, command=command)
