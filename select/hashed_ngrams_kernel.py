"""Hashed n-grams in machine code: the same buckets as `hashed_ngrams`, without a string or a digest object in between.

SHA-256 (FIPS 180-4) is asked only where a direct-mapped cache of 262,144 n-grams does not know the answer. An entry is
one word, the upper 48 bits of the n-gram's 64-bit fingerprint above its bucket, so threads may share the cache: whoever
reads sees a whole entry or an older whole one. Two n-grams with one fingerprint would share a bucket, which hashing to
10,000 buckets does to them anyway, and which one pair in 2^63 does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

CACHE = 1 << 18
_LOW = np.uint64(0xFFFF)
_HIGH = np.uint64(0xFFFF_FFFF_FFFF_0000)
_USED = np.uint64(1 << 63)
_SLOT = np.uint64(CACHE - 1)
_BASE, _STRIDE = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xD6E8_FEB8_6659_FD93)
_SHIFT = np.uint64(33)
_FIRST, _SECOND = np.uint64(0xFF51_AFD7_ED55_8CCD), np.uint64(0xC4CE_B9FE_1A85_EC53)
_PRIMES = [n for n in range(2, 312) if all(n % d for d in range(2, int(n**0.5) + 1))]
_SPACE, _WORD = 0, 1


def _root_bits(number: int, root: int) -> int:
    """Return the first 32 bits of the fractional part of a square or cube root, exactly."""
    scaled = number << (32 * root)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & 0xFFFF_FFFF


_ROUNDS = np.array([_root_bits(prime, 3) for prime in _PRIMES[:64]], np.uint32)
_START = np.array([_root_bits(prime, 2) for prime in _PRIMES[:8]], np.uint32)


def new_cache() -> NDArray[np.uint64]:
    """Return an empty cache, for one number of buckets."""
    return np.zeros(CACHE, np.uint64)


def buckets_of(
    texts: Sequence[bytes], classes: NDArray[np.uint8], longest: int, buckets: int, cache: NDArray[np.uint64]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Return the buckets of all n-grams of lower-cased texts, text by text, and the number of tokens of each text.

    `classes` says of each code point whether it is a space (0), part of a word (1) or another sign (2).
    """
    borders = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=borders[1:])
    data = np.frombuffer(b"".join(texts), np.uint8)
    widest = max(map(len, texts), default=0)
    tokens = np.zeros(len(texts), np.int64)
    _count(data, borders, classes, tokens)
    starts = np.zeros(len(texts) + 1, np.int64)
    for size in range(1, longest + 1):
        starts[1:] += np.maximum(tokens - size + 1, 0)
    np.cumsum(starts, out=starts)
    found = np.empty(starts[-1], np.uint16)
    begins, ends, hashes = (np.empty(widest + 1, kind) for kind in (np.int64, np.int64, np.uint64))
    block = np.empty(widest + longest + 136, np.uint8)
    _fill(data, borders, classes, longest, buckets, cache, starts, found, begins, ends, hashes, block)
    return found, tokens


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile to machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


@_compiled
def _mixed(value: Any) -> Any:
    value = (value ^ (value >> _SHIFT)) * _FIRST
    value = (value ^ (value >> _SHIFT)) * _SECOND
    return value ^ (value >> _SHIFT)


@_compiled
def _step(data: Any, position: Any) -> Any:
    """Return the code point at a position, and how many bytes it has."""
    lead = np.int64(data[position])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (data[position + 1] & 0x3F), 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (np.int64(data[position + 1]) & 0x3F) << 6 | (data[position + 2] & 0x3F), 3
    high = (lead & 0x07) << 18 | (np.int64(data[position + 1]) & 0x3F) << 12
    return high | (np.int64(data[position + 2]) & 0x3F) << 6 | (data[position + 3] & 0x3F), 4


@_compiled
def _count(data: Any, borders: Any, classes: Any, tokens: Any) -> None:
    for text in range(len(borders) - 1):
        position, before = borders[text], _SPACE
        while position < borders[text + 1]:
            point, width = _step(data, position)
            kind = classes[point]
            if kind != before and kind != _SPACE:
                tokens[text] += 1
            before = kind
            position += width


