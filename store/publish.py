"""Publishing: every commit appends immutable Parquet segments and swaps the manifest, so that readers never wait.

Segments are merged by level, a fixed number at a time, so that their count and the manifest grow with the logarithm of
the commits while each row is rewritten a logarithmic number of times.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate.store.manifest import PUBLISHED_FOLDER, Manifest, Segment, read_manifest, sync_folder, write_manifest
from curate.store.schema import TABLES, Table

MERGE_COUNT = 16
RETIRED_SECONDS = 900.0


def publish(connection: duckdb.DuckDBPyConnection, folder: Path, *, only: Iterable[str] | None = None) -> Manifest:
    """Bring the published snapshot of the store in `folder` up to the ledger's last commit.

    `only` names the tables that the last commit touched; without it all are looked at (after a crash). Rows are found
    by commit number, which DuckDB's zone maps answer without reading older rows.
    """
    manifest = read_manifest(folder)
    last = connection.execute(
        "SELECT commit_number, step, committed_at FROM commits ORDER BY commit_number DESC LIMIT 1"
    ).fetchone()
    if last is None or last[0] == manifest.commit_number:
        return manifest
    number, step, committed_at = last
    complete = only is None or number != manifest.commit_number + 1
    wanted = set(only or ()) | {"commits", "runs"}
    (folder / PUBLISHED_FOLDER).mkdir(exist_ok=True)
    for table in TABLES:
        if complete or table.name in wanted:
            manifest = _append(connection, folder, manifest, table, int(number))
    manifest = replace(
        manifest, commit_number=int(number), step=step, committed_at=committed_at.isoformat(timespec="seconds")
    )
    manifest = _discard_retired(folder, manifest)
    sync_folder(folder / PUBLISHED_FOLDER)
    write_manifest(folder, manifest)
    return manifest


def _append(
    connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, table: Table, number: int
) -> Manifest:
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    query = f'SELECT {columns} FROM "{table.name}" WHERE commit_number > ? AND commit_number <= ? ORDER BY rowid'
    reader = connection.execute(query, [manifest.commit_number, number]).to_arrow_reader(10_000)
    segment = _write_segment(folder, table, f"{table.name}-{manifest.commit_number + 1:09d}-{number:09d}.parquet", reader)
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
            for batch in batches:
                count += batch.num_rows
                if batch.num_rows:
                    writer.write_batch(batch.cast(table.schema))
        stream.flush()
        os.fsync(stream.fileno())
    if count:
        temporary.rename(path)
    else:
        temporary.unlink()
    return Segment(file, count, level)


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
        with pq.ParquetFile(folder / PUBLISHED_FOLDER / segment.file) as file:
            yield from file.iter_batches(10_000)


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
