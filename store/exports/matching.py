"""Finding items of one list in another by their ids, in arrays of eight bytes instead of strings of 64 characters."""

from typing import Any

import numpy as np
import pyarrow as pa

_DIGITS = 64
_ODD = np.uint64(0x9E37_79B9_7F4A_7C15)
_Words = np.ndarray[Any, np.dtype[np.uint64]]
_Integers = np.ndarray[Any, np.dtype[np.int64]]


class UnfitIdsError(ValueError):
    """Ids are not 64 hexadecimal digits, or two of them agree in the digits that are compared."""


class Positions:
    """Where each of many ids stands.

    An id is known by 128 of its 256 bits, as two numbers of 64 bits: one is searched, the other one must agree.
    Memory: 32 bytes an id. Raises `UnfitIdsError` wherever that is not enough to tell ids apart.
    """

    def __init__(self, ids: pa.ChunkedArray) -> None:
        words = [_words(chunk) for chunk in ids.chunks] or [(np.empty(0, np.uint64), np.empty(0, np.uint64))]
        first, second = (np.concatenate(part) for part in zip(*words, strict=True))
        self._order = np.argsort(first)
        self._first = first[self._order]
        self._second = second[self._order]
        if len(first) > 1 and bool((self._first[1:] == self._first[:-1]).any()):
            raise UnfitIdsError("two ids agree in the digits that are compared")

    def find(self, ids: pa.Array) -> _Integers:
        """Return the position of each of `ids`, -1 where it is not among them. Cost: a sort of `ids`."""
        first, second = _words(ids)
        found = np.full(len(first), -1, np.int64)
        if not len(self._first):
            return found
        order = np.argsort(first)  # neighbours are then looked up in memory that was just read
        wanted = first[order]
        places = np.minimum(np.searchsorted(self._first, wanted), len(self._first) - 1)
        hits = self._first[places] == wanted
        places, order = places[hits], order[hits]
        if bool((self._second[places] != second[order]).any()):
            raise UnfitIdsError("two ids agree in the digits that are compared")
        found[order] = self._order[places]
        return found


def _words(ids: pa.Array) -> tuple[_Words, _Words]:
    """The first 32 digits of each id as two numbers, each of 16 digits."""
    _, offsets, data = ids.buffers()
    borders = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if ids.null_count or bool((np.diff(borders) != _DIGITS).any()):
        raise UnfitIdsError(f"an id does not have {_DIGITS} digits")
    if not len(ids):
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    digits = np.frombuffer(data, np.uint8)[borders[0] : borders[-1]]
    quarters = digits.reshape(-1, _DIGITS)[:, : _DIGITS // 2].copy().view(np.uint64)
    return quarters[:, 0] * _ODD + quarters[:, 1], quarters[:, 2] * _ODD + quarters[:, 3]
