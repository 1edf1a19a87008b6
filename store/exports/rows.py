"""The rows of an export, in their order: split by split, the best score first, then by item id.

Content that fits into memory is gathered there, so that shards can be written side by side; more than that comes out of
DuckDB's sort, which moves to disk. Both ways give the same rows in the same groups.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import pyarrow as pa

from curate.store.exports.gathered import GatheredRows
from curate.store.exports.matching import UnfitIdsError
from curate.store.exports.parts import Part, cut_parts
from curate.store.exports.plan import ExportPlan, conformed
from curate.store.exports.target import ask_target, target_question
from curate.store.reader import Reader

MEMORY_BYTES = 256 * 2**20
_BATCH_ROWS = 2_048
_KEPT = "export_kept"
_ORDER = " ORDER BY split, score DESC NULLS LAST, item_id"
_NEW = f" FROM target ANTI JOIN {_KEPT} USING (item_id)"


class OrderedRows(Protocol):
    """All rows to be written. Only where `parallel` is true may the parts be read in any order, and by many threads."""

    parallel: bool
    parts: tuple[Part, ...]

    def groups(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yield the row groups of a part, with the export's schema."""
        ...


def ordered_rows(reader: Reader, plan: ExportPlan, kept: pa.Table, memory_bytes: int = MEMORY_BYTES) -> OrderedRows:
    """Return the rows of a snapshot whose ids are not in `kept` (a table with the column `item_id`).

    An item's source and licence are those of the commit that brought it; where that has several, the first by source
    and locator. Memory: the content up to `memory_bytes` of it and about 200 bytes an item; beyond that DuckDB's
    sort, and one row group of 32 MiB.
    """
    reader.register(_KEPT, kept)
    if _content_bytes(reader, plan, memory_bytes) > memory_bytes:
        return _SortedRows(reader, plan)
    try:
        return GatheredRows(reader, plan, kept)
    except UnfitIdsError:
        return _SortedRows(reader, plan)


class _SortedRows:
    """Rows out of DuckDB's sort, once, from the first to the last."""

    parallel = False

    def __init__(self, reader: Reader, plan: ExportPlan) -> None:
        self._plan = plan
        found = ask_target(reader, plan, "SELECT split, size" + _NEW + _ORDER)
        self.parts = cut_parts(found["split"].to_numpy(), found["size"].to_numpy(), plan.shard_bytes)
        question = target_question(plan, "SELECT " + ", ".join(plan.columns) + _NEW + _ORDER)
        self._batches = iter(reader.stream(*question, rows=_BATCH_ROWS))
        self._rest: list[pa.RecordBatch] = []

    def groups(self, part: Part) -> Iterator[pa.RecordBatch]:
        for start, stop in pairwise(part.borders):
            rows = self._next(stop - start)
            yield conformed({name: rows[name].combine_chunks() for name in self._plan.columns}, self._plan)

    def _next(self, rows: int) -> pa.Table:
        while sum(batch.num_rows for batch in self._rest) < rows:
            self._rest.append(next(self._batches))
        table = pa.Table.from_batches(self._rest)
        self._rest = table.slice(rows).to_batches()
        return table.slice(0, rows)


def _content_bytes(reader: Reader, plan: ExportPlan, enough: int) -> int:
    """The bytes of content to be written; where all that the store has is few enough, nothing is joined to find out."""
    total = "SELECT coalesce(sum(size), 0)::BIGINT AS size"
    everything = reader.query(f"{total} FROM items WHERE modality = ?", [plan.modality])
    found = everything if everything["size"][0].as_py() <= enough else ask_target(reader, plan, total + _NEW)
    return int(found["size"][0].as_py())