@_compiled
def _tokens(data: Any, begin: Any, end: Any, classes: Any, begins: Any, ends: Any, hashes: Any) -> Any:
    """Write where each token of one text begins and ends, and its hash; return their number."""
    count, position, before, total = 0, begin, _SPACE, np.uint64(0)
    while position < end:
        point, width = _step(data, position)
        kind = classes[point]
        if kind != before:
            if before != _SPACE:
                ends[count - 1] = position
                hashes[count - 1] = _mixed(total)
            if kind != _SPACE:
                begins[count] = position
                count, total = count + 1, np.uint64(0)
        total = (total + np.uint64(point) + np.uint64(1)) * _BASE
        before = kind
        position += width
    if before != _SPACE:
        ends[count - 1] = end
        hashes[count - 1] = _mixed(total)
    return count


@_compiled
def _turned(value: Any, by: Any) -> Any:
    """Rotate 32 bits to the right."""
    return ((value >> np.uint64(by)) | (value << np.uint64(32 - by))) & np.uint64(0xFFFF_FFFF)


@_compiled
def _digest_block(block: Any, offset: Any, state: Any, words: Any) -> None:
    """Take one block of 64 bytes into the state of SHA-256."""
    mask = np.uint64(0xFFFF_FFFF)
    for place in range(16):
        at = offset + 4 * place
        high = np.uint64(block[at]) << np.uint64(24) | np.uint64(block[at + 1]) << np.uint64(16)
        words[place] = high | np.uint64(block[at + 2]) << np.uint64(8) | np.uint64(block[at + 3])
    for place in range(16, 64):
        one, two = words[place - 15], words[place - 2]
        first = _turned(one, 7) ^ _turned(one, 18) ^ (one >> np.uint64(3))
        second = _turned(two, 17) ^ _turned(two, 19) ^ (two >> np.uint64(10))
        words[place] = (words[place - 16] + first + words[place - 7] + second) & mask
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for place in range(64):
        one = _turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)
        choice = (e & f) ^ (~e & mask & g)
        sum_one = (h + one + choice + np.uint64(_ROUNDS[place]) + words[place]) & mask
        two = _turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)
        majority = (a & b) ^ (a & c) ^ (b & c)
        h, g, f, e = g, f, e, (d + sum_one) & mask
        d, c, b, a = c, b, a, (sum_one + two + majority) & mask
    new = (a, b, c, d, e, f, g, h)
    for place in range(8):
        state[place] = (state[place] + new[place]) & mask


@_compiled
def _bucket(block: Any, length: Any, buckets: Any, state: Any, words: Any) -> Any:
    """Return SHA-256 of the first bytes of the block, as one number, modulo the number of buckets."""
    whole = (length + 9 + 63) // 64 * 64
    block[length] = 0x80
    block[length + 1 : whole - 8] = 0
    for place in range(8):
        block[whole - 1 - place] = (np.uint64(8 * length) >> np.uint64(8 * place)) & np.uint64(0xFF)
    for place in range(8):
        state[place] = _START[place]
    for offset in range(0, whole, 64):
        _digest_block(block, offset, state, words)
    rest = np.uint64(0)
    for place in range(8):
        rest = (rest << np.uint64(32) | state[place]) % np.uint64(buckets)
    return rest


@_compiled
def _spelled(data: Any, begins: Any, ends: Any, first: Any, size: Any, block: Any) -> Any:
    """Write the n-gram, its tokens parted by one space, into the block; return its length."""
    length = 0
    for token in range(first, first + size):
        if token > first:
            block[length] = 0x20
            length += 1
        for position in range(begins[token], ends[token]):
            block[length] = data[position]
            length += 1
    return length


@_compiled
def _fill(
    data: Any,
    borders: Any,
    classes: Any,
    longest: Any,
    buckets: Any,
    cache: Any,
    starts: Any,
    found: Any,
    begins: Any,
    ends: Any,
    hashes: Any,
    block: Any,
) -> None:
    state, words = np.empty(8, np.uint64), np.empty(64, np.uint64)
    for text in range(len(borders) - 1):
        count = _tokens(data, borders[text], borders[text + 1], classes, begins, ends, hashes)
        place = starts[text]
        for size in range(1, longest + 1):
            for first in range(count - size + 1):
                mark = np.uint64(size)
                for token in range(first, first + size):
                    mark = mark * _STRIDE + hashes[token]
                mark = _mixed(mark) | _USED
                slot = mark & _SLOT
                if (cache[slot] & _HIGH) != (mark & _HIGH):
                    length = _spelled(data, begins, ends, first, size, block)
                    cache[slot] = (mark & _HIGH) | _bucket(block, length, buckets, state, words)
                found[place] = cache[slot] & _LOW
                place += 1
