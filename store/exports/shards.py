"""Shards: immutable Parquet files, each the same bytes for the same rows."""

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from curate.store.exports.manifest import ShardFile, shard_file
from curate.store.exports.parts import Part
from curate.store.exports.plan import ExportPlan, schema
from curate.store.exports.rows import OrderedRows

PARQUET_FOLDER = "data"
COMPRESSION = "zstd"
REPEATED = ("label", "source", "licence")
"""Columns whose values repeat: only these are worth a dictionary."""


def shard_names(parts: Iterable[Part], suffix: str) -> list[str]:
    """Return the shards' names without ending, such as `train-00000-of-00002`, `suffix` at their end.

    >>> shard_names([Part("train", (0, 9)), Part("test", (9, 10))], "-number-00002")
    ['train-00000-of-00001-number-00002', 'test-00000-of-00001-number-00002']
    """
    splits = [part.split for part in parts]
    totals, seen = Counter(splits), Counter[str]()
    names = []
    for split in splits:
        names.append(f"{split}-{seen[split]:05d}-of-{totals[split]:05d}{suffix}")
        seen[split] += 1
    return names


def writer_of(stream: BinaryIO, layout: pa.Schema) -> pq.ParquetWriter:
    """Return a writer with the settings of all shards."""
    dictionaries = [name for name in REPEATED if name in layout.names]
    return pq.ParquetWriter(stream, layout, compression=COMPRESSION, use_dictionary=dictionaries)


def start_shards(
    rows: OrderedRows, names: Iterable[str], plan: ExportPlan, folder: Path, threads: Executor
) -> list[Future[ShardFile]]:
    """Start to write every part into `folder`/data, flushed to disk, side by side, and return the files to come.

    Memory: one row group for each thread, beside what the rows hold.
    """
    (folder / PARQUET_FOLDER).mkdir(parents=True, exist_ok=True)
    paths = [f"{PARQUET_FOLDER}/{name}.parquet" for name in names]
    return [threads.submit(_write, rows, number, plan, folder, path) for number, path in enumerate(paths)]


def _write(rows: OrderedRows, number: int, plan: ExportPlan, folder: Path, path: str) -> ShardFile:
    with (folder / path).open("wb") as stream:
        with writer_of(stream, schema(plan)) as writer:
            for group in rows.groups(number):
                writer.write_table(pa.Table.from_batches([group]), row_group_size=group.num_rows)
        stream.flush()
        os.fsync(stream.fileno())
    return shard_file(folder, path)
