"""Finding the nearest key of each head: the inner loop of the bottleneck."""

from typing import Any, TypeAlias

import numpy as np

from curate.learners.numerics import Features

Codes: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


def nearest_pairs(projected: Features, keys: Features, allowed: Mask | None = None) -> Codes:
    """Return the pair whose key lies nearest, for each item and head: int32 of shape (items, heads).

    `projected` has the shape (items, heads, width), `keys` (heads, pairs, width). Pairs are numbered through all heads:
    pair j of head c is c * pairs + j. `allowed`, of shape (heads, pairs), leaves pairs out of the search; each head
    must keep one. Among equally near keys the first wins.

    The squared distance is computed without its constant |h|² in double precision and then rounded to single: library
    routines add in another order for another batch size, and the rounding hides it, so that an item's codes do not
    depend on the items beside it. Costs items * heads * pairs * width multiplications and items * pairs * 8 bytes.
    """
    heads, pairs, _ = keys.shape
    codes = np.empty((len(projected), heads), dtype=np.int32)
    for head in range(heads):
        candidates = np.arange(pairs) if allowed is None else np.flatnonzero(allowed[head])
        key = keys[head, candidates].astype(np.float64)
        distances = 0.5 * np.square(key).sum(axis=1) - projected[:, head].astype(np.float64) @ key.T
        codes[:, head] = head * pairs + candidates[distances.astype(np.float32).argmin(axis=1)]
    return codes
