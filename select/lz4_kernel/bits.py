"""Bitmaps of 64-bit words at an address, and hash tables that say which bits a key has."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.select.lz4_kernel.instructions import compiled, load_64, load_signed_32, store_64, trailing_zeros

WORD_BITS = 64
FILTER_BITS = 2
"""A hash table's filter has 2 ** FILTER_BITS bits for each of its entries."""
_ONE, _ALL = np.uint64(1), np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_MULTIPLIER = np.uint64(0x9E37_79B9_7F4A_7C15)


@compiled
def bit(bitmap: int, place: int) -> Any:
    """Say whether a bit is set."""
    return (load_64(bitmap + (place >> 6 << 3)) >> np.uint64(place & 63)) & _ONE != 0


@compiled
def set_bit(bitmap: int, place: int) -> None:
    """Set a bit."""
    word = bitmap + (place >> 6 << 3)
    store_64(word, load_64(word) | _ONE << np.uint64(place & 63))


@compiled
def set_bits(bitmap: int, first: int, last: int) -> None:
    """Set the bits from `first` to `last`, both included; none if `last` lies before `first`."""
    if last < first:
        return
    word, final = bitmap + (first >> 6 << 3), bitmap + (last >> 6 << 3)
    mask = _ALL << np.uint64(first & 63)
    while word < final:
        store_64(word, load_64(word) | mask)
        mask = _ALL
        word += 8
    store_64(word, load_64(word) | mask & (_ALL >> np.uint64(63 - (last & 63))))


@compiled
def clear_bits(bitmap: int, first: int, last: int) -> None:
    """Clear the bits from `first` to `last`, both included; none if `last` lies before `first`."""
    if last < first:
        return
    word, final = bitmap + (first >> 6 << 3), bitmap + (last >> 6 << 3)
    mask = _ALL << np.uint64(first & 63)
    while word < final:
        store_64(word, load_64(word) & ~mask)
        mask = _ALL
        word += 8
    store_64(word, load_64(word) & ~(mask & (_ALL >> np.uint64(63 - (last & 63)))))


@compiled
def next_bit(bitmap: int, place: int) -> Any:
    """Return the place of the first bit from a place on; there must be one."""
    rest = load_64(bitmap + (place >> 6 << 3)) >> np.uint64(place & 63)
    if rest != 0:
        return place + trailing_zeros(rest)
    word = place >> 6
    while rest == 0:
        word += 1
        rest = load_64(bitmap + (word << 3))
    return (word << 6) + trailing_zeros(rest)


@compiled
def home(key: Any, bits: int) -> Any:
    """Return the first `bits` bits of a key's hash."""
    return np.int64((key * _MULTIPLIER) >> np.uint64(64 - bits))


@compiled
def set_bits_of(entries: int, words: int, masks: int, filters: int, bits: int, key: Any, bitmap: int) -> None:
    """Set all bits that a key has; see `groups.Groups` for what the addresses are of."""
    if not bit(filters, home(key, bits + FILTER_BITS)):
        return
    place = home(key, bits)
    while load_64(entries + (place << 4)) != key:
        if load_64(entries + (place << 4)) == 0:
            return
        place = (place + 1) & ((1 << bits) - 1)
    first, last = load_signed_32(entries + (place << 4) + 8), load_signed_32(entries + (place << 4) + 12)
    for entry in range(first, last):
        word = bitmap + (load_signed_32(words + (entry << 2)) << 3)
        store_64(word, load_64(word) | load_64(masks + (entry << 3)))
