"""Publishing: every commit appends immutable Parquet segments and swaps the manifest, so that readers never wait.

Segments are merged by level, a fixed number at a time, so that their count and the manifest grow with the logarithm of
the commits while each row is rewritten a logarithmic number of times.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import StoreError
from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment, read_manifest, sync_folder, write_manifest
from curate.store.schema import TABLES, Table

MERGE_COUNT = 16
RETIRED_SECONDS = 900.0
_BATCH_ROWS = 10_000
_GROUP_BYTES = 64 * 2**20


def publish(connection: duckdb.DuckDBPyConnection, folder: Path, *, only: Iterable[str] | None = None) -> Manifest:
    """Bring the published snapshot of the store in `folder` up to the ledger's last commit.

    `only` names the tables that the last commit touched; without it all are looked at (after a crash). Rows are found
    by commit number, which DuckDB's zone maps answer without reading older rows.

    Raises:
        StoreError: what is published is damaged, or newer than the ledger.
    """
    manifest = read_manifest(folder)
    number, step, moment = _last_commit(connection)
    if number == manifest.commit_number:
        return manifest
    if number < manifest.commit_number:
        raise _ledger_replaced(folder, number, manifest.commit_number)
    complete = only is None or number != manifest.commit_number + 1
    wanted = set(only or ()) | {"commits", "runs"}
    (folder / PUBLISHED_FOLDER).mkdir(exist_ok=True)
    for table in TABLES:
        if complete or table.name in wanted:
            manifest = _append(connection, folder, manifest, table, number)
    manifest = _discard_retired(folder, replace(manifest, commit_number=number, step=step, committed_at=moment))
    # The ledger's own files first, so that a power cut never leaves the published snapshot ahead of it.
    sync_folder(folder)
    sync_folder(folder / PUBLISHED_FOLDER)
    write_manifest(folder, manifest)
    return manifest


def _last_commit(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str]:
    found = connection.execute(
        "SELECT commit_number, step, epoch_us(committed_at) FROM commits ORDER BY commit_number DESC LIMIT 1"
    ).fetchone()
    if found is None:
        return 0, "", ""
    # DuckDB hands a time with a zone to Python only where pytz is installed.
    return int(found[0]), str(found[1]), datetime.fromtimestamp(found[2] // 10**6, UTC).isoformat()


def _ledger_replaced(folder: Path, number: int, published: int) -> StoreError:
    return StoreError(
        f"the store {folder.name!r} has published commit {published}, but its ledger ends at commit {number}",
        unchanged="both were left as they are",
        hint=f"restore the ledger, or delete {PUBLISHED_FOLDER}/ inside the store to go on from commit {number}",
    )


def _append(
    connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, table: Table, number: int
) -> Manifest:
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    # Without ORDER BY the rows stream in the order in which they were inserted; with it DuckDB would hold them all.
    query = f'SELECT {columns} FROM "{table.name}" WHERE commit_number > ? AND commit_number <= ?'
    reader = connection.execute(query, [manifest.commit_number, number]).to_arrow_reader(_BATCH_ROWS)
    file = f"{table.name}-{manifest.commit_number + 1:09d}-{number:09d}.parquet"
    segment = _write_segment(folder, table, file, reader)
    if not segment.rows:
        return manifest
    figures = manifest.figures | _figures(folder, table, segment, manifest.figures)
    segments = (*manifest.tables.get(table.name, ()), segment)
    return _merge(folder, replace(manifest, tables=manifest.tables | {table.name: segments}, figures=figures), table)


def _figures(folder: Path, table: Table, segment: Segment, before: dict[str, int]) -> dict[str, int]:
    """Running sums for `curate status`: items by modality."""
    if table.name != "items":
        return {}
    column = pq.read_table(folder / PUBLISHED_FOLDER / segment.file, columns=["modality"])["modality"]
    counts = {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}
    return {f"items:{name}": before.get(f"items:{name}", 0) + count for name, count in counts.items()}


def _write_segment(folder: Path, table: Table, file: str, batches: Iterable[pa.RecordBatch], level: int = 0) -> Segment:
    path = folder / PUBLISHED_FOLDER / file
    temporary = path.with_suffix(".partial")
    count = 0
    with temporary.open("wb") as stream:
        with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
            for group in _row_groups(batches, table):
                count += group.num_rows
                writer.write_table(group)
        stream.flush()
        os.fsync(stream.fileno())
    if count:
        temporary.rename(path)
    else:
        temporary.unlink()
    return Segment(file, count, level)


def _row_groups(batches: Iterable[pa.RecordBatch], table: Table) -> Iterator[pa.Table]:
    """Gather batches into row groups of about `_BATCH_ROWS` rows or `_GROUP_BYTES` bytes, whatever comes first."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if held and (rows + batch.num_rows > _BATCH_ROWS or size + batch.nbytes > _GROUP_BYTES):
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
        if batch.num_rows:
            held.append(batch.cast(table.schema))
            rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield pa.Table.from_batches(held)


def _merge(folder: Path, manifest: Manifest, table: Table) -> Manifest:
    """Merge the newest segments of one level into one of the next while there are `MERGE_COUNT` of them."""
    segments = list(manifest.tables[table.name])
    retired = list(manifest.retired)
    while len(tail := _same_level_tail(segments)) >= MERGE_COUNT:
        first, last = tail[0].file.split("-")[1], tail[-1].file.split("-")[2]
        merged = _write_segment(
            folder, table, f"{table.name}-{first}-{last}", _read_segments(folder, tail), tail[0].level + 1
        )
        retired += [(segment.file, time.time()) for segment in tail]
        segments = [*segments[: -len(tail)], merged]
    return replace(manifest, tables=manifest.tables | {table.name: tuple(segments)}, retired=tuple(retired))


def _same_level_tail(segments: list[Segment]) -> list[Segment]:
    level = segments[-1].level
    start = len(segments)
    while start and segments[start - 1].level == level:
        start -= 1
    return segments[start:]


def _read_segments(folder: Path, segments: Iterable[Segment]) -> Iterator[pa.RecordBatch]:
    for segment in segments:
        try:
            with pq.ParquetFile(folder / PUBLISHED_FOLDER / segment.file) as file:
                yield from file.iter_batches(_BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(
                f"the published segment {segment.file} cannot be read: {error}",
                unchanged="the ledger itself is a different file; every commit is kept there",
                hint=f"delete {PUBLISHED_FOLDER}/ inside the store; the next writing command publishes it anew",
            ) from error


def _discard_retired(folder: Path, manifest: Manifest) -> Manifest:
    """Delete replaced files that no reader can still want; a reader's answer is never older than the grace."""
    now = time.time()
    keep = []
    for file, moment in manifest.retired:
        if abs(now - moment) < RETIRED_SECONDS:
            keep.append((file, moment))
        else:
            (folder / PUBLISHED_FOLDER / file).unlink(missing_ok=True)
    return replace(manifest, retired=tuple(keep))
