"""Shingles and MinHash in machine code: the same numbers as `shingles` and `minhash`, without arrays in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.select.shingles import BASE, STRIDE, Shingles, Shingling

_BASE, _STRIDE = np.uint64(BASE), np.uint64(STRIDE)
_ONE, _HALF, _SHIFT = np.uint64(1), np.uint64(32), np.uint64(33)
_FIRST, _SECOND = np.uint64(0xFF51_AFD7_ED55_8CCD), np.uint64(0xC4CE_B9FE_1A85_EC53)


def signatures(
    texts: Sequence[bytes], shingling: Shingling, factors: NDArray[np.uint64], terms: NDArray[np.uint64]
) -> tuple[Shingles, NDArray[np.uint32]]:
    """Return the shingles of prepared texts and their minima under every permutation, uint32 of (texts, permutations).

    Runs without the interpreter's lock, so several threads may work on different texts at once.
    """
    borders = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=borders[1:])
    data = np.frombuffer(b"".join(texts), np.uint8)
    words = shingling.unit == "words"
    starts = np.zeros(len(texts) + 1, np.int64)
    _count(data, borders, words, shingling.size, starts)
    values = np.empty(starts[-1], np.uint64)
    minima = np.full((len(texts), len(factors)), 0xFFFF_FFFF, np.uint32)
    units = np.empty(max(map(len, texts), default=0), np.uint64)
    _fill(data, borders, words, shingling.size, units, starts, values, factors, terms, minima)
    return Shingles(values, starts), minima


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
def _opens(data: Any, begin: int, position: int, words: bool) -> Any:
    """Whether a unit begins at a position of the text that begins at `begin`."""
    if words:
        return data[position] != 0x20 and (position == begin or data[position - 1] == 0x20)
    return position == begin or (data[position] & 0xC0) != 0x80


@_compiled
def _count(data: Any, borders: Any, words: bool, size: int, starts: Any) -> None:
    for text in range(len(borders) - 1):
        units = 0
        for position in range(borders[text], borders[text + 1]):
            units += 1 if _opens(data, borders[text], position, words) else 0
        starts[text + 1] = starts[text] + min(units, max(units - size + 1, 1))


@_compiled
def _hash_units(data: Any, begin: int, end: int, words: bool, units: Any) -> Any:
    """Write the hash of each unit of one text and return their number."""
    count, power, total = 0, _ONE, np.uint64(0)
    for position in range(begin, end):
        if _opens(data, begin, position, words):
            if count:
                units[count - 1] = _mixed(total)
            count, power, total = count + 1, _ONE, np.uint64(0)
        if not words or data[position] != 0x20:
            total += (np.uint64(data[position]) + _ONE) * power
            power *= _BASE
    if count:
        units[count - 1] = _mixed(total)
    return count


@_compiled
def _run(units: Any, head: int, end: int) -> Any:
    """Hash the units from `head` to `end`."""
    total, weight = np.uint64(0), _ONE
    for position in range(head, end):
        total += units[position] * weight
        weight *= _STRIDE
    return _mixed(total)


@_compiled
def _lower(minima: Any, value: Any, factors: Any, terms: Any) -> None:
    """Take one shingle into the minima of its text."""
    for permutation in range(len(factors)):
        image = np.uint32((factors[permutation] * value + terms[permutation]) >> _HALF)
        minima[permutation] = min(minima[permutation], image)


@_compiled
def _fill(
    data: Any,
    borders: Any,
    words: bool,
    size: int,
    units: Any,
    starts: Any,
    values: Any,
    factors: Any,
    terms: Any,
    minima: Any,
) -> None:
    for text in range(len(borders) - 1):
        count = _hash_units(data, borders[text], borders[text + 1], words, units)
        for place in range(starts[text], starts[text + 1]):
            head = place - starts[text]
            values[place] = _run(units, head, min(head + size, count))
            _lower(minima[text], values[place] >> _HALF, factors, terms)
