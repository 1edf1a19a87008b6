"""Packing: tokenised texts in blocks of one length, each token but a text's first predicted exactly once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curate.errors import BadDataError, UsageError

Tokens: TypeAlias = NDArray[np.int32]
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A text, or a part of one, inside a block: `start` and `stop` count in all texts' tokens, one after the other.

    Its first token is looked at and not predicted: nothing stands before it.
    """

    document: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Packing:
    """Blocks of at most `length` tokens over texts that are not copied.

    untaught: the texts that are in no block, for they have fewer than two tokens, and so nothing to predict.
    divided: the texts that were longer than a block. Each part but the first begins with the last token of the part
    before, so that nothing goes unpredicted; what it says of earlier parts is not seen.
    """

    tokens: Tokens
    length: int
    blocks: tuple[tuple[Piece, ...], ...]
    untaught: tuple[int, ...]
    divided: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def targets(self) -> int:
        """How many tokens are predicted in one pass."""
        return sum(len(piece) - 1 for block in self.blocks for piece in block)

    @property
    def filled(self) -> float:
        """The share of the blocks that tokens fill; the rest is padding."""
        room = self.length * len(self.blocks)
        return sum(len(piece) for block in self.blocks for piece in block) / room if room else 1.0


def pack(documents: Iterable[Sequence[int] | Tokens], length: int) -> Packing:
    """Put several texts into each block, none divided that fits into one.

    The longest first, each into the fullest block that has room: Ding et al., ICML 2024 (arXiv 2404.10830). The result
    depends on nothing but the texts and their order. Costs 4 bytes a token, and a piece's few numbers.

    Raises:
        UsageError: a block of fewer than two tokens.
        BadDataError: a text's tokens are not whole numbers of at least 0.
    """
    tokens, pieces, untaught = _pieces(documents, length)
    blocks: list[list[Piece]] = []
    room: list[tuple[int, int]] = []
    for piece in sorted(pieces, key=len, reverse=True):
        place = bisect_left(room, (len(piece), -1))
        left, block = room.pop(place) if place < len(room) else (length, len(blocks))
        if block == len(blocks):
            blocks.append([])
        blocks[block].append(piece)
        if left - len(piece) >= _FEWEST:
            insort(room, (left - len(piece), block))
    return _packing(tokens, length, blocks, untaught)


def apart(documents: Iterable[Sequence[int] | Tokens], length: int) -> Packing:
    """Give each text, or part of one, a block of its own: for methods and networks that cannot keep texts apart.

    Raises:
        UsageError: a block of fewer than two tokens.
        BadDataError: a text's tokens are not whole numbers of at least 0.
    """
    tokens, pieces, untaught = _pieces(documents, length)
    return _packing(tokens, length, [[piece] for piece in pieces], untaught)


def _packing(tokens: Tokens, length: int, blocks: Sequence[Sequence[Piece]], untaught: Sequence[int]) -> Packing:
    parts: dict[int, int] = {}
    for block in blocks:
        for piece in block:
            parts[piece.document] = parts.get(piece.document, 0) + 1
    divided = tuple(sorted(document for document, count in parts.items() if count > 1))
    return Packing(tokens, length, tuple(map(tuple, blocks)), tuple(untaught), divided)


def _pieces(documents: Iterable[Sequence[int] | Tokens], length: int) -> tuple[Tokens, list[Piece], list[int]]:
    if length < _FEWEST:
        raise UsageError(f"a block of {length} tokens predicts nothing", hint="take blocks of at least 2 tokens")
    arrays = [_checked(number, document) for number, document in enumerate(documents)]
    pieces: list[Piece] = []
    untaught = []
    start = 0
    for number, array in enumerate(arrays):
        if len(array) < _FEWEST:
            untaught.append(number)
        else:
            pieces.extend(_divided(number, start, start + len(array), length))
        start += len(array)
    return np.concatenate([*arrays, np.zeros(0, np.int32)]), pieces, untaught


def _divided(document: int, start: int, stop: int, length: int) -> Iterator[Piece]:
    """Yield a text's parts: each begins with the token that the one before it ends with."""
    while stop - start >= _FEWEST:
        end = min(stop, start + length)
        yield Piece(document, start, end)
        start = end - 1


def _checked(number: int, document: Sequence[int] | Tokens) -> Tokens:
    array = np.asarray(document)
    if not array.size:
        return np.zeros(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < 0 or array.max() > np.iinfo(np.int32).max:
        raise BadDataError(f"the tokens of text {number} are not whole numbers of at least 0")
    return array.astype(np.int32, copy=False)
