"""Finding the nearest key of each head: the inner loop of the bottleneck."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from curate.learners.bottleneck.machine_code import gpu_kernel, kernel, shared_out
from curate.learners.numerics import Features

Codes: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
_WORTH_A_GPU = 1_000_000  # numbers in all keys: below, copying features there takes longer than comparing them
_ITEMS_ON_GPU = 4_096
_ITEMS = 128  # items in one go: a thread keeps that many blocks of distances


class KeyIndex:
    """Keys of shape (heads, pairs, width), laid out once for many lookups.

    In machine code (see `machine_code`) distances are single precision, each item's through the same instructions, and
    a lookup takes about the time of the matrix products alone. Without, they are computed in double precision and
    rounded to single: library routines add in another order for another batch size, and the rounding hides it. Either
    way an item's codes do not depend on the items beside it. The two ways differ only where keys are equally near in
    single precision. Costs items * heads * pairs * width multiplications; memory: a copy of the keys.

    Where there is an NVIDIA GPU, many keys are compared there, in single precision too (`python -m
    benchmarks.learners_speed` times it): codes are the same but where keys are as near to the last bit.
    """

    def __init__(self, keys: Features, *, on_gpu: bool | None = None) -> None:
        """`on_gpu` forbids or asks for a GPU; None takes one where there is one and the keys are many."""
        self._keys = keys
        self._kernel = kernel()
        wanted = keys.size >= _WORTH_A_GPU if on_gpu is None else on_gpu
        gpu = gpu_kernel() if wanted else None
        self._on_gpu = None if gpu is None else gpu.GpuKeys(keys, _halves(keys))
        if self._on_gpu is None and self._kernel is not None:
            self._lay_out(keys, self._kernel.BLOCK, self._kernel.UNROLLED)

    def _lay_out(self, keys: Features, block: int, unrolled: int) -> None:
        heads, pairs, width = keys.shape
        padded = -(-pairs // block) * block if pairs > block else -(-pairs // 64) * 64
        self._transposed = np.zeros((heads, -(-width // unrolled) * unrolled, padded), np.float32)
        self._transposed[:, :width, :pairs] = keys.transpose(0, 2, 1)
        self._halves = np.full((heads, padded), np.inf, np.float32)
        self._halves[:, :pairs] = _halves(keys)

    def nearest(self, projected: Features, allowed: Mask | None = None) -> Codes:
        """Return the pair whose key lies nearest, for each item and head: int32 of shape (items, heads).

        `projected` has the shape (items, heads, width). Pairs are numbered through all heads: pair j of head c is
        c * pairs + j. `allowed`, of shape (heads, pairs), leaves pairs out of the search; each head must keep one.
        Among equally near keys the first wins.
        """
        heads, pairs, _ = self._keys.shape
        at_once = _ITEMS if self._on_gpu is None else _ITEMS_ON_GPU
        parts = [self._find(projected[at : at + at_once], allowed) for at in range(0, len(projected), at_once)]
        found: Codes = np.ascontiguousarray(np.concatenate(parts) if parts else np.zeros((0, heads), np.int32))
        found += np.arange(heads, dtype=np.int32) * np.int32(pairs)
        return found

    def _find(self, projected: Features, allowed: Mask | None) -> Codes:
        if self._on_gpu is not None:
            found: Codes = self._on_gpu.nearest(projected, allowed)
            return found
        return self._by_library(projected, allowed) if self._kernel is None else self._by_kernel(projected, allowed)

    def _by_kernel(self, projected: Features, allowed: Mask | None) -> Codes:
        assert self._kernel is not None
        items, heads, width = projected.shape
        together = self._kernel.TOGETHER
        laid_out = np.zeros((heads, -(-items // together) * together, self._transposed.shape[1]), np.float32)
        laid_out[:, :items, :width] = projected.transpose(1, 0, 2)
        halves = self._halves
        if allowed is not None:
            halves = halves.copy()
            halves[:, : allowed.shape[1]][~allowed] = np.inf
        codes: Codes = np.empty(laid_out.shape[:2], np.int32)
        run, keys = self._kernel.nearest, self._transposed
        shared_out(
            lambda part: run(laid_out[part], keys[part], halves[part], codes[part]),
            heads,
            items * self._transposed.size,
        )
        return codes[:, :items].T

    def _by_library(self, projected: Features, allowed: Mask | None) -> Codes:
        heads, pairs, _ = self._keys.shape
        codes = np.empty((len(projected), heads), dtype=np.int32)
        for head in range(heads):
            candidates = np.arange(pairs) if allowed is None else np.flatnonzero(allowed[head])
            key = self._keys[head, candidates].astype(np.float64)
            distances = 0.5 * np.square(key).sum(axis=1) - projected[:, head].astype(np.float64) @ key.T
            codes[:, head] = candidates[distances.astype(np.float32).argmin(axis=1)]
        return codes


def _halves(keys: Features) -> Features:
    halves: Features = (0.5 * np.square(keys.astype(np.float64)).sum(axis=2)).astype(np.float32)
    return halves


def nearest_pairs(projected: Features, keys: Features, allowed: Mask | None = None) -> Codes:
    """Look up once, where the keys will have moved by the next time; see `KeyIndex.nearest`."""
    return KeyIndex(keys).nearest(projected, allowed)
