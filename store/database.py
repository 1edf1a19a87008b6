"""The one place that opens the ledger file, always under the lease."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from curate.errors import StoreBusyError, StoreError
from curate.store.manifest import sync_folder

LEDGER_FILE = "ledger.duckdb"
_RETRY_PAUSE = 0.02
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # Readable by DuckDB 1.5 and 2.0 alike, whichever created it.
    "storage_compatibility_version": "v1.2.0",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@contextmanager
def open_ledger(folder: Path, *, timeout: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the ledger of the store in `folder` to write; the caller holds the lease.

    Raises:
        StoreBusyError: a program other than curate keeps the file open for longer than `timeout` seconds.
        StoreError: the file is not a ledger that DuckDB can read.
    """
    path = folder / LEDGER_FILE
    if not path.exists():
        _create(path)
    connection = _connect(path, timeout)
    try:
        yield connection
    finally:
        connection.close()


def _create(path: Path) -> None:
    """Make an empty ledger under another name first: a process killed meanwhile leaves no torn file under this one."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)
    _connect(temporary, 0.0).close()
    temporary.rename(path)
    sync_folder(path.parent)


def _connect(path: Path, timeout: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return duckdb.connect(str(path), config=_CONFIG)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise _damaged(path, error) from error
            if time.monotonic() >= deadline:
                raise _busy(path, error) from error
            time.sleep(_RETRY_PAUSE)
        except duckdb.Error as error:
            raise _damaged(path, error) from error


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
        hint="restore the store from a backup, or move the folder away and ingest again",
    )
