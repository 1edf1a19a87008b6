"""The one place that opens the ledger file, always under the lease."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from curate.errors import StoreBusyError, StoreError
from curate.store.manifest import sync_file, sync_folder

LEDGER_FILE = "ledger.duckdb"
DAMAGED_SUFFIX = ".damaged"
RESTORE_HINT = "curate backup --restore FOLDER, or without a backup: curate backup --rebuild"
_RETRY_PAUSE = 0.02
_NAME = "ledger"
_FEWEST_ROWS, _ROW_GROUP = 2_048, 65_536
_GROUP_BYTES = 8 * 2**20
"""DuckDB holds several row groups at once, and writes the newest ones anew with each commit: with its own 122,880 rows,
texts of 4 kB took 3.4 GB of memory, with 16,384 up to 1.4, with 4,096 up to 0.8 and half the time. They get 2,048."""
_SHORT_BYTES, _SHORT_GROUP_BYTES = 2**10, 16 * 2**20
"""Short rows get larger row groups: a million texts of 155 bytes go in 10 % faster by 65,536 than by 16,384. Others are
written by one thread, which holds less: a file of 5 GB peaks at 0.81 GiB, not at 0.91, and takes no longer."""
_STORAGE = "STORAGE_VERSION 'v1.2.0'"
"""Readable by DuckDB 1.5 and 2.0 alike, whichever created it."""


@contextmanager
def open_ledger(folder: Path, *, timeout: float, row_bytes: float = 0.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the ledger of the store in `folder` to write; the caller holds the lease.

    `row_bytes` is the mean size of the rows that most of what is added consists of: the larger, the fewer are held.

    Raises:
        StoreBusyError: a program other than curate keeps the file open for longer than `timeout` seconds.
        StoreError: the file is not a ledger that DuckDB can read.
    """
    path = folder / LEDGER_FILE
    if not path.exists():
        with new_ledger(folder):
            pass
    connection = _connect(path, timeout, row_group=_row_group(row_bytes))
    try:
        if row_bytes >= _SHORT_BYTES:
            connection.execute("SET threads = 1")
        yield connection
    finally:
        connection.close()


@contextmanager
def read_ledger(folder: Path, *, timeout: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the ledger to read only; the caller holds the lease, for DuckDB lets nobody read what another writes.

    Raises:
        StoreBusyError: a program other than curate keeps the file open for longer than `timeout` seconds.
        StoreError: the file is not a ledger that DuckDB can read.
    """
    connection = _connect(folder / LEDGER_FILE, timeout, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def idle_bytes(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Return how much of an open ledger's file lies idle: DuckDB reuses freed blocks, and seldom gives them back."""
    query = "SELECT used_blocks, block_size FROM pragma_database_size() WHERE database_name = ?"
    [(blocks, size)] = connection.execute(query, [_NAME]).fetchall()
    return max(0, (folder / LEDGER_FILE).stat().st_size - int(blocks) * int(size))


@contextmanager
def new_ledger(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty ledger that takes its place in `folder` when the block ends well, and only then."""
    path = folder / LEDGER_FILE
    temporary = _partial(path)
    connection = _connect(temporary, 0.0)
    try:
        yield connection
    finally:
        connection.close()
    _put_in_place(temporary, path)


def rewrite_ledger(folder: Path, *, timeout: float) -> None:
    """Write the ledger anew, without the bytes of deleted rows, and swap it in; the caller holds the lease.

    Cost: the whole ledger is read and written once, and lies on disk twice meanwhile.
    """
    path = folder / LEDGER_FILE
    temporary = _partial(path)
    _connect(temporary, 0.0).close()
    with open_ledger(folder, timeout=timeout) as connection:
        connection.execute(f"ATTACH {_quoted(temporary)} AS fresh ({_STORAGE}, ROW_GROUP_SIZE {_ROW_GROUP})")
        connection.execute(f"COPY FROM DATABASE {_NAME} TO fresh")
        connection.execute("DETACH fresh")
    if path.with_name(f"{path.name}.wal").exists():
        raise _damaged(path, OSError("its write-ahead log could not be closed"))
    _put_in_place(temporary, path)


def _row_group(row_bytes: float) -> int:
    """How many rows of this mean size make a row group: a power of two, as DuckDB takes multiples of 2,048 only."""
    most = _SHORT_GROUP_BYTES if row_bytes < _SHORT_BYTES else _GROUP_BYTES
    rows = int(most / max(1.0, row_bytes))
    return max(_FEWEST_ROWS, min(_ROW_GROUP, 1 << max(0, rows.bit_length() - 1)))


def _partial(path: Path) -> Path:
    """The name under which a ledger is made; what a killed process left there goes first."""
    temporary = path.with_name(f".{path.name}.partial")
    for leftover in (temporary, temporary.with_name(f"{temporary.name}.wal")):
        leftover.unlink(missing_ok=True)
    return temporary


def _put_in_place(temporary: Path, path: Path) -> None:
    sync_file(temporary)
    temporary.rename(path)
    sync_folder(path.parent)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _connect(
    path: Path, timeout: float, *, read_only: bool = False, row_group: int = _ROW_GROUP
) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _attached(path, read_only, row_group)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise _damaged(path, error) from error
            if time.monotonic() >= deadline:
                raise _busy(path, error) from error
            time.sleep(_RETRY_PAUSE)
        except duckdb.Error as error:
            raise _damaged(path, error) from error


def _attached(path: Path, read_only: bool, row_group: int) -> duckdb.DuckDBPyConnection:
    """A connection whose tables are the file's; only a file that is attached can have row groups of its own size."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": f"{path}.tmp",
    }
    connection = duckdb.connect(":memory:", config=settings)
    options = "READ_ONLY" if read_only else f"{_STORAGE}, ROW_GROUP_SIZE {row_group}"
    try:
        connection.execute(f"ATTACH {_quoted(path)} AS {_NAME} ({options})")
        connection.execute(f"USE {_NAME}")
        connection.execute("SET enable_progress_bar = false")  # it would go to standard output
    except BaseException:
        connection.close()
        raise
    return connection


def _busy(path: Path, error: Exception) -> StoreBusyError:
    return StoreBusyError(
        f"a program outside curate keeps {path.name} open: {str(error).splitlines()[0]}",
        unchanged="nothing of this batch was written",
        hint="close it there; readers can use the published Parquet files instead (`curate sql`)",
    )


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot open {path.name} in store {path.parent.name!r}: {str(error).splitlines()[0]}",
        unchanged="the file was left as it is; published segments can still be read with `curate sql`",
        hint=RESTORE_HINT,
    )
