"""The value table: the only part of the bottleneck that labels change, and only where an item fetches."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from curate.learners.bottleneck.lookup import Codes, Mask
from curate.learners.numerics import Array, Floats, Integers, grouped_sum, smoothed_error


class ValueTable:
    """One row of class scores for each pair, zero until an item fetches it, and how many items have fetched it.

    `rows` is float32 of shape (pairs of all heads, classes), `usage` int64 of shape (pairs of all heads,). An item's
    logits are the mean of the rows that it fetches, one in each head.

    The table begins with `reserved` columns and doubles when they run out. A softmax over the classes met so far would
    push a class learned as the second of two by 1/2 and the tenth of ten by 9/10, and the late would win over the
    early: on handwritten digits that costs 1.4 points of accuracy and 2.6 of forgetting.
    """

    def __init__(self, pairs: int, reserved: int) -> None:
        self.rows = np.zeros((pairs, reserved), dtype=np.float32)
        self.usage = np.zeros(pairs, dtype=np.int64)

    @property
    def written(self) -> Mask:
        """The pairs that some item has fetched while learning: boolean of shape (pairs of all heads,)."""
        return self.usage > 0

    def widen(self, classes: int) -> None:
        """Make room for this many classes: new columns are zeros at the end, the others stay as they are."""
        width = self.rows.shape[1]
        if classes > width:
            self.rows = np.pad(self.rows, ((0, 0), (0, max(classes, 2 * width) - width)))

    def logits(self, codes: Codes) -> Floats:
        """Return the mean of the fetched rows, added head by head: float64 of shape (items, columns)."""
        total = np.zeros((len(codes), self.rows.shape[1]))
        for head in codes.T:
            total += self.rows[head]
        total /= codes.shape[1]
        return total

    def count(self, codes: Codes) -> None:
        """Note that these items, each counted once however often it is gone through, have fetched these pairs."""
        self.usage += np.bincount(codes.ravel(), minlength=len(self.usage))

    def descend(self, codes: Codes, targets: Integers, *, rate: float, smoothing: float, clip: float) -> None:
        """Take one step down the mean smoothed cross-entropy's gradient, in the fetched rows and nowhere else.

        The gradient's norm, over all rows, is cut down to `clip` first.
        """
        items, heads = codes.shape
        error = smoothed_error(self.logits(codes), targets, smoothing) / (items * heads)
        fetched, gradient = grouped_sum(codes.ravel(), error, shared=heads)
        norm = float(np.sqrt(np.square(gradient).sum()))
        self.rows[fetched] -= (rate * min(1.0, clip / max(norm, clip)) * gradient).astype(np.float32)

    def arrays(self) -> dict[str, Array]:
        """Return the written rows only, with their pairs and usage: most of a large table is zero."""
        pairs = np.flatnonzero(self.usage)
        return {"pairs": pairs, "usage": self.usage[pairs], "values": self.rows[pairs]}

    @classmethod
    def restore(cls, pairs: int, arrays: Mapping[str, Array]) -> Self:
        """Take over the arrays of a saved state."""
        table = cls(pairs, arrays["values"].shape[1])
        table.usage[arrays["pairs"]] = arrays["usage"]
        table.rows[arrays["pairs"]] = arrays["values"]
        return table
