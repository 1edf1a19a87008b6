"""LZ4's parse without its output: the sizes of many concatenations, equal to the library's to the byte.

LZ4 reads a block once, left to right, and what it has decided up to some position does not depend on what follows,
except near the end: no match may start in the last 12 bytes or run into the last 5. So the parse of x + t is the parse
of x until that rule stops it, whatever t is. The kernel parses x once, keeps the state in which it stopped (hash table,
position, bytes written so far) and resumes a copy of it for every t. Nothing is ever written but counts.

The algorithm is the published one of the library's fast mode with 4,096 slots and hashes over 5 bytes, for 64-bit
little-endian machines (https://github.com/lz4/lz4, lib/lz4.c: `LZ4_compress_fast_continue` on a fresh stream, which is
what `lz4.block.compress` calls). `curate.select.concatenations` compares it with the installed library before it
trusts it. Positions are kept in 16 bits, so x + t may have at most `LONGEST` bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LONGEST = 65_535
_SLOTS = 4_096
_WORD = 8
_SHORTEST_MATCH = 4
_HASH_MULTIPLIER = np.uint64(889_523_592_379 << 24 & 0xFFFF_FFFF_FFFF_FFFF)
_HASH_SHIFT = np.uint64(64 - 12)


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


class Texts(NamedTuple):
    """Many byte strings in one array: the i-th is `data[starts[i] : starts[i + 1]]`; a word of padding follows all."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]


def packed(texts: Sequence[bytes]) -> Texts:
    """Lay byte strings end to end for the kernel."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return Texts(np.frombuffer(b"".join(texts) + bytes(_WORD), dtype=np.uint8), starts)


def pair_sizes(sources: Texts, targets: Texts) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return C(x) of shape (sources,) and C(x + t) of shape (sources, targets), in bytes.

    No source and target may have more than `LONGEST` bytes together. Runs without the interpreter's lock, so several
    threads may work on different sources at once. Cost: about what LZ4 itself takes for the bytes of the targets alone.
    """
    count, width = len(sources.starts) - 1, len(targets.starts) - 1
    alone, joint = np.empty(count, dtype=np.int32), np.empty((count, width), dtype=np.int32)
    longest = np.diff(sources.starts).max(initial=0) + np.diff(targets.starts).max(initial=0)
    buffer = np.zeros(int(longest) + 2 * _WORD, dtype=np.uint8)
    _fill_rows(*sources, *targets, buffer, alone, joint)
    return alone, joint


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile to machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


