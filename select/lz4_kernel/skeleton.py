"""The parse of a target alone, recorded so that it can be followed after any source until the source interferes.

Alone means: after a source that matches nothing. The record keeps, for each target, which positions LZ4 enters into its
table and which it looks up, what it finds there, where its matches end and what they have cost by then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.bits import bit, set_bit
from curate.select.lz4_kernel.instructions import (
    compiled,
    copy,
    load_32,
    load_signed_16,
    load_signed_64,
    store_16,
    store_32,
    store_64,
)
from curate.select.lz4_kernel.parse import (
    END_WITHOUT_MATCH,
    END_WITHOUT_SEARCH,
    SHORTEST_MATCH,
    STRAIGHT,
    WORD,
    equal_after,
    equal_before,
    literals,
    overflow,
)


class Skeleton(NamedTuple):
    """The record: bitmaps of 64-bit words, each target from a word of its own on, and values for each position.

    `entered`: LZ4 puts the position into its table. `probed`: it looks there for a match. `open`: it finds there no
    position of the target, and would find the source's. `forced`: the record must not be followed past it, for the
    match there may reach back into the source, or the search strides from there on, or ends. `ends`: a match ends
    there. `leads`: a later position with its slot is entered, and `next` is the first of them, or -1.

    `found` is the earlier position that is matched, or -1, `anchors` the end of the match before, or -1, and `sizes`,
    where a match ends, the bytes written since the end of the first. `firsts[j]` has for target j where its first match
    begins, what it costs without its literals, up to where the record holds only if the search began at its start, and
    the bytes after the end of the first match in all.
    """

    entered: NDArray[np.uint64]
    probed: NDArray[np.uint64]
    open: NDArray[np.uint64]
    forced: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    leads: NDArray[np.uint64]
    next: NDArray[np.int16]
    found: NDArray[np.int16]
    anchors: NDArray[np.int16]
    sizes: NDArray[np.int32]
    firsts: NDArray[np.int64]


def recorded(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    previous: NDArray[np.int16],
    following: NDArray[np.int16],
    words: NDArray[np.int64],
) -> Skeleton:
    """Return the record of targets; see `targets.Targets` for the arrays."""
    count, size = len(starts) - 1, len(previous)
    entered, probed, open_, forced, ends, leads = np.zeros((6, int(words[-1])), dtype=np.uint64)
    found, anchors = np.full((2, size), -1, dtype=np.int16)
    sizes, firsts = np.zeros(size, dtype=np.int32), np.zeros((count, 4), dtype=np.int64)
    skeleton = Skeleton(entered, probed, open_, forced, ends, leads, following.copy(), found, anchors, sizes, firsts)
    text = np.zeros(int(np.diff(starts).max(initial=0)) + 3 * WORD, dtype=np.uint8)
    addresses = [array.ctypes.data for array in skeleton]
    arrays = data, starts, previous, words, text[WORD:]
    _record_all(count, *(array.ctypes.data for array in arrays), _Record(*addresses))
    return skeleton


class _Record(NamedTuple):
    """Addresses of the parts of `Skeleton`."""

    entered: int
    probed: int
    open: int
    forced: int
    ends: int
    leads: int
    next: int
    found: int
    anchors: int
    sizes: int
    firsts: int


@compiled
def _look(text: int, previous: int, record: _Record, position: int, anchor: int) -> Any:
    """Enter a position and return the position that it matches, or -1."""
    set_bit(record.entered, position)
    set_bit(record.probed, position)
    store_16(record.anchors + 2 * position, anchor)
    place = load_signed_16(previous + 2 * position)
    while place >= 0 and not bit(record.entered, place):
        place = load_signed_16(previous + 2 * place)
    if place < 0:
        set_bit(record.open, position)
        return -1
    if load_32(text + place) != load_32(text + position):
        return -1
    store_16(record.found + 2 * position, place)
    return place


@compiled
def _look_on(text: int, previous: int, record: _Record, limit: int, position: int, anchor: int) -> Any:
    """Search from a position on; return the position that is matched, or -1, and where."""
    origin, step, attempts = position, 1, 64
    while position + step <= limit:
        match = _look(text, previous, record, position, anchor)
        if match >= 0:
            return match, position
        if position == origin + STRAIGHT:
            set_bit(record.forced, position)
        position, step, attempts = position + step, attempts >> 6, attempts + 1
    return -1, min(limit - 1, origin + STRAIGHT)


@compiled
def _record_one(text: int, extent: int, previous: int, record: _Record) -> None:
    limit, anchor, size, match = extent - END_WITHOUT_SEARCH, -1, 0, -1
    set_bit(record.forced, limit)
    while True:
        position = anchor
        if anchor >= 0:
            match = _look(text, previous, record, anchor, anchor)
        if match < 0:
            match, position = _look_on(text, previous, record, limit, anchor + 1, anchor)
        if match < 0:
            break
        begin = position - equal_before(text, position, match, max(anchor, 0))
        if match == position - begin:
            set_bit(record.forced, position)
        end = position + SHORTEST_MATCH
        end += equal_after(text, end, match + SHORTEST_MATCH, extent - END_WITHOUT_MATCH)
        cost = 2 + overflow(end - begin - SHORTEST_MATCH)
        if anchor < 0:
            store_64(record.firsts, begin)
            store_64(record.firsts + 8, cost)
            store_64(record.firsts + 16, position)
        else:
            size += literals(begin - anchor) + cost
        anchor, match = end, -1
        if end >= limit:
            break
        store_32(record.sizes + 4 * end, size)
        set_bit(record.ends, end)
        set_bit(record.entered, end - 2)
    if anchor < 0:
        store_64(record.firsts, extent)
        store_64(record.firsts + 16, position)
    else:
        store_64(record.firsts + 24, size + literals(extent - anchor))


@compiled
def _chain(limit: int, record: _Record) -> None:
    """Make each position lead to the next that is entered, instead of the next."""
    for position in range(limit - 1, -1, -1):
        following = load_signed_16(record.next + 2 * position)
        if following >= 0 and not bit(record.entered, following):
            following = load_signed_16(record.next + 2 * following)
            store_16(record.next + 2 * position, following)
        if following >= 0:
            set_bit(record.leads, position)


@compiled
def _record_all(count: int, data: int, starts: int, previous: int, words: int, text: int, record: _Record) -> None:
    for target in range(count):
        start, word = load_signed_64(starts + 8 * target), load_signed_64(words + 8 * target)
        extent = load_signed_64(starts + 8 * target + 8) - start
        copy(data + start, text, extent)
        part = _Record(
            record.entered + 8 * word,
            record.probed + 8 * word,
            record.open + 8 * word,
            record.forced + 8 * word,
            record.ends + 8 * word,
            record.leads + 8 * word,
            record.next + 2 * start,
            record.found + 2 * start,
            record.anchors + 2 * start,
            record.sizes + 4 * start,
            record.firsts + 32 * target,
        )
        _record_one(text, extent, previous + 2 * start, part)
        _chain(extent - END_WITHOUT_SEARCH, part)
