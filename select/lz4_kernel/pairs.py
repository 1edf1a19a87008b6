"""Sizes of many concatenations x + t under LZ4, equal to the library's to the byte, without parsing t byte by byte.

The parse of x is shared by every t (see `parse`). Of t, most is known before there is a source. Searching, LZ4 enters
each position into its table and looks there for an earlier one with the same 4 bytes. It can find one only where

- t itself has the same 4 bytes and slot further left (known beforehand, a bitmap), or
- the table of x has them (x's few hundred entries are looked up among all targets' positions at once, and mark them).

So the kernel leaps from one such position to the next instead of hashing each. The table is never written for t: which
positions of t were entered is a bitmap, and what a slot holds is the nearest entered position to the left in the chain
of positions with this slot, or else what x left there. The last 4 positions of x, whose hashes reach into t, are parsed
for each t in x's table, and what they overwrite is put back.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.bits import (
    set_bits_of,
)
from curate.select.lz4_kernel.continuation import Joint, Record, joint_size, through_the_border
from curate.select.lz4_kernel.instructions import (
    clear,
    compiled,
    copy,
    inlined,
    load_32,
    load_64,
    load_position,
    load_signed_64,
    store_16,
    store_32,
    store_64,
)
from curate.select.lz4_kernel.parse import (
    END_WITHOUT_MATCH,
    END_WITHOUT_SEARCH,
    SHORTEST_MATCH,
    SLOTS,
    WORD,
    State,
    parse,
    slot_of,
)
from curate.select.lz4_kernel.targets import Targets
from curate.select.packing import Texts

SHORTEST_SOURCE = 16
_UNDO = 64
"""More slots of a source's table than can change while its end is parsed."""
_ENTERED = 1_024
"""More words than a target has in a bitmap."""
_ONE = np.uint64(1)


class Addresses(NamedTuple):
    """Where the arrays of `Targets` lie; `alike_size` and `same_size` count the keys of their tables."""

    data: int
    starts: int
    slots: int
    previous: int
    words: int
    repeats: int
    present: int
    ranks: int
    lasts: int
    same_entries: int
    same_words: int
    same_masks: int
    same_filters: int
    same_bits: int
    alike_entries: int
    alike_words: int
    alike_masks: int
    alike_filters: int
    alike_bits: int
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


