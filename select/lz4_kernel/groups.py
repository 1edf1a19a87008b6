"""Where in many texts a key occurs: a hash table from keys to bits of a bitmap, filled in linear time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.bits import FILTER_BITS, WORD_BITS, home, set_bit
from curate.select.lz4_kernel.instructions import (
    compiled,
    load_64,
    load_signed_32,
    load_signed_64,
    store_32,
    store_64,
)

_ONE = np.uint64(1)


class Groups(NamedTuple):
    """Where each key occurs, as a hash table with open addressing.

    `entries[i]` has 1 + a key, or 0; its places are the bits `masks[j]` of the words `words[j]` of the bitmap,
    for j from the lower to the upper half of the entry's second word. There are 2 ** `bits` entries. `filters` has a
    bit for the hash of each key, so that most keys that are not there are known by a look into little memory.
    """

    entries: NDArray[np.uint64]
    words: NDArray[np.int32]
    masks: NDArray[np.uint64]
    filters: NDArray[np.uint64]
    bits: int


def grouped(keys: NDArray[np.uint64], places: NDArray[np.int64]) -> Groups:
    """Return where each key occurs; `keys` are 1 + a key, `places` the bits of each, in ascending order."""
    many = (2 * len(keys)).bit_length()
    counts = np.zeros((1 << many, 2), dtype=np.uint64)
    distinct, total = _count(keys.ctypes.data, places.ctypes.data, len(keys), counts.ctypes.data, many)
    bits = (2 * distinct).bit_length()
    entries = np.zeros((1 << bits, 2), dtype=np.uint64)
    filters = np.zeros(max(1 << bits + FILTER_BITS, WORD_BITS) // WORD_BITS, dtype=np.uint64)
    words, masks = np.zeros(total, dtype=np.int32), np.zeros(total, dtype=np.uint64)
    _place(counts.ctypes.data, many, entries.ctypes.data, filters.ctypes.data, bits)
    arrays = keys, places, entries, words, masks
    _fill(len(keys), *(array.ctypes.data for array in arrays), bits)
    return Groups(entries, words, masks, filters, bits)


@compiled
def _entry(entries: int, bits: int, key: Any) -> Any:
    """Return the address of a key's entry, or of the free one where it belongs."""
    place = home(key, bits)
    while load_64(entries + (place << 4)) != key and load_64(entries + (place << 4)) != 0:
        place = (place + 1) & ((1 << bits) - 1)
    return entries + (place << 4)


@compiled
def _count(keys: int, places: int, number: int, counts: int, bits: int) -> Any:
    """Count for each key in how many words it has bits; return how many keys and how many words there are in all.

    An entry's second word has the count in its upper half and 1 + the latest word in its lower.
    """
    distinct, total = 0, 0
    for index in range(number):
        key = load_64(keys + 8 * index)
        entry = _entry(counts, bits, key)
        word = (load_signed_64(places + 8 * index) >> 6) + 1
        if load_64(entry) == 0:
            store_64(entry, key)
            distinct += 1
        if load_signed_32(entry + 8) != word:
            store_32(entry + 8, word)
            store_32(entry + 12, load_signed_32(entry + 12) + 1)
            total += 1
    return distinct, total


@compiled
def _place(counts: int, many: int, entries: int, filters: int, bits: int) -> None:
    """Enter the keys into the final table, each with an empty span where its words will lie."""
    first = 0
    for number in range(1 << many):
        key = load_64(counts + 16 * number)
        if key != 0:
            set_bit(filters, home(key, bits + FILTER_BITS))
            entry = _entry(entries, bits, key)
            store_64(entry, key)
            store_32(entry + 8, first)
            store_32(entry + 12, first)
            first += load_signed_32(counts + 16 * number + 12)


@compiled
def _fill(number: int, keys: int, places: int, entries: int, words: int, masks: int, bits: int) -> None:
    for index in range(number):
        entry = _entry(entries, bits, load_64(keys + 8 * index))
        place = load_signed_64(places + 8 * index)
        first, last = load_signed_32(entry + 8), load_signed_32(entry + 12)
        if last == first or load_signed_32(words + 4 * (last - 1)) != place >> 6:
            store_32(words + 4 * last, place >> 6)
            last += 1
            store_32(entry + 12, last)
        mask = masks + 8 * (last - 1)
        store_64(mask, load_64(mask) | _ONE << np.uint64(place & 63))
