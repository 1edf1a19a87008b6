"""The value table: the only part of the bottleneck that labels change, and only where an item fetches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from curate.learners.bottleneck.lookup import Codes, Mask
from curate.learners.bottleneck.machine_code import kernel, shared_out
from curate.learners.numerics import Array, Features, Floats, Integers, grouped_sum, smoothed_error

_FIRST_ROWS = 1024


class ValueTable:
    """One row of class scores for each pair, zero until an item fetches it, and how many items have fetched it.

    `usage` is int64 of shape (pairs of all heads,). Only rows that were ever fetched exist; `slots` says where, and row
    0 stands for all others and stays zero. Memory: 12 bytes a pair, and 4 bytes a class of each fetched pair. An item's
    logits are the mean of the rows that it fetches, one in each head.

    The table begins with `reserved` columns and doubles when they run out. A softmax over the classes met so far would
    push a class learned as the second of two by 1/2 and the tenth of ten by 9/10, and the late would win over the
    early: on handwritten digits that costs 1.4 points of accuracy and 2.6 of forgetting.
    """

    def __init__(self, pairs: int, reserved: int) -> None:
        self.usage = np.zeros(pairs, dtype=np.int64)
        self._slots = np.zeros(pairs, dtype=np.int32)
        self._rows = np.zeros((1, reserved), dtype=np.float32)
        self._used = 1

    @property
    def written(self) -> Mask:
        """The pairs that some item has fetched while learning: boolean of shape (pairs of all heads,)."""
        return self.usage > 0

    @property
    def columns(self) -> int:
        """How many classes there is room for."""
        return self._rows.shape[1]

    @property
    def rows(self) -> Features:
        """A copy of the whole table with its zero rows: float32 of shape (pairs of all heads, columns)."""
        return self._rows[self._slots]

    def widen(self, classes: int) -> None:
        """Make room for this many classes: new columns are zeros at the end, the others stay as they are."""
        if classes > self.columns:
            self._rows = np.pad(self._rows, ((0, 0), (0, max(classes, 2 * self.columns) - self.columns)))

    def logits(self, codes: Codes) -> Floats:
        """Return the mean of the fetched rows, added head by head: float64 of shape (items, columns)."""
        return self._mean(self._slots[codes])

    def _mean(self, slots: Codes) -> Floats:
        total = np.zeros((len(slots), self.columns))
        if compiled := kernel():
            run, rows = compiled.add_up, self._rows
            shared_out(lambda part: run(rows, slots[part], total[part]), len(slots), 8 * slots.size * self.columns)
            return total
        for head in slots.T:
            total += self._rows[head]
        total /= slots.shape[1]
        return total

    def count(self, codes: Codes) -> None:
        """Note that these items, each counted once however often it is gone through, have fetched these pairs."""
        self.usage += np.bincount(codes.ravel(), minlength=len(self.usage))
        self._make_rows(codes)

    def _make_rows(self, codes: Codes) -> None:
        fetched = np.zeros(len(self._slots), dtype=np.bool_)
        fetched[codes.ravel()] = True
        fresh = np.flatnonzero(fetched & (self._slots == 0))
        wanted = self._used + len(fresh)
        if wanted > len(self._rows):
            most = len(self._slots) + 1
            room = min(most, max(wanted + wanted // 4, _FIRST_ROWS))
            self._rows = np.pad(self._rows, ((0, room - len(self._rows)), (0, 0)))
        self._slots[fresh] = np.arange(self._used, wanted, dtype=np.int32)
        self._used = wanted

    def descend(self, codes: Codes, targets: Integers, *, rate: float, smoothing: float, clip: float) -> None:
        """Take one step down the mean smoothed cross-entropy's gradient, in the fetched rows and nowhere else.

        The gradient's norm, over all rows, is cut down to `clip` first. It is at most √(2 / heads): every item adds at
        most √2 / (items * heads) in each head. So with the paper's bound of 1 nothing is ever cut from two heads on.
        """
        self._make_rows(codes)
        items, heads = codes.shape
        slots = self._slots[codes]
        error = smoothed_error(self._mean(slots), targets, smoothing) / (items * heads)
        compiled = kernel()
        if compiled and clip * clip * heads >= 2.0:
            run, rows, step = compiled.subtract, self._rows, (rate * error).astype(np.float32)
            shared_out(lambda part: run(rows, slots[:, part], step), heads, 8 * slots.size * self.columns)
            return
        fetched, gradient = grouped_sum(slots.ravel(), error, shared=heads)
        norm = float(np.sqrt(np.square(gradient).sum()))
        self._rows[fetched] -= (rate * min(1.0, clip / max(norm, clip)) * gradient).astype(np.float32)

    def forget(self, codes: Codes) -> int:
        """Set every pair that these items fetch back to never written, and return how many that were written."""
        fetched = np.unique(codes)
        removed = int((self.usage[fetched] > 0).sum())
        self.usage[fetched] = 0
        slots = self._slots[fetched]
        self._rows[slots] = 0.0
        return removed

    def arrays(self) -> dict[str, Array]:
        """Return the written rows only, with their pairs and usage: most of a large table is zero."""
        pairs = np.flatnonzero(self.usage)
        return {"pairs": pairs, "usage": self.usage[pairs], "values": self._rows[self._slots[pairs]]}

    @classmethod
    def restore(cls, pairs: int, arrays: Mapping[str, Array]) -> Self:
        """Take over the arrays of a saved state."""
        table = cls(pairs, arrays["values"].shape[1])
        table.usage[arrays["pairs"]] = arrays["usage"]
        table._make_rows(arrays["pairs"])
        table._rows[table._slots[arrays["pairs"]]] = arrays["values"]
        return table
