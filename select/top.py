"""The best K of a stream of scored items, in memory bounded by K."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


class TopK:
    """Keeps the K items of highest score that were offered; an item offered again counts once, with its best score.

    The result does not depend on the order or the batches in which items arrive: equal scores go by item id, and equal
    items by their other columns. NaN is no score and never enters; `scored` and `without_score` count what was offered,
    arrivals rather than items.

    Memory: 2 K rows and one batch. Cost: O(n log K) over n offered rows.

    >>> import pyarrow as pa
    >>> best = TopK(2)
    >>> best.offer(pa.table({"item_id": ["a", "b", "c"], "score": [0.1, 0.3, float("nan")]}))
    >>> best.offer(pa.table({"item_id": ["d"], "score": [0.2]}))
    >>> best.table().to_pydict()
    {'item_id': ['b', 'd'], 'score': [0.3, 0.2]}

    Raises:
        UsageError: K is not positive.
    """

    def __init__(self, k: int) -> None:
        if k < 1:
            raise UsageError(f"the best {k} items are none", hint="ask for at least one")
        self.k = k
        self.scored = self.without_score = 0
        self._kept: list[pa.Table] = []
        self._floor = float("-inf")

    def offer(self, items: pa.Table) -> None:
        """Take a batch with the columns `item_id` (string) and `score` (float64), and any others of sortable types."""
        import pyarrow.compute as pc

        score = items["score"]
        usable = items.filter(pc.fill_null(pc.invert(pc.is_nan(score)), False))
        self.scored += usable.num_rows
        self.without_score += items.num_rows - usable.num_rows
        self._kept.append(usable.filter(pc.greater_equal(usable["score"], self._floor)))
        if sum(each.num_rows for each in self._kept) > 2 * self.k:
            self._prune()

    def table(self) -> pa.Table:
        """Return the kept rows, best first, at most K; the columns are those offered.

        Raises:
            UsageError: nothing was ever offered, so that the columns are unknown.
        """
        if not self._kept:
            raise UsageError("no item was offered", hint="offer at least one batch, empty or not")
        self._prune()
        return self._kept[0]

    def _prune(self) -> None:
        import pyarrow as pa

        every = pa.concat_tables(self._kept)
        others = [(name, "ascending") for name in every.column_names if name != "score"]
        ordered: Any = every.sort_by([("score", "descending"), ("item_id", "ascending"), *others])
        best = _first_of_each(ordered).slice(0, self.k).combine_chunks()
        self._kept = [best]
        if best.num_rows == self.k:
            self._floor = best["score"][-1].as_py()


def _first_of_each(ordered: pa.Table) -> pa.Table:
    import pyarrow as pa

    numbered = pa.table({"item_id": ordered["item_id"], "row": pa.array(range(ordered.num_rows), pa.int64())})
    rows = numbered.group_by("item_id").aggregate([("row", "min")])["row_min"]
    return ordered if len(rows) == ordered.num_rows else ordered.take(rows.sort())
