"""Sizes of many concatenations x + t under LZ4, equal to the library's to the byte, with t parsed byte by byte.

The parse of x is shared by every t, and resumed for each with a copy of the table (see `parse`). `pairs` is faster for
many targets, which it has to make ready; this is for few, and for texts of any length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.select.lz4_kernel.instructions import clear, compiled, copy, load_signed_64, store_32
from curate.select.lz4_kernel.parse import (
    END_WITHOUT_MATCH,
    END_WITHOUT_SEARCH,
    SLOTS,
    WORD,
    State,
    parse,
)
from curate.select.packing import Texts


def pair_sizes(sources: Texts, targets: Texts) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return C(x) of shape (sources,) and C(x + t) of shape (sources, targets), in bytes.

    No source and target may have more than `parse.LONGEST` bytes together. Runs without the interpreter's lock. Cost:
    about what LZ4 itself takes for the bytes of the targets alone.
    """
    count, width = len(sources.starts) - 1, len(targets.starts) - 1
    alone, joint = np.empty(count, dtype=np.int32), np.empty((count, width), dtype=np.int32)
    longest = np.diff(sources.starts).max(initial=0) + np.diff(targets.starts).max(initial=0)
    text, tables = np.zeros(int(longest) + 3 * WORD, dtype=np.uint8), np.zeros(2 * SLOTS, dtype=np.uint16)
    arrays = *sources, *targets, text[WORD:], tables, alone, joint
    _fill_rows(count, width, *(array.ctypes.data for array in arrays))
    return alone, joint


@compiled
def _fill_rows(
    count: int,
    width: int,
    sources: int,
    source_starts: int,
    targets: int,
    target_starts: int,
    text: int,
    source_table: int,
    alone: int,
    joint: int,
) -> None:
    table = source_table + 2 * SLOTS
    for row in range(count):
        begin = load_signed_64(source_starts + 8 * row)
        length = load_signed_64(source_starts + 8 * row + 8) - begin
        copy(sources + begin, text, length)
        clear(source_table, 2 * SLOTS)
        limit, match_limit = length - END_WITHOUT_SEARCH, length - END_WITHOUT_MATCH
        size, state = parse(text, length, limit, match_limit, source_table, State(1, 1, 64, 0, 0, -1, 0))
        store_32(alone + 4 * row, size)
        for column in range(width):
            start = load_signed_64(target_starts + 8 * column)
            extent = load_signed_64(target_starts + 8 * column + 8) - start
            copy(targets + start, text + length, extent)
            copy(source_table, table, 2 * SLOTS)
            end = length + extent
            size, _ = parse(text, end, end - END_WITHOUT_SEARCH, end - END_WITHOUT_MATCH, table, state)
            store_32(joint + 4 * (row * width + column), size)
