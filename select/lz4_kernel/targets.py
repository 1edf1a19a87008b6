"""Targets made ready for the kernel: what of a target's parse can be known before there is a source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.bits import WORD_BITS, set_bit
from curate.select.lz4_kernel.groups import Groups, grouped
from curate.select.lz4_kernel.instructions import (
    clear,
    compiled,
    load_32,
    load_position,
    load_signed_16,
    load_signed_64,
    store_16,
    store_64,
)
from curate.select.lz4_kernel.parse import END_WITHOUT_SEARCH, SLOTS, slot_of
from curate.select.lz4_kernel.skeleton import Skeleton, recorded
from curate.select.packing import Texts

SHORTEST, LONGEST = 16, 32_767
"""Bytes of a target that can be made ready; others are parsed without preparation."""
_ONE = np.uint64(1)


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

    Cost: a few passes over their bytes. Memory: about 60 times their bytes.
    """
    count, size = len(texts.starts) - 1, int(texts.starts[-1])
    words = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(texts.lengths // WORD_BITS + 1, out=words[1:])
    slots, lasts = np.zeros(size, dtype=np.uint16), np.zeros(size, dtype=np.int16)
    previous, following = np.full((2, size), -1, dtype=np.int16)
    repeats = np.zeros(int(words[-1]), dtype=np.uint64)
    present, ranks = (np.zeros((count, SLOTS // WORD_BITS), dtype=kind) for kind in (np.uint64, np.int16))
    searched = size - count * END_WITHOUT_SEARCH
    same, alike = np.zeros((2, searched), dtype=np.uint64)
    places, newest = np.zeros(searched, dtype=np.int64), np.zeros(SLOTS, dtype=np.uint16)
    arrays = texts.data, texts.starts, words, slots, previous, following, repeats, present, ranks, lasts
    others = same, alike, places, newest
    _lay_all(count, _Layout(*[array.ctypes.data for array in (*arrays, *others)]))
    return Targets(
        texts.data,
        texts.starts,
        slots,
        previous,
        words,
        repeats,
        grouped(same, places),
        grouped(alike, places),
        present,
        ranks,
        lasts,
        recorded(texts.data, texts.starts, previous, following, words),
    )


class _Layout(NamedTuple):
    """Addresses of the parts of `Targets`, of the keys of every searched position, and of a table as LZ4 has it."""

    data: int
    starts: int
    words: int
    slots: int
    previous: int
    following: int
    repeats: int
    present: int
    ranks: int
    lasts: int
    same: int
    alike: int
    places: int
    newest: int


@compiled
def _lay_all(count: int, layout: _Layout) -> None:
    first = 0
    for target in range(count):
        start, word = load_signed_64(layout.starts + 8 * target), load_signed_64(layout.words + 8 * target)
        limit = load_signed_64(layout.starts + 8 * target + 8) - start - END_WITHOUT_SEARCH
        clear(layout.newest, 2 * SLOTS)
        _lay(layout, start, word, limit, first)
        _index_slots(layout, target, start)
        first += limit


@compiled
def _lay(layout: _Layout, start: int, word: int, limit: int, first: int) -> None:
    """Fill what is known of each position of a target; `newest` holds 1 + the latest position of each slot."""
    text, previous, repeats = layout.data + start, layout.previous + 2 * start, layout.repeats + 8 * word
    for position in range(limit):
        slot, four = slot_of(text + position), load_32(text + position)
        before = load_position(layout.newest + 2 * slot) - 1
        store_16(layout.newest + 2 * slot, position + 1)
        store_16(layout.slots + 2 * (start + position), slot)
        store_16(previous + 2 * position, before)
        if before >= 0:
            store_16(layout.following + 2 * (start + before), position)
        while before >= 0 and load_32(text + before) != four:
            before = load_signed_16(previous + 2 * before)
        if before >= 0:
            set_bit(repeats, position)
        store_64(layout.same + 8 * (first + position), (four << np.uint64(12) | np.uint64(slot)) + _ONE)
        store_64(layout.alike + 8 * (first + position), four + _ONE)
        store_64(layout.places + 8 * (first + position), 64 * word + position)
    set_bit(repeats, limit)


@compiled
def _index_slots(layout: _Layout, target: int, start: int) -> None:
    rank = 0
    for word in range(SLOTS // WORD_BITS):
        store_16(layout.ranks + 2 * (target * (SLOTS // WORD_BITS) + word), rank)
        for place in range(WORD_BITS):
            slot = word * WORD_BITS + place
            last = load_position(layout.newest + 2 * slot)
            if last != 0:
                set_bit(layout.present + 8 * target * (SLOTS // WORD_BITS), slot)
                store_16(layout.lasts + 2 * (start + rank), last - 1)
                rank += 1
