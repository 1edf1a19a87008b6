"""Keeping a lake small: what batches left in many pieces is brought together, and what nobody reads any more goes.

All of it happens in a writer's turn, a piece at a time. A snapshot of DuckLake, which is what a reader reads by, is
kept for `KEPT_SECONDS`; so are files that a merge replaced, and files that no snapshot names, for a writer may be at
work on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from curate.store.commit_view import quoted
from curate.store.lake.connect import LAKE
from curate.store.lake.ledger import IN_CATALOG, LakeLedger, mark_clean, mark_unclean
from curate.store.schema import TABLES

KEPT_SECONDS = 24 * 3600
SMALL_FILES = 2
_OLDER = "older_than => now() - to_seconds(?)"
_SMALL = f"""
    SELECT table_name, file_count, file_size_bytes FROM ducklake_table_info('{LAKE}')
    WHERE file_count >= {SMALL_FILES} AND file_size_bytes / file_count < ? ORDER BY table_name"""
_SMALL_BYTES = 16 * 2**20
_EXPIRE = f"FROM ducklake_expire_snapshots('{LAKE}', dry_run => ?, {_OLDER})"
_REPLACED = f"FROM ducklake_cleanup_old_files('{LAKE}', dry_run => ?, {_OLDER})"
_ORPHANED = f"FROM ducklake_delete_orphaned_files('{LAKE}', dry_run => ?, {_OLDER})"
_WITH_CONTENT = [entry.name for entry in TABLES if entry.name not in IN_CATALOG]
_BOUNDS = f"""
    UPDATE ducklake_table_column_stats AS known SET min_value = held.low, max_value = held.high
    FROM ducklake_column AS named JOIN ducklake_table AS owner USING (table_id) LEFT JOIN (
        SELECT stats.table_id, stats.column_id,
            min(stats.min_value COLLATE "C") AS low, max(stats.max_value COLLATE "C") AS high
        FROM ducklake_file_column_stats AS stats JOIN ducklake_data_file AS file USING (data_file_id)
        WHERE file.end_snapshot IS NULL GROUP BY stats.table_id, stats.column_id
    ) AS held USING (table_id, column_id)
    WHERE named.end_snapshot IS NULL AND named.column_type IN ('varchar', 'blob')
        AND owner.end_snapshot IS NULL AND owner.table_name IN ({", ".join(map(quoted, _WITH_CONTENT))})
        AND known.table_id = named.table_id AND known.column_id = named.column_id"""
"""The catalog keeps the smallest and the greatest value of each column, and leaves them where a whole file goes."""


@dataclass(frozen=True, slots=True)
class Slack:
    """One thing that a lake could do without: what, its name, how many pieces, and why nobody needs them."""

    kind: str
    name: str
    pieces: int
    reason: str


def find_slack(ledger: LakeLedger) -> list[Slack]:
    """Return what `remove_slack` would do now; nothing is changed.

    Raises:
        StoreBusyError, ServiceError: as a commit does.
    """
    with ledger.maintenance() as connection:
        return [
            *(Slack("small files", name, count, "they become fewer") for name, count, _ in _small(connection)),
            *_counted(connection, dry_run=True),
        ]


def remove_slack(ledger: LakeLedger) -> list[Slack]:
    """Write rows out of PostgreSQL to Parquet, merge small files, expire old snapshots, delete what nobody names.

    Commits keep their numbers, and rows their commits. Cost: small files are read and written once, a table at a time,
    each in a turn of its own, so that writers get theirs.

    Raises:
        StoreBusyError, ServiceError: as a commit does.
        CurateError: a disk or the object storage refuses.
    """
    done = []
    with ledger.maintenance() as connection:
        connection.execute(f"CALL ducklake_flush_inlined_data('{LAKE}')")
        small = _small(connection)
    for name, before, _ in small:
        with ledger.maintenance() as connection:
            connection.execute(f"CALL ducklake_rewrite_data_files('{LAKE}', ?)", [name])
            connection.execute(f"CALL ducklake_merge_adjacent_files('{LAKE}', ?)", [name])
            after = _files(connection, name)
        if after < before:
            done.append(Slack("small files", name, before, f"they became {after}"))
    with ledger.maintenance() as connection:
        done += _counted(connection, dry_run=False)
    return done


def forget_deleted(ledger: LakeLedger) -> None:
    """Leave no file with rows that were deleted, and no bound of theirs in the catalog; each part may be done already.

    Files with such rows are written anew, a table at a time and each in a turn of its own; then every snapshot but the
    newest is expired, and all files that it does not name are deleted, whoever reads by them. Cost: files that hold
    deleted rows are read and written once.

    Raises:
        StoreBusyError, ServiceError: as a commit does; whoever opens the lake to write goes on.
        CurateError: a disk or the object storage refuses; likewise.
    """
    for name in _WITH_CONTENT:
        with ledger.maintenance() as connection:
            rewrite = f"CALL ducklake_rewrite_data_files('{LAKE}', ?, delete_threshold => 0)"
            connection.execute(rewrite, [name])
    with ledger.maintenance() as connection:
        connection.execute(f"CALL postgres_execute('__ducklake_metadata_{LAKE}', {quoted(_BOUNDS)})")
        # A process knows the bounds of a catalog by the number of its next file, which this file moves on.
        mark_unclean(connection)
        connection.execute(f"CALL ducklake_flush_inlined_data('{LAKE}')")
        _forget_snapshots(connection)
        mark_clean(connection)


def _forget_snapshots(connection: duckdb.DuckDBPyConnection) -> None:
    """Expire all snapshots but the newest, by number (clocks differ), and delete every file that it does not name."""
    found = connection.execute(f"SELECT snapshot_id FROM ducklake_snapshots('{LAKE}') ORDER BY snapshot_id").fetchall()
    older = [int(number) for (number,) in found[:-1]]
    if older:
        connection.execute(f"CALL ducklake_expire_snapshots('{LAKE}', versions => {older})")
    connection.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
    connection.execute(f"CALL ducklake_delete_orphaned_files('{LAKE}', cleanup_all => true)")


def _small(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int, int]]:
    return connection.execute(_SMALL, [_SMALL_BYTES]).fetchall()


def _files(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    query = f"SELECT file_count FROM ducklake_table_info('{LAKE}') WHERE table_name = ?"
    [(count,)] = connection.execute(query, [name]).fetchall()
    return int(count)


def _counted(connection: duckdb.DuckDBPyConnection, *, dry_run: bool) -> Iterator[Slack]:
    """Expire, then delete; each says how many."""
    parts = {
        "snapshots": (_EXPIRE, "older than any reader"),
        "replaced files": (_REPLACED, "no snapshot names them"),
        "unfinished files": (_ORPHANED, "whoever wrote them was stopped"),
    }
    for kind, (statement, reason) in parts.items():
        count = len(connection.execute(statement, [dry_run, KEPT_SECONDS]).fetchall())
        if count:
            yield Slack(kind, "lake", count, reason)