def _emitted(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of kernels from one that emits its machine instructions."""
    return intrinsic(generator)


def _address(context: Any, builder: Any, signature: Any, arguments: Any, bits: int) -> Any:
    """Emit the address of an integer of `bits` bits at any position of a byte array, aligned or not."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(bits).as_pointer())


def _loader(bits: int, result: Any) -> Callable[..., Any]:
    """Make a function (array, position) that loads an integer without looking at the array's bounds."""

    def load(typing_context: Any, array: Any, position: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(_address(context, builder, signature, arguments, bits), align=1)

        return result(array, types.int64), generate

    return _emitted(load)


_load_byte = _loader(8, types.uint8)
_load_half = _loader(32, types.uint32)
_load_word = _loader(64, types.uint64)


@_emitted
def _store_word(typing_context: Any, array: Any, position: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments, 64), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


@_emitted
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), generate


@_compiled
def _copy(source: Any, start: int, destination: Any, position: int, length: int) -> None:
    """Copy bytes a word at a time; up to 7 bytes behind the end are copied too."""
    for offset in range(0, length, _WORD):
        _store_word(destination, position + offset, _load_word(source, start + offset))


@_compiled
def _slot(buffer: Any, position: int) -> Any:
    """Hash the 5 bytes at a position to a slot of the table."""
    return np.int64((_load_word(buffer, position) * _HASH_MULTIPLIER) >> _HASH_SHIFT)


@_compiled
def _exchange(table: Any, slot: int, position: int) -> Any:
    """Put a position into a slot and return the one it held."""
    held = np.int64(table[slot])
    table[slot] = position
    return held


@_compiled
def _overflow(length: int) -> Any:
    """Count the bytes that a length needs beyond the four bits it has in a token."""
    return 0 if length < 15 else 1 + (length - 15) // 255


@_compiled
def _literals(count: int) -> Any:
    """Count the bytes of a token with its literals."""
    return 1 + count + _overflow(count)


@_compiled
def _search(buffer: Any, table: Any, limit: int, position: int, step: int, attempts: int) -> Any:
    """Return the next position whose 4 bytes were met before, and where; -1 for where if `limit` comes first."""
    while True:
        following = position + step
        if following > limit:
            return -1, position, step, attempts
        step = attempts >> 6
        attempts += 1
        candidate = _exchange(table, _slot(buffer, position), position)
        if _load_half(buffer, candidate) == _load_half(buffer, position):
            return candidate, position, step, attempts
        position = following


@_compiled
def _equal_before(buffer: Any, position: int, match: int, anchor: int) -> Any:
    """Count the equal bytes before two positions, down to `anchor` and the start of the text."""
    most = min(position - anchor, match)
    count = 0
    while count < most and _load_byte(buffer, position - count - 1) == _load_byte(buffer, match - count - 1):
        count += 1
    return count


@_compiled
def _equal_after(buffer: Any, position: int, match: int, limit: int) -> Any:
    """Count the equal bytes from two positions on, a word at a time, up to `limit`."""
    count = 0
    while position + count < limit:
        difference = _load_word(buffer, position + count) ^ _load_word(buffer, match + count)
        if difference != 0:
            return min(count + np.int64(_trailing_zeros(difference) >> np.uint64(3)), limit - position)
        count += _WORD
    return limit - position


@_compiled
def _parse(buffer: Any, end: int, table: Any, state: State) -> Any:
    """Parse `buffer[:end]` from a state on; return the compressed size and the state that any longer text shares."""
    limit, match_limit = end - 11, end - 5
    position, step, attempts, anchor, size, match, begin = state
    while True:
        if match < 0:
            candidate, position, step, attempts = _search(buffer, table, limit, position, step, attempts)
            if candidate < 0:
                stopped = State(position, step, attempts, anchor, size, -1, 0)
                return size + _literals(end - anchor), stopped
            begin = position - _equal_before(buffer, position, candidate, anchor)
            size += _literals(begin - anchor) + 2
            position, match = position + _SHORTEST_MATCH, candidate + _SHORTEST_MATCH
        equal = _equal_after(buffer, position, match, match_limit)
        position, match = position + equal, match + equal
        length = _overflow(position - begin - _SHORTEST_MATCH)
        if position >= limit:
            stopped = State(position, 1, 64, position, size, match, begin)
            return size + length + _literals(end - position), stopped
        size, anchor = size + length, position
        table[_slot(buffer, position - 2)] = position - 2
        candidate = _exchange(table, _slot(buffer, position), position)
        if _load_half(buffer, candidate) == _load_half(buffer, position):
            size += _literals(0) + 2
            begin, position, match = position, position + _SHORTEST_MATCH, candidate + _SHORTEST_MATCH
        else:
            position, step, attempts, match = position + 1, 1, 64, -1


@_compiled
def _fill_rows(
    sources: Any, source_starts: Any, targets: Any, target_starts: Any, buffer: Any, alone: Any, joint: Any
) -> None:
    source_table, table = np.zeros(_SLOTS, dtype=np.uint16), np.zeros(_SLOTS, dtype=np.uint16)
    for row in range(len(alone)):
        for slot in range(_SLOTS):
            source_table[slot] = 0
        length = source_starts[row + 1] - source_starts[row]
        _copy(sources, source_starts[row], buffer, 0, length)
        alone[row], state = _parse(buffer, length, source_table, State(1, 1, 64, 0, 0, -1, 0))
        for column in range(joint.shape[1]):
            extent = target_starts[column + 1] - target_starts[column]
            _copy(targets, target_starts[column], buffer, length, extent)
            for slot in range(_SLOTS):
                table[slot] = source_table[slot]
            joint[row, column], _ = _parse(buffer, length + extent, table, state)
