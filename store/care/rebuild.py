"""The ledger from what is published: the segments of one commit hold every row, so they can be written back."""

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from curate.errors import CurateError, StoreError
from curate.store.database import DAMAGED_SUFFIX, LEDGER_FILE, new_ledger, open_ledger
from curate.store.manifest import Manifest, read_manifest
from curate.store.migrations import apply_migrations
from curate.store.publish import publish
from curate.store.schema import TABLES, Table
from curate.store.segments import read_segments

if TYPE_CHECKING:
    from curate.store.store import Store


def write_ledger(folder: Path, manifest: Manifest) -> None:
    """Write the ledger of the store in `folder` from the segments of its manifest; one that is there is replaced.

    All of it or nothing. Cost: every segment is read once; about a million short rows a second.

    Raises:
        StoreError: a segment is damaged, or holds another number of rows than the manifest says.
    """
    with new_ledger(folder) as connection:
        apply_migrations(connection)
        for table in TABLES:
            _copy(connection, folder, manifest, table)


def rebuild_ledger(store: "Store") -> Path | None:
    """Write a damaged or lost ledger anew from the published segments and return where the old one lies now.

    What the old one had committed and not published (a kill in between) is published first where it can still be read.

    Raises:
        StoreBusyError: the lease was not to be had.
        StoreError: a segment is damaged too, or nothing is published.
    """
    with store.maintenance():
        _publish_what_can_be_read(store)
        manifest = read_manifest(store.folder)
        if not manifest.commit_number:
            raise StoreError("nothing is published from which the ledger could be written", hint="curate run")
        aside = _put_aside(store.folder / LEDGER_FILE)
        write_ledger(store.folder, manifest)
        return aside


def _copy(connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, table: Table) -> None:
    count = 0
    connection.execute("BEGIN")
    for batch in read_segments(folder, manifest.tables.get(table.name, ())):
        known = [name for name in table.schema.names if name in batch.schema.names]
        columns = ", ".join(f'"{name}"' for name in known)
        connection.register("batch", pa.Table.from_batches([batch]))
        connection.execute(f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM batch')
        connection.unregister("batch")
        count += len(batch)
    connection.execute("COMMIT")
    if count != manifest.rows(table.name):
        raise StoreError(
            f"the segments of {table.name} hold {count} rows, the manifest says {manifest.rows(table.name)}"
        )


def _publish_what_can_be_read(store: "Store") -> None:
    try:
        if (store.folder / LEDGER_FILE).exists():
            with open_ledger(store.folder, timeout=store.lease_timeout) as connection:
                publish(connection, store.folder)
    except (CurateError, duckdb.Error):
        return


def _put_aside(ledger: Path) -> Path | None:
    """Rename a ledger and its write-ahead log to a name that is free."""
    if not ledger.exists():
        return None
    number = 1
    while (aside := ledger.with_name(f"{ledger.name}{DAMAGED_SUFFIX}-{number}")).exists():
        number += 1
    ledger.rename(aside)
    log = ledger.with_name(f"{ledger.name}.wal")
    if log.exists():
        log.rename(aside.with_name(f"{aside.name}.wal"))
    return aside
