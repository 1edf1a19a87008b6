"""Finding items of one list in another by their ids, in arrays of eight bytes instead of strings of 64 characters."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import StoreError

_DIGITS = 64
_ODD = 0x9E37_79B9_7F4A_7C15
_Words = np.ndarray[Any, np.dtype[np.uint64]]
_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Positions = np.ndarray[Any, np.dtype[np.int32]]


def id_words(ids: pa.Array) -> _Words:
    """Return the first 32 of each id's 64 hexadecimal digits as four numbers, shape (ids, 4): half of its 256 bits.

    Ids of another length are hashed first.
    """
    _, offsets, data = ids.buffers()
    borders = np.frombuffer(offsets or b"\0\0\0\0", np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if ids.null_count or bool((np.diff(borders) != _DIGITS).any()):
        return id_words(pa.array([_digits(item) for item in ids.to_pylist()], pa.string()))
    if not len(ids):
        return np.empty((0, 4), np.uint64)
    digits = np.frombuffer(data, np.uint8)[borders[0] : borders[-1]]
    return digits.reshape(-1, _DIGITS)[:, : _DIGITS // 2].copy().view(np.uint64)


class Positions:
    """Where each of many ids stands; `words` are those of `id_words`, shape (ids, 4).

    An id is known by two numbers of 64 bits, which both must agree. They are found by hash tables: whose place in a
    table another id took, stands in the next one. Memory: about 40 bytes an id.

    Raises:
        StoreError: an id is there twice.
    """

    def __init__(self, words: _Words) -> None:
        self._keys = _keys(words)
        self._tables: list[_Table] = []
        left = np.arange(len(words), dtype=np.int32)
        while len(left):
            table = _Table(len(self._tables), len(left))
            left = table.fill(self._keys[left, 0], left)
            taken_by = table.look_up(self._keys[left, 0])
            if bool((self._keys[taken_by] == self._keys[left]).all(axis=1).any()):
                raise StoreError("an item is listed twice", unchanged="nothing was written", hint="curate doctor")
            self._tables.append(table)

    def __len__(self) -> int:
        """How many ids there are."""
        return len(self._keys)

    def find(self, words: _Words) -> _Integers:
        """Return the position of each of the ids with these words, -1 where it is not known."""
        keys = _keys(words)
        found = np.full(len(keys), -1, np.int64)
        open_ids: _Integers | None = None  # all of them, in the first table
        for table in self._tables:
            wanted = keys if open_ids is None else keys[open_ids]
            there = table.look_up(wanted[:, 0])
            held = self._keys[there]
            hits = (held[:, 0] == wanted[:, 0]) & (held[:, 1] == wanted[:, 1]) & (there >= 0)
            if open_ids is None:
                found = np.where(hits, there, np.int64(-1))
                open_ids = np.flatnonzero(~hits & (there >= 0))
            else:
                found[open_ids[hits]] = there[hits]
                open_ids = open_ids[~hits & (there >= 0)]
        return found


class _Table:
    """A hash table of positions, at most half full; each table spreads the keys in a way of its own."""

    def __init__(self, number: int, count: int) -> None:
        self._odd = np.uint64(pow(_ODD, number + 1, 2**64))
        bits = max(4, (2 * count).bit_length())
        self._shift = np.uint64(64 - bits)
        self._positions = np.full(1 << bits, -1, np.int32)

    def fill(self, keys: _Words, positions: _Positions) -> _Positions:
        """Put positions in, and return those for which there was no place."""
        slots = self._slots(keys)
        self._positions[slots] = positions
        left: _Positions = positions[self._positions[slots] != positions]
        return left

    def look_up(self, keys: _Words) -> _Positions:
        """Return what stands at the places of these keys, -1 for nothing."""
        found: _Positions = self._positions[self._slots(keys)]
        return found

    def _slots(self, keys: _Words) -> _Integers:
        return (keys * self._odd >> self._shift).astype(np.int64)


def _keys(words: _Words) -> _Words:
    odd = np.uint64(_ODD)
    keys = np.empty((len(words), 2), np.uint64)
    keys[:, 0], keys[:, 1] = words[:, 0] * odd + words[:, 1], words[:, 2] * odd + words[:, 3]
    return keys


def _digits(item: str | None) -> str:
    name = item or ""
    return name if len(name.encode()) == _DIGITS else hashlib.sha256(name.encode()).hexdigest()
