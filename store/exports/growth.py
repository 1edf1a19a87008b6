"""Growth: which shards of an export still hold exactly what the next number holds, and what is left to write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.store.exports.manifest import ExportManifest, Shard
from curate.store.exports.plan import ExportPlan
from curate.store.exports.target import ask_target
from curate.store.reader import Reader
from curate.types import SPLITS

_HELD = "export_held"
_COMPARED = ("item_id", "split", "label", "score", "source", "licence")


@dataclass(frozen=True, slots=True)
class Growth:
    """What of the folder stays: the listed shards, the ids that they hold, and the ids that the new number lost."""

    shards: tuple[Shard, ...] = ()
    kept: pa.Table = field(default_factory=lambda: pa.table({"item_id": pa.array([], pa.string())}))
    removed: Sequence[str] = ()


def grow(reader: Reader, plan: ExportPlan, before: ExportManifest | None, folder: Path) -> Growth:
    """Compare the newest number in `folder` with the plan, row by row, without looking at content.

    An id stands for its content, so a row differs only in split, label, score, source or licence. Memory: these columns
    of the newest number.
    """
    if before is None:
        return Growth()
    held = pa.concat_tables([_rows_of(shard, at, plan, folder) for at, shard in enumerate(before.listed)])
    reader.register(_HELD, held)
    lost = f"SELECT item_id FROM {_HELD} ANTI JOIN target USING (item_id) ORDER BY item_id"
    removed = ask_target(reader, plan, lost)["item_id"].to_pylist()
    if before.columns != plan.columns:
        return Growth(removed=removed)
    same = " AND ".join(f"h.{name} IS NOT DISTINCT FROM t.{name}" for name in _COMPARED)
    stale = ask_target(reader, plan, f"SELECT DISTINCT shard FROM {_HELD} h ANTI JOIN target t ON ({same})")["shard"]
    staying = pc.invert(pc.is_in(held["shard"], value_set=stale.combine_chunks()))
    gone = set(stale.to_pylist())
    shards = tuple(shard for at, shard in enumerate(before.listed) if at not in gone)
    return Growth(shards, held.filter(staying).select(["item_id"]), removed)


def _rows_of(shard: Shard, position: int, plan: ExportPlan, folder: Path) -> pa.Table:
    wanted = ["item_id", "label", "score", "source", "licence"]
    table = pq.ParquetFile(folder / shard.files["parquet"].path).read(columns=wanted)
    count = len(table)
    if "label" not in table.column_names:
        table = table.append_column("label", pa.nulls(count, pa.int64()))
    table = table.append_column("split", pa.repeat(SPLITS.index(shard.split), count))
    return table.append_column("shard", pa.repeat(position, count)).replace_schema_metadata()
