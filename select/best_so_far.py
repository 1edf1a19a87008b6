"""The K best scores of a race so far: what a newcomer must reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Rows = NDArray[np.int64]


class BestSoFar:
    """Keeps the K best exact scores over parts of a stream, an item counted once, with its best score.

    If an item that comes often counted each time, its copies alone would fill the K places, and whatever is not as good
    as that item would leave the race. Memory: K scores, and with ids K ids and those of one part.
    """

    def __init__(self, k: int) -> None:
        import numpy as np

        self._k = k
        self._scores: Numbers = np.empty(0)
        self._who: Rows = np.empty(0, dtype=np.int64)
        self._part: Rows = np.empty(0, dtype=np.int64)
        self._names: pa.Array | None = None
        self._alone = True

    def begin(self, item_ids: pa.Array | pa.ChunkedArray | None) -> None:
        """Take the ids of the next part's rows; None: every row is an item of its own."""
        import pyarrow as pa

        if item_ids is None:
            return
        ids = item_ids.combine_chunks() if isinstance(item_ids, pa.ChunkedArray) else item_ids
        ids = ids.cast(pa.large_string())
        kept = self._names.take(pa.array(self._who)) if self._names is not None else ids.slice(0, 0)
        coded = pa.concat_arrays([kept, ids]).dictionary_encode(null_encoding="encode")
        codes = coded.indices.to_numpy(zero_copy_only=False).astype("int64")
        self._names, self._alone = coded.dictionary, len(coded.dictionary) == len(coded)
        self._who, self._part = codes[: len(kept)], codes[len(kept) :]

    def repeated(self) -> Rows | None:
        """Return a number for each row of the part, the same for those of one item; None where no item comes twice."""
        import numpy as np

        return None if len(np.unique(self._part)) == len(self._part) else self._part

    def note(self, rows: Rows, exact: Numbers) -> None:
        """Take the exact scores of some rows of the part."""
        self._scores, self._who = self._best_of(rows, exact)

    def threshold(self, rows: Rows, expected: Numbers) -> float:
        """Return the K-th best of the scores so far and of those that rows are expected to have, or minus infinity."""
        scores, _ = self._best_of(rows, expected)
        return float(scores.min()) if len(scores) >= self._k else float("-inf")

    def _best_of(self, rows: Rows, scores: Numbers) -> tuple[Numbers, Rows]:
        """Return the K best of the scores so far and these (fewer, if there are fewer), and whose they are."""
        import numpy as np

        every = np.concatenate([self._scores, scores])
        if self._names is None:
            return (np.partition(every, len(every) - self._k)[-self._k :] if len(every) > self._k else every), self._who
        who = np.concatenate([self._who, self._part[rows]])
        if not self._alone:
            order = np.argsort(-every, kind="stable")
            _, first = np.unique(who[order], return_index=True)
            every, who = every[order[first]], who[order[first]]
        if len(every) > self._k:
            best = np.argpartition(every, len(every) - self._k)[-self._k :]
            every, who = every[best], who[best]
        return every, who
