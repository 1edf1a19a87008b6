"""Growth: which shards of an export still hold exactly what the next number holds, and what is left to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.store.exports.manifest import ExportManifest, Shard
from curate.store.exports.matching import id_words
from curate.store.exports.plan import ExportPlan
from curate.store.exports.target import Target
from curate.types import SPLITS

_BATCH_ROWS = 100_000
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Growth:
    """What of the folder stays: the listed shards, the target's rows that they hold, and the ids that it lost."""

    shards: tuple[Shard, ...]
    kept: _Flags
    removed: Sequence[str] = ()


def grow(target: Target, plan: ExportPlan, before: ExportManifest | None, folder: Path) -> Growth:
    """Compare the newest number in `folder` with the target, row by row, without looking at content.

    An id stands for its content, so a row differs only in split, label, score, source or licence. Cost: one pass over
    these columns of the newest number. Memory: one batch, and one byte a row.
    """
    kept, staying, removed = np.zeros(len(target.rows), np.bool_), list[Shard](), list[str]()
    comparable = before is not None and before.columns == plan.columns
    for shard in before.listed if before else ():
        found, same, lost = _compared(target, shard, folder)
        removed += lost
        if same and comparable:
            staying.append(shard)
            kept[found] = True
    return Growth(tuple(staying), kept, sorted(removed))


def _compared(target: Target, shard: Shard, folder: Path) -> tuple[_Integers, bool, list[str]]:
    """Where a shard's rows stand in the target, whether all stand there as they are, and the ids of those gone."""
    places: list[_Integers] = [np.empty(0, np.int64)]
    same, lost = True, list[str]()
    file = pq.ParquetFile(folder / shard.files["parquet"].path, read_dictionary=["source", "licence"])
    wanted = [name for name in ("item_id", "label", "score", "source", "licence") if name in file.schema_arrow.names]
    for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
        found = target.positions.find(id_words(batch["item_id"]))
        held = (found >= 0) & (target.commits[found] >= 0) if len(target.rows) else found >= 0
        if not bool(held.all()):
            lost += batch["item_id"].take(pa.array(np.flatnonzero(~held))).to_pylist()
        same = same and bool(held.all()) and _agree(target, batch, SPLITS.index(shard.split), found)
        places.append(found[held])
    return np.concatenate(places), same, lost


def _agree(target: Target, batch: pa.RecordBatch, split: int, found: _Integers) -> bool:
    """Whether each of a shard's rows is what the target has where it was `found`."""
    columns, pairs = target.columns, target.origins.pairs.encode(batch["source"], batch["licence"])
    scores, expected = batch["score"].to_numpy(zero_copy_only=False), columns["score"][found]
    return (
        bool((columns["split"][found] == split).all())
        and bool(((scores == expected) | (np.isnan(scores) & np.isnan(expected))).all())
        and ("label" not in batch.schema.names or bool((_codes(batch["label"]) == columns["label"][found]).all()))
        and bool((pairs == target.origins.pair_of[found]).all())
    )


def _codes(labels: pa.Array) -> _Integers:
    return np.asarray(labels.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
