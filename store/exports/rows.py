"""The rows of an export, in their order: split by split, the best score first, then by item id.

Content that fits into memory is joined there and put in order by Arrow, so that shards can be written side by side;
more than that comes out of DuckDB's sort, which moves to disk. Both ways give the same rows in the same groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.store.exports.plan import ExportPlan, schema
from curate.store.reader import Reader
from curate.types import SPLITS

MEMORY_BYTES = 256 * 2**20
GROUP_BYTES = 32 * 2**20
GROUP_ROWS = 100_000
KEPT = "export_kept"
_ROW_BYTES = 100  # of what a row has besides its content
_BATCH_ROWS = 2_048
_TARGET = """
    WITH uniform AS (
        SELECT commit_number, min(source) AS source, min(licence) AS licence FROM origins GROUP BY commit_number
        HAVING min(source) = max(source) AND min(licence) = max(licence)
    ), mixed AS (
        SELECT item_id, commit_number, arg_min(source, (source, locator)) AS source,
            arg_min(licence, (source, locator)) AS licence
        FROM origins ANTI JOIN uniform USING (commit_number) GROUP BY item_id, commit_number
    ), target AS (
        SELECT s.item_id, i.text, i.image, i.events, list_position($classes::VARCHAR[], s.label) - 1 AS label,
            list_position($splits::VARCHAR[], s.split) - 1 AS split, s.score,
            coalesce(u.source, m.source) AS source, coalesce(u.licence, m.licence) AS licence,
            coalesce(i.size, 0) AS size
        FROM snapshot_items s JOIN items i USING (item_id)
        LEFT JOIN uniform u ON u.commit_number = i.commit_number
        LEFT JOIN mixed m ON m.commit_number = i.commit_number AND m.item_id = i.item_id
        WHERE s.snapshot = $snapshot AND s.number = $number
    )
"""
_ORDER = " ORDER BY split, score DESC NULLS LAST, item_id"
_NEW = f" FROM target ANTI JOIN {KEPT} USING (item_id)"
_Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one shard: its split, and where its row groups begin and end among all rows of the export."""

    split: str
    borders: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows the shard has."""
        return self.borders[-1] - self.borders[0]


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
    and locator. Memory: about four times the content up to `memory_bytes` of it; beyond that DuckDB's sort, and one row
    group of 32 MiB.
    """
    reader.register(KEPT, kept)
    fits = _content_bytes(reader, plan, memory_bytes) <= memory_bytes
    return _MemoryRows(reader, plan) if fits else _SortedRows(reader, plan)


def ask_target(reader: Reader, plan: ExportPlan, query: str) -> pa.Table:
    """Answer a question to `target`, the view of what the export shall hold: one row an item, codes for names."""
    return reader.query(_TARGET + query, _parameters(plan))


class _MemoryRows:
    """All rows in one table, and the order in which to take them."""

    parallel = True

    def __init__(self, reader: Reader, plan: ExportPlan) -> None:
        self._plan = plan
        query = _TARGET + _columns(plan, "split", "size") + _NEW
        # All in one batch: taking rows out of many chunks costs twice as much.
        found = reader.stream(query, _parameters(plan), rows=max(1, plan.snapshot.size))
        self._table = found.read_all().combine_chunks()
        keys = [("split", "ascending"), ("score", "descending"), ("item_id", "ascending")]
        self._order = pc.sort_indices(self._table, keys)
        self.parts = _parts(self._table.select(["split", "size"]).take(self._order), plan.shard_bytes)

    def groups(self, part: Part) -> Iterator[pa.RecordBatch]:
        wanted = self._table.select(list(self._plan.columns))
        for start, stop in pairwise(part.borders):
            yield _converted(wanted.take(self._order.slice(start, stop - start)), self._plan)


class _SortedRows:
    """Rows out of DuckDB's sort, once, from the first to the last."""

    parallel = False

    def __init__(self, reader: Reader, plan: ExportPlan) -> None:
        self._plan = plan
        self.parts = _parts(ask_target(reader, plan, "SELECT split, size" + _NEW + _ORDER), plan.shard_bytes)
        query = _TARGET + _columns(plan) + _NEW + _ORDER
        self._batches = iter(reader.stream(query, _parameters(plan), rows=_BATCH_ROWS))
        self._rest: list[pa.RecordBatch] = []

    def groups(self, part: Part) -> Iterator[pa.RecordBatch]:
        for start, stop in pairwise(part.borders):
            yield _converted(self._next(stop - start), self._plan)

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


def _columns(plan: ExportPlan, *others: str) -> str:
    return "SELECT " + ", ".join((*plan.columns, *others))


def _parameters(plan: ExportPlan) -> dict[str, Any]:
    return {
        "snapshot": plan.snapshot.snapshot,
        "number": plan.snapshot.number,
        "classes": list(plan.class_names),
        "splits": list(SPLITS),
    }


def _parts(rows: pa.Table, shard_bytes: int) -> tuple[Part, ...]:
    """Cut sorted rows into shards of about equal size, a split at a time, and these into row groups."""
    splits, sizes = (rows[name].to_numpy().astype(np.int64) for name in ("split", "size"))
    sizes = sizes + _ROW_BYTES
    ends = [0, *(int(np.searchsorted(splits, code, side="right")) for code in range(len(SPLITS)))]
    found = []
    for split, (start, stop) in zip(SPLITS, pairwise(ends), strict=True):
        for first, last in pairwise(_even_borders(sizes[start:stop], shard_bytes)):
            groups = _borders(sizes[start + first : start + last], GROUP_BYTES, GROUP_ROWS)
            found.append(Part(split, tuple(start + first + border for border in groups)))
    return tuple(found)


def _even_borders(sizes: _Integers, most_bytes: int) -> list[int]:
    """Cut a run of rows into as few even pieces as `most_bytes` allows; a piece may be larger by one row.

    >>> _even_borders(np.array([3, 3, 3, 3, 3]), 10)
    [0, 3, 5]
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    pieces = -(-total // most_bytes)
    shares = np.arange(1, pieces) * (total / max(1, pieces))
    return sorted({0, len(sizes), *(int(border) for border in np.searchsorted(ends, shares) + 1)})


def _borders(sizes: _Integers, most_bytes: int, most_rows: int) -> list[int]:
    """Cut a run of rows wherever the next one would make the piece too large; a piece has at least one row.

    >>> _borders(np.array([3, 3, 3, 9, 1]), 6, 10)
    [0, 2, 3, 4, 5]
    """
    ends = np.cumsum(sizes)
    borders = [0]
    while borders[-1] < len(sizes):
        start = borders[-1]
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + most_bytes, side="right"))
        borders.append(min(max(fitting, start + 1), start + most_rows))
    return borders


def _converted(rows: pa.Table, plan: ExportPlan) -> pa.RecordBatch:
    """Give rows the export's schema: an image becomes bytes beside an empty path, as `datasets` wants it."""
    columns = {name: rows[name].combine_chunks() for name in plan.columns}
    target = schema(plan)
    if plan.modality == "image":
        parts = [columns["image"], pa.nulls(len(rows), pa.string())]
        columns["image"] = pa.StructArray.from_arrays(parts, fields=list(target.field("image").type))
    arrays = [columns[field.name].cast(field.type) for field in target]
    return pa.RecordBatch.from_arrays(arrays, schema=target)
