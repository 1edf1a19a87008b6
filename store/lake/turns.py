"""Turns: writers of a lake queue up instead of undoing each other's work.

A turn is an advisory lock of PostgreSQL, which the server frees when the holder's connection ends, however it ends. It
saves work and gives slow writers their share; it guards nothing: the fence does that (`curate.store.lake.ledger`).
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from curate.errors import ConfigurationError, ServiceError, StoreBusyError
from curate.store.address import LakeAddress
from curate.store.commit_view import quoted
from curate.store.lake.connect import connect_queue, reached

_LOCK = 4_803_122_077_110_613
"""The number of the lock, the same for every lake: locks of two databases have nothing to do with one another."""
_HANGING_MILLISECONDS = 300_000
"""How long a holder may leave its turn idle, or be stopped, before the server takes it away."""
_NAME_BYTES = 63
_HOLDERS = f"""
    SELECT a.application_name, a.client_addr::text AS address, a.xact_start::text AS since
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = {_LOCK}
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Turns:
    """One process's place in the queue of a lake's writers; not for two threads at once."""

    def __init__(self, address: LakeAddress, *, timeout: float, command: str) -> None:
        self._address = address
        self._milliseconds = max(1, int(timeout * 1000))
        name = f"process {os.getpid()} on {socket.gethostname()} ({command})"
        self._name = name.encode("ascii", "replace")[:_NAME_BYTES].decode()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold the turn for the block.

        Raises:
            StoreBusyError: someone else held it for the whole time; the message names the holder.
            ConfigurationError, ServiceError: PostgreSQL refuses, or does not answer.
        """
        connection = self._waited()
        try:
            yield
        finally:
            self._released(connection)

    def _waited(self) -> duckdb.DuckDBPyConnection:
        """Return a connection that holds the turn: the one that was kept, or another where the server ended that."""
        kept, self._connection = self._connection, None
        if kept is not None:
            with contextlib.suppress(ServiceError, ConfigurationError):
                return self._wait(kept)
        return self._wait(connect_queue(self._address))

    def _wait(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        try:
            self._lock(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock(self, connection: duckdb.DuckDBPyConnection) -> None:
        with reached(self._address):
            connection.execute("BEGIN")
            try:
                for name, value in self._settings().items():
                    _ask(connection, f"SELECT set_config({quoted(name)}, {quoted(value)}, true)")
                _ask(connection, f"SELECT pg_advisory_xact_lock({_LOCK})::text")
            except duckdb.Error as error:
                if "lock timeout" in str(error):
                    raise self._busy() from error
                raise

    def _released(self, connection: duckdb.DuckDBPyConnection) -> None:
        # The server may have taken the turn away, and a connection that failed is not used again.
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            connection.close()
        else:
            self._connection = connection

    def _settings(self) -> dict[str, str]:
        return {
            "application_name": self._name,
            "lock_timeout": str(self._milliseconds),
            "idle_in_transaction_session_timeout": str(_HANGING_MILLISECONDS),
        }

    def _busy(self) -> StoreBusyError:
        who = turn_holder(self._address) or "another writer"
        return StoreBusyError(
            f"the lake is held by {who}; waited {self._milliseconds / 1000:g} s",
            unchanged="nothing of this batch was written",
            hint="run the command again later, or stop the holder; `curate status` works meanwhile",
        )


def turn_holder(address: LakeAddress) -> str | None:
    """Return who writes to a lake now, as a person reads it, or None; never waits."""
    with contextlib.closing(connect_queue(address)) as connection, reached(address):
        found = _ask(connection, _HOLDERS)
    holders = [f"{name} (from {place or 'this machine'}), since {since}" for name, place, since in found]
    return holders[0] if holders else None


def _ask(connection: duckdb.DuckDBPyConnection, statement: str) -> list[tuple[str, ...]]:
    return connection.execute(f"FROM postgres_query('queue', {quoted(statement)})").fetchall()
