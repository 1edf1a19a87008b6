"""Targets made ready for the kernel: what of a target's parse can be known before there is a source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.bits import FILTER_BITS, home, set_bit
from curate.select.lz4_kernel.instructions import compiled, load_64, store_64
from curate.select.lz4_kernel.parse import END_WITHOUT_SEARCH, HASH_MULTIPLIER, HASH_SHIFT, SLOTS
from curate.select.lz4_kernel.skeleton import Skeleton, recorded
from curate.select.packing import Texts

SHORTEST, LONGEST = 16, 32_767
"""Bytes of a target that can be made ready; others are parsed without preparation."""
_BITS = 64
_ONE = np.uint64(1)


class Groups(NamedTuple):
    """Where in the targets each key occurs, as a hash table with open addressing.

    `entries[i]` has 1 + a key, or 0; its places are the bits `masks[j]` of the words `words[j]` of the targets' bitmap,
    for j from the lower to the upper half of the entry's second word. There are 2 ** `bits` entries. `filters` has a
    bit for the hash of each key, so that most keys that are not there are known by a look into little memory.
    """

    entries: NDArray[np.uint64]
    words: NDArray[np.int32]
    masks: NDArray[np.uint64]
    filters: NDArray[np.uint64]
    bits: int


class Targets(NamedTuple):
    """Targets, and what is known of each position p.

    `slots[p]` is its place in LZ4's table, `previous[p]` the next position to the left with the same slot, or -1.
    `repeats` is a bitmap with a bit for each position whose 4 bytes and slot stand further left too: only there can a
    target match itself. Target j has the words from `words[j]` to `words[j + 1]`, and a bit where its search ends.
    `same` has for each 4 bytes with their slot, and `alike` for each 4 bytes alone, where they stand.
    `present[j]` is a bitmap of the slots that target j has; `ranks[j]` counts those before each word and
    `lasts[starts[j] + rank]` is the last position with the slot of that rank.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    slots: NDArray[np.uint16]
    previous: NDArray[np.int16]
    words: NDArray[np.int64]
    repeats: NDArray[np.uint64]
    same: Groups
    alike: Groups
    present: NDArray[np.uint64]
    ranks: NDArray[np.int16]
    lasts: NDArray[np.int16]
    skeleton: Skeleton


def prepared(texts: Texts) -> Targets:
    """Return targets of `SHORTEST` to `LONGEST` bytes made ready.

    Cost: sorting their positions. Memory: about 60 times their bytes.
    """
    lengths = np.diff(texts.starts)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(owners)) - texts.starts[owners]
    searched = np.flatnonzero(places < lengths[owners] - END_WITHOUT_SEARCH)
    owner, place = owners[searched], places[searched]
    words = _word_starts(lengths)
    bits = words[owner] * _BITS + place
    fours, slots = _grams(texts.data, searched)
    keys = fours << np.uint64(12) | slots
    all_slots = np.zeros(len(owners), dtype=np.uint16)
    all_slots[searched] = slots
    previous = np.full(len(owners), -1, dtype=np.int16)
    previous[searched] = _previous(owner * SLOTS + slots.astype(np.int64), place)
    following = np.full(len(owners), -1, dtype=np.int16)
    chained = np.flatnonzero(previous >= 0)
    following[chained - places[chained] + previous[chained]] = places[chained]
    ends = words[:-1] * _BITS + lengths - END_WITHOUT_SEARCH
    repeated = _previous(_combined(owner, keys), place) >= 0
    repeats = _bitmap(np.concatenate([bits[repeated], ends]), int(words[-1]))
    present, ranks, lasts = _slot_index(owner, place, slots, texts.starts, len(owners))
    return Targets(
        texts.data, texts.starts, all_slots, previous, words, repeats, _groups(keys, bits), _groups(fours, bits),
        present, ranks, lasts, recorded(texts.data, texts.starts, previous, following, words),
    )  # fmt: skip


def _word_starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths // _BITS + 1, out=starts[1:])
    return starts


def _grams(data: NDArray[np.uint8], positions: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the 4 bytes at each position, and the slot of the 5 bytes there."""
    word = np.zeros(len(positions), dtype=np.uint64)
    for byte in range(5):
        word |= data[positions + byte].astype(np.uint64) << np.uint64(8 * byte)
    return word & np.uint64(0xFFFF_FFFF), word * HASH_MULTIPLIER >> HASH_SHIFT


def _combined(owner: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, numbers = np.unique(keys, return_inverse=True)
    result: NDArray[np.int64] = owner * len(keys) + numbers
    return result


def _previous(labels: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each entry the place of the entry before it with the same label, or -1."""
    order = np.argsort(labels, kind="stable")
    follows = np.flatnonzero(labels[order][1:] == labels[order][:-1]) + 1
    found = np.full(len(labels), -1, dtype=np.int64)
    found[order[follows]] = places[order[follows - 1]]
    return found


def _bitmap(bits: NDArray[np.int64], words: int) -> NDArray[np.uint64]:
    flags = np.zeros(words * _BITS, dtype=np.uint8)
    flags[bits] = 1
    return np.packbits(flags, bitorder="little").view("<u8").astype(np.uint64)


def _slot_index(
    owner: NDArray[np.int64], place: NDArray[np.int64], slots: NDArray[np.uint64], starts: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint64], NDArray[np.int16], NDArray[np.int16]]:
    count, wide = len(starts) - 1, SLOTS // _BITS
    labels = owner * SLOTS + slots.astype(np.int64)
    distinct, newest = np.unique(labels[::-1], return_index=True)
    present = _bitmap(distinct, count * wide)
    ranks = np.searchsorted(distinct, np.arange(count * wide) * _BITS).reshape(count, wide)
    firsts = ranks[:, :1]
    lasts = np.zeros(size, dtype=np.int16)
    owners = distinct // SLOTS
    lasts[starts[owners] + np.arange(len(distinct)) - firsts[owners, 0]] = place[::-1][newest]
    return present.reshape(count, wide), (ranks - firsts).astype(np.int16), lasts


def _groups(keys: NDArray[np.uint64], bits: NDArray[np.int64]) -> Groups:
    order = np.lexsort((bits, keys))
    keys, words, masks = keys[order] + _ONE, bits[order] // _BITS, _ONE << (bits[order] % _BITS).astype(np.uint64)
    first = np.ones(len(keys), dtype=np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (words[1:] != words[:-1])
    begins = np.flatnonzero(first)
    distinct, starts = np.unique(keys[begins], return_index=True)
    table_bits = (2 * len(distinct)).bit_length()
    entries = np.zeros((1 << table_bits, 2), dtype=np.uint64)
    filters = np.zeros(1 << max(table_bits + FILTER_BITS - 6, 0), dtype=np.uint64)
    bounds = np.append(starts, len(begins)).astype(np.uint64)
    spans = bounds[:-1] | bounds[1:] << np.uint64(32)
    _place(distinct.ctypes.data, spans.ctypes.data, len(distinct), entries.ctypes.data, filters.ctypes.data, table_bits)
    return Groups(entries, words[begins].astype(np.int32), np.bitwise_or.reduceat(masks, begins), filters, table_bits)


@compiled
def _place(keys: int, spans: int, count: int, entries: int, filters: int, bits: int) -> None:
    for number in range(count):
        key = load_64(keys + 8 * number)
        set_bit(filters, home(key, bits + FILTER_BITS))
        place = home(key, bits)
        while load_64(entries + 16 * place) != 0:
            place = (place + 1) & ((1 << bits) - 1)
        store_64(entries + 16 * place, key)
        store_64(entries + 16 * place + 8, load_64(spans + 8 * number))
