"""Writing to a lake: one prepared batch in one transaction behind the fence, tried again where another writer won.

On DuckLake plain appends never conflict, so an anti-join alone would let two writers add the same item. Every
transaction updates the lake's row in `fences` too: of two that began at the same commit only one can end, and the other
begins again, sees what came, and adds what is still missing. That makes transactions follow one another, so each batch
gets the next commit number, just as in an embedded store.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock

import duckdb
import pyarrow as pa

from curate.errors import CurateError, StoreBusyError, StoreError
from curate.store.address import LakeAddress
from curate.store.lake.connect import LAKE, NoLakeError, connect_lake
from curate.store.lake.turns import Turns
from curate.store.migrations import apply_migrations, missing_migrations
from curate.store.write import Commit, Write, apply_write

_FENCES = "CREATE TABLE IF NOT EXISTS fences (step VARCHAR, shard VARCHAR, turn BIGINT)"
IN_CATALOG = ("fences", "commits", "cursors", "runs")
"""Tables to which a batch adds a row or two: those rows lie in PostgreSQL until `gc` writes them to Parquet."""
_INLINED_ROWS = 10
_TRIES = 20
_PAUSE = 0.05
_RECONNECTIONS = 2
"""How often a batch is written again because the server ended the connection; then it may not come back soon."""
_ENDED = ("terminat", "server closed", "connection to the server", "connection not open", '"rollback"')
_UNCLEAN = "erase"
"""The step of the row in `fences` that says: rows were erased, and files may hold them still."""
More = Callable[[duckdb.DuckDBPyConnection], Mapping[str, int]]
"""A change in an open transaction, which returns the rows that each table gained (or lost, below 0)."""


class LakeLedger:
    """The tables of a lake, to write to; one object owns this process's writing connection."""

    def __init__(self, address: LakeAddress, *, lease_timeout: float, command: str) -> None:
        self._address = address
        self._turns = Turns(address, timeout=lease_timeout, command=command)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._one_at_a_time = Lock()
        self._unclean = False
        self._newest = 0

    def exists(self) -> bool:
        """Whether the catalog holds a lake with curate's tables, of whatever version."""
        try:
            return _holds(self._connected(), "commits")
        except NoLakeError:
            return False

    def prepare(self) -> None:
        """Make the lake where there is none, bring its tables up to date, and finish an erasure that was stopped.

        Raises:
            StoreBusyError: other writers held the lake for the whole time.
            StoreError: the lake was written by a newer curate.
            ConfigurationError, ServiceError: PostgreSQL refuses, or does not answer.
        """
        if not self._is_ready():
            with self._turn():
                if not self._is_ready():
                    self._make_ready(self._connected(create=True))
        if self._unclean:
            from curate.store.lake.maintenance import forget_deleted

            forget_deleted(self)

    def commit(
        self,
        write: Write,
        run: pa.Table,
        run_id: str,
        *,
        more: More = lambda connection: {},
    ) -> Commit:
        """Add one prepared batch in one transaction; `more` happens in it before.

        A transaction that another writer came before, or whose connection the server ended, is begun anew.

        Raises:
            StoreBusyError: other writers held the lake for the whole time; nothing was written.
            ServiceError: PostgreSQL does not answer.
            CurateError: a disk or the object storage refuses; nothing of the batch was written.
        """
        with self._turn():
            lost = 0
            for attempt in range(_TRIES):
                try:
                    return self._written(write, run, run_id, more, again=lost > 0)
                except duckdb.Error as error:
                    if _was_ended(error) and lost < _RECONNECTIONS:
                        lost += 1
                        self.close()
                    elif isinstance(error, duckdb.TransactionException) and is_conflict(error):
                        self._begin_anew(attempt)
                    else:
                        raise
        raise StoreBusyError(
            f"other writers to the lake came first {_TRIES} times",
            unchanged="nothing of this batch was written",
            hint="run the command again",
        )

    def _written(self, write: Write, run: pa.Table, run_id: str, more: More, *, again: bool) -> Commit:
        commit = self._landed(write, run_id) if again else None
        if commit is None:
            connection = self._connected()
            commit = apply_write(connection, write, run, run_id, first=partial(_first, connection, more))
        self._newest = commit.number or self._newest
        return commit

    def _landed(self, write: Write, run_id: str) -> Commit | None:
        """The commit that a transaction made before its connection ended, where it had come so far."""
        query = """
            SELECT commit_number, "rows" FROM commits WHERE run_id = ? AND step = ? AND commit_number > ?
            ORDER BY commit_number LIMIT 1"""
        found = self._connected().execute(query, [run_id, write.step, self._newest]).fetchall()
        return Commit(int(found[0][0]), json.loads(found[0][1])) if found else None

    @contextmanager
    def maintenance(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the turn for the block, and hand out the writing connection."""
        with self._turn():
            yield self._connected()

    @contextmanager
    def filling(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hand out the writing connection in one transaction that ends with the block: all of it is added, or nothing.

        Raises:
            StoreBusyError: other writers held the lake for the whole time.
            CurateError: another writer came first, or a disk or the object storage refuses.
        """
        with self._turn():
            connection = self._connected()
            connection.execute("BEGIN")
            try:
                yield connection
                take_fence(connection)
                connection.execute("COMMIT")
            except BaseException:
                self.close()
                raise

    def _begin_anew(self, attempt: int) -> None:
        with contextlib.suppress(duckdb.Error):
            self._connected().execute("ROLLBACK")
        time.sleep(random.uniform(0, _PAUSE * (attempt + 1)))

    def _connected(self, *, create: bool = False) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = connect_lake(self._address, read_only=False, create=create)
            self._connection.execute(f"USE {LAKE}")
        return self._connection

    def _is_ready(self) -> bool:
        try:
            connection = self._connected()
        except NoLakeError:
            return False
        if missing_migrations(connection) or not _holds(connection, "fences"):
            return False
        fences = [step for (step,) in connection.execute("SELECT step FROM fences").fetchall()]
        self._unclean = _UNCLEAN in fences
        return bool(fences)

    def _make_ready(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Every part may be done already; the fence itself comes last, and says that all is."""
        apply_migrations(connection)
        connection.execute(_FENCES)
        option = f"CALL {LAKE}.set_option(?, ?"
        connection.execute(f"{option})", ["data_inlining_row_limit", 0])
        connection.execute(f"{option})", ["parquet_compression", "zstd"])
        for name in IN_CATALOG:
            connection.execute(f"{option}, table_name => ?)", ["data_inlining_row_limit", _INLINED_ROWS, name])
        connection.execute("INSERT INTO fences SELECT 'commit', '', 0 WHERE NOT EXISTS (FROM fences)")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the turn, explain what goes wrong, and forget a connection on which something failed."""
        try:
            with self._one_at_a_time, self._turns.take():
                yield
        except duckdb.Error as error:
            self.close()
            raise CurateError(
                f"the lake {self._address} could not be written: {' '.join(str(error).split())[:300]}",
                unchanged="every earlier commit is kept; this batch was rolled back unless the next run finds it",
                hint="check PostgreSQL and the place of the Parquet files (`curate doctor`), then run again",
            ) from error

    def close(self) -> None:
        """Close the writing connection; the next use opens one anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _first(connection: duckdb.DuckDBPyConnection, more: More) -> Mapping[str, int]:
    take_fence(connection)
    return more(connection)


def take_fence(connection: duckdb.DuckDBPyConnection) -> None:
    """Update the lake's row in `fences`, in the open transaction: no other that does so can end beside this one.

    Raises:
        StoreError: the row is missing, and without it nothing would keep two writers apart.
    """
    statement = "UPDATE fences SET turn = turn + 1 WHERE step = 'commit' AND shard = ''"
    [(count,)] = connection.execute(statement).fetchall()
    if count != 1:
        raise StoreError(
            f"the table fences of the lake holds {count} rows for commits instead of one",
            unchanged="nothing of this batch was written",
            hint="curate run makes an unfinished lake ready; of any other, tell us: this must not happen",
        )


def mark_unclean(connection: duckdb.DuckDBPyConnection) -> None:
    """Note in the open transaction that files hold rows that it deletes; whoever opens the lake to write cleans up."""
    connection.execute(f"INSERT INTO fences VALUES ('{_UNCLEAN}', '', 0)")


def mark_clean(connection: duckdb.DuckDBPyConnection) -> None:
    """Take the note away: no file holds them any more."""
    connection.execute(f"DELETE FROM fences WHERE step = '{_UNCLEAN}'")


def is_conflict(error: Exception) -> bool:
    """Whether a transaction failed because another one ended first."""
    text = str(error).lower()
    return "conflict" in text or "retry" in text


def _was_ended(error: BaseException | None) -> bool:
    """Whether an error, or one on the way to it, says that the server ended the connection."""
    while error is not None:
        if any(word in str(error).lower() for word in _ENDED):
            return True
        error = error.__context__
    return False


def _holds(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    query = "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = ?"
    [(count,)] = connection.execute(query, [LAKE, name]).fetchall()
    return bool(count)
