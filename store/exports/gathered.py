"""The rows of an export gathered in memory: content stays where it was read, and each row group picks what it needs.

Nothing is joined by DuckDB and nothing sorted that lies in order: `Positions` finds the snapshot's items while all
items stream by once, and a snapshot's items are kept in the order of the export.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.store.exports.matching import Positions
from curate.store.exports.parts import Part, cut_parts
from curate.store.exports.plan import ExportPlan, conformed
from curate.store.exports.target import PROVENANCE, target_parameters
from curate.store.reader import Reader

_STREAMED_ROWS = 100_000
_LARGE_ROWS, _LARGE_BYTES = 2_048, 64 * 2**20
"""Where so many streamed rows could hold more than this, a batch has as few rows as one of DuckDB's vectors."""
_CHOSEN = """
    SELECT item_id, list_position($classes::VARCHAR[], label) - 1 AS label,
        (list_position($splits::VARCHAR[], split) - 1)::TINYINT AS split, score
    FROM snapshot_items WHERE snapshot = $snapshot AND number = $number"""
_CONTENT = """
    SELECT item_id, {content} AS content, coalesce(size, 0) AS size, commit_number FROM items
    WHERE modality = $modality"""
_UNIFORM = f"WITH {PROVENANCE} SELECT commit_number, source, licence FROM uniform ORDER BY commit_number"
_MIXED = f"""
    WITH {PROVENANCE} SELECT item_id, source, licence FROM mixed
    JOIN (SELECT item_id, commit_number FROM items WHERE modality = $modality) USING (item_id, commit_number)"""
_Integers = np.ndarray[Any, np.dtype[np.int64]]


class GatheredRows:
    """The rows of an export whose ids are not in `kept` (a table with the column `item_id`), and where content lies.

    Memory: the content of these rows, and about 200 bytes for each row of the snapshot.

    Raises:
        UnfitIdsError: the ids are not hashes, so that only a join could tell them apart.
    """

    parallel = True

    def __init__(self, reader: Reader, plan: ExportPlan, kept: pa.Table) -> None:
        self._plan = plan
        self._rows = reader.stream(_CHOSEN, target_parameters(plan), rows=_STREAMED_ROWS).read_all()
        self._positions = Positions(self._rows["item_id"])
        count = len(self._rows)
        self._new = np.ones(count, np.bool_)
        for chunk in kept["item_id"].chunks:
            found = self._positions.find(chunk)
            self._new[found[found >= 0]] = False
        self._place = np.full(count, -1, np.int64)
        self._sizes, self._commits = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._content = self._gather(reader)
        self._origins, self._origin_of = self._find_origins(reader)
        self._order = _in_order(self._rows)
        self._order = self._order[self._place[self._order] >= 0]  # what is kept or was erased has no content here
        splits = self._rows["split"].to_numpy()[self._order]
        self.parts: tuple[Part, ...] = cut_parts(splits, self._sizes[self._order], plan.shard_bytes)

    def groups(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Yield the row groups of a part, with the export's schema."""
        for start, stop in pairwise(part.borders):
            yield conformed(self._columns(self._order[start:stop]), self._plan)

    def _columns(self, wanted: _Integers) -> dict[str, pa.Array]:
        rows, origin_of = _taken(self._rows, wanted), self._origin_of[wanted]
        origins = self._origins.take(pa.array(origin_of, mask=origin_of < 0))
        columns = {name: rows[name] for name in ("item_id", "label", "score")}
        columns |= {name: origins[name] for name in ("source", "licence")}
        content = self._content.take(pa.array(self._place[wanted]))
        return {name: _whole(column) for name, column in (columns | {self._plan.modality: content}).items()}

    def _gather(self, reader: Reader) -> pa.Array:
        query = _CONTENT.format(content=self._plan.modality)
        batches = reader.stream(query, {"modality": self._plan.modality}, rows=self._streamed_rows(reader))
        chunks, held = [], 0
        for batch in batches:
            found = self._positions.find(batch["item_id"])
            wanted = np.flatnonzero((found >= 0) & self._new[found])
            rows = batch if len(wanted) == len(batch) else batch.take(pa.array(wanted))
            found = found[wanted]
            self._place[found] = np.arange(held, held + len(wanted))
            self._sizes[found], self._commits[found] = rows["size"].to_numpy(), rows["commit_number"].to_numpy()
            chunks.append(rows["content"])
            held += len(wanted)
        # In one piece: taking rows out of many chunks costs three times as much.
        return _whole(pa.chunked_array(chunks, batches.schema.field("content").type))

    def _streamed_rows(self, reader: Reader) -> int:
        largest = "SELECT coalesce(max(size), 0) AS size FROM items WHERE modality = ?"
        [size] = reader.query(largest, [self._plan.modality])["size"].to_pylist()
        return _STREAMED_ROWS if size * _STREAMED_ROWS <= _LARGE_BYTES else _LARGE_ROWS

    def _find_origins(self, reader: Reader) -> tuple[pa.Table, _Integers]:
        """The different origins, and which of them each row has: its commit's, or its own where that has several."""
        uniform = reader.query(_UNIFORM)
        commits = uniform["commit_number"].to_numpy()
        found = np.searchsorted(commits, self._commits)
        origin_of = np.where(np.isin(self._commits, commits), found, -1)
        tables, held = [uniform.select(["source", "licence"])], len(uniform)
        if bool((origin_of >= 0).all()):
            return tables[0].combine_chunks(), origin_of
        for batch in reader.stream(_MIXED, {"modality": self._plan.modality}, rows=_STREAMED_ROWS):
            rows = self._positions.find(batch["item_id"])
            known = rows >= 0
            origin_of[rows[known]] = np.arange(held, held + len(batch))[known]
            held += len(batch)
            tables.append(pa.Table.from_batches([batch.select(["source", "licence"])]))
        return pa.concat_tables(tables).combine_chunks(), origin_of


def _in_order(rows: pa.Table) -> _Integers:
    """The order of the rows: by split, the best score first, then by id; nothing is sorted that lies in it already."""
    splits, scores = rows["split"].to_numpy(), rows["score"].to_numpy()
    order = np.argsort(splits, kind="stable")
    scores, same_split = scores[order], np.diff(splits[order]) == 0
    before, after, unscored = scores[:-1], scores[1:], np.isnan(scores)
    falls = (before > after) | (unscored[1:] & ~unscored[:-1])
    level = (before == after) | (unscored[1:] & unscored[:-1])
    if bool((falls | level)[same_split].all()) and _rise(rows["item_id"], order, np.flatnonzero(same_split & level)):
        return order
    keys = [("split", "ascending"), ("score", "descending"), ("item_id", "ascending")]
    return np.asarray(pc.sort_indices(rows, keys)).astype(np.int64)


def _rise(ids: pa.ChunkedArray, order: _Integers, places: _Integers) -> bool:
    """Whether at each of these places of the order an id is smaller than the one behind it."""
    smaller, larger = (ids.take(pa.array(order[places + step])) for step in (0, 1))
    return pc.all(pc.less(smaller, larger)).as_py() is not False


def _taken(rows: pa.Table, wanted: _Integers) -> pa.Table:
    """Take rows: where they lie side by side, without copying them."""
    first, count = int(wanted[0]), len(wanted)
    if int(wanted[-1]) - first == count - 1 and bool((np.diff(wanted) == 1).all()):
        return rows.slice(first, count)
    return rows.take(pa.array(wanted))


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
