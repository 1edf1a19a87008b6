"""Publishing: every commit appends immutable Parquet segments and swaps the manifest, so that readers never wait.

Segments are merged by level, a fixed number at a time, so that their count and the manifest grow with the logarithm of
the commits while each row is rewritten a logarithmic number of times.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow.parquet as pq

from curate.errors import StoreError
from curate.store.database import RESTORE_HINT
from curate.store.lookups import remove_segment
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment, read_manifest, sync_folder, write_manifest
from curate.store.pins import files_in_use, keep_replaced
from curate.store.results import stream_rows
from curate.store.schema import ITEMS, TABLES, Table
from curate.store.segments import BATCH_ROWS, merge_tail, segment_name, write_segment

MERGE_COUNT = 16
_CONTENT_ROWS = 2_000
"""Rows read at once of what holds content: images of a megabyte each would else be gigabytes."""
_NOTHING: Mapping[str, Segment] = MappingProxyType({})
RETIRED_SECONDS = 60.0
"""How long a replaced segment stays for programs other than curate, which read by the manifest and pin nothing."""


def publish(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    only: Iterable[str] | None = None,
    written: Mapping[str, Segment] = _NOTHING,
) -> Manifest:
    """Bring the published snapshot of the store in `folder` up to the ledger's last commit.

    `only` names the tables that the last commit touched; without it all are looked at (after a crash). `written` are
    segments that hold the last commit's rows already. Other rows are found by commit number, which DuckDB's zone maps
    answer without reading older rows.

    Raises:
        StoreError: what is published is damaged, or newer than the ledger.
    """
    manifest = read_manifest(folder)
    number, step, moment = _last_commit(connection)
    if number == manifest.commit_number:
        return manifest
    if number < manifest.commit_number:
        raise ledger_replaced(folder, number, manifest.commit_number)
    complete = only is None or number != manifest.commit_number + 1
    wanted = set(only or ()) | {"commits", "runs"}
    (folder / PUBLISHED_FOLDER).mkdir(exist_ok=True)
    for table in TABLES:
        if complete or table.name in wanted:
            ready = None if complete else written.get(table.name)
            manifest = _append(folder, manifest, table, ready or _written(connection, folder, manifest, table, number))
    manifest = discard_retired(folder, replace(manifest, commit_number=number, step=step, committed_at=moment))
    swap_manifest(folder, manifest)
    return manifest


def _last_commit(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str]:
    found = connection.execute(
        "SELECT commit_number, step, epoch_us(committed_at) FROM commits ORDER BY commit_number DESC LIMIT 1"
    ).fetchall()
    if not found:
        return 0, "", ""
    [(number, step, moment)] = found
    # DuckDB hands a time with a zone to Python only where pytz is installed.
    return int(number), str(step), datetime.fromtimestamp(moment // 10**6, UTC).isoformat()


def ledger_replaced(folder: Path, number: int, published: int) -> StoreError:
    """Return the error that says that a ledger ends before what is published."""
    return StoreError(
        f"the store {folder.name!r} has published commit {published}, but its ledger ends at commit {number}",
        unchanged="both were left as they are",
        hint=f"{RESTORE_HINT}; or delete {PUBLISHED_FOLDER}/ inside the store to go on from commit {number}",
    )


def _written(
    connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, table: Table, number: int
) -> Segment:
    """Write what a table gained after the manifest's commit up to `number`, as the ledger holds it."""
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    # Without ORDER BY the rows stream in the order in which they were inserted; with it DuckDB would hold them all.
    query = f'SELECT {columns} FROM "{table.name}" WHERE commit_number > ? AND commit_number <= ?'
    rows = _CONTENT_ROWS if table.name == ITEMS.name else BATCH_ROWS
    reader = stream_rows(connection, query, [manifest.commit_number, number], rows)
    return write_segment(folder, table.schema, segment_name(table, manifest.commit_number + 1, number), reader)


def _append(folder: Path, manifest: Manifest, table: Table, segment: Segment) -> Manifest:
    if not segment.rows:
        return manifest
    figures = {**manifest.figures, **_figures(folder, table, segment, manifest.figures)}
    segments = (*manifest.tables.get(table.name, ()), segment)
    return _merge(folder, replace(manifest, tables=manifest.tables | {table.name: segments}, figures=figures), table)


def _figures(folder: Path, table: Table, segment: Segment, before: Mapping[str, int]) -> dict[str, int]:
    """Running sums for `curate status`: items by modality."""
    if table.name != "items":
        return {}
    column = pq.read_table(folder / PUBLISHED_FOLDER / segment.file, columns=["modality"])["modality"]
    counts = {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}
    return {f"items:{name}": before.get(f"items:{name}", 0) + count for name, count in counts.items()}


def _merge(folder: Path, manifest: Manifest, table: Table) -> Manifest:
    """Merge the newest segments of one level into one of the next while there are `MERGE_COUNT` of them."""
    while len(tail := _same_level_tail(manifest.tables[table.name])) >= MERGE_COUNT:
        manifest = merge_tail(folder, manifest, table, tail, tail[0].level + 1)
    return manifest


def _same_level_tail(segments: Sequence[Segment]) -> Sequence[Segment]:
    level = segments[-1].level
    start = len(segments)
    while start and segments[start - 1].level == level:
        start -= 1
    return segments[start:]


def discard_retired(folder: Path, manifest: Manifest) -> Manifest:
    """Delete replaced files that nobody uses any more and return the manifest without them."""
    now, in_use = time.time(), files_in_use(folder)
    keep = []
    for file, moment in manifest.retired:
        # A clock that was set back must not keep a file for ever, nor a wrong date take it away early.
        if file in in_use or abs(now - moment) < RETIRED_SECONDS:
            keep.append((file, moment))
        else:
            remove_segment(folder / PUBLISHED_FOLDER / file)
    return replace(manifest, retired=tuple(keep))


def swap_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the present one, which whoever reads by it may keep."""
    # The ledger's own files first, so that a power cut never leaves the published snapshot ahead of it.
    sync_folder(folder)
    sync_folder(folder / PUBLISHED_FOLDER)
    keep_replaced(folder)
    write_manifest(folder, manifest)
