"""The rows of an export, in their order: split by split, the best score first, then by item id.

Content is read once, and only that of the rows to be written; each row group picks what it needs out of its shard's.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.store.exports.contents import Contents, HeldContents, StoredContents
from curate.store.exports.parts import Part, cut_parts
from curate.store.exports.pieces import Items, Workers
from curate.store.exports.plan import ExportPlan, conformed
from curate.store.exports.target import Target

MEMORY_BYTES = 256 * 2**20
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Flags = np.ndarray[Any, np.dtype[np.bool_]]


class OrderedRows:
    """The rows of a target that are not `kept`, with content; `scratch` is a folder for what memory has no room for.

    Items that were erased since have no row here. Memory: the content where that is at most `memory_bytes`; else
    `memory_bytes`, and then twice the content of a shard for each shard that is written at the same time.
    """

    def __init__(
        self,
        target: Target,
        plan: ExportPlan,
        kept: _Flags,
        scratch: Path,
        workers: Workers,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._plan, self._rows, self._origins = plan, target.rows, target.origins
        self._pairs = target.origins.pairs.table()
        order = target.order()
        self._order = order[~kept[order] & (target.commits[order] >= 0)]
        splits = target.rows["split"].to_numpy()[self._order]
        self.parts: tuple[Part, ...] = cut_parts(splits, target.sizes[self._order], plan.shard_bytes)
        self._rank = np.full(len(target.rows), -1, np.int64)
        self._rank[self._order] = np.arange(len(self._order))
        self._contents = self._empty_contents(int(target.sizes[self._order].sum()), scratch, memory_bytes)
        self._reading = [workers.read(self._gather, items) for items in target.items if len(self._order)]

    def wait(self) -> None:
        """Wait until all content is read: before that no group may be asked for."""
        for task in self._reading:
            task.result()
        if self.parts:
            self._contents.finish()

    def groups(self, number: int) -> Iterator[pa.RecordBatch]:
        """Yield the row groups of a part by its number in `parts`, once, with the export's schema; on any thread."""
        part = self.parts[number]
        place, content = self._contents.take(number)
        for start, stop in pairwise(part.borders):
            wanted = place[start - part.borders[0] : stop - part.borders[0]]
            columns = self._columns(self._order[start:stop])
            columns[self._plan.modality] = _whole(content.take(pa.array(wanted)))
            yield conformed(columns, self._plan)

    def _empty_contents(self, size: int, scratch: Path, memory_bytes: int) -> Contents:
        borders = np.asarray([0, *(part.borders[-1] for part in self.parts)], np.int64)
        return HeldContents(borders, size) if size <= memory_bytes else StoredContents(borders, scratch, memory_bytes)

    def _gather(self, items: Items) -> None:
        for rows, content in items.content(self._rank >= 0):
            self._contents.add(self._rank[rows], content)

    def _columns(self, wanted: _Integers) -> dict[str, pa.Array]:
        rows, pair = _taken(self._rows, wanted), self._origins.pair_of[wanted]
        pairs = self._pairs.take(pa.array(pair, mask=pair < 0))
        columns = {name: rows[name] for name in ("item_id", "label", "score")}
        columns |= {name: pairs[name] for name in ("source", "licence")}
        return {name: _whole(column) for name, column in columns.items()}


def _taken(rows: pa.Table, wanted: _Integers) -> pa.Table:
    """Take rows: where they lie side by side, without copying them."""
    first, count = int(wanted[0]), len(wanted)
    if int(wanted[-1]) - first == count - 1 and bool((np.diff(wanted) == 1).all()):
        return rows.slice(first, count)
    return rows.take(pa.array(wanted))


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
