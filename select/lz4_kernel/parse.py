"""LZ4's parse without its output: how many bytes a text would shrink to, and where the parse stood when it stopped.

LZ4 reads a block once, left to right, and what it has decided up to some position does not depend on what follows,
except near the end: no match may start in the last 12 bytes or run into the last 5. So the parse of x + t is the parse
of x until that rule stops it, whatever t is, and can be resumed from there.

The algorithm is the published one of the library's fast mode with 4,096 slots and hashes over 5 bytes, for 64-bit
little-endian machines (https://github.com/lz4/lz4, lib/lz4.c: `LZ4_compress_fast_continue` on a fresh stream, which is
what `lz4.block.compress` calls). `curate.select.concatenations` compares it with the installed library before it
trusts it. Positions are kept in 16 bits, so a text may have at most `LONGEST` bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from curate.select.lz4_kernel.instructions import (
    compiled,
    leading_zeros,
    load_32,
    load_64,
    load_position,
    store_16,
    trailing_zeros,
)

LONGEST = 65_535
SLOTS = 4_096
WORD = 8
SHORTEST_MATCH = 4
HASH_MULTIPLIER = np.uint64(889_523_592_379 << 24 & 0xFFFF_FFFF_FFFF_FFFF)
HASH_SHIFT = np.uint64(64 - 12)
STRAIGHT = 64
"""So many positions beyond the first a search goes one by one before its stride grows."""
END_WITHOUT_SEARCH, END_WITHOUT_MATCH = 11, 5
"""Where the search ends before a text's end, and the match."""


class State(NamedTuple):
    """Where a parse stands: searching for a match from `position` on, or (`match` >= 0) in the middle of one.

    `step` and `attempts` make the search stride longer the longer it finds nothing. `anchor` is the first byte not yet
    encoded, `size` the bytes written for all before it and, within a match, for its token, literals and offset.
    `match` is the earlier position that equals `position`, `begin` the position where the match began.
    """

    position: int
    step: int
    attempts: int
    anchor: int
    size: int
    match: int
    begin: int


@compiled
def slot_of(place: int) -> Any:
    """Hash the 5 bytes at an address to a slot of the table."""
    return np.int64((load_64(place) * HASH_MULTIPLIER) >> HASH_SHIFT)


@compiled
def exchange(table: int, slot: int, position: int) -> Any:
    """Put a position into a slot and return the one it held."""
    held = load_position(table + 2 * slot)
    store_16(table + 2 * slot, position)
    return held


@compiled
def overflow(length: int) -> Any:
    """Count the bytes that a length needs beyond the four bits it has in a token: none below 15, then one for 255."""
    return np.int64(np.uint64(length + 240) // np.uint64(255))


@compiled
def literals(count: int) -> Any:
    """Count the bytes of a token with its literals."""
    return 1 + count + overflow(count)


@compiled
def equal_before(text: int, position: int, match: int, anchor: int) -> Any:
    """Count the equal bytes before two positions, down to `anchor` and the text's start; a word before it is read."""
    most = min(position - anchor, match)
    count = 0
    while count < most:
        difference = load_64(text + position - count - WORD) ^ load_64(text + match - count - WORD)
        if difference != 0:
            return min(count + (leading_zeros(difference) >> 3), most)
        count += WORD
    return most


@compiled
def equal_after(text: int, position: int, match: int, limit: int) -> Any:
    """Count the equal bytes from two positions on, a word at a time, up to `limit`."""
    count = 0
    while position + count < limit:
        difference = load_64(text + position + count) ^ load_64(text + match + count)
        if difference != 0:
            return min(count + (trailing_zeros(difference) >> 3), limit - position)
        count += WORD
    return limit - position


@compiled
def _search(text: int, table: int, limit: int, position: int, step: int, attempts: int) -> Any:
    """Return the next position whose 4 bytes were met before, and where; -1 for where if `limit` comes first."""
    while True:
        following = position + step
        if following > limit:
            return -1, position, step, attempts
        step = attempts >> 6
        attempts += 1
        candidate = exchange(table, slot_of(text + position), position)
        if load_32(text + candidate) == load_32(text + position):
            return candidate, position, step, attempts
        position = following


@compiled
def parse(text: int, end: int, limit: int, match_limit: int, table: int, state: State) -> Any:
    """Parse `text[:end]` from a state on; return the compressed size and the state in which the limits stopped it.

    For the size of a text that ends at `end` the limits are `end - END_WITHOUT_SEARCH` and `end - END_WITHOUT_MATCH`.
    """
    position, step, attempts, anchor, size, match, begin = state
    while True:
        if match < 0:
            candidate, position, step, attempts = _search(text, table, limit, position, step, attempts)
            if candidate < 0:
                stopped = State(position, step, attempts, anchor, size, -1, 0)
                return size + literals(end - anchor), stopped
            begin = position - equal_before(text, position, candidate, anchor)
            size += literals(begin - anchor) + 2
            position, match = position + SHORTEST_MATCH, candidate + SHORTEST_MATCH
        equal = equal_after(text, position, match, match_limit)
        position, match = position + equal, match + equal
        length = overflow(position - begin - SHORTEST_MATCH)
        if position >= limit:
            stopped = State(position, 1, 64, position, size, match, begin)
            return size + length + literals(end - position), stopped
        size, anchor = size + length, position
        exchange(table, slot_of(text + position - 2), position - 2)
        candidate = exchange(table, slot_of(text + position), position)
        if load_32(text + candidate) == load_32(text + position):
            size += literals(0) + 2
            begin, position, match = position, position + SHORTEST_MATCH, candidate + SHORTEST_MATCH
        else:
            position, step, attempts, match = position + 1, 1, 64, -1
