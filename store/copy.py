"""A store copied as a whole to another place: from an embedded one to a lake, back, or from one of a kind to another.

Commits keep their numbers, so cursors, `--as-of` and increments go on in the copy where they stood.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from curate.errors import StoreError, UsageError
from curate.store.address import Address, LakeAddress, local_folder
from curate.store.checkpoints import CHECKPOINT_FOLDER, named_checkpoints, saving_checkpoints
from curate.store.database import LEDGER_FILE, new_ledger, open_ledger
from curate.store.inbox import copy_inbox
from curate.store.journal import JOURNAL_FOLDER
from curate.store.lease import hold_lease
from curate.store.manifest import replace_file
from curate.store.migrations import apply_migrations
from curate.store.overview import newest_commit
from curate.store.publish import publish
from curate.store.reader import Reader
from curate.store.schema import TABLES, Table

_JOURNAL = "requests.jsonl"


def copy_store(source: Address, target: Address, *, lease_timeout: float) -> Mapping[str, int]:
    """Copy all that a store holds at its newest commit to `target`, and return the rows of each table.

    All rows arrive in one transaction or none do, and every table is compared by a hash over its rows. The checkpoints
    that rows name and the journal's answers are copied too. Who writes to the source meanwhile is not held up; what he
    commits is left out. Cost: every row is read twice and written once. Memory: a batch, and a sort by commit, which
    DuckDB moves to disk where it is too large.

    Raises:
        UsageError: there is nothing to copy, or the target holds commits already.
        StoreError: a checkpoint is missing, or the copy differs from the source, which must not happen; or one of them
            is damaged.
        StoreBusyError: others write to the target.
    """
    # The journal first: an answer that is committed and forgotten meanwhile is among the rows.
    answers = _journal_bytes(local_folder(source))
    with Reader(source) as reader:
        _refuse(reader, source, target)
        _copy_files(reader, answers, local_folder(source), local_folder(target))
        with _filling(target, lease_timeout) as connection:
            for table in TABLES:
                _copy_table(reader, connection, table)
        with Reader(target) as copy:
            _compare(reader, copy)
        return reader.manifest.counts()


def plan_copy(source: Address, target: Address) -> Mapping[str, int]:
    """Return the rows of each table that `copy_store` would copy now; nothing is written.

    Raises:
        UsageError: there is nothing to copy, or the target holds commits already.
    """
    with Reader(source) as reader:
        _refuse(reader, source, target)
        return dict(reader.manifest.counts())


def _refuse(reader: Reader, source: Address, target: Address) -> None:
    if not reader.commit_number:
        raise UsageError(f"there is nothing in the store {source} to copy", unchanged="nothing was copied")
    taken = newest_commit(target) or (not isinstance(target, LakeAddress) and (target / LEDGER_FILE).exists())
    if taken:
        raise UsageError(
            f"the store {target} is there already",
            unchanged="nothing was copied",
            hint="name an empty place: a new folder, or a new database",
        )


@contextmanager
def _filling(target: Address, lease_timeout: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Hand out a connection to the target's empty tables, in one transaction that ends with the block."""
    if isinstance(target, LakeAddress):
        from curate.store.lake.ledger import LakeLedger

        ledger = LakeLedger(target, lease_timeout=lease_timeout, command="curate store copy")
        ledger.prepare()
        with ledger.filling() as connection:
            yield connection
        return
    with hold_lease(target, timeout=lease_timeout, command="curate store copy"):
        with new_ledger(target) as connection:
            apply_migrations(connection)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        with open_ledger(target, timeout=lease_timeout) as connection:
            publish(connection, target)


def _copy_table(reader: Reader, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    # One statement a table, fed batch by batch: on a lake every statement makes a file.
    connection.register("arriving", reader.stream(f'SELECT {columns} FROM "{table.name}" ORDER BY commit_number'))
    connection.execute(f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM arriving')
    connection.unregister("arriving")


def _journal_bytes(folder: Path) -> bytes | None:
    journal = folder / JOURNAL_FOLDER / _JOURNAL
    return journal.read_bytes() if journal.exists() else None


def _copy_files(reader: Reader, answers: bytes | None, source: Path, target: Path) -> None:
    """Copy the journal and the checkpoints that rows name; what is there already stays."""
    target.mkdir(parents=True, exist_ok=True)
    if source.resolve() == target.resolve():
        return
    copy_inbox(source, target)
    if answers is not None and not (target / JOURNAL_FOLDER / _JOURNAL).exists():
        (target / JOURNAL_FOLDER).mkdir(exist_ok=True)
        replace_file(target / JOURNAL_FOLDER / _JOURNAL, answers)
    for name in named_checkpoints(reader):
        _copy_checkpoint(name, source, target)


def _copy_checkpoint(name: str, source: Path, target: Path) -> None:
    found = list((source / CHECKPOINT_FOLDER).glob(f"{name}.*"))
    if not found and not list((target / CHECKPOINT_FOLDER).glob(f"{name}.*")):
        raise StoreError(
            f"checkpoint {name[:12]} is not in {source.name}/{CHECKPOINT_FOLDER}",
            unchanged="no row was copied",
            hint="put it there from the machine that learned it, then copy again",
        )
    for path in found:
        with saving_checkpoints(target):
            copied = target / CHECKPOINT_FOLDER / path.name
            if not copied.exists():
                partial = copied.with_name(f".{path.name}.partial")
                shutil.copyfile(path, partial)
                partial.rename(copied)


def _compare(source: Reader, copy: Reader) -> None:
    wrong = [table.name for table in TABLES if _digest(source, table) != _digest(copy, table)]
    if wrong:
        raise StoreError(
            f"the copy holds other rows than the store in {', '.join(wrong)}",
            unchanged="the store that was copied is as it was",
            hint="delete the copy, and tell us: this must not happen",
        )


def _digest(reader: Reader, table: Table) -> object:
    """The number of rows and a sum over their hashes, which does not depend on their order."""
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    query = f'SELECT count(*) AS n, coalesce(sum(hash({columns})), 0)::VARCHAR AS digest FROM "{table.name}"'
    return reader.query(query).to_pylist()
