"""The bottleneck's two inner loops in machine code; `lookup` and `values` say what they compute, and do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 512  # pairs whose keys stay in the first cache: BLOCK * width * 4 bytes
TOGETHER = 2  # items that share each load of a key
UNROLLED = 4  # dimensions in one go
_RELAXED = {"nnan", "nsz", "contract"}  # no NaN comes in, and a multiplication may be fused with its addition


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile to machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:
        return njit(nogil=True, **options)(function)


def _measure(one: Any, other: Any, keys: Any, half: Any, first: Any, second: Any) -> Any:
    """Write half - item · key of two items and a block of keys (width, pairs); return the least of each."""
    width, size = keys.shape
    for j in range(size):
        first[j] = half[j]
        second[j] = half[j]
    for d in range(0, width, UNROLLED):
        a, b, c, e = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
        p, q, r, s = one[d], one[d + 1], one[d + 2], one[d + 3]
        t, u, v, w = other[d], other[d + 1], other[d + 2], other[d + 3]
        for j in range(size):
            first[j] -= p * a[j] + q * b[j] + r * c[j] + s * e[j]
            second[j] -= t * a[j] + u * b[j] + v * c[j] + w * e[j]
    least, less = np.float32(np.inf), np.float32(np.inf)
    for j in range(size):
        least = min(least, first[j])
        less = min(less, second[j])
    return least, less


_measured = _compiled(_measure, fastmath=_RELAXED)


def _nearest(
    projected: NDArray[np.float32], keys: NDArray[np.float32], halves: NDArray[np.float32], codes: NDArray[np.int32]
) -> None:
    """Write the pair with the least `halves - projected · keys` of each item and head into `codes`.

    `projected` is (heads, items, width), `keys` (heads, width, pairs), `halves` (heads, pairs), `codes` (heads, items):
    items a multiple of TOGETHER, width of UNROLLED, pairs of BLOCK or below it. Each item passes through the same
    instructions whatever stands beside it.
    """
    heads, items, _ = projected.shape
    pairs = keys.shape[2]
    size = min(BLOCK, pairs)
    first, second = np.empty(size, np.float32), np.empty(size, np.float32)
    kept = np.empty((items, size), np.float32)
    for head in range(heads):
        best, pair = np.full(items, np.inf, np.float32), np.zeros(items, np.int32)
        for start in range(0, pairs, size):
            block, half = keys[head, :, start : start + size], halves[head, start : start + size]
            for item in range(0, items, TOGETHER):
                least, less = _measured(projected[head, item], projected[head, item + 1], block, half, first, second)
                if least < best[item]:
                    best[item], pair[item] = least, start
                    kept[item, :] = first
                if less < best[item + 1]:
                    best[item + 1], pair[item + 1] = less, start
                    kept[item + 1, :] = second
        for item in range(items):
            place = 0
            while place < size - 1 and kept[item, place] != best[item]:
                place += 1
            codes[head, item] = pair[item] + place


nearest = _compiled(_nearest, fastmath=_RELAXED)


def _add_up(rows: NDArray[np.float32], slots: NDArray[np.int32], total: NDArray[np.float64]) -> None:
    """Write the mean of the rows at `slots` (items, heads) into `total` (items, columns), added head by head."""
    items, heads = slots.shape
    columns = rows.shape[1]
    for item in range(items):
        for column in range(columns):
            total[item, column] = 0.0
        for head in range(heads):
            slot = slots[item, head]
            for column in range(columns):
                total[item, column] += rows[slot, column]
        for column in range(columns):
            total[item, column] /= heads


add_up = _compiled(_add_up)


def _subtract(rows: NDArray[np.float32], slots: NDArray[np.int32], step: NDArray[np.float32]) -> None:
    """Take each item's `step` (items, columns) from its rows; heads own their rows, so threads may share heads."""
    items, heads = slots.shape
    columns = rows.shape[1]
    for head in range(heads):
        for item in range(items):
            slot = slots[item, head]
            for column in range(columns):
                rows[slot, column] -= step[item, column]


subtract = _compiled(_subtract)