def pair_sizes(
    sources: Texts,
    targets: Targets,
    columns: NDArray[np.int64] | None = None,
    addresses: Addresses | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return C(x) of shape (sources,) and C(x + t) of shape (sources, targets), in bytes; or of some targets only.

    Who calls it often gives the targets' `addresses_of`, which are else found out each time (50 microseconds).

    A source has at least `SHORTEST_SOURCE` bytes, and no source and target more than `LONGEST` together. Runs without
    the interpreter's lock, so several threads may work on different sources at once. Cost: for the bytes of a target
    about half of what LZ4 itself takes; less where a source has little in common with it.
    """
    columns = np.arange(len(targets.starts) - 1) if columns is None else columns
    count, width = len(sources.starts) - 1, len(columns)
    alone, joint = np.empty(count, dtype=np.int32), np.empty((count, width), dtype=np.int32)
    longest = np.diff(sources.starts).max(initial=0) + np.diff(targets.starts).max(initial=0)
    words = int(targets.words[-1])
    parts = _scratch_sizes(int(longest), words)
    memory = np.zeros(sum(parts), dtype=np.uint8)
    scratch = Scratch(*(memory.ctypes.data + place for place in accumulate(parts[:-1])))
    data, starts = sources.data.ctypes.data, sources.starts.ctypes.data
    rows = Rows(data, starts, alone.ctypes.data, joint.ctypes.data, count, columns.ctypes.data, width)
    _fill_rows(rows, addresses or addresses_of(targets), words, scratch)
    return alone, joint


def addresses_of(targets: Targets) -> Addresses:
    """Return where the arrays of targets lie, for as long as these live."""
    plain: Any = targets[: targets._fields.index("same")]
    lists = [array.ctypes.data for array in (*plain, targets.present, targets.ranks, targets.lasts)]
    tables = [
        part
        for groups in (targets.same, targets.alike)
        for part in (*(array.ctypes.data for array in groups[:-1]), groups.bits)
    ]
    return Addresses(*lists, *tables, *(array.ctypes.data for array in targets.skeleton))


class Rows(NamedTuple):
    """Addresses of sources (bytes, and where each starts) and of the rows to fill for them; `number` is how many.

    `columns` is the address of the targets' numbers, `width` how many they are.
    """

    data: int
    starts: int
    alone: int
    joint: int
    number: int
    columns: int
    width: int


class Scratch(NamedTuple):
    """Addresses of memory to work in: see `Joint`."""

    text: int
    table: int
    undo: int
    maybe: int
    hazards: int
    entered: int


def _scratch_sizes(longest: int, words: int) -> tuple[int, ...]:
    """Return the bytes before the text, which its parse may touch, and of each part of `Scratch`."""
    text = -(-longest // WORD) * WORD + 2 * WORD
    return WORD, text, 2 * SLOTS, 4 * _UNDO, 8 * words, 8 * words, 8 * _ENTERED


@compiled
def _mark_source(text: int, length: int, table: int, targets: Addresses, bitmap: int) -> None:
    """Mark the targets' positions that the table of a source may match; empty slots stand for position 0."""
    t = targets
    key = load_32(text) + _ONE
    set_bits_of(t.alike_entries, t.alike_words, t.alike_masks, t.alike_filters, t.alike_bits, key, bitmap)
    for position in range(1, length - SHORTEST_MATCH):
        slot = slot_of(text + position)
        if load_position(table + 2 * slot) == position:
            key = (load_32(text + position) << np.uint64(12) | np.uint64(slot)) + _ONE
            set_bits_of(t.same_entries, t.same_words, t.same_masks, t.same_filters, t.same_bits, key, bitmap)


@inlined
def _pair(text: int, length: int, extent: int, column: int, targets: Addresses, scratch: Scratch) -> Any:
    start, word = load_signed_64(targets.starts + 8 * column), load_signed_64(targets.words + 8 * column)
    firsts = targets.firsts + 32 * column
    record = Record(
        targets.entered + 8 * word,
        targets.probed + 8 * word,
        targets.forced + 8 * word,
        targets.ends + 8 * word,
        targets.leads + 8 * word,
        targets.next + 2 * start,
        targets.found + 2 * start,
        targets.anchors + 2 * start,
        targets.sizes + 4 * start,
        load_signed_64(firsts),
        load_signed_64(firsts + 8),
        load_signed_64(firsts + 16),
        load_signed_64(firsts + 24),
    )
    end = length + extent
    return Joint(
        text,
        length,
        end - END_WITHOUT_SEARCH,
        end - END_WITHOUT_MATCH,
        scratch.table,
        scratch.undo,
        targets.slots + 2 * start,
        targets.previous + 2 * start,
        targets.present + 512 * column,
        targets.ranks + 128 * column,
        targets.lasts + 2 * start,
        targets.open + 8 * word,
        scratch.maybe + 8 * word,
        scratch.hazards + 8 * word,
        scratch.entered,
        record,
    )


@compiled
def _begin(text: int, length: int, targets: Addresses, words: int, scratch: Scratch) -> Any:
    """Parse a source and mark what it may match; return its size and the state that all its concatenations share."""
    table, maybe, hazards = scratch.table, scratch.maybe, scratch.hazards
    clear(table, 2 * SLOTS)
    start = State(1, 1, 64, 0, 0, -1, 0)
    size, state = parse(text, length, length - END_WITHOUT_SEARCH, length - END_WITHOUT_MATCH, table, start)
    _, state = parse(text, length, length - SHORTEST_MATCH, length, table, state)
    clear(maybe, 8 * words)
    _mark_source(text, length, table, targets, maybe)
    for place in range(0, 8 * words, 8):
        marked = load_64(maybe + place)
        store_64(maybe + place, marked | load_64(targets.repeats + place))
        store_64(hazards + place, marked & load_64(targets.open + place) | load_64(targets.forced + place))
    return size, state


@compiled
def _fill_rows(rows: Rows, targets: Addresses, words: int, scratch: Scratch) -> None:
    text, table, undo = scratch.text, scratch.table, scratch.undo
    for row in range(rows.number):
        begin = load_signed_64(rows.starts + 8 * row)
        length = load_signed_64(rows.starts + 8 * row + 8) - begin
        copy(rows.data + begin, text, length)
        size, state = _begin(text, length, targets, words, scratch)
        store_32(rows.alone + 4 * row, size)
        for place in range(rows.width):
            column = load_signed_64(rows.columns + 8 * place)
            start, word = load_signed_64(targets.starts + 8 * column), load_signed_64(targets.words + 8 * column)
            extent = load_signed_64(targets.starts + 8 * column + 8) - start
            wide = load_signed_64(targets.words + 8 * column + 8) - word
            copy(targets.entered + 8 * word, scratch.entered, 8 * wide)
            copy(targets.data + start, text + length, extent)
            pair = _pair(text, length, extent, column, targets, scratch)
            reached, changes = through_the_border(pair, state)
            size, changes = joint_size(pair, reached, changes, length + extent)
            store_32(rows.joint + 4 * (row * rows.width + place), size)
            while changes > 0:
                changes -= 1
                store_16(table + 2 * load_position(undo + 4 * changes), load_position(undo + 4 * changes + 2))
