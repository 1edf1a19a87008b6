"""What an export shall hold, row by row, without content: a snapshot's items with split, label, score and origin."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.store.exports.matching import Positions, id_words
from curate.store.exports.members import Members
from curate.store.exports.origins import Origins
from curate.store.exports.pieces import Items, Workers, items_of
from curate.store.exports.plan import ExportPlan
from curate.store.reader import Reader
from curate.store.snapshots import snapshot_row

_Integers = np.ndarray[Any, np.dtype[np.int64]]


class Target:
    """The members of a snapshot, known by their positions in `rows` (item_id, label's code, split's code, score).

    `sizes` and `commits` are those of their items, -1 for commits of items that were erased since. `columns` are label,
    split and score as arrays: no label is -1, and no score is not a number. Labels are codes in `names`, in the order
    in which they were met until `name_labels` gives them others. Memory: about 250 bytes a row.
    """

    def __init__(self, reader: Reader, plan: ExportPlan, workers: Workers) -> None:
        self._reader, self._as_of = reader, snapshot_row(reader, plan.snapshot).as_of
        # The members first: nothing is found before they are known.
        self.items: Sequence[Items] = items_of(reader, plan.modality)
        self._members = Members(reader, plan.snapshot, workers)
        loaded = [workers.read(items.load) for items in self.items]
        self._members.wait()
        words = [id_words(chunk) for chunk in self.rows["item_id"].chunks]
        self.positions = Positions(np.concatenate(words) if words else np.empty((0, 4), np.uint64))
        self.sizes, self.commits = np.zeros(len(self.rows), np.int64), np.full(len(self.rows), -1, np.int64)
        self.columns = {name: _column(self.rows, name) for name in ("label", "split", "score")}
        for task in loaded:
            task.result()
        for task in [workers.read(self._find, items) for items in self.items]:
            task.result()

    @property
    def rows(self) -> pa.Table:
        """The members."""
        return self._members.rows

    @property
    def names(self) -> Sequence[str]:
        """The labels that codes stand for."""
        return self._members.names

    def name_labels(self, names: Sequence[str]) -> None:
        """Let labels be codes in `names`, which hold all that there are."""
        self._members.name_labels(names)
        self.columns["label"] = _column(self.rows, "label")

    @cached_property
    def origins(self) -> Origins:
        """Where the rows come from; asked for the first time, the store is read for it."""
        return Origins(self._reader, self.positions, self.commits, self._as_of)

    def _find(self, items: Items) -> None:
        for rows, sizes, commits in items.find(self.positions):
            self.sizes[rows], self.commits[rows] = sizes, commits

    def order(self) -> _Integers:
        """Return the positions in the order of an export: by split, the best score first, then by id."""
        return _in_order(self.rows)


def _column(rows: pa.Table, name: str) -> np.ndarray[Any, Any]:
    """A column as an array; no label is -1, no score is not a number."""
    column = rows[name].fill_null(-1) if name == "label" else rows[name]
    return np.asarray(column.to_numpy())


def _in_order(rows: pa.Table) -> _Integers:
    """The order of the rows; nothing is sorted that lies in it already."""
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
