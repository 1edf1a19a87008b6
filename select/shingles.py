"""Shingles: a text as the set of its short runs of words or characters, each run one 64-bit number.

A text is first put into its normalized form (`curate.select.duplicates.normalized`: NFKC, case-folded, single spaces).
Words lie between spaces, punctuation included. Scripts that set no spaces between words (Chinese, Japanese, Thai, Lao,
Burmese, Khmer) count each character as a word. A run of `size` words (or characters, spaces included) is a shingle; a
text that is shorter has one shingle, all of it. The Jaccard similarity of two texts is that of their sets of shingles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from curate.errors import ConfigurationError
from curate.select.duplicates import normalized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Unit = Literal["words", "characters"]
BASE = 0x9E37_79B9_7F4A_7C15
"""The odd base of the polynomial that hashes a word's bytes, modulo 2^64."""
STRIDE = 0xD6E8_FEB8_6659_FD93
"""The odd base of the polynomial that hashes a run's words."""
_INVERSE = pow(BASE, -1, 2**64)
_SPACE = 0x20
_WITHOUT_SPACES = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Shingling:
    """How texts are cut: runs of `size` units, written `words:3` or `characters:9`."""

    unit: Unit
    size: int

    @classmethod
    def parse(cls, name: str) -> Shingling:
        """Read the written form.

        Raises:
            ConfigurationError: it is no unit with a size from 1 to 50.

        >>> Shingling.parse("words:3")
        Shingling(unit='words', size=3)
        """
        found = re.fullmatch(r"(words|characters):([1-9]|[1-4][0-9]|50)", name)
        if found is None:
            raise ConfigurationError(f"{name!r} are no shingles", hint="write words:3, or characters:9")
        return cls("words" if found[1] == "words" else "characters", int(found[2]))

    def __str__(self) -> str:
        """Return the written form."""
        return f"{self.unit}:{self.size}"


DEFAULT = Shingling("words", 3)


class Shingles(NamedTuple):
    """The shingles of many texts, in their order and repeated as in the text.

    Those of the i-th text are `values[starts[i] : starts[i + 1]]`, uint64.
    """

    values: NDArray[np.uint64]
    starts: NDArray[np.int64]

    def sets(self) -> Callable[[int], NDArray[np.uint64]]:
        """Return a function from a position to that text's set of shingles (sorted, each once), which it remembers."""
        import numpy as np

        return cache(lambda position: np.unique(self.values[self.starts[position] : self.starts[position + 1]]))


def jaccard(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """Return the shared part of two sets of shingles (sorted, each once); 0 if both are empty.

    >>> import numpy as np
    >>> jaccard(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
    0.5
    """
    import numpy as np

    both = np.concatenate((first, second))
    both.sort(kind="stable")
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / max(len(both) - shared, 1)


def prepared(text: str, unit: Unit) -> bytes:
    """Return the bytes that are cut into shingles: the normalized text, in which spaces part all words.

    >>> prepared("Hello  World", "words").decode(), prepared("東京 Tower", "words").decode()
    ('hello world', '東 京 tower')
    """
    form = normalized(text)
    if unit == "words" and not form.isascii():
        form = " ".join(_WITHOUT_SPACES.sub(r" \1 ", form).split())
    return form.encode("utf-8", "surrogatepass")


def shingles(texts: Sequence[bytes], shingling: Shingling) -> Shingles:
    """Cut prepared texts into shingles, with NumPy alone.

    Cost: some 15 ns a byte; memory about 100 times the bytes of the longest text, at least 100 MB.
    """
    import numpy as np

    parts = [_shingles(part, shingling) for part in _parts(texts)]
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.starts) for part in parts)])
    values = [part.values for part in parts]
    return Shingles(np.concatenate(values) if values else np.zeros(0, np.uint64), np.cumsum(counts))


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a bijection of 64-bit numbers whose every bit depends on every bit (MurmurHash3's finalizer)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51_AFD7_ED55_8CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CE_B9FE_1A85_EC53)
    return values ^ (values >> np.uint64(33))


def _parts(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield neighbouring texts of about a megabyte together."""
    start = size = 0
    for position, text in enumerate(texts):
        size += len(text)
        if size >= _PART_BYTES:
            yield texts[start : position + 1]
            start, size = position + 1, 0
    if start < len(texts):
        yield texts[start:]


def _shingles(texts: Sequence[bytes], shingling: Shingling) -> Shingles:
    import numpy as np

    data = np.frombuffer(b"".join(texts), np.uint8)
    borders = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=borders[1:])
    begins, ends = _units(data, borders, shingling.unit)
    units = mixed(_polynomials(data, begins, ends))
    first = np.searchsorted(begins, borders)
    counts = np.minimum(np.diff(first), np.maximum(np.diff(first) - shingling.size + 1, 1))
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    owner = np.repeat(np.arange(len(texts)), counts)
    heads = np.arange(starts[-1]) - starts[owner] + first[owner]
    sums = np.zeros(len(heads), np.uint64)
    padded = np.concatenate((units, np.zeros(shingling.size, np.uint64)))
    for offset in range(shingling.size):
        inside = heads + offset < first[owner + 1]
        weight = np.uint64(pow(STRIDE, offset, 2**64))
        sums += np.where(inside, padded[heads + offset] * weight, np.uint64(0))
    return Shingles(mixed(sums), starts)


def _units(
    data: NDArray[np.uint8], borders: NDArray[np.int64], unit: Unit
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each word or character of the texts begins and ends."""
    import numpy as np

    opens = np.zeros(len(data) + 1, np.bool_)
    opens[borders] = True
    if unit == "characters":
        opens[:-1] |= (data & 0xC0) != 0x80
        begins = np.flatnonzero(opens[:-1])
        return begins, np.append(begins[1:], len(data)).astype(np.int64)
    space = np.append(data == _SPACE, True)
    opens[1:] |= space[:-1]
    closes = space.copy()
    closes[borders] = True
    begins = np.flatnonzero(opens & ~space)
    return begins, np.flatnonzero(closes[1:] & ~space[:-1]) + 1


def _polynomials(data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return sum((byte + 1) * BASE^i) modulo 2^64 over the i-th bytes of each stretch, from running sums."""
    import numpy as np

    powers = np.full(len(data), BASE, np.uint64)
    powers[:1] = 1
    np.multiply.accumulate(powers, out=powers)
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * powers, out=sums[1:])
    inverses = np.full(len(data), _INVERSE, np.uint64)
    inverses[:1] = 1
    np.multiply.accumulate(inverses, out=inverses)
    return (sums[ends] - sums[begins]) * inverses[begins]
