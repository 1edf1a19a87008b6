"""Texts as counts of their character n-grams, hashed into a fixed number of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from curate.errors import ConfigurationError
from curate.learners.encoders.column import column_of
from curate.learners.numerics import Features, Floats, Integers
from curate.types import Modality

if TYPE_CHECKING:
    import pyarrow as pa

Hashes: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

_LENGTHS = (3, 4, 5)
_BORDER = 0x110000  # one beyond the last code point: no text can contain it
_BLOCK_CHARACTERS = 1 << 18
_BLOCK_VALUES = 1 << 22
_LARGEST_DIMENSION = 1 << 16


class HashedTextEncoder:
    """Counts each text's character 3-, 4- and 5-grams in hashed columns with hashed signs, scaled to length 1.

    Case and spaces count; the beginning and the end of a text count as a character each, so even a single letter has a
    feature; an empty text is all zeros. The hash depends on nothing but the characters: not on the process, the
    machine or the neighbours. Source: Weinberger et al., ICML 2009 (signed feature hashing).
    Costs about 200 bytes of memory for each character of a block of 2^18 characters or of one longer text.

    Raises:
        ConfigurationError: `dimension` is not between 1 and 65536.
    """

    costly = False
    modalities: tuple[Modality, ...] = ("text",)

    def __init__(self, dimension: int) -> None:
        if not 1 <= dimension <= _LARGEST_DIMENSION:
            message = (
                f"the encoder 'hashed-ngrams' needs a dimension between 1 and {_LARGEST_DIMENSION}, not {dimension}"
            )
            raise ConfigurationError(message, hint="write for example 'hashed-ngrams:512'")
        self.version = f"hashed-ngrams:{dimension}/1"
        self.dimension = dimension

    def encode(self, items: pa.Table) -> Features:
        """Return float32 of shape (items, dimension), each row of length 1, or 0 for an empty text.

        Raises:
            BadDataError: an item without a text; names the item.
        """
        texts = [text for _, text in column_of(items, "text")]
        blocks = [self._encode_block(block) for block in self._blocks(texts)]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.dimension), dtype=np.float32)

    def _blocks(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Cut the texts into runs that are small enough to be counted at once; a longer text is a run of its own."""
        block: list[str] = []
        characters = 0
        for text in texts:
            full = characters + len(text) > _BLOCK_CHARACTERS or (len(block) + 1) * self.dimension > _BLOCK_VALUES
            if block and full:
                yield block
                block, characters = [], 0
            block.append(text)
            characters += len(text)
        if block:
            yield block

    def _encode_block(self, texts: Sequence[str]) -> Features:
        characters, owners = _characters(texts)
        counts = np.zeros(len(texts) * self.dimension)
        for length in _LENGTHS:
            hashes, rows = _ngrams(characters, owners, length)
            cells = rows * self.dimension + (hashes % np.uint64(self.dimension)).astype(np.int64)
            signs = 1.0 - 2.0 * (hashes >> np.uint64(63))
            counts += np.bincount(cells, weights=signs, minlength=len(counts))
        return _scaled(counts.reshape(len(texts), self.dimension))


def _characters(texts: Sequence[str]) -> tuple[Hashes, Integers]:
    """Return the code points of all texts, each between borders, and the number of the text that each belongs to."""
    joined = "".join(f"\0{text}\0" for text in texts).encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(joined, dtype="<u4").astype(np.uint64)
    lengths = np.array([len(text) + 2 for text in texts], np.int64)
    ends = np.cumsum(lengths)
    characters[ends - lengths] = characters[ends - 1] = _BORDER
    return characters, np.repeat(np.arange(len(texts)), lengths)


def _ngrams(characters: Hashes, owners: Integers, length: int) -> tuple[Hashes, Integers]:
    """Return the hash of every n-gram of this length that lies within one text, and the text's number."""
    places = max(len(characters) - length + 1, 0)
    inside = owners[:places] == owners[length - 1 :][:places]
    hashes = np.full(places, length, dtype=np.uint64)
    for offset in range(length):
        hashes = _mixed(hashes ^ characters[offset : offset + places])
    return hashes[inside], owners[:places][inside]


def _mixed(values: Hashes) -> Hashes:
    """Spread every bit over all 64, by the finaliser of splitmix64 (Steele et al. 2014); overflow is meant."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _scaled(counts: Floats) -> Features:
    lengths = np.sqrt(np.square(counts).sum(axis=1, keepdims=True))
    return (counts / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
